//! Aggregation: blocks that are freed soon after they were made are summed up and not written.
//!
//! Reads: the trackers' regions, which are decoded here. Writes: `Aggregated` and `Events` payloads
//! through a [`PayloadSink`]. All of it runs on the flusher's thread: the recording path is the same
//! as without aggregation.
//!
//! # Why the sums are exact
//!
//! Events are taken in the order of their stamps up to a *watermark*, a moment that was read
//! before the regions' committed lengths. What an event depends on was committed before it was
//! stamped (a free follows the return of its allocation, an allocation the return of the free
//! before it), so whatever is taken, its cause is taken too, before it. A block that is found
//! free within the limit is aggregated: its sums are what the loader would have computed from its two
//! events. Everything else is written with its own time: after the limit, since until then it
//! may be aggregated.
//!
//! Counters of two processors may disagree by some nanoseconds, so that an address seems to be
//! allocated twice. Then neither block is aggregated, and the loader, which knows how to put such
//! pairs right, sees both.
//!
//! Invariants:
//! - Every event is aggregated, written, or counted as lost.
//! - Written events are in the order of time; within a thread in the order of its program.
//! - Nothing is allocated after [`Aggregator::new`] but pages of its own.

pub(crate) mod lifecycle;
pub(crate) mod deferred_events;
pub(crate) mod totals;
pub(crate) mod group_tables;
pub(crate) mod hash_table;
pub(crate) mod accumulators;
pub(crate) mod merge;
pub(crate) mod hold_queue;
pub(crate) mod address_index;
pub(crate) mod slot_bitmap;
pub(crate) mod sink;

use crate::collector::aggregate::lifecycle::Heap;
use crate::collector::aggregate::merge::Streams;
use crate::collector::event_path::ring::RingShared;
use crate::collector::platform::event_count;
use crate::recording::Ticks;

pub(crate) use crate::collector::aggregate::sink::{Counted, PayloadSink};

/// Sums are written when so much of the time that has passed is in them: the file then has few
/// of them, and a killed process loses little.
const SUMS_SHARE: u64 = 64;

/// And not more often than this.
const SUMS_SECONDS: u64 = 2;

/// A stream of a pass: what is taken from it.
struct Source {
    shared: &'static RingShared,
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
pub(crate) struct Unfolded {
    /// Up to this position its region is to be written as it is.
    pub(crate) until: u64,
    /// It has no keyframe yet from which it could be aggregated.
    pub(crate) keyframe_due: bool,
}

/// The state of aggregation.
pub(crate) struct Aggregator {
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

/// Those that are due are looked for so often, in shares of the time that events are held: each time
/// all of them are looked at.
const PICK_SHARE: u64 = 8;

/// Held events are written at least so often, in shares of the limit and of a second.
const OUTPUT_SHARE: u64 = 4;

impl Aggregator {
    /// For so many trackers, with nothing aggregated yet; `None`: no memory.
    pub(crate) fn new(trackers_max: usize, now: Ticks, second: u64) -> Option<Self> {
        Some(Self {
            streams: Streams::new(trackers_max)?,
            sources: Vec::with_capacity(trackers_max),
            heap: Heap::new(trackers_max, now)?,
            second: second.max(1),
            started: now,
            picked_at: now.0,
            written_at: now.0,
        })
    }

    /// Blocks that live shorter than this are aggregated from now on; never shorter than before.
    pub(crate) fn coarsen(&mut self, limit_ticks: u64) {
        self.heap.limit = self.heap.limit.max(limit_ticks);
    }

    /// What was counted so far.
    pub(crate) fn counted(&self) -> Counted {
        self.heap.counted()
    }

    /// Memory, in bytes.
    pub(crate) fn used_bytes(&self) -> u64 {
        let heap = self.heap.pending.used_bytes().saturating_add(self.heap.sums.used_bytes());
        heap.saturating_add(self.streams.used_bytes())
    }

    /// Bytes that writing the sums may take at most.
    pub(crate) fn sums_bytes_max(&self) -> usize {
        self.heap.sums.bytes_max()
    }

    /// Adds a tracker to the coming pass; what it committed before `end` is taken from the first
    /// keyframe on. What stands before that can't be decoded.
    pub(crate) fn add(&mut self, index: usize, shared: &'static RingShared, end: u64) -> Unfolded {
        if self.streams.get(index).is_none() {
            match shared.keyframe_before(end) {
                Some(keyframe) if self.streams.begin(index, keyframe) => {}
                _ => return Unfolded { until: end, keyframe_due: true },
            }
        }
        let Some(stream) = self.streams.get(index) else {
            return Unfolded { until: end, keyframe_due: true };
        };
        let until = stream.at;
        if self.sources.len() < self.sources.capacity() {
            // The pass finds out when its next event happened.
            self.sources.push(Source { shared, index, end, released: until, next: 0 });
        }
        Unfolded { until, keyframe_due: false }
    }

    /// Events up to `now` went by unseen, as they could not be decoded: what is alive may have been
    /// freed by them and its address be another block's, so no block from before is aggregated.
    pub(crate) fn missed_events(&mut self, now: Ticks) {
        self.heap.ignore_before = self.heap.ignore_before.max(now.0);
    }

    /// Takes all events of the added trackers up to the watermark, which is `now` or, at the end,
    /// all there are; and writes what is due.
    pub(crate) fn pass(&mut self, now: Ticks, watermark: Ticks, sink: &mut dyn PayloadSink) {
        while let Some((first, bound)) = earliest(&self.sources) {
            if self.take_from(first, bound.min(watermark.0), watermark, sink) {
                self.sources.swap_remove(first);
            }
        }
        let held_for = self.heap.limit.saturating_add(self.second / SLACK_SHARE);
        if now.0.saturating_sub(self.picked_at) >= held_for / PICK_SHARE {
            self.picked_at = now.0;
            self.heap.write_due(now.0.saturating_sub(held_for), sink);
        }
        let output_every = (self.heap.limit / OUTPUT_SHARE).min(self.second / OUTPUT_SHARE);
        if now.0.saturating_sub(self.written_at) >= output_every {
            self.written_at = now.0;
            self.heap.write_output(sink);
        }
        let passed = now.0.saturating_sub(self.started.0);
        let sums_every = (passed / SUMS_SHARE).max(self.second.saturating_mul(SUMS_SECONDS));
        if now.0.saturating_sub(self.heap.sums.from().0) >= sums_every {
            self.heap.write_sums(now, sink);
        }
    }

    /// Writes everything: the recording ends.
    pub(crate) fn finish(&mut self, now: Ticks, sink: &mut dyn PayloadSink) {
        self.heap.write_due(u64::MAX, sink);
        self.heap.write_output(sink);
        self.heap.write_sums(now, sink);
    }

    /// Takes the events of a source that are not later than `bound`. Answers whether the source
    /// has none left before the watermark.
    fn take_from(
        &mut self,
        source: usize,
        bound: u64,
        watermark: Ticks,
        sink: &mut dyn PayloadSink,
    ) -> bool {
        let Some(source) = self.sources.get_mut(source) else { return true };
        let Some(stream) = self.streams.get(source.index) else { return true };
        loop {
            let by = stream.by(source.index);
            self.heap.take_waiting(stream, &by, bound, sink);
            if let Some(next) = stream.waiting().first() {
                // What is decoded is not read again.
                source.shared.release_to(stream.at);
                source.next = next.at.0;
                return next.at > watermark;
            }
            stream.fill(source.shared, source.end, &mut self.heap.undecoded_bytes);
            let is_done = stream.waiting().is_empty();
            if is_done || stream.at.wrapping_sub(source.released) >= RELEASE_EVERY {
                source.released = stream.at;
                source.shared.release_to(stream.at);
                event_count::notify_space();
            }
            if is_done {
                return true;
            }
            self.heap.pending.open(stream.parts());
            self.heap.fetch(stream.waiting());
        }
    }
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
