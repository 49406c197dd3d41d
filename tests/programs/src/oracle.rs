//! A log of a program's heap, in a file that is mapped before recording starts, so that it survives
//! the end of the process.
//!
//! Layout: a page for the program's state and the recording's path, then a log per thread for
//! [`THREADS`] threads: a count, then entries of (address, size; size 0 means freed).

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// Number of threads with a log, and entries per log.
pub const THREADS: usize = 16;
pub const ENTRIES: usize = 1 << 17;
/// Smaller allocations are the thread's own and are not compared.
pub const SIZE_MIN: usize = 20_000;
const PAGE: usize = 4096;
const LOG_BYTES: usize = PAGE + ENTRIES * 16;

/// Progress of the program, the first number of the file.
pub mod state {
    pub const ENABLED: u64 = 1;
    pub const REFUSED: u64 = 2;
    pub const WORKED: u64 = 3;
    pub const DISABLED: u64 = 4;
}

static FILE: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());

thread_local! {
    static LOG: Cell<Option<&'static Log>> = const { Cell::new(None) };
}

#[repr(C)]
struct Log {
    len: AtomicU64,
    _rest: [u64; PAGE / 8 - 1],
    entries: [[AtomicU64; 2]; ENTRIES],
}

impl Log {
    /// Appends an entry: after an allocation, before a free.
    fn add(&self, address: u64, size: u64) {
        let len = self.len.load(Ordering::Relaxed);
        let entry = self.entries.get(len as usize).expect("the test asks for less than fits");
        entry[0].store(address, Ordering::Relaxed);
        entry[1].store(size, Ordering::Relaxed);
        self.len.store(len + 1, Ordering::Release);
    }
}

/// Maps the file that `ORACLE` names.
pub fn open() {
    use std::os::fd::AsRawFd;
    let path = std::env::var_os("ORACLE").expect("the test names a file");
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).expect("it is there");
    // SAFETY: a new mapping of a file that the test made large enough and does not shrink.
    let at = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            PAGE + THREADS * LOG_BYTES,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    assert_ne!(at, libc::MAP_FAILED);
    FILE.store(at.cast(), Ordering::Release);
}

/// Stores the progress of the program, and text for the test.
pub fn note(state: u64, words: &[u8]) {
    let file = FILE.load(Ordering::Acquire);
    // A long path precedes the reason: keep the end, which is more informative.
    let words = &words[words.len().saturating_sub(PAGE - 16)..];
    // SAFETY: the first page is mapped and written by the main thread alone.
    unsafe {
        if !words.is_empty() {
            file.add(8).cast::<u64>().write(words.len() as u64);
            file.add(16).copy_from_nonoverlapping(words.as_ptr(), words.len());
        }
        (*file.cast::<AtomicU64>()).store(state, Ordering::Release);
    }
}

/// Logs this thread's allocations in log number `thread` from now on.
pub fn begin(thread: usize) {
    assert!(thread < THREADS);
    let file = FILE.load(Ordering::Acquire);
    // SAFETY: the log is inside the mapping, which is never unmapped; its fields are atomics.
    LOG.set(Some(unsafe { &*file.add(PAGE + thread * LOG_BYTES).cast::<Log>() }));
}

pub fn end() {
    LOG.set(None);
}

/// Wraps the recorder and logs its calls and results.
pub struct Oracle<A>(pub A);

// SAFETY: every call goes to the inner allocator unchanged, and so does its result.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Oracle<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let block = unsafe { self.0.alloc(layout) };
        if let Some(log) = LOG.get() {
            log.add(block as u64, layout.size() as u64);
        }
        block
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let block = unsafe { self.0.alloc_zeroed(layout) };
        if let Some(log) = LOG.get() {
            log.add(block as u64, layout.size() as u64);
        }
        block
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(log) = LOG.get() {
            log.add(block as u64, 0);
        }
        unsafe { self.0.dealloc(block, layout) }
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if let Some(log) = LOG.get() {
            log.add(block as u64, 0);
        }
        let new = unsafe { self.0.realloc(block, layout, size) };
        if let Some(log) = LOG.get() {
            log.add(new as u64, size as u64);
        }
        new
    }
}
