//! The numbers of a recording, each with its own type, so that a node can't index threads.
//!
//! Invariant: the width written here is the width on disk; nothing is pointer-sized.

/// An address in the recorded process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub u64);

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

/// A reading of the recording's clock, in the units that the header's `tick_shift` leaves:
/// raw counter >> `tick_shift`. Comparable between threads up to the clock's skew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticks(pub u64);

/// A thread of the recorded process, numbered by first appearance; the enabling thread is 0.
/// Never reused within a recording, unlike the ids of the operating system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThreadId(pub u32);

/// A tracker's event stream. Trackers are handed on when threads end, so that one stream
/// may carry several threads, one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u32);

impl StreamId {
    /// The stream of what the recorder wrote late: events of all threads that were held back
    /// until it was known that they can't be aggregated. Right in its order within each thread.
    pub const DEFERRED: Self = Self(u32::MAX);
}

/// A loaded object (executable or shared library), numbered by first appearance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleId(pub u32);

/// A scope that the program named, inside its parents. Numbered from 1; the numbers hold for the
/// life of the process, so that those of a recording need not begin at 1 or be without gaps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeId(pub u32);

impl ScopeId {
    /// In no scope.
    pub const NONE: Self = Self(0);
}

/// A stack: the node's return address on top of its parent's stack.
///
/// Ids below [`NodeId::FIRST`] are not defined by the file; they say how a stack begins.
/// A node's parent always has a smaller id, so a chain of parents always ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl NodeId {
    /// No backtrace was probed for this event.
    pub const NONE: Self = Self(0);
    /// Below this stands nothing: the outermost frame was reached.
    pub const ROOT: Self = Self(1);
    /// Below this stand frames beyond the depth limit, which were not walked.
    pub const TRUNCATED: Self = Self(2);
    /// Below this the stack could not be unwound any further.
    pub const FAILED: Self = Self(3);
    /// The node table was full: the stack is unknown, the loss is counted.
    pub const OVERFLOW: Self = Self(4);
    /// The first id that a file defines.
    pub const FIRST: Self = Self(8);

    /// Whether this id is one of the constants above, with no frame of its own.
    pub const fn is_root(self) -> bool {
        self.0 < Self::FIRST.0
    }
}
