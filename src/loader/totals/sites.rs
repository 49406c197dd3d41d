//! Sums of one site.
//!
//! Invariant: the live blocks at the last global peak are saved before they change for the first
//! time since ([`SiteTotals::save_peak`]).

use crate::loader::model::Nanos;
use crate::loader::totals::aggregated::AggregatedTotals;
use crate::loader::totals::block_sums::BlockSums;
use crate::loader::totals::size_histogram::SizeHistogram;
use crate::loader::totals::time_slices::Curve;
use crate::recording::{SizePowers as AggregatedPowers, size_power, size_power_max};

/// A row of `sites`; fields have the names of its columns.
///
/// Fields are in the order of use: those that every event changes come first, within two cache
/// lines, because with many sites each event waits for them.
#[derive(Clone, Debug, Default)]
#[repr(C, align(64))]
#[allow(missing_docs, reason = "the columns of `sites`, documented in schema.sql")]
pub(crate) struct SiteTotals {
    /// The number of the global peak that `at_peak_*` belong to.
    pub(crate) peak_number: u64,
    pub(crate) live_blocks: u64,
    pub(crate) live_bytes: u64,
    pub(crate) curve: Curve,
    /// The power of two of its first block's size, which `sizes` leaves out.
    pub(crate) primary_power: u8,
    pub(crate) at_peak_blocks: u64,
    pub(crate) at_peak_bytes: u64,
    // Changed by allocations.
    pub(crate) allocations: u64,
    pub(crate) bytes: u64,
    pub(crate) peak_bytes: u64,
    pub(crate) peak_ns: Nanos,
    pub(crate) size_min: u64,
    pub(crate) size_max: u64,
    pub(crate) first_ns: Nanos,
    pub(crate) last_ns: Nanos,
    /// Bit n: thread n allocated here. Threads from 64 on are counted in `other_threads`.
    pub(crate) thread_bits: u64,
    // Changed by frees.
    pub(crate) frees: u64,
    pub(crate) lifetime_min: u64,
    pub(crate) lifetime_max: u64,
    pub(crate) lifetime_sum: u128,
    pub(crate) last_free_ns: Option<Nanos>,
    pub(crate) temporary: u64,
    pub(crate) temporary_bytes: u64,
    pub(crate) cross_thread_frees: u64,
    // Changed less often.
    pub(crate) other_threads: u32,
    pub(crate) freed_at_end_blocks: u64,
    pub(crate) freed_at_end_bytes: u64,
    pub(crate) reallocs: u64,
    pub(crate) reallocs_moved: u64,
    pub(crate) sizes: SizeHistogram,
}

impl SiteTotals {
    /// Sums by size: the largest size of each power of two that has a block, ascending.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = (u64, BlockSums)> {
        let all = BlockSums {
            allocations: self.allocations,
            bytes: self.bytes,
            live_blocks: self.live_blocks,
            live_bytes: self.live_bytes,
        };
        self.sizes
            .with_primary(self.primary_power, all)
            .map(|(power, sums)| (size_power_max(power), sums))
    }

    /// Adds aggregated blocks, which have no rows.
    pub(crate) fn add_aggregated(&mut self, sums: &AggregatedTotals, powers: AggregatedPowers<'_>) {
        if self.allocations == 0 {
            self.primary_power = size_power(sums.size_min);
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
        self.thread_bits |= sums.threads;
        for aggregated in powers {
            if aggregated.power != self.primary_power {
                let sums = self.sizes.entry(aggregated.power);
                sums.add_aggregated(aggregated.blocks, aggregated.bytes);
            }
        }
        // How many were live at once is not recorded; at least one was.
        if sums.size_max > self.peak_bytes {
            (self.peak_bytes, self.peak_ns) = (sums.size_max, sums.last_alloc);
        }
    }

    /// Number of threads that allocated here.
    pub(crate) fn threads(&self) -> u64 {
        u64::from(self.thread_bits.count_ones()) + u64::from(self.other_threads)
    }

    /// Saves the live blocks at the last global peak, if they have not changed since. Call before
    /// each change.
    #[inline]
    pub(crate) fn save_peak(&mut self, peak_number: u64) {
        if self.peak_number != peak_number {
            self.peak_number = peak_number;
            self.at_peak_blocks = self.live_blocks;
            self.at_peak_bytes = self.live_bytes;
        }
    }
}
