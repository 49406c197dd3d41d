//! One event stream: blocks in, steps in the order of their stamps out.
//!
//! Reads: the payloads of this stream's event blocks. Writes: [`Step`]s.
//!
//! Invariants:
//! - Stamps never go back within a stream; a clock that does is held and counted.
//! - A realloc becomes two steps, the end of the old block and the beginning of the new one.
//! - What can't be decoded ends at the next keyframe and is counted in bytes.

use std::collections::VecDeque;

use crate::recording::{Decoder, Event, EventsHead, NodeId, ScopeId, StreamId, ThreadId, Ticks};

/// Streams' numbers from here on are threads' in the stream that holds events of all threads.
const DEFERRED_THREADS: u32 = 1 << 31;

/// One thing that happened to one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// When.
    pub(crate) at: Ticks,
    /// On which stream.
    pub(crate) stream: StreamId,
    /// On which thread.
    pub(crate) thread: ThreadId,
    /// What.
    pub(crate) what: What,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A block began.
    Made(Made),
    /// A block ended.
    Freed {
        /// Where.
        address: u64,
    },
    /// A block is about to end because it grows or shrinks; its `Made` is the stream's next one.
    ReallocEnd {
        /// Where.
        address: u64,
    },
    /// The thread made blocks that were aggregated away.
    SkippedAllocs {
        /// How many.
        allocations: u64,
    },
    /// The allocator refused.
    Failed {
        /// Bytes asked for.
        size: u64,
        /// From where.
        node: NodeId,
    },
}

/// A block's beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    /// Where.
    pub(crate) address: u64,
    /// Bytes.
    pub(crate) size: u64,
    /// From where.
    pub(crate) node: NodeId,
    /// Log2 of the alignment where above 16 bytes, else 0.
    pub(crate) align_log2: u8,
    /// In which scope.
    pub(crate) scope: ScopeId,
    /// How it was asked for.
    pub(crate) how: How,
}

impl Made {
    /// Whether it is another block's continuation at another address.
    pub(crate) fn is_moved(&self) -> bool {
        match self.how {
            How::Realloc { old } => old != self.address,
            How::ReallocBegin { moved, .. } => moved,
            How::Alloc | How::Zeroed => false,
        }
    }
}

/// How a block was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// Plainly.
    Alloc,
    /// Zeroed.
    Zeroed,
    /// By growing or shrinking the block at `old`.
    Realloc {
        /// Its address.
        old: u64,
    },
    /// By growing or shrinking a block that ended before.
    ReallocBegin {
        /// Whether the address changed.
        moved: bool,
        /// Whether it is the one that the thread's last `ReallocEnd` ended; else it has no row.
        linked: bool,
    },
}

#[derive(Debug)]
struct Chunk {
    bytes: Vec<u8>,
    keyframe: Option<u32>,
    /// Bytes of this stream are missing before these.
    after_gap: bool,
}

/// What a stream could not give.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamLosses {
    /// Bytes that are missing or could not be decoded.
    pub(crate) bytes: u64,
    /// Blocks that stand in the file a second time.
    pub(crate) repeated_blocks: u64,
    /// Events that were stamped before the stream's last one.
    pub(crate) steps_back: u64,
}

/// One stream.
#[derive(Debug)]
pub(crate) struct Stream {
    id: StreamId,
    decoder: Decoder,
    /// The stream's bytes that were seen so far.
    seen: u64,
    chunks: VecDeque<Chunk>,
    /// Where in the first chunk decoding stands.
    at: usize,
    /// The other half of a realloc.
    second_half: Option<Step>,
    last: Ticks,
    losses: StreamLosses,
    events: u64,
}

impl Stream {
    /// A stream of which nothing was seen yet.
    pub(crate) fn new(id: StreamId) -> Self {
        Self {
            id,
            decoder: Decoder::new(),
            seen: 0,
            chunks: VecDeque::new(),
            at: 0,
            second_half: None,
            last: Ticks(0),
            losses: StreamLosses::default(),
            events: 0,
        }
    }

    /// Takes in a block, and says how many bytes of it are kept; `spare` is a buffer to use.
    pub(crate) fn push(&mut self, head: &EventsHead, events: &[u8], mut spare: Vec<u8>) -> u64 {
        if head.offset < self.seen {
            self.losses.repeated_blocks += 1;
            return 0;
        }
        let missing = head.offset - self.seen;
        self.losses.bytes = self.losses.bytes.saturating_add(missing);
        self.seen = head.offset.saturating_add(events.len() as u64);
        spare.clear();
        spare.extend_from_slice(events);
        self.chunks.push_back(Chunk {
            bytes: spare,
            keyframe: head.keyframe,
            after_gap: missing > 0,
        });
        if self.chunks.len() == 1 {
            self.enter();
        }
        events.len() as u64
    }

    /// The next step; `None` when all that was pushed is used up. Buffers that are done with go
    /// to `spares`.
    #[inline(always)]
    pub(crate) fn next(&mut self, spares: &mut Vec<Vec<u8>>) -> Option<Step> {
        if let Some(step) = self.second_half.take() {
            return Some(step);
        }
        loop {
            let chunk = self.chunks.front()?;
            let mut rest = &chunk.bytes[self.at..];
            match self.decoder.next(&mut rest) {
                Ok(Some(event)) => {
                    self.at = chunk.bytes.len() - rest.len();
                    self.events += 1;
                    return Some(self.step(&event));
                }
                Ok(None) => self.leave(spares),
                Err(_) => {
                    self.at = chunk.bytes.len() - rest.len();
                    self.recover();
                }
            }
        }
    }

    /// Events handed out.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// What could not be given so far.
    pub(crate) fn losses(&self) -> StreamLosses {
        self.losses
    }

    #[inline(never)]
    fn leave(&mut self, spares: &mut Vec<Vec<u8>>) {
        if let Some(chunk) = self.chunks.pop_front() {
            spares.push(chunk.bytes);
        }
        self.enter();
    }

    /// Begins the first chunk: behind a gap only a keyframe says where we are.
    fn enter(&mut self) {
        self.at = 0;
        if let Some(chunk) = self.chunks.front().filter(|chunk| chunk.after_gap) {
            self.decoder = Decoder::new();
            self.skip_to(chunk.keyframe.map(|place| place as usize));
        }
    }

    /// After bytes that can't be decoded: goes on at a keyframe that is still ahead.
    #[cold]
    fn recover(&mut self) {
        self.decoder = Decoder::new();
        let keyframe = self.chunks.front().and_then(|chunk| chunk.keyframe);
        let ahead = keyframe.map(|place| place as usize);
        self.skip_to(ahead.filter(|place| *place > self.at));
    }

    /// Leaves out what stands before `place` in the first chunk, or all the rest of it.
    fn skip_to(&mut self, place: Option<usize>) {
        let end = self.chunks.front().map_or(0, |chunk| chunk.bytes.len());
        let place = place.unwrap_or(end).min(end);
        let left_out = place.saturating_sub(self.at) as u64;
        self.losses.bytes = self.losses.bytes.saturating_add(left_out);
        self.at = place;
    }

    #[inline(always)]
    fn step(&mut self, event: &Event) -> Step {
        let (thread, scope) = (self.decoder.thread(), self.decoder.scope());
        let stream = self.stream_of(thread);
        let (at, what) = match *event {
            Event::Alloc { at, address, size, node, align_log2, zeroed } => {
                let how = if zeroed { How::Zeroed } else { How::Alloc };
                let made = Made { address: address.0, size: size.0, node, align_log2, scope, how };
                (at, What::Made(made))
            }
            Event::Free { at, address } => (at, What::Freed { address: address.0 }),
            Event::Realloc { began, at, old, new, size, node, align_log2 } => {
                let made = Made {
                    address: new.0,
                    size: size.0,
                    node,
                    align_log2,
                    scope,
                    how: How::Realloc { old: old.0 },
                };
                let began = self.hold(began);
                self.second_half =
                    Some(Step { at: self.hold(at), stream, thread, what: What::Made(made) });
                (began, What::ReallocEnd { address: old.0 })
            }
            Event::ReallocEnd { at, address } => (at, What::ReallocEnd { address: address.0 }),
            Event::ReallocBegin { at, address, size, node, align_log2, moved, linked } => {
                let how = How::ReallocBegin { moved, linked };
                let (address, size) = (address.0, size.0);
                (at, What::Made(Made { address, size, node, scope, align_log2, how }))
            }
            Event::SkippedAllocs { at, allocations } => (at, What::SkippedAllocs { allocations }),
            Event::Failed { at, size, node } => (at, What::Failed { size: size.0, node }),
        };
        let at = if self.second_half.is_some() { at } else { self.hold(at) };
        Step { at, stream, thread, what }
    }

    /// Within what the order of events is right: the stream, or a thread of the one that holds
    /// events of all threads.
    #[inline]
    fn stream_of(&self, thread: ThreadId) -> StreamId {
        if self.id == StreamId::DEFERRED { StreamId(thread.0 | DEFERRED_THREADS) } else { self.id }
    }

    /// The stamp, or the stream's last one if that is later.
    #[inline(always)]
    fn hold(&mut self, at: Ticks) -> Ticks {
        if at < self.last {
            self.losses.steps_back += 1;
        } else {
            self.last = at;
        }
        self.last
    }
}
