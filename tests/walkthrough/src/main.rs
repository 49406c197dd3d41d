//! The published walkthrough's program: two functions that make strings of random length.

use rand::prelude::*;
use rand_distr::Normal;

#[global_allocator]
static GLOBAL: rheaper::Allocator<std::alloc::System> =
    rheaper::Allocator::from_allocator(std::alloc::System);

fn alloc_random_string_1() {
    let mut rng = rand::rng();
    let lengths = Normal::new(256.0, 50.0).unwrap();
    for _ in 0..100_000 {
        let length: f64 = lengths.sample(&mut rng);
        std::hint::black_box(String::with_capacity(length as usize)); // string 1
    }
}

fn alloc_random_string_2() {
    let mut rng = rand::rng();
    let lengths = Normal::new(1024.0, 50.0).unwrap();
    for _ in 0..121_042 {
        let length: f64 = lengths.sample(&mut rng);
        std::hint::black_box(String::with_capacity(length as usize)); // string 2
    }
}

fn main() {
    rheaper::enable_tracking(rheaper::TrackerConfig {
        max_stack_depth: 50,
        max_trackers: 50,
        tracker_event_buffer_size: 8192,
        sample_rate: 1.0,
        profile_dir: std::env::current_dir().unwrap(),
    })
    .unwrap();
    alloc_random_string_1();
    alloc_random_string_2();
    rheaper::disable_tracking();
}
