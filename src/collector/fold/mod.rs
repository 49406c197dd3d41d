//! Folding: blocks that are freed soon after they were made are summed up and not written.
//!
//! Reads: the trackers' regions, which are decoded here. Writes: `Folded` and `Events` payloads
//! through a [`Target`]. All of it runs on the flusher's thread: the recording path is the same
//! as without folding.
//!
//! # Why the sums are exact
//!
//! Events are taken in the order of their stamps up to a *watermark*, a moment that was read
//! before the regions' committed lengths. What an event depends on was committed before it was
//! stamped (a free follows the return of its allocation, an allocation the return of the free
//! before it), so whatever is taken, its cause is taken too, before it. A block that is found
//! free within the limit is folded: its sums are what the loader would have computed from its two
//! events. Everything else is written with its own time: after the limit, since until then it
//! may be folded.
//!
//! Counters of two processors may disagree by some nanoseconds, so that an address seems to be
//! allocated twice. Then neither block is folded, and the loader, which knows how to put such
//! pairs right, sees both.
//!
//! Invariants:
//! - Every event is folded, written, or counted as lost.
//! - Written events are in the order of time; within a thread in the order of its program.
//! - Nothing is allocated after [`Fold::new`] but pages of its own.

mod output;
mod sums;
mod tables;
mod growing;
mod parts;
mod streams;
mod pending;
mod places;
mod rows;

use crate::collector::fold::output::Output;
use crate::collector::fold::parts::End;
use crate::collector::fold::pending::{Held, Kind, Pending, Slot};
use crate::collector::fold::places::Spot;
use crate::collector::fold::streams::{By, Decoded, Form, Stream, Streams};
use crate::collector::fold::sums::Sums;
use crate::collector::pages::{Pages, Zeroed};
use crate::collector::region::Shared;
use crate::collector::signal;
use crate::recording::{
    BlockKind, ByteWriter, Event, EventsHead, FoldedHead, PAYLOAD_BYTES_MAX, Ticks,
};

/// A payload of sums is at most this long.
const SUMS_PAYLOAD_BYTES: usize = 256 << 10;
const _: () = assert!(SUMS_PAYLOAD_BYTES < PAYLOAD_BYTES_MAX);

/// Sums are written when so much of the time that has passed is in them: the file then has few
/// of them, and a killed process loses little.
const SUMS_SHARE: u64 = 64;

/// And not more often than this.
const SUMS_SECONDS: u64 = 2;

/// What folding counts.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::collector) struct Counted {
    /// Blocks folded so far.
    pub(in crate::collector) blocks: u64,
    /// Events that were written before it was known whether they could be folded.
    pub(in crate::collector) held_short: u64,
    /// Bytes that could not be decoded: a mistake of ours.
    pub(in crate::collector) undecoded_bytes: u64,
}

/// Where payloads go.
pub(in crate::collector) trait Target {
    /// Takes note of what was counted before the next payload.
    fn note(&mut self, counted: Counted);

    /// Takes a payload of at most `bytes`.
    fn payload(
        &mut self,
        kind: BlockKind,
        bytes: usize,
        write: &mut dyn FnMut(&mut ByteWriter<'_>),
    );
}

/// A stream of a pass: what is taken from it.
struct Source {
    shared: &'static Shared,
    index: usize,
    /// Position behind what was committed when the pass began.
    end: u64,
    /// Up to here the region's room was given back.
    released: u64,
    /// When the first event happened that is not taken yet.
    next: u64,
}

/// An event may be committed so much later than it was stamped, in shares of a second, and still
/// find its place: its thread may be interrupted between the two.
const SLACK_SHARE: u64 = 4;

/// Bytes of a region that are read before their room is given back.
const RELEASE_EVERY: u64 = 16 << 10;

/// What a stream gives to a pass beside its events.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::collector) struct Unfolded {
    /// Up to this position its region is to be written as it is.
    pub(in crate::collector) until: u64,
    /// It has no keyframe yet from which it could be folded.
    pub(in crate::collector) wants_keyframe: bool,
}

/// The state of folding.
pub(in crate::collector) struct Fold {
    streams: Streams,
    sources: Vec<Source>,
    heap: Heap,
    second: u64,
    started: Ticks,
    /// When due events were last looked for.
    picked_at: u64,
    /// When held events were last written.
    written_at: u64,
}

/// What events do, once they are in their order.
struct Heap {
    pending: Pending,
    sums: Sums,
    output: Output,
    /// Blocks that live shorter than this are folded, in ticks.
    limit: u64,
    /// Blocks made before this are not folded.
    blind_until: u64,
    /// By stream: of which thread something was written last, and how many it had made by then.
    written: Pages<Written>,
    held_short: u64,
    undecoded_bytes: u64,
}

#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Written {
    /// 1 + the thread; 0: nothing was written.
    thread: u32,
    made: u32,
}

// SAFETY: numbers.
unsafe impl Zeroed for Written {}

/// Those that are due are looked for so often, in shares of the time that events are held: each time
/// all of them are looked at.
const PICK_SHARE: u64 = 8;

/// Held events are written at least so often, in shares of the limit and of a second.
const OUTPUT_SHARE: u64 = 4;

impl Fold {
    /// For so many trackers, with nothing folded yet; `None`: no memory.
    pub(in crate::collector) fn new(trackers_max: usize, now: Ticks, second: u64) -> Option<Self> {
        Some(Self {
            streams: Streams::new(trackers_max)?,
            sources: Vec::with_capacity(trackers_max),
            heap: Heap {
                pending: Pending::new()?,
                sums: Sums::new(now)?,
                output: Output::new()?,
                limit: 0,
                blind_until: 0,
                written: Pages::new(trackers_max)?,
                held_short: 0,
                undecoded_bytes: 0,
            },
            second: second.max(1),
            started: now,
            picked_at: now.0,
            written_at: now.0,
        })
    }

    /// Blocks that live shorter than this are folded from now on; never shorter than before.
    pub(in crate::collector) fn coarsen(&mut self, limit_ticks: u64) {
        self.heap.limit = self.heap.limit.max(limit_ticks);
    }

    /// What was counted so far.
    pub(in crate::collector) fn counted(&self) -> Counted {
        self.heap.counted()
    }

    /// Memory, in bytes.
    pub(in crate::collector) fn used_bytes(&self) -> u64 {
        let heap = self.heap.pending.used_bytes().saturating_add(self.heap.sums.used_bytes());
        heap.saturating_add(self.streams.used_bytes())
    }

    /// Bytes that writing the sums may take at most.
    pub(in crate::collector) fn sums_bytes_max(&self) -> usize {
        self.heap.sums.bytes_max()
    }

    /// Adds a tracker to the coming pass; what it committed before `end` is taken from the first
    /// keyframe on. What stands before that can't be decoded.
    pub(in crate::collector) fn add(
        &mut self,
        index: usize,
        shared: &'static Shared,
        end: u64,
    ) -> Unfolded {
        if self.streams.get(index).is_none() {
            match shared.keyframe_before(end) {
                Some(keyframe) if self.streams.begin(index, keyframe) => {}
                _ => return Unfolded { until: end, wants_keyframe: true },
            }
        }
        let Some(stream) = self.streams.get(index) else {
            return Unfolded { until: end, wants_keyframe: true };
        };
        let until = stream.at;
        if self.sources.len() < self.sources.capacity() {
            // The pass finds out when its next event happened.
            self.sources.push(Source { shared, index, end, released: until, next: 0 });
        }
        Unfolded { until, wants_keyframe: false }
    }

    /// Events up to `now` went by unseen, as they could not be decoded: what is alive may have been
    /// freed by them and its address be another block's, so no block from before is folded.
    pub(in crate::collector) fn missed_events(&mut self, now: Ticks) {
        self.heap.blind_until = self.heap.blind_until.max(now.0);
    }

    /// Takes all events of the added trackers up to the watermark, which is `now` or, at the end,
    /// all there are; and writes what is due.
    pub(in crate::collector) fn pass(
        &mut self,
        now: Ticks,
        watermark: Ticks,
        target: &mut dyn Target,
    ) {
        while let Some((first, bound)) = earliest(&self.sources) {
            if self.take_from(first, bound.min(watermark.0), watermark, target) {
                self.sources.swap_remove(first);
            }
        }
        let held_for = self.heap.limit.saturating_add(self.second / SLACK_SHARE);
        if now.0.saturating_sub(self.picked_at) >= held_for / PICK_SHARE {
            self.picked_at = now.0;
            self.heap.write_due(now.0.saturating_sub(held_for), target);
        }
        let output_every = (self.heap.limit / OUTPUT_SHARE).min(self.second / OUTPUT_SHARE);
        if now.0.saturating_sub(self.written_at) >= output_every {
            self.written_at = now.0;
            self.heap.write_output(target);
        }
        let passed = now.0.saturating_sub(self.started.0);
        let sums_every = (passed / SUMS_SHARE).max(self.second.saturating_mul(SUMS_SECONDS));
        if now.0.saturating_sub(self.heap.sums.from().0) >= sums_every {
            self.heap.write_sums(now, target);
        }
    }

    /// Writes everything: the recording ends.
    pub(in crate::collector) fn finish(&mut self, now: Ticks, target: &mut dyn Target) {
        self.heap.write_due(u64::MAX, target);
        self.heap.write_output(target);
        self.heap.write_sums(now, target);
    }

    /// Takes the events of a source that are not later than `bound`. Answers whether the source
    /// has none left before the watermark.
    fn take_from(
        &mut self,
        source: usize,
        bound: u64,
        watermark: Ticks,
        target: &mut dyn Target,
    ) -> bool {
        let Some(source) = self.sources.get_mut(source) else { return true };
        let Some(stream) = self.streams.get(source.index) else { return true };
        loop {
            let by = stream.by(source.index);
            self.heap.take_waiting(stream, &by, bound, target);
            if let Some(next) = stream.waiting().first() {
                // What is decoded is not read again.
                source.shared.release_until(stream.at);
                source.next = next.at.0;
                return next.at > watermark;
            }
            stream.fill(source.shared, source.end, &mut self.heap.undecoded_bytes);
            let is_done = stream.waiting().is_empty();
            if is_done || stream.at.wrapping_sub(source.released) >= RELEASE_EVERY {
                source.released = stream.at;
                source.shared.release_until(stream.at);
                signal::announce_room();
            }
            if is_done {
                return true;
            }
            self.heap.pending.open(stream.parts());
            self.heap.fetch(stream.waiting());
        }
    }
}

impl Heap {
    fn counted(&self) -> Counted {
        let blocks = self.sums.blocks();
        Counted { blocks, held_short: self.held_short, undecoded_bytes: self.undecoded_bytes }
    }

    /// Has the processor fetch what these events will ask for.
    fn fetch(&self, events: &[Decoded]) {
        if self.pending.is_far() {
            events.iter().for_each(|event| self.pending.fetch_place(&event.spot));
            let ends = events.iter().filter(|event| event.form != Form::Alloc);
            ends.for_each(|event| self.pending.fetch_slot(&event.spot));
        }
    }

    /// Takes a stream's decoded events that are not later than `bound`.
    fn take_waiting(&mut self, stream: &mut Stream, by: &By, bound: u64, target: &mut dyn Target) {
        let Some(first) = stream.waiting().first() else { return };
        self.prepare(first.at, target);
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
                Form::Pair if self.is_folded_at_once(by, event, bound) => true,
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
                stream.hand_out();
            } else {
                stream.split();
            }
        }
    }

    /// Folds a block that its thread frees before it does anything else: no event has to be held,
    /// and no address to be known.
    #[inline(always)]
    fn is_folded_at_once(&mut self, by: &By, pair: &Decoded, bound: u64) -> bool {
        let freed_at = pair.at.0.wrapping_add(u64::from(pair.freed_after));
        if freed_at > bound
            || u64::from(pair.freed_after) >= self.limit
            || pair.at.0 < self.blind_until
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
    fn prepare(&mut self, at: Ticks, target: &mut dyn Target) {
        if self.sums.is_crowded() {
            self.write_sums(at, target);
        }
        if !self.pending.has_room(pending::AT_ONCE) {
            self.make_room(target);
        }
    }

    fn take_other(&mut self, by: &By, event: &Event, made: u32) {
        match *event {
            Event::Alloc { at, address, size, node, align_log2, zeroed } => {
                let kind = if zeroed { Kind::Zeroed } else { Kind::Alloc };
                let held = by.held(kind, at, address.0, made);
                let held = Held { size: size.0, node: node.0, align_log2, ..held };
                self.began(held, &Spot::of(address.0));
            }
            Event::Free { at, address } => {
                self.ended(by, Kind::Free, at, &Spot::of(address.0), made);
            }
            Event::Realloc { began, at, old, new, size, node, align_log2 } => {
                // The block that it makes is not made yet when the old one ends.
                let before = made.wrapping_sub(1);
                let old_is = self.ended(by, Kind::Regrown, began, &Spot::of(old.0), before);
                let linked = old_is == Old::Written;
                let held = by.held(Kind::Realloc, at, new.0, made);
                let moved = old != new;
                let (size, node) = (size.0, node.0);
                let held = Held { size, node, align_log2, moved, linked, ..held };
                self.began(held, &Spot::of(new.0));
            }
            Event::Failed { at, size, node } => {
                let held = by.held(Kind::Failed, at, 0, made);
                self.pending.push(Held { size: size.0, node: node.0, ..held });
            }
            Event::Regrown { .. } | Event::Continued { .. } | Event::Unwritten { .. } => {}
        }
    }

    #[inline(always)]
    fn began(&mut self, held: Held, spot: &Spot) {
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
    fn ended(&mut self, by: &By, kind: Kind, at: Ticks, spot: &Spot, made: u32) -> Old {
        if let Some((slot, held)) = self.pending.find(spot)
            // What began later is another block: this end was committed late.
            && held.at <= at.0
        {
            if at.0.wrapping_sub(held.at) < self.limit && held.at >= self.blind_until {
                self.sums.add(held, End { at: at.0, thread: by.thread.0, made });
                self.pending.remove_found(slot, spot);
                return Old::Folded;
            }
            self.pending.forget(slot);
        }
        self.pending.push(by.held(kind, at, spot.address(), made));
        Old::Written
    }

    /// Writes events that were not made after `until`, in their order.
    fn write_due(&mut self, until: u64, target: &mut dyn Target) {
        let len = self.pending.pick_until(until);
        self.write_picked(len, target);
    }

    /// More is held than there is room for: the oldest quarter is written before its time.
    #[cold]
    fn make_room(&mut self, target: &mut dyn Target) {
        let len = self.pending.pick_oldest(pending::HELD_MAX / 4);
        self.write_picked(len, target);
        self.held_short = self.held_short.wrapping_add(len as u64);
    }

    fn write_picked(&mut self, len: usize, target: &mut dyn Target) {
        for at in 0..len {
            if let Some(slot) = self.pending.picked(at) {
                self.write(slot, target);
            }
        }
    }

    fn write(&mut self, slot: Slot, target: &mut dyn Target) {
        let held = self.pending.remove(slot);
        if self.output.is_full() {
            self.write_output(target);
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

    fn write_output(&mut self, target: &mut dyn Target) {
        let counted = self.counted();
        let (head, bytes) = self.output.payload();
        if bytes.is_empty() {
            return;
        }
        target.note(counted);
        target.payload(
            BlockKind::Events,
            EventsHead::BYTES.saturating_add(bytes.len()),
            &mut |out: &mut ByteWriter<'_>| {
                head.write(out);
                out.bytes(bytes);
            },
        );
        self.output.taken();
    }

    fn write_sums(&mut self, to: Ticks, target: &mut dyn Target) {
        target.note(self.counted());
        self.sums.write(to, SUMS_PAYLOAD_BYTES, &mut |write| {
            let bytes = SUMS_PAYLOAD_BYTES.saturating_add(FoldedHead::BYTES);
            target.payload(BlockKind::Folded, bytes, write);
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
    Folded,
    Written,
}

/// The source with the earliest event, and the stamp of the earliest one of all others.
#[inline]
fn earliest(sources: &[Source]) -> Option<(usize, u64)> {
    let mut first = (usize::MAX, u64::MAX);
    let mut bound = u64::MAX;
    for (index, source) in sources.iter().enumerate() {
        let at = source.next;
        if at < first.1 || first.0 == usize::MAX {
            bound = first.1;
            first = (index, at);
        } else {
            bound = bound.min(at);
        }
    }
    (first.0 != usize::MAX).then_some((first.0, bound))
}
