//! The allocator's contract, with an inner allocator that the scenario controls: it reuses a block
//! while it is being freed, grows in place, moves, or fails.
//!
//! The blocks under test have 777 bytes or more; the program prints numbers that the test cannot
//! know.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering::SeqCst};

/// The inner allocator that the scenario controls.
struct Scripted;

/// Result of the next `realloc` of a large block.
const NATURAL: u32 = 0;
const IN_PLACE: u32 = 1;
const MOVED: u32 = 2;
const REFUSED: u32 = 3;
static GROWTH: AtomicU32 = AtomicU32::new(NATURAL);
static FAILS: AtomicBool = AtomicBool::new(false);

/// Whether the next free of a marked block passes it to another thread before it returns.
static HANDS_ON: AtomicBool = AtomicBool::new(false);
static HANDED: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());

/// The clock of the freeing thread when it last passed a block on, and the number of times that the
/// other thread's clock was not later: if the clocks of two processors disagree, no timestamp can
/// be right.
static GIVEN_AT: AtomicU64 = AtomicU64::new(0);
static BEHIND: AtomicU64 = AtomicU64::new(0);
/// More than the recorder's rounding of timestamps.
const TICK: u64 = 64;

/// Reads the recorder's clock, ordered with the code before and after it.
fn clock() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has these instructions, and they access no memory.
    unsafe {
        std::arch::x86_64::_mm_lfence();
        let now = std::arch::x86_64::_rdtsc();
        std::arch::x86_64::_mm_lfence();
        now
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the call writes only to its argument.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
        now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
    }
}

thread_local! {
    /// Calls of the inner allocator on this thread.
    static CALLS: Cell<u64> = const { Cell::new(0) };
    static TAKES: Cell<bool> = const { Cell::new(false) };
}

const MARKED: Layout = Layout::new::<[u8; 777]>();
const ROOMY: Layout = match Layout::from_size_align(1_000, 8) {
    Ok(layout) => layout,
    Err(_) => panic!(),
};
/// Real size of a roomy block.
const ROOM_BYTES: usize = 10_000;

fn called() {
    CALLS.set(CALLS.get() + 1);
}

unsafe impl GlobalAlloc for Scripted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        called();
        if FAILS.load(SeqCst) && layout.size() >= 777 {
            return std::ptr::null_mut();
        }
        if layout == MARKED && TAKES.get() {
            // Takes the block that another thread is freeing.
            loop {
                let block = HANDED.swap(std::ptr::null_mut(), SeqCst);
                if !block.is_null() {
                    if clock() <= GIVEN_AT.load(SeqCst) + TICK {
                        BEHIND.fetch_add(1, SeqCst);
                    }
                    return block;
                }
                std::hint::spin_loop();
            }
        }
        let size = if layout == ROOMY { ROOM_BYTES } else { layout.size() };
        unsafe { System.alloc(Layout::from_size_align_unchecked(size, layout.align())) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        called();
        if layout != MARKED || !hand_on(block) {
            unsafe { System.dealloc(block, layout) }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        called();
        match GROWTH.load(SeqCst) {
            IN_PLACE => block,
            MOVED => unsafe {
                let new = System.alloc(Layout::from_size_align_unchecked(ROOM_BYTES, 8));
                new.copy_from_nonoverlapping(block, layout.size().min(size));
                if layout != MARKED || !hand_on(block) {
                    System.dealloc(block, layout);
                }
                new
            },
            REFUSED => std::ptr::null_mut(),
            _ => unsafe { System.realloc(block, layout, size) },
        }
    }
}

/// Passes a block that is being freed to the waiting thread, if requested.
fn hand_on(block: *mut u8) -> bool {
    let hands_on = HANDS_ON.swap(false, SeqCst);
    if hands_on {
        GIVEN_AT.store(clock(), SeqCst);
        HANDED.store(block, SeqCst);
        while !TAKEN.load(SeqCst) {
            std::hint::spin_loop();
        }
    }
    hands_on
}

/// Whether the other thread has got the block and its allocation is recorded.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Aborts if one call of the program is not exactly one call of the inner allocator.
struct Once<A>(A);

impl<A> Once<A> {
    fn check<T>(call: impl FnOnce() -> T) -> T {
        let before = CALLS.get();
        let result = call();
        if CALLS.get() != before + 1 {
            std::process::abort();
        }
        result
    }
}

unsafe impl<A: GlobalAlloc> GlobalAlloc for Once<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::check(|| unsafe { self.0.alloc(layout) })
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // The scripted allocator implements it with one call of `alloc`.
        Self::check(|| unsafe { self.0.alloc_zeroed(layout) })
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        Self::check(|| unsafe { self.0.dealloc(block, layout) });
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::check(|| unsafe { self.0.realloc(block, layout, size) })
    }
}

#[global_allocator]
static GLOBAL: Once<rheaper::Allocator<Scripted>> =
    Once(rheaper::Allocator::from_allocator(Scripted));

fn make(layout: Layout) -> *mut u8 {
    // SAFETY: no layout of this program has size zero.
    black_box(unsafe { std::alloc::alloc(layout) })
}

fn drop_block(block: *mut u8, layout: Layout) {
    // SAFETY: the scenarios free each of their blocks once, with its layout.
    unsafe { std::alloc::dealloc(block, layout) };
}

/// A block is passed to another thread while its free is in progress, or while it moves and changes
/// its size.
fn reuse(count: u64, moves_to: Option<usize>) {
    let path = recorded_programs::record_quietly(16);
    let (orders, inbox) = std::sync::mpsc::sync_channel::<()>(0);
    let (freed, wait) = std::sync::mpsc::sync_channel::<()>(0);
    let other = std::thread::Builder::new().name("taker".into()).spawn(move || {
        TAKES.set(true);
        for () in inbox {
            let block = make(MARKED);
            TAKEN.store(true, SeqCst);
            // Only after the first free has returned.
            wait.recv().expect("the main thread says so");
            drop_block(block, MARKED);
        }
    });
    for _ in 0..count {
        let block = make(MARKED);
        TAKEN.store(false, SeqCst);
        orders.send(()).expect("it lives");
        HANDS_ON.store(true, SeqCst);
        if let Some(size) = moves_to {
            GROWTH.store(MOVED, SeqCst);
            // SAFETY: the block has this layout.
            let new = black_box(unsafe { std::alloc::realloc(block, MARKED, size) });
            GROWTH.store(NATURAL, SeqCst);
            drop_block(new, Layout::from_size_align(size, 1).expect("small"));
        } else {
            drop_block(block, MARKED);
        }
        freed.send(()).expect("it lives");
    }
    drop(orders);
    other.expect("a thread").join().expect("it ends");
    rheaper::disable_tracking();
    println!("{}\n{}", path.display(), BEHIND.load(SeqCst));
}

/// Blocks grow in place, move, and fail to grow; requests fail.
fn growth(count: u64) {
    let path = recorded_programs::record_quietly(16);
    for _ in 0..count {
        let mut block = make(ROOMY);
        let mut layout = ROOMY;
        for (how, size) in [(IN_PLACE, 2_000), (REFUSED, 9_999), (MOVED, 3_000), (IN_PLACE, 1_500)]
        {
            GROWTH.store(how, SeqCst);
            // SAFETY: the block has this layout, and space for any of these sizes.
            let new = black_box(unsafe { std::alloc::realloc(block, layout, size) });
            assert_eq!(new.is_null(), how == REFUSED);
            assert_eq!(new == block, how == IN_PLACE);
            if !new.is_null() {
                block = new;
                layout = Layout::from_size_align(size, 8).expect("small");
            }
        }
        GROWTH.store(NATURAL, SeqCst);
        drop_block(block, layout);
        FAILS.store(true, SeqCst);
        assert!(make(MARKED).is_null());
        assert!(Vec::<u8>::new().try_reserve_exact(5_000).is_err());
        FAILS.store(false, SeqCst);
    }
    rheaper::disable_tracking();
    println!("{}", path.display());
}

/// All sizes and alignments: pointers are aligned, and the recorded sizes are the requested ones.
fn layouts() {
    let path = recorded_programs::record_quietly(16);
    let mut sum = 0;
    for align_log2 in 0..=21 {
        for size in [1, 7, 777, 4_097, 100_001] {
            let layout = Layout::from_size_align(size + 1_000_000, 1 << align_log2).expect("fits");
            let block = make(layout);
            assert!(block.addr().is_multiple_of(layout.align()));
            sum += layout.size();
            drop_block(block, layout);
        }
    }
    let huge = Layout::from_size_align(isize::MAX as usize - 4_096, 1).expect("allowed");
    assert!(make(huge).is_null());
    rheaper::disable_tracking();
    println!("{}\n{sum}", path.display());
}

/// `errno` is unchanged by whatever the recorder does: full buffers, a full disk, new threads.
fn errno(count: u64) {
    if std::env::var_os("SMALL_FILES").is_some() {
        let limit = libc::rlimit { rlim_cur: 50_000, rlim_max: 50_000 };
        // SAFETY: the limit is read by the call.
        unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) };
    }
    let path = recorded_programs::record_quietly(16);
    let check = move || {
        for round in 0..count {
            // SAFETY: libc's `errno` of this thread.
            unsafe { *libc::__errno_location() = 77 };
            let block = make(MARKED);
            drop_block(block, MARKED);
            // SAFETY: libc's `errno` of this thread.
            let now = unsafe { *libc::__errno_location() };
            assert_eq!(now, 77, "after {round} blocks");
        }
    };
    check();
    std::thread::spawn(check).join().expect("it ends");
    rheaper::disable_tracking();
    println!("{}", path.display());
}

/// Blocks from before the recording are freed and grown in it.
fn unknown() {
    let mut blocks: Vec<*mut u8> = (0..1_000).map(|_| make(ROOMY)).collect();
    let path = recorded_programs::record_quietly(16);
    blocks.drain(..500).for_each(|block| drop_block(block, ROOMY));
    for (at, block) in blocks.drain(..200).enumerate() {
        GROWTH.store(if at % 2 == 0 { IN_PLACE } else { MOVED }, SeqCst);
        // SAFETY: the block has this layout.
        black_box(unsafe { std::alloc::realloc(block, ROOMY, 2_000) });
    }
    GROWTH.store(NATURAL, SeqCst);
    rheaper::disable_tracking();
    println!("{}", path.display());
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = words.get(1).and_then(|number| number.parse().ok()).unwrap_or(0);
    match &*words[0] {
        "reuse" => reuse(number, None),
        "regrow" => reuse(number, words.get(2).and_then(|size| size.parse().ok())),
        "growth" => growth(number),
        "layouts" => layouts(),
        "errno" => errno(number),
        "unknown" => unknown(),
        _ => panic!("no such scene"),
    }
}
