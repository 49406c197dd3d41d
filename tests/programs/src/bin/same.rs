//! A deterministic program, recorded with cached stacks or, with the argument `naive`, with every
//! stack unwound completely. Its clock counts its own readings, so that two runs differ only in the
//! stack walk.

#[cfg(rheaper_testing)]
mod scene {
    use std::collections::BTreeMap;
    use std::hint::black_box;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    static NOW: AtomicU64 = AtomicU64::new(1);

    /// The clock advances for the program's thread only: the flusher reads it at unpredictable
    /// times.
    pub fn tick() -> u64 {
        // SAFETY: both calls only return a number.
        let is_main = unsafe { libc::getpid() == libc::gettid() };
        NOW.fetch_add(if is_main { 10 } else { 0 }, Relaxed)
    }

    #[inline(never)]
    fn descend(depth: u32) -> usize {
        if depth == 0 {
            return 0;
        }
        let text = format!("{depth}");
        text.len() + descend(black_box(depth - 1)) + String::from("up").len()
    }

    pub fn play() {
        let text = r#"{"a":[1,2,{"b":"c"}],"d":{"e":[[],[[]],"f"]}}"#;
        for round in 0..50_u64 {
            black_box(serde_json::from_str::<serde_json::Value>(text).expect("valid JSON"));
            black_box(descend(20 + (round % 30) as u32));
            let tree: BTreeMap<u64, String> =
                (0..200).map(|n| (n * 7 % 200, format!("{n}"))).collect();
            if round % 10 == 0 {
                std::mem::forget(tree);
            }
        }
    }
}

#[global_allocator]
static GLOBAL: rheaper::Allocator<std::alloc::System> =
    rheaper::Allocator::from_allocator(std::alloc::System);

#[cfg(rheaper_testing)]
fn main() {
    let is_naive = std::env::args().any(|argument| argument == "naive");
    rheaper::testing::walk_naively(is_naive);
    rheaper::testing::drive_clock(Some(scene::tick));
    recorded_programs::record(40);
    scene::play();
    rheaper::disable_tracking();
}

#[cfg(not(rheaper_testing))]
fn main() {}
