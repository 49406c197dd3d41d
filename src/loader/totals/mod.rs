//! Sums over blocks, kept while they pass: by site, by thread, by size, over time, and the global
//! peak.
//!
//! Reads: what [`pairing`](crate::loader::passes::pairing) says about each block. Writes: totals.
//!
//! What each site held at the moment of the global peak is known without looking at all sites
//! whenever a new peak is reached: every peak has a number, and a site that is about to change
//! for the first time since the last peak first notes what it held.
//!
//! Invariant: every sum equals the same sum over the rows of `allocations`; where these are
//! samples, over what they stand for. `SAMPLED` says which, so that nobody asks at every event.

mod sites;
pub(crate) mod decline;
mod threads;
mod aggregated;
pub(crate) mod by_scope;
pub(crate) mod size_histogram;
pub(crate) mod sizes;
pub(crate) mod time_buckets;
pub(crate) mod lifetime_histogram;
pub(crate) mod sample_weights;

use std::collections::{BTreeMap, HashSet};

pub(crate) use crate::loader::totals::aggregated::AggregatedTotals;
pub(crate) use sites::SiteTotals;
pub(crate) use threads::ThreadTotals;

use crate::loader::fast_hash::FastHash;
use crate::loader::live::block::Live;
use crate::loader::live::map::fetch;
use crate::loader::read::stream::{How, Made};
use crate::loader::rows::{Nanos, Site, Thread};
use crate::loader::totals::aggregated::alignment;
use crate::loader::totals::by_scope::Scopes;
use crate::loader::totals::lifetime_histogram::Histograms;
use crate::loader::totals::sample_weights::{Sampling, Weight};
use crate::loader::totals::sizes::Sizes;
use crate::loader::totals::threads::{PairTotals, Threads};
use crate::loader::totals::time_buckets::{Change, Curve, Slices};
use crate::recording::{Powers as AggregatedPowers, size_power};

/// A block that lived at least 1/50 of the run and was freed in the last 1/50 of it was "freed at
/// the end".
pub(crate) const END_SHARE: u64 = 50;

/// The sums of so many sites stay in a cache by themselves.
const CACHED_SITES_MAX: usize = 1 << 10;

/// Sums over all blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of `meta`, documented in docs/SCHEMA.md")]
pub(crate) struct Global {
    pub(crate) allocations: u64,
    pub(crate) bytes: u64,
    pub(crate) frees: u64,
    pub(crate) live_blocks: u64,
    pub(crate) live_bytes: u64,
    pub(crate) peak_bytes: u64,
    pub(crate) peak_blocks: u64,
    pub(crate) peak_ns: Nanos,
    pub(crate) last: Nanos,
    /// Of the allocations, the ones that have no rows.
    pub(crate) aggregated: u64,
    pub(crate) aggregated_bytes: u64,
}

/// Blocks and bytes of requests out of the ordinary: (site, zeroed, alignment) → (blocks, bytes).
pub(crate) type Layouts = BTreeMap<(Site, bool, u64), (u64, u64)>;

/// All sums.
#[derive(Debug)]
pub(crate) struct Totals {
    /// By site; the first is for blocks whose backtrace was not probed.
    pub(crate) sites: Vec<SiteTotals>,
    pub(crate) lifetimes: Histograms,
    pub(crate) slices: Slices,
    pub(crate) global: Global,
    pub(crate) layouts: Layouts,
    pub(crate) sizes: Sizes,
    pub(crate) scopes: Scopes,
    /// What samples stand for; `None` where every block was recorded.
    pub(crate) sampling: Option<Sampling>,
    threads: Threads,
    far_pairs: HashSet<(Site, Thread), FastHash>,
    peak_number: u64,
    /// The run's length, as far as it is known.
    duration: Nanos,
}

impl Totals {
    /// For a run that is probably this long.
    pub(crate) fn new(duration: Nanos) -> Self {
        Self {
            sites: vec![SiteTotals::default()],
            lifetimes: Histograms::default(),
            slices: Slices::new(duration),
            global: Global::default(),
            layouts: Layouts::new(),
            sizes: Sizes::default(),
            scopes: Scopes::default(),
            sampling: None,
            threads: Threads::default(),
            far_pairs: HashSet::default(),
            peak_number: 0,
            duration,
        }
    }

    /// Time has come to here; must be said before anything else is said of this moment.
    #[inline]
    pub(crate) fn reach(&mut self, at: Nanos) {
        self.global.last = self.global.last.max(at);
        if self.slices.is_beyond(at) {
            self.make_room(at);
        }
    }

    /// Whether there are too many sites for a cache to hold their sums.
    #[inline]
    pub(crate) fn are_wide(&self) -> bool {
        self.sites.len() > CACHED_SITES_MAX
    }

    /// Something will soon happen at this site.
    #[inline]
    pub(crate) fn expect(&self, site: Site) {
        if let Some(totals) = self.sites.get(site.0 as usize) {
            let begin = &raw const *totals;
            for line in 0..size_of::<SiteTotals>() / size_of::<[u64; 8]>() {
                fetch(begin.cast::<[u64; 8]>().wrapping_add(line));
            }
        }
    }

    /// A thread did something. Gives its sums.
    #[inline]
    pub(crate) fn seen(&mut self, thread: Thread, at: Nanos) -> &mut ThreadTotals {
        self.threads.seen(thread, at)
    }

    #[cold]
    fn make_room(&mut self, at: Nanos) {
        while self.slices.is_beyond(at) {
            self.slices.double(curves(&mut self.sites));
        }
    }

    /// All threads that did something.
    pub(crate) fn threads(&self) -> impl Iterator<Item = (Thread, &ThreadTotals)> {
        self.threads.all()
    }

    /// Pairs of who made and who freed a block, ascending.
    pub(crate) fn thread_pairs(&self) -> BTreeMap<(Thread, Thread), PairTotals> {
        self.threads.pairs()
    }

    /// A block was made. Says what its place among the living keeps, [`Live::tag`].
    #[inline]
    pub(crate) fn made<const SAMPLED: bool>(
        &mut self,
        site: Site,
        thread: Thread,
        at: Nanos,
        made: &Made,
    ) -> u32 {
        let size = made.size;
        let weight = if SAMPLED { self.draw(site, size) } else { Weight::one(size) };
        self.sizes.made(size, weight);
        self.scopes.made(made.scope, site, weight);
        let of_thread = self.seen(thread, at);
        of_thread.allocations += weight.blocks;
        of_thread.bytes = of_thread.bytes.saturating_add(weight.bytes);
        of_thread.made = of_thread.made.wrapping_add(1);
        let nth = of_thread.made;

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
        totals.note_peak(self.peak_number);
        if totals.allocations == 0 {
            totals.first_ns = at;
            totals.last_ns = at;
            totals.size_min = size;
            totals.home = size_power(size);
        }
        let power = size_power(size);
        if power != totals.home {
            totals.powers.of(power).made(weight);
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
        if let How::Realloc { .. } | How::ReallocBegin { .. } = made.how {
            totals.reallocs += weight.blocks;
            totals.reallocs_moved += u64::from(made.is_moved()) * weight.blocks;
        }
        match 1_u64.checked_shl(thread.0) {
            Some(bit) => totals.near_threads |= bit,
            None => totals.far_threads += u32::from(self.far_pairs.insert((site, thread))),
        }
        if global.live_bytes > global.peak_bytes {
            global.peak_bytes = global.live_bytes;
            global.peak_blocks = global.live_blocks;
            global.peak_ns = at;
            self.peak_number += 1;
        }
        let (live, curve) = (global.live_bytes, &mut totals.curve);
        self.slices.change(Change::Made, weight, at, live, curve);
        if self.slices.is_crowded() {
            self.slices.coarsen(curves(&mut self.sites));
        }
        if made.how == How::Zeroed || made.align_log2 > 0 {
            self.note_layout(site, made, weight);
        }
        if SAMPLED { weight.blocks as u32 } else { nth }
    }

    /// What a new block stands for.
    fn draw(&mut self, site: Site, size: u64) -> Weight {
        self.sampling.as_mut().map_or(Weight::one(size), |sampling| sampling.draw(site, size))
    }

    /// What a block counts that [`Totals::made`] has counted.
    #[inline]
    fn weight<const SAMPLED: bool>(&self, block: &Live) -> Weight {
        match &self.sampling {
            Some(sampling) if SAMPLED => sampling.again(block.tag, block.size),
            _ => Weight::one(block.size),
        }
    }

    #[cold]
    fn note_layout(&mut self, site: Site, made: &Made, weight: Weight) {
        let key = (site, made.how == How::Zeroed, alignment(made.align_log2));
        let sums = self.layouts.entry(key).or_default();
        sums.0 += weight.blocks;
        sums.1 = sums.1.saturating_add(weight.bytes);
    }

    /// A block is not alive any more.
    #[inline]
    pub(crate) fn left<const SAMPLED: bool>(&mut self, block: &Live, at: Nanos) {
        let Live { site, size, made, .. } = *block;
        let weight = self.weight::<SAMPLED>(block);
        let at = at.max(made);
        let life = at.0 - made.0;
        self.sizes.left(size, weight);
        let global = &mut self.global;
        global.frees += weight.blocks;
        global.live_blocks -= weight.blocks;
        global.live_bytes = global.live_bytes.saturating_sub(weight.bytes);

        let index = site.0 as usize;
        let totals = &mut self.sites[index];
        totals.note_peak(self.peak_number);
        totals.live_blocks -= weight.blocks;
        totals.live_bytes = totals.live_bytes.saturating_sub(weight.bytes);
        let power = size_power(size);
        if power != totals.home {
            totals.powers.of(power).left(weight);
        }
        if totals.frees == 0 {
            totals.lifetime_min = life;
        }
        totals.frees += weight.blocks;
        totals.lifetime_min = totals.lifetime_min.min(life);
        totals.lifetime_max = totals.lifetime_max.max(life);
        totals.lifetime_sum += u128::from(life) * u128::from(weight.blocks);
        if SAMPLED {
            self.lifetimes.add_many(site, life, weight.blocks);
        } else {
            self.lifetimes.add(site, life);
        }
        totals.last_free_ns = totals.last_free_ns.max(Some(at));
        if is_freed_at_end(at.0, life, self.duration.0) {
            totals.freed_at_end_blocks += weight.blocks;
            totals.freed_at_end_bytes = totals.freed_at_end_bytes.saturating_add(weight.bytes);
        }
        let (live, curve) = (global.live_bytes, &mut totals.curve);
        self.slices.change(Change::Freed, weight, at, live, curve);
    }

    /// A thread made so many blocks that were aggregated away.
    pub(crate) fn unwritten(&mut self, thread: Thread, allocations: u64) {
        let totals = self.threads.get(thread);
        totals.made = totals.made.wrapping_add(allocations as u32);
    }

    /// Who freed a block that left.
    #[inline]
    pub(crate) fn freed_by<const SAMPLED: bool>(&mut self, block: &Live, at: Nanos, by: Thread) {
        let weight = self.weight::<SAMPLED>(block);
        let nth = {
            let of_thread = self.seen(by, at);
            of_thread.frees += weight.blocks;
            if by == block.thread {
                of_thread.own_frees.add(weight);
            }
            of_thread.made
        };
        let totals = &mut self.sites[block.site.0 as usize];
        if by != block.thread {
            totals.cross_thread_frees += weight.blocks;
            self.threads.handed_over(block.thread, by).add(weight);
        } else if !SAMPLED && nth.wrapping_sub(block.tag) <= 1 {
            // What a thread makes between two samples is not known.
            totals.temporary += 1;
            totals.temporary_bytes = totals.temporary_bytes.saturating_add(block.size);
        }
    }

    /// Blocks of a site came and went between two moments and have no rows.
    pub(crate) fn aggregated(
        &mut self,
        site: Site,
        span: (Nanos, Nanos),
        sums: &AggregatedTotals,
        powers: AggregatedPowers<'_>,
    ) {
        self.reach(span.1);
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
        self.sites[index].aggregated(sums, powers);
        self.slices.aggregate(span, sums.blocks, sums.bytes, &mut self.sites[index].curve);
        if self.slices.is_crowded() {
            self.slices.coarsen(curves(&mut self.sites));
        }
        if sums.zeroed || sums.align > 0 {
            let layout = self.layouts.entry((site, sums.zeroed, sums.align)).or_default();
            layout.0 = layout.0.saturating_add(sums.blocks);
            layout.1 = layout.1.saturating_add(sums.bytes);
        }
    }

    /// The same blocks, by who made and who freed them, and when first and last.
    pub(crate) fn aggregated_by(
        &mut self,
        (maker, first_made, last_made): (Thread, Nanos, Nanos),
        (freer, first_freed, last_freed): (Thread, Nanos, Nanos),
        blocks: u64,
        bytes: u64,
    ) {
        self.seen(maker, first_made);
        let of_maker = self.seen(maker, last_made);
        of_maker.allocations = of_maker.allocations.saturating_add(blocks);
        of_maker.bytes = of_maker.bytes.saturating_add(bytes);
        self.seen(freer, first_freed);
        let of_freer = self.seen(freer, last_freed);
        of_freer.frees = of_freer.frees.saturating_add(blocks);
        let pair = if maker == freer {
            &mut of_freer.own_frees
        } else {
            self.threads.handed_over(maker, freer)
        };
        pair.blocks = pair.blocks.saturating_add(blocks);
        pair.bytes = pair.bytes.saturating_add(bytes);
    }

    /// A block is alive at the end.
    pub(crate) fn stays<const SAMPLED: bool>(&mut self, block: &Live) {
        let weight = self.weight::<SAMPLED>(block);
        if let Some(sampling) = self.sampling.as_mut().filter(|_| SAMPLED) {
            sampling.stays(block.site, block.size);
        }
        let thread = self.threads.get(block.thread);
        thread.live_blocks += weight.blocks;
        thread.live_bytes = thread.live_bytes.saturating_add(weight.bytes);
        self.scopes.stays(block.scope, block.site, weight);
        self.slices.stays(weight.bytes, block.made);
    }

    /// Nothing more will come. `end` is the last moment that is known otherwise.
    pub(crate) fn finish(&mut self, end: Nanos) -> Nanos {
        for totals in &mut self.sites {
            totals.note_peak(self.peak_number);
        }
        self.lifetimes.settle();
        end.max(self.global.last)
    }

    /// Whether the run was longer than promised, so that `freed_at_end_*` are not right.
    pub(crate) fn end_was_unknown(&self, duration: Nanos) -> bool {
        duration != self.duration
    }
}

fn curves(sites: &mut [SiteTotals]) -> impl Iterator<Item = &mut Curve> {
    sites.iter_mut().map(|totals| &mut totals.curve)
}

/// Freed in the last 1/50 of the run after living at least 1/50 of it.
#[inline]
fn is_freed_at_end(at: u64, life: u64, duration: u64) -> bool {
    let share = duration / END_SHARE;
    at >= duration.saturating_sub(share) && life >= share
}
