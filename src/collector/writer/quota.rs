//! How a recording stays below its quota: aggregation grows coarser by steps, and at last it ends.
//!
//! Reads: the recording's length. Writes: nothing.

use crate::safeguards;

/// When so much of the quota is used, blocks that live shorter are aggregated.
const STEPS: [Step; 5] = [
    Step { eighths: 2, aggregate_below_ns: 10_000_000 },
    Step { eighths: 3, aggregate_below_ns: 100_000_000 },
    Step { eighths: 4, aggregate_below_ns: 1_000_000_000 },
    Step { eighths: 5, aggregate_below_ns: 10_000_000_000 },
    Step { eighths: 6, aggregate_below_ns: 100_000_000_000 },
];

struct Step {
    eighths: u64,
    aggregate_below_ns: u64,
}

/// A recording's quota, and how far its steps have gone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quota {
    /// Bytes; 0: none.
    quota_bytes: u64,
    aggregate_below_ns: u64,
    has_steps: bool,
}

impl Quota {
    /// For a recording that aggregates from its beginning what lives shorter than `aggregate_below_ns`,
    /// or nothing if that is 0.
    pub(crate) const fn new(quota_bytes: u64, aggregate_below_ns: u64) -> Self {
        Self { quota_bytes, aggregate_below_ns, has_steps: true }
    }

    /// For a recording that never aggregates.
    pub(crate) const fn without_steps(quota_bytes: u64) -> Self {
        Self { quota_bytes, aggregate_below_ns: 0, has_steps: false }
    }

    /// Whether anything may be aggregated at any time.
    pub(crate) const fn may_aggregate(self) -> bool {
        (self.has_steps && self.quota_bytes != 0) || self.aggregate_below_ns != 0
    }

    /// What lives shorter than this is aggregated now; 0: nothing is.
    pub(crate) const fn aggregate_below_ns(self) -> u64 {
        self.aggregate_below_ns
    }

    /// The limit's next value, if the length asks for a coarser one.
    pub(crate) fn step(&mut self, written: u64) -> Option<u64> {
        if self.quota_bytes == 0 || !self.has_steps {
            return None;
        }
        let passed = |step: &&Step| written >= (self.quota_bytes / 8).saturating_mul(step.eighths);
        let limit = STEPS.iter().filter(passed).map(|step| step.aggregate_below_ns).max()?;
        if limit <= self.aggregate_below_ns {
            return None;
        }
        self.aggregate_below_ns = limit;
        Some(limit)
    }

    /// Whether so many bytes more may be written.
    pub(crate) fn has_quota_for(self, written: u64, more: u64) -> bool {
        self.quota_bytes == 0
            || safeguards::without("quota")
            || written.saturating_add(more) <= self.quota_bytes
    }
}
