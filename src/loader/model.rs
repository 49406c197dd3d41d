//! Ids, times and rows that the loader's stages pass to one another.

use crate::recording::ScopeId;

/// Nanoseconds since tracking was enabled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Nanos(pub(crate) u64);

/// A distinct backtrace, numbered from 1 by first appearance; 0: no backtrace was captured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Site(pub(crate) u32);

impl Site {
    /// The site of blocks whose backtrace was not captured.
    pub(crate) const NONE: Self = Self(0);
}

/// An interned stack: an index into [`StackTable`](crate::loader::passes::stacks::StackTable).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StackId(pub(crate) u32);

/// A distinct return address in a module: an index into the metadata's `locations`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LocationId(pub(crate) u32);

/// The row of a thread in `threads`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Thread(pub(crate) u32);

/// One row of `allocations`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AllocationRow {
    /// Time of the allocation.
    pub(crate) allocated: Nanos,
    /// Time of the free; `None`: live at the end.
    pub(crate) freed: Option<Nanos>,
    /// Backtrace of the allocation.
    pub(crate) site: Site,
    /// Thread that allocated the block.
    pub(crate) alloc_thread: Thread,
    /// Thread that freed the block; `None` although `freed` is set: the free was not recorded.
    pub(crate) free_thread: Option<Thread>,
    /// Requested bytes.
    pub(crate) size: u64,
    /// Address of the block.
    pub(crate) address: u64,
    /// Innermost scope of the allocating thread.
    pub(crate) scope: ScopeId,
}

/// One row of `reallocs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReallocRow {
    /// The row of the block that the realloc ended.
    pub(crate) old_row: u64,
    /// The row of the block that it began.
    pub(crate) new_row: u64,
    /// Whether the address changed.
    pub(crate) moved: bool,
}

/// One row of `failures`: a request that the allocator refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FailedAlloc {
    /// Time of the request.
    pub(crate) at: Nanos,
    /// Backtrace of the request.
    pub(crate) site: Site,
    /// Requested bytes.
    pub(crate) size: u64,
    /// Thread that asked.
    pub(crate) thread: Thread,
}

/// Columns that stay NULL because the source does not record them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MissingColumns {
    /// Allocating and freeing threads.
    pub(crate) threads: bool,
    /// Addresses of blocks.
    pub(crate) addresses: bool,
}
