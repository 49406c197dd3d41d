//! What is counted in a recording, put together from where it is counted.
//!
//! Reads: the counters of trackers, tables and folding. Writes: nothing.

use std::sync::atomic::Ordering;

use crate::collector::entry;
use crate::collector::flusher::output::BUFFER_BYTES;
use crate::collector::fold::{Counted, Fold};
use crate::collector::marks;
use crate::collector::nodes;
use crate::collector::pool;
use crate::collector::sampling;
use crate::collector::scopes;
use crate::collector::threads;
use crate::recording::{Counter, Counters, NodeId};

/// What the flusher itself counts in one session.
#[derive(Debug, Default)]
pub(in crate::collector::flusher) struct Counts {
    pub(in crate::collector::flusher) lost_bytes: u64,
    pub(in crate::collector::flusher) gap_max_ns: u64,
    pub(in crate::collector::flusher) refreshes: u64,
    recorder_bytes_max: u64,
    folded: Counted,
}

impl Counts {
    /// Takes in what folding has counted by now.
    pub(in crate::collector::flusher) fn see_folding(&mut self, counted: Counted) {
        self.folded = counted;
    }

    /// All counters of a session by now, of a recording of so many bytes. `lost_as` says why bytes
    /// were lost, if any were. Without `fold` folding has what it was last seen to count.
    pub(in crate::collector::flusher) fn gather(
        &mut self,
        session: u32,
        length: u64,
        lost_as: Counter,
        fold: Option<&Fold>,
    ) -> Counters {
        let mut counters = Counters::new();
        for tracker in pool::all().filter(|tracker| tracker.is_in(session)) {
            tracker.count_into(&mut counters);
        }
        counters.set(Counter::DroppedNoTracker, entry::UNTRACKED.load(Ordering::Relaxed));
        counters.set(Counter::DroppedNoMemory, entry::NO_MEMORY.load(Ordering::Relaxed));
        counters.add(Counter::DroppedReentrant, entry::DURING_START.load(Ordering::Relaxed));
        counters.set(Counter::DroppedMarks, marks::DROPPED.load(Ordering::Relaxed));
        counters.set(Counter::DroppedScopes, scopes::OVERFLOWS.load(Ordering::Relaxed));
        counters.set(Counter::DroppedSamples, sampling::DROPPED.load(Ordering::Relaxed));
        // The shortest event has one byte: an upper bound of what was lost.
        counters.set(lost_as, self.lost_bytes);
        counters.set(Counter::BytesWritten, length);
        if let Some(fold) = fold {
            self.see_folding(fold.counted());
        }
        counters.set(Counter::Folded, self.folded.blocks);
        counters.set(Counter::HeldShort, self.folded.held_short);
        counters.set(Counter::Undecoded, self.folded.undecoded_bytes);
        counters.set(Counter::Threads, threads::defined());
        counters.set(Counter::Nodes, u64::from(nodes::end().0.saturating_sub(NodeId::FIRST.0)));
        counters.set(Counter::ModuleRefreshes, self.refreshes);
        counters.set(Counter::FlushGapMaxNs, self.gap_max_ns);
        let own = (BUFFER_BYTES as u64)
            .saturating_add(nodes::used_bytes())
            .saturating_add(pool::used_bytes())
            .saturating_add(sampling::used_bytes(session))
            .saturating_add(fold.map_or(0, Fold::used_bytes));
        self.recorder_bytes_max = self.recorder_bytes_max.max(own);
        counters.set(Counter::RecorderBytes, self.recorder_bytes_max);
        counters
    }
}
