//! Sums by thread, and by pairs of allocating and freeing thread.
//!
//! Invariant: blocks that a thread allocated and freed itself are in [`ThreadTotals::own_frees`],
//! those of two different threads in [`ThreadTable::cross_thread_pair`].

use std::collections::{BTreeMap, HashMap};

use crate::loader::fast_hash::FastHash;
use crate::loader::model::{Nanos, Thread};
use crate::loader::totals::block_sums::BlockSums;
use crate::loader::totals::sample_weights::Weight;

/// Threads with smaller ids are found by index; only a damaged file has larger ones.
const ARRAY_THREADS_MAX: u32 = 1 << 16;

/// A row of `threads`.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the columns of `threads`, documented in schema.sql")]
pub(crate) struct ThreadTotals {
    /// Times of the first and the last event.
    pub(crate) span: Option<(Nanos, Nanos)>,
    /// Blocks that it has allocated so far, aggregated ones included; wraps around.
    pub(crate) alloc_ordinal: u32,
    /// Blocks that it allocated.
    pub(crate) blocks: BlockSums,
    pub(crate) frees: u64,
    /// Blocks that it allocated and freed. Nearly all frees are such, and need no look-up here.
    pub(crate) own_frees: PairTotals,
}

/// A row of `thread_pairs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the columns of `thread_pairs`, documented in schema.sql")]
pub(crate) struct PairTotals {
    pub(crate) blocks: u64,
    pub(crate) bytes: u64,
}

impl PairTotals {
    /// Adds a freed block.
    #[inline]
    pub(crate) fn add(&mut self, weight: Weight) {
        self.blocks += weight.blocks;
        self.bytes = self.bytes.saturating_add(weight.bytes);
    }
}

/// The sums of all threads.
#[derive(Debug, Default)]
pub(crate) struct ThreadTable {
    /// By id, below [`ARRAY_THREADS_MAX`].
    by_index: Vec<ThreadTotals>,
    /// By id, from there on.
    by_id: BTreeMap<u32, ThreadTotals>,
    /// By allocating and freeing thread, where these differ.
    cross_thread: HashMap<(Thread, Thread), PairTotals, FastHash>,
}

impl ThreadTable {
    /// Records that a thread had an event; returns its sums.
    #[inline]
    pub(crate) fn on_active(&mut self, thread: Thread, at: Nanos) -> &mut ThreadTotals {
        let totals = self.get(thread);
        match &mut totals.span {
            Some((first, last)) => (*first, *last) = (at.min(*first), at.max(*last)),
            span => *span = Some((at, at)),
        }
        totals
    }

    /// The sums of a thread.
    #[inline]
    pub(crate) fn get(&mut self, thread: Thread) -> &mut ThreadTotals {
        if thread.0 >= ARRAY_THREADS_MAX {
            return self.by_id.entry(thread.0).or_default();
        }
        let index = thread.0 as usize;
        if self.by_index.len() <= index {
            self.by_index.resize_with(index + 1, ThreadTotals::default);
        }
        &mut self.by_index[index]
    }

    /// All threads that had an event, by id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Thread, &ThreadTotals)> {
        let by_index = self.by_index.iter().enumerate();
        let by_index = by_index.map(|(index, totals)| (Thread(index as u32), totals));
        let by_id = self.by_id.iter().map(|(id, totals)| (Thread(*id), totals));
        by_index.chain(by_id).filter(|(_, totals)| totals.span.is_some())
    }

    /// All pairs of allocating and freeing thread, ascending.
    pub(crate) fn pairs(&self) -> BTreeMap<(Thread, Thread), PairTotals> {
        let own = self.iter().map(|(thread, totals)| ((thread, thread), totals.own_frees));
        let cross_thread = self.cross_thread.iter().map(|(pair, totals)| (*pair, *totals));
        own.chain(cross_thread).filter(|(_, totals)| totals.blocks > 0).collect()
    }

    /// The sums of a pair of two different threads.
    #[inline]
    pub(crate) fn cross_thread_pair(&mut self, alloc: Thread, free: Thread) -> &mut PairTotals {
        self.cross_thread.entry((alloc, free)).or_default()
    }
}
