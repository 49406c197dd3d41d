//! Thread definitions: numbers for threads, and what waits for the flusher to write it.
//!
//! Reads and writes: a list of its own under a spin lock.
//!
//! Invariants: a number is given once in a session; a definition that finds the list full waits for
//! the flusher, for a bounded time.

use crate::collector::event_path::session_config;
use crate::collector::platform::event_count;
use crate::collector::platform::queue::Queue;
use crate::collector::platform::spin_lock::SpinLock;
use crate::collector::platform::sys::ThreadName;
use crate::recording::{ThreadId, Ticks};

/// A thread definition that waits for the flusher.
#[derive(Clone, Copy)]
pub(crate) struct PendingThread {
    pub(crate) id: ThreadId,
    pub(crate) os_thread: u64,
    pub(crate) at: Ticks,
    pub(crate) name: ThreadName,
}

/// Definitions that may wait; the flusher takes them at each pass.
pub(crate) const PENDING_MAX: usize = 1024;

struct Waiting {
    next_thread: u32,
    pending: Queue<PendingThread, PENDING_MAX>,
}

static WAITING: SpinLock<Waiting> =
    SpinLock::new(Waiting { next_thread: 0, pending: Queue::new() });

/// Numbers threads from 0 again. Called before a session begins.
pub(crate) fn clear() {
    if let Some(mut waiting) = WAITING.lock() {
        waiting.next_thread = 0;
        waiting.pending.clear();
    }
}

/// In a forked child.
///
/// # Safety
/// The child has one thread, which forked and so does not hold the lock.
pub(crate) unsafe fn reset_after_fork() {
    // SAFETY: the caller's promise.
    unsafe { WAITING.reset_after_fork() };
}

/// Threads that were defined in this session.
pub(crate) fn defined() -> u64 {
    WAITING.lock().map_or(0, |waiting| u64::from(waiting.next_thread))
}

/// Defines a thread, or an old one under a new name.
pub(crate) fn define(
    known: Option<ThreadId>,
    os_thread: u64,
    at: Ticks,
    name: ThreadName,
) -> ThreadId {
    let mut chosen = known;
    for _ in 0..64 {
        let ticket = event_count::space_ticket();
        let Some(mut waiting) = WAITING.lock() else { break };
        let id = *chosen.get_or_insert_with(|| {
            let id = ThreadId(waiting.next_thread);
            waiting.next_thread = waiting.next_thread.wrapping_add(1);
            id
        });
        if waiting.pending.push(PendingThread { id, os_thread, at, name }) {
            return id;
        }
        // A storm of short threads: the flusher has to write definitions first.
        drop(waiting);
        event_count::wake_flusher();
        event_count::wait_for_space(ticket, session_config::WAIT_STEP);
    }
    chosen.unwrap_or_default()
}

/// Takes the waiting definitions, at most as many as `into` holds; answers how many.
pub(crate) fn take_pending(into: &mut [Option<PendingThread>]) -> usize {
    WAITING.lock().map_or(0, |mut waiting| waiting.pending.take(into))
}
