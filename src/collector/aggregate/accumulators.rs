//! Accumulators of aggregated blocks: per site, per pair of threads, and per group of a site's blocks
//! with similar lifetime and size.
//!
//! Reads: a block's allocation and its free. Writes: the accumulators, and their records.
//!
//! Invariant: an accumulator does not depend on the order in which blocks are added.

use crate::collector::aggregate::hold_queue::{DeferredEvent, DeferredKind};
use crate::collector::platform::mmap_vec::Zeroable;
use crate::recording::{
    AggregatedPair, AggregatedSite, DURATION_CLASS_BITS, NodeId, ThreadId, Ticks, duration_class,
    size_power,
};

const FLAG_USED: u32 = 1 << 31;
const FLAG_ZEROED: u32 = 1 << 8;

/// The totals of a site, without its blocks and bytes, which are the sums of its groups.
#[derive(Clone, Copy, Default)]
#[repr(C, align(64))]
pub(crate) struct SiteTotals {
    /// Low half: the node. High half: `FLAG_USED`, `FLAG_ZEROED` and the alignment; 0: vacant.
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

// SAFETY: integers: all-zero is a valid value.
unsafe impl Zeroable for SiteTotals {}

/// The totals of the blocks that one thread allocated and one freed.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct ThreadPairTotals {
    /// Low half: the allocating thread. High half: the freeing one.
    pub(crate) threads: u64,
    /// 0: vacant.
    pub(crate) blocks: u64,
    bytes: u64,
    first_alloc: u64,
    last_alloc: u64,
    first_free: u64,
    last_free: u64,
}

// SAFETY: integers: all-zero is a valid value.
unsafe impl Zeroable for ThreadPairTotals {}

/// The totals of a site's blocks of one lifetime class and one power of two of sizes.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct GroupTotals {
    /// See [`group_key`]; 0: vacant.
    pub(crate) key: u32,
    pub(crate) blocks: u32,
    pub(crate) bytes: u64,
}

// SAFETY: integers: all-zero is a valid value.
unsafe impl Zeroable for GroupTotals {}

/// Bits of the size's power of two in a group's key.
const POWER_BITS: u32 = 6;
const GROUP_USED: u32 = 1 << 31;

/// Bits of the site's number in a group's key.
pub(crate) const SITE_BITS: u32 = 15;
const _: () = assert!(SITE_BITS + DURATION_CLASS_BITS + POWER_BITS == 31);

/// `GROUP_USED`, the site's number, the lifetime class and the power, from the highest bits down: sorted
/// keys are sorted by site, then by class.
#[inline(always)]
pub(crate) fn group_key(site: u32, lifetime: u64, size: u64) -> u32 {
    let site_class = site << DURATION_CLASS_BITS | duration_class(lifetime);
    GROUP_USED | site_class << POWER_BITS | u32::from(size_power(size))
}

impl GroupTotals {
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

    /// The key of the first of `neighbours` consecutive classes, a power of two.
    #[inline(always)]
    pub(crate) fn first_class_of(key: u32, neighbours: u32) -> u32 {
        key & !(neighbours.wrapping_sub(1) << POWER_BITS)
    }

    pub(crate) fn power(&self) -> u8 {
        (self.key & ((1 << POWER_BITS) - 1)) as u8
    }
}

/// The free of a block.
#[derive(Clone, Copy)]
pub(crate) struct FreeInfo {
    pub(crate) at: u64,
    pub(crate) thread: u32,
    /// Allocations of this thread up to the free.
    pub(crate) alloc_count: u32,
}

/// A freed block that is not in the totals yet.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct FreedBlock {
    pub(crate) at: u64,
    pub(crate) freed_at: u64,
    pub(crate) size: u64,
    /// The site's key.
    pub(crate) key: u64,
    /// The key of the pair of threads.
    pub(crate) threads: u64,
    traits: u32,
    /// The site's number.
    pub(crate) site: u32,
    /// The group's key, and the position at which its search starts.
    pub(crate) group: u32,
    pub(crate) group_position: u32,
}

// SAFETY: integers: all-zero is a valid value.
unsafe impl Zeroable for FreedBlock {}

/// Freed by its thread before that thread's next allocation.
const TEMPORARY: u32 = 1;
/// Freed by another thread.
const CROSS_THREAD: u32 = 2;
const REALLOC: u32 = 4;
const REALLOC_MOVED: u32 = 8;

impl FreedBlock {
    #[inline(always)]
    pub(crate) fn new(alloc: &DeferredEvent, free: FreeInfo) -> Self {
        let zeroed = if alloc.kind == DeferredKind::Zeroed { FLAG_ZEROED } else { 0 };
        let flags = FLAG_USED | zeroed | u32::from(alloc.align_log2);
        let is_own = free.thread == alloc.thread;
        let is_temporary = is_own && free.alloc_count.wrapping_sub(alloc.alloc_count) <= 1;
        let is_realloc = alloc.kind == DeferredKind::Realloc;
        Self {
            at: alloc.at,
            freed_at: free.at,
            size: alloc.size,
            key: u64::from(alloc.node) | (u64::from(flags) << 32),
            threads: u64::from(alloc.thread) | (u64::from(free.thread) << 32),
            traits: if is_temporary { TEMPORARY } else { 0 }
                | if is_own { 0 } else { CROSS_THREAD }
                | if is_realloc { REALLOC } else { 0 }
                | if is_realloc && alloc.moved { REALLOC_MOVED } else { 0 },
            site: 0,
            group: 0,
            group_position: 0,
        }
    }

    #[inline(always)]
    pub(crate) fn lifetime(&self) -> u64 {
        self.freed_at.saturating_sub(self.at)
    }
}

impl SiteTotals {
    /// Without blocks.
    pub(crate) fn new(key: u64) -> Self {
        let (size_min, lifetime_min, first_alloc) = (u64::MAX, u64::MAX, u64::MAX);
        Self { key, size_min, lifetime_min, first_alloc, ..Self::default() }
    }

    /// A field on the second of its two cache lines, for prefetching.
    #[inline(always)]
    pub(crate) fn second_line(&self) -> &u64 {
        &self.last_free
    }

    #[inline(always)]
    pub(crate) fn add(&mut self, block: &FreedBlock) {
        let lifetime = block.lifetime();
        self.lifetime_sum = self.lifetime_sum.wrapping_add(lifetime);
        // Minimum and maximum rarely change, and a predicted branch is cheaper than a store.
        if block.size < self.size_min || block.size > self.size_max {
            self.size_min = self.size_min.min(block.size);
            self.size_max = self.size_max.max(block.size);
        }
        if lifetime < self.lifetime_min || lifetime > self.lifetime_max {
            self.lifetime_min = self.lifetime_min.min(lifetime);
            self.lifetime_max = self.lifetime_max.max(lifetime);
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
        if block.traits & (CROSS_THREAD | REALLOC) != 0 {
            self.add_rare_traits(block.traits);
        }
    }

    fn add_rare_traits(&mut self, traits: u32) {
        for (flag, sum) in [
            (CROSS_THREAD, &mut self.cross_thread_frees),
            (REALLOC, &mut self.reallocs),
            (REALLOC_MOVED, &mut self.reallocs_moved),
        ] {
            *sum = sum.wrapping_add(u64::from(traits & flag != 0));
        }
    }

    /// The site's record; `blocks` and `bytes` are the sums of its groups.
    pub(crate) fn record(&self, blocks: u64, bytes: u64) -> AggregatedSite {
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

impl ThreadPairTotals {
    /// Without blocks.
    pub(crate) fn new(threads: u64) -> Self {
        Self { threads, first_alloc: u64::MAX, first_free: u64::MAX, ..Self::default() }
    }

    #[inline(always)]
    pub(crate) fn add(&mut self, blocks: &[FreedBlock]) {
        let mut sum = *self;
        sum.blocks = sum.blocks.wrapping_add(blocks.len() as u64);
        for block in blocks {
            sum.bytes = sum.bytes.wrapping_add(block.size);
            sum.first_alloc = sum.first_alloc.min(block.at);
            sum.last_alloc = sum.last_alloc.max(block.at);
            sum.first_free = sum.first_free.min(block.freed_at);
            sum.last_free = sum.last_free.max(block.freed_at);
        }
        *self = sum;
    }

    pub(crate) fn record(&self) -> AggregatedPair {
        AggregatedPair {
            allocated_by: ThreadId(self.threads as u32),
            freed_by: ThreadId((self.threads >> 32) as u32),
            blocks: self.blocks,
            bytes: self.bytes,
            first_alloc: Ticks(self.first_alloc),
            last_alloc: Ticks(self.last_alloc),
            first_freed: Ticks(self.first_free),
            last_free: Ticks(self.last_free),
        }
    }
}
