//! The quota of a recording: aggregation becomes coarser in steps, and at the quota the recording
//! ends.

use crate::safeguards::{self, Safeguard};

/// The aggregation threshold by used eighths of the quota.
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

/// The quota of a recording and the current step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quota {
    /// In bytes; 0: none.
    quota_bytes: u64,
    aggregate_below_ns: u64,
    has_steps: bool,
}

impl Quota {
    /// For a recording that aggregates blocks with a lifetime below `aggregate_below_ns` from the
    /// start; 0: none.
    pub(crate) const fn new(quota_bytes: u64, aggregate_below_ns: u64) -> Self {
        Self { quota_bytes, aggregate_below_ns, has_steps: true }
    }

    /// For a recording that never aggregates.
    pub(crate) const fn without_steps(quota_bytes: u64) -> Self {
        Self { quota_bytes, aggregate_below_ns: 0, has_steps: false }
    }

    /// Whether blocks may be aggregated at any time.
    pub(crate) const fn may_aggregate(self) -> bool {
        (self.has_steps && self.quota_bytes != 0) || self.aggregate_below_ns != 0
    }

    /// The current aggregation threshold; 0: nothing is aggregated.
    pub(crate) const fn aggregate_below_ns(self) -> u64 {
        self.aggregate_below_ns
    }

    /// The next threshold, if the length of the recording requires a coarser one.
    pub(crate) fn step(&mut self, written: u64) -> Option<u64> {
        if self.quota_bytes == 0 || !self.has_steps {
            return None;
        }
        let is_reached =
            |step: &&Step| written >= (self.quota_bytes / 8).saturating_mul(step.eighths);
        let threshold =
            STEPS.iter().filter(is_reached).map(|step| step.aggregate_below_ns).max()?;
        if threshold <= self.aggregate_below_ns {
            return None;
        }
        self.aggregate_below_ns = threshold;
        Some(threshold)
    }

    /// Whether `more` bytes fit in the quota.
    pub(crate) fn has_quota_for(self, written: u64, more: u64) -> bool {
        self.quota_bytes == 0
            || safeguards::is_disabled(Safeguard::Quota)
            || written.saturating_add(more) <= self.quota_bytes
    }
}
