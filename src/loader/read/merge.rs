//! Many streams → one, in the order of stamps.
//!
//! Reads: event blocks in the order of the file. Writes: [`Step`]s.
//!
//! The recorder drains every stream's region in turn, so a step can stand behind at most as many
//! bytes of others as all regions together hold, twice that if one was drained just before. So
//! much is kept back, undecoded, before the earliest step is let go; then the order is right
//! whatever the clock says. It is a number of bytes and not of seconds because memory has to be
//! bounded and the recorder's patience is not.
//!
//! Invariants:
//! - Equal stamps come in the order of stream numbers, so that the same recording always gives
//!   the same order.
//! - A step that comes too late all the same is handed out with its own stamp, and counted.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use crate::loader::read::stream::{Step, Stream, StreamLosses};
use crate::recording::{EventsHead, FormatError, Header, StreamId, Ticks};

/// Bounds of what is kept back.
const KEPT_BYTES_MIN: u64 = 8 << 20;
const KEPT_BYTES_MAX: u64 = 64 << 20;

/// Buffers kept for re-use.
const SPARES_MAX: usize = 256;

/// Joins streams.
#[derive(Debug)]
pub(crate) struct Merge {
    streams: Vec<Stream>,
    by_id: HashMap<u32, usize>,
    /// The next step of each stream that has one and is not `current`.
    heads: Vec<Option<Step>>,
    /// Streams in `heads` by their next step.
    order: BinaryHeap<Reverse<(Ticks, StreamId, usize)>>,
    /// The stream that the last step came from.
    current: Option<usize>,
    kept_bytes: u64,
    kept_bytes_max: u64,
    last: Ticks,
    late: u64,
    spares: Vec<Vec<u8>>,
    /// How many of `spares` are already taken off `kept_bytes`.
    spares_counted: usize,
    finishing: bool,
}

impl Merge {
    /// For a recording with this header.
    pub(crate) fn new(header: &Header) -> Self {
        let regions = u64::from(header.trackers_max) * u64::from(header.ring_bytes);
        Self::keeping(regions.saturating_mul(2).clamp(KEPT_BYTES_MIN, KEPT_BYTES_MAX))
    }

    /// Without any stream, to stand in for one that is at work elsewhere.
    pub(crate) fn idle() -> Self {
        Self::keeping(0)
    }

    fn keeping(kept_bytes_max: u64) -> Self {
        Self {
            streams: Vec::new(),
            by_id: HashMap::new(),
            heads: Vec::new(),
            order: BinaryHeap::new(),
            current: None,
            kept_bytes: 0,
            kept_bytes_max,
            last: Ticks(0),
            late: 0,
            spares: Vec::new(),
            spares_counted: 0,
            finishing: false,
        }
    }

    /// Takes in a block of events. Take steps out until there are none before the next one.
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
        self.kept_bytes += self.streams[index].push(&head, events, spare);
        if self.current != Some(index) && self.heads[index].is_none() {
            self.refill(index);
        }
        Ok(())
    }

    /// No more blocks will come: everything may go.
    pub(crate) fn finish(&mut self) {
        self.finishing = true;
    }

    /// The next step; `None` when more blocks are needed to be sure of it, or at the end.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<Step> {
        if self.kept_bytes <= self.kept_bytes_max && !self.finishing {
            return None;
        }
        // Streams come in long runs, so the last one is asked first, past the heap.
        if let Some(index) = self.current {
            match self.take(index) {
                Some(step) if self.comes_first(&step) => return Some(self.passed(step)),
                Some(step) => self.wait(step, index),
                None => {}
            }
            self.current = None;
        }
        let Reverse((_, _, index)) = self.order.pop()?;
        self.current = Some(index);
        let step = self.heads[index].take()?;
        Some(self.passed(step))
    }

    /// Gives a stream that is not the current one its place in the order.
    #[inline(never)]
    fn refill(&mut self, index: usize) {
        if let Some(step) = self.take(index) {
            self.wait(step, index);
        }
    }

    #[inline(always)]
    fn take(&mut self, index: usize) -> Option<Step> {
        let step = self.streams[index].next(&mut self.spares);
        while self.spares.len() > self.spares_counted {
            let spare = self.spares[self.spares_counted].len() as u64;
            self.kept_bytes = self.kept_bytes.saturating_sub(spare);
            self.spares_counted += 1;
        }
        step
    }

    #[inline(never)]
    fn wait(&mut self, step: Step, index: usize) {
        self.order.push(Reverse((step.at, step.stream, index)));
        self.heads[index] = Some(step);
    }

    #[inline(always)]
    fn comes_first(&self, step: &Step) -> bool {
        self.order
            .peek()
            .is_none_or(|Reverse((at, stream, _))| (step.at, step.stream) <= (*at, *stream))
    }

    #[inline(always)]
    fn passed(&mut self, step: Step) -> Step {
        if step.at < self.last {
            self.late += 1;
        } else {
            self.last = step.at;
        }
        step
    }

    /// Events handed out.
    pub(crate) fn events(&self) -> u64 {
        self.streams.iter().map(Stream::events).sum()
    }

    /// Gives memory back when all is handed out.
    pub(crate) fn forget_buffers(&mut self) {
        self.spares = Vec::new();
        self.spares_counted = 0;
    }

    /// Steps that came too late to be in order.
    pub(crate) fn late(&self) -> u64 {
        self.late
    }

    /// What the streams could not give.
    pub(crate) fn losses(&self) -> StreamLosses {
        let mut sum = StreamLosses::default();
        for stream in &self.streams {
            let losses = stream.losses();
            sum.bytes = sum.bytes.saturating_add(losses.bytes);
            sum.repeated_blocks += losses.repeated_blocks;
            sum.steps_back += losses.steps_back;
        }
        sum
    }
}
