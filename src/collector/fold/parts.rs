//! What is summed up of folded blocks: of a site, of a pair of threads, of a power of sizes.
//!
//! Reads: a block and its end. Writes: these sums, and their form in the recording.
//!
//! Invariant: a sum is the same in whatever order its blocks are added.

use crate::collector::fold::pending::{Held, Kind};
use crate::collector::pages::Zeroed;
use crate::recording::{FoldedPair, FoldedSite, NodeId, ThreadId, Ticks};

const FLAG_USED: u32 = 1 << 31;
const FLAG_ZEROED: u32 = 1 << 8;

/// A site's sums.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(in crate::collector) struct Site {
    /// Used, zeroed, alignment; 0: nobody's place.
    pub(in crate::collector) flags: u32,
    pub(in crate::collector) node: u32,
    pub(in crate::collector) blocks: u64,
    pub(in crate::collector) bytes: u64,
    pub(in crate::collector) size_min: u64,
    pub(in crate::collector) size_max: u64,
    pub(in crate::collector) lifetime_sum: u64,
    pub(in crate::collector) lifetime_min: u64,
    pub(in crate::collector) lifetime_max: u64,
    pub(in crate::collector) temporary: u64,
    pub(in crate::collector) temporary_bytes: u64,
    pub(in crate::collector) cross_thread_frees: u64,
    pub(in crate::collector) reallocs: u64,
    pub(in crate::collector) reallocs_moved: u64,
    pub(in crate::collector) first_made: u64,
    pub(in crate::collector) last_made: u64,
    pub(in crate::collector) last_freed: u64,
    pub(in crate::collector) threads: u64,
}

// SAFETY: numbers.
unsafe impl Zeroed for Site {}

/// A pair of threads.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(in crate::collector) struct Pair {
    pub(in crate::collector) made_by: u32,
    pub(in crate::collector) freed_by: u32,
    pub(in crate::collector) blocks: u64,
    pub(in crate::collector) bytes: u64,
    pub(in crate::collector) first_made: u64,
    pub(in crate::collector) last_made: u64,
    pub(in crate::collector) first_freed: u64,
    pub(in crate::collector) last_freed: u64,
}

// SAFETY: numbers.
unsafe impl Zeroed for Pair {}

/// A site's blocks of one power of two of sizes.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(in crate::collector) struct Power {
    /// 1 + the site's place, and the power below it.
    pub(in crate::collector) key: u64,
    pub(in crate::collector) blocks: u64,
    pub(in crate::collector) bytes: u64,
}

// SAFETY: numbers.
unsafe impl Zeroed for Power {}

/// Who freed a block, and when.
#[derive(Clone, Copy)]
pub(in crate::collector) struct End {
    pub(in crate::collector) at: u64,
    pub(in crate::collector) thread: u32,
    /// Blocks that this thread had made by then.
    pub(in crate::collector) made: u32,
}

/// A block that is still to be added.
#[derive(Clone, Copy)]
#[repr(C)]
pub(in crate::collector) struct Block {
    pub(in crate::collector) at: u64,
    pub(in crate::collector) freed_at: u64,
    pub(in crate::collector) size: u64,
    /// The node, and the site's flags above it.
    pub(in crate::collector) key: u64,
    pub(in crate::collector) thread: u32,
    pub(in crate::collector) freed_by: u32,
    pub(in crate::collector) traits: u32,
    /// The site's place, and where the searches for its lifetimes and sizes begin.
    pub(in crate::collector) place: u32,
    pub(in crate::collector) life_key: u32,
    pub(in crate::collector) life_home: u32,
    pub(in crate::collector) power_home: u32,
}

// SAFETY: numbers.
unsafe impl Zeroed for Block {}

/// What else is counted of a block.
const TEMPORARY: u32 = 1;
const REALLOC: u32 = 2;
const MOVED: u32 = 4;

impl Block {
    #[inline(always)]
    pub(in crate::collector) fn new(block: &Held, end: End) -> Self {
        let zeroed = if block.kind == Kind::Zeroed { FLAG_ZEROED } else { 0 };
        let flags = FLAG_USED | zeroed | u32::from(block.align_log2);
        let is_temporary = end.thread == block.thread && end.made.wrapping_sub(block.made) <= 1;
        let is_realloc = block.kind == Kind::Realloc;
        Self {
            at: block.at,
            freed_at: end.at,
            size: block.size,
            key: u64::from(block.node) | (u64::from(flags) << 32),
            thread: block.thread,
            freed_by: end.thread,
            traits: if is_temporary { TEMPORARY } else { 0 }
                | if is_realloc { REALLOC } else { 0 }
                | if is_realloc && block.moved { MOVED } else { 0 },
            place: 0,
            life_key: 0,
            life_home: 0,
            power_home: 0,
        }
    }

    #[inline(always)]
    pub(in crate::collector) fn life(&self) -> u64 {
        self.freed_at.saturating_sub(self.at)
    }
}

impl Site {
    #[inline(always)]
    pub(in crate::collector) fn add(&mut self, block: &Block) {
        let life = block.life();
        if self.blocks == 0 {
            (self.size_min, self.lifetime_min) = (block.size, life);
            self.first_made = block.at;
        }
        self.blocks = self.blocks.wrapping_add(1);
        self.bytes = self.bytes.wrapping_add(block.size);
        self.size_min = self.size_min.min(block.size);
        self.size_max = self.size_max.max(block.size);
        self.lifetime_sum = self.lifetime_sum.wrapping_add(life);
        self.lifetime_min = self.lifetime_min.min(life);
        self.lifetime_max = self.lifetime_max.max(life);
        self.first_made = self.first_made.min(block.at);
        self.last_made = self.last_made.max(block.at);
        self.last_freed = self.last_freed.max(block.freed_at);
        self.threads |= 1_u64.checked_shl(block.thread).unwrap_or(0);
        if block.traits & TEMPORARY != 0 {
            self.temporary = self.temporary.wrapping_add(1);
            self.temporary_bytes = self.temporary_bytes.wrapping_add(block.size);
        } else if block.freed_by != block.thread {
            self.cross_thread_frees = self.cross_thread_frees.wrapping_add(1);
        }
        if block.traits & REALLOC != 0 {
            let moved = u64::from(block.traits & MOVED != 0);
            self.reallocs = self.reallocs.wrapping_add(1);
            self.reallocs_moved = self.reallocs_moved.wrapping_add(moved);
        }
    }

    pub(in crate::collector) fn folded(&self) -> FoldedSite {
        FoldedSite {
            node: NodeId(self.node),
            zeroed: self.flags & FLAG_ZEROED != 0,
            align_log2: self.flags as u8,
            blocks: self.blocks,
            bytes: self.bytes,
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
            first_made: Ticks(self.first_made),
            last_made: Ticks(self.last_made),
            last_freed: Ticks(self.last_freed),
            threads: self.threads,
        }
    }
}

impl Pair {
    pub(in crate::collector) fn begin(&mut self, block: &Block) {
        self.made_by = block.thread;
        self.freed_by = block.freed_by;
        self.first_made = block.at;
        self.first_freed = block.freed_at;
    }

    #[inline(always)]
    pub(in crate::collector) fn add(&mut self, block: &Block) {
        self.blocks = self.blocks.wrapping_add(1);
        self.bytes = self.bytes.wrapping_add(block.size);
        self.first_made = self.first_made.min(block.at);
        self.last_made = self.last_made.max(block.at);
        self.first_freed = self.first_freed.min(block.freed_at);
        self.last_freed = self.last_freed.max(block.freed_at);
    }

    pub(in crate::collector) fn folded(&self) -> FoldedPair {
        FoldedPair {
            made_by: ThreadId(self.made_by),
            freed_by: ThreadId(self.freed_by),
            blocks: self.blocks,
            bytes: self.bytes,
            first_made: Ticks(self.first_made),
            last_made: Ticks(self.last_made),
            first_freed: Ticks(self.first_freed),
            last_freed: Ticks(self.last_freed),
        }
    }
}
