//! What a recording says of blocks that have no rows, in nanoseconds.
//!
//! Reads: a site's folded sums, the clock. Writes: the same sums in the units of the totals.

use crate::loader::clock::Clock;
use crate::loader::rows::Nanos;
use crate::recording::{FoldedSite, Ticks};

/// The sums of blocks that have no rows, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs, reason = "the fields of `FoldedSite`")]
pub(in crate::loader) struct FoldedTotals {
    pub(in crate::loader::totals) zeroed: bool,
    pub(in crate::loader::totals) align: u64,
    pub(in crate::loader::totals) blocks: u64,
    pub(in crate::loader::totals) bytes: u64,
    pub(in crate::loader::totals) size_min: u64,
    pub(in crate::loader::totals) size_max: u64,
    pub(in crate::loader::totals) lifetime_sum: u128,
    pub(in crate::loader::totals) lifetime_min: u64,
    pub(in crate::loader::totals) lifetime_max: u64,
    pub(in crate::loader::totals) temporary: u64,
    pub(in crate::loader::totals) temporary_bytes: u64,
    pub(in crate::loader::totals) cross_thread_frees: u64,
    pub(in crate::loader::totals) reallocs: u64,
    pub(in crate::loader::totals) reallocs_moved: u64,
    pub(in crate::loader::totals) first_made: Nanos,
    pub(in crate::loader::totals) last_made: Nanos,
    pub(in crate::loader::totals) last_freed: Nanos,
    pub(in crate::loader::totals) threads: u64,
}

impl FoldedTotals {
    /// From a recording's sums; lifetimes at the rate of a moment.
    pub(in crate::loader) fn of(sums: &FoldedSite, at: Ticks, clock: &mut Clock) -> Self {
        let length =
            |ticks, clock: &mut Clock| u64::try_from(clock.length(ticks, at)).unwrap_or(u64::MAX);
        Self {
            zeroed: sums.zeroed,
            align: alignment(sums.align_log2),
            blocks: sums.blocks,
            bytes: sums.bytes,
            size_min: sums.size_min,
            size_max: sums.size_max,
            lifetime_sum: clock.length(sums.lifetime_sum, at),
            lifetime_min: length(sums.lifetime_min, clock),
            lifetime_max: length(sums.lifetime_max, clock),
            temporary: sums.temporary,
            temporary_bytes: sums.temporary_bytes,
            cross_thread_frees: sums.cross_thread_frees,
            reallocs: sums.reallocs,
            reallocs_moved: sums.reallocs_moved,
            first_made: clock.nanos(sums.first_made),
            last_made: clock.nanos(sums.last_made),
            last_freed: clock.nanos(sums.last_freed),
            threads: sums.threads,
        }
    }
}

/// In bytes where above the natural one, else 0.
pub(in crate::loader::totals) fn alignment(log2: u8) -> u64 {
    if log2 == 0 { 0 } else { 1_u64.checked_shl(u32::from(log2)).unwrap_or(0) }
}
