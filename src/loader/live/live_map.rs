//! The blocks that are alive, by address.
//!
//! Reads and writes: its own memory.
//!
//! No cache holds a table of all blocks, so a look into it waits for memory: that was a third of
//! a load. Here everything about a block is in one place that follows from its address alone, and
//! [`LiveMap::expect`] has it fetched some events before it is needed. Places that are taken give
//! way to the next ones; when a block goes, those behind it move up.
//!
//! Invariants:
//! - At most one block an address.
//! - From a block's home to its place there is no free place.
//! - At most three in five places are taken.

use crate::loader::live::live_block::LiveBlock;
use crate::loader::model::{Nanos, Site, Thread};
use crate::recording::ScopeId;

/// The address of a free place. A block that really is there has a place of its own.
const FREE: u64 = u64::MAX;

/// Places at the beginning.
const PLACES_MIN: usize = 1 << 10;

/// 2⁶⁴ divided by the golden ratio, made odd.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// A block and its address.
#[derive(Clone, Copy, Debug)]
struct Entry {
    address: u64,
    block: LiveBlock,
}

/// Where a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(usize);

/// All blocks that are alive.
#[derive(Debug)]
pub(crate) struct LiveMap {
    entries: Vec<Entry>,
    /// What is left of a mixed address is its home.
    shift: u32,
    taken: usize,
    /// The block at the address that marks free places.
    last: Option<LiveBlock>,
}

impl Default for LiveMap {
    fn default() -> Self {
        Self::with_places(PLACES_MIN)
    }
}

impl LiveMap {
    fn with_places(places: usize) -> Self {
        let nothing = LiveBlock {
            made: Nanos(0),
            size: 0,
            site: Site::NONE,
            thread: Thread(0),
            scope: ScopeId::NONE,
            tag: 0,
            continues: 0,
        };
        let free = Entry { address: FREE, block: nothing };
        let shift = u64::BITS - places.ilog2();
        Self { entries: vec![free; places], shift, taken: 0, last: None }
    }

    #[inline]
    fn home(&self, address: u64) -> usize {
        (address.wrapping_mul(MULTIPLIER) >> self.shift) as usize
    }

    #[inline]
    fn behind(&self, place: usize) -> usize {
        (place + 1) & (self.entries.len() - 1)
    }

    /// The place of an address, or the free one where it would go.
    #[inline]
    fn place(&self, address: u64) -> usize {
        let mut place = self.home(address);
        loop {
            let there = self.entries[place].address;
            if there == address || there == FREE {
                return place;
            }
            place = self.behind(place);
        }
    }

    /// Something will soon happen at this address.
    #[inline]
    pub(crate) fn prefetch(&self, address: u64) {
        let entry = &raw const self.entries[self.home(address)];
        fetch(entry);
        // The next one begins where this one ends, perhaps in the next line of the cache.
        fetch(entry.wrapping_add(1));
    }

    /// The block at an address.
    #[inline]
    pub(crate) fn get(&self, address: u64) -> Option<&LiveBlock> {
        if address == FREE {
            return self.last.as_ref();
        }
        let entry = &self.entries[self.place(address)];
        (entry.address == address).then_some(&entry.block)
    }

    /// Takes a block in; gives its place, and the block that stood at its address.
    #[inline]
    pub(crate) fn insert(&mut self, address: u64, block: LiveBlock) -> (Place, Option<LiveBlock>) {
        if address == FREE {
            return (Place(usize::MAX), self.last.replace(block));
        }
        if self.taken * 5 >= self.entries.len() * 3 {
            self.grow();
        }
        let place = self.place(address);
        let entry = &mut self.entries[place];
        let older = (entry.address == address).then_some(entry.block);
        *entry = Entry { address, block };
        self.taken += usize::from(older.is_none());
        (Place(place), older)
    }

    /// A block that has just been taken in.
    #[inline]
    pub(crate) fn at(&mut self, place: Place) -> Option<&mut LiveBlock> {
        match self.entries.get_mut(place.0) {
            Some(entry) => Some(&mut entry.block),
            None => self.last.as_mut(),
        }
    }

    /// Takes the block at an address out.
    #[inline]
    pub(crate) fn remove(&mut self, address: u64) -> Option<LiveBlock> {
        if address == FREE {
            return self.last.take();
        }
        let mut hole = self.place(address);
        if self.entries[hole].address == FREE {
            return None;
        }
        let block = self.entries[hole].block;
        self.taken -= 1;
        let mut next = self.behind(hole);
        while self.entries[next].address != FREE {
            // Only what is at least as far from its home as the hole may move into it.
            let mask = self.entries.len() - 1;
            let from_home = next.wrapping_sub(self.home(self.entries[next].address)) & mask;
            if from_home >= next.wrapping_sub(hole) & mask {
                self.entries[hole] = self.entries[next];
                hole = next;
            }
            next = self.behind(next);
        }
        self.entries[hole].address = FREE;
        Some(block)
    }

    /// All blocks with their addresses, oldest first.
    pub(crate) fn into_oldest_first(self) -> impl Iterator<Item = (u64, LiveBlock)> {
        let Self { entries, last, .. } = self;
        // Places only: a second copy of all blocks would be the greatest memory of a load.
        let taken = |place: &u32| entries[*place as usize].address != FREE;
        let mut places: Vec<u32> = (0..entries.len() as u32).filter(taken).collect();
        places.sort_unstable_by_key(|place| {
            let entry = &entries[*place as usize];
            (entry.block.made, entry.address)
        });
        let mut last = last.map(|block| (FREE, block));
        let mut places = places.into_iter().peekable();
        std::iter::from_fn(move || {
            let next = places.peek().map(|place| entries[*place as usize]);
            let is_last = last.is_some_and(|(_, block)| {
                next.is_none_or(|next| (block.made, FREE) < (next.block.made, next.address))
            });
            if is_last {
                return last.take();
            }
            places.next();
            next.map(|entry| (entry.address, entry.block))
        })
    }

    #[cold]
    fn grow(&mut self) {
        let bigger = Self::with_places(self.entries.len() * 2);
        let old = std::mem::replace(self, Self { last: self.last, ..bigger });
        for entry in old.entries.iter().filter(|entry| entry.address != FREE) {
            let place = self.place(entry.address);
            self.entries[place] = *entry;
        }
        self.taken = old.taken;
    }
}

/// Asks for the line of the cache in which something begins.
#[inline]
pub(crate) fn fetch<T>(place: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint: it reads nothing that the program can see, and no address is wrong.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(place.cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::loader::live::live_block::LiveBlock;
    use crate::loader::live::live_map::LiveMap;
    use crate::loader::model::{Nanos, Site, Thread};
    use crate::recording::ScopeId;

    fn block(number: u64) -> LiveBlock {
        LiveBlock {
            made: Nanos(number),
            size: number,
            site: Site(0),
            thread: Thread(0),
            scope: ScopeId::NONE,
            tag: 0,
            continues: 0,
        }
    }

    #[test]
    fn a_heap_is_a_map() {
        // Neighbours, blocks one byte apart, far away ones, and the end of all addresses.
        for (places, stride, base) in
            [(50, 16, 0), (800, 1, 7), (3_000, 4_096, 1 << 40), (101, 8, u64::MAX - 800)]
        {
            let (mut heap, mut map) = (LiveMap::default(), BTreeMap::new());
            let mut seed = 1_u64;
            for number in 0..200_000 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let address = base + (seed >> 33) % places * stride;
                assert_eq!(heap.get(address).map(|block| block.size), map.get(&address).copied());
                let (old, known) = if seed >> 62 == 0 || (number / 5_000) % 2 == 0 {
                    let (place, old) = heap.insert(address, block(number));
                    assert_eq!(heap.at(place).unwrap().size, number);
                    (old, map.insert(address, number))
                } else {
                    (heap.remove(address), map.remove(&address))
                };
                assert_eq!(old.map(|block| block.size), known);
            }
            let left: Vec<_> =
                heap.into_oldest_first().map(|(address, block)| (block.size, address)).collect();
            let mut known: Vec<_> =
                map.into_iter().map(|(address, size)| (size, address)).collect();
            known.sort_unstable();
            assert_eq!(left, known);
        }
    }
}
