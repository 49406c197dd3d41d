//! Finds the deferred allocation at an address: a hash index whose buckets are cache lines.
//!
//! Reads and writes: its own pages.
//!
//! ```text
//!  address  ... region .............. | line | position | 0000     (16-byte grains)
//!             |                          |        |
//!             hash(region) ------------> + -------+---> primary entry, 4 bytes:
//!                                                      | tag: 12 bits | 1 + slot: 20 bits |
//! ```
//!
//! Neighbours in the heap are neighbours in the index, so that the hot parts of the heap are hot lines
//! of the index: with a scattering hash, cache misses took nine tenths of the time of aggregation. If
//! the primary entry is taken (two regions may share a line, and some allocators place blocks eight
//! bytes apart), the address goes to a free entry of a few other lines, which a hash chooses.
//!
//! Invariants: an address that has not overflowed is in its primary entry; one that has is in one of
//! its first `probe_lines` lines. So a search reads few lines, nearly always one, whether it succeeds
//! or not, and removal moves no entry.

use crate::collector::aggregate::hash_table::hash;
use crate::collector::platform::mmap_vec::{MmapTable, prefetch};

/// Maximum number of indexed addresses.
pub(crate) const ADDRESSES_MAX: usize = 1 << 18;

/// Entries per cache line.
const LINE_ENTRIES: usize = 16;
const LINE_ENTRIES_BITS: u32 = LINE_ENTRIES.trailing_zeros();

/// Four entries per address, so that regions of the heap rarely share lines. Lines that are never used
/// take no memory.
const ENTRIES: usize = ADDRESSES_MAX * 4;
const LINE_BITS: u32 = ENTRIES.trailing_zeros() - LINE_ENTRIES_BITS;

/// Lines in which an address may be. At a load of one quarter it is very rare that six are full.
const PROBE_LINES_MAX: u64 = 6;

/// Blocks start at multiples of 16 bytes in nearly all allocators.
const GRAIN_SHIFT: u32 = 4;
/// Bits of the addresses that one line covers at that grain, and that all lines cover.
const LINE_SHIFT: u32 = GRAIN_SHIFT + LINE_ENTRIES_BITS;
const REGION_SHIFT: u32 = LINE_SHIFT + LINE_BITS;

/// Chunks of the table that are pre-faulted on first use.
const CHUNKS: usize = 64;
const CHUNK_ENTRIES: usize = ENTRIES / CHUNKS;
const CHUNK_BYTES: u64 = (CHUNK_ENTRIES * size_of::<u32>()) as u64;

/// The lower bits of an entry are 1 + the slot; the upper ones are the tag, which is never 0.
const SLOT_BITS: u32 = 20;
const TAG: u32 = u32::MAX << SLOT_BITS;
/// Slots are below this.
pub(crate) const SLOTS_MAX: usize = (1 << SLOT_BITS) - 1;

/// An address with the results of hashing it.
#[derive(Clone, Copy)]
pub(crate) struct HashedAddress {
    address: u64,
    /// The primary entry, modulo the table's length.
    primary: u32,
    tag: u32,
}

impl HashedAddress {
    /// No address.
    pub(crate) const NONE: Self = Self { address: 0, primary: 0, tag: 0 };

    #[inline(always)]
    pub(crate) fn of(address: u64) -> Self {
        // Each region starts at a line of its own, because allocators align their heaps alike.
        let region = hash(address >> REGION_SHIFT) >> (64 - LINE_BITS) << LINE_ENTRIES_BITS;
        let primary = (address >> GRAIN_SHIFT).wrapping_add(region) as u32;
        Self { address, primary, tag: (hash(address) >> 32) as u32 & TAG | 1 << SLOT_BITS }
    }

    #[inline(always)]
    pub(crate) fn address(&self) -> u64 {
        self.address
    }

    /// The table's chunk with the primary entry, as a bit set of one.
    #[inline(always)]
    pub(crate) fn chunk(&self) -> u64 {
        1 << ((self.primary as usize & (ENTRIES - 1)) / CHUNK_ENTRIES)
    }

    #[inline(always)]
    fn entry(&self, slot: usize) -> u32 {
        self.tag | (slot as u32).wrapping_add(1)
    }

    /// Index of the first entry of the line with this number in the probe sequence.
    fn line(&self, probe: u64) -> usize {
        let entry = match probe {
            0 => u64::from(self.primary),
            _ => hash(hash(self.address).wrapping_add(probe)) >> 32,
        };
        entry as usize & (ENTRIES - 1) & !(LINE_ENTRIES - 1)
    }
}

/// The index.
pub(crate) struct AddressIndex {
    table: MmapTable<u32, ENTRIES>,
    /// Chunks that are pre-faulted: see [`AddressIndex::prefault`].
    prefaulted: u64,
    /// Addresses that are not in their primary entries.
    overflowed: usize,
    /// Lines of a probe sequence that are in use.
    probe_lines: u64,
}

impl AddressIndex {
    pub(crate) fn new() -> Option<Self> {
        Some(Self { table: MmapTable::new()?, prefaulted: 0, overflowed: 0, probe_lines: 1 })
    }

    /// Pre-faults a set of chunks for writing. A read fault would map the shared zero page, and the
    /// later write fault would replace it and cost a TLB shootdown on every core of the program.
    #[inline(always)]
    pub(crate) fn prefault(&mut self, chunks: u64) {
        if chunks & !self.prefaulted != 0 {
            self.prefault_more(chunks);
        }
    }

    #[cold]
    #[inline(never)]
    fn prefault_more(&mut self, chunks: u64) {
        let new = (0..CHUNKS).filter(|chunk| (chunks & !self.prefaulted) >> chunk & 1 == 1);
        new.for_each(|chunk| {
            self.table.populate(chunk.wrapping_mul(CHUNK_ENTRIES), CHUNK_ENTRIES);
        });
        self.prefaulted |= chunks;
    }

    /// Prefetches the line that [`AddressIndex::find`] reads first.
    #[inline(always)]
    pub(crate) fn prefetch(&self, address: &HashedAddress) {
        prefetch(self.primary_entry(address));
    }

    /// The slot that [`AddressIndex::find`] will probably return, for prefetching.
    #[inline(always)]
    pub(crate) fn probable_slot(&self, address: &HashedAddress) -> Option<usize> {
        let entry = *self.primary_entry(address);
        (entry & TAG == address.tag).then(|| slot_of(entry))
    }

    /// The slot of the block at an address; `is_match` compares the address with a slot's.
    #[inline(always)]
    pub(crate) fn find(
        &self,
        address: &HashedAddress,
        is_match: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let entry = *self.primary_entry(address);
        if entry & TAG == address.tag && is_match(slot_of(entry)) {
            return Some(slot_of(entry));
        }
        if self.overflowed == 0 {
            return None;
        }
        self.find_overflow(address, is_match)
    }

    #[inline(never)]
    fn find_overflow(
        &self,
        address: &HashedAddress,
        is_match: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        for probe in 0..self.probe_lines {
            let line = self.line(address, probe)?;
            // Without an early exit, the compiler emits a few vector comparisons.
            if line.iter().fold(false, |any, entry| any | (entry & TAG == address.tag)) {
                let mut same_tag = line.iter().filter(|entry| **entry & TAG == address.tag);
                if let Some(entry) = same_tag.find(|entry| is_match(slot_of(**entry))) {
                    return Some(slot_of(*entry));
                }
            }
        }
        None
    }

    /// Adds an address that is not in the index; `false` if all of its lines are full.
    #[inline(always)]
    pub(crate) fn insert(&mut self, address: &HashedAddress, slot: usize) -> bool {
        let entry = self.table.at_mut(address.primary as usize);
        if *entry == 0 {
            *entry = address.entry(slot);
            return true;
        }
        self.insert_overflow(address, slot)
    }

    #[cold]
    fn insert_overflow(&mut self, address: &HashedAddress, slot: usize) -> bool {
        for probe in 0..PROBE_LINES_MAX {
            if self.replace_in_line(address, probe, 0, address.entry(slot)) {
                self.probe_lines = self.probe_lines.max(probe.wrapping_add(1));
                self.overflowed = self.overflowed.wrapping_add(1);
                return true;
            }
        }
        false
    }

    /// Removes an address that is in the index.
    #[inline(always)]
    pub(crate) fn remove(&mut self, address: &HashedAddress, slot: usize) {
        if self.replace(address, address.entry(slot), 0) == ProbeResult::Overflow {
            self.overflowed = self.overflowed.wrapping_sub(1);
            if self.overflowed == 0 {
                self.probe_lines = 1;
            }
        }
    }

    #[inline(always)]
    fn replace(&mut self, address: &HashedAddress, old: u32, new: u32) -> ProbeResult {
        let entry = self.table.at_mut(address.primary as usize);
        if *entry == old {
            *entry = new;
            return ProbeResult::Primary;
        }
        self.replace_overflow(address, old, new)
    }

    #[cold]
    fn replace_overflow(&mut self, address: &HashedAddress, old: u32, new: u32) -> ProbeResult {
        for probe in 0..self.probe_lines {
            if self.replace_in_line(address, probe, old, new) {
                return ProbeResult::Overflow;
            }
        }
        ProbeResult::Missing
    }

    /// Replaces a line's first entry that equals `old`; `false` if there is none.
    fn replace_in_line(&mut self, address: &HashedAddress, probe: u64, old: u32, new: u32) -> bool {
        let first = address.line(probe);
        let line = self.table.as_mut_slice().get_mut(first..first.saturating_add(LINE_ENTRIES));
        let found = line.and_then(|line| line.iter_mut().find(|entry| **entry == old));
        let is_found = found.is_some();
        found.into_iter().for_each(|entry| *entry = new);
        is_found
    }

    #[inline(always)]
    fn primary_entry(&self, address: &HashedAddress) -> &u32 {
        self.table.at(address.primary as usize)
    }

    fn line(&self, address: &HashedAddress, probe: u64) -> Option<&[u32; LINE_ENTRIES]> {
        self.table.as_slice().get(address.line(probe)..)?.first_chunk()
    }

    /// Memory in use, in bytes.
    pub(crate) fn used_bytes(&self) -> u64 {
        u64::from(self.prefaulted.count_ones()).saturating_mul(CHUNK_BYTES)
    }
}

/// Where an address was found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ProbeResult {
    Primary,
    Overflow,
    Missing,
}

#[inline(always)]
fn slot_of(entry: u32) -> usize {
    ((entry & !TAG) as usize).wrapping_sub(1)
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use std::collections::HashMap;

    use crate::collector::aggregate::address_index::{ADDRESSES_MAX, AddressIndex, HashedAddress};

    /// Fills the index with `len` blocks at the addresses that `address` gives, then replaces random
    /// ones, and compares with a `HashMap`.
    fn check(len: usize, address: impl Fn(u64) -> u64) {
        let mut index = AddressIndex::new().unwrap();
        let mut naive: HashMap<u64, usize> = HashMap::new();
        let mut slots = vec![0_u64; len + 1];
        let mut free: Vec<usize> = (0..slots.len()).rev().collect();
        let mut state = 7_u64;
        for step in 0..4 * len as u64 {
            if naive.len() >= len {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
                let slot = (state >> 33) as usize % slots.len();
                let old = slots[slot];
                if let Some(slot) = naive.remove(&old) {
                    assert_eq!(
                        index.find(&HashedAddress::of(old), |slot| slots[slot] == old),
                        Some(slot)
                    );
                    index.remove(&HashedAddress::of(old), slot);
                    assert_eq!(
                        index.find(&HashedAddress::of(old), |slot| slots[slot] == old),
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
            assert_eq!(index.find(&HashedAddress::of(new), |slot| slots[slot] == new), None);
            assert!(index.insert(&HashedAddress::of(new), slot), "step {step}");
            free.pop();
            slots[slot] = new;
            naive.insert(new, slot);
        }
        assert!(!naive.is_empty());
        for (address, slot) in naive {
            assert_eq!(
                index.find(&HashedAddress::of(address), |slot| slots[slot] == address),
                Some(slot)
            );
        }
    }

    #[test]
    fn indexed_blocks_are_found_for_every_heap_layout() {
        // Consecutive blocks, as close as allocators place them.
        check(10_000, |step| 0x7f00_0000_0000 + step * 16);
        check(10_000, |step| 0x7f00_0000_0000 + step * 8);
        check(10_000, |step| 0x7f00_0000_0000 + step);
        // Many heaps with the same alignment, and one of large blocks.
        check(10_000, |step| ((step % 100) << 26) + (step / 100) * 48);
        check(10_000, |step| step << 21);
        // The maximum number.
        check(ADDRESSES_MAX, |step| 0x5500_0000_0010 + step * 32);
    }
}
