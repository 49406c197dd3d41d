//! Where the sums of aggregated blocks stand: sites, groups, pairs of threads and sizes.
//!
//! Reads and writes: its own pages.
//!
//! Invariants: searches end, since a table that is three quarters full is crowded, and what is added
//! after that is less than the last quarter; a site's number is good until the tables are cleared.

use crate::collector::aggregate::accumulators::{Block, Group, Pair, SITE_BITS, Site};
use crate::collector::aggregate::hash_table::{Entry, HashTable, Shift, scatter};
use crate::collector::platform::mmap_vec::{MmapTable, MmapVec, Zeroable, prefetch};
use crate::recording::{AggregatedSize, FIRST_WIDE_CLASS, SIZE_CLASSES, size_class};

const SITES: usize = 1 << SITE_BITS;
const INDEX_BITS: u32 = SITE_BITS + 1;
const GROUP_BITS: u32 = 18;
const PAIR_BITS: u32 = 13;

/// Groups whose lifetimes are neighbours stand in one cache line.
const NEIGHBOURS: usize = 4;

/// Sums of sites, in the order in which they came.
pub(crate) struct Sites {
    index: HashTable<Indexed, { 1 << INDEX_BITS }>,
    table: MmapTable<Site, SITES>,
}

/// A site's number, by its key.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Indexed {
    /// 0: nobody's place.
    key: u64,
    number: u32,
}

// SAFETY: numbers.
unsafe impl Zeroable for Indexed {}

impl Entry for Indexed {
    fn is_vacant(&self) -> bool {
        self.key == 0
    }

    fn home(&self, shift: Shift) -> usize {
        site_home(self.key, shift)
    }
}

#[inline(always)]
fn site_home(key: u64, shift: Shift) -> usize {
    // Flags are the same for nearly all.
    shift.of(scatter(key ^ (key >> 32)))
}

impl Sites {
    pub(crate) fn new() -> Option<Self> {
        Some(Self { index: HashTable::new()?, table: MmapTable::new()? })
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len
    }

    pub(crate) fn exceeds_load_factor(&self) -> bool {
        self.len() >= SITES / 4 * 3 || self.index.exceeds_load_factor()
    }

    /// Makes room for so many more.
    #[inline(always)]
    pub(crate) fn reserve(&mut self, more: usize) {
        self.index.reserve(more);
    }

    /// Fetches where the search for a site begins.
    #[inline(always)]
    pub(crate) fn fetch(&self, key: u64) {
        prefetch(self.index.at(site_home(key, self.index.shift)));
    }

    /// Fetches a site.
    #[inline(always)]
    pub(crate) fn fetch_site(&self, number: usize) {
        let site = self.table.at(number);
        prefetch(site);
        prefetch(site.rest());
    }

    /// The number of a site, which is begun if there is none.
    #[inline(always)]
    pub(crate) fn number(&mut self, key: u64) -> usize {
        let mut place = site_home(key, self.index.shift);
        loop {
            let entry = self.index.at(place);
            if entry.key == key {
                return entry.number as usize;
            }
            if entry.key == 0 {
                return self.begin(key, place);
            }
            place = place.wrapping_add(1);
        }
    }

    #[cold]
    #[inline(never)]
    fn begin(&mut self, key: u64, place: usize) -> usize {
        let number = self.index.len;
        *self.index.at_mut(place) = Indexed { key, number: number as u32 };
        *self.table.at_mut(number) = Site::new(key);
        self.index.len = number.wrapping_add(1);
        number
    }

    #[inline(always)]
    pub(crate) fn at(&self, number: usize) -> &Site {
        self.table.at(number)
    }

    #[inline(always)]
    pub(crate) fn at_mut(&mut self, number: usize) -> &mut Site {
        self.table.at_mut(number)
    }

    pub(crate) fn clear(&mut self) {
        self.index.clear();
    }

    /// Memory, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        let sites = self.len().saturating_mul(size_of::<Site>()) as u64;
        self.index.bytes().saturating_add(sites)
    }
}

/// Counts of groups.
pub(crate) struct Groups(HashTable<Group, { 1 << GROUP_BITS }>);

impl Entry for Group {
    fn is_vacant(&self) -> bool {
        self.key == 0
    }

    fn home(&self, shift: Shift) -> usize {
        group_home(self.key, shift)
    }
}

#[inline(always)]
fn group_home(key: u32, shift: Shift) -> usize {
    let neighbour = Group::class_of(key) as usize & (NEIGHBOURS - 1);
    let hash = scatter(u64::from(Group::first_class_of(key, NEIGHBOURS as u32)));
    shift.of(hash) & !(NEIGHBOURS - 1) | neighbour
}

impl Groups {
    pub(crate) fn new() -> Option<Self> {
        HashTable::new().map(Self)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len
    }

    pub(crate) fn exceeds_load_factor(&self) -> bool {
        self.0.exceeds_load_factor()
    }

    /// Makes room for so many more.
    #[inline(always)]
    pub(crate) fn reserve(&mut self, more: usize) {
        self.0.reserve(more);
    }

    /// Where the search for a group begins, until there is room made; fetches it.
    #[inline(always)]
    pub(crate) fn fetch(&self, key: u32) -> usize {
        let place = group_home(key, self.0.shift);
        prefetch(self.0.at(place));
        place
    }

    /// Adds a block to a group, the search for which begins at `place`.
    #[inline(always)]
    pub(crate) fn add(&mut self, mut place: usize, key: u32, size: u64) {
        loop {
            let group = self.0.at_mut(place);
            if group.key == key {
                group.blocks = group.blocks.wrapping_add(1);
                group.bytes = group.bytes.wrapping_add(size);
                return;
            }
            if group.key == 0 {
                *group = Group { key, blocks: 1, bytes: size };
                self.0.len = self.0.len.wrapping_add(1);
                return;
            }
            place = place.wrapping_add(1);
        }
    }

    /// Brings all groups to the front, in order, where [`Groups::sorted`] has them.
    pub(crate) fn sort(&mut self) {
        self.0.gather();
        self.0.gathered_mut().sort_unstable_by_key(|group| group.key);
    }

    pub(crate) fn sorted(&self) -> &[Group] {
        self.0.gathered()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Memory, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.bytes()
    }
}

/// Sums of pairs of threads.
pub(crate) struct Pairs {
    table: HashTable<Pair, { 1 << PAIR_BITS }>,
    /// The place that was used last.
    recent: usize,
}

impl Entry for Pair {
    fn is_vacant(&self) -> bool {
        self.blocks == 0
    }

    fn home(&self, shift: Shift) -> usize {
        pair_home(self.threads, shift)
    }
}

#[inline(always)]
fn pair_home(threads: u64, shift: Shift) -> usize {
    shift.of(scatter(threads ^ (threads >> 32).wrapping_mul(0xbf58_476d)))
}

impl Pairs {
    pub(crate) fn new() -> Option<Self> {
        Some(Self { table: HashTable::new()?, recent: 0 })
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len
    }

    pub(crate) fn exceeds_load_factor(&self) -> bool {
        self.table.exceeds_load_factor()
    }

    /// Makes room for so many more.
    #[inline(always)]
    pub(crate) fn reserve(&mut self, more: usize) {
        self.table.reserve(more);
    }

    /// Adds blocks, many of which follow others of the same threads.
    #[inline(always)]
    pub(crate) fn add(&mut self, blocks: &[Block]) {
        for alike in blocks.chunk_by(|one, next| one.threads == next.threads) {
            let Some(first) = alike.first() else { continue };
            self.turn_to(first.threads);
            self.table.at_mut(self.recent).add(alike);
        }
    }

    #[inline(always)]
    fn turn_to(&mut self, threads: u64) {
        let pair = self.table.at(self.recent);
        if pair.threads != threads || pair.blocks == 0 {
            self.search(threads);
        }
    }

    #[inline(never)]
    fn search(&mut self, threads: u64) {
        let mut place = pair_home(threads, self.table.shift);
        loop {
            let pair = self.table.at_mut(place);
            if pair.blocks == 0 {
                *pair = Pair::new(threads);
                self.table.len = self.table.len.wrapping_add(1);
                break;
            }
            if pair.threads == threads {
                break;
            }
            place = place.wrapping_add(1);
        }
        self.recent = place;
    }

    /// All places; those without blocks are nobody's.
    pub(crate) fn places(&self) -> &[Pair] {
        self.table.places()
    }

    pub(crate) fn clear(&mut self) {
        self.table.clear();
    }

    /// Memory, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.table.bytes()
    }
}

/// Counts of sizes.
pub(crate) struct Sizes {
    blocks: MmapVec<u64>,
    /// Bytes of the classes that are not exact.
    wide_bytes: MmapVec<u64>,
}

impl Sizes {
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

    /// What is counted in a class; `None`: there is no such class.
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

    use crate::collector::aggregate::accumulators::{Group, group_key};
    use crate::collector::aggregate::group_tables::{GROUP_BITS, Groups, SITES, Sites};

    /// Adds so many blocks of random groups of so many sites, twice, and compares with a map.
    fn check(groups: &mut Groups, sites: u32, blocks: u32) {
        let mut naive: BTreeMap<u32, (u32, u64)> = BTreeMap::new();
        let mut state = 3_u64;
        for _ in 0..blocks {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            let (random, life) = (state >> 33, state >> (40 + state % 20));
            let (site, size) = (random as u32 % sites, random % 5_000);
            let key = group_key(site, life, size);
            groups.reserve(1);
            assert!(!groups.exceeds_load_factor(), "{} groups", groups.len());
            let place = groups.fetch(key);
            groups.add(place, key, size);
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
    fn groups_are_counted_however_many_there_are() {
        let groups = &mut Groups::new().unwrap();
        for (sites, blocks) in [(1, 10), (3, 1_000), (300, 100_000), (2, 5_000), (20_000, 150_000)]
        {
            check(groups, sites, blocks);
        }
    }

    #[test]
    fn a_table_at_its_full_size_is_crowded_and_takes_a_last_quarter() {
        let groups = &mut Groups::new().unwrap();
        let mut len = 0_u32;
        while !groups.exceeds_load_factor() {
            let key = group_key(len >> 10, u64::from(len & 1_023), 1);
            let key = key | ((len & 1) * 2);
            groups.reserve(1);
            groups.add(groups.fetch(key), key, 1);
            len += 1;
        }
        assert!(groups.len() >= 3 << (GROUP_BITS - 2) && groups.len() < 1 << GROUP_BITS);
        let crowded = groups.len();
        for site in 0..128 {
            let key = group_key(30_000 + site, 7, 1);
            groups.reserve(32);
            groups.add(groups.fetch(key), key, 1);
        }
        assert_eq!(groups.len(), crowded + 128);
        groups.sort();
        assert!(groups.sorted().iter().map(Group::site).is_sorted());
    }

    #[test]
    fn a_site_keeps_its_number_while_others_come() {
        let mut sites = Sites::new().unwrap();
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
