//! Decodes the event stream of each thread recorder, a batch at a time.
//!
//! Reads: rings. Writes: its own pages.
//!
//! Invariant: a stream's bytes are written without decoding up to a keyframe; from there on, for the
//! rest of the recording, they are decoded.

use std::ptr::NonNull;

use crate::collector::aggregate::address_index::HashedAddress;
use crate::collector::aggregate::hold_queue::{DeferredEvent, DeferredKind};
use crate::collector::event_path::ring::RingShared;
use crate::collector::platform::mmap_vec::{MmapVec, prefetch};
use crate::collector::platform::sys;
use crate::recording::{Address, CompactEvent, Decoder, Event, ScopeId, ThreadId, Ticks};

/// Events per batch: enough that the first prefetches have completed when the events are processed.
const BATCH: usize = 64;

/// The ring's bytes are prefetched one batch ahead: a batch of 64 events has about two cache lines of
/// 2-byte events and six of 6-byte ones. Aggregating 8 million events of `flat` (benches/peers) takes
/// 102 ms in place of 110 with it; `json` and `server` do not change.
const LINE: usize = 64;
const PREFETCH_FROM: usize = 2 * LINE;
const PREFETCH_LINES: usize = 6;

/// A decoded event in compact form.
#[derive(Clone, Copy)]
pub(crate) struct DecodedEvent {
    pub(crate) at: Ticks,
    pub(crate) address: HashedAddress,
    pub(crate) size: u32,
    pub(crate) node: u32,
    /// Allocations of the thread up to and including this event.
    pub(crate) alloc_count: u32,
    /// [`EventShape::Pair`]: ticks from the allocation to the free.
    pub(crate) lifetime_ticks: u16,
    pub(crate) shape: EventShape,
}

/// Which events a [`DecodedEvent`] stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventShape {
    Alloc,
    Free,
    /// An allocation and its free, with no event of the thread between them.
    Pair,
    /// Any other event: [`StreamDecoder::full_event`] has it.
    Other,
}

/// Decodes one stream.
pub(crate) struct StreamDecoder {
    decoder: Decoder,
    /// Position of the first byte that is not decoded.
    pub(crate) position: u64,
    /// Thread and scope of the batch.
    thread: ThreadId,
    scope: ScopeId,
    /// The thread's number of allocations so far.
    alloc_count: u32,
    batch: [DecodedEvent; BATCH],
    /// Range of the batch that is not processed yet.
    next: usize,
    len: usize,
    /// Chunks of the address index that the batch needs: see [`HashedAddress::chunk`].
    chunks: u64,
    /// Events of [`EventShape::Other`], at their indices in the batch.
    full_events: [Event; BATCH],
}

const NO_FULL_EVENT: Event = Event::Free { at: Ticks(0), address: Address(0) };
const NO_EVENT: DecodedEvent = DecodedEvent {
    at: Ticks(0),
    address: HashedAddress::NONE,
    size: 0,
    node: 0,
    alloc_count: 0,
    lifetime_ticks: 0,
    shape: EventShape::Free,
};

impl StreamDecoder {
    /// Decodes from the keyframe at this position on.
    fn new(position: u64) -> Self {
        Self {
            decoder: Decoder::new(),
            position,
            thread: ThreadId(u32::MAX),
            scope: ScopeId::NONE,
            alloc_count: 0,
            batch: [NO_EVENT; BATCH],
            next: 0,
            len: 0,
            chunks: 0,
            full_events: [NO_FULL_EVENT; BATCH],
        }
    }

    /// The decoded events that are not processed yet.
    #[inline(always)]
    pub(crate) fn pending(&self) -> &[DecodedEvent] {
        self.batch.get(self.next..self.len).unwrap_or_default()
    }

    /// The chunks of the address index that most events of the batch need, as a bit set.
    pub(crate) fn chunks(&self) -> u64 {
        self.chunks
    }

    /// Marks the first pending event as processed.
    #[inline(always)]
    pub(crate) fn advance(&mut self) {
        self.next = self.next.wrapping_add(1);
    }

    /// Marks the allocation of the first pending event, a pair, as processed; its free remains.
    pub(crate) fn reduce_to_free(&mut self) {
        if let Some(pair) = self.batch.get_mut(self.next) {
            pair.at = Ticks(pair.at.0.wrapping_add(u64::from(pair.lifetime_ticks)));
            pair.shape = EventShape::Free;
        }
    }

    /// The first pending event in full; valid for [`EventShape::Other`].
    pub(crate) fn full_event(&self) -> Option<Event> {
        self.full_events.get(self.next).copied()
    }

    /// The context of the batch's events; `index` is the stream's.
    #[inline(always)]
    pub(crate) fn context(&self, index: usize) -> EventContext {
        EventContext { index: index as u16, thread: self.thread, scope: self.scope }
    }

    /// Decodes the next batch before the position `end`; all of its events have the same thread and
    /// scope. Requires that no event is pending. None is pending afterwards only if the stream has none.
    #[inline(never)]
    pub(crate) fn fill(&mut self, shared: &RingShared, end: u64, undecoded: &mut u64) {
        (self.next, self.len, self.chunks) = (0, 0, 0);
        self.sync_thread();
        while self.position < end && self.len < BATCH {
            let (mut bytes, room) = shared.contiguous(self.position, end);
            let all = bytes.len();
            if all == 0 {
                return;
            }
            // The bytes are in the cache of the core that recorded them.
            let ahead = bytes.iter().skip(PREFETCH_FROM).step_by(LINE).take(PREFETCH_LINES);
            ahead.for_each(prefetch);
            // Events start inside `room`; the last one may extend into the slack behind it.
            while self.len < BATCH && !bytes.is_empty() && all.wrapping_sub(bytes.len()) < room {
                if let Some((compact, len)) = self.decoder.step_compact(bytes) {
                    bytes = bytes.get(len..).unwrap_or_default();
                    self.append_compact(&compact);
                    continue;
                }
                let Ok(event) = self.decoder.step(&mut bytes) else {
                    // The recorder's own encoder wrote these bytes, so this is a bug; it is counted.
                    *undecoded = undecoded.wrapping_add(end.wrapping_sub(self.position));
                    self.position = end;
                    return;
                };
                match event {
                    Some(event) => self.append(event),
                    None if self.is_other_thread() && self.len > 0 => {
                        self.position =
                            self.position.wrapping_add(all.wrapping_sub(bytes.len()) as u64);
                        return;
                    }
                    None => self.sync_thread(),
                }
            }
            self.position = self.position.wrapping_add(all.wrapping_sub(bytes.len()) as u64);
        }
    }

    #[inline(always)]
    fn append_compact(&mut self, compact: &CompactEvent) {
        if compact.is_free
            && let Some(last) = self.len.checked_sub(1)
            && let Some(alloc) = self.batch.get_mut(last)
            && alloc.address.address() == compact.address.0
            && alloc.shape == EventShape::Alloc
            && let Ok(lifetime_ticks) = u16::try_from(compact.at.0.wrapping_sub(alloc.at.0))
        {
            (alloc.shape, alloc.lifetime_ticks) = (EventShape::Pair, lifetime_ticks);
            return;
        }
        self.alloc_count = self.alloc_count.wrapping_add(u32::from(!compact.is_free));
        let address = HashedAddress::of(compact.address.0);
        self.chunks |= address.chunk();
        let decoded = DecodedEvent {
            at: compact.at,
            address,
            size: compact.size_bytes,
            node: compact.node.0,
            alloc_count: self.alloc_count,
            lifetime_ticks: 0,
            shape: if compact.is_free { EventShape::Free } else { EventShape::Alloc },
        };
        if let Some(slot) = self.batch.get_mut(self.len) {
            *slot = decoded;
            self.len = self.len.wrapping_add(1);
        }
    }

    fn append(&mut self, event: Event) {
        if matches!(event, Event::Alloc { .. } | Event::Realloc { .. }) {
            self.alloc_count = self.alloc_count.wrapping_add(1);
        }
        let address = match event {
            Event::Alloc { address, .. } | Event::Free { address, .. } => address,
            Event::Realloc { old, .. } => old,
            _ => Address(0),
        };
        let decoded = DecodedEvent {
            at: event.at(),
            address: HashedAddress::of(address.0),
            alloc_count: self.alloc_count,
            shape: EventShape::Other,
            ..NO_EVENT
        };
        if let (Some(slot), Some(full)) =
            (self.batch.get_mut(self.len), self.full_events.get_mut(self.len))
        {
            *slot = decoded;
            *full = event;
            self.len = self.len.wrapping_add(1);
        }
    }

    fn is_other_thread(&self) -> bool {
        self.decoder.thread() != self.thread || self.decoder.scope() != self.scope
    }

    fn sync_thread(&mut self) {
        if self.decoder.thread() != self.thread {
            self.thread = self.decoder.thread();
            self.alloc_count = 0;
        }
        self.scope = self.decoder.scope();
    }
}

/// Stream, thread and scope of an event.
#[derive(Clone, Copy)]
pub(crate) struct EventContext {
    pub(crate) index: u16,
    pub(crate) thread: ThreadId,
    pub(crate) scope: ScopeId,
}

impl EventContext {
    /// A deferred event of this context, without the fields of an allocation.
    #[inline(always)]
    pub(crate) fn defer(
        &self,
        kind: DeferredKind,
        at: Ticks,
        address: u64,
        alloc_count: u32,
    ) -> DeferredEvent {
        DeferredEvent {
            stream: self.index,
            thread: self.thread.0,
            scope: self.scope.0,
            alloc_count,
            ..DeferredEvent::new(kind, at.0, address)
        }
    }
}

/// The decoders of all streams, by stream index.
pub(crate) struct StreamDecoders {
    /// Addresses of [`StreamDecoder`]s; 0: the stream is not decoded yet.
    table: MmapVec<u64>,
    started: u64,
}

impl StreamDecoders {
    pub(crate) fn new(streams_max: usize) -> Option<Self> {
        Some(Self { table: MmapVec::new(streams_max)?, started: 0 })
    }

    #[inline]
    pub(crate) fn get(&mut self, index: usize) -> Option<&mut StreamDecoder> {
        let address = *self.table.get(index)?;
        // SAFETY: the table holds zeros and addresses that `start` stored; each is of a decoder in
        // its own mapping, which lives until `drop`. The reference borrows all decoders.
        unsafe { (address as *mut StreamDecoder).as_mut() }
    }

    /// Starts decoding a stream at the keyframe at `position`; `false` if memory is refused.
    pub(crate) fn start(&mut self, index: usize, position: u64) -> bool {
        let Some(entry) = self.table.get_mut(index) else { return false };
        let Some(pages) = sys::map_pages(size_of::<StreamDecoder>()) else { return false };
        let decoder = pages.cast::<StreamDecoder>();
        // SAFETY: a new mapping, page-aligned and large enough.
        unsafe { decoder.write(StreamDecoder::new(position)) };
        *entry = decoder.as_ptr() as u64;
        self.started = self.started.wrapping_add(1);
        true
    }

    /// Memory in use, in bytes.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.started.saturating_mul((size_of::<StreamDecoder>() as u64).next_multiple_of(4096))
    }
}

impl Drop for StreamDecoders {
    fn drop(&mut self) {
        for address in self.table.as_slice() {
            if let Some(decoder) = NonNull::new(*address as *mut u8) {
                // SAFETY: `start` made this mapping with this size; a decoder needs no drop.
                unsafe { sys::unmap_pages(decoder, size_of::<StreamDecoder>()) };
            }
        }
    }
}
