//! Merges the event streams into one, by ascending timestamp.
//!
//! The recorder drains the threads' ring buffers in turn, so an event can lie in the file behind
//! at most twice as many bytes of later events as all rings together hold. The merge buffers that
//! many undecoded bytes before it emits the earliest event; then the order is right, however long
//! the recorder's flushes took. The bound is in bytes, not in seconds, because memory is bounded
//! and the time between two flushes is not.
//!
//! Invariants:
//! - Events with equal timestamps come by ascending stream id, so that the same recording always
//!   gives the same order.
//! - An event that is out of order all the same keeps its timestamp and is counted.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use crate::loader::read::stream::{Stream, StreamLosses, TimedEvent};
use crate::recording::{EventsHead, FormatError, Header, StreamId, Ticks};

/// Bounds of the buffered bytes, whatever ring sizes the header claims: the upper one limits a
/// load's memory.
const BUFFERED_BYTES_MIN: u64 = 8 << 20;
const BUFFERED_BYTES_MAX: u64 = 64 << 20;

/// Empty buffers kept for reuse.
const SPARES_MAX: usize = 256;

/// A k-way merge of streams.
#[derive(Debug)]
pub(crate) struct Merge {
    streams: Vec<Stream>,
    by_id: HashMap<u32, usize>,
    /// By stream: its next event, decoded, if the stream is in `order`.
    heads: Vec<Option<TimedEvent>>,
    /// Streams by their next event; all that have one, except `current`.
    order: BinaryHeap<Reverse<(Ticks, StreamId, usize)>>,
    /// The stream that the last event came from.
    current: Option<usize>,
    buffered_bytes: u64,
    buffered_bytes_max: u64,
    last: Ticks,
    late_events: u64,
    spares: Vec<Vec<u8>>,
    /// Spares whose length is already subtracted from `buffered_bytes`.
    spares_counted: usize,
    finishing: bool,
}

impl Merge {
    /// For a recording with this header.
    pub(crate) fn new(header: &Header) -> Self {
        let rings = u64::from(header.trackers_max) * u64::from(header.ring_bytes);
        Self::with_buffer(rings.saturating_mul(2).clamp(BUFFERED_BYTES_MIN, BUFFERED_BYTES_MAX))
    }

    /// A merge without streams: a placeholder while the decoder thread owns the real one.
    pub(crate) fn empty() -> Self {
        Self::with_buffer(0)
    }

    fn with_buffer(buffered_bytes_max: u64) -> Self {
        Self {
            streams: Vec::new(),
            by_id: HashMap::new(),
            heads: Vec::new(),
            order: BinaryHeap::new(),
            current: None,
            buffered_bytes: 0,
            buffered_bytes_max,
            last: Ticks(0),
            late_events: 0,
            spares: Vec::new(),
            spares_counted: 0,
            finishing: false,
        }
    }

    /// Adds a block of events. Call [`Merge::next`] until it returns `None` before the next block.
    pub(crate) fn push(&mut self, payload: &[u8]) -> Result<(), FormatError> {
        let (head, events) = EventsHead::read(payload)?;
        let index = *self.by_id.entry(head.stream.0).or_insert_with(|| {
            self.streams.push(Stream::new(head.stream));
            self.heads.push(None);
            self.streams.len() - 1
        });
        let spare = self.spares.pop().unwrap_or_default();
        self.spares.truncate(SPARES_MAX);
        self.spares_counted = self.spares.len();
        self.buffered_bytes += self.streams[index].push(&head, events, spare);
        if self.current != Some(index) && self.heads[index].is_none() {
            self.refill(index);
        }
        Ok(())
    }

    /// No more blocks follow: [`Merge::next`] empties the buffer.
    pub(crate) fn finish(&mut self) {
        self.finishing = true;
    }

    /// The next event; `None` at the end, or when another block might hold an earlier one.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<TimedEvent> {
        if self.buffered_bytes <= self.buffered_bytes_max && !self.finishing {
            return None;
        }
        // Streams come in long runs: try the current one first, without the heap.
        if let Some(index) = self.current {
            match self.next_of(index) {
                Some(event) if self.is_earliest(&event) => return Some(self.emit(event)),
                Some(event) => self.enqueue(event, index),
                None => {}
            }
            self.current = None;
        }
        let Reverse((_, _, index)) = self.order.pop()?;
        self.current = Some(index);
        let event = self.heads[index].take()?;
        Some(self.emit(event))
    }

    /// Decodes the next event of a stream that is not in `order`, and enqueues the stream.
    #[inline(never)]
    fn refill(&mut self, index: usize) {
        if let Some(event) = self.next_of(index) {
            self.enqueue(event, index);
        }
    }

    #[inline(always)]
    fn next_of(&mut self, index: usize) -> Option<TimedEvent> {
        let event = self.streams[index].next(&mut self.spares);
        while self.spares.len() > self.spares_counted {
            let bytes = self.spares[self.spares_counted].len() as u64;
            self.buffered_bytes = self.buffered_bytes.saturating_sub(bytes);
            self.spares_counted += 1;
        }
        event
    }

    #[inline(never)]
    fn enqueue(&mut self, event: TimedEvent, index: usize) {
        self.order.push(Reverse((event.at, event.stream, index)));
        self.heads[index] = Some(event);
    }

    #[inline(always)]
    fn is_earliest(&self, event: &TimedEvent) -> bool {
        self.order
            .peek()
            .is_none_or(|Reverse((at, stream, _))| (event.at, event.stream) <= (*at, *stream))
    }

    #[inline(always)]
    fn emit(&mut self, event: TimedEvent) -> TimedEvent {
        if event.at < self.last {
            self.late_events += 1;
        } else {
            self.last = event.at;
        }
        event
    }

    /// Events decoded so far.
    pub(crate) fn events(&self) -> u64 {
        self.streams.iter().map(Stream::events).sum()
    }

    /// Frees the spare buffers after the last event.
    pub(crate) fn free_buffers(&mut self) {
        self.spares = Vec::new();
        self.spares_counted = 0;
    }

    /// Events that were out of order.
    pub(crate) fn late_events(&self) -> u64 {
        self.late_events
    }

    /// The sums of the streams' losses.
    pub(crate) fn losses(&self) -> StreamLosses {
        let mut sum = StreamLosses::default();
        for stream in &self.streams {
            let losses = stream.losses();
            sum.bytes = sum.bytes.saturating_add(losses.bytes);
            sum.repeated_blocks += losses.repeated_blocks;
            sum.backward_stamps += losses.backward_stamps;
        }
        sum
    }
}
