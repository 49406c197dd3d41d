//! The same workload in several threads at once: whether they record as fast together as apart.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::Workload;
use crate::driver::Recording;

/// Lets each of `threads` threads do `iterations`, and returns the time from when the first one began
/// to when the last one had done them. Each takes its own times: with more threads than cores, one that
/// only watches gets its turn late. Every thread has warmed up before the first begins, and none ends
/// before the last is done, so neither starting nor ending threads is measured.
#[must_use]
pub fn run(
    workload: &Workload,
    iterations: u64,
    threads: usize,
    recording: &Recording<'_>,
) -> Duration {
    let (start, done) = (Barrier::new(threads), Barrier::new(threads));
    let in_one_thread = || {
        let mut work = (workload.prepare)();
        work(workload.warm_up.min(iterations));
        start.wait();
        let began = Instant::now();
        work(iterations);
        let ended = Instant::now();
        done.wait();
        (began, ended)
    };
    recording.begin();
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(in_one_thread)).collect();
        let times: Vec<_> = running
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .collect();
        let began = times.iter().map(|times| times.0).min();
        let ended = times.iter().map(|times| times.1).max();
        began
            .zip(ended)
            .map_or(Duration::ZERO, |(began, ended)| ended - began)
    })
}
