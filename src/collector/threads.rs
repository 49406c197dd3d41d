//! Thread definitions: numbers for threads, and what waits for the flusher to write it.
//!
//! Reads and writes: a list of its own under a spin lock.
//!
//! Invariants: a number is given once in a session; a definition that finds the list full waits for
//! the flusher, for a bounded time.

use crate::collector::limits;
use crate::collector::queue::Queue;
use crate::collector::signal;
use crate::collector::sync::SpinLock;
use crate::collector::sys::ThreadName;
use crate::recording::{ThreadId, Ticks};

/// A thread definition that waits for the flusher.
#[derive(Clone, Copy)]
pub(in crate::collector) struct PendingThread {
    pub(in crate::collector) id: ThreadId,
    pub(in crate::collector) os_thread: u64,
    pub(in crate::collector) at: Ticks,
    pub(in crate::collector) name: ThreadName,
}

/// Definitions that may wait; the flusher takes them at each pass.
pub(in crate::collector) const PENDING_MAX: usize = 1024;

struct Waiting {
    next_thread: u32,
    pending: Queue<PendingThread, PENDING_MAX>,
}

static WAITING: SpinLock<Waiting> =
    SpinLock::new(Waiting { next_thread: 0, pending: Queue::new() });

/// Numbers threads from 0 again. Called before a session begins.
pub(in crate::collector) fn forget() {
    if let Some(mut waiting) = WAITING.lock() {
        waiting.next_thread = 0;
        waiting.pending.clear();
    }
}

/// In a forked child.
///
/// # Safety
/// The child has one thread, which forked and so does not hold the lock.
pub(in crate::collector) unsafe fn forked() {
    // SAFETY: the caller's promise.
    unsafe { WAITING.forked() };
}

/// Threads that were defined in this session.
pub(in crate::collector) fn defined() -> u64 {
    WAITING.lock().map_or(0, |waiting| u64::from(waiting.next_thread))
}

/// Defines a thread, or an old one under a new name.
pub(in crate::collector) fn define(
    known: Option<ThreadId>,
    os_thread: u64,
    at: Ticks,
    name: ThreadName,
) -> ThreadId {
    let mut chosen = known;
    for _ in 0..64 {
        let ticket = signal::room_ticket();
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
        signal::wake_flusher();
        signal::wait_for_room(ticket, limits::WAIT_STEP);
    }
    chosen.unwrap_or_default()
}

/// Takes the waiting definitions, at most as many as `into` holds; answers how many.
pub(in crate::collector) fn take_pending(into: &mut [Option<PendingThread>]) -> usize {
    WAITING.lock().map_or(0, |mut waiting| waiting.pending.take(into))
}
