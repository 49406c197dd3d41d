//! A block between its allocation and its free.
//!
//! Reads and writes: nothing; it is what pairing keeps and the sums look at.
//!
//! Invariant: small, since there is one for each block that is alive.

use crate::loader::model::{Nanos, Site, Thread};
use crate::recording::ScopeId;

/// A block that is alive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LiveBlock {
    /// When it began.
    pub(crate) made: Nanos,
    /// Its size.
    pub(crate) size: u64,
    /// From where.
    pub(crate) site: Site,
    /// By whom.
    pub(crate) thread: Thread,
    /// In which scope.
    pub(crate) scope: ScopeId,
    /// How many blocks its thread had made, itself included; in a sampled recording, how many
    /// blocks it stands for.
    pub(crate) tag: u32,
    /// The row that it continues, times two, plus one if it moved; 0: none.
    pub(crate) continues: u64,
}
