//! Thread ids and the queue of thread definitions for the flusher.
//!
//! Invariants: an id is used once per session; a definition that finds the queue full waits for the
//! flusher for a bounded time.

use crate::collector::event_path::session_config;
use crate::collector::platform::event_count;
use crate::collector::platform::queue::Queue;
use crate::collector::platform::spin_lock::SpinLock;
use crate::collector::platform::sys::ThreadName;
use crate::recording::{ThreadId, Ticks};

/// A queued thread definition.
#[derive(Clone, Copy)]
pub(crate) struct PendingThread {
    pub(crate) id: ThreadId,
    pub(crate) os_thread: u64,
    pub(crate) at: Ticks,
    pub(crate) name: ThreadName,
}

/// Capacity of the queue; the flusher empties it at each pass.
pub(crate) const PENDING_MAX: usize = 1024;

struct Threads {
    next_thread: u32,
    pending: Queue<PendingThread, PENDING_MAX>,
}

static THREADS: SpinLock<Threads> =
    SpinLock::new(Threads { next_thread: 0, pending: Queue::new() });

/// Restarts the ids at 0 and empties the queue. Called before a session starts.
pub(crate) fn clear() {
    if let Some(mut threads) = THREADS.lock() {
        threads.next_thread = 0;
        threads.pending.clear();
    }
}

/// Unlocks the queue in a forked child.
///
/// # Safety
/// The calling thread is the only one, and it does not hold the lock.
pub(crate) unsafe fn reset_after_fork() {
    // SAFETY: the caller guarantees that no other thread exists and the lock is not held.
    unsafe { THREADS.reset_after_fork() };
}

/// Number of threads defined in this session.
pub(crate) fn defined() -> u64 {
    THREADS.lock().map_or(0, |threads| u64::from(threads.next_thread))
}

/// Defines a new thread, or a known one under a new name.
pub(crate) fn define(
    known: Option<ThreadId>,
    os_thread: u64,
    at: Ticks,
    name: ThreadName,
) -> ThreadId {
    let mut id_or_new = known;
    for _ in 0..64 {
        let ticket = event_count::space_ticket();
        let Some(mut threads) = THREADS.lock() else { break };
        let id = *id_or_new.get_or_insert_with(|| {
            let id = ThreadId(threads.next_thread);
            threads.next_thread = threads.next_thread.wrapping_add(1);
            id
        });
        if threads.pending.push(PendingThread { id, os_thread, at, name }) {
            return id;
        }
        // Many short-lived threads: the flusher has to write definitions first.
        drop(threads);
        event_count::wake_flusher();
        event_count::wait_for_space(ticket, session_config::WAIT_STEP);
    }
    id_or_new.unwrap_or_default()
}

/// Removes the oldest definitions, at most as many as `into` holds, and returns their number.
pub(crate) fn take_pending(into: &mut [Option<PendingThread>]) -> usize {
    THREADS.lock().map_or(0, |mut threads| threads.pending.take(into))
}
