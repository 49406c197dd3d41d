//! A growing open-addressing hash table with linear probing, without removal of single entries.
//!
//! Reads and writes: its own pages.
//!
//! Tables start small and double, so that the entries in use lie close together. Their pages are
//! pre-faulted for writing (`MADV_POPULATE_WRITE`): a read fault would map the shared zero page, and
//! the later write fault would replace it and cost a TLB shootdown on every core of the program.
//!
//! The [address index](crate::collector::aggregate::address_index) is a different structure: it
//! never grows, removes an entry for every freed block, holds 4-byte references in place of entries,
//! and places neighbours in the heap side by side, where this table scatters its keys. They share
//! [`hash`] only.
//!
//! Invariant: an entry stays at its position until the table grows or is compacted.

use crate::collector::platform::mmap_vec::{MmapTable, MmapVec, Zeroable};

/// Base-2 logarithm of a new table's capacity.
const INITIAL_BITS: u32 = 10;

/// 2⁶⁴ divided by the golden ratio.
const FIBONACCI: u64 = 0x9e37_79b9_7f4a_7c15;

/// Fibonacci hashing (Knuth, volume 3, 6.4): one multiplication that scatters consecutive keys. The
/// high bits are the well-mixed ones.
#[inline(always)]
pub(crate) fn hash(key: u64) -> u64 {
    key.wrapping_mul(FIBONACCI)
}

/// How far a hash is shifted right so that its highest bits index a table.
#[derive(Clone, Copy)]
pub(crate) struct HashShift(u32);

impl HashShift {
    fn for_bits(bits: u32) -> Self {
        Self(64_u32.wrapping_sub(bits))
    }

    #[inline(always)]
    pub(crate) fn position(self, hash: u64) -> usize {
        hash.wrapping_shr(self.0) as usize
    }
}

/// An entry of a [`HashTable`]; the default value is a vacant one.
pub(crate) trait Entry: Zeroable + Default {
    fn is_vacant(&self) -> bool;

    /// The position at which a search for this entry starts.
    fn primary_position(&self, shift: HashShift) -> usize;
}

/// A hash table of at most `CAPACITY_MAX` positions.
pub(crate) struct HashTable<T, const CAPACITY_MAX: usize> {
    table: MmapTable<T, CAPACITY_MAX>,
    /// Capacity minus one.
    mask: usize,
    pub(crate) shift: HashShift,
    /// Number of entries; the owner counts the entries that it writes.
    pub(crate) len: usize,
}

impl<T: Entry, const CAPACITY_MAX: usize> HashTable<T, CAPACITY_MAX> {
    pub(crate) fn new() -> Option<Self> {
        let (mask, shift) = ((1 << INITIAL_BITS) - 1, HashShift::for_bits(INITIAL_BITS));
        let new = Self { table: MmapTable::new()?, mask, shift, len: 0 };
        new.table.populate(0, new.capacity());
        Some(new)
    }

    fn capacity(&self) -> usize {
        self.mask.wrapping_add(1)
    }

    /// Whether the table is three quarters full.
    pub(crate) fn exceeds_load_factor(&self) -> bool {
        self.len >= self.capacity().wrapping_sub(self.capacity() / 4)
    }

    /// Grows if `more` entries would make it more than half full.
    #[inline(always)]
    pub(crate) fn reserve(&mut self, more: usize) {
        if self.len.wrapping_add(more) > self.capacity() / 2 {
            self.grow();
        }
    }

    /// Doubles the capacity. At its maximum, or if memory is refused, the table stays as it is and
    /// will exceed its load factor.
    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        if self.capacity() >= CAPACITY_MAX {
            return;
        }
        let Some(mut copy) = MmapVec::<T>::new(self.len.max(1)) else { return };
        self.compact();
        let len = self.len;
        for (to, from) in copy.as_mut_slice().iter_mut().zip(self.compacted()) {
            *to = *from;
        }
        self.mask = self.mask << 1 | 1;
        self.shift = HashShift(self.shift.0.wrapping_sub(1));
        self.table.populate(0, self.capacity());
        self.positions_mut().fill(T::default());
        for entry in copy.as_slice().iter().take(len) {
            let mut position = entry.primary_position(self.shift);
            while !self.at(position).is_vacant() {
                position = position.wrapping_add(1);
            }
            *self.at_mut(position) = *entry;
        }
    }

    /// The entry at a position modulo the capacity.
    #[inline(always)]
    pub(crate) fn at(&self, position: usize) -> &T {
        self.table.at(position & self.mask)
    }

    /// The entry at a position modulo the capacity.
    #[inline(always)]
    pub(crate) fn at_mut(&mut self, position: usize) -> &mut T {
        self.table.at_mut(position & self.mask)
    }

    /// All positions, vacant ones included.
    pub(crate) fn positions(&self) -> &[T] {
        self.table.as_slice().get(..self.capacity()).unwrap_or_default()
    }

    fn positions_mut(&mut self) -> &mut [T] {
        let capacity = self.capacity();
        self.table.as_mut_slice().get_mut(..capacity).unwrap_or_default()
    }

    /// Moves all entries to the front. No search works until the table is cleared.
    pub(crate) fn compact(&mut self) {
        let positions = self.positions_mut();
        let mut len = 0_usize;
        for position in 0..positions.len() {
            if positions.get(position).is_some_and(|entry| !entry.is_vacant()) {
                positions.swap(len, position);
                len = len.wrapping_add(1);
            }
        }
    }

    /// The entries after [`HashTable::compact`].
    pub(crate) fn compacted(&self) -> &[T] {
        self.table.as_slice().get(..self.len).unwrap_or_default()
    }

    /// The entries after [`HashTable::compact`].
    pub(crate) fn compacted_mut(&mut self) -> &mut [T] {
        self.table.as_mut_slice().get_mut(..self.len).unwrap_or_default()
    }

    /// Removes all entries; the capacity stays.
    pub(crate) fn clear(&mut self) {
        self.positions_mut().fill(T::default());
        self.len = 0;
    }

    /// Memory in use, in bytes.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.capacity().saturating_mul(size_of::<T>()) as u64
    }
}
