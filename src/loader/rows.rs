//! The plain types that the loader's stages hand on to one another.
//!
//! Invariant: nothing in here knows where it came from or where it goes.

use crate::recording::ScopeId;

/// Nanoseconds since tracking was enabled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::loader) struct Nanos(pub(in crate::loader) u64);

/// A distinct backtrace, numbered from 1 by first appearance; 0 is "not probed".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::loader) struct Site(pub(in crate::loader) u32);

impl Site {
    /// No backtrace was probed.
    pub(in crate::loader) const NONE: Self = Self(0);
}

/// A stack without duplicates: an index into [`Stacks`](crate::loader::stacks::Stacks).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::loader) struct StackId(pub(in crate::loader) u32);

/// A distinct return address in a module: an index into the survey's locations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::loader) struct LocationId(pub(in crate::loader) u32);

/// A thread of the database: numbered by first appearance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::loader) struct Thread(pub(in crate::loader) u32);

/// One row of `allocations`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::loader) struct Row {
    /// When it was made.
    pub(in crate::loader) made: Nanos,
    /// When it ended; `None`: alive at the end.
    pub(in crate::loader) freed: Option<Nanos>,
    /// From where.
    pub(in crate::loader) site: Site,
    /// By whom.
    pub(in crate::loader) thread: Thread,
    /// Who freed it; `None` with a time of `freed`: its free was not recorded.
    pub(in crate::loader) freed_by: Option<Thread>,
    /// Bytes.
    pub(in crate::loader) size: u64,
    /// Where.
    pub(in crate::loader) address: u64,
    /// In which scope.
    pub(in crate::loader) scope: ScopeId,
}

/// One row of `reallocs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::loader) struct Link {
    /// The row that the realloc ended.
    pub(in crate::loader) old_row: u64,
    /// The row that it began.
    pub(in crate::loader) new_row: u64,
    /// Whether the address changed.
    pub(in crate::loader) moved: bool,
}

/// One row of `failures`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::loader) struct Failure {
    /// When.
    pub(in crate::loader) at: Nanos,
    /// From where.
    pub(in crate::loader) site: Site,
    /// Bytes asked for.
    pub(in crate::loader) size: u64,
    /// By whom.
    pub(in crate::loader) thread: Thread,
}

/// What a source can't know: columns that are NULL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::loader) struct Lacks {
    /// Who did it.
    pub(in crate::loader) threads: bool,
    /// Where a block was.
    pub(in crate::loader) addresses: bool,
}
