//! A block between its allocation and its free.
//!
//! Reads and writes: nothing; it is what pairing keeps and the sums look at.
//!
//! Invariant: small, since there is one for each block that is alive.

use crate::loader::rows::{Nanos, Site, Thread};
use crate::recording::ScopeId;

/// A block that is alive.
#[derive(Clone, Copy, Debug)]
pub(in crate::loader) struct Live {
    /// When it began.
    pub(in crate::loader) made: Nanos,
    /// Its size.
    pub(in crate::loader) size: u64,
    /// From where.
    pub(in crate::loader) site: Site,
    /// By whom.
    pub(in crate::loader) thread: Thread,
    /// In which scope.
    pub(in crate::loader) scope: ScopeId,
    /// How many blocks its thread had made, itself included; in a sampled recording, how many
    /// blocks it stands for.
    pub(in crate::loader) tag: u32,
    /// The row that it continues, times two, plus one if it moved; 0: none.
    pub(in crate::loader) continues: u64,
}
