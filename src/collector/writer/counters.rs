//! Collects the counters of a recording from thread recorders, tables and aggregation.

use std::sync::atomic::Ordering;

use crate::collector::aggregate::{AggregationCounters, Aggregator};
use crate::collector::event_path::marks;
use crate::collector::event_path::recorder_pool;
use crate::collector::event_path::sampling;
use crate::collector::event_path::scope_table;
use crate::collector::event_path::session_word::SessionWord;
use crate::collector::event_path::thread_guard;
use crate::collector::event_path::threads;
use crate::collector::unwind::stack_table;
use crate::collector::writer::block_file::BUFFER_BYTES;
use crate::recording::{Counter, Counters, NodeId};

/// Counters of the flusher in one session.
#[derive(Debug, Default)]
pub(crate) struct FlusherCounters {
    pub(crate) lost_bytes: u64,
    pub(crate) gap_max_ns: u64,
    pub(crate) refreshes: u64,
    recorder_bytes_max: u64,
    aggregated: AggregationCounters,
}

impl FlusherCounters {
    /// Updates the counters of aggregation.
    pub(crate) fn update_aggregation(&mut self, counters: AggregationCounters) {
        self.aggregated = counters;
    }

    /// Returns all counters of a session whose recording has `length` bytes. `lost_as` is the
    /// reason of lost bytes, if there are any. Without `aggregate`, the last known counters of
    /// aggregation are used.
    pub(crate) fn collect(
        &mut self,
        session: SessionWord,
        length: u64,
        lost_as: Counter,
        aggregate: Option<&Aggregator>,
    ) -> Counters {
        let mut counters = Counters::new();
        for recorder in recorder_pool::all().filter(|recorder| recorder.records_in(session)) {
            recorder.count_into(&mut counters);
        }
        counters.set(
            Counter::DroppedNoTracker,
            thread_guard::DROPPED_NO_RECORDER.load(Ordering::Relaxed),
        );
        counters
            .set(Counter::DroppedNoMemory, thread_guard::DROPPED_NO_MEMORY.load(Ordering::Relaxed));
        counters.add(
            Counter::DroppedReentrant,
            thread_guard::DROPPED_DURING_START.load(Ordering::Relaxed),
        );
        counters.set(Counter::DroppedMarks, marks::DROPPED.load(Ordering::Relaxed));
        counters.set(Counter::DroppedScopes, scope_table::OVERFLOWS.load(Ordering::Relaxed));
        counters.set(Counter::DroppedSamples, sampling::DROPPED.load(Ordering::Relaxed));
        // The shortest event has one byte, so that this is an upper bound of the lost events.
        counters.set(lost_as, self.lost_bytes);
        counters.set(Counter::BytesWritten, length);
        if let Some(aggregate) = aggregate {
            self.update_aggregation(aggregate.counters());
        }
        counters.set(Counter::Aggregated, self.aggregated.blocks);
        counters.set(Counter::EvictedEarly, self.aggregated.evicted_early);
        counters.set(Counter::Undecoded, self.aggregated.undecoded_bytes);
        counters.set(Counter::Threads, threads::defined());
        counters
            .set(Counter::Nodes, u64::from(stack_table::end().0.saturating_sub(NodeId::FIRST.0)));
        counters.set(Counter::ModuleRefreshes, self.refreshes);
        counters.set(Counter::FlushGapMaxNs, self.gap_max_ns);
        let own = (BUFFER_BYTES as u64)
            .saturating_add(stack_table::used_bytes())
            .saturating_add(recorder_pool::used_bytes())
            .saturating_add(sampling::used_bytes(session))
            .saturating_add(aggregate.map_or(0, Aggregator::used_bytes));
        self.recorder_bytes_max = self.recorder_bytes_max.max(own);
        counters.set(Counter::RecorderBytes, self.recorder_bytes_max);
        counters
    }
}
