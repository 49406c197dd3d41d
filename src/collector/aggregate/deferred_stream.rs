//! Encodes the deferred events that were not aggregated, as one more event stream.
//!
//! Reads: deferred events in the order of time. Writes: `Events` payloads of [`StreamId::DEFERRED`].
//! Each begins with a keyframe, so that a damaged payload costs only itself.

use crate::collector::aggregate::hold_queue::{DeferredEvent, DeferredKind};
use crate::collector::platform::mmap_vec::MmapVec;
use crate::recording::{
    Address, Bytes, EVENT_BYTES_MAX, Encoder, EventsHead, NodeId, ScopeId, StreamId, ThreadId,
    Ticks,
};

/// Size of the buffer, and so of a payload: large enough that the keyframe and the block's header
/// are under 0.1 % of it.
const BUFFER_BYTES: usize = 128 << 10;

/// Upper bound of what [`DeferredStream::push`] appends: a keyframe or thread switch, a count of
/// skipped allocations, a scope, and the event.
const PUSH_BYTES_MAX: usize = 4 * EVENT_BYTES_MAX;

/// The payload under construction.
pub(crate) struct DeferredStream {
    buffer: MmapVec<u8>,
    used: usize,
    /// Bytes of the stream in earlier payloads.
    offset: u64,
    encoder: Encoder,
    /// Thread and scope of the last event in the buffer.
    thread: ThreadId,
    scope: ScopeId,
}

impl DeferredStream {
    pub(crate) fn new() -> Option<Self> {
        Some(Self {
            buffer: MmapVec::new(BUFFER_BYTES)?,
            used: 0,
            offset: 0,
            encoder: Encoder::new(),
            thread: ThreadId(0),
            scope: ScopeId::NONE,
        })
    }

    /// Whether the payload must be written before the next event is pushed.
    pub(crate) fn is_full(&self) -> bool {
        self.used.saturating_add(PUSH_BYTES_MAX) > BUFFER_BYTES
    }

    /// Appends an event. `skipped_allocs` counts its thread's allocations since the thread's last event
    /// in this stream, all of which were aggregated. Requires that the stream is not full.
    pub(crate) fn push(&mut self, event: &DeferredEvent, skipped_allocs: u32) {
        let at = Ticks(event.at);
        let thread = ThreadId(event.thread);
        if self.used == 0 {
            self.put(|encoder, slot| encoder.keyframe(slot, at, thread));
            self.scope = ScopeId::NONE;
        } else if thread != self.thread {
            self.put(|encoder, slot| encoder.thread(slot, at, thread));
        }
        self.thread = thread;
        if skipped_allocs > 0 {
            self.put(|encoder, slot| encoder.skipped_allocs(slot, at, u64::from(skipped_allocs)));
        }
        let scope = ScopeId(event.scope);
        if event.is_alloc() && scope != self.scope {
            self.put(|encoder, slot| encoder.scope(slot, scope));
            self.scope = scope;
        }
        self.put(|encoder, slot| encode(encoder, slot, event));
    }

    /// The payload's head and bytes; no bytes if there are no events.
    pub(crate) fn payload(&self) -> (EventsHead, &[u8]) {
        let stream = StreamId::DEFERRED;
        let head = EventsHead { stream, offset: self.offset, keyframe: Some(0) };
        (head, self.buffer.as_slice().get(..self.used).unwrap_or_default())
    }

    /// Starts the next payload. The current one was written or counted as lost.
    pub(crate) fn start_next(&mut self) {
        self.offset = self.offset.wrapping_add(self.used as u64);
        self.used = 0;
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

fn encode(encoder: &mut Encoder, slot: &mut [u8; EVENT_BYTES_MAX], event: &DeferredEvent) -> usize {
    let (at, address, size) = (Ticks(event.at), Address(event.address), Bytes(event.size));
    let (node, align) = (NodeId(event.node), event.align_log2);
    match event.kind {
        DeferredKind::Vacant => 0,
        DeferredKind::Alloc if align == 0 => encoder.alloc(slot, at, address, size, node),
        DeferredKind::Alloc => encoder.alloc_long(slot, at, address, size, node, align, false),
        DeferredKind::Zeroed => encoder.alloc_long(slot, at, address, size, node, align, true),
        DeferredKind::Realloc => {
            encoder.realloc_begin(slot, at, address, size, node, align, event.moved, event.linked)
        }
        DeferredKind::ReallocEnd => encoder.realloc_end(slot, at, address),
        DeferredKind::Free => encoder.free(slot, at, address),
        DeferredKind::Failed => encoder.failed(slot, at, size, node),
    }
}
