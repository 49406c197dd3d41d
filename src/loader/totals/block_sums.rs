//! Sums over a set of blocks: allocated in total, and live. By size, scope, thread or tree node.

use std::ops::AddAssign;

use crate::loader::totals::sample_weights::Weight;

/// Blocks and bytes of a set of blocks, as in the columns of the same names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "columns of several tables, documented in schema.sql")]
pub(crate) struct BlockSums {
    pub(crate) allocations: u64,
    pub(crate) bytes: u64,
    pub(crate) live_blocks: u64,
    pub(crate) live_bytes: u64,
}

impl BlockSums {
    /// Adds a block that is live from now on.
    #[inline]
    pub(crate) fn on_alloc(&mut self, weight: Weight) {
        self.add_allocated(weight);
        self.add_live(weight);
    }

    /// Subtracts a block from the live ones.
    #[inline]
    pub(crate) fn on_free(&mut self, weight: Weight) {
        self.live_blocks -= weight.blocks;
        self.live_bytes = self.live_bytes.saturating_sub(weight.bytes);
    }

    /// Adds a block to the allocated ones only.
    #[inline]
    pub(crate) fn add_allocated(&mut self, weight: Weight) {
        self.allocations += weight.blocks;
        self.bytes = self.bytes.saturating_add(weight.bytes);
    }

    /// Adds a block to the live ones only.
    #[inline]
    pub(crate) fn add_live(&mut self, weight: Weight) {
        self.live_blocks += weight.blocks;
        self.live_bytes = self.live_bytes.saturating_add(weight.bytes);
    }

    /// Adds blocks of aggregated events: they are freed. Saturates, because a damaged recording
    /// may hold any numbers.
    pub(crate) fn add_aggregated(&mut self, blocks: u64, bytes: u64) {
        self.allocations = self.allocations.saturating_add(blocks);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// The sums of the blocks that are not in a subset.
    pub(crate) fn without(self, subset: &Self) -> Self {
        Self {
            allocations: self.allocations.saturating_sub(subset.allocations),
            bytes: self.bytes.saturating_sub(subset.bytes),
            live_blocks: self.live_blocks.saturating_sub(subset.live_blocks),
            live_bytes: self.live_bytes.saturating_sub(subset.live_bytes),
        }
    }
}

impl AddAssign for BlockSums {
    fn add_assign(&mut self, other: Self) {
        self.allocations = self.allocations.saturating_add(other.allocations);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.live_blocks = self.live_blocks.saturating_add(other.live_blocks);
        self.live_bytes = self.live_bytes.saturating_add(other.live_bytes);
    }
}
