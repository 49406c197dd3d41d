//! What is summed up of aggregated blocks: of a site, of a pair of threads, of a group of alike ones.
//!
//! Reads: a block and its end. Writes: these sums, and their form in the recording.
//!
//! Invariant: a sum is the same in whatever order its blocks are added.

use crate::collector::aggregate::hold_queue::{Held, Kind};
use crate::collector::platform::mmap_vec::Zeroable;
use crate::recording::{
    AggregatedPair, AggregatedSite, DURATION_CLASS_BITS, NodeId, ThreadId, Ticks, duration_class,
    size_power,
};

const FLAG_USED: u32 = 1 << 31;
const FLAG_ZEROED: u32 = 1 << 8;

/// A site's sums, but for its blocks and bytes, which its groups add up to.
#[derive(Clone, Copy, Default)]
#[repr(C, align(64))]
pub(crate) struct Site {
    /// The node, and above it used, zeroed, alignment.
    pub(crate) key: u64,
    size_min: u64,
    size_max: u64,
    lifetime_sum: u64,
    lifetime_min: u64,
    lifetime_max: u64,
    first_alloc: u64,
    last_alloc: u64,
    last_free: u64,
    threads: u64,
    temporary: u64,
    temporary_bytes: u64,
    cross_thread_frees: u64,
    reallocs: u64,
    reallocs_moved: u64,
}

// SAFETY: numbers.
unsafe impl Zeroable for Site {}

/// A pair of threads.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct Pair {
    /// Who made, and above it who freed.
    pub(crate) threads: u64,
    /// 0: nobody's place.
    pub(crate) blocks: u64,
    bytes: u64,
    first_alloc: u64,
    last_alloc: u64,
    first_freed: u64,
    last_free: u64,
}

// SAFETY: numbers.
unsafe impl Zeroable for Pair {}

/// A site's blocks of one class of lifetimes and one power of two of sizes.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct Group {
    /// See [`group_key`]; 0: nobody's place.
    pub(crate) key: u32,
    pub(crate) blocks: u32,
    pub(crate) bytes: u64,
}

// SAFETY: numbers.
unsafe impl Zeroable for Group {}

/// Bits that a power needs.
const POWER_BITS: u32 = 6;
const GROUP_USED: u32 = 1 << 31;

/// Bits of a site's number, for a group's key to hold one.
pub(crate) const SITE_BITS: u32 = 15;
const _: () = assert!(SITE_BITS + DURATION_CLASS_BITS + POWER_BITS == 31);

/// Used, the site's number, the class, the power: so that they sort.
#[inline(always)]
pub(crate) fn group_key(site: u32, life: u64, size: u64) -> u32 {
    let of_site = site << DURATION_CLASS_BITS | duration_class(life);
    GROUP_USED | of_site << POWER_BITS | u32::from(size_power(size))
}

impl Group {
    pub(crate) fn site(&self) -> usize {
        ((self.key & !GROUP_USED) >> (DURATION_CLASS_BITS + POWER_BITS)) as usize
    }

    pub(crate) fn class(&self) -> u32 {
        Self::class_of(self.key)
    }

    #[inline(always)]
    pub(crate) fn class_of(key: u32) -> u32 {
        (key >> POWER_BITS) & ((1 << DURATION_CLASS_BITS) - 1)
    }

    /// The key of the first of so many neighbouring classes, a power of two.
    #[inline(always)]
    pub(crate) fn first_class_of(key: u32, neighbours: u32) -> u32 {
        key & !(neighbours.wrapping_sub(1) << POWER_BITS)
    }

    pub(crate) fn power(&self) -> u8 {
        (self.key & ((1 << POWER_BITS) - 1)) as u8
    }
}

/// Who freed a block, and when.
#[derive(Clone, Copy)]
pub(crate) struct End {
    pub(crate) at: u64,
    pub(crate) thread: u32,
    /// Blocks that this thread had made by then.
    pub(crate) made: u32,
}

/// A block that is still to be added.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Block {
    pub(crate) at: u64,
    pub(crate) freed_at: u64,
    pub(crate) size: u64,
    /// That of its site.
    pub(crate) key: u64,
    /// That of its pair.
    pub(crate) threads: u64,
    traits: u32,
    /// The site's number, its group's key, and where the search for that begins.
    pub(crate) site: u32,
    pub(crate) group: u32,
    pub(crate) place: u32,
}

// SAFETY: numbers.
unsafe impl Zeroable for Block {}

/// What else is counted of a block.
const TEMPORARY: u32 = 1;
const CROSS: u32 = 2;
const REALLOC: u32 = 4;
const MOVED: u32 = 8;

impl Block {
    #[inline(always)]
    pub(crate) fn new(block: &Held, end: End) -> Self {
        let zeroed = if block.kind == Kind::Zeroed { FLAG_ZEROED } else { 0 };
        let flags = FLAG_USED | zeroed | u32::from(block.align_log2);
        let is_own = end.thread == block.thread;
        let is_temporary = is_own && end.made.wrapping_sub(block.made) <= 1;
        let is_realloc = block.kind == Kind::Realloc;
        Self {
            at: block.at,
            freed_at: end.at,
            size: block.size,
            key: u64::from(block.node) | (u64::from(flags) << 32),
            threads: u64::from(block.thread) | (u64::from(end.thread) << 32),
            traits: if is_temporary { TEMPORARY } else { 0 }
                | if is_own { 0 } else { CROSS }
                | if is_realloc { REALLOC } else { 0 }
                | if is_realloc && block.moved { MOVED } else { 0 },
            site: 0,
            group: 0,
            place: 0,
        }
    }

    #[inline(always)]
    pub(crate) fn life(&self) -> u64 {
        self.freed_at.saturating_sub(self.at)
    }
}

impl Site {
    /// One that has no block yet.
    pub(crate) fn new(key: u64) -> Self {
        let (size_min, lifetime_min, first_alloc) = (u64::MAX, u64::MAX, u64::MAX);
        Self { key, size_min, lifetime_min, first_alloc, ..Self::default() }
    }

    /// A field of its second half.
    #[inline(always)]
    pub(crate) fn rest(&self) -> &u64 {
        &self.last_free
    }

    #[inline(always)]
    pub(crate) fn add(&mut self, block: &Block) {
        let life = block.life();
        self.lifetime_sum = self.lifetime_sum.wrapping_add(life);
        // What changes seldom is compared and not stored.
        if block.size < self.size_min || block.size > self.size_max {
            self.size_min = self.size_min.min(block.size);
            self.size_max = self.size_max.max(block.size);
        }
        if life < self.lifetime_min || life > self.lifetime_max {
            self.lifetime_min = self.lifetime_min.min(life);
            self.lifetime_max = self.lifetime_max.max(life);
        }
        if block.at < self.first_alloc {
            self.first_alloc = block.at;
        }
        self.last_alloc = self.last_alloc.max(block.at);
        self.last_free = self.last_free.max(block.freed_at);
        self.threads |= 1_u64.checked_shl(block.threads as u32).unwrap_or(0);
        if block.traits & TEMPORARY != 0 {
            self.temporary = self.temporary.wrapping_add(1);
            self.temporary_bytes = self.temporary_bytes.wrapping_add(block.size);
        }
        if block.traits & (CROSS | REALLOC) != 0 {
            self.add_unusual(block.traits);
        }
    }

    fn add_unusual(&mut self, traits: u32) {
        for (flag, sum) in [
            (CROSS, &mut self.cross_thread_frees),
            (REALLOC, &mut self.reallocs),
            (MOVED, &mut self.reallocs_moved),
        ] {
            *sum = sum.wrapping_add(u64::from(traits & flag != 0));
        }
    }

    /// With the blocks and bytes of its groups.
    pub(crate) fn aggregated(&self, blocks: u64, bytes: u64) -> AggregatedSite {
        let flags = (self.key >> 32) as u32;
        AggregatedSite {
            node: NodeId(self.key as u32),
            zeroed: flags & FLAG_ZEROED != 0,
            align_log2: flags as u8,
            blocks,
            bytes,
            size_min: self.size_min,
            size_max: self.size_max,
            lifetime_sum: self.lifetime_sum,
            lifetime_min: self.lifetime_min,
            lifetime_max: self.lifetime_max,
            temporary: self.temporary,
            temporary_bytes: self.temporary_bytes,
            cross_thread_frees: self.cross_thread_frees,
            reallocs: self.reallocs,
            reallocs_moved: self.reallocs_moved,
            first_alloc: Ticks(self.first_alloc),
            last_alloc: Ticks(self.last_alloc),
            last_free: Ticks(self.last_free),
            threads: self.threads,
        }
    }
}

impl Pair {
    /// One that has no block yet.
    pub(crate) fn new(threads: u64) -> Self {
        Self { threads, first_alloc: u64::MAX, first_freed: u64::MAX, ..Self::default() }
    }

    #[inline(always)]
    pub(crate) fn add(&mut self, blocks: &[Block]) {
        let mut sum = *self;
        sum.blocks = sum.blocks.wrapping_add(blocks.len() as u64);
        for block in blocks {
            sum.bytes = sum.bytes.wrapping_add(block.size);
            sum.first_alloc = sum.first_alloc.min(block.at);
            sum.last_alloc = sum.last_alloc.max(block.at);
            sum.first_freed = sum.first_freed.min(block.freed_at);
            sum.last_free = sum.last_free.max(block.freed_at);
        }
        *self = sum;
    }

    pub(crate) fn aggregated(&self) -> AggregatedPair {
        AggregatedPair {
            allocated_by: ThreadId(self.threads as u32),
            freed_by: ThreadId((self.threads >> 32) as u32),
            blocks: self.blocks,
            bytes: self.bytes,
            first_alloc: Ticks(self.first_alloc),
            last_alloc: Ticks(self.last_alloc),
            first_freed: Ticks(self.first_freed),
            last_free: Ticks(self.last_free),
        }
    }
}
