//! Counts that one thread writes and the flusher reads.
//!
//! Invariant: an addition is a plain load and store, no locked instruction: only the owner adds.

use std::sync::atomic::{AtomicU64, Ordering};

/// A count with one writer.
#[derive(Debug, Default)]
pub(in crate::collector) struct Tally(AtomicU64);

impl Tally {
    #[inline(always)]
    pub(in crate::collector) fn add(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    pub(in crate::collector) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(in crate::collector) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// Counts of one thread's walks.
#[derive(Debug, Default)]
pub(in crate::collector) struct WalkTallies {
    pub(in crate::collector) hits: Tally,
    pub(in crate::collector) recalled: Tally,
    pub(in crate::collector) misses: Tally,
    pub(in crate::collector) fresh: Tally,
    pub(in crate::collector) derived: Tally,
    pub(in crate::collector) truncated: Tally,
    pub(in crate::collector) failed: Tally,
    pub(in crate::collector) other: Tally,
}
