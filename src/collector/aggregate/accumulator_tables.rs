//! The tables of accumulators: sites, groups, pairs of threads, and sizes.
//!
//! Reads and writes: its own pages.
//!
//! Invariants: every search ends at a vacant position, because the totals are written when a table is
//! three quarters full, and the blocks of one batch are fewer than the last quarter; a site's number is
//! valid until the tables are cleared.

use crate::collector::aggregate::accumulators::{
    FreedBlock, GroupTotals, SITE_BITS, SiteTotals, ThreadPairTotals,
};
use crate::collector::aggregate::hash_table::{Entry, HashShift, HashTable, hash};
use crate::collector::platform::mmap_vec::{MmapTable, MmapVec, Zeroable, prefetch};
use crate::recording::{AggregatedSize, FIRST_WIDE_CLASS, SIZE_CLASSES, size_class};

/// Maximum number of each. The index of sites has two positions per site; 2¹⁸ groups are 4 MiB, 2¹³
/// pairs are those of 90 threads that each free blocks of all others.
const SITES: usize = 1 << SITE_BITS;
const INDEX_BITS: u32 = SITE_BITS + 1;
const GROUP_BITS: u32 = 18;
const PAIR_BITS: u32 = 13;

/// Groups of four consecutive lifetime classes share a cache line of four 16-byte entries; see
/// benches/NOTES.md, "Aggregation".
const NEIGHBOURS: usize = 4;

/// Totals of sites, numbered in the order of their first blocks.
pub(crate) struct SiteTable {
    index: HashTable<SiteIndexEntry, { 1 << INDEX_BITS }>,
    table: MmapTable<SiteTotals, SITES>,
}

/// Maps a site's key to its number.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct SiteIndexEntry {
    /// 0: vacant.
    key: u64,
    number: u32,
}

// SAFETY: integers: all-zero is a valid value.
unsafe impl Zeroable for SiteIndexEntry {}

impl Entry for SiteIndexEntry {
    fn is_vacant(&self) -> bool {
        self.key == 0
    }

    fn primary_position(&self, shift: HashShift) -> usize {
        site_position(self.key, shift)
    }
}

#[inline(always)]
fn site_position(key: u64, shift: HashShift) -> usize {
    // The flags in the high half are the same for nearly all sites.
    shift.position(hash(key ^ (key >> 32)))
}

impl SiteTable {
    pub(crate) fn new() -> Option<Self> {
        Some(Self { index: HashTable::new()?, table: MmapTable::new()? })
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len
    }

    pub(crate) fn exceeds_load_factor(&self) -> bool {
        self.len() >= SITES / 4 * 3 || self.index.exceeds_load_factor()
    }

    /// Grows if `more` entries would make it more than half full.
    #[inline(always)]
    pub(crate) fn reserve(&mut self, more: usize) {
        self.index.reserve(more);
    }

    /// Prefetches the position at which the search for a site starts.
    #[inline(always)]
    pub(crate) fn prefetch(&self, key: u64) {
        prefetch(self.index.at(site_position(key, self.index.shift)));
    }

    /// Prefetches a site's two cache lines.
    #[inline(always)]
    pub(crate) fn prefetch_site(&self, number: usize) {
        let site = self.table.at(number);
        prefetch(site);
        prefetch(site.second_line());
    }

    /// The number of a site; a new site gets the next one.
    #[inline(always)]
    pub(crate) fn number(&mut self, key: u64) -> usize {
        let mut position = site_position(key, self.index.shift);
        loop {
            let entry = self.index.at(position);
            if entry.key == key {
                return entry.number as usize;
            }
            if entry.key == 0 {
                return self.insert(key, position);
            }
            position = position.wrapping_add(1);
        }
    }

    #[cold]
    #[inline(never)]
    fn insert(&mut self, key: u64, position: usize) -> usize {
        let number = self.index.len;
        *self.index.at_mut(position) = SiteIndexEntry { key, number: number as u32 };
        *self.table.at_mut(number) = SiteTotals::new(key);
        self.index.len = number.wrapping_add(1);
        number
    }

    #[inline(always)]
    pub(crate) fn at(&self, number: usize) -> &SiteTotals {
        self.table.at(number)
    }

    #[inline(always)]
    pub(crate) fn at_mut(&mut self, number: usize) -> &mut SiteTotals {
        self.table.at_mut(number)
    }

    pub(crate) fn clear(&mut self) {
        self.index.clear();
    }

    /// Memory in use, in bytes.
    pub(crate) fn used_bytes(&self) -> u64 {
        let sites = self.len().saturating_mul(size_of::<SiteTotals>()) as u64;
        self.index.used_bytes().saturating_add(sites)
    }
}

/// Totals of groups.
pub(crate) struct GroupTable(HashTable<GroupTotals, { 1 << GROUP_BITS }>);

impl Entry for GroupTotals {
    fn is_vacant(&self) -> bool {
        self.key == 0
    }

    fn primary_position(&self, shift: HashShift) -> usize {
        group_position(self.key, shift)
    }
}

#[inline(always)]
fn group_position(key: u32, shift: HashShift) -> usize {
    let neighbour = GroupTotals::class_of(key) as usize & (NEIGHBOURS - 1);
    let hash = hash(u64::from(GroupTotals::first_class_of(key, NEIGHBOURS as u32)));
    shift.position(hash) & !(NEIGHBOURS - 1) | neighbour
}

impl GroupTable {
    pub(crate) fn new() -> Option<Self> {
        HashTable::new().map(Self)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len
    }

    pub(crate) fn exceeds_load_factor(&self) -> bool {
        self.0.exceeds_load_factor()
    }

    /// Grows if `more` entries would make it more than half full.
    #[inline(always)]
    pub(crate) fn reserve(&mut self, more: usize) {
        self.0.reserve(more);
    }

    /// Prefetches the position at which the search for a group starts, and returns it; it is valid until
    /// the next call of [`GroupTable::reserve`].
    #[inline(always)]
    pub(crate) fn prefetch(&self, key: u32) -> usize {
        let position = group_position(key, self.0.shift);
        prefetch(self.0.at(position));
        position
    }

    /// Adds a block to a group whose search starts at `position`.
    #[inline(always)]
    pub(crate) fn add(&mut self, mut position: usize, key: u32, size: u64) {
        loop {
            let group = self.0.at_mut(position);
            if group.key == key {
                group.blocks = group.blocks.wrapping_add(1);
                group.bytes = group.bytes.wrapping_add(size);
                return;
            }
            if group.key == 0 {
                *group = GroupTotals { key, blocks: 1, bytes: size };
                self.0.len = self.0.len.wrapping_add(1);
                return;
            }
            position = position.wrapping_add(1);
        }
    }

    /// Sorts the groups by key for [`GroupTable::sorted`]. No search works until the table is cleared.
    pub(crate) fn sort(&mut self) {
        self.0.compact();
        self.0.compacted_mut().sort_unstable_by_key(|group| group.key);
    }

    /// The groups after [`GroupTable::sort`].
    pub(crate) fn sorted(&self) -> &[GroupTotals] {
        self.0.compacted()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Memory in use, in bytes.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.0.used_bytes()
    }
}

/// Totals of pairs of threads.
pub(crate) struct ThreadPairTable {
    table: HashTable<ThreadPairTotals, { 1 << PAIR_BITS }>,
    /// The position of the pair that was used last.
    recent: usize,
}

impl Entry for ThreadPairTotals {
    fn is_vacant(&self) -> bool {
        self.blocks == 0
    }

    fn primary_position(&self, shift: HashShift) -> usize {
        pair_position(self.threads, shift)
    }
}

#[inline(always)]
fn pair_position(threads: u64, shift: HashShift) -> usize {
    shift.position(hash(threads ^ (threads >> 32).wrapping_mul(0xbf58_476d)))
}

impl ThreadPairTable {
    pub(crate) fn new() -> Option<Self> {
        Some(Self { table: HashTable::new()?, recent: 0 })
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len
    }

    pub(crate) fn exceeds_load_factor(&self) -> bool {
        self.table.exceeds_load_factor()
    }

    /// Grows if `more` entries would make it more than half full.
    #[inline(always)]
    pub(crate) fn reserve(&mut self, more: usize) {
        self.table.reserve(more);
    }

    /// Adds blocks; consecutive ones mostly have the same threads.
    #[inline(always)]
    pub(crate) fn add(&mut self, blocks: &[FreedBlock]) {
        for run in blocks.chunk_by(|one, next| one.threads == next.threads) {
            let Some(first) = run.first() else { continue };
            self.select(first.threads);
            self.table.at_mut(self.recent).add(run);
        }
    }

    #[inline(always)]
    fn select(&mut self, threads: u64) {
        let pair = self.table.at(self.recent);
        if pair.threads != threads || pair.blocks == 0 {
            self.search(threads);
        }
    }

    #[inline(never)]
    fn search(&mut self, threads: u64) {
        let mut position = pair_position(threads, self.table.shift);
        loop {
            let pair = self.table.at_mut(position);
            if pair.blocks == 0 {
                *pair = ThreadPairTotals::new(threads);
                self.table.len = self.table.len.wrapping_add(1);
                break;
            }
            if pair.threads == threads {
                break;
            }
            position = position.wrapping_add(1);
        }
        self.recent = position;
    }

    /// All positions, vacant ones included.
    pub(crate) fn positions(&self) -> &[ThreadPairTotals] {
        self.table.positions()
    }

    pub(crate) fn clear(&mut self) {
        self.table.clear();
    }

    /// Memory in use, in bytes.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.table.used_bytes()
    }
}

/// Totals of size classes.
pub(crate) struct SizeTable {
    blocks: MmapVec<u64>,
    /// Bytes of the classes that cover more than one size.
    wide_bytes: MmapVec<u64>,
}

impl SizeTable {
    pub(crate) fn new() -> Option<Self> {
        let wide = SIZE_CLASSES.checked_sub(FIRST_WIDE_CLASS)?;
        Some(Self { blocks: MmapVec::new(SIZE_CLASSES)?, wide_bytes: MmapVec::new(wide)? })
    }

    #[inline(always)]
    pub(crate) fn add(&mut self, size: u64) {
        let class = size_class(size);
        if let Some(count) = self.blocks.get_mut(class) {
            *count = count.wrapping_add(1);
        }
        if let Some(wide) = class.checked_sub(FIRST_WIDE_CLASS)
            && let Some(bytes) = self.wide_bytes.get_mut(wide)
        {
            *bytes = bytes.wrapping_add(size);
        }
    }

    /// The record of a class; `None` if there is no such class.
    pub(crate) fn of_class(&self, class: usize) -> Option<AggregatedSize> {
        let blocks = *self.blocks.get(class)?;
        let wide = class.checked_sub(FIRST_WIDE_CLASS).and_then(|wide| self.wide_bytes.get(wide));
        Some(AggregatedSize { class, blocks, bytes: wide.copied().unwrap_or(0) })
    }

    pub(crate) fn clear(&mut self) {
        self.blocks.as_mut_slice().fill(0);
        self.wide_bytes.as_mut_slice().fill(0);
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test may panic")]
mod tests {
    use std::collections::BTreeMap;

    use crate::collector::aggregate::accumulator_tables::{
        GROUP_BITS, GroupTable, SITES, SiteTable,
    };
    use crate::collector::aggregate::accumulators::{GroupTotals, group_key};

    /// Adds `blocks` blocks of random groups of `sites` sites and compares with a map.
    fn check(groups: &mut GroupTable, sites: u32, blocks: u32) {
        let mut naive: BTreeMap<u32, (u32, u64)> = BTreeMap::new();
        let mut state = 3_u64;
        for _ in 0..blocks {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            let (random, lifetime) = (state >> 33, state >> (40 + state % 20));
            let (site, size) = (random as u32 % sites, random % 5_000);
            let key = group_key(site, lifetime, size);
            groups.reserve(1);
            assert!(!groups.exceeds_load_factor(), "{} groups", groups.len());
            let position = groups.prefetch(key);
            groups.add(position, key, size);
            let sum = naive.entry(key).or_default();
            *sum = (sum.0 + 1, sum.1 + size);
        }
        groups.sort();
        let sorted = groups.sorted().iter();
        let sorted: Vec<_> = sorted.map(|group| (group.key, (group.blocks, group.bytes))).collect();
        assert_eq!(sorted, naive.into_iter().collect::<Vec<_>>());
        groups.clear();
        assert_eq!(groups.len(), 0);
    }

    #[test]
    fn groups_are_counted_at_every_table_size() {
        let groups = &mut GroupTable::new().unwrap();
        for (sites, blocks) in [(1, 10), (3, 1_000), (300, 100_000), (2, 5_000), (20_000, 150_000)]
        {
            check(groups, sites, blocks);
        }
    }

    #[test]
    fn a_table_of_maximum_capacity_reports_its_load_and_takes_a_last_quarter() {
        let groups = &mut GroupTable::new().unwrap();
        let mut len = 0_u32;
        while !groups.exceeds_load_factor() {
            let key = group_key(len >> 10, u64::from(len & 1_023), 1);
            let key = key | ((len & 1) * 2);
            groups.reserve(1);
            groups.add(groups.prefetch(key), key, 1);
            len += 1;
        }
        assert!(groups.len() >= 3 << (GROUP_BITS - 2) && groups.len() < 1 << GROUP_BITS);
        let loaded = groups.len();
        for site in 0..128 {
            let key = group_key(30_000 + site, 7, 1);
            groups.reserve(32);
            groups.add(groups.prefetch(key), key, 1);
        }
        assert_eq!(groups.len(), loaded + 128);
        groups.sort();
        assert!(groups.sorted().iter().map(GroupTotals::site).is_sorted());
    }

    #[test]
    fn a_site_keeps_its_number_while_others_are_added() {
        let mut sites = SiteTable::new().unwrap();
        let key = |number: u64| (number << 40) | (number * 7) | (1 << 63);
        let mut len = 0;
        while !sites.exceeds_load_factor() {
            sites.reserve(1);
            assert_eq!(sites.number(key(len)) as u64, len);
            assert_eq!(sites.number(key(len / 2)) as u64, len / 2);
            len += 1;
        }
        assert_eq!(len as usize, SITES / 4 * 3);
        assert_eq!(sites.at(100).key, key(100));
        sites.clear();
        assert_eq!(sites.number(key(5)), 0);
    }
}
