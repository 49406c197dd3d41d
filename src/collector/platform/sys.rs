//! System calls of the recorder, wrapped in safe or documented functions.
//!
//! Invariants: nothing here allocates, locks or panics. Functions that can change `errno` are
//! called only on slow paths, inside [`PreservedErrno`].

use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use crate::safeguards::{self, Safeguard};

/// Restores `errno` when dropped, for code that runs inside the program's calls of `malloc`.
pub(crate) struct PreservedErrno(i32);

impl PreservedErrno {
    pub(crate) fn new() -> Self {
        Self(errno())
    }
}

impl Drop for PreservedErrno {
    fn drop(&mut self) {
        if safeguards::is_disabled(Safeguard::PreserveErrno) {
            return;
        }
        // SAFETY: libc returns a valid pointer to this thread's `errno`.
        unsafe { *libc::__errno_location() = self.0 }
    }
}

/// This thread's `errno`.
pub(crate) fn errno() -> i32 {
    // SAFETY: libc returns a valid pointer to this thread's `errno`.
    unsafe { *libc::__errno_location() }
}

/// Maps zeroed pages; `None` if the system refuses. Thread recorders and shared tables are never
/// unmapped because a thread may be using them at any time.
pub(crate) fn map_pages(bytes: usize) -> Option<NonNull<u8>> {
    // SAFETY: an anonymous private mapping at an address chosen by the kernel does not affect
    // existing memory.
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

/// Tells the kernel that it may drop these pages; they read as zero afterwards.
///
/// # Safety
/// The range is a mapping of [`map_pages`], and its contents are no longer needed.
pub(crate) unsafe fn discard_pages(at: NonNull<u8>, bytes: usize) {
    // SAFETY: the caller guarantees that the range is mapped and its contents are not needed.
    unsafe { libc::madvise(at.as_ptr().cast(), bytes, libc::MADV_DONTNEED) };
}

/// Pre-faults pages for writing. A read fault would map the shared zero page; the later write fault
/// replaces it and costs a TLB shootdown on every core that runs the program. Kernels before Linux
/// 5.14 do not support it and fault the pages in when they are used.
///
/// # Safety
/// The range is part of a mapping of [`map_pages`] and starts at a page.
pub(crate) unsafe fn populate_pages(at: *const u8, bytes: usize) {
    let _errno = PreservedErrno::new();
    // SAFETY: the caller guarantees that the range is mapped; its contents do not change.
    unsafe { libc::madvise(at.cast_mut().cast(), bytes, libc::MADV_POPULATE_WRITE) };
}

/// Unmaps pages.
///
/// # Safety
/// The range is a whole mapping of [`map_pages`], and no reference into it exists.
pub(crate) unsafe fn unmap_pages(at: NonNull<u8>, bytes: usize) {
    // SAFETY: the caller guarantees that the range is a whole mapping without references into it.
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

/// Wakes all threads that sleep on `word`.
pub(crate) fn futex_wake(word: &AtomicU32) {
    // SAFETY: `word` outlives the call, and the kernel uses only its address.
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
    // SAFETY: `gettid` has no arguments and cannot fail.
    let id = unsafe { libc::syscall(libc::SYS_gettid) };
    id.cast_unsigned()
}

/// The id of this process.
pub(crate) fn process_id() -> u32 {
    // SAFETY: `getpid` has no arguments and cannot fail.
    unsafe { libc::getpid() }.cast_unsigned()
}

/// A thread name of at most 15 bytes, as the kernel stores it.
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

    /// The name of another thread of this process; `None` if the thread has ended.
    pub(crate) fn of_thread(id: u64) -> Option<Self> {
        let mut path = [0_u8; 64];
        let mut at = 0;
        push(&mut path, &mut at, b"/proc/self/task/");
        push_decimal(&mut path, &mut at, id);
        push(&mut path, &mut at, b"/comm");
        // SAFETY: `path` is zero-terminated because the text is shorter than the array.
        let file = unsafe { libc::open(path.as_ptr().cast(), libc::O_RDONLY | libc::O_CLOEXEC) };
        if file < 0 {
            return None;
        }
        let mut name = Self::default();
        // SAFETY: at most the 16 bytes of the buffer are written.
        let len = unsafe { libc::read(file, name.bytes.as_mut_ptr().cast(), 16) };
        // SAFETY: this function opened `file` and does not use it again.
        unsafe { libc::close(file) };
        // The last byte is a line end; the name itself may contain others.
        let len = usize::try_from(len).ok()?.checked_sub(1)?;
        *name.bytes.get_mut(len)? = 0;
        Some(name)
    }

    /// The 16 bytes as two integers.
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

/// The bounds of this thread's stack: lowest address and end (exclusive). `None` if libc does not
/// know them.
pub(crate) fn stack_bounds() -> Option<(u64, u64)> {
    let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::zeroed();
    // SAFETY: the call initialises the attributes if it returns 0. It may use libc's own `malloc`,
    // which is not the wrapped allocator.
    if unsafe { libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) } != 0 {
        return None;
    }
    let mut start = ptr::null_mut();
    let mut bytes = 0;
    // SAFETY: the attributes are initialised, and both results are local variables.
    let found =
        unsafe { libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut start, &raw mut bytes) };
    // SAFETY: the attributes are initialised and not used again.
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

/// Stack bounds of the main thread on musl: `pthread_getattr_np` reports only the mapped part, up
/// to the end of the page where the arguments and the environment start. The low end is extended to
/// the stack limit, and the high end is cut to the initial stack pointer.
fn main_stack_bounds(mapped: u64, end: u64) -> (u64, u64) {
    /// Address space that the kernel reserves for a stack without a limit.
    const GAP_BYTES: u64 = 128 << 20;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call writes only to `limit`.
    let refused = unsafe { libc::getrlimit(libc::RLIMIT_STACK, &raw mut limit) };
    let bytes = if limit.rlim_cur == libc::RLIM_INFINITY { GAP_BYTES } else { limit.rlim_cur };
    let start = if refused == 0 { mapped.min(end.saturating_sub(bytes)) } else { mapped };
    let initial = main_stack_pointer().filter(|initial| mapped < *initial && *initial <= end);
    (start, initial.unwrap_or(end))
}

/// The initial stack pointer of the program: field 28 of `/proc/self/stat`, see proc(5).
fn main_stack_pointer() -> Option<u64> {
    // SAFETY: the path is zero-terminated.
    let file = unsafe { libc::open(c"/proc/self/stat".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if file < 0 {
        return None;
    }
    let mut bytes = [0_u8; 1024];
    // SAFETY: at most the length of the array is written, and `file` is closed once.
    let len = unsafe {
        let len = libc::read(file, bytes.as_mut_ptr().cast(), bytes.len());
        libc::close(file);
        len
    };
    let text = bytes.get(..usize::try_from(len).ok()?)?;
    // The second field is a name in parentheses, which may contain any character.
    let third_field = text.iter().rposition(|byte| *byte == b')')?.checked_add(2)?;
    decimal(text.get(third_field..)?.split(|byte| *byte == b' ').nth(25)?)
}

/// Parses decimal digits; `None` for other characters or an overflow.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    let add = |value: u64, digit: &u8| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    };
    if digits.is_empty() { None } else { digits.iter().try_fold(0, add) }
}

/// Copies at most `into.len()` bytes from `address` of this process and returns their number. The
/// kernel reads them, so that an unmapped address is an error and not a fault.
pub(crate) fn read_memory(address: u64, into: &mut [u8]) -> usize {
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: into.len() };
    // SAFETY: the kernel checks both ranges and writes only inside `into`.
    let read = unsafe {
        libc::process_vm_readv(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0)
    };
    usize::try_from(read).unwrap_or(0)
}

/// Runs `write` with `SIGXFSZ` blocked, so that a write beyond the file size limit of the process
/// is an error and not a signal that ends the program.
pub(crate) fn with_sigxfsz_blocked<T>(write: impl FnOnce() -> T) -> T {
    if safeguards::is_disabled(Safeguard::BlockSizeSignal) {
        return write();
    }
    let mut only = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    let mut before = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: `sigemptyset` and `pthread_sigmask` initialise the sets before they are read.
    unsafe {
        libc::sigemptyset(only.as_mut_ptr());
        libc::sigaddset(only.as_mut_ptr(), libc::SIGXFSZ);
        libc::pthread_sigmask(libc::SIG_BLOCK, only.as_ptr(), before.as_mut_ptr());
    }
    let result = write();
    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the sets are initialised. `sigtimedwait` removes a pending signal of this thread.
    unsafe {
        libc::sigtimedwait(only.as_ptr(), ptr::null_mut(), &raw const at_once);
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut());
    }
    result
}

const MEMBARRIER_CMD_PRIVATE_EXPEDITED: i32 = 1 << 3;
const MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED: i32 = 1 << 4;

/// Registers this process for [`memory_barrier`]; `false` if the kernel does not support it.
pub(crate) fn register_memory_barrier() -> bool {
    // SAFETY: `membarrier` takes integers and accesses no memory of the caller.
    let answer = unsafe {
        libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0)
    };
    answer == 0
}

/// A full memory barrier on every running thread of this process.
pub(crate) fn memory_barrier() {
    // SAFETY: `membarrier` takes integers and accesses no memory of the caller.
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
    // SAFETY: the kernel writes only to `now`.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    now.tv_sec.cast_unsigned().wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec.cast_unsigned())
}

/// A joinable thread of the recorder. `pthread_t` is an integer or a pointer, depending on the C
/// library.
#[derive(Debug)]
pub(crate) struct RecorderThread(libc::pthread_t);

// SAFETY: any thread may join it, and joining consumes the value.
unsafe impl Send for RecorderThread {}

impl RecorderThread {
    /// Waits for the end of the thread and returns its result; `None` if it cannot be joined.
    pub(crate) fn join(self) -> Option<*mut libc::c_void> {
        let mut answer = ptr::null_mut();
        // SAFETY: the thread is joinable, and `self` is consumed, so that it is joined only once.
        let refused = unsafe { libc::pthread_join(self.0, &raw mut answer) };
        (refused == 0).then_some(answer)
    }
}

/// Starts a thread through the C library, with all signals blocked: threads of the Rust standard
/// library allocate before they run our code. The error is an `errno`.
pub(crate) fn spawn(
    start: extern "C" fn(*mut libc::c_void) -> *mut libc::c_void,
    argument: *mut libc::c_void,
) -> Result<RecorderThread, i32> {
    let mut all = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    let mut before = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    let mut thread = std::mem::MaybeUninit::<libc::pthread_t>::uninit();
    // SAFETY: the calls write both sets before they are read; the new thread inherits the full
    // mask.
    let refused = unsafe {
        if !safeguards::is_disabled(Safeguard::BlockSignals) {
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
    // SAFETY: `pthread_create` succeeded and wrote the value.
    Ok(RecorderThread(unsafe { thread.assume_init() }))
}

/// Blocks the signals of this thread from the first [`HeldSignals::hold`] until the value is
/// dropped.
///
/// The kernel starts a handler at the top of its alternate stack unless the stack pointer is on
/// that stack. While the recorder runs on its own stack inside such a handler, the next handler
/// would overwrite the frames of the first one. A handler without an alternate stack would have too
/// little space on the recorder's stack.
pub(crate) struct HeldSignals(Option<u64>);

impl HeldSignals {
    /// Signals that an instruction of the thread raises. The recorder's code raises none of them,
    /// and the kernel kills the process if one is raised while it is blocked, for example the
    /// `SIGSYS` of a seccomp filter.
    const SYNCHRONOUS: [i32; 6] =
        [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS];

    /// Blocks nothing yet.
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    /// Blocks all signals except the synchronous ones. A second call does nothing.
    #[cold]
    pub(crate) fn hold(&mut self) {
        if self.0.is_some() || safeguards::is_disabled(Safeguard::HeldSignals) {
            return;
        }
        let mut all = u64::MAX;
        for signal in Self::SYNCHRONOUS {
            all &= !(1 << signal.wrapping_sub(1));
        }
        let mut before = 0_u64;
        // `pthread_sigmask` leaves out the two signals that libc uses itself; their handlers have
        // no alternate stack either.
        // SAFETY: the kernel reads `all` and writes `before`, both sets of 64 signals as the last
        // argument states.
        let refused = unsafe {
            libc::syscall(
                libc::SYS_rt_sigprocmask,
                libc::SIG_SETMASK,
                &raw const all,
                &raw mut before,
                size_of::<u64>(),
            )
        };
        self.0 = (refused == 0).then_some(before);
    }
}

impl Drop for HeldSignals {
    #[inline(always)]
    fn drop(&mut self) {
        #[cold]
        fn release(before: u64) {
            // SAFETY: the kernel reads `before`, a set of 64 signals as the last argument states,
            // and writes nothing because the pointer for the old set is null.
            unsafe {
                libc::syscall(
                    libc::SYS_rt_sigprocmask,
                    libc::SIG_SETMASK,
                    &raw const before,
                    ptr::null_mut::<u64>(),
                    size_of::<u64>(),
                )
            };
        }
        if let Some(before) = self.0 {
            release(before);
        }
    }
}

/// Sets the name of this thread, at most 15 bytes.
pub(crate) fn name_this_thread(name: &std::ffi::CStr) {
    // SAFETY: the name is zero-terminated, and the thread is the calling one; libc rejects longer
    // names.
    unsafe { libc::pthread_setname_np(libc::pthread_self(), name.as_ptr()) };
}
