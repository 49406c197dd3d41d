//! Sums over all blocks, updated event by event: by site, thread, size, scope and time slice, and
//! the global peak.
//!
//! `sites.at_peak_bytes` must not cost a scan of all sites at each new peak. So every peak has a
//! number, and a site saves its live bytes before its first change after a peak.
//!
//! Invariant: every sum equals the same sum over the rows of `allocations`, in a sampled recording
//! each row times its weight. The const parameter `SAMPLED` distinguishes the two without a branch
//! per event.

mod sites;
pub(crate) mod decline;
mod threads;
mod aggregated;
pub(crate) mod by_scope;
pub(crate) mod size_histogram;
pub(crate) mod sizes;
pub(crate) mod block_sums;
pub(crate) mod time_slices;
pub(crate) mod lifetime_histogram;
pub(crate) mod sample_weights;

use std::collections::{BTreeMap, HashSet};

pub(crate) use crate::loader::totals::aggregated::AggregatedTotals;
pub(crate) use sites::SiteTotals;
pub(crate) use threads::ThreadTotals;

use crate::loader::fast_hash::FastHash;
use crate::loader::live::live_block::{BlockTag, LiveBlock};
use crate::loader::live::prefetch::prefetch;
use crate::loader::model::{Nanos, Site, Thread};
use crate::loader::read::stream::{AllocInfo, AllocKind};
use crate::loader::totals::aggregated::alignment;
use crate::loader::totals::by_scope::ScopeTotals;
use crate::loader::totals::lifetime_histogram::LifetimeHistograms;
use crate::loader::totals::sample_weights::{SampleWeights, Weight};
use crate::loader::totals::sizes::SizeTotals;
use crate::loader::totals::threads::{PairTotals, ThreadTable};
use crate::loader::totals::time_slices::{Change, Curve, TimeSlices};
use crate::recording::{SizePowers as AggregatedPowers, size_power};

/// A block counts as "freed at the end" if it lived at least 1/50 of the recording and was freed in
/// the last 1/50.
pub(crate) const END_SHARE: u64 = 50;

/// The totals of up to this many sites stay in the cache by themselves; prefetching them would only
/// cost instructions.
const CACHED_SITES_MAX: usize = 1 << 10;

/// A cache line, the unit of prefetch.
type CacheLine = [u64; 8];

/// Sums over all blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of `meta`, documented in docs/reference/SCHEMA.md")]
pub(crate) struct GlobalTotals {
    pub(crate) allocations: u64,
    pub(crate) bytes: u64,
    pub(crate) frees: u64,
    pub(crate) live_blocks: u64,
    pub(crate) live_bytes: u64,
    pub(crate) peak_bytes: u64,
    pub(crate) peak_blocks: u64,
    pub(crate) peak_ns: Nanos,
    /// Time of the last event.
    pub(crate) last: Nanos,
    /// Allocations that were aggregated and have no rows; part of `allocations`.
    pub(crate) aggregated: u64,
    pub(crate) aggregated_bytes: u64,
}

/// Zeroed or highly aligned requests: (site, zeroed, alignment) → (blocks, bytes).
pub(crate) type UnusualLayouts = BTreeMap<(Site, bool, u64), (u64, u64)>;

/// All sums.
#[derive(Debug)]
pub(crate) struct Totals {
    /// By site; the first is for blocks without a captured backtrace.
    pub(crate) sites: Vec<SiteTotals>,
    pub(crate) lifetimes: LifetimeHistograms,
    pub(crate) slices: TimeSlices,
    pub(crate) global: GlobalTotals,
    pub(crate) layouts: UnusualLayouts,
    pub(crate) sizes: SizeTotals,
    pub(crate) scopes: ScopeTotals,
    /// Weights of the samples; `None`: every block was recorded.
    pub(crate) sampling: Option<SampleWeights>,
    threads: ThreadTable,
    /// Sites and threads that are counted in [`SiteTotals::other_threads`].
    other_threads: HashSet<(Site, Thread), FastHash>,
    /// Number of the last global peak.
    peak_number: u64,
    /// The expected length of the recording.
    duration: Nanos,
}

impl Totals {
    /// Empty sums for a recording of this expected length.
    pub(crate) fn new(duration: Nanos) -> Self {
        Self {
            sites: vec![SiteTotals::default()],
            lifetimes: LifetimeHistograms::default(),
            slices: TimeSlices::new(duration),
            global: GlobalTotals::default(),
            layouts: UnusualLayouts::new(),
            sizes: SizeTotals::default(),
            scopes: ScopeTotals::default(),
            sampling: None,
            threads: ThreadTable::default(),
            other_threads: HashSet::default(),
            peak_number: 0,
            duration,
        }
    }

    /// Advances the time to `at`. Call before each event at `at`.
    #[inline]
    pub(crate) fn advance_to(&mut self, at: Nanos) {
        self.global.last = self.global.last.max(at);
        if self.slices.is_beyond(at) {
            self.widen_slices(at);
        }
    }

    /// Whether the sites' totals are too many for a cache, so that prefetch pays.
    #[inline]
    pub(crate) fn exceed_cache(&self) -> bool {
        self.sites.len() > CACHED_SITES_MAX
    }

    /// Prefetches the totals of a site that an event will soon change.
    #[inline]
    pub(crate) fn prefetch(&self, site: Site) {
        if let Some(totals) = self.sites.get(site.0 as usize) {
            let first_line = (&raw const *totals).cast::<CacheLine>();
            for line in 0..size_of::<SiteTotals>() / size_of::<CacheLine>() {
                prefetch(first_line.wrapping_add(line));
            }
        }
    }

    /// Records that a thread had an event; returns its sums.
    #[inline]
    pub(crate) fn on_thread_active(&mut self, thread: Thread, at: Nanos) -> &mut ThreadTotals {
        self.threads.on_active(thread, at)
    }

    #[cold]
    fn widen_slices(&mut self, at: Nanos) {
        while self.slices.is_beyond(at) {
            self.slices.double(curves(&mut self.sites));
        }
    }

    /// All threads that had an event.
    pub(crate) fn threads(&self) -> impl Iterator<Item = (Thread, &ThreadTotals)> {
        self.threads.iter()
    }

    /// Sums by allocating and freeing thread, ascending.
    pub(crate) fn thread_pairs(&self) -> BTreeMap<(Thread, Thread), PairTotals> {
        self.threads.pairs()
    }

    /// A block was allocated; returns the value for [`LiveBlock::tag`].
    #[inline]
    pub(crate) fn on_alloc<const SAMPLED: bool>(
        &mut self,
        site: Site,
        thread: Thread,
        at: Nanos,
        alloc: &AllocInfo,
    ) -> BlockTag {
        let size = alloc.size;
        let weight = if SAMPLED { self.sample_weight(site, size) } else { Weight::one(size) };
        self.sizes.on_alloc(size, weight);
        self.scopes.on_alloc(alloc.scope, site, weight);
        let by_thread = self.on_thread_active(thread, at);
        by_thread.blocks.add_allocated(weight);
        by_thread.alloc_ordinal = by_thread.alloc_ordinal.wrapping_add(1);
        let ordinal = by_thread.alloc_ordinal;

        let index = site.0 as usize;
        if self.sites.len() <= index {
            self.sites.resize_with(index + 1, SiteTotals::default);
        }
        let global = &mut self.global;
        global.allocations += weight.blocks;
        global.bytes = global.bytes.saturating_add(weight.bytes);
        global.live_blocks += weight.blocks;
        global.live_bytes = global.live_bytes.saturating_add(weight.bytes);

        let totals = &mut self.sites[index];
        totals.save_peak(self.peak_number);
        if totals.allocations == 0 {
            totals.first_ns = at;
            totals.last_ns = at;
            totals.size_min = size;
            totals.primary_power = size_power(size);
        }
        let power = size_power(size);
        if power != totals.primary_power {
            totals.sizes.entry(power).on_alloc(weight);
        }
        totals.allocations += weight.blocks;
        totals.bytes = totals.bytes.saturating_add(weight.bytes);
        totals.live_blocks += weight.blocks;
        totals.live_bytes = totals.live_bytes.saturating_add(weight.bytes);
        if totals.live_bytes > totals.peak_bytes {
            totals.peak_bytes = totals.live_bytes;
            totals.peak_ns = at;
        }
        totals.size_min = totals.size_min.min(size);
        totals.size_max = totals.size_max.max(size);
        totals.first_ns = totals.first_ns.min(at);
        totals.last_ns = totals.last_ns.max(at);
        if let AllocKind::Realloc { .. } | AllocKind::ReallocBegin { .. } = alloc.kind {
            totals.reallocs += weight.blocks;
            totals.reallocs_moved += u64::from(alloc.is_moved()) * weight.blocks;
        }
        match 1_u64.checked_shl(thread.0) {
            Some(bit) => totals.thread_bits |= bit,
            None => totals.other_threads += u32::from(self.other_threads.insert((site, thread))),
        }
        if global.live_bytes > global.peak_bytes {
            global.peak_bytes = global.live_bytes;
            global.peak_blocks = global.live_blocks;
            global.peak_ns = at;
            self.peak_number += 1;
        }
        let (live, curve) = (global.live_bytes, &mut totals.curve);
        self.slices.add(Change::Alloc, weight, at, live, curve);
        if self.slices.has_too_many_points() {
            self.slices.coarsen(curves(&mut self.sites));
        }
        if alloc.kind == AllocKind::Zeroed || alloc.align_log2 > 0 {
            self.add_unusual_layout(site, alloc, weight);
        }
        if SAMPLED {
            BlockTag::from_sample_weight(weight.blocks)
        } else {
            BlockTag::from_ordinal(ordinal)
        }
    }

    /// The weight of a newly sampled block.
    fn sample_weight(&mut self, site: Site, size: u64) -> Weight {
        self.sampling.as_mut().map_or(Weight::one(size), |sampling| sampling.weigh(site, size))
    }

    /// The weight with which [`Totals::on_alloc`] has counted a block.
    #[inline]
    fn weight<const SAMPLED: bool>(&self, block: &LiveBlock) -> Weight {
        match &self.sampling {
            Some(sampling) if SAMPLED => sampling.weight(block.tag.sample_weight(), block.size),
            _ => Weight::one(block.size),
        }
    }

    #[cold]
    fn add_unusual_layout(&mut self, site: Site, alloc: &AllocInfo, weight: Weight) {
        let key = (site, alloc.kind == AllocKind::Zeroed, alignment(alloc.align_log2));
        let sums = self.layouts.entry(key).or_default();
        sums.0 += weight.blocks;
        sums.1 = sums.1.saturating_add(weight.bytes);
    }

    /// A block was freed, or its address was allocated again.
    #[inline]
    pub(crate) fn on_free<const SAMPLED: bool>(&mut self, block: &LiveBlock, at: Nanos) {
        let LiveBlock { site, size, allocated, .. } = *block;
        let weight = self.weight::<SAMPLED>(block);
        let at = at.max(allocated);
        let lifetime = at.0 - allocated.0;
        self.sizes.on_free(size, weight);
        let global = &mut self.global;
        global.frees += weight.blocks;
        global.live_blocks -= weight.blocks;
        global.live_bytes = global.live_bytes.saturating_sub(weight.bytes);

        let index = site.0 as usize;
        let totals = &mut self.sites[index];
        totals.save_peak(self.peak_number);
        totals.live_blocks -= weight.blocks;
        totals.live_bytes = totals.live_bytes.saturating_sub(weight.bytes);
        let power = size_power(size);
        if power != totals.primary_power {
            totals.sizes.entry(power).on_free(weight);
        }
        if totals.frees == 0 {
            totals.lifetime_min = lifetime;
        }
        totals.frees += weight.blocks;
        totals.lifetime_min = totals.lifetime_min.min(lifetime);
        totals.lifetime_max = totals.lifetime_max.max(lifetime);
        totals.lifetime_sum += u128::from(lifetime) * u128::from(weight.blocks);
        if SAMPLED {
            self.lifetimes.add_many(site, lifetime, weight.blocks);
        } else {
            self.lifetimes.add(site, lifetime);
        }
        totals.last_free_ns = totals.last_free_ns.max(Some(at));
        if is_freed_at_end(at.0, lifetime, self.duration.0) {
            totals.freed_at_end_blocks += weight.blocks;
            totals.freed_at_end_bytes = totals.freed_at_end_bytes.saturating_add(weight.bytes);
        }
        let (live, curve) = (global.live_bytes, &mut totals.curve);
        self.slices.add(Change::Free, weight, at, live, curve);
    }

    /// A thread allocated blocks whose events were aggregated.
    pub(crate) fn on_skipped_allocs(&mut self, thread: Thread, allocations: u64) {
        let totals = self.threads.get(thread);
        totals.alloc_ordinal = totals.alloc_ordinal.wrapping_add(allocations as u32);
    }

    /// The thread that freed a block is known. Call after [`Totals::on_free`].
    #[inline]
    pub(crate) fn on_freed_by<const SAMPLED: bool>(
        &mut self,
        block: &LiveBlock,
        at: Nanos,
        thread: Thread,
    ) {
        let weight = self.weight::<SAMPLED>(block);
        let ordinal = {
            let by_thread = self.on_thread_active(thread, at);
            by_thread.frees += weight.blocks;
            if thread == block.thread {
                by_thread.own_frees.add(weight);
            }
            by_thread.alloc_ordinal
        };
        let totals = &mut self.sites[block.site.0 as usize];
        if thread != block.thread {
            totals.cross_thread_frees += weight.blocks;
            self.threads.cross_thread_pair(block.thread, thread).add(weight);
        } else if !SAMPLED && ordinal.wrapping_sub(block.tag.ordinal()) <= 1 {
            // Not in a sampled recording: it does not hold all allocations of the thread.
            totals.temporary += 1;
            totals.temporary_bytes = totals.temporary_bytes.saturating_add(block.size);
        }
    }

    /// Adds a site's aggregated blocks, allocated and freed within `span`; they have no rows.
    pub(crate) fn add_aggregated_site(
        &mut self,
        site: Site,
        span: (Nanos, Nanos),
        sums: &AggregatedTotals,
        powers: AggregatedPowers<'_>,
    ) {
        self.advance_to(span.1);
        let index = site.0 as usize;
        if self.sites.len() <= index {
            self.sites.resize_with(index + 1, SiteTotals::default);
        }
        let global = &mut self.global;
        global.allocations = global.allocations.saturating_add(sums.blocks);
        global.bytes = global.bytes.saturating_add(sums.bytes);
        global.frees = global.frees.saturating_add(sums.blocks);
        global.aggregated = global.aggregated.saturating_add(sums.blocks);
        global.aggregated_bytes = global.aggregated_bytes.saturating_add(sums.bytes);
        self.sites[index].add_aggregated(sums, powers);
        self.slices.add_aggregated(span, sums.blocks, sums.bytes, &mut self.sites[index].curve);
        if self.slices.has_too_many_points() {
            self.slices.coarsen(curves(&mut self.sites));
        }
        if sums.zeroed || sums.align > 0 {
            let layout = self.layouts.entry((site, sums.zeroed, sums.align)).or_default();
            layout.0 = layout.0.saturating_add(sums.blocks);
            layout.1 = layout.1.saturating_add(sums.bytes);
        }
    }

    /// Adds a pair of threads' aggregated blocks: the allocating and the freeing thread, each with
    /// the times of its first and last event.
    pub(crate) fn add_aggregated_pair(
        &mut self,
        (alloc_thread, first_alloc, last_alloc): (Thread, Nanos, Nanos),
        (free_thread, first_free, last_free): (Thread, Nanos, Nanos),
        blocks: u64,
        bytes: u64,
    ) {
        self.on_thread_active(alloc_thread, first_alloc);
        let by_thread = self.on_thread_active(alloc_thread, last_alloc);
        by_thread.blocks.add_aggregated(blocks, bytes);
        self.on_thread_active(free_thread, first_free);
        let by_thread = self.on_thread_active(free_thread, last_free);
        by_thread.frees = by_thread.frees.saturating_add(blocks);
        let pair = if alloc_thread == free_thread {
            &mut by_thread.own_frees
        } else {
            self.threads.cross_thread_pair(alloc_thread, free_thread)
        };
        pair.blocks = pair.blocks.saturating_add(blocks);
        pair.bytes = pair.bytes.saturating_add(bytes);
    }

    /// A block is live at the end.
    pub(crate) fn on_survivor<const SAMPLED: bool>(&mut self, block: &LiveBlock) {
        let weight = self.weight::<SAMPLED>(block);
        if let Some(sampling) = self.sampling.as_mut().filter(|_| SAMPLED) {
            sampling.on_survivor(block.site, block.size);
        }
        self.threads.get(block.thread).blocks.add_live(weight);
        self.scopes.on_survivor(block.scope, block.site, weight);
        self.slices.on_survivor(weight.bytes, block.allocated);
    }

    /// Completes the sums after the last event. `end` is the latest time that the metadata names;
    /// returns the end of the recording.
    pub(crate) fn finish(&mut self, end: Nanos) -> Nanos {
        for totals in &mut self.sites {
            totals.save_peak(self.peak_number);
        }
        self.lifetimes.flush();
        end.max(self.global.last)
    }

    /// Whether the recording was longer than expected, so that `freed_at_end_*` must be recomputed.
    pub(crate) fn exceeded_expected(&self, duration: Nanos) -> bool {
        duration != self.duration
    }
}

fn curves(sites: &mut [SiteTotals]) -> impl Iterator<Item = &mut Curve> {
    sites.iter_mut().map(|totals| &mut totals.curve)
}

/// Whether a block counts as freed at the end, see [`END_SHARE`].
#[inline]
fn is_freed_at_end(at: u64, lifetime: u64, duration: u64) -> bool {
    let share = duration / END_SHARE;
    at >= duration.saturating_sub(share) && lifetime >= share
}
