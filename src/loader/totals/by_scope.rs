//! Sums over the blocks that were made in scopes.
//!
//! Reads: what pairing says about each block. Writes: sums by scope and site.
//!
//! Invariant: a block belongs to the innermost scope that it was made in, and to no other.

use std::collections::{BTreeMap, HashMap};

use crate::loader::fast_hash::FastHash;
use crate::loader::model::Site;
use crate::loader::totals::sample_weights::Weight;
use crate::recording::ScopeId;

/// Everything that is summed for a site in a scope, as in the table `scope_sites`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the columns of `scope_sites`, documented in schema.sql")]
pub(crate) struct ScopeTotals {
    pub(crate) allocations: u64,
    pub(crate) bytes: u64,
    pub(crate) live_blocks: u64,
    pub(crate) live_bytes: u64,
}

/// The sums of all scopes.
#[derive(Debug, Default)]
pub(crate) struct Scopes {
    sums: HashMap<(ScopeId, Site), ScopeTotals, FastHash>,
}

impl Scopes {
    /// A block was made.
    #[inline]
    pub(crate) fn made(&mut self, scope: ScopeId, site: Site, weight: Weight) {
        if scope != ScopeId::NONE {
            let sums = self.sums.entry((scope, site)).or_default();
            sums.allocations += weight.blocks;
            sums.bytes = sums.bytes.saturating_add(weight.bytes);
        }
    }

    /// A block is alive at the end.
    pub(crate) fn stays(&mut self, scope: ScopeId, site: Site, weight: Weight) {
        if scope != ScopeId::NONE {
            let sums = self.sums.entry((scope, site)).or_default();
            sums.live_blocks += weight.blocks;
            sums.live_bytes = sums.live_bytes.saturating_add(weight.bytes);
        }
    }

    /// All sums, by scope, then by site.
    pub(crate) fn sorted(&self) -> BTreeMap<(ScopeId, Site), ScopeTotals> {
        self.sums.iter().map(|(key, sums)| (*key, *sums)).collect()
    }
}
