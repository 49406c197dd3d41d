//! The two words that recording threads and the flusher sleep on.
//!
//! Invariant: signalling costs a system call, so that the recording path does it only when a
//! region is half full.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::collector::sys;

static WAKE: AtomicU32 = AtomicU32::new(0);
static DRAINED: AtomicU32 = AtomicU32::new(0);

/// Has the flusher look at the regions now.
pub(in crate::collector) fn wake_flusher() {
    sys::futex_signal(&WAKE);
}

/// A ticket for [`sleep`]: taken before looking for work, so that no wake is missed.
pub(in crate::collector) fn wake_ticket() -> u32 {
    WAKE.load(Ordering::Acquire)
}

/// Sleeps until somebody wakes the flusher after `ticket` was taken, at most `timeout`.
pub(in crate::collector) fn sleep(ticket: u32, timeout: Duration) {
    sys::futex_wait(&WAKE, ticket, timeout);
}

/// Tells waiting threads that there is room again.
pub(in crate::collector) fn announce_room() {
    sys::futex_signal(&DRAINED);
}

/// A ticket for [`wait_for_room`].
pub(in crate::collector) fn room_ticket() -> u32 {
    DRAINED.load(Ordering::Acquire)
}

/// Sleeps until the flusher has drained something after `ticket`, at most `timeout`.
pub(in crate::collector) fn wait_for_room(ticket: u32, timeout: Duration) {
    sys::futex_wait(&DRAINED, ticket, timeout);
}
