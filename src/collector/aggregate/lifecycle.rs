//! The life cycle of blocks: each event allocates or frees one, and the block is then aggregated,
//! deferred, or written.
//!
//! Reads: decoded events in the order of time. Writes: `Aggregated` and `Events` payloads through a
//! [`PayloadSink`].
//!
//! Invariant: an event is in the totals, in the hold queue, or written.

use crate::collector::aggregate::accumulators::FreeInfo;
use crate::collector::aggregate::address_index::HashedAddress;
use crate::collector::aggregate::deferred_stream::DeferredStream;
use crate::collector::aggregate::hold_queue::{self, DeferredEvent, DeferredKind, HoldQueue, Slot};
use crate::collector::aggregate::payload_sink::{AggregationCounters, PayloadSink};
use crate::collector::aggregate::stream_decoder::{
    DecodedEvent, EventContext, EventShape, StreamDecoder,
};
use crate::collector::aggregate::totals::Totals;
use crate::collector::platform::mmap_vec::{MmapVec, Zeroable};
use crate::recording::{
    AggregatedHead, BlockKind, ByteWriter, Event, EventsHead, PAYLOAD_BYTES_MAX, Ticks,
};

/// Maximum length of a payload of totals.
const TOTALS_PAYLOAD_BYTES: usize = 256 << 10;
const _: () = assert!(TOTALS_PAYLOAD_BYTES < PAYLOAD_BYTES_MAX);

/// The blocks that are not aggregated yet, and the totals of those that are.
pub(crate) struct Lifecycle {
    pub(crate) hold_queue: HoldQueue,
    pub(crate) totals: Totals,
    deferred: DeferredStream,
    /// Blocks with a shorter lifetime are aggregated, in ticks.
    pub(crate) limit: u64,
    /// Blocks that were allocated before this stamp are not aggregated.
    pub(crate) ignore_before: u64,
    /// Per source stream, the last event that was written.
    last_written: MmapVec<LastWritten>,
    evicted_early: u64,
    /// Bytes that could not be decoded.
    pub(crate) undecoded_bytes: u64,
}

/// Where the deferred events of one source stream are.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct LastWritten {
    /// 1 + the thread's id; 0: no event was written.
    thread: u32,
    /// The thread's number of allocations up to its last written event.
    alloc_count: u32,
}

// SAFETY: two integers: all-zero is a valid value.
unsafe impl Zeroable for LastWritten {}

impl Lifecycle {
    /// For `recorders_max` source streams; `None` if memory is refused.
    pub(crate) fn new(recorders_max: usize, now: Ticks) -> Option<Self> {
        Some(Self {
            hold_queue: HoldQueue::new()?,
            totals: Totals::new(now)?,
            deferred: DeferredStream::new()?,
            limit: 0,
            ignore_before: 0,
            last_written: MmapVec::new(recorders_max)?,
            evicted_early: 0,
            undecoded_bytes: 0,
        })
    }

    pub(crate) fn counters(&self) -> AggregationCounters {
        AggregationCounters {
            blocks: self.totals.blocks(),
            evicted_early: self.evicted_early,
            undecoded_bytes: self.undecoded_bytes,
        }
    }

    /// Prefetches the cache lines that these events will need. The whole batch is prefetched before
    /// its first event is processed; see docs/internals/OVERHEAD.md, "Aggregation and a quota".
    pub(crate) fn prefetch(&self, events: &[DecodedEvent]) {
        if self.hold_queue.exceeds_cache() {
            events.iter().for_each(|event| self.hold_queue.prefetch_index(&event.address));
            let frees = events.iter().filter(|event| event.shape != EventShape::Alloc);
            frees.for_each(|event| self.hold_queue.prefetch_slot(&event.address));
        }
    }

    /// Processes a stream's decoded events that are not later than `bound`.
    pub(crate) fn process_events(
        &mut self,
        decoder: &mut StreamDecoder,
        context: &EventContext,
        bound: u64,
        sink: &mut dyn PayloadSink,
    ) {
        let Some(first) = decoder.pending().first() else { return };
        self.ensure_room(first.at, sink);
        while let Some(event) = decoder.pending().first()
            && event.at.0 <= bound
        {
            let is_complete = match event.shape {
                EventShape::Alloc => {
                    self.on_alloc(deferred_alloc(context, event), &event.address);
                    true
                }
                EventShape::Free => {
                    let kind = DeferredKind::Free;
                    self.on_free(context, kind, event.at, &event.address, event.alloc_count);
                    true
                }
                EventShape::Pair if self.try_aggregate_pair(context, event, bound) => true,
                EventShape::Pair => {
                    self.on_alloc(deferred_alloc(context, event), &event.address);
                    false
                }
                EventShape::Other => {
                    if let Some(full) = decoder.full_event() {
                        self.process_full_event(context, &full, event.alloc_count);
                    }
                    true
                }
            };
            if is_complete {
                decoder.advance();
            } else {
                decoder.reduce_to_free();
            }
        }
    }

    /// Aggregates a block that its thread frees before its next event: nothing has to be deferred, and
    /// no address to be indexed.
    #[inline(always)]
    fn try_aggregate_pair(
        &mut self,
        context: &EventContext,
        pair: &DecodedEvent,
        bound: u64,
    ) -> bool {
        let freed_at = pair.at.0.wrapping_add(u64::from(pair.lifetime_ticks));
        if freed_at > bound
            || u64::from(pair.lifetime_ticks) >= self.limit
            || pair.at.0 < self.ignore_before
            || self.hold_queue.find(&pair.address).is_some()
        {
            return false;
        }
        let thread = context.thread.0;
        let free = FreeInfo { at: freed_at, thread, alloc_count: pair.alloc_count };
        self.totals.add(&deferred_alloc(context, pair), free);
        true
    }

    /// Makes room for the effects of one batch of decoded events.
    #[inline(always)]
    fn ensure_room(&mut self, at: Ticks, sink: &mut dyn PayloadSink) {
        if self.totals.exceeds_load_factor() {
            self.write_totals(at, sink);
        }
        if !self.hold_queue.has_room(hold_queue::PUSH_BATCH_MAX) {
            self.evict_older_half(sink);
        }
    }

    fn process_full_event(&mut self, context: &EventContext, event: &Event, alloc_count: u32) {
        match *event {
            Event::Alloc { at, address, size, node, align_log2, zeroed } => {
                let kind = if zeroed { DeferredKind::Zeroed } else { DeferredKind::Alloc };
                let alloc = context.defer(kind, at, address.0, alloc_count);
                let alloc = DeferredEvent { size: size.0, node: node.0, align_log2, ..alloc };
                self.on_alloc(alloc, &HashedAddress::of(address.0));
            }
            Event::Free { at, address } => {
                let hashed = HashedAddress::of(address.0);
                self.on_free(context, DeferredKind::Free, at, &hashed, alloc_count);
            }
            Event::Realloc { began, at, old, new, size, node, align_log2 } => {
                // The realloc's own allocation does not count yet when the old block is freed.
                let (kind, count) = (DeferredKind::ReallocEnd, alloc_count.wrapping_sub(1));
                let previous = self.on_free(context, kind, began, &HashedAddress::of(old.0), count);
                let linked = previous == PreviousBlock::Deferred;
                let alloc = context.defer(DeferredKind::Realloc, at, new.0, alloc_count);
                let moved = old != new;
                let (size, node) = (size.0, node.0);
                let alloc = DeferredEvent { size, node, align_log2, moved, linked, ..alloc };
                self.on_alloc(alloc, &HashedAddress::of(new.0));
            }
            Event::Failed { at, size, node } => {
                let failed = context.defer(DeferredKind::Failed, at, 0, alloc_count);
                self.hold_queue.push(DeferredEvent { size: size.0, node: node.0, ..failed });
            }
            Event::ReallocEnd { .. } | Event::ReallocBegin { .. } | Event::SkippedAllocs { .. } => {
            }
        }
    }

    #[inline(always)]
    fn on_alloc(&mut self, alloc: DeferredEvent, address: &HashedAddress) {
        if let Some((other, _)) = self.hold_queue.find(address) {
            // Two live blocks at one address: the loader resolves them, so neither is aggregated.
            self.hold_queue.unindex(other);
            self.hold_queue.push(alloc);
        } else {
            self.hold_queue.push_indexed(alloc, address);
        }
    }

    #[inline(always)]
    fn on_free(
        &mut self,
        context: &EventContext,
        kind: DeferredKind,
        at: Ticks,
        address: &HashedAddress,
        alloc_count: u32,
    ) -> PreviousBlock {
        if let Some((slot, alloc)) = self.hold_queue.find(address)
            // A block that was allocated later is another one: this free was committed late.
            && alloc.at <= at.0
        {
            if at.0.wrapping_sub(alloc.at) < self.limit && alloc.at >= self.ignore_before {
                let free = FreeInfo { at: at.0, thread: context.thread.0, alloc_count };
                self.totals.add(alloc, free);
                self.hold_queue.remove_indexed(slot, address);
                return PreviousBlock::Aggregated;
            }
            self.hold_queue.unindex(slot);
        }
        self.hold_queue.push(context.defer(kind, at, address.address(), alloc_count));
        PreviousBlock::Deferred
    }

    /// Writes the deferred events that are not later than `until`, in order.
    pub(crate) fn write_due(&mut self, until: u64, sink: &mut dyn PayloadSink) {
        let len = self.hold_queue.select_until(until);
        self.write_selected(len, sink);
    }

    /// The hold queue is full: its older half is written early.
    #[cold]
    fn evict_older_half(&mut self, sink: &mut dyn PayloadSink) {
        let len = self.hold_queue.select_oldest_half();
        self.write_selected(len, sink);
        self.evicted_early = self.evicted_early.wrapping_add(len as u64);
    }

    fn write_selected(&mut self, len: usize, sink: &mut dyn PayloadSink) {
        for at in 0..len {
            if let Some(slot) = self.hold_queue.selected(at) {
                self.write(slot, sink);
            }
        }
    }

    fn write(&mut self, slot: Slot, sink: &mut dyn PayloadSink) {
        let event = self.hold_queue.remove(slot);
        if self.deferred.is_full() {
            self.write_deferred(sink);
        }
        let thread = event.thread.wrapping_add(1);
        let skipped_allocs = match self.last_written.get_mut(usize::from(event.stream)) {
            None => 0,
            Some(last) => {
                let before = if last.thread == thread { last.alloc_count } else { 0 };
                *last = LastWritten { thread, alloc_count: event.alloc_count };
                let own = u32::from(event.is_alloc());
                event.alloc_count.wrapping_sub(before).saturating_sub(own)
            }
        };
        self.deferred.push(&event, skipped_allocs);
    }

    /// Writes the deferred stream's payload.
    pub(crate) fn write_deferred(&mut self, sink: &mut dyn PayloadSink) {
        let counters = self.counters();
        let (head, bytes) = self.deferred.payload();
        if bytes.is_empty() {
            return;
        }
        sink.note(counters);
        sink.payload(
            BlockKind::Events,
            EventsHead::BYTES.saturating_add(bytes.len()),
            &mut |out: &mut ByteWriter<'_>| {
                head.write(out);
                out.bytes(bytes);
            },
        );
        self.deferred.start_next();
    }

    /// Writes the totals up to `to` and resets them.
    pub(crate) fn write_totals(&mut self, to: Ticks, sink: &mut dyn PayloadSink) {
        sink.note(self.counters());
        self.totals.write(to, TOTALS_PAYLOAD_BYTES, &mut |write| {
            let bytes = TOTALS_PAYLOAD_BYTES.saturating_add(AggregatedHead::BYTES);
            sink.payload(BlockKind::Aggregated, bytes, write);
        });
    }
}

/// The deferred form of a plain allocation.
#[inline(always)]
fn deferred_alloc(context: &EventContext, event: &DecodedEvent) -> DeferredEvent {
    let (address, count) = (event.address.address(), event.alloc_count);
    let alloc = context.defer(DeferredKind::Alloc, event.at, address, count);
    DeferredEvent { size: u64::from(event.size), node: event.node, ..alloc }
}

/// The state of the allocation of a block that is freed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PreviousBlock {
    Aggregated,
    /// It is written or will be, or it is unknown.
    Deferred,
}
