//! Events that are held back until it is known whether they can be aggregated: found by address, and
//! taken out in the order of time.
//!
//! Reads and writes: its own pages. Slots are used again at once, so that those of temporary blocks
//! stay in the nearest cache, and otherwise in rows, so that what was made together stands together.
//! So events stand in no order; what is due is picked out now and then, and sorted.
//!
//! Invariant: an address is found at most once.

use crate::collector::aggregate::address_index::{
    AddressIndex, HashedAddress, KNOWN_MAX, SLOTS_MAX,
};
use crate::collector::aggregate::slot_bitmap::{self, Rows};
use crate::collector::platform::mmap_vec::{MmapTable, MmapVec, Zeroable, prefetch};

const SLOTS: usize = KNOWN_MAX;
const _: () = assert!(SLOTS <= SLOTS_MAX && SLOTS <= slot_bitmap::SLOTS_MAX);

/// Events that may be pushed after it was seen that there is room for them.
pub(crate) const AT_ONCE: usize = 128;

/// Events that can be held at once.
pub(crate) const HELD_MAX: usize = SLOTS - AT_ONCE;

/// When more places than this were used, they are not all in a processor's nearest cache.
const NEAR: usize = 1 << 6;

/// What is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Nothing: a place to be used.
    Gone = 0,
    /// A block began.
    Alloc,
    /// The same with zeroed memory.
    Zeroed,
    /// A block began that continues another one.
    Realloc,
    /// A block ended that is written or not known.
    Free,
    /// The same, to grow or shrink.
    ReallocEnd,
    /// The allocator refused.
    Failed,
}

/// One event, on a cache line of its own. Times are in ticks.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Held {
    pub(crate) at: u64,
    pub(crate) address: u64,
    pub(crate) size: u64,
    /// How many were held before it: what happened at one tick stays in its order.
    pub(crate) number: u64,
    pub(crate) node: u32,
    pub(crate) thread: u32,
    pub(crate) scope: u32,
    /// Blocks that the thread had made by then, this one included.
    pub(crate) made: u32,
    pub(crate) stream: u16,
    pub(crate) kind: Kind,
    pub(crate) align_log2: u8,
    /// Realloc: whether the address changed.
    pub(crate) moved: bool,
    /// Realloc: whether what it continues is written or not known, and not aggregated.
    pub(crate) linked: bool,
    /// Whether it can be found by its address.
    pub(crate) is_known: bool,
}

// SAFETY: numbers, bools, and an enum of bytes whose first is zero.
unsafe impl Zeroable for Held {}

impl Held {
    /// Whether it is a block's beginning.
    pub(crate) fn is_block(&self) -> bool {
        matches!(self.kind, Kind::Alloc | Kind::Zeroed | Kind::Realloc)
    }

    /// An event without a block's particulars.
    pub(crate) const fn new(kind: Kind, at: u64, address: u64) -> Self {
        Self {
            at,
            address,
            size: 0,
            number: 0,
            node: 0,
            thread: 0,
            scope: 0,
            made: 0,
            stream: 0,
            kind,
            align_log2: 0,
            moved: false,
            linked: false,
            is_known: false,
        }
    }
}

/// Where a held event stands, until it is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(u32);

/// All held events.
pub(crate) struct Pending {
    slots: MmapTable<Held, SLOTS>,
    places: AddressIndex,
    free: Rows,
    /// Slots from here on were never used.
    end: usize,
    held: usize,
    pushed: u64,
    /// See [`Pending::pick_until`].
    picked: MmapVec<Picked>,
    /// The most that were picked at once.
    picked_max: usize,
    /// The row of what was picked last.
    first_row: usize,
}

/// An event that is due: what it is sorted by, and where it stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
struct Picked {
    at: u64,
    number: u64,
    slot: u32,
}

// SAFETY: numbers.
unsafe impl Zeroable for Picked {}

impl Pending {
    pub(crate) fn new() -> Option<Self> {
        Some(Self {
            slots: MmapTable::new()?,
            places: AddressIndex::new()?,
            free: Rows::new(SLOTS)?,
            end: 0,
            held: 0,
            pushed: 0,
            picked: MmapVec::new(SLOTS)?,
            picked_max: 0,
            first_row: 0,
        })
    }

    /// Whether so many more events fit, at most [`AT_ONCE`].
    #[inline(always)]
    pub(crate) fn has_room(&self, more: usize) -> bool {
        self.held.wrapping_add(more) <= HELD_MAX
    }

    /// Holds an event that is not found by its address. There must be room.
    #[inline(always)]
    pub(crate) fn push(&mut self, held: Held) {
        if let Some(slot) = self.free.take() {
            self.put(slot, held);
        }
    }

    /// Holds a block's beginning that is found by its address, where none is found yet. There must
    /// be room.
    #[inline(always)]
    pub(crate) fn push_known(&mut self, held: Held, spot: &HashedAddress) {
        if let Some(slot) = self.free.take() {
            let is_known = self.places.insert(spot, slot);
            self.put(slot, Held { is_known, ..held });
        }
    }

    #[inline(always)]
    fn put(&mut self, slot: usize, held: Held) {
        *self.slots.at_mut(slot) = Held { number: self.pushed, ..held };
        self.end = self.end.max(slot.wrapping_add(1));
        self.pushed = self.pushed.wrapping_add(1);
        self.held = self.held.wrapping_add(1);
    }

    /// Whether what was held is so much that it should be fetched before it is asked for.
    #[inline(always)]
    pub(crate) fn exceeds_cache(&self) -> bool {
        self.end > NEAR
    }

    /// Makes ready to search these parts of the places; see [`HashedAddress::part`].
    #[inline(always)]
    pub(crate) fn open(&mut self, parts: u64) {
        self.places.open(parts);
    }

    /// Fetches what [`Pending::find`] reads first.
    #[inline(always)]
    pub(crate) fn fetch_place(&self, spot: &HashedAddress) {
        self.places.fetch(spot);
    }

    /// Fetches what [`Pending::find`] reads then, in the usual case.
    #[inline(always)]
    pub(crate) fn fetch_slot(&self, spot: &HashedAddress) {
        if let Some(slot) = self.places.guess(spot) {
            prefetch(self.slots.at(slot));
        }
    }

    /// The event that began the block at a spot.
    #[inline(always)]
    pub(crate) fn find(&self, spot: &HashedAddress) -> Option<(Slot, &Held)> {
        let slot = self.places.find(spot, |slot| self.slots.at(slot).address == spot.address())?;
        Some((Slot(slot as u32), self.slots.at(slot)))
    }

    /// Picks out what is not later than `until`; answers how many events that are, which
    /// [`Pending::picked`] has in their order.
    pub(crate) fn pick_until(&mut self, until: u64) -> usize {
        let picked = self.pick(until);
        picked.sort_unstable();
        picked.len()
    }

    /// The same for the older half of all events, more or less.
    pub(crate) fn select_oldest_half(&mut self) -> usize {
        let until = self.middle();
        self.pick_until(until)
    }

    /// The median of one stamp of each row.
    fn middle(&mut self) -> u64 {
        let slots = self.slots.as_slice().get(..self.end).unwrap_or_default();
        let stamps = rows_held(slots, &self.free).filter_map(|(_, row)| {
            row.iter().find(|held| held.kind != Kind::Gone).map(|held| held.at)
        });
        let sample = self.picked.as_mut_slice();
        let len = stamps.zip(sample.iter_mut()).map(|(at, place)| place.at = at).count();
        let sample = sample.get_mut(..len).unwrap_or_default();
        match sample.is_empty() {
            true => u64::MAX,
            false => sample.select_nth_unstable_by_key(len / 2, |held| held.at).1.at,
        }
    }

    /// From behind what was picked last on, for there what came one after another mostly stands so:
    /// it is in its order then, and sorting it costs one look.
    fn pick(&mut self, until: u64) -> &mut [Picked] {
        let slots = self.slots.as_slice().get(..self.end).unwrap_or_default();
        let picked = self.picked.as_mut_slice();
        let mut len = 0_usize;
        let begin = self.first_row;
        let behind = rows_held(slots, &self.free).filter(|(row, _)| *row >= begin);
        let before = rows_held(slots, &self.free).filter(|(row, _)| *row < begin);
        for (row, slots) in behind.chain(before) {
            for (at, held) in slots.iter().enumerate() {
                if held.at <= until
                    && held.kind != Kind::Gone
                    && let Some(place) = picked.get_mut(len)
                {
                    let slot = row.wrapping_mul(slot_bitmap::ROW) | at;
                    *place = Picked { at: held.at, number: held.number, slot: slot as u32 };
                    len = len.wrapping_add(1);
                    self.first_row = row;
                }
            }
        }
        self.picked_max = self.picked_max.max(len);
        picked.get_mut(..len).unwrap_or_default()
    }

    /// One of those that were picked out last.
    pub(crate) fn picked(&self, at: usize) -> Option<Slot> {
        self.picked.get(at).map(|picked| Slot(picked.slot))
    }

    /// Forgets the address of an event, which stays where it is.
    #[inline(always)]
    pub(crate) fn forget(&mut self, slot: Slot) {
        let held = self.slots.at_mut(slot.0 as usize);
        if std::mem::take(&mut held.is_known) {
            self.places.remove(&HashedAddress::of(held.address), slot.0 as usize);
        }
    }

    /// Takes an event out.
    pub(crate) fn remove(&mut self, slot: Slot) -> Held {
        self.forget(slot);
        let held = *self.slots.at(slot.0 as usize);
        self.leave(slot);
        held
    }

    /// Takes out the event that [`Pending::find`] has just found at a spot.
    #[inline(always)]
    pub(crate) fn remove_found(&mut self, slot: Slot, spot: &HashedAddress) {
        self.places.remove(spot, slot.0 as usize);
        self.leave(slot);
    }

    #[inline(always)]
    fn leave(&mut self, slot: Slot) {
        let slot = slot.0 as usize;
        self.slots.at_mut(slot).kind = Kind::Gone;
        self.free.give(slot);
        self.held = self.held.wrapping_sub(1);
    }

    /// Memory that was touched, in bytes.
    pub(crate) fn used_bytes(&self) -> u64 {
        let slots = (self.end as u64).saturating_mul(size_of::<Held>() as u64);
        let picked = (self.picked_max as u64).saturating_mul(size_of::<Picked>() as u64);
        slots.saturating_add(picked).saturating_add(self.places.bytes())
    }
}

/// The rows of which something is held, with their numbers.
fn rows_held<'a>(slots: &'a [Held], free: &'a Rows) -> impl Iterator<Item = (usize, &'a [Held])> {
    slots.chunks(slot_bitmap::ROW).enumerate().filter(|(row, _)| !free.is_empty(*row))
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use crate::collector::aggregate::address_index::HashedAddress;
    use crate::collector::aggregate::hold_queue::{Held, Kind, Pending};

    /// A small generator: which numbers it gives does not matter.
    fn next(state: &mut u64) -> u64 {
        *state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *state >> 33
    }

    /// Holds what comes at random and compares with a sorted list: `late` of a hundred come out of
    /// order, and of those that leave `from_front` of a hundred are the oldest, some at a time.
    fn check(seed: u64, late: u64, from_front: u64, held_most: usize, steps: usize) {
        let state = &mut seed.clone();
        let mut pending = Pending::new().unwrap();
        let mut naive: Vec<(u64, u64)> = Vec::new();
        let mut now = 1_000_000;
        for step in 0..steps as u64 {
            let grows = naive.len() < held_most && next(state) % 100 < 55;
            if grows || naive.is_empty() {
                now += next(state) % 3;
                let back = if next(state) % 100 < late { next(state) % 500 } else { 0 };
                let (at, address) = (now - back, 0x7f00_0000_0000 + step * 16);
                pending
                    .push_known(Held::new(Kind::Alloc, at, address), &HashedAddress::of(address));
                let place = naive.partition_point(|other| other.0 <= at);
                naive.insert(place, (at, address));
            } else if next(state) % 100 < from_front {
                let len = pending.select_oldest_half();
                assert!(len > 0 && naive.get(len).is_none_or(|later| later.0 > naive[len - 1].0));
                check_picked(&mut pending, len, naive.drain(..len));
            } else if next(state) % 100 < from_front {
                let until = naive[next(state) as usize % naive.len().min(9)].0;
                let len = pending.pick_until(until);
                let due = naive.partition_point(|held| held.0 <= until);
                check_picked(&mut pending, len, naive.drain(..due));
            } else {
                let (at, address) = naive.remove(next(state) as usize % naive.len());
                let (slot, held) = pending.find(&HashedAddress::of(address)).unwrap();
                assert_eq!(held.at, at);
                pending.remove(slot);
                assert!(pending.find(&HashedAddress::of(address)).is_none());
            }
        }
        for (at, address) in &naive {
            assert_eq!(
                pending.find(&HashedAddress::of(*address)).map(|(_, held)| held.at),
                Some(*at)
            );
        }
        let len = pending.pick_until(u64::MAX);
        check_picked(&mut pending, len, naive.into_iter());
        assert_eq!(pending.pick_until(u64::MAX), 0);
        assert!(pending.end <= held_most, "{} places for {held_most}", pending.end);
    }

    /// Takes out what was picked and compares it.
    fn check_picked(pending: &mut Pending, len: usize, naive: impl Iterator<Item = (u64, u64)>) {
        let picked: Vec<_> = (0..len)
            .map(|at| pending.picked(at).map(|slot| pending.remove(slot)).unwrap())
            .map(|held| (held.at, held.address))
            .collect();
        assert_eq!(picked, naive.collect::<Vec<_>>());
    }

    #[test]
    fn what_is_held_is_found_and_leaves_in_the_order_of_time() {
        for seed in 0..20 {
            check(seed, 0, 0, 50, 5_000);
            check(seed, 30, 10, 300, 20_000);
            check(seed, 5, 50, 3_000, 20_000);
        }
        check(99, 3, 1, 8_000, 200_000);
    }
}
