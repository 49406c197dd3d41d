//! Events that are held back until it is known whether they can be folded: in the order of time,
//! and found by address.
//!
//! Reads and writes: its own pages. The log is appended to; a block that is folded leaves a gap,
//! and gaps at the end go at once, so that a temporary block's place is in the cache. When most of
//! the log is gaps it is closed up.
//!
//! Invariants: the log's stamps ascend, those of gaps too; an address is found at most once.

use crate::collector::fold::places::{KNOWN_MAX, Places, SLOTS_MAX, Spot};
use crate::collector::pages::{Pages, Zeroed, fetch};

/// Events that can be held at once.
pub(in crate::collector) const HELD_MAX: usize = KNOWN_MAX;

/// Events that may be pushed between two tidyings.
pub(in crate::collector) const AT_ONCE: usize = 128;

/// Gaps are closed when they are so many more than what is held.
const GAPS: usize = 1 << 14;

/// The log's length at most, gaps included: with fewer than [`HELD_MAX`] events in it there are
/// gaps enough to be closed.
const LOG: usize = 2 * HELD_MAX + GAPS + AT_ONCE;

const _: () = assert!(LOG <= SLOTS_MAX);

/// A log that is longer than this does not stay in a processor's nearest caches.
const NEAR: usize = 1 << 6;

/// What is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::collector) enum Kind {
    /// Nothing any more: a gap.
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
    Regrown,
    /// The allocator refused.
    Failed,
}

/// One event. Times are in ticks.
#[derive(Clone, Copy)]
#[repr(C)]
pub(in crate::collector) struct Held {
    pub(in crate::collector) at: u64,
    pub(in crate::collector) address: u64,
    pub(in crate::collector) size: u64,
    pub(in crate::collector) node: u32,
    pub(in crate::collector) thread: u32,
    pub(in crate::collector) scope: u32,
    /// Blocks that the thread had made by then, this one included.
    pub(in crate::collector) made: u32,
    pub(in crate::collector) stream: u16,
    pub(in crate::collector) kind: Kind,
    pub(in crate::collector) align_log2: u8,
    /// Realloc: whether the address changed.
    pub(in crate::collector) moved: bool,
    /// Realloc: whether what it continues is written or not known, and not folded.
    pub(in crate::collector) linked: bool,
    /// Whether it can be found by its address.
    pub(in crate::collector) is_known: bool,
}

// SAFETY: numbers, bools, and an enum of bytes whose first is zero.
unsafe impl Zeroed for Held {}

impl Held {
    /// Whether it is a block's beginning.
    pub(in crate::collector) fn is_block(&self) -> bool {
        matches!(self.kind, Kind::Alloc | Kind::Zeroed | Kind::Realloc)
    }

    /// An event without a block's particulars.
    pub(in crate::collector) const fn new(kind: Kind, at: u64, address: u64) -> Self {
        Self {
            at,
            address,
            size: 0,
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

/// Where a held event stands; good until the next push or tidying.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::collector) struct Slot(u32);

/// All held events.
pub(in crate::collector) struct Pending {
    log: Pages<Held>,
    places: Places,
    /// Before this there are only gaps.
    first: usize,
    /// Length of the log.
    end: usize,
    held: usize,
    end_max: usize,
}

impl Pending {
    pub(in crate::collector) fn new() -> Option<Self> {
        Some(Self {
            log: Pages::new(LOG)?,
            places: Places::new()?,
            first: 0,
            end: 0,
            held: 0,
            end_max: 0,
        })
    }

    /// Whether so many more events fit, at most [`AT_ONCE`], once the log is tidy.
    #[inline(always)]
    pub(in crate::collector) fn has_room(&self, more: usize) -> bool {
        self.held.wrapping_add(more) <= HELD_MAX
    }

    /// Closes the gaps if they are too many.
    #[inline(always)]
    pub(in crate::collector) fn tidy(&mut self) {
        let gaps = self.end.wrapping_sub(self.held);
        if gaps > self.held.wrapping_add(GAPS) {
            self.close_gaps();
        }
    }

    /// Puts an event into its place, which is nearly always behind all others. There must be
    /// room.
    #[inline(always)]
    pub(in crate::collector) fn push(&mut self, held: Held) -> Option<Slot> {
        let slot = self.end;
        let at = held.at;
        // Written before its place is known, so that it is written once.
        *self.log.get_mut(slot)? = held;
        let before = slot.checked_sub(1).and_then(|last| self.log.get(last));
        if before.is_some_and(|before| before.at > at) {
            return self.insert();
        }
        self.end = slot.wrapping_add(1);
        self.held = self.held.wrapping_add(1);
        self.end_max = self.end_max.max(self.end);
        Some(Slot(slot as u32))
    }

    /// Puts the event that stands behind the end before others that are later: what stands between
    /// its place and the next gap moves on by one.
    #[cold]
    #[inline(never)]
    fn insert(&mut self) -> Option<Slot> {
        let held = *self.log.get(self.end)?;
        let log = self.log.as_slice().get(..self.end)?;
        let slot = log.partition_point(|other| other.at <= held.at);
        let gap = log.iter().skip(slot).position(|other| other.kind == Kind::Gone);
        let gap = gap.map_or(self.end, |gap| slot.wrapping_add(gap));
        for to in (slot.wrapping_add(1)..=gap).rev() {
            self.relocate(to.wrapping_sub(1), to);
        }
        *self.log.get_mut(slot)? = held;
        self.first = self.first.min(slot);
        self.end = self.end.max(gap.wrapping_add(1));
        self.end_max = self.end_max.max(self.end);
        self.held = self.held.wrapping_add(1);
        Some(Slot(slot as u32))
    }

    #[inline(never)]
    fn close_gaps(&mut self) {
        let mut to = 0;
        for from in self.first..self.end {
            if self.log.get(from).is_some_and(|held| held.kind != Kind::Gone) {
                if from != to {
                    self.relocate(from, to);
                }
                to = to.wrapping_add(1);
            }
        }
        (self.first, self.end) = (0, to);
    }

    /// Moves an event to a gap, or to the end.
    fn relocate(&mut self, from: usize, to: usize) {
        let Some(held) = self.log.get(from).copied() else { return };
        if held.is_known {
            self.places.relocate(&Spot::of(held.address), from, to);
        }
        if let Some(place) = self.log.get_mut(to) {
            *place = held;
        }
        if let Some(place) = self.log.get_mut(from) {
            place.kind = Kind::Gone;
        }
    }

    /// Whether what is held is so much that it should be fetched before it is asked for.
    #[inline(always)]
    pub(in crate::collector) fn is_far(&self) -> bool {
        self.end > NEAR
    }

    /// Fetches what [`Pending::find`] reads first.
    #[inline(always)]
    pub(in crate::collector) fn fetch_place(&self, spot: &Spot) {
        self.places.fetch(spot);
    }

    /// Fetches what [`Pending::find`] reads then, in the usual case.
    #[inline(always)]
    pub(in crate::collector) fn fetch_slot(&self, spot: &Spot) {
        if let Some(slot) = self.places.guess(spot)
            && let Some(held) = self.log.get(slot)
        {
            fetch(held);
        }
    }

    /// Makes the block of a pushed event known by its address, which is not known yet.
    #[inline(always)]
    pub(in crate::collector) fn know(&mut self, slot: Slot, spot: &Spot) {
        if let Some(held) = self.log.get_mut(slot.0 as usize) {
            held.is_known = self.places.insert(spot, slot.0 as usize);
        }
    }

    /// The event that began the block at a spot.
    #[inline(always)]
    pub(in crate::collector) fn find(&self, spot: &Spot) -> Option<(Slot, &Held)> {
        let is_it = |slot| self.log.get(slot).is_some_and(|held| held.address == spot.address());
        let slot = self.places.find(spot, is_it)?;
        Some((Slot(slot as u32), self.log.get(slot)?))
    }

    /// The oldest event.
    #[inline]
    pub(in crate::collector) fn oldest(&mut self) -> Option<(Slot, &Held)> {
        while self.first < self.end
            && self.log.get(self.first).is_some_and(|held| held.kind == Kind::Gone)
        {
            self.first = self.first.wrapping_add(1);
        }
        if self.first >= self.end {
            (self.first, self.end) = (0, 0);
            return None;
        }
        Some((Slot(self.first as u32), self.log.get(self.first)?))
    }

    /// Forgets the address of an event, which stays where it is.
    #[inline(always)]
    pub(in crate::collector) fn forget(&mut self, slot: Slot) {
        let Some(held) = self.log.get_mut(slot.0 as usize) else { return };
        if std::mem::take(&mut held.is_known) {
            self.places.remove(&Spot::of(held.address), slot.0 as usize);
        }
    }

    /// Takes an event out.
    pub(in crate::collector) fn remove(&mut self, slot: Slot) -> Option<Held> {
        self.forget(slot);
        let held = *self.log.get(slot.0 as usize)?;
        self.leave_gap(slot);
        Some(held)
    }

    /// Takes out the event that [`Pending::find`] has just found at a spot.
    #[inline(always)]
    pub(in crate::collector) fn remove_found(&mut self, slot: Slot, spot: &Spot) {
        self.places.remove(spot, slot.0 as usize);
        self.leave_gap(slot);
    }

    #[inline(always)]
    fn leave_gap(&mut self, slot: Slot) {
        let Some(place) = self.log.get_mut(slot.0 as usize) else { return };
        place.kind = Kind::Gone;
        self.held = self.held.wrapping_sub(1);
        while let Some(last) = self.end.checked_sub(1)
            && self.first < self.end
            && self.log.get(last).is_some_and(|held| held.kind == Kind::Gone)
        {
            self.end = last;
        }
    }

    /// Memory that was touched, in bytes.
    pub(in crate::collector) fn used_bytes(&self) -> u64 {
        let log = (self.end_max as u64).saturating_mul(size_of::<Held>() as u64);
        log.saturating_add(Places::bytes_of(self.end_max))
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test may panic")]
mod tests {
    use crate::collector::fold::pending::{GAPS, Held, Kind, Pending};
    use crate::collector::fold::places::Spot;

    /// A small generator: which numbers it gives does not matter.
    fn next(state: &mut u64) -> u64 {
        *state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *state >> 33
    }

    /// Holds what comes at random and compares with a sorted list: `late` of a hundred come out of
    /// order, and of those that leave `from_front` of a hundred are the oldest.
    fn check(seed: u64, late: u64, from_front: u64, held_most: usize, steps: usize) {
        let state = &mut seed.clone();
        let mut pending = Pending::new().unwrap();
        let mut naive: Vec<(u64, u64)> = Vec::new();
        let mut now = 1_000_000;
        for step in 0..steps as u64 {
            pending.tidy();
            let grows = naive.len() < held_most && next(state) % 100 < 55;
            if grows || naive.is_empty() {
                now += next(state) % 3;
                let back = if next(state) % 100 < late { next(state) % 500 } else { 0 };
                let (at, address) = (now - back, 0x7f00_0000_0000 + step * 16);
                let slot = pending.push(Held::new(Kind::Alloc, at, address)).unwrap();
                pending.know(slot, &Spot::of(address));
                let place = naive.partition_point(|other| other.0 <= at);
                naive.insert(place, (at, address));
            } else if next(state) % 100 < from_front {
                let (slot, held) = pending.oldest().unwrap();
                assert_eq!((held.at, held.address), naive.remove(0));
                pending.remove(slot).unwrap();
            } else {
                let (at, address) = naive.remove(next(state) as usize % naive.len());
                let (slot, held) = pending.find(&Spot::of(address)).unwrap();
                assert_eq!(held.at, at);
                pending.remove(slot).unwrap();
                assert!(pending.find(&Spot::of(address)).is_none());
            }
        }
        for (at, address) in naive {
            assert_eq!(pending.find(&Spot::of(address)).map(|(_, held)| held.at), Some(at));
            let (slot, held) = pending.oldest().unwrap();
            assert_eq!((held.at, held.address), (at, address));
            pending.remove(slot).unwrap();
        }
        assert!(pending.oldest().is_none());
    }

    #[test]
    fn what_is_held_is_found_and_leaves_in_the_order_of_time() {
        for seed in 0..20 {
            check(seed, 0, 0, 50, 5_000);
            check(seed, 30, 10, 300, 20_000);
            check(seed, 5, 50, 3_000, 20_000);
        }
        check(99, 3, 1, GAPS / 2, 20 * GAPS);
    }
}
