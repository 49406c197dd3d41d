//! Newtypes for the ids and quantities of a recording.
//!
//! Invariant: the width of the type is the width on disk; nothing is pointer-sized.

/// An address in the recorded process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub u64);

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

/// A reading of the recording's clock: raw reading >> `tick_shift` of the header. Comparable
/// between threads up to the clock's skew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticks(pub u64);

/// A thread of the recorded process, numbered by first appearance; the enabling thread is 0. Never
/// reused within a recording, unlike the ids of the operating system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThreadId(pub u32);

/// The event stream of a thread recorder. A thread recorder is reused when its thread ends, so that
/// one stream can contain several threads, one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u32);

impl StreamId {
    /// The stream of deferred events of all threads: events that aggregation held back until it was
    /// known that they cannot be aggregated. In order within each thread.
    pub const DEFERRED: Self = Self(u32::MAX);
}

/// An executable or shared library, numbered by first appearance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleId(pub u32);

/// A named scope within its parents. Numbered from 1. The ids are valid for the life of the
/// process, so that those of a recording may start above 1 and have gaps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeId(pub u32);

impl ScopeId {
    /// Outside of any scope.
    pub const NONE: Self = Self(0);
}

/// A call path: the return address of the node on top of its parent's call path.
///
/// Ids below [`NodeId::FIRST`] are not defined by the file; they say how a call path ends. A parent
/// always has a smaller id, so that every chain of parents ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl NodeId {
    /// No backtrace was captured for this event.
    pub const NONE: Self = Self(0);
    /// The outermost frame was reached.
    pub const ROOT: Self = Self(1);
    /// More frames follow beyond the depth limit.
    pub const TRUNCATED: Self = Self(2);
    /// The stack could not be unwound further.
    pub const FAILED: Self = Self(3);
    /// The stack table was full: the call path is unknown, and a counter has the loss.
    pub const OVERFLOW: Self = Self(4);
    /// The first id that a file can define.
    pub const FIRST: Self = Self(8);

    /// Whether this is one of the constants above, without a frame.
    pub const fn is_root(self) -> bool {
        self.0 < Self::FIRST.0
    }
}
