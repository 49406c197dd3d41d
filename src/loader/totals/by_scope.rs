//! Sums by scope and site.
//!
//! Invariant: a block belongs to the scope that was innermost when it was allocated, and to no
//! other.

use std::collections::{BTreeMap, HashMap};

use crate::loader::fast_hash::FastHash;
use crate::loader::model::Site;
use crate::loader::totals::block_sums::BlockSums;
use crate::loader::totals::sample_weights::Weight;
use crate::recording::ScopeId;

/// The rows of `scope_sites`.
#[derive(Debug, Default)]
pub(crate) struct ScopeTotals {
    sums: HashMap<(ScopeId, Site), BlockSums, FastHash>,
}

impl ScopeTotals {
    /// A block was allocated.
    #[inline]
    pub(crate) fn on_alloc(&mut self, scope: ScopeId, site: Site, weight: Weight) {
        if scope != ScopeId::NONE {
            self.sums.entry((scope, site)).or_default().add_allocated(weight);
        }
    }

    /// A block is live at the end.
    pub(crate) fn on_survivor(&mut self, scope: ScopeId, site: Site, weight: Weight) {
        if scope != ScopeId::NONE {
            self.sums.entry((scope, site)).or_default().add_live(weight);
        }
    }

    /// All sums, by scope, then by site.
    pub(crate) fn sorted(&self) -> BTreeMap<(ScopeId, Site), BlockSums> {
        self.sums.iter().map(|(key, sums)| (*key, *sums)).collect()
    }
}
