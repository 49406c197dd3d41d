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
}

/// What the running query of a connection must heed; shared with SQLite's progress callback.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch(Arc<Mutex<Heed>>);

#[derive(Debug, Default)]
struct Heed {
    token: Option<CancelToken>,
    deadline: Option<Instant>,
}

impl Watch {
    /// Begins to heed, until the guard is dropped.
    pub(crate) fn begin(
        &self,
        token: Option<CancelToken>,
        deadline: Option<Instant>,
    ) -> WatchGuard {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Heed { token, deadline };
        WatchGuard(self.clone())
    }

    /// Whether the running query must end, and why.
    pub(crate) fn stopped(&self) -> Option<Stopped> {
        let heed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if heed.token.as_ref().is_some_and(CancelToken::is_cancelled) {
            return Some(Stopped::Cancelled);
        }
        heed.deadline.filter(|deadline| Instant::now() >= *deadline).map(|_| Stopped::Deadline)
    }
}

/// Heeding ends with it.
pub(crate) struct WatchGuard(Watch);

impl Drop for WatchGuard {
    fn drop(&mut self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = Heed::default();
    }
}
