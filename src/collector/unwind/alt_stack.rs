//! A stack of the recorder's own, for what needs much of one: deriving unwind rules takes three
//! times what a program may spare on a small thread's or a signal handler's stack.
//!
//! Reads and writes: its pages.
//!
//! Invariant: who runs here holds the lock that owns the [`Stack`], so there is one at a time.

use std::ptr::NonNull;

use crate::collector::platform::spin_lock::SpinLock;
use crate::collector::platform::sys;
use crate::safeguards;

static STACK: SpinLock<Option<Stack>> = SpinLock::new(None);

/// Maps the stack if it is not there yet. Called while enabling.
pub(crate) fn prepare() {
    if let Some(mut stack) = STACK.lock()
        && stack.is_none()
    {
        *stack = Stack::map();
    }
}

/// Runs `work` on the stack of our own; on the thread's where there is none. It must not unwind.
pub(crate) fn run(work: &mut dyn FnMut()) {
    match STACK.lock().as_deref_mut() {
        Some(Some(stack)) if !safeguards::without("own stack") => stack.run(work),
        _ => work(),
    }
}

/// In a forked child: who stood on the stack is not here.
pub(crate) fn forked() {
    // SAFETY: the child has one thread, which forked and so does not stand there.
    unsafe { STACK.reset_after_fork() };
}

/// Three times the most that was measured, and a page below that nobody may touch.
const BYTES: usize = 64 << 10;
const GUARD_BYTES: usize = 4096;

/// A stack that nobody stands on.
struct Stack {
    pages: NonNull<u8>,
}

// SAFETY: plain pages; whoever has the value is the only one that uses them.
unsafe impl Send for Stack {}

impl Stack {
    /// Maps one, for as long as the process lives.
    fn map() -> Option<Self> {
        let pages = sys::map_pages(BYTES)?;
        // SAFETY: our own fresh mapping, whose lowest page is not used.
        unsafe { libc::mprotect(pages.as_ptr().cast(), GUARD_BYTES, libc::PROT_NONE) };
        Some(Self { pages })
    }

    /// Runs `work` on this stack and comes back. It must not unwind.
    fn run(&mut self, work: &mut dyn FnMut()) {
        let top = (self.pages.as_ptr() as u64).wrapping_add(BYTES as u64);
        let mut work = work;
        // SAFETY: the top is aligned to a page; `call` keeps to the C convention, so r12 has the
        // old stack pointer when it returns; nothing of the old stack is moved meanwhile.
        unsafe {
            std::arch::asm!(
                "mov r12, rsp",
                "mov rsp, {top}",
                "call {call}",
                "mov rsp, r12",
                top = in(reg) top,
                call = sym call,
                inlateout("rdi") &raw mut work => _,
                out("r12") _,
                clobber_abi("C"),
            );
        }
    }
}

extern "C" fn call(work: *mut &mut dyn FnMut()) {
    // SAFETY: `run` passes a reference that lives until it returns, and passes it here alone.
    unsafe { (*work)() };
}
