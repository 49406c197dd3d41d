//! The second pass: pairs the events in order of time, adds them to the totals, and sends finished
//! rows to a [`RowSink`].
//!
//! Invariant: memory grows with live blocks, distinct stacks and sites, and the merge's buffer,
//! never with the number of events.

use std::io::{self, Read};
use std::thread;

use crate::database::estimate::SamplingRate;
use crate::loader::api::progress::Progress;
use crate::loader::model::{FailedAlloc, Nanos, Thread};
use crate::loader::passes::memory_readings::MemoryReadings;
use crate::loader::passes::metadata_pass::RecordingMetadata;
use crate::loader::passes::pairing::{EventOrigin, Pairing, RowSink};
use crate::loader::passes::stacks::{SiteTable, StackTable};
use crate::loader::read::clock::Clock;
use crate::loader::read::decoder_thread::{self, BatchReceiver};
use crate::loader::read::merge::Merge;
use crate::loader::read::reader::Blocks;
use crate::loader::read::stream::{EventKind, TimedEvent};
use crate::loader::totals::decline::Declines;
use crate::loader::totals::sample_weights::SampleWeights;
use crate::loader::totals::{AggregatedTotals, Totals};
use crate::recording::{
    Aggregated, AggregatedRecords, FormatError, Header, Ticks, duration_class_midpoint,
};

/// Rows of `failures`; further failures are only counted.
const FAILURES_MAX: usize = 100_000;

/// Events between two calls of [`Progress`]: some ten calls a second at the speed of a load.
const EVENTS_BETWEEN_CHECKS: usize = 1 << 17;

/// How many events ahead a block is prefetched, and how many its site's totals. A cache miss takes
/// about as long as several events: without prefetch, the look-up of a freed block was a third of
/// a load. The block comes first because it holds the site. `cargo bench --bench load -- dry-run`
/// measures the distances.
const BLOCK_PREFETCH_DISTANCE: usize = 16;
const SITE_PREFETCH_DISTANCE: usize = 8;

/// The address whose live block an event looks up.
#[inline]
fn address_of(event: &TimedEvent) -> Option<u64> {
    match event.kind {
        EventKind::Alloc(alloc) => Some(alloc.address),
        EventKind::Free { address } | EventKind::ReallocEnd { address } => Some(address),
        EventKind::SkippedAllocs { .. } | EventKind::Failed { .. } => None,
    }
}

/// The state of the second pass, and its results once [`EventPass::finish`] has run.
pub(crate) struct EventPass {
    /// Converts timestamps.
    pub(crate) clock: Clock,
    /// The event streams.
    pub(crate) merge: Merge,
    /// Live blocks, and counters of events that could not be paired.
    pub(crate) pairing: Pairing,
    /// Sums over all blocks.
    pub(crate) totals: Totals,
    /// Moments at which a shutdown may have begun.
    pub(crate) declines: Declines,
    /// Interned stacks.
    pub(crate) stacks: StackTable,
    /// Sites that have an event.
    pub(crate) sites: SiteTable,
    /// Requests that the allocator refused.
    pub(crate) failures: Vec<FailedAlloc>,
    /// Resident memory over time, with live bytes added.
    pub(crate) memory_readings: MemoryReadings,
    /// Length of the recording; exact once the pass is finished.
    pub(crate) duration: Nanos,
    /// Events since the last call of [`Progress`].
    unreported: usize,
    /// Events that came through [`EventPass::push`].
    pushed: u64,
}

/// How a pass over the events ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All events were processed.
    Complete,
    /// The caller asked to stop.
    Stopped,
}

impl EventPass {
    /// A pass that starts at the first event; takes the stack nodes out of `metadata`.
    pub(crate) fn new(header: &Header, metadata: &mut RecordingMetadata) -> Self {
        let mut clock = Clock::new(header, &metadata.clock_pairs);
        let duration = clock.nanos(Ticks(metadata.last_ticks()));
        let nodes = std::mem::take(&mut metadata.nodes);
        let memory_readings = MemoryReadings::new(&metadata.memory_readings, &mut clock);
        let mut totals = Totals::new(duration);
        totals.sampling = SamplingRate::new(header.sample_bytes).map(SampleWeights::new);
        Self {
            clock,
            merge: Merge::new(header),
            pairing: Pairing::default(),
            totals,
            declines: Declines::default(),
            stacks: StackTable::new(nodes, header.max_stack_depth),
            sites: SiteTable::default(),
            failures: Vec::new(),
            memory_readings,
            duration,
            unreported: 0,
            pushed: 0,
        }
    }

    /// Processes all event blocks of a recording, which another thread decodes.
    pub(crate) fn run<R: Read + Send, S: RowSink>(
        &mut self,
        blocks: &mut Blocks<R>,
        bytes: u64,
        sink: &mut S,
        progress: &mut dyn Progress,
    ) -> io::Result<Outcome> {
        let mut merge = std::mem::replace(&mut self.merge, Merge::empty());
        let (decoder, batches) = decoder_thread::channel();
        let (outcome, decoded) = thread::scope(|scope| {
            let decoding = scope.spawn(|| decoder.run(&mut merge, blocks, bytes));
            let outcome = if self.totals.sampling.is_some() {
                self.process_batches::<true, S>(&batches, sink, progress)
            } else {
                self.process_batches::<false, S>(&batches, sink, progress)
            };
            // Ends the decoder thread if it has not reached the end of the file.
            drop(batches);
            (outcome, decoding.join())
        });
        self.merge = merge;
        match decoded {
            Ok(decoded) => decoded?,
            Err(panic) => std::panic::resume_unwind(panic),
        }
        if outcome == Outcome::Stopped {
            return Ok(Outcome::Stopped);
        }
        self.finish(sink);
        Ok(Outcome::Complete)
    }

    /// Processes one event of an imported recording. Call by ascending time; `share` is the share
    /// of the file that has been read.
    #[inline]
    pub(crate) fn push<S: RowSink>(
        &mut self,
        event: &TimedEvent,
        share: impl FnOnce() -> f64,
        sink: &mut S,
        progress: &mut dyn Progress,
    ) -> Outcome {
        self.process::<false, S>(event, sink);
        self.unreported += 1;
        // A realloc counts once, with its `Alloc`.
        self.pushed += u64::from(!matches!(event.kind, EventKind::ReallocEnd { .. }));
        if self.unreported >= EVENTS_BETWEEN_CHECKS {
            self.unreported = 0;
            progress.advance(self.pushed, share());
            if sink.is_closed() || progress.should_stop() {
                return Outcome::Stopped;
            }
        }
        Outcome::Complete
    }

    /// Completes rows and totals after the last event.
    pub(crate) fn finish<S: RowSink>(&mut self, sink: &mut S) {
        self.memory_readings.finish(self.totals.global.live_bytes);
        if self.totals.sampling.is_some() {
            self.pairing.finish::<true, S>(&mut self.totals, sink);
        } else {
            self.pairing.finish::<false, S>(&mut self.totals, sink);
        }
        self.duration = self.totals.finish(self.duration);
    }

    /// Events processed so far.
    pub(crate) fn events(&self) -> u64 {
        self.merge.events() + self.pushed
    }

    fn process_batches<const SAMPLED: bool, S: RowSink>(
        &mut self,
        batches: &BatchReceiver,
        sink: &mut S,
        progress: &mut dyn Progress,
    ) -> Outcome {
        while let Some(batch) = batches.next() {
            // The metadata pass has counted invalid blocks.
            let _ = self.process_aggregated(&batch.aggregated);
            for (index, event) in batch.events.iter().enumerate() {
                let ahead = batch.events.get(index + BLOCK_PREFETCH_DISTANCE);
                if let Some(address) = ahead.and_then(address_of) {
                    self.pairing.prefetch(address);
                }
                if self.totals.exceed_cache()
                    && let Some(event) = batch.events.get(index + SITE_PREFETCH_DISTANCE)
                {
                    self.prefetch_site(event);
                }
                self.process::<SAMPLED, S>(event, sink);
            }
            self.unreported += batch.events.len();
            if self.unreported >= EVENTS_BETWEEN_CHECKS {
                self.unreported = 0;
                progress.advance(batch.events_decoded, batch.share);
                if sink.is_closed() || progress.should_stop() {
                    return Outcome::Stopped;
                }
            }
            batches.recycle(batch);
        }
        Outcome::Complete
    }

    /// Adds the totals of aggregated blocks, which have no rows.
    fn process_aggregated(&mut self, payload: &[u8]) -> Result<(), FormatError> {
        if payload.is_empty() {
            return Ok(());
        }
        let mut records = AggregatedRecords::new(payload)?;
        let head = records.head();
        let (from, to) = (self.clock.nanos(head.from), self.clock.nanos(head.to));
        self.totals.advance_to(to);
        while let Some(record) = records.take()? {
            match record {
                Aggregated::Site(sums, lifetimes, powers) => {
                    let site = self.sites.site_of(sums.node, &mut self.stacks);
                    let sums = AggregatedTotals::of(&sums, head.to, &mut self.clock);
                    self.totals.add_aggregated_site(site, (from, to), &sums, powers);
                    for (class, count) in lifetimes {
                        let ticks = duration_class_midpoint(class);
                        let lifetime = self.clock.duration_ns(ticks, head.to);
                        let lifetime = u64::try_from(lifetime).unwrap_or(u64::MAX);
                        self.totals.lifetimes.add_many(site, lifetime, count);
                    }
                }
                Aggregated::Pair(pair) => {
                    let mut at = |ticks| self.clock.nanos(ticks);
                    let allocated =
                        (Thread(pair.allocated_by.0), at(pair.first_alloc), at(pair.last_alloc));
                    let freed = (Thread(pair.freed_by.0), at(pair.first_freed), at(pair.last_free));
                    self.totals.add_aggregated_pair(allocated, freed, pair.blocks, pair.bytes);
                }
                Aggregated::Size(size) => self.totals.sizes.add_aggregated(size),
            }
        }
        Ok(())
    }

    /// Prefetches the totals of an event's site. A free finds its site in the live block, which
    /// must have been prefetched before.
    #[inline]
    fn prefetch_site(&self, event: &TimedEvent) {
        let site = match event.kind {
            EventKind::Alloc(alloc) => self.sites.cached_site(alloc.node),
            EventKind::Free { address } | EventKind::ReallocEnd { address } => {
                self.pairing.site_at(address)
            }
            EventKind::SkippedAllocs { .. } | EventKind::Failed { .. } => None,
        };
        if let Some(site) = site {
            self.totals.prefetch(site);
        }
    }

    #[inline]
    fn process<const SAMPLED: bool, S: RowSink>(&mut self, event: &TimedEvent, sink: &mut S) {
        let origin = EventOrigin {
            at: self.clock.nanos(event.at),
            stream: event.stream,
            thread: Thread(event.thread.0),
        };
        if self.memory_readings.are_due(origin.at) {
            self.memory_readings.set_live_bytes(origin.at, self.totals.global.live_bytes);
        }
        self.totals.advance_to(origin.at);
        match event.kind {
            EventKind::Alloc(alloc) => {
                let site = self.sites.site_of(alloc.node, &mut self.stacks);
                self.pairing.on_alloc::<SAMPLED, S>(origin, site, &alloc, &mut self.totals, sink);
                self.declines.on_alloc(origin.at, &self.totals.global);
            }
            EventKind::Free { address } => {
                self.pairing.on_free::<SAMPLED, S>(origin, address, &mut self.totals, sink);
                self.declines.on_free(origin.at, &self.totals.global);
            }
            // An allocation follows at once, so that this is no decline.
            EventKind::ReallocEnd { address } => {
                self.pairing.on_realloc_end::<SAMPLED, S>(origin, address, &mut self.totals, sink);
            }
            EventKind::SkippedAllocs { allocations } => {
                self.totals.on_skipped_allocs(origin.thread, allocations);
            }
            EventKind::Failed { size, node } => {
                self.totals.on_thread_active(origin.thread, origin.at);
                let site = self.sites.site_of(node, &mut self.stacks);
                if self.failures.len() < FAILURES_MAX {
                    let EventOrigin { at, thread, .. } = origin;
                    self.failures.push(FailedAlloc { at, site, size, thread });
                }
            }
        }
    }
}
