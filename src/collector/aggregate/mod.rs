//! Aggregation: blocks that are freed soon after their allocation are added to totals and not written.
//!
//! Reads: the rings of the thread recorders, which are decoded here. Writes: `Aggregated` and
//! `Events` payloads through a [`PayloadSink`]. All of it runs on the flusher's thread; the event path
//! is the same as without aggregation.
//!
//! # Why the totals are exact
//!
//! Events are processed in the order of their stamps up to a *watermark*, a moment that was read
//! before the committed lengths of the rings. The events that an event depends on were committed
//! before it was stamped (a free follows the return of its allocation, an allocation the return of the
//! free before it). So whenever an event is processed, its cause has been processed before it. A block
//! that is freed within the limit is aggregated: its totals are those that the loader would have
//! computed from its two events. Every other event is written with its own time, and only after the
//! limit has passed, because until then its block may still be aggregated.
//!
//! The counters of two processors may disagree by some nanoseconds, so that an address seems to be
//! allocated twice. Then neither block is aggregated, and the loader, which can resolve such pairs,
//! gets both.
//!
//! Invariants:
//! - Every event is aggregated, written, or counted as lost.
//! - Written events are in the order of time; those of one thread in program order.
//! - After [`Aggregator::new`], the only allocations are whole pages from the system.

pub(crate) mod lifecycle;
pub(crate) mod deferred_stream;
pub(crate) mod totals;
pub(crate) mod accumulator_tables;
pub(crate) mod accumulators;
pub(crate) mod stream_decoder;
pub(crate) mod hold_queue;
pub(crate) mod address_index;
pub(crate) mod hash_table;
pub(crate) mod slot_bitmap;
pub(crate) mod payload_sink;

use crate::collector::aggregate::lifecycle::Lifecycle;
use crate::collector::aggregate::stream_decoder::StreamDecoders;
use crate::collector::event_path::ring::RingShared;
use crate::collector::platform::event_count;
use crate::recording::Ticks;

pub(crate) use crate::collector::aggregate::payload_sink::{AggregationCounters, PayloadSink};

/// Totals are written when 1/64 of the recording's time is in them: the file then has few of them,
/// and a killed process loses little.
const TOTALS_SHARE: u64 = 64;

/// Seconds between two writes of the totals, at least.
const TOTALS_SECONDS: u64 = 2;

/// A stream of the current pass.
struct Source {
    shared: &'static RingShared,
    index: usize,
    /// Position behind the last byte that was committed when the pass began.
    end: u64,
    /// The ring's space was released up to this position.
    released: u64,
    /// The stamp of the first event that is not processed yet.
    next: u64,
}

/// An event may be committed this share of a second (1/4) after its stamp and still be written in
/// order: its thread may be preempted between the two.
const SLACK_SHARE: u64 = 4;

/// Bytes that are decoded between two releases of a ring's space, which bounds the time that a
/// recording thread waits for space in a large ring.
const RELEASE_EVERY: u64 = 16 << 10;

/// How a stream takes part in a pass.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamStatus {
    /// The ring's bytes up to this position are to be written without decoding.
    pub(crate) raw_until: u64,
    /// There is no keyframe yet at which decoding could start.
    pub(crate) needs_keyframe: bool,
}

/// The state of aggregation.
pub(crate) struct Aggregator {
    decoders: StreamDecoders,
    sources: Vec<Source>,
    lifecycle: Lifecycle,
    /// Ticks per second.
    second: u64,
    started: Ticks,
    /// When the hold queue was last searched for due events.
    selected_at: u64,
    /// When deferred events were last written.
    written_at: u64,
}

/// Due events are selected at this share (1/8) of the time for which events are held, because each
/// selection scans the whole hold queue.
const SELECT_SHARE: u64 = 8;

/// Deferred events are written at least at this share (1/4) of the limit and of a second.
const DEFERRED_SHARE: u64 = 4;

impl Aggregator {
    /// An empty aggregator for `recorders_max` thread recorders; `None` if memory is refused.
    pub(crate) fn new(recorders_max: usize, now: Ticks, second: u64) -> Option<Self> {
        Some(Self {
            decoders: StreamDecoders::new(recorders_max)?,
            sources: Vec::with_capacity(recorders_max),
            lifecycle: Lifecycle::new(recorders_max, now)?,
            second: second.max(1),
            started: now,
            selected_at: now.0,
            written_at: now.0,
        })
    }

    /// Blocks with a shorter lifetime are aggregated from now on. The limit never decreases.
    pub(crate) fn coarsen(&mut self, limit_ticks: u64) {
        self.lifecycle.limit = self.lifecycle.limit.max(limit_ticks);
    }

    /// Counters of this recording so far.
    pub(crate) fn counters(&self) -> AggregationCounters {
        self.lifecycle.counters()
    }

    /// Memory in use, in bytes.
    pub(crate) fn used_bytes(&self) -> u64 {
        let held = self.lifecycle.hold_queue.used_bytes();
        let totals = self.lifecycle.totals.used_bytes();
        held.saturating_add(totals).saturating_add(self.decoders.used_bytes())
    }

    /// Upper bound of the bytes that writing the totals takes.
    pub(crate) fn totals_bytes_max(&self) -> usize {
        self.lifecycle.totals.bytes_max()
    }

    /// Adds a ring to the coming pass, which processes the events that were committed before `end`.
    /// Decoding starts at the first keyframe; earlier bytes can't be decoded.
    pub(crate) fn add(
        &mut self,
        index: usize,
        shared: &'static RingShared,
        end: u64,
    ) -> StreamStatus {
        if self.decoders.get(index).is_none() {
            match shared.keyframe_before(end) {
                Some(keyframe) if self.decoders.start(index, keyframe) => {}
                _ => return StreamStatus { raw_until: end, needs_keyframe: true },
            }
        }
        let Some(decoder) = self.decoders.get(index) else {
            return StreamStatus { raw_until: end, needs_keyframe: true };
        };
        let raw_until = decoder.position;
        if self.sources.len() < self.sources.capacity() {
            // `next` of 0 makes the pass decode this source first and learn its first stamp.
            self.sources.push(Source { shared, index, end, released: raw_until, next: 0 });
        }
        StreamStatus { raw_until, needs_keyframe: false }
    }

    /// Events up to `now` could not be decoded. They may have freed blocks that are live here, and
    /// their addresses may be in use again, so no block from before `now` is aggregated.
    pub(crate) fn missed_events(&mut self, now: Ticks) {
        self.lifecycle.ignore_before = self.lifecycle.ignore_before.max(now.0);
    }

    /// Processes the events of the added rings up to the watermark, which is `now` or, at the end,
    /// the largest stamp; then writes everything that is due.
    pub(crate) fn pass(&mut self, now: Ticks, watermark: Ticks, sink: &mut dyn PayloadSink) {
        while let Some((first, bound)) = earliest(&self.sources) {
            if self.process_source(first, bound.min(watermark.0), watermark, sink) {
                self.sources.swap_remove(first);
            }
        }
        let hold_time = self.lifecycle.limit.saturating_add(self.second / SLACK_SHARE);
        if now.0.saturating_sub(self.selected_at) >= hold_time / SELECT_SHARE {
            self.selected_at = now.0;
            self.lifecycle.write_due(now.0.saturating_sub(hold_time), sink);
        }
        let deferred_every =
            (self.lifecycle.limit / DEFERRED_SHARE).min(self.second / DEFERRED_SHARE);
        if now.0.saturating_sub(self.written_at) >= deferred_every {
            self.written_at = now.0;
            self.lifecycle.write_deferred(sink);
        }
        let elapsed = now.0.saturating_sub(self.started.0);
        let totals_every = (elapsed / TOTALS_SHARE).max(self.second.saturating_mul(TOTALS_SECONDS));
        if now.0.saturating_sub(self.lifecycle.totals.from().0) >= totals_every {
            self.lifecycle.write_totals(now, sink);
        }
    }

    /// Writes everything at the end of the recording.
    pub(crate) fn finish(&mut self, now: Ticks, sink: &mut dyn PayloadSink) {
        self.lifecycle.write_due(u64::MAX, sink);
        self.lifecycle.write_deferred(sink);
        self.lifecycle.write_totals(now, sink);
    }

    /// Processes the events of a source that are not later than `bound`. Returns whether the source
    /// has none left before the watermark.
    fn process_source(
        &mut self,
        source: usize,
        bound: u64,
        watermark: Ticks,
        sink: &mut dyn PayloadSink,
    ) -> bool {
        let Some(source) = self.sources.get_mut(source) else { return true };
        let Some(decoder) = self.decoders.get(source.index) else { return true };
        loop {
            let context = decoder.context(source.index);
            self.lifecycle.process_events(decoder, &context, bound, sink);
            if let Some(next) = decoder.pending().first() {
                // The decoder has copies of the pending events and does not read their bytes again.
                source.shared.release_to(decoder.position);
                source.next = next.at.0;
                return next.at > watermark;
            }
            decoder.fill(source.shared, source.end, &mut self.lifecycle.undecoded_bytes);
            let is_done = decoder.pending().is_empty();
            if is_done || decoder.position.wrapping_sub(source.released) >= RELEASE_EVERY {
                source.released = decoder.position;
                source.shared.release_to(decoder.position);
                event_count::notify_space();
            }
            if is_done {
                return true;
            }
            self.lifecycle.hold_queue.prefault(decoder.chunks());
            self.lifecycle.prefetch(decoder.pending());
        }
    }
}

/// The source with the earliest event, and the earliest stamp among all others.
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
