//! Which held block is at an address: a hash table whose buckets are cache lines.
//!
//! Reads and writes: its own pages.
//!
//! Neighbours in the heap are neighbours here, so that what is hot there is hot here: with a
//! scattering hash the cache misses were nine tenths of folding. A block has a place of its own in
//! the line of its part of the heap. Where that line is full, for two parts of the heap may share
//! one and some allocators put blocks eight bytes apart, another line is chosen by a hash.
//!
//! Invariants: a block that is not displaced is in its own place; one that is displaced is in a line
//! of the choices that are in use. So a search reads few lines, nearly always one, whether it finds
//! or not, and removing moves nothing.

use crate::collector::pages::{Table, Zeroed, fetch};

/// Blocks that may be known at once.
pub(in crate::collector) const KNOWN_MAX: usize = 1 << 18;

/// Entries in a cache line.
const IN_LINE: usize = 16;
const IN_LINE_BITS: u32 = IN_LINE.trailing_zeros();

/// Four times the places that blocks can need: what is not used costs nothing, and heaps share less.
const LINES: usize = KNOWN_MAX * 4 / IN_LINE;
const LINE_BITS: u32 = LINES.trailing_zeros();

/// Lines that a block may be in. Of lines that are all full there are few.
const CHOICES_MAX: u64 = 6;

/// Blocks begin at multiples of 16 bytes.
const GRAIN_SHIFT: u32 = 4;
/// What one line covers at that grain, and what all lines do.
const LINE_SHIFT: u32 = GRAIN_SHIFT + IN_LINE_BITS;
const REGION_SHIFT: u32 = LINE_SHIFT + LINE_BITS;

/// Lower bits of an entry: 1 + the slot. Above them stands what is kept of the address, never 0.
const SLOT_BITS: u32 = 20;
const TAG: u32 = u32::MAX << SLOT_BITS;
/// Slots are below this.
pub(in crate::collector) const SLOTS_MAX: usize = (1 << SLOT_BITS) - 1;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u32; IN_LINE]);

// SAFETY: numbers.
unsafe impl Zeroed for Line {}

/// All places.
pub(in crate::collector) struct Places {
    lines: Table<Line, LINES>,
    /// Blocks that are elsewhere than in their own places.
    displaced: usize,
    /// How many choices are in use.
    choices: u64,
}

impl Places {
    pub(in crate::collector) fn new() -> Option<Self> {
        Some(Self { lines: Table::new()?, displaced: 0, choices: 1 })
    }

    /// Fetches what [`Places::find`] reads.
    #[inline(always)]
    pub(in crate::collector) fn fetch(&self, address: u64) {
        fetch(self.lines.at(line_of(address, 0)));
    }

    /// A slot that may be the block's: nearly always the one that [`Places::find`] finds.
    #[inline(always)]
    pub(in crate::collector) fn guess(&self, address: u64) -> Option<usize> {
        let entry = own(self.lines.at(line_of(address, 0)), address);
        (entry & TAG == tag_of(address)).then(|| slot_of(entry))
    }

    /// The slot of the block at an address; `is_it` tells whether a slot is it.
    #[inline(always)]
    pub(in crate::collector) fn find(
        &self,
        address: u64,
        is_it: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let entry = own(self.lines.at(line_of(address, 0)), address);
        if entry & TAG == tag_of(address) && is_it(slot_of(entry)) {
            return Some(slot_of(entry));
        }
        if self.displaced == 0 {
            return None;
        }
        self.find_elsewhere(address, is_it)
    }

    #[inline(never)]
    fn find_elsewhere(&self, address: u64, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        let tag = tag_of(address);
        for choice in 0..self.choices {
            let line = self.lines.at(line_of(address, choice));
            // All of them are looked at, which the compiler makes a few wide comparisons.
            if line.0.iter().fold(false, |any, entry| any | (entry & TAG == tag)) {
                let mut alike = line.0.iter().filter(|entry| **entry & TAG == tag);
                if let Some(entry) = alike.find(|entry| is_it(slot_of(**entry))) {
                    return Some(slot_of(*entry));
                }
            }
        }
        None
    }

    /// Makes a block known that is not; `false`: all its lines are full.
    #[inline(always)]
    pub(in crate::collector) fn insert(&mut self, address: u64, slot: usize) -> bool {
        let line = self.lines.at_mut(line_of(address, 0));
        match line.0.get_mut(own_place(address)) {
            Some(place) if *place == 0 => {
                *place = entry_of(address, slot);
                true
            }
            _ => self.insert_elsewhere(address, slot),
        }
    }

    #[cold]
    fn insert_elsewhere(&mut self, address: u64, slot: usize) -> bool {
        for choice in 0..CHOICES_MAX {
            let line = self.lines.at_mut(line_of(address, choice));
            if let Some(place) = line.0.iter_mut().find(|entry| **entry == 0) {
                *place = entry_of(address, slot);
                self.choices = self.choices.max(choice.wrapping_add(1));
                self.displaced = self.displaced.wrapping_add(1);
                return true;
            }
        }
        false
    }

    /// Forgets a block that is known.
    #[inline(always)]
    pub(in crate::collector) fn remove(&mut self, address: u64, slot: usize) {
        if self.replace(address, entry_of(address, slot), 0) == Where::Elsewhere {
            self.displaced = self.displaced.wrapping_sub(1);
            if self.displaced == 0 {
                self.choices = 1;
            }
        }
    }

    /// The block has moved to another slot.
    pub(in crate::collector) fn relocate(&mut self, address: u64, from: usize, to: usize) {
        self.replace(address, entry_of(address, from), entry_of(address, to));
    }

    #[inline(always)]
    fn replace(&mut self, address: u64, old: u32, new: u32) -> Where {
        let line = self.lines.at_mut(line_of(address, 0));
        match line.0.get_mut(own_place(address)) {
            Some(place) if *place == old => {
                *place = new;
                Where::Own
            }
            _ => self.replace_elsewhere(address, old, new),
        }
    }

    #[cold]
    fn replace_elsewhere(&mut self, address: u64, old: u32, new: u32) -> Where {
        for choice in 0..self.choices {
            let line = self.lines.at_mut(line_of(address, choice));
            if let Some(place) = line.0.iter_mut().find(|entry| **entry == old) {
                *place = new;
                return Where::Elsewhere;
            }
        }
        Where::Nowhere
    }

    /// Memory of all places, in bytes.
    pub(in crate::collector) const BYTES: usize = LINES * size_of::<Line>();
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

/// Each region of the heap begins at a line of its own, for allocators align theirs.
#[inline(always)]
fn line_of(address: u64, choice: u64) -> usize {
    if choice == 0 {
        let region = mix(address >> REGION_SHIFT) >> (64 - LINE_BITS);
        return (address >> LINE_SHIFT).wrapping_add(region) as usize;
    }
    (mix(mix(address).wrapping_add(choice)) >> (64 - LINE_BITS)) as usize
}

#[inline(always)]
fn own_place(address: u64) -> usize {
    (address >> GRAIN_SHIFT) as usize & (IN_LINE - 1)
}

#[inline(always)]
fn own(line: &Line, address: u64) -> u32 {
    line.0.get(own_place(address)).copied().unwrap_or(0)
}

#[inline(always)]
fn tag_of(address: u64) -> u32 {
    (mix(address) >> 32) as u32 & TAG | 1 << SLOT_BITS
}

#[inline(always)]
fn entry_of(address: u64, slot: usize) -> u32 {
    tag_of(address) | (slot as u32).wrapping_add(1)
}

#[inline(always)]
fn slot_of(entry: u32) -> usize {
    ((entry & !TAG) as usize).wrapping_sub(1)
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use std::collections::HashMap;

    use crate::collector::fold::places::{KNOWN_MAX, Places};

    /// Fills the table with so many blocks, at the addresses that `address` gives; then they go at
    /// random and others come. A map does the same.
    fn check(known: usize, address: impl Fn(u64) -> u64) {
        let mut places = Places::new().unwrap();
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
                    assert_eq!(places.find(old, |slot| slots[slot] == old), Some(slot));
                    places.remove(old, slot);
                    assert_eq!(places.find(old, |slot| slots[slot] == old), None);
                    slots[slot] = 0;
                    free.insert(free.len() / 2, slot);
                }
            }
            let (new, slot) = (address(step), free[free.len() - 1]);
            if naive.contains_key(&new) {
                continue;
            }
            assert_eq!(places.find(new, |slot| slots[slot] == new), None);
            assert!(places.insert(new, slot), "step {step}");
            // And on to another one.
            free.pop();
            let to = free.pop().unwrap_or(slot);
            places.relocate(new, slot, to);
            if to != slot {
                free.push(slot);
            }
            slots[to] = new;
            naive.insert(new, to);
        }
        assert!(!naive.is_empty());
        for (address, slot) in naive {
            assert_eq!(places.find(address, |slot| slots[slot] == address), Some(slot));
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
