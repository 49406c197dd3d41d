//! A stack of the recorder's own on which unwind rules are derived: framehop takes three times the stack
//! that may be left on a small thread's or a signal handler's stack.
//!
//! Reads and writes: its pages.
//!
//! Invariants:
//! - Code that runs on it holds the lock that owns the [`Stack`], so one thread uses it at a time.
//! - That thread takes no signal meanwhile ([`HeldSignals`]): to the kernel, a thread on this stack has
//!   left its alternate signal stack, so the next handler would overwrite the frames there.

use std::ptr::NonNull;

use crate::collector::platform::spin_lock::SpinLock;
use crate::collector::platform::sys::{self, HeldSignals};
use crate::safeguards::{self, Safeguard};

static STACK: SpinLock<Option<Stack>> = SpinLock::new(None);

/// Maps the stack unless it is mapped. Called while enabling.
pub(crate) fn prepare() {
    if let Some(mut stack) = STACK.lock()
        && stack.is_none()
    {
        *stack = Stack::map();
    }
}

/// Runs `work` on this stack, or on the thread's if it could not be mapped or locked, and holds the
/// thread's signals, which `signals` releases when it is dropped. `work` must not panic.
pub(crate) fn run(signals: &mut HeldSignals, work: &mut dyn FnMut()) {
    signals.hold();
    match STACK.lock().as_deref_mut() {
        Some(Some(stack)) if !safeguards::is_disabled(Safeguard::AltStack) => stack.run(work),
        _ => work(),
    }
}

/// After `fork`, in the child: releases the lock that another thread of the parent may have held.
pub(crate) fn reset_after_fork() {
    // SAFETY: the child has one thread, which called `fork` and so does not hold the lock.
    unsafe { STACK.reset_after_fork() };
}

/// Three times the largest measured use, with an inaccessible guard page at the low end.
const BYTES: usize = 64 << 10;
const GUARD_BYTES: usize = 4096;

/// A stack that is not in use.
struct Stack {
    pages: NonNull<u8>,
}

// SAFETY: the pages belong to no thread, and only the owner of the value uses them.
unsafe impl Send for Stack {}

impl Stack {
    /// Maps a stack that is never unmapped.
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
