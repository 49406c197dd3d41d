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
mod streams;
mod pending;

use crate::collector::fold::output::Output;
use crate::collector::fold::pending::{Held, Kind, Pending, Slot};
use crate::collector::fold::streams::{By, Streams};
use crate::collector::fold::sums::{End, Sums};
use crate::collector::region::Shared;
use crate::collector::signal;
use crate::recording::{
    BlockKind, ByteWriter, Event, EventsHead, FoldedHead, PAYLOAD_BYTES_MAX, ThreadId, Ticks,
};

/// A payload of sums is at most this long.
const SUMS_PAYLOAD_BYTES: usize = 256 << 10;
const _: () = assert!(SUMS_PAYLOAD_BYTES < PAYLOAD_BYTES_MAX);

/// Sums are written when so much of the time that has passed is in them: the file then has few
/// of them, and a killed process loses little.
const SUMS_SHARE: u64 = 64;

/// And not more often than this.
const SUMS_SECONDS: u64 = 2;

/// Where payloads go.
pub(in crate::collector) trait Target {
    /// Takes a payload of at most `bytes`.
    fn payload(
        &mut self,
        kind: BlockKind,
        bytes: usize,
        write: &mut dyn FnMut(&mut ByteWriter<'_>),
    );
}

/// A stream of a pass: what is taken from it, and from whom.
pub(in crate::collector) struct Source {
    shared: &'static Shared,
    index: usize,
    /// Position behind what was committed when the pass began.
    end: u64,
    /// Up to here the region's room was given back.
    released: u64,
    next: Event,
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
    pending: Pending,
    sums: Sums,
    output: Output,
    streams: Streams,
    sources: Vec<Source>,
    /// In ticks.
    limit: u64,
    /// Blocks made before this are not folded.
    blind_until: u64,
    second: u64,
    started: Ticks,
    /// When held events were last written.
    written_at: u64,
    held_short: u64,
    undecoded: u64,
}

/// Held events are written at least so often, in shares of the limit and of a second.
const OUTPUT_SHARE: u64 = 4;

impl Fold {
    /// For so many trackers, with nothing folded yet; `None`: no memory.
    pub(in crate::collector) fn new(trackers_max: usize, now: Ticks, second: u64) -> Option<Self> {
        Some(Self {
            pending: Pending::new()?,
            sums: Sums::new(now)?,
            output: Output::new()?,
            streams: Streams::new(trackers_max)?,
            sources: Vec::with_capacity(trackers_max),
            limit: 0,
            blind_until: 0,
            second: second.max(1),
            started: now,
            written_at: now.0,
            held_short: 0,
            undecoded: 0,
        })
    }

    /// Blocks that live shorter than this are folded from now on; never shorter than before.
    pub(in crate::collector) fn coarsen(&mut self, limit_ticks: u64) {
        self.limit = self.limit.max(limit_ticks);
    }

    /// Blocks folded so far.
    pub(in crate::collector) fn blocks(&self) -> u64 {
        self.sums.blocks()
    }

    /// Events that were written before it was known whether they could be folded.
    pub(in crate::collector) fn held_short(&self) -> u64 {
        self.held_short
    }

    /// Bytes that could not be decoded: a mistake of ours.
    pub(in crate::collector) fn undecoded_bytes(&self) -> u64 {
        self.undecoded
    }

    /// Memory, in bytes.
    pub(in crate::collector) fn used_bytes(&self) -> u64 {
        self.pending.used_bytes().saturating_add(self.streams.used_bytes())
    }

    /// Bytes that writing the sums may take at most.
    pub(in crate::collector) fn sums_bytes_max(&self) -> usize {
        self.sums.bytes_max()
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
        if self.sources.len() < self.sources.capacity()
            && let Some(next) = stream.next(shared, end, &mut self.undecoded)
        {
            self.sources.push(Source { shared, index, end, released: until, next });
        }
        Unfolded { until, wants_keyframe: false }
    }

    /// Events up to `now` went by unseen, as they could not be decoded: what is alive may have been
    /// freed by them and its address be another block's, so no block from before is folded.
    pub(in crate::collector) fn missed_events(&mut self, now: Ticks) {
        self.blind_until = self.blind_until.max(now.0);
    }

    /// Takes all events of the added trackers up to the watermark, which is `now` or, at the end,
    /// all there are; and writes what is due.
    pub(in crate::collector) fn pass(
        &mut self,
        now: Ticks,
        watermark: Ticks,
        target: &mut dyn Target,
    ) {
        let mut sources = std::mem::take(&mut self.sources);
        while let Some((first, bound)) = earliest(&sources) {
            let is_done = match sources.get_mut(first) {
                Some(source) => self.take_from(source, bound.min(watermark.0), watermark, target),
                None => true,
            };
            if is_done {
                sources.swap_remove(first);
            }
        }
        self.sources = sources;
        let slack = self.second / SLACK_SHARE;
        self.write_due(now.0.saturating_sub(self.limit.saturating_add(slack)), target);
        let output_every = (self.limit / OUTPUT_SHARE).min(self.second / OUTPUT_SHARE);
        if now.0.saturating_sub(self.written_at) >= output_every {
            self.written_at = now.0;
            self.write_output(target);
        }
        let passed = now.0.saturating_sub(self.started.0);
        let sums_every = (passed / SUMS_SHARE).max(self.second.saturating_mul(SUMS_SECONDS));
        if now.0.saturating_sub(self.sums.from().0) >= sums_every {
            self.write_sums(now, target);
        }
    }

    /// Writes everything: the recording ends.
    pub(in crate::collector) fn finish(&mut self, now: Ticks, target: &mut dyn Target) {
        self.write_due(u64::MAX, target);
        self.write_output(target);
        self.write_sums(now, target);
    }

    /// Takes the events of a source that are not later than `bound`. Answers whether the source
    /// has none left before the watermark.
    fn take_from(
        &mut self,
        source: &mut Source,
        bound: u64,
        watermark: Ticks,
        target: &mut dyn Target,
    ) -> bool {
        // A copy, so that the decoder's answer stays in registers.
        let mut event = source.next;
        loop {
            if event.at().0 > bound {
                if event.at() <= watermark {
                    source.next = event;
                    return false;
                }
                if let Some(stream) = self.streams.get(source.index) {
                    stream.give_back(event);
                    source.shared.release_until(stream.at);
                }
                return true;
            }
            let Some(stream) = self.streams.get(source.index) else { return true };
            let by = stream.by(source.index, &event);
            let Some(next) = stream.next(source.shared, source.end, &mut self.undecoded) else {
                source.shared.release_until(stream.at);
                self.take(&by, &event, target);
                return true;
            };
            if stream.at.wrapping_sub(source.released) >= RELEASE_EVERY {
                source.released = stream.at;
                source.shared.release_until(stream.at);
                signal::announce_room();
            }
            let is_same_thread = stream.thread == by.thread;
            if is_same_thread && next.at().0 <= bound && self.is_folded_at_once(&by, &event, &next)
            {
                // Both are done with.
                let Some(stream) = self.streams.get(source.index) else { return true };
                match stream.next(source.shared, source.end, &mut self.undecoded) {
                    Some(after) => event = after,
                    None => {
                        source.shared.release_until(stream.at);
                        return true;
                    }
                }
                continue;
            }
            self.take(&by, &event, target);
            event = next;
        }
    }

    /// Folds a block that its thread frees before it does anything else: no event has to be held,
    /// and no address to be known.
    #[inline(always)]
    fn is_folded_at_once(&mut self, by: &By, event: &Event, next: &Event) -> bool {
        let (
            Event::Alloc { at, address, size, node, align_log2, zeroed: false },
            Event::Free { at: end, address: freed },
        ) = (*event, *next)
        else {
            return false;
        };
        let life = end.0.wrapping_sub(at.0);
        if address != freed
            || life >= self.limit
            || at.0 < self.blind_until
            || self.sums.is_crowded()
            || self.pending.find(address.0).is_some()
        {
            return false;
        }
        let held = by.held(Kind::Alloc, at, address.0);
        let held = Held { size: size.0, node: node.0, align_log2, ..held };
        self.sums.add(&held, End { at: end.0, thread: by.thread.0, made: by.made });
        true
    }

    fn take(&mut self, by: &By, event: &Event, target: &mut dyn Target) {
        if self.sums.is_crowded() {
            self.write_sums(event.at(), target);
        }
        if !self.pending.has_room() {
            self.make_room(target);
        }
        match *event {
            Event::Alloc { at, address, size, node, align_log2, zeroed } => {
                let kind = if zeroed { Kind::Zeroed } else { Kind::Alloc };
                let held = by.held(kind, at, address.0);
                self.began(Held { size: size.0, node: node.0, align_log2, ..held });
            }
            Event::Free { at, address } => {
                self.ended(by, Kind::Free, at, address.0);
            }
            Event::Realloc { began, at, old, new, size, node, align_log2 } => {
                // The block that it makes is not made yet when the old one ends.
                let before = By { made: by.made.wrapping_sub(1), ..*by };
                let linked = self.ended(&before, Kind::Regrown, began, old.0) == Old::Written;
                let held = by.held(Kind::Realloc, at, new.0);
                let moved = old != new;
                let (size, node) = (size.0, node.0);
                self.began(Held { size, node, align_log2, moved, linked, ..held });
            }
            Event::Failed { at, size, node } => {
                let held = by.held(Kind::Failed, at, 0);
                self.pending.push(Held { size: size.0, node: node.0, ..held });
            }
            Event::Regrown { .. } | Event::Continued { .. } | Event::Unwritten { .. } => {}
        }
    }

    #[inline]
    fn began(&mut self, held: Held) {
        let twin = self.pending.find(held.address).map(|(twin, _)| twin);
        let Some(slot) = self.pending.push(held) else { return };
        match twin {
            None => self.pending.know(slot),
            // Two blocks at one address: both are for the loader to put right.
            Some(twin) => self.pending.forget(twin),
        }
    }

    /// The block at an address ends.
    #[inline]
    fn ended(&mut self, by: &By, kind: Kind, at: Ticks, address: u64) -> Old {
        if let Some((slot, held)) = self.pending.find(address)
            // What began later is another block: this end was committed late.
            && held.at <= at.0
        {
            if at.0.wrapping_sub(held.at) < self.limit && held.at >= self.blind_until {
                if let Some(block) = self.pending.remove(slot) {
                    self.sums.add(&block, End { at: at.0, thread: by.thread.0, made: by.made });
                }
                return Old::Folded;
            }
            self.pending.forget(slot);
        }
        self.pending.push(by.held(kind, at, address));
        Old::Written
    }

    /// Writes events that were not made after `until`, in their order.
    fn write_due(&mut self, until: u64, target: &mut dyn Target) {
        while let Some((slot, held)) = self.pending.oldest()
            && held.at <= until
        {
            self.write(slot, target);
        }
    }

    /// More is held than there is room for: the oldest quarter is written before its time.
    #[cold]
    fn make_room(&mut self, target: &mut dyn Target) {
        for _ in 0..pending::HELD_MAX / 4 {
            let Some((slot, _)) = self.pending.oldest() else { return };
            self.write(slot, target);
            self.held_short = self.held_short.wrapping_add(1);
        }
    }

    fn write(&mut self, slot: Slot, target: &mut dyn Target) {
        let Some(held) = self.pending.remove(slot) else { return };
        if self.output.is_full() {
            self.write_output(target);
        }
        let unwritten = match self.streams.get(held.stream as usize) {
            None => 0,
            Some(stream) => {
                let thread = ThreadId(held.thread);
                let before = if stream.written.0 == thread { stream.written.1 } else { 0 };
                stream.written = (thread, held.made);
                let own = u32::from(held.is_block());
                held.made.wrapping_sub(before).saturating_sub(own)
            }
        };
        self.output.push(&held, unwritten);
    }

    fn write_output(&mut self, target: &mut dyn Target) {
        let (head, bytes) = self.output.payload();
        if bytes.is_empty() {
            return;
        }
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
        self.sums.write(to, SUMS_PAYLOAD_BYTES, &mut |write| {
            let bytes = SUMS_PAYLOAD_BYTES.saturating_add(FoldedHead::BYTES);
            target.payload(BlockKind::Folded, bytes, write);
        });
    }
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
        let at = source.next.at().0;
        if at < first.1 || first.0 == usize::MAX {
            bound = first.1;
            first = (index, at);
        } else {
            bound = bound.min(at);
        }
    }
    (first.0 != usize::MAX).then_some((first.0, bound))
}
