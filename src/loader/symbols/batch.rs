//! Looks many addresses up, on two threads.
//!
//! Reads: calls and the files that were found for their modules. Writes: each call's frames, in
//! the order of the calls.
//!
//! A module's calls are sorted and cut in two when there are many: neighbours share the parsed
//! parts of a symbol file, and each thread opens the file for itself.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::loader::progress::Progress;
use crate::loader::symbols::Call;
use crate::loader::symbols::find::Found;
use crate::loader::symbols::lookup::{RawFrame, SymbolFile};

/// Below so many calls of a module one thread does them all.
const CALLS_TO_SHARE: usize = 256;

/// How often the caller is told.
const TELL_EVERY: Duration = Duration::from_millis(50);

/// Some calls of one module.
struct Job {
    file: PathBuf,
    supplement: Option<PathBuf>,
    /// Indices into the calls, sorted by offset.
    calls: Vec<usize>,
}

/// The frames of each call; `None` if the caller wants to stop.
pub(crate) fn look_up(
    calls: &[Call],
    found: &[Option<Found>],
    progress: &mut dyn Progress,
) -> Option<Vec<Vec<RawFrame>>> {
    let jobs = Mutex::new(jobs(calls, found));
    let answers = Mutex::new(vec![Vec::new(); calls.len()]);
    let done = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let work = || {
        while let Some(job) = lock(&jobs).pop() {
            run(&job, calls, &done, &stop, &answers);
        }
    };
    thread::scope(|scope| {
        let workers = [scope.spawn(work), scope.spawn(work)];
        while !workers.iter().all(thread::ScopedJoinHandle::is_finished) {
            thread::park_timeout(TELL_EVERY.min(Duration::from_millis(2)));
            let count = done.load(Ordering::Relaxed);
            progress.advance(count, count as f64 / calls.len().max(1) as f64);
            if progress.should_stop() {
                stop.store(true, Ordering::Relaxed);
            }
        }
    });
    let answers = answers.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    (!stop.into_inner()).then_some(answers)
}

/// Big jobs come last, because workers take from the end.
fn jobs(calls: &[Call], found: &[Option<Found>]) -> Vec<Job> {
    let mut by_module: Vec<Vec<usize>> = vec![Vec::new(); found.len()];
    for (index, call) in calls.iter().enumerate() {
        if let Some(module) = call.module {
            by_module[module as usize].push(index);
        }
    }
    let mut jobs = Vec::new();
    for (mut indices, found) in by_module.into_iter().zip(found) {
        let Some(file) = found.as_ref().and_then(Found::file) else {
            continue;
        };
        indices.sort_unstable_by_key(|index| calls[*index].offset);
        let shares = if indices.len() < CALLS_TO_SHARE { 1 } else { 2 };
        for share in indices.chunks(indices.len().div_ceil(shares).max(1)) {
            jobs.push(Job {
                file: file.clone(),
                supplement: found.as_ref().and_then(Found::supplement).cloned(),
                calls: share.to_vec(),
            });
        }
    }
    jobs.sort_by_key(|job| job.calls.len());
    jobs
}

fn run(
    job: &Job,
    calls: &[Call],
    done: &AtomicU64,
    stop: &AtomicBool,
    answers: &Mutex<Vec<Vec<RawFrame>>>,
) {
    let file = SymbolFile::open(&job.file, job.supplement.as_deref());
    let mut found = Vec::with_capacity(job.calls.len());
    for index in &job.calls {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let frames = file.as_ref().map(|file| file.frames(calls[*index].offset));
        found.push((*index, frames.unwrap_or_default()));
        done.fetch_add(1, Ordering::Relaxed);
    }
    let mut answers = lock(answers);
    for (index, frames) in found {
        answers[index] = frames;
    }
}

/// A worker that panicked has left the shared lists as they were between two calls.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
