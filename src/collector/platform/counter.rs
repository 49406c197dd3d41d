//! Counters with a single writer, which other threads may read.
//!
//! Invariant: only the owner adds, so that an addition is a plain load and store without a locked
//! instruction.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter with a single writer.
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

/// Counters of one thread's stack walks.
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
