//! Counts that one thread writes and the flusher reads.
//!
//! Invariant: an addition is a plain load and store, no locked instruction: only the owner adds.

use std::sync::atomic::{AtomicU64, Ordering};

/// A count with one writer.
#[derive(Debug, Default)]
pub(crate) struct SoloCounter(AtomicU64);

impl SoloCounter {
    #[inline(always)]
    pub(crate) fn add(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// Counts of one thread's walks.
#[derive(Debug, Default)]
pub(crate) struct WalkCounters {
    pub(crate) hits: SoloCounter,
    pub(crate) suffix_hits: SoloCounter,
    pub(crate) misses: SoloCounter,
    pub(crate) new_frames: SoloCounter,
    pub(crate) rules_derived: SoloCounter,
    pub(crate) truncated: SoloCounter,
    pub(crate) failed: SoloCounter,
    pub(crate) overflow: SoloCounter,
}
