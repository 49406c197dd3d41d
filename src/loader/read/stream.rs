//! Decodes one event stream: event blocks in, [`TimedEvent`]s by ascending timestamp out.
//!
//! Invariants:
//! - Timestamps never decrease within a stream. An event that is stamped earlier than the one
//!   before it gets that one's timestamp, and is counted.
//! - A realloc becomes two events: the free of the old block and the allocation of the new one.
//! - Bytes that can't be decoded are skipped up to the next keyframe, and counted.

use std::collections::VecDeque;

use crate::recording::{Decoder, Event, EventsHead, NodeId, ScopeId, StreamId, ThreadId, Ticks};

/// Marks the stream id of a deferred event; the other bits are its thread. All threads' deferred
/// events are in one stream of the file.
const DEFERRED_THREAD: u32 = 1 << 31;

/// One event at one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimedEvent {
    /// Timestamp in clock ticks.
    pub(crate) at: Ticks,
    /// The stream within which events are in their true order.
    pub(crate) stream: StreamId,
    /// The thread that called the allocator.
    pub(crate) thread: ThreadId,
    /// The kind with its fields.
    pub(crate) kind: EventKind,
}

/// The kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventKind {
    /// A block was allocated.
    Alloc(AllocInfo),
    /// A block was freed.
    Free {
        /// Its address.
        address: u64,
    },
    /// A realloc ends the old block; the stream's next `Alloc` is the new one.
    ReallocEnd {
        /// Address of the old block.
        address: u64,
    },
    /// The thread allocated blocks whose events were aggregated.
    SkippedAllocs {
        /// Number of these blocks.
        allocations: u64,
    },
    /// The allocator returned null.
    Failed {
        /// Requested bytes.
        size: u64,
        /// Call path of the request.
        node: NodeId,
    },
}

/// An allocated block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AllocInfo {
    /// Its address.
    pub(crate) address: u64,
    /// Requested bytes.
    pub(crate) size: u64,
    /// Call path of the allocation.
    pub(crate) node: NodeId,
    /// Log2 of the alignment if it is above 16 bytes, else 0.
    pub(crate) align_log2: u8,
    /// Innermost scope of the thread.
    pub(crate) scope: ScopeId,
    /// The allocator function that was called.
    pub(crate) kind: AllocKind,
}

impl AllocInfo {
    /// Whether a realloc moved the block to another address.
    pub(crate) fn is_moved(&self) -> bool {
        match self.kind {
            AllocKind::Realloc { old } => old != self.address,
            AllocKind::ReallocBegin { moved, .. } => moved,
            AllocKind::Alloc | AllocKind::Zeroed => false,
        }
    }
}

/// The allocator function that allocated a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AllocKind {
    /// `alloc`.
    Alloc,
    /// `alloc_zeroed`.
    Zeroed,
    /// `realloc`, recorded as one event.
    Realloc {
        /// Address of the old block.
        old: u64,
    },
    /// `realloc`, recorded as one event for the old block and one for the new one.
    ReallocBegin {
        /// Whether the address changed.
        moved: bool,
        /// Whether the thread's last `ReallocEnd` ended the old block; if not, the old block has
        /// no row.
        linked: bool,
    },
}

/// The events of one block of the file.
#[derive(Debug)]
struct Chunk {
    bytes: Vec<u8>,
    /// Offset of the first keyframe in `bytes`.
    keyframe: Option<u32>,
    /// Whether bytes of the stream are missing before `bytes`.
    after_gap: bool,
}

/// Losses of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamLosses {
    /// Bytes that are missing or could not be decoded.
    pub(crate) bytes: u64,
    /// Blocks that the file contains twice.
    pub(crate) repeated_blocks: u64,
    /// Events with an earlier timestamp than the event before them.
    pub(crate) backward_stamps: u64,
}

/// One stream.
#[derive(Debug)]
pub(crate) struct Stream {
    id: StreamId,
    decoder: Decoder,
    /// Offset in the stream behind the last pushed byte.
    received: u64,
    chunks: VecDeque<Chunk>,
    /// Offset of the next event in the first chunk.
    offset: usize,
    /// The allocation half of a realloc, to be returned next.
    pending: Option<TimedEvent>,
    /// Timestamp of the last event.
    last: Ticks,
    losses: StreamLosses,
    events: u64,
}

impl Stream {
    /// A stream without events.
    pub(crate) fn new(id: StreamId) -> Self {
        Self {
            id,
            decoder: Decoder::new(),
            received: 0,
            chunks: VecDeque::new(),
            offset: 0,
            pending: None,
            last: Ticks(0),
            losses: StreamLosses::default(),
            events: 0,
        }
    }

    /// Appends the events of a block, copied into `spare`; returns the number of copied bytes.
    pub(crate) fn push(&mut self, head: &EventsHead, events: &[u8], mut spare: Vec<u8>) -> u64 {
        if head.offset < self.received {
            self.losses.repeated_blocks += 1;
            return 0;
        }
        let missing = head.offset - self.received;
        self.losses.bytes = self.losses.bytes.saturating_add(missing);
        self.received = head.offset.saturating_add(events.len() as u64);
        spare.clear();
        spare.extend_from_slice(events);
        self.chunks.push_back(Chunk {
            bytes: spare,
            keyframe: head.keyframe,
            after_gap: missing > 0,
        });
        if self.chunks.len() == 1 {
            self.begin_chunk();
        }
        events.len() as u64
    }

    /// The next event; `None` when all pushed events are decoded. Pushes buffers that are no
    /// longer needed to `spares`.
    #[inline(always)]
    pub(crate) fn next(&mut self, spares: &mut Vec<Vec<u8>>) -> Option<TimedEvent> {
        if let Some(event) = self.pending.take() {
            return Some(event);
        }
        loop {
            let chunk = self.chunks.front()?;
            let mut rest = &chunk.bytes[self.offset..];
            match self.decoder.next(&mut rest) {
                Ok(Some(event)) => {
                    self.offset = chunk.bytes.len() - rest.len();
                    self.events += 1;
                    return Some(self.convert(&event));
                }
                Ok(None) => self.end_chunk(spares),
                Err(_) => {
                    self.offset = chunk.bytes.len() - rest.len();
                    self.recover();
                }
            }
        }
    }

    /// Events decoded so far.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// Losses so far.
    pub(crate) fn losses(&self) -> StreamLosses {
        self.losses
    }

    #[inline(never)]
    fn end_chunk(&mut self, spares: &mut Vec<Vec<u8>>) {
        if let Some(chunk) = self.chunks.pop_front() {
            spares.push(chunk.bytes);
        }
        self.begin_chunk();
    }

    /// Starts to decode the first chunk. Behind a gap, decoding can start only at a keyframe.
    fn begin_chunk(&mut self) {
        self.offset = 0;
        if let Some(chunk) = self.chunks.front().filter(|chunk| chunk.after_gap) {
            self.decoder = Decoder::new();
            self.skip_to(chunk.keyframe.map(|offset| offset as usize));
        }
    }

    /// After a decoding error: continues at the chunk's keyframe if that lies ahead.
    #[cold]
    fn recover(&mut self) {
        self.decoder = Decoder::new();
        let keyframe = self.chunks.front().and_then(|chunk| chunk.keyframe);
        let ahead = keyframe.map(|offset| offset as usize);
        self.skip_to(ahead.filter(|offset| *offset > self.offset));
    }

    /// Skips the first chunk's bytes before `target`, or its rest if there is none.
    fn skip_to(&mut self, target: Option<usize>) {
        let end = self.chunks.front().map_or(0, |chunk| chunk.bytes.len());
        let target = target.unwrap_or(end).min(end);
        let skipped = target.saturating_sub(self.offset) as u64;
        self.losses.bytes = self.losses.bytes.saturating_add(skipped);
        self.offset = target;
    }

    #[inline(always)]
    fn convert(&mut self, event: &Event) -> TimedEvent {
        let (thread, scope) = (self.decoder.thread(), self.decoder.scope());
        let stream = self.ordered_stream(thread);
        let (at, kind) = match *event {
            Event::Alloc { at, address, size, node, align_log2, zeroed } => {
                let kind = if zeroed { AllocKind::Zeroed } else { AllocKind::Alloc };
                let alloc =
                    AllocInfo { address: address.0, size: size.0, node, align_log2, scope, kind };
                (at, EventKind::Alloc(alloc))
            }
            Event::Free { at, address } => (at, EventKind::Free { address: address.0 }),
            Event::Realloc { began, at, old, new, size, node, align_log2 } => {
                let alloc = AllocInfo {
                    address: new.0,
                    size: size.0,
                    node,
                    align_log2,
                    scope,
                    kind: AllocKind::Realloc { old: old.0 },
                };
                let began = self.clamp_to_last(began);
                self.pending = Some(TimedEvent {
                    at: self.clamp_to_last(at),
                    stream,
                    thread,
                    kind: EventKind::Alloc(alloc),
                });
                (began, EventKind::ReallocEnd { address: old.0 })
            }
            Event::ReallocEnd { at, address } => (at, EventKind::ReallocEnd { address: address.0 }),
            Event::ReallocBegin { at, address, size, node, align_log2, moved, linked } => {
                let kind = AllocKind::ReallocBegin { moved, linked };
                let (address, size) = (address.0, size.0);
                (at, EventKind::Alloc(AllocInfo { address, size, node, scope, align_log2, kind }))
            }
            Event::SkippedAllocs { at, allocations } => {
                (at, EventKind::SkippedAllocs { allocations })
            }
            Event::Failed { at, size, node } => (at, EventKind::Failed { size: size.0, node }),
        };
        let at = if self.pending.is_some() { at } else { self.clamp_to_last(at) };
        TimedEvent { at, stream, thread, kind }
    }

    /// The id within which events are in their true order: the stream, or the thread in the stream
    /// of deferred events, which has events of all threads.
    #[inline]
    fn ordered_stream(&self, thread: ThreadId) -> StreamId {
        if self.id == StreamId::DEFERRED { StreamId(thread.0 | DEFERRED_THREAD) } else { self.id }
    }

    /// The timestamp, or the last event's if that is later.
    #[inline(always)]
    fn clamp_to_last(&mut self, at: Ticks) -> Ticks {
        if at < self.last {
            self.losses.backward_stamps += 1;
        } else {
            self.last = at;
        }
        self.last
    }
}
