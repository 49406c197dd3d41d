//! Pairs every block's beginning with its end.
//!
//! Reads: steps in the order of their stamps. Writes: rows and links to a [`Sink`], totals to
//! [`Totals`].
//!
//! An address alternates between allocated and freed. Clocks of different cores may disagree by
//! a little, so two streams' steps at one address can come in the wrong order; the alternation
//! says so, and within [`SKEW_NS_MAX`] it is put right:
//! - A block begins where one is alive: the older one's end is on its way, or was never recorded.
//!   It ends here; who freed it stays open until the end arrives or the time is up.
//! - A block ends where none is alive: its beginning is on its way, or was before recording.
//!   The end waits for it until the time is up.
//!
//! Within one stream the order is always right, which decides the doubtful cases.
//!
//! Invariants:
//! - At most one block is alive at an address; every beginning becomes exactly one row.
//! - An end that finds no beginning is counted; a beginning that finds no end although its
//!   address was used again is counted and ends where that happened, with nobody as its freer.

use std::collections::{HashMap, VecDeque};

use crate::loader::fast_hash::FastHash;
use crate::loader::live::block::Live;
use crate::loader::live::map::Heap;
use crate::loader::read::stream::{How, Made};
use crate::loader::rows::{Link, Nanos, Row, Site, Thread};
use crate::loader::totals::Totals;
use crate::recording::StreamId;

/// Steps of different streams may be out of order by this much. Counters of a processor's cores
/// differ by less than a microsecond, those of careless virtual machines by a millisecond.
pub(crate) const SKEW_NS_MAX: u64 = 2_000_000;

/// Where rows go.
pub(crate) trait Sink {
    /// A block's whole story. Rows are numbered from 1 in the order of these calls.
    fn row(&mut self, row: Row);
    /// A block that continued another one.
    fn link(&mut self, link: Link);
    /// Whether nobody takes rows any more.
    fn is_gone(&self) -> bool;
}

/// Takes rows and drops them: to check a recording, or to measure all that stands before.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NullSink;

impl Sink for NullSink {
    fn row(&mut self, row: Row) {
        std::hint::black_box(row);
    }

    fn link(&mut self, link: Link) {
        std::hint::black_box(link);
    }

    fn is_gone(&self) -> bool {
        false
    }
}

/// Who does something, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventOrigin {
    /// When.
    pub(crate) at: Nanos,
    /// On which stream.
    pub(crate) stream: StreamId,
    /// On which thread.
    pub(crate) thread: Thread,
}

/// What is in doubt at an address.
#[derive(Debug, Default)]
struct Unresolved {
    /// Blocks whose place was taken; by whom.
    replaced: VecDeque<(Live, EventOrigin)>,
    /// Ends that came before their beginnings.
    early: VecDeque<EventOrigin>,
    since: Nanos,
}

/// What could not be paired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PairingLosses {
    /// Frees of blocks that are not known.
    pub(crate) unknown_frees: u64,
    /// Of these, by growing or shrinking.
    pub(crate) unknown_regrown: u64,
    /// Blocks whose address was used again without a free.
    pub(crate) reused: u64,
    /// Pairs that were put into order.
    pub(crate) reordered: u64,
}

/// All blocks that are alive.
#[derive(Debug, Default)]
pub(crate) struct Pairing {
    live: Heap,
    doubts: HashMap<u64, Unresolved, FastHash>,
    /// When to look at which doubt again, in the order of time.
    timeouts: VecDeque<(Nanos, u64)>,
    /// By stream: the row that its realloc has just ended.
    regrown: HashMap<StreamId, u64, FastHash>,
    rows: u64,
    freed_rows: u64,
    losses: PairingLosses,
}

impl Pairing {
    /// Something will soon happen at this address.
    #[inline]
    pub(crate) fn expect(&self, address: u64) {
        self.live.expect(address);
    }

    /// Where the block at this address was made, if one is alive.
    #[inline]
    pub(crate) fn site_at(&self, address: u64) -> Option<Site> {
        self.live.get(address).map(|block| block.site)
    }

    /// A block begins.
    #[inline]
    pub(crate) fn made<const SAMPLED: bool, S: Sink>(
        &mut self,
        by: EventOrigin,
        site: Site,
        made: &Made,
        totals: &mut Totals,
        sink: &mut S,
    ) {
        if !self.doubts.is_empty() {
            self.settle_until(by.at, sink);
        }
        let mut block = Live {
            made: by.at,
            size: made.size,
            site,
            thread: by.thread,
            scope: made.scope,
            tag: 0,
            continues: 0,
        };
        if let How::Realloc { .. } | How::ReallocBegin { linked: true, .. } = made.how {
            let old_row = self.regrown.remove(&by.stream).unwrap_or(0);
            let moved = old_row != 0 && made.is_moved();
            block.continues = old_row * 2 + u64::from(moved);
        }
        if !self.doubts.is_empty()
            && self.ended_before::<SAMPLED, S>(made, &mut block, by, totals, sink)
        {
            return;
        }
        let (place, older) = self.live.insert(made.address, block);
        if let Some(older) = older {
            totals.left::<SAMPLED>(&older, by.at);
            let doubt = self.doubts.entry(made.address).or_default();
            doubt.replaced.push_back((older, by));
            doubt.since = by.at;
            self.watch(made.address, by.at);
        }
        let tag = totals.made::<SAMPLED>(site, by.thread, by.at, made);
        if let Some(block) = self.live.at(place) {
            block.tag = tag;
        }
    }

    /// A block ends; says its row's number if it is known.
    #[inline]
    pub(crate) fn freed<const SAMPLED: bool, S: Sink>(
        &mut self,
        by: EventOrigin,
        address: u64,
        totals: &mut Totals,
        sink: &mut S,
    ) -> Option<u64> {
        if !self.doubts.is_empty() {
            self.settle_until(by.at, sink);
            if !self.doubts.is_empty()
                && self.end_of_replaced::<SAMPLED, S>(address, by, totals, sink)
            {
                return Some(self.rows);
            }
        }
        let Some(block) = self.live.remove(address) else {
            let doubt = self.doubts.entry(address).or_default();
            doubt.early.push_back(by);
            doubt.since = by.at;
            self.watch(address, by.at);
            return None;
        };
        totals.left::<SAMPLED>(&block, by.at);
        totals.freed_by::<SAMPLED>(&block, by.at, by.thread);
        self.emit(address, &block, Some((by.at, Some(by.thread))), sink);
        Some(self.rows)
    }

    /// A block is about to grow or shrink: it ends, and its stream's next block continues it.
    pub(crate) fn regrown<const SAMPLED: bool, S: Sink>(
        &mut self,
        by: EventOrigin,
        address: u64,
        totals: &mut Totals,
        sink: &mut S,
    ) {
        match self.freed::<SAMPLED, S>(by, address, totals, sink) {
            Some(row) => {
                self.regrown.insert(by.stream, row);
            }
            None => {
                self.regrown.remove(&by.stream);
                self.losses.unknown_regrown += 1;
            }
        }
    }

    /// Rows so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows of blocks that ended; known after [`Pairing::finish`].
    pub(crate) fn freed_rows(&self) -> u64 {
        self.freed_rows
    }

    /// What could not be paired.
    pub(crate) fn losses(&self) -> PairingLosses {
        self.losses
    }

    /// Nothing more will come: what is alive gets its rows, oldest first.
    pub(crate) fn finish<const SAMPLED: bool, S: Sink>(
        &mut self,
        totals: &mut Totals,
        sink: &mut S,
    ) {
        while let Some((_, address)) = self.timeouts.pop_front() {
            self.settle(address, sink);
        }
        self.freed_rows = self.rows;
        for (address, block) in std::mem::take(&mut self.live).into_oldest_first() {
            totals.stays::<SAMPLED>(&block);
            self.emit(address, &block, None, sink);
        }
    }

    #[inline]
    fn emit<S: Sink>(
        &mut self,
        address: u64,
        block: &Live,
        end: Option<(Nanos, Option<Thread>)>,
        sink: &mut S,
    ) {
        self.rows += 1;
        sink.row(Row {
            made: block.made,
            freed: end.map(|(at, _)| at.max(block.made)),
            site: block.site,
            thread: block.thread,
            freed_by: end.and_then(|(_, by)| by),
            size: block.size,
            address,
            scope: block.scope,
        });
        if block.continues != 0 {
            sink.link(Link {
                old_row: block.continues / 2,
                new_row: self.rows,
                moved: block.continues & 1 == 1,
            });
        }
    }

    fn watch(&mut self, address: u64, at: Nanos) {
        let until = Nanos(at.0.saturating_add(SKEW_NS_MAX));
        self.timeouts.push_back((until, address));
    }

    /// Whether this block's end has come before its beginning; then it is done with.
    #[cold]
    fn ended_before<const SAMPLED: bool, S: Sink>(
        &mut self,
        made: &Made,
        block: &mut Live,
        by: EventOrigin,
        totals: &mut Totals,
        sink: &mut S,
    ) -> bool {
        let Some(doubt) = self.doubts.get_mut(&made.address) else {
            return false;
        };
        let fits = doubt.early.iter().position(|end| end.stream != by.stream);
        let Some(end) = fits.and_then(|index| doubt.early.remove(index)) else {
            return false;
        };
        self.losses.reordered += 1;
        block.tag = totals.made::<SAMPLED>(block.site, by.thread, by.at, made);
        totals.left::<SAMPLED>(block, by.at);
        totals.freed_by::<SAMPLED>(block, by.at, end.thread);
        self.emit(made.address, block, Some((by.at, Some(end.thread))), sink);
        true
    }

    /// Whether this is the end of a block whose place was taken; then it is done with.
    #[cold]
    fn end_of_replaced<const SAMPLED: bool, S: Sink>(
        &mut self,
        address: u64,
        by: EventOrigin,
        totals: &mut Totals,
        sink: &mut S,
    ) -> bool {
        let Some(doubt) = self.doubts.get_mut(&address) else {
            return false;
        };
        // In the stream that took the place, the older block's end would have come first.
        let fits = doubt.replaced.iter().position(|(_, taker)| taker.stream != by.stream);
        let Some((block, taker)) = fits.and_then(|index| doubt.replaced.remove(index)) else {
            return false;
        };
        let at = taker.at;
        self.losses.reordered += 1;
        totals.freed_by::<SAMPLED>(&block, at, by.thread);
        self.emit(address, &block, Some((at, Some(by.thread))), sink);
        true
    }

    #[cold]
    fn settle_until<S: Sink>(&mut self, now: Nanos, sink: &mut S) {
        while let Some((until, address)) = self.timeouts.front().copied() {
            if until >= now {
                return;
            }
            self.timeouts.pop_front();
            let fresh = |doubt: &Unresolved| now.0 <= doubt.since.0.saturating_add(SKEW_NS_MAX);
            if !self.doubts.get(&address).is_some_and(fresh) {
                self.settle(address, sink);
            }
        }
    }

    /// The time is up for what is in doubt at this address.
    fn settle<S: Sink>(&mut self, address: u64, sink: &mut S) {
        let Some(doubt) = self.doubts.remove(&address) else {
            return;
        };
        self.losses.unknown_frees += doubt.early.len() as u64;
        for (block, taker) in doubt.replaced {
            self.losses.reused += 1;
            self.emit(address, &block, Some((taker.at, None)), sink);
        }
    }
}
