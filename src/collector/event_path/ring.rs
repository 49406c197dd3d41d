//! One thread recorder's events as bytes: an append-only stream in a ring, with a committed length.
//!
//! Reads and writes: the ring's pages. The owner appends and commits; the flusher reads what is
//! committed and gives the room back. Positions are counted from the beginning of the stream
//! and never wrap.
//!
//! Invariants:
//! - `tail` ≤ `committed` ≤ `tail` + ring size; a commit stands at an event's end.
//! - Behind the ring lie [`EVENT_BYTES_MAX`] bytes of slack: an event is written in one piece
//!   and what went over the end is copied to the front.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, Ordering};
use std::ptr::NonNull;
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU64, Ordering};

use crate::collector::platform::sys;
use crate::recording::EVENT_BYTES_MAX;
use crate::safeguards;

/// Smallest and largest ring. The largest fits the flusher's buffer with room to spare.
pub(crate) const RING_BYTES_MIN: usize = 16 << 10;
pub(crate) const RING_BYTES_MAX: usize = 1 << 20;

/// What the flusher sees of a region. What the owner writes at every event has cache lines of its
/// own: the flusher reads the rest for every few events, and would take the line away each time.
#[derive(Debug, Default)]
pub(crate) struct RingShared {
    owner: CachePadded<ProducerWords>,
    flusher: CachePadded<ConsumerWords>,
}

/// As far apart as processors fetch lines together.
#[derive(Debug, Default)]
#[repr(align(128))]
struct CachePadded<T>(T);

#[derive(Debug, Default)]
struct ProducerWords {
    committed: AtomicU64,
    /// Position of the last keyframe.
    keyframe: AtomicU64,
}

#[derive(Debug, Default)]
struct ConsumerWords {
    tail: AtomicU64,
    /// Position at which this recording's stream began.
    base: AtomicU64,
    ring: AtomicU64,
    ring_bytes: AtomicU64,
}

/// What is committed and not yet read.
pub(crate) struct CommittedBytes<'a> {
    /// Position in this recording's stream.
    pub(crate) offset: u64,
    /// The bytes, in two pieces where they wrap.
    pub(crate) first: &'a [u8],
    pub(crate) second: &'a [u8],
    /// Where in them a keyframe begins.
    pub(crate) keyframe: Option<u32>,
    end: u64,
}

impl RingShared {
    /// Position behind the last whole event.
    pub(crate) fn committed(&self) -> u64 {
        self.owner.0.committed.load(Ordering::Acquire)
    }

    /// The same, for the owner, who alone moves it.
    #[inline(always)]
    fn head(&self) -> u64 {
        self.owner.0.committed.load(Ordering::Relaxed)
    }

    /// What stands between the tail and `end`, an earlier answer of [`RingShared::committed`].
    pub(crate) fn read(&self, end: u64) -> Option<CommittedBytes<'_>> {
        let tail = self.flusher.0.tail.load(Ordering::Relaxed);
        let ring_bytes = self.flusher.0.ring_bytes.load(Ordering::Acquire);
        let ring = NonNull::new(self.flusher.0.ring.load(Ordering::Acquire) as *mut u8)?;
        let len = end.checked_sub(tail).filter(|len| 0 < *len && *len <= ring_bytes)?;
        let at = tail & ring_bytes.wrapping_sub(1);
        let first_len = len.min(ring_bytes.wrapping_sub(at));
        // SAFETY: both pieces are inside the ring, and the owner does not write between the
        // tail and what it has committed.
        let (first, second) = unsafe {
            (
                std::slice::from_raw_parts(ring.add(at as usize).as_ptr(), first_len as usize),
                std::slice::from_raw_parts(ring.as_ptr(), len.wrapping_sub(first_len) as usize),
            )
        };
        let keyframe = self.owner.0.keyframe.load(Ordering::Relaxed);
        let inside = tail <= keyframe && keyframe < end;
        Some(CommittedBytes {
            offset: tail.wrapping_sub(self.flusher.0.base.load(Ordering::Relaxed)),
            first,
            second,
            keyframe: inside.then(|| keyframe.wrapping_sub(tail) as u32),
            end,
        })
    }

    /// Position of the first byte that was not read.
    pub(crate) fn tail(&self) -> u64 {
        self.flusher.0.tail.load(Ordering::Relaxed)
    }

    /// Position of a keyframe that is not read yet and before `end`, an earlier answer of
    /// [`RingShared::committed`]: the one that a recording's stream begins with, else the last one.
    pub(crate) fn keyframe_before(&self, end: u64) -> Option<u64> {
        if self.tail() == self.flusher.0.base.load(Ordering::Relaxed) && self.tail() < end {
            return Some(self.tail());
        }
        let keyframe = self.owner.0.keyframe.load(Ordering::Relaxed);
        (self.tail() <= keyframe && keyframe < end).then_some(keyframe)
    }

    /// The bytes from a position up to `end` as far as they lie in one piece, and in how many of
    /// them events may begin: the last of these is whole. Both positions are between the tail and
    /// what is committed, and an event or keyframe begins at the first.
    #[inline]
    pub(crate) fn contiguous(&self, from: u64, end: u64) -> (&[u8], usize) {
        let ring_bytes = self.flusher.0.ring_bytes.load(Ordering::Relaxed);
        let Some(ring) = NonNull::new(self.flusher.0.ring.load(Ordering::Acquire) as *mut u8)
        else {
            return (&[], 0);
        };
        let at = from & ring_bytes.wrapping_sub(1);
        let room = ring_bytes.wrapping_sub(at);
        // What began before the ring's end goes on in the slack behind it, and there only.
        let len = end.saturating_sub(from).min(room.wrapping_add(EVENT_BYTES_MAX as u64));
        // SAFETY: inside the ring and its slack; the owner does not write between the tail and
        // what it has committed, nor in the slack while what began before it is not read.
        let bytes =
            unsafe { std::slice::from_raw_parts(ring.add(at as usize).as_ptr(), len as usize) };
        (bytes, room as usize)
    }

    /// Gives the room of everything before a position back to the owner.
    pub(crate) fn release_to(&self, position: u64) {
        self.flusher.0.tail.store(position, Ordering::Release);
    }

    /// Gives the room of what was read back to the owner.
    pub(crate) fn release(&self, read: &CommittedBytes<'_>) {
        self.flusher.0.tail.store(read.end, Ordering::Release);
    }
}

/// The owner's side.
pub(crate) struct RingProducer {
    pages: NonNull<u8>,
    ring_bytes: usize,
    /// Where the next event is written: inside the ring.
    at: *mut u8,
    /// What is added to that address for its position in the stream.
    bias: u64,
    /// Up to this address nothing has to be looked at before an event is appended, and an event
    /// does not go over the ring's end.
    limit: usize,
    last_keyframe: u64,
}

/// What [`RingProducer::check_space`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    /// Whether an event, and a keyframe before it, fit.
    pub(crate) fits: bool,
    /// Whether the flusher should be woken.
    pub(crate) is_half_full: bool,
    /// Whether a keyframe is due.
    pub(crate) keyframe_due: bool,
}

/// Bytes between keyframes: small enough that damage costs little, large enough that clearing
/// the model costs nothing.
const KEYFRAME_EVERY: u64 = 64 << 10;

impl RingProducer {
    /// A ring of `ring_bytes`, a power of two within the limits above.
    pub(crate) fn new(ring_bytes: usize, shared: &RingShared) -> Option<Self> {
        let pages = sys::map_pages(ring_bytes.checked_add(EVENT_BYTES_MAX)?)?;
        shared.flusher.0.ring.store(pages.as_ptr() as u64, Ordering::Release);
        shared.flusher.0.ring_bytes.store(ring_bytes as u64, Ordering::Release);
        let at = pages.as_ptr();
        let mut ring = Self { pages, ring_bytes, at, bias: 0, limit: 0, last_keyframe: 0 };
        ring.seek(shared.head());
        Some(ring)
    }

    pub(crate) fn ring_bytes(&self) -> usize {
        self.ring_bytes
    }

    /// Gives the ring's memory back to the system. Everything was read, and nothing is
    /// appended any more.
    pub(crate) fn discard(&self) {
        // SAFETY: our own mapping; its contents are not needed any more.
        unsafe { sys::discard_pages(self.pages, self.ring_bytes) };
    }

    /// Begins the stream of a new recording at the present position.
    pub(crate) fn begin(&mut self, shared: &RingShared) {
        // A forked child has bytes here that its parent's flusher reads, and not its own.
        if !safeguards::without("own bytes") {
            shared.flusher.0.tail.store(shared.head(), Ordering::Release);
        }
        shared.flusher.0.base.store(shared.head(), Ordering::Relaxed);
        self.seek(shared.head());
    }

    /// Appends from this position on.
    fn seek(&mut self, head: u64) {
        let at = (head as usize) & self.ring_bytes.wrapping_sub(1);
        // SAFETY: inside the ring.
        self.at = unsafe { self.pages.add(at) }.as_ptr();
        self.bias = head.wrapping_sub(self.at.addr() as u64);
        self.limit = 0;
    }

    /// Makes [`RingProducer::needs_slow_path`] true.
    pub(crate) fn force_slow_path(&mut self) {
        self.limit = 0;
    }

    /// Whether [`RingProducer::check_space`] must be asked before the next event.
    #[inline(always)]
    pub(crate) fn needs_slow_path(&self) -> bool {
        self.at.addr() >= self.limit
    }

    /// Looks at the room and says what is due; moves the limit to where it has to be asked next.
    pub(crate) fn check_space(&mut self, shared: &RingShared) -> Space {
        const RESERVE: u64 = 2 * EVENT_BYTES_MAX as u64;
        let tail = shared.flusher.0.tail.load(Ordering::Acquire);
        let size = self.ring_bytes as u64;
        let head = shared.head();
        let used = head.wrapping_sub(tail);
        let full = tail.wrapping_add(size).wrapping_sub(RESERVE);
        let half = tail.wrapping_add(size / 2);
        let keyframe = self.last_keyframe.wrapping_add(KEYFRAME_EVERY);
        let is_half_full = used >= size / 2;
        let next = if is_half_full { full } else { half.min(full) };
        let distance = next.min(keyframe).saturating_sub(head) as usize;
        let end = self.pages.addr().get().wrapping_add(self.ring_bytes);
        let last = end.wrapping_sub(EVENT_BYTES_MAX);
        self.limit = self.at.addr().saturating_add(distance).min(last);
        Space { fits: head < full, is_half_full, keyframe_due: head >= keyframe }
    }

    /// Where the next event is written; [`RingProducer::commit`] makes it one. There must be room.
    #[inline(always)]
    pub(crate) fn slot(&mut self) -> &mut [u8; EVENT_BYTES_MAX] {
        // SAFETY: it is inside the ring, and behind the ring lies slack for one event. The
        // caller made sure that there is room, so the flusher does not read these bytes.
        unsafe { &mut *self.at.cast::<[u8; EVENT_BYTES_MAX]>() }
    }

    /// Commits the `len` bytes that were written into the slot where nothing had to be looked at.
    #[inline(always)]
    pub(crate) fn commit_fast(&mut self, shared: &RingShared, len: usize) {
        // SAFETY: at most one event further, and the limit is one event before the ring's end.
        self.at = unsafe { self.at.add(len) };
        let head = (self.at.addr() as u64).wrapping_add(self.bias);
        shared.owner.0.committed.store(head, Ordering::Release);
    }

    /// Commits the `len` bytes that were written into the slot.
    pub(crate) fn commit(&mut self, shared: &RingShared, len: usize) {
        let end = self.at.addr().wrapping_add(len);
        let over = end.wrapping_sub(self.pages.addr().get()).checked_sub(self.ring_bytes);
        let Some(over) = over else {
            return self.commit_fast(shared, len);
        };
        // SAFETY: `over` bytes of slack, at most one event, are copied to the ring's front,
        // which is free: there was room for the event.
        unsafe {
            let slack = self.pages.add(self.ring_bytes);
            std::ptr::copy_nonoverlapping(slack.as_ptr(), self.pages.as_ptr(), over);
        }
        let head = (end as u64).wrapping_add(self.bias);
        self.seek(head);
        shared.owner.0.committed.store(head, Ordering::Release);
    }

    /// Notes that the event about to be appended is a keyframe.
    pub(crate) fn mark_keyframe(&mut self, shared: &RingShared) {
        self.last_keyframe = shared.head();
        shared.owner.0.keyframe.store(self.last_keyframe, Ordering::Relaxed);
    }
}
