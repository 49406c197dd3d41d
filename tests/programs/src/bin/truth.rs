//! Threads that allocate, reallocate and free each other's blocks, with a counting inner allocator.
//! Prints the counts between enabling and disabling for the test to compare.
//!
//! Arguments: threads, rounds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Barrier, mpsc};

struct Counting;

static ON: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
static FREES: AtomicU64 = AtomicU64::new(0);
static FREED_BYTES: AtomicU64 = AtomicU64::new(0);
static LARGEST: AtomicU64 = AtomicU64::new(0);
static REALLOCS: AtomicU64 = AtomicU64::new(0);

fn made(size: usize) {
    if ON.load(SeqCst) {
        ALLOCATIONS.fetch_add(1, SeqCst);
        BYTES.fetch_add(size as u64, SeqCst);
        LARGEST.fetch_max(size as u64, SeqCst);
    }
}

fn gone(size: usize) {
    if ON.load(SeqCst) {
        FREES.fetch_add(1, SeqCst);
        FREED_BYTES.fetch_add(size as u64, SeqCst);
    }
}

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        made(layout.size());
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        made(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        gone(layout.size());
        unsafe { System.dealloc(block, layout) }
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        gone(layout.size());
        made(size);
        if ON.load(SeqCst) {
            REALLOCS.fetch_add(1, SeqCst);
        }
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static GLOBAL: rheaper::Allocator<Counting> = rheaper::Allocator::from_allocator(Counting);

/// The work of one thread: own blocks, growing blocks, and blocks passed to the next thread.
fn work(seed: u64, rounds: u64, to: &mpsc::SyncSender<Vec<u8>>, from: &mpsc::Receiver<Vec<u8>>) {
    let mut state = seed | 1;
    let mut draw = |below: u64| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) % below
    };
    for round in 0..rounds {
        let own = vec![round as u8; 1 + draw(3000) as usize];
        let mut growing = Vec::new();
        (0..draw(40)).for_each(|item| growing.push(item));
        let zeroed = vec![0_u64; 1 + draw(500) as usize];
        let _ = to.try_send(black_box(own));
        if draw(4) == 0 {
            std::mem::forget(Box::new([round; 5]));
        }
        while let Ok(theirs) = from.try_recv() {
            drop(black_box(theirs));
        }
        black_box((growing, zeroed));
    }
}

fn main() {
    let arguments: Vec<u64> =
        std::env::args().skip(1).map(|argument| argument.parse().expect("a number")).collect();
    let (threads, rounds) = (arguments[0], arguments[1]);
    // Threads, channels and stdout are created before counting and destroyed after it.
    let barrier = Arc::new(Barrier::new(threads as usize + 1));
    let (mut senders, receivers): (Vec<_>, Vec<_>) =
        (0..threads).map(|_| mpsc::sync_channel::<Vec<u8>>(64)).unzip();
    senders.rotate_left(1);
    let workers: Vec<_> = senders
        .into_iter()
        .zip(receivers)
        .enumerate()
        .map(|(index, (to, from))| {
            let barrier = Arc::clone(&barrier);
            std::thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || {
                    barrier.wait();
                    work(index as u64 * 77 + 5, rounds, &to, &from);
                    barrier.wait();
                    barrier.wait();
                })
                .expect("a thread")
        })
        .collect();
    let path = recorded_programs::record_quietly(64);
    ON.store(true, SeqCst);
    barrier.wait();
    barrier.wait();
    ON.store(false, SeqCst);
    rheaper::disable_tracking();
    println!("{}", path.display());
    barrier.wait();
    for worker in workers {
        worker.join().expect("a worker ends");
    }
    let counts = [&ALLOCATIONS, &BYTES, &FREES, &FREED_BYTES, &LARGEST, &REALLOCS];
    println!("{}", counts.map(|count| count.load(SeqCst).to_string()).join(" "));
}
