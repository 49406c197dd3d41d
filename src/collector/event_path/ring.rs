//! A single-producer, single-consumer byte ring: the owning thread appends events, the flusher
//! reads them.
//!
//! ```text
//!   pages                                            pages + ring_bytes
//!   |                                                |
//!   v                                                v
//!   +-----------+----------------------+-------------+- - - - - - - - -+
//!   |   free    | committed, not read  |    free     | slack: 1 event  |
//!   +-----------+----------------------+-------------+- - - - - - - - -+
//!               ^                      ^
//!               tail                   committed
//!
//! owning thread                              flusher
//! 1. write an event at `committed`
//! 2. committed.store(Release)      ------>   3. committed.load(Acquire)
//!                                            4. read from `tail` to `committed`
//! 6. tail.load(Acquire)            <------   5. tail.store(Release)
//! ```
//!
//! Step 6 runs only when the write position reaches `limit`. Positions count bytes from the start
//! of the stream and never wrap.
//!
//! Invariants:
//! - `tail` ≤ `committed` ≤ `tail` + ring size; `committed` is always the end of an event.
//! - After the ring there are [`EVENT_BYTES_MAX`] bytes of slack: an event is written in one piece,
//!   and the bytes beyond the end of the ring are then copied to its start.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, Ordering};
use std::ptr::NonNull;
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU64, Ordering};

use crate::collector::platform::sys;
use crate::recording::EVENT_BYTES_MAX;
use crate::safeguards::{self, Safeguard};

/// Limits of the ring size. The buffer of the flusher (`writer::block_file`) holds two of the largest rings.
pub(crate) const RING_BYTES_MIN: usize = 16 << 10;
pub(crate) const RING_BYTES_MAX: usize = 1 << 20;

/// The words that owner and flusher share. The words that the owner writes at every event have
/// their own cache lines: the flusher reads the others once per few events and would otherwise take
/// the line from the owner.
#[derive(Debug, Default)]
pub(crate) struct RingShared {
    producer: CachePadded<ProducerWords>,
    consumer: CachePadded<ConsumerWords>,
}

/// Two cache lines, because x86-64 processors prefetch lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct CachePadded<T>(T);

#[derive(Debug, Default)]
struct ProducerWords {
    committed: AtomicU64,
    /// Position of the last keyframe. Relaxed: the release of `committed` after it publishes it.
    keyframe: AtomicU64,
}

#[derive(Debug, Default)]
struct ConsumerWords {
    tail: AtomicU64,
    /// Position at which the stream of this recording starts.
    base: AtomicU64,
    ring: AtomicU64,
    ring_bytes: AtomicU64,
}

/// Committed bytes that the flusher has not read.
pub(crate) struct CommittedBytes<'a> {
    /// Position in this recording's stream.
    pub(crate) offset: u64,
    /// The bytes, in two slices where they wrap.
    pub(crate) first: &'a [u8],
    pub(crate) second: &'a [u8],
    /// Offset of a keyframe in them.
    pub(crate) keyframe: Option<u32>,
    end: u64,
}

impl RingShared {
    /// Position after the last complete event.
    pub(crate) fn committed(&self) -> u64 {
        self.producer.0.committed.load(Ordering::Acquire)
    }

    /// The same, read by the owner, which alone changes it.
    #[inline(always)]
    fn head(&self) -> u64 {
        self.producer.0.committed.load(Ordering::Relaxed)
    }

    /// The bytes from the tail to `end`, an earlier result of [`RingShared::committed`].
    pub(crate) fn read(&self, end: u64) -> Option<CommittedBytes<'_>> {
        let tail = self.consumer.0.tail.load(Ordering::Relaxed);
        let ring_bytes = self.consumer.0.ring_bytes.load(Ordering::Acquire);
        let ring = NonNull::new(self.consumer.0.ring.load(Ordering::Acquire) as *mut u8)?;
        let len = end.checked_sub(tail).filter(|len| 0 < *len && *len <= ring_bytes)?;
        let at = tail & ring_bytes.wrapping_sub(1);
        let first_len = len.min(ring_bytes.wrapping_sub(at));
        // SAFETY: both slices are inside the ring, and the owner does not write between the tail
        // and the committed position.
        let (first, second) = unsafe {
            (
                std::slice::from_raw_parts(ring.add(at as usize).as_ptr(), first_len as usize),
                std::slice::from_raw_parts(ring.as_ptr(), len.wrapping_sub(first_len) as usize),
            )
        };
        let keyframe = self.producer.0.keyframe.load(Ordering::Relaxed);
        let is_inside = tail <= keyframe && keyframe < end;
        Some(CommittedBytes {
            offset: tail.wrapping_sub(self.consumer.0.base.load(Ordering::Relaxed)),
            first,
            second,
            keyframe: is_inside.then(|| keyframe.wrapping_sub(tail) as u32),
            end,
        })
    }

    /// Position of the first unread byte.
    pub(crate) fn tail(&self) -> u64 {
        self.consumer.0.tail.load(Ordering::Relaxed)
    }

    /// Position of an unread keyframe before `end`, an earlier result of [`RingShared::committed`]:
    /// the first one of the recording's stream, else the last one.
    pub(crate) fn keyframe_before(&self, end: u64) -> Option<u64> {
        if self.tail() == self.consumer.0.base.load(Ordering::Relaxed) && self.tail() < end {
            return Some(self.tail());
        }
        let keyframe = self.producer.0.keyframe.load(Ordering::Relaxed);
        (self.tail() <= keyframe && keyframe < end).then_some(keyframe)
    }

    /// The contiguous bytes from position `from` to `end`, and the number of them in which events
    /// may start; the last of these events is complete. Both positions are between the tail and the
    /// committed position, and an event starts at `from`.
    #[inline]
    pub(crate) fn contiguous(&self, from: u64, end: u64) -> (&[u8], usize) {
        let ring_bytes = self.consumer.0.ring_bytes.load(Ordering::Relaxed);
        let Some(ring) = NonNull::new(self.consumer.0.ring.load(Ordering::Acquire) as *mut u8)
        else {
            return (&[], 0);
        };
        let at = from & ring_bytes.wrapping_sub(1);
        let until_end = ring_bytes.wrapping_sub(at);
        // An event that starts before the end of the ring continues in the slack, and nothing else
        // is there.
        let len = end.saturating_sub(from).min(until_end.wrapping_add(EVENT_BYTES_MAX as u64));
        // SAFETY: the slice is inside the ring and its slack. The owner does not write between the
        // tail and the committed position, nor in the slack while the event that continues there is
        // unread.
        let bytes =
            unsafe { std::slice::from_raw_parts(ring.add(at as usize).as_ptr(), len as usize) };
        (bytes, until_end as usize)
    }

    /// Frees the space of all bytes before a position.
    pub(crate) fn release_to(&self, position: u64) {
        self.consumer.0.tail.store(position, Ordering::Release);
    }

    /// Frees the space of the bytes that were read.
    pub(crate) fn release(&self, read: &CommittedBytes<'_>) {
        self.consumer.0.tail.store(read.end, Ordering::Release);
    }
}

/// The owner's side of the ring.
pub(crate) struct RingProducer {
    pages: NonNull<u8>,
    ring_bytes: usize,
    /// Address of the next event, inside the ring.
    at: *mut u8,
    /// Added to `at`, gives the position in the stream.
    bias: u64,
    /// Below this address the owner may append an event without [`RingProducer::check_space`], and
    /// the event does not cross the end of the ring.
    limit: usize,
    last_keyframe: u64,
}

/// Result of [`RingProducer::check_space`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    /// Whether an event and a keyframe before it fit.
    pub(crate) fits: bool,
    /// Whether the flusher should be woken.
    pub(crate) is_half_full: bool,
    /// Whether a keyframe is due.
    pub(crate) keyframe_due: bool,
}

/// Bytes between keyframes. A decoder loses at most this much after damage, and resetting the encoder's state
/// costs nothing measurable at this distance.
const KEYFRAME_EVERY: u64 = 64 << 10;

impl RingProducer {
    /// A ring of `ring_bytes`, a power of two between the limits above.
    pub(crate) fn new(ring_bytes: usize, shared: &RingShared) -> Option<Self> {
        let pages = sys::map_pages(ring_bytes.checked_add(EVENT_BYTES_MAX)?)?;
        shared.consumer.0.ring.store(pages.as_ptr() as u64, Ordering::Release);
        shared.consumer.0.ring_bytes.store(ring_bytes as u64, Ordering::Release);
        let at = pages.as_ptr();
        let mut ring = Self { pages, ring_bytes, at, bias: 0, limit: 0, last_keyframe: 0 };
        ring.seek(shared.head());
        Some(ring)
    }

    pub(crate) fn ring_bytes(&self) -> usize {
        self.ring_bytes
    }

    /// Returns the ring's memory to the system. All bytes were read, and no more are appended.
    pub(crate) fn discard(&self) {
        // SAFETY: the mapping is this ring's own, and its contents are no longer needed.
        unsafe { sys::discard_pages(self.pages, self.ring_bytes) };
    }

    /// Starts the stream of a new recording at the current position.
    pub(crate) fn begin(&mut self, shared: &RingShared) {
        // A forked child inherits bytes that belong to the recording of its parent.
        if !safeguards::is_disabled(Safeguard::ForkedRingTail) {
            shared.consumer.0.tail.store(shared.head(), Ordering::Release);
        }
        shared.consumer.0.base.store(shared.head(), Ordering::Relaxed);
        self.seek(shared.head());
    }

    /// Sets the write position.
    fn seek(&mut self, head: u64) {
        let at = (head as usize) & self.ring_bytes.wrapping_sub(1);
        // SAFETY: `at` is below the ring size.
        self.at = unsafe { self.pages.add(at) }.as_ptr();
        self.bias = head.wrapping_sub(self.at.addr() as u64);
        self.limit = 0;
    }

    /// Makes [`RingProducer::needs_slow_path`] true.
    pub(crate) fn force_slow_path(&mut self) {
        self.limit = 0;
    }

    /// Whether [`RingProducer::check_space`] must be called before the next event.
    #[inline(always)]
    pub(crate) fn needs_slow_path(&self) -> bool {
        self.at.addr() >= self.limit
    }

    /// Computes the free space and what is due, and sets `limit` to the position of the next check.
    pub(crate) fn check_space(&mut self, shared: &RingShared) -> Space {
        /// An event, and a keyframe before it.
        const RESERVE: u64 = 2 * EVENT_BYTES_MAX as u64;
        let tail = shared.consumer.0.tail.load(Ordering::Acquire);
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

    /// The buffer of the next event, which [`RingProducer::commit`] appends. There must be space.
    #[inline(always)]
    pub(crate) fn slot(&mut self) -> &mut [u8; EVENT_BYTES_MAX] {
        // SAFETY: `at` is inside the ring, and the slack after the ring has the size of an event.
        // The caller has checked that there is space, so that the flusher does not read these
        // bytes.
        unsafe { &mut *self.at.cast::<[u8; EVENT_BYTES_MAX]>() }
    }

    /// Commits the `len` bytes of an event that starts below `limit`.
    #[inline(always)]
    pub(crate) fn commit_fast(&mut self, shared: &RingShared, len: usize) {
        // SAFETY: `at` advances by at most one event, and `limit` is one event before the end of
        // the ring.
        self.at = unsafe { self.at.add(len) };
        let head = (self.at.addr() as u64).wrapping_add(self.bias);
        shared.producer.0.committed.store(head, Ordering::Release);
    }

    /// Commits the `len` bytes of an event.
    pub(crate) fn commit(&mut self, shared: &RingShared, len: usize) {
        let end = self.at.addr().wrapping_add(len);
        let overhang = end.wrapping_sub(self.pages.addr().get()).checked_sub(self.ring_bytes);
        let Some(overhang) = overhang else {
            return self.commit_fast(shared, len);
        };
        // SAFETY: `overhang` bytes of slack, at most one event, are copied to the start of the
        // ring, which is free because there was space for the event.
        unsafe {
            let slack = self.pages.add(self.ring_bytes);
            std::ptr::copy_nonoverlapping(slack.as_ptr(), self.pages.as_ptr(), overhang);
        }
        let head = (end as u64).wrapping_add(self.bias);
        self.seek(head);
        shared.producer.0.committed.store(head, Ordering::Release);
    }

    /// Records that the next event is a keyframe.
    pub(crate) fn mark_keyframe(&mut self, shared: &RingShared) {
        self.last_keyframe = shared.head();
        shared.producer.0.keyframe.store(self.last_keyframe, Ordering::Relaxed);
    }
}
