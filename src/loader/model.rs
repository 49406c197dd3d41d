//! The plain types that the loader's stages hand on to one another.
//!
//! Invariant: nothing in here knows where it came from or where it goes.

use crate::recording::ScopeId;

/// Nanoseconds since tracking was enabled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Nanos(pub(crate) u64);

/// A distinct backtrace, numbered from 1 by first appearance; 0 is "not probed".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Site(pub(crate) u32);

impl Site {
    /// No backtrace was probed.
    pub(crate) const NONE: Self = Self(0);
}

/// A stack without duplicates: an index into [`Stacks`](crate::loader::passes::stacks::StackTable).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StackId(pub(crate) u32);

/// A distinct return address in a module: an index into the survey's locations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LocationId(pub(crate) u32);

/// A thread of the database: numbered by first appearance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Thread(pub(crate) u32);

/// One row of `allocations`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AllocationRow {
    /// When it was made.
    pub(crate) made: Nanos,
    /// When it ended; `None`: alive at the end.
    pub(crate) freed: Option<Nanos>,
    /// From where.
    pub(crate) site: Site,
    /// By whom.
    pub(crate) thread: Thread,
    /// Who freed it; `None` with a time of `freed`: its free was not recorded.
    pub(crate) freed_by: Option<Thread>,
    /// Bytes.
    pub(crate) size: u64,
    /// Where.
    pub(crate) address: u64,
    /// In which scope.
    pub(crate) scope: ScopeId,
}

/// One row of `reallocs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReallocRow {
    /// The row that the realloc ended.
    pub(crate) old_row: u64,
    /// The row that it began.
    pub(crate) new_row: u64,
    /// Whether the address changed.
    pub(crate) moved: bool,
}

/// One row of `failures`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FailedAlloc {
    /// When.
    pub(crate) at: Nanos,
    /// From where.
    pub(crate) site: Site,
    /// Bytes asked for.
    pub(crate) size: u64,
    /// By whom.
    pub(crate) thread: Thread,
}

/// What a source can't know: columns that are NULL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MissingColumns {
    /// Who did it.
    pub(crate) threads: bool,
    /// Where a block was.
    pub(crate) addresses: bool,
}
