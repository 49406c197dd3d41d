//! What is summed for threads, and for pairs of them: who made a block, and who freed it.
//!
//! Reads and writes: the sums themselves.
//!
//! Invariant: a pair of two different threads is in [`Threads::handed_over`], a thread's own frees
//! are with the thread.

use std::collections::{BTreeMap, HashMap};

use crate::loader::fast_hash::FastHash;
use crate::loader::model::{Nanos, Thread};
use crate::loader::totals::sample_weights::Weight;

/// Threads with numbers below this are found by index.
const DENSE_THREADS: u32 = 1 << 16;

/// Everything that is summed for a thread. SiteFrames and meanings are those of the table `threads`.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the columns of `threads`, documented in schema.sql")]
pub(crate) struct ThreadTotals {
    pub(crate) span: Option<(Nanos, Nanos)>,
    /// Blocks that it has made by now, aggregated ones included.
    pub(crate) made: u32,
    pub(crate) allocations: u64,
    pub(crate) bytes: u64,
    pub(crate) frees: u64,
    pub(crate) live_blocks: u64,
    pub(crate) live_bytes: u64,
    /// Of the blocks that it freed, its own. Here, as nearly all are: other pairs of threads have
    /// to be looked up.
    pub(crate) own_frees: PairTotals,
}

/// Everything that is summed for a pair of threads. SiteFrames and meanings are those of the table
/// `thread_pairs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the columns of `thread_pairs`, documented in schema.sql")]
pub(crate) struct PairTotals {
    pub(crate) blocks: u64,
    pub(crate) bytes: u64,
}

impl PairTotals {
    /// A block more.
    #[inline]
    pub(crate) fn add(&mut self, weight: Weight) {
        self.blocks += weight.blocks;
        self.bytes = self.bytes.saturating_add(weight.bytes);
    }
}

/// The sums of all threads.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    near: Vec<ThreadTotals>,
    far: BTreeMap<u32, ThreadTotals>,
    /// By who made and who freed, where these are two.
    handed_over: HashMap<(Thread, Thread), PairTotals, FastHash>,
}

impl Threads {
    /// A thread did something. Gives its sums.
    #[inline]
    pub(crate) fn seen(&mut self, thread: Thread, at: Nanos) -> &mut ThreadTotals {
        let totals = self.get(thread);
        match &mut totals.span {
            Some((first, last)) => (*first, *last) = (at.min(*first), at.max(*last)),
            span => *span = Some((at, at)),
        }
        totals
    }

    /// A thread's sums.
    #[inline]
    pub(crate) fn get(&mut self, thread: Thread) -> &mut ThreadTotals {
        if thread.0 >= DENSE_THREADS {
            return self.far.entry(thread.0).or_default();
        }
        let index = thread.0 as usize;
        if self.near.len() <= index {
            self.near.resize_with(index + 1, ThreadTotals::default);
        }
        &mut self.near[index]
    }

    /// All threads that did something.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Thread, &ThreadTotals)> {
        let near = self.near.iter().enumerate();
        let near = near.map(|(index, totals)| (Thread(index as u32), totals));
        let far = self.far.iter();
        near.chain(far.map(|(index, totals)| (Thread(*index), totals)))
            .filter(|(_, totals)| totals.span.is_some())
    }

    /// Pairs of who made and who freed a block, ascending.
    pub(crate) fn pairs(&self) -> BTreeMap<(Thread, Thread), PairTotals> {
        let own = self.all().map(|(thread, totals)| ((thread, thread), totals.own_frees));
        let handed_over = self.handed_over.iter().map(|(pair, totals)| (*pair, *totals));
        own.chain(handed_over).filter(|(_, totals)| totals.blocks > 0).collect()
    }

    /// The sums of a pair of two different threads: who made, and who freed.
    #[inline]
    pub(crate) fn handed_over(&mut self, from: Thread, to: Thread) -> &mut PairTotals {
        self.handed_over.entry((from, to)).or_default()
    }
}
