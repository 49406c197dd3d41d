//! Which held block is at an address: a hash table whose buckets are cache lines.
//!
//! Reads and writes: its own pages.
//!
//! Neighbours in the heap are neighbours here, so that what is hot there is hot here: with a
//! scattering hash the cache misses were nine tenths of aggregation. A block has a place of its own in
//! the line of its part of the heap. Where that line is full, for two parts of the heap may share
//! one and some allocators put blocks eight bytes apart, another line is chosen by a hash.
//!
//! Invariants: a block that is not displaced is in its own place; one that is displaced is in a line
//! of the choices that are in use. So a search reads few lines, nearly always one, whether it finds
//! or not, and removing moves nothing.

use crate::collector::platform::mmap_vec::{MmapTable, prefetch};

/// Blocks that may be known at once.
pub(crate) const KNOWN_MAX: usize = 1 << 18;

/// Entries in a cache line.
const IN_LINE: usize = 16;
const IN_LINE_BITS: u32 = IN_LINE.trailing_zeros();

/// Four times the places that blocks can need: what is not used costs nothing, and heaps share less.
const PLACES: usize = KNOWN_MAX * 4;
const LINE_BITS: u32 = PLACES.trailing_zeros() - IN_LINE_BITS;

/// Lines that a block may be in. Of lines that are all full there are few.
const CHOICES_MAX: u64 = 6;

/// Blocks begin at multiples of 16 bytes.
const GRAIN_SHIFT: u32 = 4;
/// What one line covers at that grain, and what all lines do.
const LINE_SHIFT: u32 = GRAIN_SHIFT + IN_LINE_BITS;
const REGION_SHIFT: u32 = LINE_SHIFT + LINE_BITS;

/// Parts of the table whose memory is had at once.
const PARTS: usize = 64;
const IN_PART: usize = PLACES / PARTS;
const PART_BYTES: u64 = (IN_PART * size_of::<u32>()) as u64;

/// Lower bits of an entry: 1 + the slot. Above them stands what is kept of the address, never 0.
const SLOT_BITS: u32 = 20;
const TAG: u32 = u32::MAX << SLOT_BITS;
/// Slots are below this.
pub(crate) const SLOTS_MAX: usize = (1 << SLOT_BITS) - 1;

/// Where a block is looked for, worked out once.
#[derive(Clone, Copy)]
pub(crate) struct HashedAddress {
    address: u64,
    /// Its own place.
    place: u32,
    tag: u32,
}

impl HashedAddress {
    /// Of no block.
    pub(crate) const NOWHERE: Self = Self { address: 0, place: 0, tag: 0 };

    #[inline(always)]
    pub(crate) fn of(address: u64) -> Self {
        // Each region of the heap begins at a line of its own, for allocators align theirs.
        let region = mix(address >> REGION_SHIFT) >> (64 - LINE_BITS) << IN_LINE_BITS;
        let place = (address >> GRAIN_SHIFT).wrapping_add(region) as u32;
        Self { address, place, tag: (mix(address) >> 32) as u32 & TAG | 1 << SLOT_BITS }
    }

    #[inline(always)]
    pub(crate) fn address(&self) -> u64 {
        self.address
    }

    /// The part of the table that its own place is in, as one bit.
    #[inline(always)]
    pub(crate) fn part(&self) -> u64 {
        1 << ((self.place as usize & (PLACES - 1)) / IN_PART)
    }

    #[inline(always)]
    fn entry(&self, slot: usize) -> u32 {
        self.tag | (slot as u32).wrapping_add(1)
    }

    /// The first place of a line that the block may be in.
    fn line(&self, choice: u64) -> usize {
        let place = match choice {
            0 => u64::from(self.place),
            _ => mix(mix(self.address).wrapping_add(choice)) >> 32,
        };
        place as usize & (PLACES - 1) & !(IN_LINE - 1)
    }
}

/// All places.
pub(crate) struct AddressIndex {
    table: MmapTable<u32, PLACES>,
    /// Parts whose memory was had: see [`AddressIndex::open`].
    open: u64,
    /// Blocks that are elsewhere than in their own places.
    displaced: usize,
    /// How many choices are in use.
    choices: u64,
}

impl AddressIndex {
    pub(crate) fn new() -> Option<Self> {
        Some(Self { table: MmapTable::new()?, open: 0, displaced: 0, choices: 1 })
    }

    /// Has the memory of these parts: a page that is read before it is written is mapped twice, and
    /// the second time every core that runs the program is interrupted.
    #[inline(always)]
    pub(crate) fn open(&mut self, parts: u64) {
        if parts & !self.open != 0 {
            self.open_more(parts);
        }
    }

    #[cold]
    #[inline(never)]
    fn open_more(&mut self, parts: u64) {
        let new = (0..PARTS).filter(|part| (parts & !self.open) >> part & 1 == 1);
        new.for_each(|part| self.table.populate(part.wrapping_mul(IN_PART), IN_PART));
        self.open |= parts;
    }

    /// Fetches what [`AddressIndex::find`] reads.
    #[inline(always)]
    pub(crate) fn fetch(&self, spot: &HashedAddress) {
        prefetch(self.own(spot));
    }

    /// A slot that may be the block's: nearly always the one that [`AddressIndex::find`] finds.
    #[inline(always)]
    pub(crate) fn guess(&self, spot: &HashedAddress) -> Option<usize> {
        let entry = *self.own(spot);
        (entry & TAG == spot.tag).then(|| slot_of(entry))
    }

    /// The slot of the block at a spot; `is_it` tells whether a slot is it.
    #[inline(always)]
    pub(crate) fn find(
        &self,
        spot: &HashedAddress,
        is_it: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let entry = *self.own(spot);
        if entry & TAG == spot.tag && is_it(slot_of(entry)) {
            return Some(slot_of(entry));
        }
        if self.displaced == 0 {
            return None;
        }
        self.find_elsewhere(spot, is_it)
    }

    #[inline(never)]
    fn find_elsewhere(&self, spot: &HashedAddress, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        for choice in 0..self.choices {
            let line = self.line(spot, choice)?;
            // All of them are looked at, which the compiler makes a few wide comparisons.
            if line.iter().fold(false, |any, entry| any | (entry & TAG == spot.tag)) {
                let mut alike = line.iter().filter(|entry| **entry & TAG == spot.tag);
                if let Some(entry) = alike.find(|entry| is_it(slot_of(**entry))) {
                    return Some(slot_of(*entry));
                }
            }
        }
        None
    }

    /// Makes a block known that is not; `false`: all its lines are full.
    #[inline(always)]
    pub(crate) fn insert(&mut self, spot: &HashedAddress, slot: usize) -> bool {
        let place = self.table.at_mut(spot.place as usize);
        if *place == 0 {
            *place = spot.entry(slot);
            return true;
        }
        self.insert_overflow(spot, slot)
    }

    #[cold]
    fn insert_overflow(&mut self, spot: &HashedAddress, slot: usize) -> bool {
        for choice in 0..CHOICES_MAX {
            if self.change_in_line(spot, choice, 0, spot.entry(slot)) {
                self.choices = self.choices.max(choice.wrapping_add(1));
                self.displaced = self.displaced.wrapping_add(1);
                return true;
            }
        }
        false
    }

    /// Forgets a block that is known.
    #[inline(always)]
    pub(crate) fn remove(&mut self, spot: &HashedAddress, slot: usize) {
        if self.replace(spot, spot.entry(slot), 0) == Where::Elsewhere {
            self.displaced = self.displaced.wrapping_sub(1);
            if self.displaced == 0 {
                self.choices = 1;
            }
        }
    }

    #[inline(always)]
    fn replace(&mut self, spot: &HashedAddress, old: u32, new: u32) -> Where {
        let place = self.table.at_mut(spot.place as usize);
        if *place == old {
            *place = new;
            return Where::Own;
        }
        self.replace_elsewhere(spot, old, new)
    }

    #[cold]
    fn replace_elsewhere(&mut self, spot: &HashedAddress, old: u32, new: u32) -> Where {
        for choice in 0..self.choices {
            if self.change_in_line(spot, choice, old, new) {
                return Where::Elsewhere;
            }
        }
        Where::Nowhere
    }

    /// Changes the first of a line's entries that is `old`; `false`: none is.
    fn change_in_line(&mut self, spot: &HashedAddress, choice: u64, old: u32, new: u32) -> bool {
        let first = spot.line(choice);
        let line = self.table.as_mut_slice().get_mut(first..first.saturating_add(IN_LINE));
        let place = line.and_then(|line| line.iter_mut().find(|entry| **entry == old));
        let is_there = place.is_some();
        place.into_iter().for_each(|place| *place = new);
        is_there
    }

    #[inline(always)]
    fn own(&self, spot: &HashedAddress) -> &u32 {
        self.table.at(spot.place as usize)
    }

    fn line(&self, spot: &HashedAddress, choice: u64) -> Option<&[u32; IN_LINE]> {
        self.table.as_slice().get(spot.line(choice)..)?.first_chunk()
    }

    /// Memory that was had, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.open.count_ones()).saturating_mul(PART_BYTES)
    }
}

/// Where a block was found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    Own,
    Elsewhere,
    Nowhere,
}

#[inline(always)]
fn mix(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[inline(always)]
fn slot_of(entry: u32) -> usize {
    ((entry & !TAG) as usize).wrapping_sub(1)
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use std::collections::HashMap;

    use crate::collector::aggregate::address_index::{AddressIndex, HashedAddress, KNOWN_MAX};

    /// Fills the table with so many blocks, at the addresses that `address` gives; then they go at
    /// random and others come. A map does the same.
    fn check(known: usize, address: impl Fn(u64) -> u64) {
        let mut places = AddressIndex::new().unwrap();
        let mut naive: HashMap<u64, usize> = HashMap::new();
        let mut slots = vec![0_u64; known + 1];
        let mut free: Vec<usize> = (0..slots.len()).rev().collect();
        let mut state = 7_u64;
        for step in 0..4 * known as u64 {
            if naive.len() >= known {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
                let slot = (state >> 33) as usize % slots.len();
                let old = slots[slot];
                if let Some(slot) = naive.remove(&old) {
                    assert_eq!(
                        places.find(&HashedAddress::of(old), |slot| slots[slot] == old),
                        Some(slot)
                    );
                    places.remove(&HashedAddress::of(old), slot);
                    assert_eq!(
                        places.find(&HashedAddress::of(old), |slot| slots[slot] == old),
                        None
                    );
                    slots[slot] = 0;
                    free.insert(free.len() / 2, slot);
                }
            }
            let (new, slot) = (address(step), free[free.len() - 1]);
            if naive.contains_key(&new) {
                continue;
            }
            assert_eq!(places.find(&HashedAddress::of(new), |slot| slots[slot] == new), None);
            assert!(places.insert(&HashedAddress::of(new), slot), "step {step}");
            free.pop();
            slots[slot] = new;
            naive.insert(new, slot);
        }
        assert!(!naive.is_empty());
        for (address, slot) in naive {
            assert_eq!(
                places.find(&HashedAddress::of(address), |slot| slots[slot] == address),
                Some(slot)
            );
        }
    }

    #[test]
    fn what_is_known_is_found_however_blocks_lie() {
        // One behind the other, as close as allocators put them.
        check(10_000, |step| 0x7f00_0000_0000 + step * 16);
        check(10_000, |step| 0x7f00_0000_0000 + step * 8);
        check(10_000, |step| 0x7f00_0000_0000 + step);
        // Many heaps that are aligned alike, and one of large blocks.
        check(10_000, |step| ((step % 100) << 26) + (step / 100) * 48);
        check(10_000, |step| step << 21);
        // As many as there may be.
        check(KNOWN_MAX, |step| 0x5500_0000_0010 + step * 32);
    }
}
