//! Converts the totals of aggregated blocks, which have no rows, from ticks to nanoseconds.

use crate::loader::model::Nanos;
use crate::loader::read::clock::Clock;
use crate::recording::{AggregatedSite, Ticks};

/// The totals of one site's aggregated blocks, with times in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs, reason = "documented at `AggregatedSite`")]
pub(crate) struct AggregatedTotals {
    pub(crate) zeroed: bool,
    pub(crate) align: u64,
    pub(crate) blocks: u64,
    pub(crate) bytes: u64,
    pub(crate) size_min: u64,
    pub(crate) size_max: u64,
    pub(crate) lifetime_sum: u128,
    pub(crate) lifetime_min: u64,
    pub(crate) lifetime_max: u64,
    pub(crate) temporary: u64,
    pub(crate) temporary_bytes: u64,
    pub(crate) cross_thread_frees: u64,
    pub(crate) reallocs: u64,
    pub(crate) reallocs_moved: u64,
    pub(crate) first_alloc: Nanos,
    pub(crate) last_alloc: Nanos,
    pub(crate) last_free: Nanos,
    pub(crate) threads: u64,
}

impl AggregatedTotals {
    /// Converts a record of the file; lifetimes at the clock rate that holds at `at`.
    pub(crate) fn of(sums: &AggregatedSite, at: Ticks, clock: &mut Clock) -> Self {
        let duration = |ticks, clock: &mut Clock| {
            u64::try_from(clock.duration_ns(ticks, at)).unwrap_or(u64::MAX)
        };
        Self {
            zeroed: sums.zeroed,
            align: alignment(sums.align_log2),
            blocks: sums.blocks,
            bytes: sums.bytes,
            size_min: sums.size_min,
            size_max: sums.size_max,
            lifetime_sum: clock.duration_ns(sums.lifetime_sum, at),
            lifetime_min: duration(sums.lifetime_min, clock),
            lifetime_max: duration(sums.lifetime_max, clock),
            temporary: sums.temporary,
            temporary_bytes: sums.temporary_bytes,
            cross_thread_frees: sums.cross_thread_frees,
            reallocs: sums.reallocs,
            reallocs_moved: sums.reallocs_moved,
            first_alloc: clock.nanos(sums.first_alloc),
            last_alloc: clock.nanos(sums.last_alloc),
            last_free: clock.nanos(sums.last_free),
            threads: sums.threads,
        }
    }
}

/// The alignment in bytes; 0: up to 16 bytes, which is the natural alignment.
pub(crate) fn alignment(log2: u8) -> u64 {
    if log2 == 0 { 0 } else { 1_u64.checked_shl(u32::from(log2)).unwrap_or(0) }
}
