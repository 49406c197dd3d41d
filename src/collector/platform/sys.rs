//! The few system calls that the recorder needs, each as one safe or argued function.
//!
//! Invariants: nothing here allocates, locks or panics; every function that can touch
//! `errno` is called on slow paths only, inside [`PreservedErrno`].

use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use crate::safeguards;

/// Keeps `errno` as it was, for code that runs inside somebody else's `malloc`.
pub(crate) struct PreservedErrno(i32);

impl PreservedErrno {
    pub(crate) fn new() -> Self {
        Self(errno())
    }
}

impl Drop for PreservedErrno {
    fn drop(&mut self) {
        if safeguards::without("errno") {
            return;
        }
        // SAFETY: libc hands out a valid pointer to this thread's `errno`.
        unsafe { *libc::__errno_location() = self.0 }
    }
}

/// This thread's `errno`.
pub(crate) fn errno() -> i32 {
    // SAFETY: libc hands out a valid pointer to this thread's `errno`.
    unsafe { *libc::__errno_location() }
}

/// Fresh zeroed pages, or `None`. They are never given back: trackers and tables live as long
/// as the process, since a thread may be inside one at any time.
pub(crate) fn map_pages(bytes: usize) -> Option<NonNull<u8>> {
    // SAFETY: an anonymous private mapping at an address of the kernel's choice touches
    // nothing that exists.
    let at = unsafe {
        libc::mmap(
            ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if at == libc::MAP_FAILED { None } else { NonNull::new(at.cast()) }
}

/// Tells the kernel that these pages may be dropped; they read as zero afterwards.
///
/// # Safety
/// The range is a mapping of [`map_pages`] whose contents nobody needs any more.
pub(crate) unsafe fn discard_pages(at: NonNull<u8>, bytes: usize) {
    // SAFETY: the caller vouches for the range; advice can't fail in a way that matters.
    unsafe { libc::madvise(at.as_ptr().cast(), bytes, libc::MADV_DONTNEED) };
}

/// Has memory for pages before it is used, all of them at once. A page that is read before it is
/// written is mapped twice, and the second time every core that runs the program is interrupted.
/// A kernel that can't do this (before Linux 5.14) has it when it is used.
///
/// # Safety
/// The range is part of a mapping of [`map_pages`], and begins where a page does.
pub(crate) unsafe fn populate_pages(at: *const u8, bytes: usize) {
    let _errno = PreservedErrno::new();
    // SAFETY: the caller vouches for the range; nothing that is in it changes.
    unsafe { libc::madvise(at.cast_mut().cast(), bytes, libc::MADV_POPULATE_WRITE) };
}

/// Takes pages away again.
///
/// # Safety
/// The range is a whole mapping of [`map_pages`], and nobody refers to it any more.
pub(crate) unsafe fn unmap_pages(at: NonNull<u8>, bytes: usize) {
    // SAFETY: the caller vouches for the range.
    unsafe { libc::munmap(at.as_ptr().cast(), bytes) };
}

/// Sleeps while `word` is `expected`, at most `timeout`. May return early.
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, timeout: Duration) {
    let timeout = libc::timespec {
        tv_sec: timeout.as_secs().min(3600).cast_signed(),
        tv_nsec: i64::from(timeout.subsec_nanos()),
    };
    // SAFETY: `word` outlives the call and the kernel only reads it and `timeout`.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
            expected,
            &raw const timeout,
        );
    }
}

/// Wakes all who sleep on `word`, which has changed.
pub(crate) fn futex_wake(word: &AtomicU32) {
    // SAFETY: `word` outlives the call; the kernel uses its address only.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
            i32::MAX,
        );
    }
}

/// The kernel's id of this thread.
pub(crate) fn thread_id() -> u64 {
    // SAFETY: `gettid` has no arguments and can't fail.
    let id = unsafe { libc::syscall(libc::SYS_gettid) };
    id.cast_unsigned()
}

/// This process.
pub(crate) fn process_id() -> u32 {
    // SAFETY: `getpid` has no arguments and can't fail.
    unsafe { libc::getpid() }.cast_unsigned()
}

/// A name of at most 15 bytes, as the kernel keeps it for a thread.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ThreadName {
    bytes: [u8; 16],
}

impl ThreadName {
    /// This thread's name.
    pub(crate) fn of_this_thread() -> Self {
        let mut name = Self::default();
        // SAFETY: PR_GET_NAME writes at most 16 bytes, zero-terminated, into the array.
        unsafe { libc::prctl(libc::PR_GET_NAME, name.bytes.as_mut_ptr()) };
        name
    }

    /// The name of another thread of this process; `None` if it is gone.
    pub(crate) fn of_thread(id: u64) -> Option<Self> {
        let mut path = [0_u8; 64];
        let mut at = 0;
        push(&mut path, &mut at, b"/proc/self/task/");
        push_decimal(&mut path, &mut at, id);
        push(&mut path, &mut at, b"/comm");
        // SAFETY: `path` is zero-terminated: what was pushed is shorter than the array.
        let file = unsafe { libc::open(path.as_ptr().cast(), libc::O_RDONLY | libc::O_CLOEXEC) };
        if file < 0 {
            return None;
        }
        let mut name = Self::default();
        // SAFETY: at most the 16 bytes of the buffer are written.
        let len = unsafe { libc::read(file, name.bytes.as_mut_ptr().cast(), 16) };
        // SAFETY: `file` is ours and not used again.
        unsafe { libc::close(file) };
        // The last byte is the line's end; a name may have others within.
        let len = usize::try_from(len).ok()?.checked_sub(1)?;
        *name.bytes.get_mut(len)? = 0;
        Some(name)
    }

    /// The sixteen bytes as two numbers.
    pub(crate) fn halves(&self) -> (u64, u64) {
        let whole = u128::from_ne_bytes(self.bytes);
        (whole as u64, (whole >> 64) as u64)
    }

    /// The bytes before the terminator.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        let len = self.bytes.iter().position(|byte| *byte == 0).unwrap_or(15);
        self.bytes.get(..len).unwrap_or_default()
    }
}

fn push(path: &mut [u8; 64], at: &mut usize, bytes: &[u8]) {
    for byte in bytes {
        if let Some(slot) = path.get_mut(*at) {
            *slot = *byte;
            *at = at.saturating_add(1);
        }
    }
}

fn push_decimal(path: &mut [u8; 64], at: &mut usize, mut value: u64) {
    let mut digits = [0_u8; 20];
    let mut first = digits.len();
    loop {
        first = first.saturating_sub(1);
        if let Some(slot) = digits.get_mut(first) {
            *slot = b'0'.wrapping_add((value % 10) as u8);
        }
        value /= 10;
        if value == 0 {
            break;
        }
    }
    push(path, at, digits.get(first..).unwrap_or_default());
}

/// The addresses of this thread's stack: lowest and behind the highest. `None` if libc can't
/// say.
pub(crate) fn stack_bounds() -> Option<(u64, u64)> {
    let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::zeroed();
    // SAFETY: the call initialises the attributes when it answers 0; it may use libc's own
    // malloc, which is not the allocator that is being recorded into.
    if unsafe { libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) } != 0 {
        return None;
    }
    let mut start = ptr::null_mut();
    let mut bytes = 0;
    // SAFETY: initialised above; both results are plain out-pointers.
    let found =
        unsafe { libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut start, &raw mut bytes) };
    // SAFETY: initialised above and not used again.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    let start = start as u64;
    let end = start.checked_add(bytes as u64)?;
    let (start, end) = if cfg!(target_env = "musl") && thread_id() == u64::from(process_id()) {
        main_stack_bounds(start, end)
    } else {
        (start, end)
    };
    (found == 0 && start < end).then_some((start, end))
}

/// The first thread's stack, of which musl knows what is mapped now, up to the end of the page
/// in which the program's arguments and environment begin. What may become of it, up to those.
fn main_stack_bounds(mapped: u64, end: u64) -> (u64, u64) {
    /// What the kernel leaves free at least below a stack without a limit.
    const GAP_BYTES: u64 = 128 << 20;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is written by the call.
    let refused = unsafe { libc::getrlimit(libc::RLIMIT_STACK, &raw mut limit) };
    let bytes = if limit.rlim_cur == libc::RLIM_INFINITY { GAP_BYTES } else { limit.rlim_cur };
    let start = if refused == 0 { mapped.min(end.saturating_sub(bytes)) } else { mapped };
    let begun = main_stack_pointer().filter(|begun| mapped < *begun && *begun <= end);
    (start, begun.unwrap_or(end))
}

/// The stack pointer that the program began with: the 28th field of its `stat`, by proc(5).
fn main_stack_pointer() -> Option<u64> {
    // SAFETY: a terminated path.
    let file = unsafe { libc::open(c"/proc/self/stat".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if file < 0 {
        return None;
    }
    let mut bytes = [0_u8; 1024];
    // SAFETY: at most the array's bytes are written; `file` is ours and not used again.
    let len = unsafe {
        let len = libc::read(file, bytes.as_mut_ptr().cast(), bytes.len());
        libc::close(file);
        len
    };
    let text = bytes.get(..usize::try_from(len).ok()?)?;
    // The second field is a name in parentheses, which may have anything in it.
    let behind = text.iter().rposition(|byte| *byte == b')')?.checked_add(2)?;
    decimal(text.get(behind..)?.split(|byte| *byte == b' ').nth(25)?)
}

/// The number that these digits are; `None`: they are none, or it is too large.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    let add = |value: u64, digit: &u8| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    };
    if digits.is_empty() { None } else { digits.iter().try_fold(0, add) }
}

/// Copies `into.len()` bytes from `address` of this process, or fewer; answers how many. The
/// kernel does the reading, so that an unmapped address is an answer and not a fault.
pub(crate) fn read_memory(address: u64, into: &mut [u8]) -> usize {
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: into.len() };
    // SAFETY: the kernel checks both ranges and writes only inside `into`.
    let read = unsafe {
        libc::process_vm_readv(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0)
    };
    usize::try_from(read).unwrap_or(0)
}

/// Does what may write beyond the process's limit of file sizes: that is then an error, and not a
/// signal that ends the program.
pub(crate) fn with_sigxfsz_blocked<T>(write: impl FnOnce() -> T) -> T {
    if safeguards::without("size signal") {
        return write();
    }
    let mut only = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    let mut before = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: both sets are initialised by the first and third call before they are read.
    unsafe {
        libc::sigemptyset(only.as_mut_ptr());
        libc::sigaddset(only.as_mut_ptr(), libc::SIGXFSZ);
        libc::pthread_sigmask(libc::SIG_BLOCK, only.as_ptr(), before.as_mut_ptr());
    }
    let result = write();
    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the sets are initialised; a signal that waits for this thread is taken away.
    unsafe {
        libc::sigtimedwait(only.as_ptr(), ptr::null_mut(), &raw const at_once);
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut());
    }
    result
}

const MEMBARRIER_CMD_PRIVATE_EXPEDITED: i32 = 1 << 3;
const MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED: i32 = 1 << 4;

/// Asks the kernel to allow [`memory_barrier`]; answers whether it does.
pub(crate) fn register_memory_barrier() -> bool {
    // SAFETY: plain numbers.
    let answer = unsafe {
        libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0)
    };
    answer == 0
}

/// A full memory barrier on every running thread of this process.
pub(crate) fn memory_barrier() {
    // SAFETY: plain numbers.
    unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) };
}

/// `CLOCK_MONOTONIC` in nanoseconds.
pub(crate) fn monotonic_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds since the Unix epoch.
pub(crate) fn unix_ns() -> u64 {
    clock_ns(libc::CLOCK_REALTIME)
}

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes into `now`.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    now.tv_sec.cast_unsigned().wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec.cast_unsigned())
}

/// A thread of the recorder's own that was not joined yet. For the C library it is a number or a
/// pointer.
#[derive(Debug)]
pub(crate) struct RecorderThread(libc::pthread_t);

// SAFETY: any thread may join it, and joining takes it.
unsafe impl Send for RecorderThread {}

impl RecorderThread {
    /// Waits for its end, and hands out what it answered; `None` if it can't be joined.
    pub(crate) fn join(self) -> Option<*mut libc::c_void> {
        let mut answer = ptr::null_mut();
        // SAFETY: the thread was made joinable, and is joined once: this value is gone then.
        let refused = unsafe { libc::pthread_join(self.0, &raw mut answer) };
        (refused == 0).then_some(answer)
    }
}

/// Starts a thread of the C library, with all signals blocked: Rust's own threads allocate before
/// any of our code runs. The error is an `errno`.
pub(crate) fn spawn(
    start: extern "C" fn(*mut libc::c_void) -> *mut libc::c_void,
    argument: *mut libc::c_void,
) -> Result<RecorderThread, i32> {
    let mut all = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    let mut before = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    let mut thread = std::mem::MaybeUninit::<libc::pthread_t>::uninit();
    // SAFETY: both sets are written before they are read; the new thread inherits the full mask.
    let refused = unsafe {
        if !safeguards::without("signals blocked") {
            libc::sigfillset(all.as_mut_ptr());
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        let refused = libc::pthread_create(thread.as_mut_ptr(), ptr::null(), start, argument);
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut());
        refused
    };
    if refused != 0 {
        return Err(refused);
    }
    // SAFETY: the thread was made, so this is written.
    Ok(RecorderThread(unsafe { thread.assume_init() }))
}

/// Names this thread; at most 15 bytes.
pub(crate) fn name_this_thread(name: &std::ffi::CStr) {
    // SAFETY: a terminated name, for this thread; one that is too long is refused.
    unsafe { libc::pthread_setname_np(libc::pthread_self(), name.as_ptr()) };
}
