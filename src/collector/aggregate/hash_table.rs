//! Hash tables that begin small and grow, so that what is used lies close together.
//!
//! Reads and writes: their own pages. Memory is had before it is read: a page that is read before it
//! is written is mapped twice, and the second time every core that runs the program is interrupted.
//!
//! Invariant: an entry is found where it was put until the table grows or is gathered.

use crate::collector::platform::mmap_vec::{MmapTable, MmapVec, Zeroable};

/// Tables begin with two to the power of so many places.
const LEAST_BITS: u32 = 10;

/// Fibonacci's: keys that follow each other are scattered, and the high bits are the best ones.
#[inline(always)]
pub(crate) fn scatter(key: u64) -> u64 {
    key.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// How far a hash is shifted, for its highest bits to be a place in a table.
#[derive(Clone, Copy)]
pub(crate) struct Shift(u32);

impl Shift {
    fn to(bits: u32) -> Self {
        Self(64_u32.wrapping_sub(bits))
    }

    #[inline(always)]
    pub(crate) fn of(self, hash: u64) -> usize {
        hash.wrapping_shr(self.0) as usize
    }
}

/// What a growing table holds.
pub(crate) trait Entry: Zeroable + Default {
    fn is_vacant(&self) -> bool;

    /// Where it is looked for first.
    fn home(&self, shift: Shift) -> usize;
}

/// A hash table that is searched in line, of at most `MOST` places.
pub(crate) struct HashTable<T, const MOST: usize> {
    table: MmapTable<T, MOST>,
    /// Places in use, less one.
    mask: usize,
    pub(crate) shift: Shift,
    /// Entries.
    pub(crate) len: usize,
}

impl<T: Entry, const MOST: usize> HashTable<T, MOST> {
    pub(crate) fn new() -> Option<Self> {
        let (mask, shift) = ((1 << LEAST_BITS) - 1, Shift::to(LEAST_BITS));
        let new = Self { table: MmapTable::new()?, mask, shift, len: 0 };
        new.table.populate(0, new.capacity());
        Some(new)
    }

    fn capacity(&self) -> usize {
        self.mask.wrapping_add(1)
    }

    /// Whether it can't take much more.
    pub(crate) fn exceeds_load_factor(&self) -> bool {
        self.len >= self.capacity().wrapping_sub(self.capacity() / 4)
    }

    /// Grows if so many more would fill half of it.
    #[inline(always)]
    pub(crate) fn reserve(&mut self, more: usize) {
        if self.len.wrapping_add(more) > self.capacity() / 2 {
            self.grow();
        }
    }

    /// Without memory for it, or at its full size, it stays as it is, and becomes crowded.
    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        if self.capacity() >= MOST {
            return;
        }
        let Some(mut kept) = MmapVec::<T>::new(self.len.max(1)) else { return };
        self.gather();
        let len = self.len;
        for (to, from) in kept.as_mut_slice().iter_mut().zip(self.gathered()) {
            *to = *from;
        }
        self.mask = self.mask << 1 | 1;
        self.shift = Shift(self.shift.0.wrapping_sub(1));
        self.table.populate(0, self.capacity());
        self.places_mut().fill(T::default());
        for entry in kept.as_slice().iter().take(len) {
            let mut place = entry.home(self.shift);
            while !self.at(place).is_vacant() {
                place = place.wrapping_add(1);
            }
            *self.at_mut(place) = *entry;
        }
    }

    #[inline(always)]
    pub(crate) fn at(&self, place: usize) -> &T {
        self.table.at(place & self.mask)
    }

    #[inline(always)]
    pub(crate) fn at_mut(&mut self, place: usize) -> &mut T {
        self.table.at_mut(place & self.mask)
    }

    pub(crate) fn places(&self) -> &[T] {
        self.table.as_slice().get(..self.capacity()).unwrap_or_default()
    }

    fn places_mut(&mut self) -> &mut [T] {
        let capacity = self.capacity();
        self.table.as_mut_slice().get_mut(..capacity).unwrap_or_default()
    }

    /// Brings all entries to the front, where nothing is found any more until the table is cleared.
    pub(crate) fn gather(&mut self) {
        let places = self.places_mut();
        let mut len = 0_usize;
        for place in 0..places.len() {
            if places.get(place).is_some_and(|entry| !entry.is_vacant()) {
                places.swap(len, place);
                len = len.wrapping_add(1);
            }
        }
    }

    pub(crate) fn gathered(&self) -> &[T] {
        self.table.as_slice().get(..self.len).unwrap_or_default()
    }

    pub(crate) fn gathered_mut(&mut self) -> &mut [T] {
        self.table.as_mut_slice().get_mut(..self.len).unwrap_or_default()
    }

    pub(crate) fn clear(&mut self) {
        self.places_mut().fill(T::default());
        self.len = 0;
    }

    /// Memory, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.capacity().saturating_mul(size_of::<T>()) as u64
    }
}
