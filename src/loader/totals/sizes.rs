//! Sums by requested size.
//!
//! Sizes are grouped by the recording's size classes: small sizes have a class each, larger ones
//! share a class. An array of fixed length holds them all, and a block costs one access to it.
//!
//! Invariants: every sum is exact; no class spans a power of two, so that sums by powers of two
//! are exact as well.

use crate::loader::totals::block_sums::BlockSums;
use crate::loader::totals::sample_weights::Weight;
use crate::recording::{AggregatedSize, SIZE_CLASSES, size_class, size_class_max};

/// The rows of `sizes`.
#[derive(Debug)]
pub(crate) struct SizeTotals {
    /// By size class.
    sums: Vec<BlockSums>,
}

impl Default for SizeTotals {
    fn default() -> Self {
        Self { sums: vec![BlockSums::default(); SIZE_CLASSES] }
    }
}

impl SizeTotals {
    /// A block was allocated.
    #[inline]
    pub(crate) fn on_alloc(&mut self, size: u64, weight: Weight) {
        self.sums[size_class(size)].on_alloc(weight);
    }

    /// A block was freed.
    #[inline]
    pub(crate) fn on_free(&mut self, size: u64, weight: Weight) {
        self.sums[size_class(size)].on_free(weight);
    }

    /// Adds aggregated blocks, which have no rows.
    pub(crate) fn add_aggregated(&mut self, size: AggregatedSize) {
        if let Some(sums) = self.sums.get_mut(size.class) {
            sums.add_aggregated(size.blocks, size.bytes);
        }
    }

    /// The sums of each class that has a block, by its largest size, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &BlockSums)> {
        let classes = self.sums.iter().enumerate();
        classes
            .filter(|(_, sums)| sums.allocations > 0)
            .map(|(class, sums)| (size_class_max(class), sums))
    }
}
