//! Stopping a query from another thread, or when its time is over.
//!
//! Reads: a flag that anyone may set, and the clock. Writes: why a query ended.
//!
//! Invariants:
//! - A token stops the queries that were given it, whether they run or have not begun, and no
//!   other: a late cancel can't hit the next query.
//! - SQLite asks every [`STEPS`] steps, so an endless query ends within milliseconds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// After how many steps of its machine SQLite asks whether to go on: some 0.1 ms.
pub const STEPS: i32 = 4096;

/// The most that the queries of this process may have in temporary files: enough to sort some
/// hundred million rows, and no endless query fills the disk.
pub const TEMPORARY_MAX_BYTES: u64 = 8 << 30;

/// After how many of SQLite's questions the temporary files are looked at: several times a second.
const LOOK_EVERY: u32 = 512;

/// Stops the queries that it was given to. Clones share one state.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A token that has not been used.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops the query, now or when it begins. Safe from any thread and from a signal handler.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Makes it as new, for an owner that gives one token to one query after the other.
    pub fn reset(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Whether it was used.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why a query was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Its token was used.
    Cancelled,
    /// Its time was over.
    Deadline,
    /// Its temporary files grew beyond [`TEMPORARY_MAX_BYTES`].
    TemporarySpace,
}

/// What the running query of a connection must heed; shared with SQLite's progress callback.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch(Arc<Mutex<InterruptReason>>);

#[derive(Debug, Default)]
struct InterruptReason {
    token: Option<CancelToken>,
    deadline: Option<Instant>,
    asked: u32,
    too_large: bool,
}

impl Watch {
    /// Begins to heed, until the guard is dropped.
    pub(crate) fn begin(
        &self,
        token: Option<CancelToken>,
        deadline: Option<Instant>,
    ) -> WatchGuard {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            InterruptReason { token, deadline, ..InterruptReason::default() };
        WatchGuard(self.clone())
    }

    /// As [`stopped`](Self::stopped), and looks at the temporary files now and then: for SQLite's
    /// progress callback.
    pub(crate) fn asked(&self) -> bool {
        {
            let mut heed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            heed.asked = heed.asked.wrapping_add(1);
            if heed.asked.is_multiple_of(LOOK_EVERY) {
                heed.too_large = temporary_bytes() > TEMPORARY_MAX_BYTES;
            }
        }
        self.stopped().is_some()
    }

    /// Whether the running query must end, and why.
    pub(crate) fn stopped(&self) -> Option<Stopped> {
        let heed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if heed.token.as_ref().is_some_and(CancelToken::is_cancelled) {
            return Some(Stopped::Cancelled);
        }
        if heed.too_large {
            return Some(Stopped::TemporarySpace);
        }
        heed.deadline.filter(|deadline| Instant::now() >= *deadline).map(|_| Stopped::Deadline)
    }
}

/// Heeding ends with it.
pub(crate) struct WatchGuard(Watch);

impl Drop for WatchGuard {
    fn drop(&mut self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = InterruptReason::default();
    }
}

/// Bytes of the temporary files of SQLite that this process has open. They have no name any more,
/// so the system is asked; where it can't tell, 0.
fn temporary_bytes() -> u64 {
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else { return 0 };
    let temporary = open.filter_map(|entry| {
        let path = entry.ok()?.path();
        let target = std::fs::read_link(&path).ok()?;
        target.to_string_lossy().contains("/etilqs_").then(|| std::fs::metadata(&path).ok())?
    });
    temporary.map(|metadata| metadata.len()).sum()
}
