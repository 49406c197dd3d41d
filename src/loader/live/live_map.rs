//! The live blocks, by address: an open-addressing hash table with linear probing.
//!
//! A table of all live blocks does not fit a cache, so a look-up waits for memory: a third of a
//! load before there was this table. An entry holds the whole block, its slot follows from the
//! address alone, and [`LiveMap::prefetch`] fetches it some events ahead. A removal shifts the
//! following entries back instead of leaving a tombstone.
//!
//! Invariants:
//! - At most one block per address.
//! - No free slot lies between a block's primary slot and its slot.
//! - At most three in five slots are in use, so that probe sequences stay short.

use crate::loader::live::live_block::LiveBlock;
use crate::loader::live::prefetch::prefetch;

/// The address that marks a free slot. A block at this address is kept in [`LiveMap::last`].
const FREE: u64 = u64::MAX;

/// Slots of an empty map.
const SLOTS_MIN: usize = 1 << 10;

/// 2⁶⁴ divided by the golden ratio, made odd (Fibonacci hashing): addresses, whose low bits are
/// zero, spread over the high bits, which choose the slot.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// A block and its address.
#[derive(Clone, Copy, Debug)]
struct Entry {
    address: u64,
    block: LiveBlock,
}

/// The index of an entry; valid until the next insertion or removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(usize);

/// All live blocks.
#[derive(Debug)]
pub(crate) struct LiveMap {
    /// Slots; a power of two.
    entries: Vec<Entry>,
    /// A hash shifted right by this is a slot.
    shift: u32,
    used: usize,
    /// The block at address [`FREE`].
    last: Option<LiveBlock>,
}

impl Default for LiveMap {
    fn default() -> Self {
        Self::with_slots(SLOTS_MIN)
    }
}

impl LiveMap {
    fn with_slots(slots: usize) -> Self {
        let free = Entry { address: FREE, block: LiveBlock::EMPTY };
        let shift = u64::BITS - slots.ilog2();
        Self { entries: vec![free; slots], shift, used: 0, last: None }
    }

    /// The slot of an address if no other block is in the way.
    #[inline]
    fn primary_slot(&self, address: u64) -> usize {
        (address.wrapping_mul(MULTIPLIER) >> self.shift) as usize
    }

    #[inline]
    fn next_slot(&self, slot: usize) -> usize {
        (slot + 1) & (self.entries.len() - 1)
    }

    /// The slot that holds an address, or the free one where it would be inserted.
    #[inline]
    fn find_slot(&self, address: u64) -> usize {
        let mut slot = self.primary_slot(address);
        loop {
            let found = self.entries[slot].address;
            if found == address || found == FREE {
                return slot;
            }
            slot = self.next_slot(slot);
        }
    }

    /// Prefetches the entry of an address that an event will soon need.
    #[inline]
    pub(crate) fn prefetch(&self, address: u64) {
        let entry = &raw const self.entries[self.primary_slot(address)];
        prefetch(entry);
        // An entry of 48 bytes may end in the next cache line, where the next entry begins.
        prefetch(entry.wrapping_add(1));
    }

    /// The block at an address.
    #[inline]
    pub(crate) fn get(&self, address: u64) -> Option<&LiveBlock> {
        if address == FREE {
            return self.last.as_ref();
        }
        let entry = &self.entries[self.find_slot(address)];
        (entry.address == address).then_some(&entry.block)
    }

    /// Inserts a block; returns its slot, and the block that it replaced at the same address.
    #[inline]
    pub(crate) fn insert(&mut self, address: u64, block: LiveBlock) -> (Slot, Option<LiveBlock>) {
        if address == FREE {
            return (Slot(usize::MAX), self.last.replace(block));
        }
        if self.used * 5 >= self.entries.len() * 3 {
            self.grow();
        }
        let slot = self.find_slot(address);
        let entry = &mut self.entries[slot];
        let replaced = (entry.address == address).then_some(entry.block);
        *entry = Entry { address, block };
        self.used += usize::from(replaced.is_none());
        (Slot(slot), replaced)
    }

    /// The block in a slot that [`LiveMap::insert`] has just returned.
    #[inline]
    pub(crate) fn at(&mut self, slot: Slot) -> Option<&mut LiveBlock> {
        match self.entries.get_mut(slot.0) {
            Some(entry) => Some(&mut entry.block),
            None => self.last.as_mut(),
        }
    }

    /// Removes the block at an address.
    #[inline]
    pub(crate) fn remove(&mut self, address: u64) -> Option<LiveBlock> {
        if address == FREE {
            return self.last.take();
        }
        let mut hole = self.find_slot(address);
        if self.entries[hole].address == FREE {
            return None;
        }
        let block = self.entries[hole].block;
        self.used -= 1;
        let mut next = self.next_slot(hole);
        while self.entries[next].address != FREE {
            // An entry moves into the hole unless its primary slot lies behind the hole.
            let mask = self.entries.len() - 1;
            let probed = next.wrapping_sub(self.primary_slot(self.entries[next].address)) & mask;
            if probed >= next.wrapping_sub(hole) & mask {
                self.entries[hole] = self.entries[next];
                hole = next;
            }
            next = self.next_slot(next);
        }
        self.entries[hole].address = FREE;
        Some(block)
    }

    /// All blocks with their addresses, oldest first.
    pub(crate) fn into_oldest_first(self) -> impl Iterator<Item = (u64, LiveBlock)> {
        let Self { entries, last, .. } = self;
        // Sorts slots, not entries: a second copy of all blocks would be a load's peak memory.
        let in_use = |slot: &u32| entries[*slot as usize].address != FREE;
        let mut slots: Vec<u32> = (0..entries.len() as u32).filter(in_use).collect();
        slots.sort_unstable_by_key(|slot| {
            let entry = &entries[*slot as usize];
            (entry.block.allocated, entry.address)
        });
        let mut last = last.map(|block| (FREE, block));
        let mut slots = slots.into_iter().peekable();
        std::iter::from_fn(move || {
            let next = slots.peek().map(|slot| entries[*slot as usize]);
            let is_last = last.is_some_and(|(_, block)| {
                next.is_none_or(|next| {
                    (block.allocated, FREE) < (next.block.allocated, next.address)
                })
            });
            if is_last {
                return last.take();
            }
            slots.next();
            next.map(|entry| (entry.address, entry.block))
        })
    }

    #[cold]
    fn grow(&mut self) {
        let bigger = Self::with_slots(self.entries.len() * 2);
        let old = std::mem::replace(self, Self { last: self.last, ..bigger });
        for entry in old.entries.iter().filter(|entry| entry.address != FREE) {
            let slot = self.find_slot(entry.address);
            self.entries[slot] = *entry;
        }
        self.used = old.used;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::loader::live::live_block::LiveBlock;
    use crate::loader::live::live_map::LiveMap;
    use crate::loader::model::Nanos;

    fn block(number: u64) -> LiveBlock {
        LiveBlock { allocated: Nanos(number), size: number, ..LiveBlock::EMPTY }
    }

    #[test]
    fn a_live_map_is_a_map() {
        // Adjacent blocks, one byte apart, far apart, and the last addresses.
        for (blocks, stride, base) in
            [(50, 16, 0), (800, 1, 7), (3_000, 4_096, 1 << 40), (101, 8, u64::MAX - 800)]
        {
            let (mut live, mut map) = (LiveMap::default(), BTreeMap::new());
            let mut seed = 1_u64;
            for number in 0..200_000 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let address = base + (seed >> 33) % blocks * stride;
                assert_eq!(live.get(address).map(|block| block.size), map.get(&address).copied());
                let (old, known) = if seed >> 62 == 0 || (number / 5_000) % 2 == 0 {
                    let (slot, old) = live.insert(address, block(number));
                    assert_eq!(live.at(slot).unwrap().size, number);
                    (old, map.insert(address, number))
                } else {
                    (live.remove(address), map.remove(&address))
                };
                assert_eq!(old.map(|block| block.size), known);
            }
            let left: Vec<_> =
                live.into_oldest_first().map(|(address, block)| (block.size, address)).collect();
            let mut known: Vec<_> =
                map.into_iter().map(|(address, size)| (size, address)).collect();
            known.sort_unstable();
            assert_eq!(left, known);
        }
    }
}
