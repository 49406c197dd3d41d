//! One live block, packed: a load holds one per live block of the recording.

use crate::loader::model::{Nanos, Site, Thread};
use crate::recording::ScopeId;

/// A block between its allocation and its free.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LiveBlock {
    /// Time of the allocation.
    pub(crate) allocated: Nanos,
    /// Requested bytes.
    pub(crate) size: u64,
    /// Backtrace of the allocation.
    pub(crate) site: Site,
    /// Allocating thread.
    pub(crate) thread: Thread,
    /// Innermost scope of the allocating thread.
    pub(crate) scope: ScopeId,
    /// What the totals need at the free.
    pub(crate) tag: BlockTag,
    /// The block that this one replaced in a realloc.
    pub(crate) origin: ReallocOrigin,
}

impl LiveBlock {
    /// A block with all fields zero, for slots that are free.
    pub(crate) const EMPTY: Self = Self {
        allocated: Nanos(0),
        size: 0,
        site: Site::NONE,
        thread: Thread(0),
        scope: ScopeId::NONE,
        tag: BlockTag::UNSET,
        origin: ReallocOrigin::NONE,
    };
}

/// The number that the totals keep with a block until its free. A recording of every block needs
/// an ordinal, a sampled one a weight, never both: they share four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockTag(u32);

impl BlockTag {
    /// Before the totals have counted the block.
    pub(crate) const UNSET: Self = Self(0);

    /// For a recording of every block: how many blocks the thread has allocated, this one included.
    #[inline]
    pub(crate) const fn from_ordinal(ordinal: u32) -> Self {
        Self(ordinal)
    }

    /// For a sampled recording: the number of blocks that this one represents.
    #[inline]
    pub(crate) const fn from_sample_weight(blocks: u64) -> Self {
        Self(blocks as u32)
    }

    /// The argument of [`BlockTag::from_ordinal`].
    #[inline]
    pub(crate) const fn ordinal(self) -> u32 {
        self.0
    }

    /// The argument of [`BlockTag::from_sample_weight`].
    #[inline]
    pub(crate) const fn sample_weight(self) -> u64 {
        self.0 as u64
    }
}

/// The row of the block that a realloc ended, and whether the block moved; or neither.
///
/// `row << 1 | moved` in one word: rows count from 1, so 0 is free for "no realloc".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReallocOrigin(u64);

impl ReallocOrigin {
    /// Not allocated by a realloc, or the old block is unknown.
    pub(crate) const NONE: Self = Self(0);

    /// The old block's row, counted from 1, and whether the address changed.
    #[inline]
    pub(crate) const fn new(old_row: u64, moved: bool) -> Self {
        Self(old_row << 1 | moved as u64)
    }

    /// The old block's row and whether the address changed.
    #[inline]
    pub(crate) const fn get(self) -> Option<(u64, bool)> {
        if self.0 == 0 { None } else { Some((self.0 >> 1, self.0 & 1 == 1)) }
    }
}

#[cfg(test)]
mod tests {
    use crate::loader::live::live_block::{LiveBlock, ReallocOrigin};

    #[test]
    fn origins_are_what_was_packed() {
        assert_eq!(ReallocOrigin::NONE.get(), None);
        for (row, moved) in [(1, false), (1, true), (2, false), (u64::MAX >> 1, true)] {
            assert_eq!(ReallocOrigin::new(row, moved).get(), Some((row, moved)));
        }
    }

    #[test]
    fn a_block_and_its_address_fit_in_48_bytes() {
        assert_eq!(size_of::<(u64, LiveBlock)>(), 48);
    }
}
