//! Words that threads sleep on, and the two that recording threads and the flusher have.
//!
//! Invariant: signalling costs a system call where somebody sleeps, so that the recording path does
//! it only when a region is half full.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::collector::platform::sys;

static WAKE: FutexEvent = FutexEvent::new();
static SPACE: FutexEvent = FutexEvent::new();

/// A word to sleep on, and how many do.
pub(crate) struct FutexEvent {
    sequence: AtomicU32,
    waiters: AtomicU32,
}

impl FutexEvent {
    pub(crate) const fn new() -> Self {
        Self { sequence: AtomicU32::new(0), waiters: AtomicU32::new(0) }
    }

    /// Wakes all who sleep. Either it sees that somebody is about to, or the kernel finds the word
    /// changed and does not let him: each side writes its own before it reads the other's.
    pub(crate) fn notify(&self) {
        self.sequence.fetch_add(1, Ordering::SeqCst);
        if self.waiters.load(Ordering::SeqCst) != 0 {
            sys::futex_wake(&self.sequence);
        }
    }

    /// Taken before looking for what one waits for, so that no ring is missed.
    pub(crate) fn ticket(&self) -> u32 {
        self.sequence.load(Ordering::Acquire)
    }

    /// Sleeps until it is sequence after `ticket` was taken, at most `timeout`. In a forked child it may
    /// seem that others sleep here, who are not there: that costs a call.
    pub(crate) fn wait(&self, ticket: u32, timeout: Duration) {
        self.waiters.fetch_add(1, Ordering::SeqCst);
        sys::futex_wait(&self.sequence, ticket, timeout);
        self.waiters.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Has the flusher look at the regions now.
pub(crate) fn wake_flusher() {
    WAKE.notify();
}

/// A ticket for [`sleep`].
pub(crate) fn wake_ticket() -> u32 {
    WAKE.ticket()
}

/// Sleeps until somebody wakes the flusher after `ticket` was taken, at most `timeout`.
pub(crate) fn wait_for_wake(ticket: u32, timeout: Duration) {
    WAKE.wait(ticket, timeout);
}

/// Tells waiting threads that there is room again.
pub(crate) fn notify_space() {
    SPACE.notify();
}

/// A ticket for [`wait_for_space`].
pub(crate) fn space_ticket() -> u32 {
    SPACE.ticket()
}

/// Sleeps until the flusher has drained something after `ticket`, at most `timeout`.
pub(crate) fn wait_for_space(ticket: u32, timeout: Duration) {
    SPACE.wait(ticket, timeout);
}
