//! Sums by the size that was asked for.
//!
//! Reads: sizes of blocks that begin and end. Writes: totals, one for each size or class of sizes.
//!
//! Sizes are kept by the recording's classes of sizes: the usual ones each for itself. So one array
//! of fixed size holds them all, however many sizes there are, and a block costs one look into it.
//!
//! Invariants: every sum is exact; no class reaches over a power of two, so that what is summed
//! by powers of two is exact too.

use crate::loader::totals::sample_weights::Weight;
use crate::recording::{AggregatedSize, SIZE_CLASSES, size_class, size_class_max};

/// Everything that is summed for a size. Names and meanings are those of the table `sizes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the columns of `sizes`, documented in schema.sql")]
pub(crate) struct SizeTotals {
    pub(crate) allocations: u64,
    pub(crate) bytes: u64,
    pub(crate) live_blocks: u64,
    pub(crate) live_bytes: u64,
}

impl SizeTotals {
    /// A block was made.
    #[inline]
    pub(crate) fn made(&mut self, weight: Weight) {
        self.allocations += weight.blocks;
        self.bytes = self.bytes.saturating_add(weight.bytes);
        self.live_blocks += weight.blocks;
        self.live_bytes = self.live_bytes.saturating_add(weight.bytes);
    }

    /// A block is not alive any more.
    #[inline]
    pub(crate) fn left(&mut self, weight: Weight) {
        self.live_blocks -= weight.blocks;
        self.live_bytes = self.live_bytes.saturating_sub(weight.bytes);
    }

    /// These without a part of them.
    pub(crate) fn without(self, part: &Self) -> Self {
        Self {
            allocations: self.allocations.saturating_sub(part.allocations),
            bytes: self.bytes.saturating_sub(part.bytes),
            live_blocks: self.live_blocks.saturating_sub(part.live_blocks),
            live_bytes: self.live_bytes.saturating_sub(part.live_bytes),
        }
    }
}

/// The sums of all sizes.
#[derive(Debug)]
pub(crate) struct Sizes {
    totals: Vec<SizeTotals>,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { totals: vec![SizeTotals::default(); SIZE_CLASSES] }
    }
}

impl Sizes {
    /// A block was made.
    #[inline]
    pub(crate) fn made(&mut self, size: u64, weight: Weight) {
        self.totals[size_class(size)].made(weight);
    }

    /// A block is not alive any more.
    #[inline]
    pub(crate) fn left(&mut self, size: u64, weight: Weight) {
        self.totals[size_class(size)].left(weight);
    }

    /// Blocks came and went that have no rows.
    pub(crate) fn aggregated(&mut self, sums: AggregatedSize) {
        if let Some(totals) = self.totals.get_mut(sums.class) {
            totals.allocations = totals.allocations.saturating_add(sums.blocks);
            totals.bytes = totals.bytes.saturating_add(sums.bytes);
        }
    }

    /// Sizes, or the largest ones of their classes, of which there was a block; ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &SizeTotals)> {
        let all = self.totals.iter().enumerate();
        all.filter(|(_, totals)| totals.allocations > 0)
            .map(|(class, totals)| (size_class_max(class), totals))
    }
}
