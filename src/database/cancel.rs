//! Interrupts a running query: by a cancel token, a deadline, or a limit on temporary files.
//!
//! Invariants:
//! - A token interrupts only the queries that were started with it, running or not yet started: a
//!   late cancellation can't hit the next query.
//! - SQLite calls the progress handler every [`PROGRESS_STEPS`] steps, so that an endless query
//!   ends within milliseconds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Virtual machine steps between two calls of SQLite's progress handler: about 0.1 ms.
pub const PROGRESS_STEPS: i32 = 4096;

/// Limit on the temporary files of all queries of this process: enough to sort about a hundred
/// million rows, while an endless query can't fill the disk.
pub const TEMPORARY_MAX_BYTES: u64 = 8 << 30;

/// Calls of the progress handler between two checks of the temporary files: several checks per
/// second.
const TEMPORARY_CHECK_INTERVAL: u32 = 512;

/// Cancels the queries that are started with it. Clones share one state.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A token that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels the query, now or when it starts. Safe from any thread and from a signal handler.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Clears the cancellation, for an owner that uses one token for successive queries.
    pub fn reset(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Whether [`cancel`](Self::cancel) was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why a query was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterruptReason {
    /// Its token was cancelled.
    Cancelled,
    /// Its deadline passed.
    Deadline,
    /// Temporary files grew beyond [`TEMPORARY_MAX_BYTES`].
    TemporarySpace,
}

/// Token and deadline of the query that a connection runs; shared with SQLite's progress handler.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<Mutex<QueryState>>);

/// All empty while no query runs.
#[derive(Debug, Default)]
struct QueryState {
    token: Option<CancelToken>,
    deadline: Option<Instant>,
    progress_calls: u32,
    temporary_space_exceeded: bool,
}

impl Interrupt {
    /// Applies token and deadline until the guard is dropped.
    pub(crate) fn begin(
        &self,
        token: Option<CancelToken>,
        deadline: Option<Instant>,
    ) -> ActiveQuery {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            QueryState { token, deadline, ..QueryState::default() };
        ActiveQuery(self.clone())
    }

    /// Whether the query must end; also checks the temporary files now and then. Called by SQLite's
    /// progress handler.
    pub(crate) fn on_progress(&self) -> bool {
        {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.progress_calls = state.progress_calls.wrapping_add(1);
            if state.progress_calls.is_multiple_of(TEMPORARY_CHECK_INTERVAL) {
                state.temporary_space_exceeded = temporary_bytes() > TEMPORARY_MAX_BYTES;
            }
        }
        self.reason().is_some()
    }

    /// Why the running query must end, if it must.
    pub(crate) fn reason(&self) -> Option<InterruptReason> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.token.as_ref().is_some_and(CancelToken::is_cancelled) {
            return Some(InterruptReason::Cancelled);
        }
        if state.temporary_space_exceeded {
            return Some(InterruptReason::TemporarySpace);
        }
        state
            .deadline
            .filter(|deadline| Instant::now() >= *deadline)
            .map(|_| InterruptReason::Deadline)
    }
}

/// Clears token and deadline when dropped.
pub(crate) struct ActiveQuery(Interrupt);

impl Drop for ActiveQuery {
    fn drop(&mut self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = QueryState::default();
    }
}

/// Bytes of SQLite's temporary files that this process has open. They are unlinked, so that only
/// `/proc` lists them; 0 where it is not mounted.
fn temporary_bytes() -> u64 {
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else { return 0 };
    let temporary = open.filter_map(|entry| {
        let path = entry.ok()?.path();
        let target = std::fs::read_link(&path).ok()?;
        target.to_string_lossy().contains("/etilqs_").then(|| std::fs::metadata(&path).ok())?
    });
    temporary.map(|metadata| metadata.len()).sum()
}
