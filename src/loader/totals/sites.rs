//! What is summed for a site, a backtrace with its blocks.
//!
//! Reads and writes: the sums themselves.
//!
//! Invariant: what a site held at the last global peak is noted before it changes for the first
//! time since ([`SiteTotals::note_peak`]).

use crate::loader::rows::Nanos;
use crate::loader::totals::aggregated::AggregatedTotals;
use crate::loader::totals::size_histogram::Powers;
use crate::loader::totals::sizes::SizeTotals;
use crate::loader::totals::time_buckets::Curve;
use crate::recording::{SizePowers as AggregatedPowers, size_power, size_power_max};

/// Everything that is summed for a site. Names and meanings are those of the table `sites`.
///
/// The order is that of use: what every block touches comes first, within two cache lines.
#[derive(Clone, Debug, Default)]
#[repr(C, align(64))]
#[allow(missing_docs, reason = "the columns of `sites`, documented in schema.sql")]
pub(crate) struct SiteTotals {
    /// The number of the global peak that `at_peak_*` belong to.
    pub(crate) peak_number: u64,
    pub(crate) live_blocks: u64,
    pub(crate) live_bytes: u64,
    pub(crate) curve: Curve,
    /// The power of two that its first block's size was counted in.
    pub(crate) home: u8,
    pub(crate) at_peak_blocks: u64,
    pub(crate) at_peak_bytes: u64,
    // A block's beginning.
    pub(crate) allocations: u64,
    pub(crate) bytes: u64,
    pub(crate) peak_bytes: u64,
    pub(crate) peak_ns: Nanos,
    pub(crate) size_min: u64,
    pub(crate) size_max: u64,
    pub(crate) first_ns: Nanos,
    pub(crate) last_ns: Nanos,
    /// Bit n: thread n allocated here; threads from 64 on are in `far_threads`.
    pub(crate) near_threads: u64,
    // Its end.
    pub(crate) frees: u64,
    pub(crate) lifetime_min: u64,
    pub(crate) lifetime_max: u64,
    pub(crate) lifetime_sum: u128,
    pub(crate) last_free_ns: Option<Nanos>,
    pub(crate) temporary: u64,
    pub(crate) temporary_bytes: u64,
    pub(crate) cross_thread_frees: u64,
    // Less common.
    pub(crate) far_threads: u32,
    pub(crate) freed_at_end_blocks: u64,
    pub(crate) freed_at_end_bytes: u64,
    pub(crate) reallocs: u64,
    pub(crate) reallocs_moved: u64,
    pub(crate) powers: Powers,
}

impl SiteTotals {
    /// Sums by size: each power of two that a block's size was counted in, ascending.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = (u64, SizeTotals)> {
        let all = SizeTotals {
            allocations: self.allocations,
            bytes: self.bytes,
            live_blocks: self.live_blocks,
            live_bytes: self.live_bytes,
        };
        self.powers.with_home(self.home, all).map(|(power, sums)| (size_power_max(power), sums))
    }

    /// Blocks that have no rows are part of the sums as well.
    pub(crate) fn aggregated(&mut self, sums: &AggregatedTotals, powers: AggregatedPowers<'_>) {
        if self.allocations == 0 {
            self.home = size_power(sums.size_min);
            (self.first_ns, self.last_ns) = (sums.first_alloc, sums.last_alloc);
            self.size_min = sums.size_min;
        }
        if self.frees == 0 {
            self.lifetime_min = sums.lifetime_min;
        }
        self.allocations = self.allocations.saturating_add(sums.blocks);
        self.bytes = self.bytes.saturating_add(sums.bytes);
        self.frees = self.frees.saturating_add(sums.blocks);
        self.size_min = self.size_min.min(sums.size_min);
        self.size_max = self.size_max.max(sums.size_max);
        self.first_ns = self.first_ns.min(sums.first_alloc);
        self.last_ns = self.last_ns.max(sums.last_alloc);
        self.last_free_ns = self.last_free_ns.max(Some(sums.last_free));
        self.lifetime_min = self.lifetime_min.min(sums.lifetime_min);
        self.lifetime_max = self.lifetime_max.max(sums.lifetime_max);
        self.lifetime_sum = self.lifetime_sum.saturating_add(sums.lifetime_sum);
        self.temporary = self.temporary.saturating_add(sums.temporary);
        self.temporary_bytes = self.temporary_bytes.saturating_add(sums.temporary_bytes);
        self.cross_thread_frees = self.cross_thread_frees.saturating_add(sums.cross_thread_frees);
        self.reallocs = self.reallocs.saturating_add(sums.reallocs);
        self.reallocs_moved = self.reallocs_moved.saturating_add(sums.reallocs_moved);
        self.near_threads |= sums.threads;
        for aggregated in powers {
            if aggregated.power != self.home {
                let power = self.powers.of(aggregated.power);
                power.allocations = power.allocations.saturating_add(aggregated.blocks);
                power.bytes = power.bytes.saturating_add(aggregated.bytes);
            }
        }
        // Nobody knows how many were alive at once; one was.
        if sums.size_max > self.peak_bytes {
            (self.peak_bytes, self.peak_ns) = (sums.size_max, sums.last_alloc);
        }
    }

    /// Threads that allocated here.
    pub(crate) fn threads(&self) -> u64 {
        u64::from(self.near_threads.count_ones()) + u64::from(self.far_threads)
    }

    /// Notes what a site held at the last global peak, before it changes for the first time since.
    #[inline]
    pub(crate) fn note_peak(&mut self, peak_number: u64) {
        if self.peak_number != peak_number {
            self.peak_number = peak_number;
            self.at_peak_blocks = self.live_blocks;
            self.at_peak_bytes = self.live_bytes;
        }
    }
}
