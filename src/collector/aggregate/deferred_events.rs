//! Held events as bytes: the stream of all that turned out not to be aggregated.
//!
//! Reads: held events in the order of time. Writes: `Events` payloads of [`StreamId::DEFERRED`], each
//! of which begins with a keyframe, so that a damaged one costs only itself.

use crate::collector::aggregate::hold_queue::{Held, Kind};
use crate::collector::platform::mmap_vec::MmapVec;
use crate::recording::{
    Address, Bytes, EVENT_BYTES_MAX, Encoder, EventsHead, NodeId, ScopeId, StreamId, ThreadId,
    Ticks,
};

/// Bytes that are gathered at most before they are written.
const OUTPUT_BYTES: usize = 128 << 10;

/// No event takes more, with all that may stand before it.
const ROOM_BYTES: usize = 4 * EVENT_BYTES_MAX;

/// The stream under construction.
pub(crate) struct Output {
    buffer: MmapVec<u8>,
    used: usize,
    /// Bytes written before these.
    offset: u64,
    encoder: Encoder,
    thread: ThreadId,
    scope: ScopeId,
    events: u64,
}

impl Output {
    pub(crate) fn new() -> Option<Self> {
        Some(Self {
            buffer: MmapVec::new(OUTPUT_BYTES)?,
            used: 0,
            offset: 0,
            encoder: Encoder::new(),
            thread: ThreadId(0),
            scope: ScopeId::NONE,
            events: 0,
        })
    }

    /// Whether the bytes should be taken before another event comes.
    pub(crate) fn is_full(&self) -> bool {
        self.used.saturating_add(ROOM_BYTES) > OUTPUT_BYTES
    }

    /// Appends an event; `unwritten` are the blocks that its thread made since its last event
    /// here and that were aggregated. Not when [`Output::is_full`].
    pub(crate) fn push(&mut self, held: &Held, unwritten: u32) {
        let at = Ticks(held.at);
        let thread = ThreadId(held.thread);
        if self.used == 0 {
            self.put(|encoder, slot| encoder.keyframe(slot, at, thread));
            self.scope = ScopeId::NONE;
        } else if thread != self.thread {
            self.put(|encoder, slot| encoder.thread(slot, at, thread));
        }
        self.thread = thread;
        if unwritten > 0 {
            self.put(|encoder, slot| encoder.skipped_allocs(slot, at, u64::from(unwritten)));
        }
        let scope = ScopeId(held.scope);
        if held.is_block() && scope != self.scope {
            self.put(|encoder, slot| encoder.scope(slot, scope));
            self.scope = scope;
        }
        self.put(|encoder, slot| encode(encoder, slot, held));
        self.events = self.events.wrapping_add(1);
    }

    /// The bytes, with their head; empty if there are none. [`Output::taken`] begins anew.
    pub(crate) fn payload(&self) -> (EventsHead, &[u8]) {
        let head =
            EventsHead { stream: StreamId::DEFERRED, offset: self.offset, keyframe: Some(0) };
        (head, self.buffer.as_slice().get(..self.used).unwrap_or_default())
    }

    /// The payload was written, or is lost; answers how many events it had.
    pub(crate) fn taken(&mut self) -> u64 {
        self.offset = self.offset.wrapping_add(self.used as u64);
        self.used = 0;
        std::mem::take(&mut self.events)
    }

    fn put(&mut self, encode: impl FnOnce(&mut Encoder, &mut [u8; EVENT_BYTES_MAX]) -> usize) {
        let mut slot = [0; EVENT_BYTES_MAX];
        let len = encode(&mut self.encoder, &mut slot);
        let end = self.used.saturating_add(len);
        if let (Some(to), Some(from)) =
            (self.buffer.as_mut_slice().get_mut(self.used..end), slot.get(..len))
        {
            to.copy_from_slice(from);
            self.used = end;
        }
    }
}

fn encode(encoder: &mut Encoder, slot: &mut [u8; EVENT_BYTES_MAX], held: &Held) -> usize {
    let (at, address, size) = (Ticks(held.at), Address(held.address), Bytes(held.size));
    let (node, align) = (NodeId(held.node), held.align_log2);
    match held.kind {
        Kind::Gone => 0,
        Kind::Alloc if align == 0 => encoder.alloc(slot, at, address, size, node),
        Kind::Alloc => encoder.alloc_long(slot, at, address, size, node, align, false),
        Kind::Zeroed => encoder.alloc_long(slot, at, address, size, node, align, true),
        Kind::Realloc => {
            encoder.realloc_begin(slot, at, address, size, node, align, held.moved, held.linked)
        }
        Kind::ReallocEnd => encoder.realloc_end(slot, at, address),
        Kind::Free => encoder.free(slot, at, address),
        Kind::Failed => encoder.failed(slot, at, size, node),
    }
}
