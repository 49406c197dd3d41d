//! A different inner allocator: `mimalloc` or `jemalloc`, selected by the environment so that the
//! choice is known at the first allocation.

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// jemalloc where `INNER` says so, decided by the environment block before `main`.
struct Either;

static CALLS: AtomicU64 = AtomicU64::new(0);

fn is_jemalloc() -> bool {
    // SAFETY: `getenv` only reads; nothing writes the environment in this program.
    unsafe { !libc::getenv(c"WITH_JEMALLOC".as_ptr()).is_null() }
}

unsafe impl GlobalAlloc for Either {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        unsafe {
            if is_jemalloc() {
                tikv_jemallocator::Jemalloc.alloc(layout)
            } else {
                mimalloc::MiMalloc.alloc(layout)
            }
        }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        unsafe {
            if is_jemalloc() {
                tikv_jemallocator::Jemalloc.dealloc(block, layout)
            } else {
                mimalloc::MiMalloc.dealloc(block, layout)
            }
        }
    }
}

#[global_allocator]
static GLOBAL: rheaper::Allocator<Either> = rheaper::Allocator::from_allocator(Either);

#[inline(never)]
fn keep(count: usize) -> Vec<Box<[u8; 100]>> {
    (0..count).map(|_| Box::new([1; 100])).collect()
}

fn main() {
    recorded_programs::record(64);
    let kept = black_box(keep(5_000));
    let threads: Vec<_> =
        (0..4).map(|_| std::thread::spawn(|| drop(black_box(keep(2_000))))).collect();
    threads.into_iter().for_each(|thread| thread.join().expect("a thread ends"));
    rheaper::disable_tracking();
    println!("{}", kept.len());
}
