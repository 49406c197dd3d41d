//! Looks up the frames of many calls on two threads.
//!
//! The calls of a module are sorted by address, because neighbours share parsed parts of a symbol
//! file, and split in two if they are many. Each thread opens the file for itself.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::loader::api::progress::Progress;
use crate::loader::symbols::Call;
use crate::loader::symbols::find::Found;
use crate::loader::symbols::lookup::SymbolFile;
use crate::loader::symbols::raw_frame::RawFrame;

/// A module with fewer calls is not split: opening its file twice would cost more.
const CALLS_TO_SPLIT: usize = 256;

/// Interval at which the calling thread polls the workers and reports progress.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// Calls of one module, for one thread.
struct Job {
    file: PathBuf,
    supplement: Option<PathBuf>,
    /// Files and directories to search for the parts of split DWARF.
    parts: Arc<[PathBuf]>,
    /// Indices into the calls, sorted by offset.
    calls: Vec<usize>,
}

/// The frames of each call, in the order of the calls; `None` if the caller asked to stop.
pub(crate) fn look_up(
    calls: &[Call],
    found: &[Option<Found>],
    progress: &mut dyn Progress,
) -> Option<Vec<Vec<RawFrame>>> {
    let jobs = Mutex::new(jobs(calls, found));
    let frames_by_call = Mutex::new(vec![Vec::new(); calls.len()]);
    let done = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let work = || {
        while let Some(job) = lock(&jobs).pop() {
            run(&job, calls, &done, &stop, &frames_by_call);
        }
    };
    thread::scope(|scope| {
        let workers = [scope.spawn(work), scope.spawn(work)];
        while !workers.iter().all(thread::ScopedJoinHandle::is_finished) {
            thread::park_timeout(POLL_INTERVAL);
            let count = done.load(Ordering::Relaxed);
            progress.advance(count, count as f64 / calls.len().max(1) as f64);
            if progress.should_stop() {
                stop.store(true, Ordering::Relaxed);
            }
        }
    });
    let frames_by_call =
        frames_by_call.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    (!stop.into_inner()).then_some(frames_by_call)
}

/// The jobs by ascending size: workers take the largest first, from the end.
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
        let parts = if indices.len() < CALLS_TO_SPLIT { 1 } else { 2 };
        for part in indices.chunks(indices.len().div_ceil(parts).max(1)) {
            jobs.push(Job {
                file: file.clone(),
                supplement: found.as_ref().and_then(Found::supplement).cloned(),
                parts: found.as_ref().map(Found::parts).unwrap_or_default(),
                calls: part.to_vec(),
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
    frames_by_call: &Mutex<Vec<Vec<RawFrame>>>,
) {
    let file = SymbolFile::open(&job.file, job.supplement.as_deref(), &job.parts);
    let mut found = Vec::with_capacity(job.calls.len());
    for index in &job.calls {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let frames = file.as_ref().map(|file| file.frames(calls[*index].offset));
        found.push((*index, frames.unwrap_or_default()));
        done.fetch_add(1, Ordering::Relaxed);
    }
    let mut frames_by_call = lock(frames_by_call);
    for (index, frames) in found {
        frames_by_call[index] = frames;
    }
}

/// Locks although a worker may have panicked: no worker panics while it holds a lock.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
