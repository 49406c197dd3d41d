//! How long a single allocation takes at worst: each of a few million allocations, and each free, is
//! timed for itself, below stacks of changing depth. The difference between a plain run and a recorded
//! one is the pause that recording adds.
//!
//! `starved` slows the recorder's background threads down on purpose: they share this thread's core
//! and run only when nothing else wants it, as on a machine that has no core to spare.

use std::collections::BTreeSet;
use std::hint::black_box;

use crate::clock;
use crate::driver::Recording;

/// Pairs timed below one dive.
const AT_A_TIME: u64 = 20;
/// Buckets for each doubling of the time: the error of a percentile is at most 1/32.
const STEPS: u64 = 32;

/// Times from one tick up, in buckets that grow with the time. Its memory is there before the
/// measurement, so that counting allocates nothing.
struct Histogram {
    buckets: Vec<u64>,
    max: u64,
}

impl Histogram {
    fn new() -> Self {
        Self {
            buckets: vec![0; 64 * STEPS as usize],
            max: 0,
        }
    }

    #[inline]
    fn add(&mut self, ticks: u64) {
        self.buckets[Self::bucket(ticks)] += 1;
        self.max = self.max.max(ticks);
    }

    #[inline]
    fn bucket(ticks: u64) -> usize {
        let shift = ticks.max(STEPS).ilog2() - STEPS.ilog2();
        (u64::from(shift) * STEPS + (ticks >> shift)) as usize
    }

    /// The least time of a bucket: the inverse of `bucket`.
    fn least(bucket: usize) -> u64 {
        let bucket = bucket as u64;
        if bucket < 2 * STEPS {
            return bucket;
        }
        let shift = bucket / STEPS - 1;
        (bucket - shift * STEPS) << shift
    }

    /// The time that a share of all times does not exceed.
    fn quantile(&self, share: f64) -> u64 {
        let total: u64 = self.buckets.iter().sum();
        let rank = (total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Self::least(bucket);
            }
        }
        self.max
    }
}

/// Times `pairs` allocations and frees and prints the percentiles of both, in nanoseconds.
pub fn run(pairs: u64, starved: bool, recording: &Recording<'_>) {
    let scale = clock::ns_a_tick();
    let (mut allocs, mut frees) = (Histogram::new(), Histogram::new());
    let before = threads();
    recording.begin();
    let slowed = if starved { starve(&before) } else { 0 };
    for dive_number in 0..pairs.div_ceil(AT_A_TIME) {
        let depth = 10 + dive_number % 40;
        black_box(dive(depth, dive_number, &mut allocs, &mut frees));
    }
    println!("peers: pairs={pairs} threads_slowed={slowed}");
    for (name, times) in [("alloc", &allocs), ("free", &frees)] {
        let ns = |ticks: u64| (ticks as f64 * scale).round();
        println!(
            "peers: {name}_p50={} {name}_p99={} {name}_p99.9={} {name}_p99.99={} {name}_max={}",
            ns(times.quantile(0.5)),
            ns(times.quantile(0.99)),
            ns(times.quantile(0.999)),
            ns(times.quantile(0.9999)),
            ns(times.max),
        );
    }
}

#[inline(never)]
fn dive(depth: u64, number: u64, allocs: &mut Histogram, frees: &mut Histogram) -> u64 {
    if depth == 0 {
        timed(number, allocs, frees);
        return number;
    }
    let below = dive(black_box(depth - 1), number, allocs, frees);
    black_box(below) + 1
}

#[inline(never)]
fn timed(number: u64, allocs: &mut Histogram, frees: &mut Histogram) {
    for i in 0..AT_A_TIME {
        let capacity = 100 + ((number + i) & 127) as usize;
        let begun = clock::ticks();
        let text = black_box(String::with_capacity(capacity));
        let made = clock::ticks();
        drop(text);
        let freed = clock::ticks();
        allocs.add(made.wrapping_sub(begun));
        frees.add(freed.wrapping_sub(made));
    }
}

/// The ids of this process's threads.
fn threads() -> BTreeSet<libc::pid_t> {
    let tasks = std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    tasks
        .filter_map(|task| task.file_name().to_str()?.parse().ok())
        .collect()
}

/// Binds this thread and all threads that are not in `before` to one core, and lets those run only
/// when it is idle. Returns how many they are.
fn starve(before: &BTreeSet<libc::pid_t>) -> usize {
    let ours: Vec<_> = threads().difference(before).copied().collect();
    // SAFETY: a cpu_set_t is a plain array of bits, and all of them may be zero.
    let mut first_core: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: plain numbers, of which zero is the only priority here.
    let idle: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: the pointers are to values of this frame and the ids to threads of this process; 0 is
    // the calling thread. A thread that has ended since makes the call fail, which is harmless.
    unsafe {
        libc::CPU_SET(0, &mut first_core);
        for thread in ours.iter().copied().chain([0]) {
            libc::sched_setaffinity(thread, size_of::<libc::cpu_set_t>(), &raw const first_core);
        }
        for thread in &ours {
            libc::sched_setscheduler(*thread, libc::SCHED_IDLE, &raw const idle);
        }
    }
    ours.len()
}
