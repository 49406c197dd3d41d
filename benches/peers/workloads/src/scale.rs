//! The same workload in several threads at once: whether they record as fast together as apart.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::Workload;
use crate::driver::Session;

/// Lets each of `threads` threads do `iterations`, and returns how long it took until the last one
/// had done them. Every thread has started and warmed up before the clock runs, and none ends
/// before the last one is done, so neither starting nor ending threads is measured.
#[must_use]
pub fn run(
    workload: &Workload,
    iterations: u64,
    threads: usize,
    session: &Session<'_>,
) -> Duration {
    let (start, done) = (Barrier::new(threads + 1), Barrier::new(threads + 1));
    session.begin();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut work = (workload.prepare)();
                work(workload.warm_up.min(iterations));
                start.wait();
                work(iterations);
                done.wait();
            });
        }
        start.wait();
        let started = Instant::now();
        done.wait();
        started.elapsed()
    })
}
