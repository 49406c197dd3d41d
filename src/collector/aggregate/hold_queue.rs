//! The hold queue: deferred events wait here until it is known whether they can be aggregated. They
//! are found by address and removed in the order of time.
//!
//! Reads and writes: its own pages. A released slot is used again first, so that the slots of temporary
//! blocks stay in the L1 cache. Otherwise slots come from one word of the bitmap after the other, so
//! that events of the same time lie together. The slots are in no order: due events are selected by a
//! scan now and then, and sorted.
//!
//! Invariant: at most one event is indexed for an address.

use crate::collector::aggregate::address_index::{
    ADDRESSES_MAX, AddressIndex, HashedAddress, SLOTS_MAX,
};
use crate::collector::aggregate::slot_bitmap::{self, SlotBitmap, WORD_SLOTS};
use crate::collector::platform::mmap_vec::{MmapTable, MmapVec, Zeroable, prefetch};

const SLOTS: usize = ADDRESSES_MAX;
const _: () = assert!(SLOTS <= SLOTS_MAX && SLOTS <= slot_bitmap::SLOTS_MAX);

/// Events that may be pushed after one check of [`HoldQueue::has_room`]: each of a batch of 64 decoded
/// events pushes at most two (a pair, a realloc).
pub(crate) const PUSH_BATCH_MAX: usize = 128;

/// Maximum number of events.
pub(crate) const EVENTS_MAX: usize = SLOTS - PUSH_BATCH_MAX;

/// 64 slots of a cache line each are 4 KiB, which stay in the L1 cache without prefetching.
const CACHED_SLOTS_MAX: usize = 1 << 6;

/// What a deferred event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum DeferredKind {
    /// No event: the slot is free.
    Vacant = 0,
    /// An allocation.
    Alloc,
    /// An allocation of zeroed memory.
    Zeroed,
    /// The allocation of a realloc.
    Realloc,
    /// A free whose allocation is deferred or unknown.
    Free,
    /// The free of a realloc whose allocation is deferred or unknown.
    ReallocEnd,
    /// An allocation that the allocator refused.
    Failed,
}

/// A deferred event, one cache line. Times are in ticks.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct DeferredEvent {
    pub(crate) at: u64,
    pub(crate) address: u64,
    pub(crate) size: u64,
    /// Number of events that were pushed before; orders events of the same tick.
    pub(crate) sequence: u64,
    pub(crate) node: u32,
    pub(crate) thread: u32,
    pub(crate) scope: u32,
    /// Allocations of the thread up to and including this event.
    pub(crate) alloc_count: u32,
    pub(crate) stream: u16,
    pub(crate) kind: DeferredKind,
    pub(crate) align_log2: u8,
    /// Realloc: whether the address changed.
    pub(crate) moved: bool,
    /// Realloc: whether the previous block was not aggregated.
    pub(crate) linked: bool,
    /// Whether the address index has this event.
    pub(crate) is_indexed: bool,
}

// SAFETY: all-zero is a valid value: integers, bools that are false, and a kind of `Vacant`.
unsafe impl Zeroable for DeferredEvent {}

impl DeferredEvent {
    /// Whether it allocates a block.
    pub(crate) fn is_alloc(&self) -> bool {
        matches!(self.kind, DeferredKind::Alloc | DeferredKind::Zeroed | DeferredKind::Realloc)
    }

    /// An event with 0 in all other fields.
    pub(crate) const fn new(kind: DeferredKind, at: u64, address: u64) -> Self {
        Self {
            at,
            address,
            size: 0,
            sequence: 0,
            node: 0,
            thread: 0,
            scope: 0,
            alloc_count: 0,
            stream: 0,
            kind,
            align_log2: 0,
            moved: false,
            linked: false,
            is_indexed: false,
        }
    }
}

/// The slot of a deferred event, valid until the event is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(u32);

/// All deferred events.
pub(crate) struct HoldQueue {
    slots: MmapTable<DeferredEvent, SLOTS>,
    index: AddressIndex,
    free: SlotBitmap,
    /// Slots from here on were never used.
    end: usize,
    len: usize,
    /// Events pushed so far.
    pushed: u64,
    /// The last selection: see [`HoldQueue::select_until`].
    selected: MmapVec<SelectedEvent>,
    /// Length of the longest selection so far.
    selected_max: usize,
    /// The bitmap word of the last selected event.
    last_word: usize,
}

/// Sort key and slot of a due event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
struct SelectedEvent {
    at: u64,
    sequence: u64,
    slot: u32,
}

// SAFETY: integers: all-zero is a valid value.
unsafe impl Zeroable for SelectedEvent {}

impl HoldQueue {
    pub(crate) fn new() -> Option<Self> {
        Some(Self {
            slots: MmapTable::new()?,
            index: AddressIndex::new()?,
            free: SlotBitmap::new(SLOTS)?,
            end: 0,
            len: 0,
            pushed: 0,
            selected: MmapVec::new(SLOTS)?,
            selected_max: 0,
            last_word: 0,
        })
    }

    /// Whether `more` events fit, at most [`PUSH_BATCH_MAX`].
    #[inline(always)]
    pub(crate) fn has_room(&self, more: usize) -> bool {
        self.len.wrapping_add(more) <= EVENTS_MAX
    }

    /// Adds an event that is not found by its address. Requires room.
    #[inline(always)]
    pub(crate) fn push(&mut self, event: DeferredEvent) {
        if let Some(slot) = self.free.allocate() {
            self.put(slot, event);
        }
    }

    /// Adds an allocation and indexes its address. Requires room, and that no event is indexed for the
    /// address.
    #[inline(always)]
    pub(crate) fn push_indexed(&mut self, event: DeferredEvent, address: &HashedAddress) {
        if let Some(slot) = self.free.allocate() {
            let is_indexed = self.index.insert(address, slot);
            self.put(slot, DeferredEvent { is_indexed, ..event });
        }
    }

    #[inline(always)]
    fn put(&mut self, slot: usize, event: DeferredEvent) {
        *self.slots.at_mut(slot) = DeferredEvent { sequence: self.pushed, ..event };
        self.end = self.end.max(slot.wrapping_add(1));
        self.pushed = self.pushed.wrapping_add(1);
        self.len = self.len.wrapping_add(1);
    }

    /// Whether the slots in use exceed the L1 cache, so that prefetching pays.
    #[inline(always)]
    pub(crate) fn exceeds_cache(&self) -> bool {
        self.end > CACHED_SLOTS_MAX
    }

    /// Pre-faults chunks of the address index; see [`HashedAddress::chunk`].
    #[inline(always)]
    pub(crate) fn prefault(&mut self, chunks: u64) {
        self.index.prefault(chunks);
    }

    /// Prefetches the index entry that [`HoldQueue::find`] reads first.
    #[inline(always)]
    pub(crate) fn prefetch_index(&self, address: &HashedAddress) {
        self.index.prefetch(address);
    }

    /// Prefetches the slot that [`HoldQueue::find`] will probably read.
    #[inline(always)]
    pub(crate) fn prefetch_slot(&self, address: &HashedAddress) {
        if let Some(slot) = self.index.probable_slot(address) {
            prefetch(self.slots.at(slot));
        }
    }

    /// The indexed allocation at an address.
    #[inline(always)]
    pub(crate) fn find(&self, address: &HashedAddress) -> Option<(Slot, &DeferredEvent)> {
        let is_match = |slot| self.slots.at(slot).address == address.address();
        let slot = self.index.find(address, is_match)?;
        Some((Slot(slot as u32), self.slots.at(slot)))
    }

    /// Selects the events that are not later than `until`, and returns their number.
    /// [`HoldQueue::selected`] returns them in order.
    pub(crate) fn select_until(&mut self, until: u64) -> usize {
        let selected = self.select(until);
        selected.sort_unstable();
        selected.len()
    }

    /// Selects about half of the events, the oldest ones.
    pub(crate) fn select_oldest_half(&mut self) -> usize {
        let until = self.median_stamp();
        self.select_until(until)
    }

    /// The median of one stamp per occupied word.
    fn median_stamp(&mut self) -> u64 {
        let slots = self.slots.as_slice().get(..self.end).unwrap_or_default();
        let stamps = occupied_words(slots, &self.free).filter_map(|(_, word)| {
            word.iter().find(|event| event.kind != DeferredKind::Vacant).map(|event| event.at)
        });
        let sample = self.selected.as_mut_slice();
        let len = stamps.zip(sample.iter_mut()).map(|(at, event)| event.at = at).count();
        let sample = sample.get_mut(..len).unwrap_or_default();
        match sample.is_empty() {
            true => u64::MAX,
            false => sample.select_nth_unstable_by_key(len / 2, |event| event.at).1.at,
        }
    }

    /// Scans from the word of the last selection on: the slots there are mostly in arrival order, so
    /// that the sort usually gets sorted input, which takes linear time.
    fn select(&mut self, until: u64) -> &mut [SelectedEvent] {
        let slots = self.slots.as_slice().get(..self.end).unwrap_or_default();
        let selected = self.selected.as_mut_slice();
        let mut len = 0_usize;
        let first = self.last_word;
        let behind = occupied_words(slots, &self.free).filter(|(word, _)| *word >= first);
        let before = occupied_words(slots, &self.free).filter(|(word, _)| *word < first);
        for (word, slots) in behind.chain(before) {
            for (at, event) in slots.iter().enumerate() {
                if event.at <= until
                    && event.kind != DeferredKind::Vacant
                    && let Some(entry) = selected.get_mut(len)
                {
                    let slot = (word.wrapping_mul(WORD_SLOTS) | at) as u32;
                    *entry = SelectedEvent { at: event.at, sequence: event.sequence, slot };
                    len = len.wrapping_add(1);
                    self.last_word = word;
                }
            }
        }
        self.selected_max = self.selected_max.max(len);
        selected.get_mut(..len).unwrap_or_default()
    }

    /// The slot of a selected event, by its index in the selection.
    pub(crate) fn selected(&self, at: usize) -> Option<Slot> {
        self.selected.get(at).map(|selected| Slot(selected.slot))
    }

    /// Removes an event's address from the index; the event stays.
    #[inline(always)]
    pub(crate) fn unindex(&mut self, slot: Slot) {
        let event = self.slots.at_mut(slot.0 as usize);
        if std::mem::take(&mut event.is_indexed) {
            self.index.remove(&HashedAddress::of(event.address), slot.0 as usize);
        }
    }

    /// Removes and returns an event.
    pub(crate) fn remove(&mut self, slot: Slot) -> DeferredEvent {
        self.unindex(slot);
        let event = *self.slots.at(slot.0 as usize);
        self.vacate(slot);
        event
    }

    /// Removes an event that [`HoldQueue::find`] returned for this address.
    #[inline(always)]
    pub(crate) fn remove_indexed(&mut self, slot: Slot, address: &HashedAddress) {
        self.index.remove(address, slot.0 as usize);
        self.vacate(slot);
    }

    #[inline(always)]
    fn vacate(&mut self, slot: Slot) {
        let slot = slot.0 as usize;
        self.slots.at_mut(slot).kind = DeferredKind::Vacant;
        self.free.release(slot);
        self.len = self.len.wrapping_sub(1);
    }

    /// Memory in use, in bytes.
    pub(crate) fn used_bytes(&self) -> u64 {
        let slots = (self.end as u64).saturating_mul(size_of::<DeferredEvent>() as u64);
        let selected = (self.selected_max as u64).saturating_mul(size_of::<SelectedEvent>() as u64);
        slots.saturating_add(selected).saturating_add(self.index.used_bytes())
    }
}

/// The slots of the bitmap words that are not entirely free, with the words' indices.
fn occupied_words<'a>(
    slots: &'a [DeferredEvent],
    free: &'a SlotBitmap,
) -> impl Iterator<Item = (usize, &'a [DeferredEvent])> {
    slots.chunks(WORD_SLOTS).enumerate().filter(|(word, _)| !free.is_word_free(*word))
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use crate::collector::aggregate::address_index::HashedAddress;
    use crate::collector::aggregate::hold_queue::{DeferredEvent, DeferredKind, HoldQueue};

    /// A linear congruential generator.
    fn next(state: &mut u64) -> u64 {
        *state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *state >> 33
    }

    /// Pushes and removes random events and compares with a sorted list: `late` percent arrive out of
    /// order, and `from_front` percent of the removals take the oldest, some at a time.
    fn check(seed: u64, late: u64, from_front: u64, len_max: usize, steps: usize) {
        let state = &mut seed.clone();
        let mut queue = HoldQueue::new().unwrap();
        let mut naive: Vec<(u64, u64)> = Vec::new();
        let mut now = 1_000_000;
        for step in 0..steps as u64 {
            let grows = naive.len() < len_max && next(state) % 100 < 55;
            if grows || naive.is_empty() {
                now += next(state) % 3;
                let back = if next(state) % 100 < late { next(state) % 500 } else { 0 };
                let (at, address) = (now - back, 0x7f00_0000_0000 + step * 16);
                queue.push_indexed(
                    DeferredEvent::new(DeferredKind::Alloc, at, address),
                    &HashedAddress::of(address),
                );
                let index = naive.partition_point(|other| other.0 <= at);
                naive.insert(index, (at, address));
            } else if next(state) % 100 < from_front {
                let len = queue.select_oldest_half();
                assert!(len > 0 && naive.get(len).is_none_or(|later| later.0 > naive[len - 1].0));
                check_selected(&mut queue, len, naive.drain(..len));
            } else if next(state) % 100 < from_front {
                let until = naive[next(state) as usize % naive.len().min(9)].0;
                let len = queue.select_until(until);
                let due = naive.partition_point(|event| event.0 <= until);
                check_selected(&mut queue, len, naive.drain(..due));
            } else {
                let (at, address) = naive.remove(next(state) as usize % naive.len());
                let (slot, event) = queue.find(&HashedAddress::of(address)).unwrap();
                assert_eq!(event.at, at);
                queue.remove(slot);
                assert!(queue.find(&HashedAddress::of(address)).is_none());
            }
        }
        for (at, address) in &naive {
            assert_eq!(
                queue.find(&HashedAddress::of(*address)).map(|(_, event)| event.at),
                Some(*at)
            );
        }
        let len = queue.select_until(u64::MAX);
        check_selected(&mut queue, len, naive.into_iter());
        assert_eq!(queue.select_until(u64::MAX), 0);
        assert!(queue.end <= len_max, "{} slots for {len_max}", queue.end);
    }

    /// Removes the selected events and compares them.
    fn check_selected(queue: &mut HoldQueue, len: usize, naive: impl Iterator<Item = (u64, u64)>) {
        let selected: Vec<_> = (0..len)
            .map(|at| queue.selected(at).map(|slot| queue.remove(slot)).unwrap())
            .map(|event| (event.at, event.address))
            .collect();
        assert_eq!(selected, naive.collect::<Vec<_>>());
    }

    #[test]
    fn deferred_events_are_found_and_selected_in_order() {
        for seed in 0..20 {
            check(seed, 0, 0, 50, 5_000);
            check(seed, 30, 10, 300, 20_000);
            check(seed, 5, 50, 3_000, 20_000);
        }
        check(99, 3, 1, 8_000, 200_000);
    }
}
