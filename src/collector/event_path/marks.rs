//! What the program says while it runs, on its way to the file.
//!
//! Reads: a name and a number. Writes: a bounded queue, which the flusher empties.
//!
//! Invariants: nothing here allocates; the queue's lock is held with the thread's recorder flag
//! set. What does not fit is counted.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::collector::event_path::thread_guard;
use crate::collector::event_path::thread_recorder::SESSION;
use crate::collector::platform::clock;
use crate::collector::platform::event_count;
use crate::collector::platform::inline_str::InlineStr;
use crate::collector::platform::queue::Queue;
use crate::collector::platform::spin_lock::SpinLock;
use crate::collector::platform::sys::PreservedErrno;
use crate::recording::{ThreadId, Ticks};

/// Marks that may wait; the flusher takes them 40 times a second.
const WAITING_MAX: usize = 512;

/// A mark that waits.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    pub(crate) at: Ticks,
    pub(crate) thread: ThreadId,
    pub(crate) value: i64,
    pub(crate) name: InlineStr,
}

static QUEUE: SpinLock<Queue<Mark, WAITING_MAX>> = SpinLock::new(Queue::new());

/// Marks that were lost in this session.
pub(crate) static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Writes a mark into the recording: that now is the moment `name`, with a number that goes with
/// it. Does nothing while nothing is recorded; never allocates.
///
/// Marks are in the table `marks` of the database, and bound windows in its questions: `@name` is
/// the last one of a name, `@name#2` the second. Of a name the first 64 bytes are kept. At most
/// 512 may be waiting for the thread that writes; what comes on top is counted as lost.
///
/// ```
/// rheaper::mark("cache warm", 1);
/// ```
pub fn mark(name: &str, value: i64) {
    if SESSION.load(Ordering::Relaxed) == 0 {
        return;
    }
    let _errno = PreservedErrno::new();
    let Some(guard) = thread_guard::enter_any() else {
        DROPPED.fetch_add(1, Ordering::Relaxed);
        return;
    };
    let thread = ThreadId(guard.recorder().thread.load(Ordering::Relaxed));
    let mark = Mark { at: clock::now(), thread, value, name: InlineStr::new(name) };
    if !push(mark) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

fn push(mark: Mark) -> bool {
    let Some(mut queue) = QUEUE.lock() else {
        return false;
    };
    let is_in = queue.push(mark);
    let is_half_full = is_in && queue.len() == WAITING_MAX / 2;
    drop(queue);
    if is_half_full {
        event_count::wake_flusher();
    }
    is_in
}

/// Takes the oldest marks, at most as many as `into` holds; answers how many.
pub(crate) fn take(into: &mut [Option<Mark>]) -> usize {
    QUEUE.lock().map_or(0, |mut queue| queue.take(into))
}

/// Forgets what waits. Called before a session begins.
pub(crate) fn clear() {
    DROPPED.store(0, Ordering::Relaxed);
    if let Some(mut queue) = QUEUE.lock() {
        queue.clear();
    }
}

/// In a forked child: who held the lock is not here.
pub(crate) fn reset_after_fork() {
    // SAFETY: the child has one thread, which forked and so does not hold the lock.
    unsafe { QUEUE.reset_after_fork() };
}
