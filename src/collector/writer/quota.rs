//! How a recording stays below its quota: folding grows coarser by steps, and at last it ends.
//!
//! Reads: the recording's length. Writes: nothing.

use crate::safeguards;

/// When so much of the quota is used, blocks that live shorter are folded.
const STEPS: [Step; 5] = [
    Step { eighths: 2, fold_shorter_ns: 10_000_000 },
    Step { eighths: 3, fold_shorter_ns: 100_000_000 },
    Step { eighths: 4, fold_shorter_ns: 1_000_000_000 },
    Step { eighths: 5, fold_shorter_ns: 10_000_000_000 },
    Step { eighths: 6, fold_shorter_ns: 100_000_000_000 },
];

struct Step {
    eighths: u64,
    fold_shorter_ns: u64,
}

/// A recording's quota, and how far its steps have gone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quota {
    /// Bytes; 0: none.
    bytes_max: u64,
    fold_shorter_ns: u64,
    has_steps: bool,
}

impl Quota {
    /// For a recording that folds from its beginning what lives shorter than `fold_shorter_ns`,
    /// or nothing if that is 0.
    pub(crate) const fn new(bytes_max: u64, fold_shorter_ns: u64) -> Self {
        Self { bytes_max, fold_shorter_ns, has_steps: true }
    }

    /// For a recording that never folds.
    pub(crate) const fn without_steps(bytes_max: u64) -> Self {
        Self { bytes_max, fold_shorter_ns: 0, has_steps: false }
    }

    /// Whether anything may be folded at any time.
    pub(crate) const fn may_fold(self) -> bool {
        (self.has_steps && self.bytes_max != 0) || self.fold_shorter_ns != 0
    }

    /// What lives shorter than this is folded now; 0: nothing is.
    pub(crate) const fn fold_shorter_ns(self) -> u64 {
        self.fold_shorter_ns
    }

    /// The limit's next value, if the length asks for a coarser one.
    pub(crate) fn step(&mut self, written: u64) -> Option<u64> {
        if self.bytes_max == 0 || !self.has_steps {
            return None;
        }
        let passed = |step: &&Step| written >= (self.bytes_max / 8).saturating_mul(step.eighths);
        let limit = STEPS.iter().filter(passed).map(|step| step.fold_shorter_ns).max()?;
        if limit <= self.fold_shorter_ns {
            return None;
        }
        self.fold_shorter_ns = limit;
        Some(limit)
    }

    /// Whether so many bytes more may be written.
    pub(crate) fn admits(self, written: u64, more: u64) -> bool {
        self.bytes_max == 0
            || safeguards::without("quota")
            || written.saturating_add(more) <= self.bytes_max
    }
}
