//! Where aggregation stands in each tracker's stream.
//!
//! Reads: regions. Writes: its own pages.
//!
//! Invariant: a stream is read as it is up to a keyframe, and aggregated from there on, for ever.

use std::ptr::NonNull;

use crate::collector::aggregate::address_index::HashedAddress;
use crate::collector::aggregate::hold_queue::{Held, Kind};
use crate::collector::event_path::ring::RingShared;
use crate::collector::platform::mmap_vec::{MmapVec, prefetch};
use crate::collector::platform::sys;
use crate::recording::{Address, CompactEvent, Decoder, Event, ScopeId, ThreadId, Ticks};

/// Events that are decoded at a time: so many that what they ask for is fetched before it is used.
const BATCH: usize = 64;

/// What is fetched ahead of the bytes that are decoded: a batch further, as much as a batch has.
const LINE: usize = 64;
const FETCH_FROM: usize = 2 * LINE;
const FETCH_LINES: usize = 6;

/// An event, by its usual parts.
#[derive(Clone, Copy)]
pub(crate) struct Decoded {
    pub(crate) at: Ticks,
    pub(crate) spot: HashedAddress,
    pub(crate) size: u32,
    pub(crate) node: u32,
    /// Blocks that the thread has made by then.
    pub(crate) made: u32,
    /// Of a pair: how much later its second event was.
    pub(crate) freed_ns: u16,
    pub(crate) form: Form,
}

/// What a decoded event is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Alloc,
    Free,
    /// Two events: an allocation, and its free before the thread did anything else.
    Pair,
    /// Another; see [`Stream::other`].
    Other,
}

/// One stream.
pub(crate) struct Stream {
    decoder: Decoder,
    /// Position of the first byte that is not decoded.
    pub(crate) at: u64,
    /// The thread of the decoded events, and its scope.
    thread: ThreadId,
    scope: ScopeId,
    /// Blocks that it has made.
    made: u32,
    batch: [Decoded; BATCH],
    /// Of the batch, what is not handed out yet.
    next: usize,
    len: usize,
    /// Where its blocks are looked for: see [`HashedAddress::part`].
    parts: u64,
    /// Events of unusual forms, at their places in the batch.
    others: [Event; BATCH],
}

const NO_EVENT: Event = Event::Free { at: Ticks(0), address: Address(0) };
const NOTHING: Decoded = Decoded {
    at: Ticks(0),
    spot: HashedAddress::NOWHERE,
    size: 0,
    node: 0,
    made: 0,
    freed_ns: 0,
    form: Form::Free,
};

impl Stream {
    /// A stream that is aggregated from a keyframe at this position on.
    fn new(at: u64) -> Self {
        Self {
            decoder: Decoder::new(),
            at,
            thread: ThreadId(u32::MAX),
            scope: ScopeId::NONE,
            made: 0,
            batch: [NOTHING; BATCH],
            next: 0,
            len: 0,
            parts: 0,
            others: [NO_EVENT; BATCH],
        }
    }

    /// The decoded events that were not handed out.
    #[inline(always)]
    pub(crate) fn waiting(&self) -> &[Decoded] {
        self.batch.get(self.next..self.len).unwrap_or_default()
    }

    /// Where the blocks of the batch are looked for, most of them: see [`HashedAddress::part`].
    pub(crate) fn parts(&self) -> u64 {
        self.parts
    }

    /// Takes the first of them away.
    #[inline(always)]
    pub(crate) fn advance(&mut self) {
        self.next = self.next.wrapping_add(1);
    }

    /// Takes the first event of a pair, which is the first of them, away.
    pub(crate) fn split(&mut self) {
        if let Some(pair) = self.batch.get_mut(self.next) {
            pair.at = Ticks(pair.at.0.wrapping_add(u64::from(pair.freed_ns)));
            pair.form = Form::Free;
        }
    }

    /// The first of them in full, if its form is unusual.
    pub(crate) fn other(&self) -> Option<Event> {
        self.others.get(self.next).copied()
    }

    /// Who does what is decoded.
    #[inline(always)]
    pub(crate) fn by(&self, index: usize) -> By {
        By { index: index as u16, thread: self.thread, scope: self.scope }
    }

    /// Decodes the next events before the position `end`, all of one thread and scope, once all
    /// others are handed out. Afterwards there is none only if there are no more.
    #[inline(never)]
    pub(crate) fn fill(&mut self, shared: &RingShared, end: u64, undecoded: &mut u64) {
        (self.next, self.len, self.parts) = (0, 0, 0);
        self.meet();
        while self.at < end && self.len < BATCH {
            let (mut bytes, room) = shared.contiguous(self.at, end);
            let all = bytes.len();
            if all == 0 {
                return;
            }
            // They come from another core's cache: the next ones are asked for while these are read.
            bytes.iter().skip(FETCH_FROM).step_by(LINE).take(FETCH_LINES).for_each(prefetch);
            // Events begin in the room; the last one may end in the slack behind it.
            while self.len < BATCH && !bytes.is_empty() && all.wrapping_sub(bytes.len()) < room {
                if let Some((short, len)) = self.decoder.step_compact(bytes) {
                    bytes = bytes.get(len..).unwrap_or_default();
                    self.append_short(&short);
                    continue;
                }
                let Ok(event) = self.decoder.step(&mut bytes) else {
                    // What our own encoder wrote can be decoded; were it not so, it would be said.
                    *undecoded = undecoded.wrapping_add(end.wrapping_sub(self.at));
                    self.at = end;
                    return;
                };
                match event {
                    Some(event) => self.append(event),
                    None if self.is_other_thread() && self.len > 0 => {
                        self.at = self.at.wrapping_add(all.wrapping_sub(bytes.len()) as u64);
                        return;
                    }
                    None => self.meet(),
                }
            }
            self.at = self.at.wrapping_add(all.wrapping_sub(bytes.len()) as u64);
        }
    }

    #[inline(always)]
    fn append_short(&mut self, short: &CompactEvent) {
        if short.is_free
            && let Some(last) = self.len.checked_sub(1)
            && let Some(made) = self.batch.get_mut(last)
            && made.spot.address() == short.address.0
            && made.form == Form::Alloc
            && let Ok(freed_ns) = u16::try_from(short.at.0.wrapping_sub(made.at.0))
        {
            (made.form, made.freed_ns) = (Form::Pair, freed_ns);
            return;
        }
        self.made = self.made.wrapping_add(u32::from(!short.is_free));
        let spot = HashedAddress::of(short.address.0);
        self.parts |= spot.part();
        let decoded = Decoded {
            at: short.at,
            spot,
            size: short.size_bytes,
            node: short.node.0,
            made: self.made,
            freed_ns: 0,
            form: if short.is_free { Form::Free } else { Form::Alloc },
        };
        if let Some(place) = self.batch.get_mut(self.len) {
            *place = decoded;
            self.len = self.len.wrapping_add(1);
        }
    }

    fn append(&mut self, event: Event) {
        if matches!(event, Event::Alloc { .. } | Event::Realloc { .. }) {
            self.made = self.made.wrapping_add(1);
        }
        let address = match event {
            Event::Alloc { address, .. } | Event::Free { address, .. } => address,
            Event::Realloc { old, .. } => old,
            _ => Address(0),
        };
        let (at, made) = (event.at(), self.made);
        let decoded =
            Decoded { at, spot: HashedAddress::of(address.0), made, form: Form::Other, ..NOTHING };
        if let (Some(place), Some(other)) =
            (self.batch.get_mut(self.len), self.others.get_mut(self.len))
        {
            *place = decoded;
            *other = event;
            self.len = self.len.wrapping_add(1);
        }
    }

    fn is_other_thread(&self) -> bool {
        self.decoder.thread() != self.thread || self.decoder.scope() != self.scope
    }

    fn meet(&mut self) {
        if self.decoder.thread() != self.thread {
            self.thread = self.decoder.thread();
            self.made = 0;
        }
        self.scope = self.decoder.scope();
    }
}

/// Who does something.
#[derive(Clone, Copy)]
pub(crate) struct By {
    pub(crate) index: u16,
    pub(crate) thread: ThreadId,
    pub(crate) scope: ScopeId,
}

impl By {
    #[inline(always)]
    pub(crate) fn held(&self, kind: Kind, at: Ticks, address: u64, made: u32) -> Held {
        Held {
            stream: self.index,
            thread: self.thread.0,
            scope: self.scope.0,
            made,
            ..Held::new(kind, at.0, address)
        }
    }
}

/// All streams, by number.
pub(crate) struct Streams {
    /// Addresses; 0: not aggregated yet.
    table: MmapVec<u64>,
    made: u64,
}

impl Streams {
    pub(crate) fn new(streams_max: usize) -> Option<Self> {
        Some(Self { table: MmapVec::new(streams_max)?, made: 0 })
    }

    #[inline]
    pub(crate) fn get(&mut self, index: usize) -> Option<&mut Stream> {
        let address = *self.table.get(index)?;
        // SAFETY: only `begin` stores here, the address of a stream in pages of its own, which
        // are given back in `drop` only; the reference borrows all streams.
        unsafe { (address as *mut Stream).as_mut() }
    }

    /// Aggregates a stream from here on; `false`: there is no memory for it.
    pub(crate) fn begin(&mut self, index: usize, at: u64) -> bool {
        let Some(place) = self.table.get_mut(index) else { return false };
        let Some(pages) = sys::map_pages(size_of::<Stream>()) else { return false };
        let stream = pages.cast::<Stream>();
        // SAFETY: fresh pages, page-aligned and large enough.
        unsafe { stream.write(Stream::new(at)) };
        *place = stream.as_ptr() as u64;
        self.made = self.made.wrapping_add(1);
        true
    }

    /// Memory, in bytes.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.made.saturating_mul((size_of::<Stream>() as u64).next_multiple_of(4096))
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        for address in self.table.as_slice() {
            if let Some(stream) = NonNull::new(*address as *mut u8) {
                // SAFETY: a mapping of this size that `begin` made; a stream needs no drop.
                unsafe { sys::unmap_pages(stream, size_of::<Stream>()) };
            }
        }
    }
}
