//! Futex event counts, and the two with which recording threads and the flusher wake each other.
//!
//! Invariant: a notification costs a system call if a thread is waiting, so that the event path
//! notifies only when a ring is half full.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::collector::platform::sys;

/// Wakes the flusher.
static WAKE: FutexEvent = FutexEvent::new();
/// Signals that the flusher has freed space in the rings.
static SPACE: FutexEvent = FutexEvent::new();

/// An event count: a sequence number to wait on, and the number of waiting threads.
pub(crate) struct FutexEvent {
    sequence: AtomicU32,
    waiters: AtomicU32,
}

impl FutexEvent {
    pub(crate) const fn new() -> Self {
        Self { sequence: AtomicU32::new(0), waiters: AtomicU32::new(0) }
    }

    /// Wakes all waiting threads. No wake-up is lost: each side writes its own word before it reads
    /// the other's, so that either this sees the waiter, or the kernel finds the sequence number
    /// changed and the waiter does not sleep.
    pub(crate) fn notify(&self) {
        self.sequence.fetch_add(1, Ordering::SeqCst);
        if self.waiters.load(Ordering::SeqCst) != 0 {
            sys::futex_wake(&self.sequence);
        }
    }

    /// Returns the sequence number. Call it before checking the awaited condition.
    pub(crate) fn ticket(&self) -> u32 {
        self.sequence.load(Ordering::Acquire)
    }

    /// Waits for a notification after `ticket` was taken, at most `timeout`. In a forked child
    /// `waiters` may include threads of the parent, which costs a needless system call.
    pub(crate) fn wait(&self, ticket: u32, timeout: Duration) {
        self.waiters.fetch_add(1, Ordering::SeqCst);
        sys::futex_wait(&self.sequence, ticket, timeout);
        self.waiters.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Wakes the flusher.
pub(crate) fn wake_flusher() {
    WAKE.notify();
}

/// A ticket for [`wait_for_wake`].
pub(crate) fn wake_ticket() -> u32 {
    WAKE.ticket()
}

/// Waits until the flusher is woken after `ticket` was taken, at most `timeout`.
pub(crate) fn wait_for_wake(ticket: u32, timeout: Duration) {
    WAKE.wait(ticket, timeout);
}

/// Wakes the threads that wait for space in their rings.
pub(crate) fn notify_space() {
    SPACE.notify();
}

/// A ticket for [`wait_for_space`].
pub(crate) fn space_ticket() -> u32 {
    SPACE.ticket()
}

/// Waits until the flusher has freed space after `ticket` was taken, at most `timeout`.
pub(crate) fn wait_for_space(ticket: u32, timeout: Duration) {
    SPACE.wait(ticket, timeout);
}
