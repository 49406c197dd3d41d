//! Pairs allocations with their frees, by address.
//!
//! An address alternates between allocated and free. The clocks of two cores may disagree a
//! little, so two streams' events at one address can come in the wrong order. The alternation
//! shows it, and within [`SKEW_NS_MAX`] the order is corrected:
//! - An allocation at an address with a live block: the free of the older block is late, or was
//!   never recorded. The older block ends here; the thread that freed it stays unknown until the
//!   free arrives or the time is up.
//! - A free at an address without a live block: the allocation is late, or was before recording
//!   started. The free waits for it until the time is up.
//!
//! Events of one stream are always in the right order, so only another stream's event can be late.
//!
//! Invariants:
//! - At most one block is live at an address; every allocation becomes exactly one row.
//! - A free without an allocation is counted. A block without a free whose address is allocated
//!   again is counted, and ends at that time without a freeing thread.

use std::collections::{HashMap, VecDeque};

use crate::loader::fast_hash::FastHash;
use crate::loader::live::live_block::{BlockTag, LiveBlock, ReallocOrigin};
use crate::loader::live::live_map::LiveMap;
use crate::loader::model::{AllocationRow, Nanos, ReallocRow, Site, Thread};
use crate::loader::read::stream::{AllocInfo, AllocKind};
use crate::loader::totals::Totals;
use crate::recording::StreamId;

/// Maximum clock skew between streams. The cores of one processor differ by less than a
/// microsecond, those of badly configured virtual machines by a millisecond.
pub(crate) const SKEW_NS_MAX: u64 = 2_000_000;

/// A consumer of finished rows.
pub(crate) trait RowSink {
    /// Takes a row of `allocations`. Rows are numbered from 1 in the order of these calls.
    fn row(&mut self, row: AllocationRow);
    /// Takes a row of `reallocs`.
    fn realloc(&mut self, row: ReallocRow);
    /// Whether the consumer has stopped, so that further rows are lost.
    fn is_closed(&self) -> bool;
}

/// Drops all rows: for checking a recording, and for measuring the event pass alone.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NullSink;

impl RowSink for NullSink {
    fn row(&mut self, row: AllocationRow) {
        std::hint::black_box(row);
    }

    fn realloc(&mut self, row: ReallocRow) {
        std::hint::black_box(row);
    }

    fn is_closed(&self) -> bool {
        false
    }
}

/// Time, stream and thread of an event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventOrigin {
    /// Time of the event.
    pub(crate) at: Nanos,
    /// The stream that it was recorded in.
    pub(crate) stream: StreamId,
    /// The thread that called the allocator.
    pub(crate) thread: Thread,
}

/// Events at one address that wait for their counterpart.
#[derive(Debug, Default)]
struct Unresolved {
    /// Blocks without a free, each with the allocation that replaced it.
    replaced: VecDeque<(LiveBlock, EventOrigin)>,
    /// Frees without an allocation.
    early_frees: VecDeque<EventOrigin>,
    /// Time of the latest of them.
    since: Nanos,
}

/// Counters of events that could not be paired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PairingLosses {
    /// Frees of unknown blocks, reallocs included.
    pub(crate) unknown_frees: u64,
    /// Reallocs of unknown blocks.
    pub(crate) unknown_reallocs: u64,
    /// Blocks whose address was allocated again without a free.
    pub(crate) missed_frees: u64,
    /// Pairs whose order was corrected.
    pub(crate) reordered: u64,
}

/// The live blocks, and the events that wait for their counterpart.
#[derive(Debug, Default)]
pub(crate) struct Pairing {
    live: LiveMap,
    /// By address.
    unresolved: HashMap<u64, Unresolved, FastHash>,
    /// When the time is up for an address in `unresolved`, ascending.
    timeouts: VecDeque<(Nanos, u64)>,
    /// By stream: the row of the block that its last `ReallocEnd` ended.
    realloc_ends: HashMap<StreamId, u64, FastHash>,
    rows: u64,
    freed_rows: u64,
    losses: PairingLosses,
}

impl Pairing {
    /// Prefetches the live block at an address that an event will soon need.
    #[inline]
    pub(crate) fn prefetch(&self, address: u64) {
        self.live.prefetch(address);
    }

    /// The site of the live block at an address.
    #[inline]
    pub(crate) fn site_at(&self, address: u64) -> Option<Site> {
        self.live.get(address).map(|block| block.site)
    }

    /// A block was allocated.
    #[inline]
    pub(crate) fn on_alloc<const SAMPLED: bool, S: RowSink>(
        &mut self,
        origin: EventOrigin,
        site: Site,
        alloc: &AllocInfo,
        totals: &mut Totals,
        sink: &mut S,
    ) {
        if !self.unresolved.is_empty() {
            self.resolve_expired(origin.at, sink);
        }
        let mut block = LiveBlock {
            allocated: origin.at,
            size: alloc.size,
            site,
            thread: origin.thread,
            scope: alloc.scope,
            tag: BlockTag::UNSET,
            origin: ReallocOrigin::NONE,
        };
        if let AllocKind::Realloc { .. } | AllocKind::ReallocBegin { linked: true, .. } = alloc.kind
            && let Some(old_row) = self.realloc_ends.remove(&origin.stream)
        {
            block.origin = ReallocOrigin::new(old_row, alloc.is_moved());
        }
        if !self.unresolved.is_empty()
            && self.match_early_free::<SAMPLED, S>(alloc, &mut block, origin, totals, sink)
        {
            return;
        }
        let (slot, replaced) = self.live.insert(alloc.address, block);
        if let Some(replaced) = replaced {
            totals.on_free::<SAMPLED>(&replaced, origin.at);
            let unresolved = self.unresolved.entry(alloc.address).or_default();
            unresolved.replaced.push_back((replaced, origin));
            unresolved.since = origin.at;
            self.schedule_timeout(alloc.address, origin.at);
        }
        let tag = totals.on_alloc::<SAMPLED>(site, origin.thread, origin.at, alloc);
        if let Some(block) = self.live.at(slot) {
            block.tag = tag;
        }
    }

    /// A block was freed; returns the number of its row if the block is known.
    #[inline]
    pub(crate) fn on_free<const SAMPLED: bool, S: RowSink>(
        &mut self,
        origin: EventOrigin,
        address: u64,
        totals: &mut Totals,
        sink: &mut S,
    ) -> Option<u64> {
        if !self.unresolved.is_empty() {
            self.resolve_expired(origin.at, sink);
            if !self.unresolved.is_empty()
                && self.match_replaced_block::<SAMPLED, S>(address, origin, totals, sink)
            {
                return Some(self.rows);
            }
        }
        let Some(block) = self.live.remove(address) else {
            let unresolved = self.unresolved.entry(address).or_default();
            unresolved.early_frees.push_back(origin);
            unresolved.since = origin.at;
            self.schedule_timeout(address, origin.at);
            return None;
        };
        totals.on_free::<SAMPLED>(&block, origin.at);
        totals.on_freed_by::<SAMPLED>(&block, origin.at, origin.thread);
        self.emit_row(address, &block, Some((origin.at, Some(origin.thread))), sink);
        Some(self.rows)
    }

    /// A realloc ended a block; the stream's next allocation is the new block.
    pub(crate) fn on_realloc_end<const SAMPLED: bool, S: RowSink>(
        &mut self,
        origin: EventOrigin,
        address: u64,
        totals: &mut Totals,
        sink: &mut S,
    ) {
        match self.on_free::<SAMPLED, S>(origin, address, totals, sink) {
            Some(row) => {
                self.realloc_ends.insert(origin.stream, row);
            }
            None => {
                self.realloc_ends.remove(&origin.stream);
                self.losses.unknown_reallocs += 1;
            }
        }
    }

    /// Rows so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows of freed blocks, which come before those of live ones; known after
    /// [`Pairing::finish`].
    pub(crate) fn freed_rows(&self) -> u64 {
        self.freed_rows
    }

    /// Counters of events that could not be paired.
    pub(crate) fn losses(&self) -> PairingLosses {
        self.losses
    }

    /// After the last event: emits the rows of the live blocks, oldest first.
    pub(crate) fn finish<const SAMPLED: bool, S: RowSink>(
        &mut self,
        totals: &mut Totals,
        sink: &mut S,
    ) {
        while let Some((_, address)) = self.timeouts.pop_front() {
            self.give_up(address, sink);
        }
        self.freed_rows = self.rows;
        for (address, block) in std::mem::take(&mut self.live).into_oldest_first() {
            totals.on_survivor::<SAMPLED>(&block);
            self.emit_row(address, &block, None, sink);
        }
    }

    /// Emits the row of a block. `end` is the time of its free and the freeing thread, if known.
    #[inline]
    fn emit_row<S: RowSink>(
        &mut self,
        address: u64,
        block: &LiveBlock,
        end: Option<(Nanos, Option<Thread>)>,
        sink: &mut S,
    ) {
        self.rows += 1;
        sink.row(AllocationRow {
            allocated: block.allocated,
            freed: end.map(|(at, _)| at.max(block.allocated)),
            site: block.site,
            alloc_thread: block.thread,
            free_thread: end.and_then(|(_, thread)| thread),
            size: block.size,
            address,
            scope: block.scope,
        });
        if let Some((old_row, moved)) = block.origin.get() {
            sink.realloc(ReallocRow { old_row, new_row: self.rows, moved });
        }
    }

    fn schedule_timeout(&mut self, address: u64, at: Nanos) {
        let until = Nanos(at.0.saturating_add(SKEW_NS_MAX));
        self.timeouts.push_back((until, address));
    }

    /// Pairs a new block with a free that came before its allocation; returns whether there was
    /// one.
    #[cold]
    fn match_early_free<const SAMPLED: bool, S: RowSink>(
        &mut self,
        alloc: &AllocInfo,
        block: &mut LiveBlock,
        origin: EventOrigin,
        totals: &mut Totals,
        sink: &mut S,
    ) -> bool {
        let Some(unresolved) = self.unresolved.get_mut(&alloc.address) else {
            return false;
        };
        let frees = &mut unresolved.early_frees;
        let index = frees.iter().position(|free| free.stream != origin.stream);
        let Some(free) = index.and_then(|index| frees.remove(index)) else {
            return false;
        };
        self.losses.reordered += 1;
        block.tag = totals.on_alloc::<SAMPLED>(block.site, origin.thread, origin.at, alloc);
        totals.on_free::<SAMPLED>(block, origin.at);
        totals.on_freed_by::<SAMPLED>(block, origin.at, free.thread);
        self.emit_row(alloc.address, block, Some((origin.at, Some(free.thread))), sink);
        true
    }

    /// Pairs a free with a block that was replaced before the free came; returns whether there was
    /// one.
    #[cold]
    fn match_replaced_block<const SAMPLED: bool, S: RowSink>(
        &mut self,
        address: u64,
        origin: EventOrigin,
        totals: &mut Totals,
        sink: &mut S,
    ) -> bool {
        let Some(unresolved) = self.unresolved.get_mut(&address) else {
            return false;
        };
        // In the stream of the replacing allocation, the older block's free would have come first.
        let replaced = &mut unresolved.replaced;
        let index = replaced.iter().position(|(_, by)| by.stream != origin.stream);
        let Some((block, by)) = index.and_then(|index| replaced.remove(index)) else {
            return false;
        };
        self.losses.reordered += 1;
        totals.on_freed_by::<SAMPLED>(&block, by.at, origin.thread);
        self.emit_row(address, &block, Some((by.at, Some(origin.thread))), sink);
        true
    }

    /// Gives up on addresses whose time is up.
    #[cold]
    fn resolve_expired<S: RowSink>(&mut self, now: Nanos, sink: &mut S) {
        while let Some((until, address)) = self.timeouts.front().copied() {
            if until >= now {
                return;
            }
            self.timeouts.pop_front();
            let is_fresh =
                |unresolved: &Unresolved| now.0 <= unresolved.since.0.saturating_add(SKEW_NS_MAX);
            if !self.unresolved.get(&address).is_some_and(is_fresh) {
                self.give_up(address, sink);
            }
        }
    }

    /// Counts the events at an address that found no counterpart, and emits the replaced blocks.
    fn give_up<S: RowSink>(&mut self, address: u64, sink: &mut S) {
        let Some(unresolved) = self.unresolved.remove(&address) else {
            return;
        };
        self.losses.unknown_frees += unresolved.early_frees.len() as u64;
        for (block, by) in unresolved.replaced {
            self.losses.missed_frees += 1;
            self.emit_row(address, &block, Some((by.at, None)), sink);
        }
    }
}
