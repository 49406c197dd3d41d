//! Marks: named moments that the program reports, queued for the flusher.
//!
//! Invariants: nothing here allocates; the queue's lock is held only by a thread inside the
//! recorder, so that no signal handler of that thread waits for it. Marks that do not fit are
//! counted.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::collector::event_path::session_word::SESSION;
use crate::collector::event_path::thread_guard;
use crate::collector::platform::clock;
use crate::collector::platform::event_count;
use crate::collector::platform::inline_str::InlineStr;
use crate::collector::platform::queue::Queue;
use crate::collector::platform::spin_lock::SpinLock;
use crate::collector::platform::sys::PreservedErrno;
use crate::recording::{ThreadId, Ticks};

/// Capacity of the queue; the flusher empties it 40 times per second.
const QUEUE_MAX: usize = 512;

/// A queued mark.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    pub(crate) at: Ticks,
    pub(crate) thread: ThreadId,
    pub(crate) value: i64,
    pub(crate) name: InlineStr,
}

static QUEUE: SpinLock<Queue<Mark, QUEUE_MAX>> = SpinLock::new(Queue::new());

/// Marks lost in this session.
pub(crate) static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Writes a mark with a name and a value into the recording. Does nothing when no recording is
/// running; never allocates.
///
/// Marks are rows of the table `marks` of the database, and queries accept them as times: `@name` is
/// the last mark of a name, `@name#2` the second. Names are cut to 64 bytes. At most 512 marks can be
/// queued for the writer thread; further ones are counted as lost.
///
/// ```
/// rheaper::mark("cache warm", 1);
/// ```
pub fn mark(name: &str, value: i64) {
    if SESSION.load(Ordering::Relaxed).is_none() {
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
    let is_queued = queue.push(mark);
    let is_half_full = is_queued && queue.len() == QUEUE_MAX / 2;
    drop(queue);
    if is_half_full {
        event_count::wake_flusher();
    }
    is_queued
}

/// Removes the oldest marks, at most as many as `into` holds, and returns their number.
pub(crate) fn take(into: &mut [Option<Mark>]) -> usize {
    QUEUE.lock().map_or(0, |mut queue| queue.take(into))
}

/// Empties the queue. Called before a session starts.
pub(crate) fn clear() {
    DROPPED.store(0, Ordering::Relaxed);
    if let Some(mut queue) = QUEUE.lock() {
        queue.clear();
    }
}

/// Unlocks the queue in a forked child, where the thread that held the lock does not exist.
pub(crate) fn reset_after_fork() {
    // SAFETY: the child has one thread, which called `fork` and so does not hold the lock.
    unsafe { QUEUE.reset_after_fork() };
}
