//! What events do, once they are in their order: they begin and end blocks, which are summed up,
//! held, or written.
//!
//! Reads: decoded events. Writes: `Aggregated` and `Events` payloads through a [`PayloadSink`].
//!
//! Invariant: an event is in the sums, held, written, or part of a block that is.

use crate::collector::aggregate::accumulators::End;
use crate::collector::aggregate::address_index::HashedAddress;
use crate::collector::aggregate::deferred_events::Output;
use crate::collector::aggregate::hold_queue::{self, Held, Kind, Pending, Slot};
use crate::collector::aggregate::merge::{By, Decoded, Form, Stream};
use crate::collector::aggregate::sink::{Counted, PayloadSink};
use crate::collector::aggregate::totals::Sums;
use crate::collector::platform::mmap_vec::{MmapVec, Zeroable};
use crate::recording::{
    AggregatedHead, BlockKind, ByteWriter, Event, EventsHead, PAYLOAD_BYTES_MAX, Ticks,
};

/// A payload of sums is at most this long.
const SUMS_PAYLOAD_BYTES: usize = 256 << 10;
const _: () = assert!(SUMS_PAYLOAD_BYTES < PAYLOAD_BYTES_MAX);

/// What events do, once they are in their order.
pub(crate) struct Heap {
    pub(crate) pending: Pending,
    pub(crate) sums: Sums,
    output: Output,
    /// Blocks that live shorter than this are aggregated, in ticks.
    pub(crate) limit: u64,
    /// Blocks made before this are not aggregated.
    pub(crate) ignore_before: u64,
    /// By stream: of which thread something was written last, and how many it had made by then.
    written: MmapVec<Written>,
    evicted_early: u64,
    /// Bytes that could not be decoded.
    pub(crate) undecoded_bytes: u64,
}

#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Written {
    /// 1 + the thread; 0: nothing was written.
    thread: u32,
    made: u32,
}

// SAFETY: numbers.
unsafe impl Zeroable for Written {}

impl Heap {
    /// For so many trackers; `None`: no memory.
    pub(crate) fn new(trackers_max: usize, now: Ticks) -> Option<Self> {
        Some(Self {
            pending: Pending::new()?,
            sums: Sums::new(now)?,
            output: Output::new()?,
            limit: 0,
            ignore_before: 0,
            written: MmapVec::new(trackers_max)?,
            evicted_early: 0,
            undecoded_bytes: 0,
        })
    }

    pub(crate) fn counted(&self) -> Counted {
        let blocks = self.sums.blocks();
        Counted { blocks, evicted_early: self.evicted_early, undecoded_bytes: self.undecoded_bytes }
    }

    /// Has the processor fetch what these events will ask for.
    pub(crate) fn fetch(&self, events: &[Decoded]) {
        if self.pending.exceeds_cache() {
            events.iter().for_each(|event| self.pending.fetch_place(&event.spot));
            let ends = events.iter().filter(|event| event.form != Form::Alloc);
            ends.for_each(|event| self.pending.fetch_slot(&event.spot));
        }
    }

    /// Takes a stream's decoded events that are not later than `bound`.
    pub(crate) fn take_waiting(
        &mut self,
        stream: &mut Stream,
        by: &By,
        bound: u64,
        sink: &mut dyn PayloadSink,
    ) {
        let Some(first) = stream.waiting().first() else { return };
        self.prepare(first.at, sink);
        while let Some(event) = stream.waiting().first()
            && event.at.0 <= bound
        {
            let is_whole = match event.form {
                Form::Alloc => {
                    self.began(held(by, event), &event.spot);
                    true
                }
                Form::Free => {
                    self.ended(by, Kind::Free, event.at, &event.spot, event.made);
                    true
                }
                Form::Pair if self.is_aggregated_at_once(by, event, bound) => true,
                Form::Pair => {
                    self.began(held(by, event), &event.spot);
                    false
                }
                Form::Other => {
                    if let Some(other) = stream.other() {
                        self.take_other(by, &other, event.made);
                    }
                    true
                }
            };
            if is_whole {
                stream.advance();
            } else {
                stream.split();
            }
        }
    }

    /// Aggregates a block that its thread frees before it does anything else: no event has to be held,
    /// and no address to be known.
    #[inline(always)]
    fn is_aggregated_at_once(&mut self, by: &By, pair: &Decoded, bound: u64) -> bool {
        let freed_at = pair.at.0.wrapping_add(u64::from(pair.freed_ns));
        if freed_at > bound
            || u64::from(pair.freed_ns) >= self.limit
            || pair.at.0 < self.ignore_before
            || self.pending.find(&pair.spot).is_some()
        {
            return false;
        }
        let end = End { at: freed_at, thread: by.thread.0, made: pair.made };
        self.sums.add(&held(by, pair), end);
        true
    }

    /// Makes sure that there is room for whatever the decoded events of a stream bring.
    #[inline(always)]
    fn prepare(&mut self, at: Ticks, sink: &mut dyn PayloadSink) {
        if self.sums.exceeds_load_factor() {
            self.write_sums(at, sink);
        }
        if !self.pending.has_room(hold_queue::AT_ONCE) {
            self.make_room(sink);
        }
    }

    fn take_other(&mut self, by: &By, event: &Event, made: u32) {
        match *event {
            Event::Alloc { at, address, size, node, align_log2, zeroed } => {
                let kind = if zeroed { Kind::Zeroed } else { Kind::Alloc };
                let held = by.held(kind, at, address.0, made);
                let held = Held { size: size.0, node: node.0, align_log2, ..held };
                self.began(held, &HashedAddress::of(address.0));
            }
            Event::Free { at, address } => {
                self.ended(by, Kind::Free, at, &HashedAddress::of(address.0), made);
            }
            Event::Realloc { began, at, old, new, size, node, align_log2 } => {
                // The block that it makes is not made yet when the old one ends.
                let before = made.wrapping_sub(1);
                let old_is =
                    self.ended(by, Kind::ReallocEnd, began, &HashedAddress::of(old.0), before);
                let linked = old_is == Old::Written;
                let held = by.held(Kind::Realloc, at, new.0, made);
                let moved = old != new;
                let (size, node) = (size.0, node.0);
                let held = Held { size, node, align_log2, moved, linked, ..held };
                self.began(held, &HashedAddress::of(new.0));
            }
            Event::Failed { at, size, node } => {
                let held = by.held(Kind::Failed, at, 0, made);
                self.pending.push(Held { size: size.0, node: node.0, ..held });
            }
            Event::ReallocEnd { .. } | Event::ReallocBegin { .. } | Event::SkippedAllocs { .. } => {
            }
        }
    }

    #[inline(always)]
    fn began(&mut self, held: Held, spot: &HashedAddress) {
        if let Some((twin, _)) = self.pending.find(spot) {
            // Two blocks at one address: both are for the loader to put right.
            self.pending.forget(twin);
            self.pending.push(held);
        } else {
            self.pending.push_known(held, spot);
        }
    }

    /// The block at a spot ends.
    #[inline(always)]
    fn ended(&mut self, by: &By, kind: Kind, at: Ticks, spot: &HashedAddress, made: u32) -> Old {
        if let Some((slot, held)) = self.pending.find(spot)
            // What began later is another block: this end was committed late.
            && held.at <= at.0
        {
            if at.0.wrapping_sub(held.at) < self.limit && held.at >= self.ignore_before {
                self.sums.add(held, End { at: at.0, thread: by.thread.0, made });
                self.pending.remove_found(slot, spot);
                return Old::Aggregated;
            }
            self.pending.forget(slot);
        }
        self.pending.push(by.held(kind, at, spot.address(), made));
        Old::Written
    }

    /// Writes events that were not made after `until`, in their order.
    pub(crate) fn write_due(&mut self, until: u64, sink: &mut dyn PayloadSink) {
        let len = self.pending.pick_until(until);
        self.write_picked(len, sink);
    }

    /// More is held than there is room for: the older half is written before its time.
    #[cold]
    fn make_room(&mut self, sink: &mut dyn PayloadSink) {
        let len = self.pending.select_oldest_half();
        self.write_picked(len, sink);
        self.evicted_early = self.evicted_early.wrapping_add(len as u64);
    }

    fn write_picked(&mut self, len: usize, sink: &mut dyn PayloadSink) {
        for at in 0..len {
            if let Some(slot) = self.pending.picked(at) {
                self.write(slot, sink);
            }
        }
    }

    fn write(&mut self, slot: Slot, sink: &mut dyn PayloadSink) {
        let held = self.pending.remove(slot);
        if self.output.is_full() {
            self.write_output(sink);
        }
        let thread = held.thread.wrapping_add(1);
        let unwritten = match self.written.get_mut(usize::from(held.stream)) {
            None => 0,
            Some(written) => {
                let before = if written.thread == thread { written.made } else { 0 };
                *written = Written { thread, made: held.made };
                let own = u32::from(held.is_block());
                held.made.wrapping_sub(before).saturating_sub(own)
            }
        };
        self.output.push(&held, unwritten);
    }

    pub(crate) fn write_output(&mut self, sink: &mut dyn PayloadSink) {
        let counted = self.counted();
        let (head, bytes) = self.output.payload();
        if bytes.is_empty() {
            return;
        }
        sink.note(counted);
        sink.payload(
            BlockKind::Events,
            EventsHead::BYTES.saturating_add(bytes.len()),
            &mut |out: &mut ByteWriter<'_>| {
                head.write(out);
                out.bytes(bytes);
            },
        );
        self.output.taken();
    }

    pub(crate) fn write_sums(&mut self, to: Ticks, sink: &mut dyn PayloadSink) {
        sink.note(self.counted());
        self.sums.write(to, SUMS_PAYLOAD_BYTES, &mut |write| {
            let bytes = SUMS_PAYLOAD_BYTES.saturating_add(AggregatedHead::BYTES);
            sink.payload(BlockKind::Aggregated, bytes, write);
        });
    }
}

/// A block's beginning.
#[inline(always)]
fn held(by: &By, event: &Decoded) -> Held {
    let held = by.held(Kind::Alloc, event.at, event.spot.address(), event.made);
    Held { size: u64::from(event.size), node: event.node, ..held }
}

/// What became of a block that ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Old {
    Aggregated,
    Written,
}
