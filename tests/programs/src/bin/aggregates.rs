//! A deterministic program of several threads that alternate, on a clock that it drives itself.
//! Recorded with and without aggregation, all results except rows must be equal.
//!
//! Arguments: aggregation threshold in microseconds (0: none), threads, rounds, seed.

#[cfg(rheaper_testing)]
mod scene {
    use std::hint::black_box;
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
    use std::sync::{Arc, Barrier, Mutex};

    static NOW: AtomicU64 = AtomicU64::new(1_000);

    pub fn now() -> u64 {
        NOW.load(SeqCst)
    }

    /// A pseudo-random sequence that is the same in every run.
    pub struct Random(pub u64);

    impl Random {
        fn below(&mut self, below: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (self.0 >> 33) % below
        }
    }

    /// Blocks that any thread may free later.
    type Shelf = Mutex<Vec<Vec<u8>>>;

    #[inline(never)]
    fn plain(size: usize) -> Vec<u8> {
        Vec::with_capacity(black_box(size))
    }

    #[inline(never)]
    fn zeroed(size: usize) -> Vec<u8> {
        vec![0; black_box(size)]
    }

    #[inline(never)]
    fn aligned() {
        #[repr(align(128))]
        struct Wide([u8; 256]);
        drop(black_box(Box::new(Wide([1; 256]))));
    }

    #[inline(never)]
    fn grown(to: u64, random: &mut Random) -> Vec<u8> {
        let mut list: Vec<u8> = Vec::new();
        for item in 0..to {
            list.push(item as u8);
            if random.below(16) == 0 {
                NOW.fetch_add(random.below(300_000), SeqCst);
            }
        }
        list
    }

    fn step(random: &mut Random, shelf: &Shelf) {
        let gap = [10, 1_000, 40_000, 900_000][random.below(4) as usize];
        NOW.fetch_add(1 + random.below(gap), SeqCst);
        match random.below(8) {
            0 | 1 => drop(black_box(plain(1 + random.below(300) as usize))),
            2 => drop(black_box(zeroed(1 + random.below(200_000) as usize))),
            3 => aligned(),
            4 => {
                let list = grown(random.below(200), random);
                if random.below(3) == 0 {
                    shelf.lock().unwrap().push(list);
                }
            }
            5 => {
                let block = plain(1 + random.below(5_000) as usize);
                shelf.lock().unwrap().push(block);
            }
            6 => {
                let mut shelf = shelf.lock().unwrap();
                let len = shelf.len() as u64;
                if len > 0 {
                    drop(black_box(shelf.swap_remove(random.below(len) as usize)));
                }
            }
            _ => {
                if random.below(20) == 0 {
                    std::mem::forget(plain(33));
                }
            }
        }
    }

    pub fn play(threads: usize, rounds: u64, seed: u64) {
        let shelf: Arc<Shelf> = Arc::new(Mutex::new(Vec::with_capacity(100_000)));
        let turn = Arc::new(AtomicU64::new(0));
        let barrier = Arc::new(Barrier::new(threads + 1));
        let workers: Vec<_> = (0..threads as u64)
            .map(|own| {
                let (shelf, turn, barrier) =
                    (Arc::clone(&shelf), Arc::clone(&turn), Arc::clone(&barrier));
                std::thread::spawn(move || {
                    barrier.wait();
                    let mut random = Random(seed * 1_000 + own);
                    for round in 0..rounds {
                        while turn.load(SeqCst) != round * threads as u64 + own {
                            std::thread::yield_now();
                        }
                        (0..20).for_each(|_| step(&mut random, &shelf));
                        turn.fetch_add(1, SeqCst);
                    }
                    barrier.wait();
                    barrier.wait();
                })
            })
            .collect();
        // Threads and their shared state are created before the recording and destroyed after it.
        crate::begin();
        barrier.wait();
        barrier.wait();
        rheaper::disable_tracking();
        barrier.wait();
        for worker in workers {
            worker.join().unwrap();
        }
    }
}

/// The system's allocator without `realloc`, so that every growing block moves: results that do not
/// depend on the state of the heap are the same in every run.
struct Moving;

unsafe impl std::alloc::GlobalAlloc for Moving {
    unsafe fn alloc(&self, layout: std::alloc::Layout) -> *mut u8 {
        unsafe { std::alloc::System.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: std::alloc::Layout) {
        unsafe { std::alloc::System.dealloc(block, layout) }
    }
}

#[global_allocator]
static GLOBAL: rheaper::Allocator<Moving> = rheaper::Allocator::from_allocator(Moving);

#[cfg(rheaper_testing)]
fn argument(index: usize) -> u64 {
    std::env::args().nth(index).and_then(|argument| argument.parse().ok()).expect("a number")
}

#[cfg(rheaper_testing)]
fn begin() {
    let aggregate = std::time::Duration::from_micros(argument(1));
    let options =
        rheaper::Options::new(recorded_programs::config(64)).aggregate_shorter_than(aggregate);
    let path = options.enable().expect("recording starts");
    println!("{}", path.display());
    // Created before the recording, so that its free must not be recorded.
    std::mem::forget(path);
}

#[cfg(rheaper_testing)]
fn main() {
    rheaper::testing::drive_clock(Some(scene::now));
    scene::play(argument(2) as usize, argument(3), argument(4));
}

#[cfg(not(rheaper_testing))]
fn main() {}
