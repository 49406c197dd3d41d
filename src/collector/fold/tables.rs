//! Where the sums of folded blocks stand: sites, groups, pairs of threads and sizes.
//!
//! Reads and writes: its own pages.
//!
//! Invariants: searches end, since a table that is three quarters full is crowded, and what is added
//! after that is less than the last quarter; an entry is found where it was begun until the table
//! is cleared.

use crate::collector::fold::parts::{Block, Group, Pair, SITE_BITS, Site};
use crate::collector::pages::{Pages, Table, fetch};
use crate::recording::{FIRST_WIDE_CLASS, FoldedSize, SIZE_CLASSES, size_class};

const SITES: usize = 1 << SITE_BITS;
/// The writing looks at every place, which Miri would take minutes for.
const GROUP_BITS: u32 = if cfg!(miri) { 12 } else { 18 };
const GROUPS: usize = 1 << GROUP_BITS;
const PAIR_BITS: u32 = 13;
const PAIRS: usize = 1 << PAIR_BITS;

/// Fibonacci's: keys that follow each other are scattered, and the high bits are the best ones.
#[inline(always)]
fn home(key: u64, bits: u32) -> usize {
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64_u32.wrapping_sub(bits))) as usize
}

/// Sums of sites.
pub(in crate::collector) struct Sites {
    table: Table<Site, SITES>,
    len: usize,
}

impl Sites {
    pub(in crate::collector) fn new() -> Option<Self> {
        Some(Self { table: Table::new()?, len: 0 })
    }

    pub(in crate::collector) fn len(&self) -> usize {
        self.len
    }

    pub(in crate::collector) fn is_crowded(&self) -> bool {
        self.len >= SITES / 4 * 3
    }

    /// Fetches where the search for a site begins.
    #[inline(always)]
    pub(in crate::collector) fn fetch(&self, key: u64) {
        fetch(self.table.at(site_home(key)));
    }

    /// Fetches the rest of a site.
    #[inline(always)]
    pub(in crate::collector) fn fetch_rest(&self, place: usize) {
        fetch(self.table.at(place).rest());
    }

    /// The place of a site, which is begun if there is none.
    #[inline(always)]
    pub(in crate::collector) fn place(&mut self, key: u64) -> usize {
        let mut place = site_home(key);
        loop {
            let site = self.table.at_mut(place);
            if site.key == key {
                return place & (SITES - 1);
            }
            if site.key == 0 {
                *site = Site::new(key);
                self.len = self.len.wrapping_add(1);
                return place & (SITES - 1);
            }
            place = place.wrapping_add(1);
        }
    }

    #[inline(always)]
    pub(in crate::collector) fn at(&self, place: usize) -> &Site {
        self.table.at(place)
    }

    #[inline(always)]
    pub(in crate::collector) fn at_mut(&mut self, place: usize) -> &mut Site {
        self.table.at_mut(place)
    }

    /// Forgets the sites of these groups.
    fn clear(&mut self, groups: &[Group]) {
        for group in groups {
            *self.table.at_mut(group.site()) = Site::default();
        }
        self.len = 0;
    }
}

#[inline(always)]
fn site_home(key: u64) -> usize {
    // Flags are the same for nearly all.
    home(key ^ (key >> 32), SITE_BITS)
}

/// Counts of groups.
pub(in crate::collector) struct Groups {
    table: Table<Group, GROUPS>,
    len: usize,
}

impl Groups {
    pub(in crate::collector) fn new() -> Option<Self> {
        Some(Self { table: Table::new()?, len: 0 })
    }

    pub(in crate::collector) fn len(&self) -> usize {
        self.len
    }

    pub(in crate::collector) fn is_crowded(&self) -> bool {
        self.len >= GROUPS / 4 * 3
    }

    /// Fetches where the search for a group begins.
    #[inline(always)]
    pub(in crate::collector) fn fetch(&self, key: u32) {
        fetch(self.table.at(home(u64::from(key), GROUP_BITS)));
    }

    #[inline(always)]
    pub(in crate::collector) fn add(&mut self, key: u32, size: u64) {
        let mut place = home(u64::from(key), GROUP_BITS);
        loop {
            let group = self.table.at_mut(place);
            if group.key == key {
                group.blocks = group.blocks.wrapping_add(1);
                group.bytes = group.bytes.wrapping_add(size);
                return;
            }
            if group.key == 0 {
                *group = Group { key, blocks: 1, bytes: size };
                self.len = self.len.wrapping_add(1);
                return;
            }
            place = place.wrapping_add(1);
        }
    }

    /// Brings all groups to the front, in order, where [`Groups::sorted`] has them.
    pub(in crate::collector) fn sort(&mut self) {
        let groups = self.table.as_mut_slice();
        let mut len = 0_usize;
        for place in 0..groups.len() {
            if groups.get(place).is_some_and(|group| group.key != 0) {
                groups.swap(len, place);
                len = len.wrapping_add(1);
            }
        }
        if let Some(used) = groups.get_mut(..len) {
            used.sort_unstable_by_key(|group| group.key);
        }
    }

    pub(in crate::collector) fn sorted(&self) -> &[Group] {
        self.table.as_slice().get(..self.len).unwrap_or_default()
    }

    /// Forgets all groups, which are sorted, and their sites.
    pub(in crate::collector) fn clear(&mut self, sites: &mut Sites) {
        sites.clear(self.sorted());
        if let Some(used) = self.table.as_mut_slice().get_mut(..self.len) {
            used.fill(Group::default());
        }
        self.len = 0;
    }
}

/// Memory that so many sites and groups touch at most, in bytes.
pub(in crate::collector) fn bytes_of(sites: usize, groups: usize) -> u64 {
    let sites = Table::<Site, SITES>::bytes_of(sites);
    sites.saturating_add(Table::<Group, GROUPS>::bytes_of(groups))
}

/// Sums of pairs of threads.
pub(in crate::collector) struct Pairs {
    table: Table<Pair, PAIRS>,
    len: usize,
    /// The place that was used last.
    recent: usize,
}

impl Pairs {
    pub(in crate::collector) fn new() -> Option<Self> {
        Some(Self { table: Table::new()?, len: 0, recent: 0 })
    }

    pub(in crate::collector) fn len(&self) -> usize {
        self.len
    }

    pub(in crate::collector) fn is_crowded(&self) -> bool {
        self.len >= PAIRS / 4 * 3
    }

    #[inline(always)]
    pub(in crate::collector) fn add(&mut self, block: &Block) {
        let pair = self.table.at(self.recent);
        if pair.threads != block.threads || pair.blocks == 0 {
            self.turn_to(block.threads);
        }
        self.table.at_mut(self.recent).add(block);
    }

    fn turn_to(&mut self, threads: u64) {
        let mut place = home(threads ^ (threads >> 32).wrapping_mul(0xbf58_476d), PAIR_BITS);
        loop {
            let pair = self.table.at_mut(place);
            if pair.blocks == 0 {
                *pair = Pair::new(threads);
                self.len = self.len.wrapping_add(1);
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
    pub(in crate::collector) fn places(&self) -> &[Pair] {
        self.table.as_slice()
    }

    pub(in crate::collector) fn clear(&mut self) {
        self.table.as_mut_slice().fill(Pair::default());
        self.len = 0;
    }
}

/// Counts of sizes.
pub(in crate::collector) struct Sizes {
    blocks: Pages<u64>,
    /// Bytes of the classes that are not exact.
    wide_bytes: Pages<u64>,
}

impl Sizes {
    pub(in crate::collector) fn new() -> Option<Self> {
        let wide = SIZE_CLASSES.checked_sub(FIRST_WIDE_CLASS)?;
        Some(Self { blocks: Pages::new(SIZE_CLASSES)?, wide_bytes: Pages::new(wide)? })
    }

    #[inline(always)]
    pub(in crate::collector) fn add(&mut self, size: u64) {
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
    pub(in crate::collector) fn of_class(&self, class: usize) -> Option<FoldedSize> {
        let blocks = *self.blocks.get(class)?;
        let wide = class.checked_sub(FIRST_WIDE_CLASS).and_then(|wide| self.wide_bytes.get(wide));
        Some(FoldedSize { class, blocks, bytes: wide.copied().unwrap_or(0) })
    }

    pub(in crate::collector) fn clear(&mut self) {
        self.blocks.as_mut_slice().fill(0);
        self.wide_bytes.as_mut_slice().fill(0);
    }
}
