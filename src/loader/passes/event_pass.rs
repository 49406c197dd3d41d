//! The second pass: events in order, paired, summed, and handed to a sink.
//!
//! Reads: event blocks, the stacks, the clock. Writes: rows and links to a [`Sink`], everything
//! else into a [`Replay`].
//!
//! Invariant: memory is that of the blocks alive, the distinct stacks and sites, and what the
//! merge keeps back; never that of the events.

use std::io::{self, Read};
use std::thread;

use crate::database::estimate::Rate;
use crate::loader::passes::memory_readings::Samples;
use crate::loader::passes::metadata_pass::Survey;
use crate::loader::passes::pairing::{EventOrigin, Pairing, Sink};
use crate::loader::passes::stacks::{Sites, Stacks};
use crate::loader::progress::Progress;
use crate::loader::read::clock::Clock;
use crate::loader::read::decoder_thread::{self, Feed};
use crate::loader::read::merge::Merge;
use crate::loader::read::reader::Blocks;
use crate::loader::read::stream::{Step, What};
use crate::loader::rows::{Failure, Nanos, Thread};
use crate::loader::totals::decline::Declines;
use crate::loader::totals::sample_weights::Sampling;
use crate::loader::totals::{AggregatedTotals, Totals};
use crate::recording::{
    Aggregated, AggregatedRecords, FormatError, Header, Ticks, middle_of_duration_class,
};

/// Failures that are kept one by one; further ones are only counted.
const FAILURES_MAX: usize = 100_000;

/// How many steps pass between two looks at the caller.
const STEPS_BETWEEN_LOOKS: usize = 1 << 17;

/// How many steps before its own a block is fetched, and how many the sums of its site.
const BLOCK_AHEAD: usize = 16;
const SITE_AHEAD: usize = 8;

/// The address at which something happens.
#[inline]
fn address_of(step: &Step) -> Option<u64> {
    match step.what {
        What::Made(made) => Some(made.address),
        What::Freed { address } | What::ReallocEnd { address } => Some(address),
        What::SkippedAllocs { .. } | What::Failed { .. } => None,
    }
}

/// Everything that the events gave.
pub(crate) struct Replay {
    /// Stamps → times.
    pub(crate) clock: Clock,
    /// The streams.
    pub(crate) merge: Merge,
    /// Blocks alive, and what could not be paired.
    pub(crate) pairing: Pairing,
    /// Sums.
    pub(crate) totals: Totals,
    /// Where a shutdown may have begun.
    pub(crate) declines: Declines,
    /// Stacks.
    pub(crate) stacks: Stacks,
    /// Sites in use.
    pub(crate) sites: Sites,
    /// Requests that the allocator refused.
    pub(crate) failures: Vec<Failure>,
    /// Memory of the process beside the heap's.
    pub(crate) samples: Samples,
    /// Length of the run; right after [`Replay::run`].
    pub(crate) duration: Nanos,
    steps: usize,
    /// Events that did not come out of blocks.
    fed: u64,
}

/// Whether the caller wanted all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It did.
    Whole,
    /// It did not.
    Stopped,
}

impl Replay {
    /// Ready for the first event.
    pub(crate) fn new(header: &Header, survey: &mut Survey) -> Self {
        let mut clock = Clock::new(header, &survey.clock_pairs);
        let duration = clock.nanos(Ticks(survey.last_ticks()));
        let nodes = std::mem::take(&mut survey.nodes);
        let samples = Samples::new(&survey.samples, &mut clock);
        let mut totals = Totals::new(duration);
        totals.sampling = Rate::new(header.sample_bytes).map(Sampling::new);
        Self {
            clock,
            merge: Merge::new(header),
            pairing: Pairing::default(),
            totals,
            declines: Declines::default(),
            stacks: Stacks::new(nodes, header.max_stack_depth),
            sites: Sites::default(),
            failures: Vec::new(),
            samples,
            duration,
            steps: 0,
            fed: 0,
        }
    }

    /// Takes in all events, which another thread decodes.
    pub(crate) fn run<R: Read + Send, S: Sink>(
        &mut self,
        blocks: &mut Blocks<R>,
        bytes: u64,
        sink: &mut S,
        progress: &mut dyn Progress,
    ) -> io::Result<Outcome> {
        let mut merge = std::mem::replace(&mut self.merge, Merge::idle());
        let (feeder, feed) = decoder_thread::channel();
        let (outcome, decoded) = thread::scope(|scope| {
            let decoding = scope.spawn(|| feeder.run(&mut merge, blocks, bytes));
            let outcome = if self.totals.sampling.is_some() {
                self.take::<true, S>(&feed, sink, progress)
            } else {
                self.take::<false, S>(&feed, sink, progress)
            };
            // Where not all was wanted, decoding ends for want of a taker.
            drop(feed);
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
        Ok(Outcome::Whole)
    }

    /// Takes in one step of an event that does not come out of blocks, in the order of time.
    /// `share` is how much of its source is read.
    #[inline]
    pub(crate) fn feed<S: Sink>(
        &mut self,
        step: &Step,
        share: impl FnOnce() -> f64,
        sink: &mut S,
        progress: &mut dyn Progress,
    ) -> Outcome {
        self.step::<false, S>(step, sink);
        self.steps += 1;
        // The other half of a realloc is the same event.
        self.fed += u64::from(!matches!(step.what, What::ReallocEnd { .. }));
        if self.steps >= STEPS_BETWEEN_LOOKS {
            self.steps = 0;
            progress.advance(self.fed, share());
            if sink.is_gone() || progress.should_stop() {
                return Outcome::Stopped;
            }
        }
        Outcome::Whole
    }

    /// Nothing more will come.
    pub(crate) fn finish<S: Sink>(&mut self, sink: &mut S) {
        self.samples.finish(self.totals.global.live_bytes);
        if self.totals.sampling.is_some() {
            self.pairing.finish::<true, S>(&mut self.totals, sink);
        } else {
            self.pairing.finish::<false, S>(&mut self.totals, sink);
        }
        self.duration = self.totals.finish(self.duration);
    }

    /// Events taken in so far.
    pub(crate) fn events(&self) -> u64 {
        self.merge.events() + self.fed
    }

    /// Takes in the sums of blocks that have no rows.
    fn aggregated(&mut self, payload: &[u8]) -> Result<(), FormatError> {
        if payload.is_empty() {
            return Ok(());
        }
        let mut records = AggregatedRecords::new(payload)?;
        let head = records.head();
        let (from, to) = (self.clock.nanos(head.from), self.clock.nanos(head.to));
        self.totals.reach(to);
        while let Some(record) = records.take()? {
            match record {
                Aggregated::Site(sums, lifetimes, powers) => {
                    let site = self.sites.of(sums.node, &mut self.stacks);
                    let sums = AggregatedTotals::of(&sums, head.to, &mut self.clock);
                    self.totals.aggregated(site, (from, to), &sums, powers);
                    for (class, count) in lifetimes {
                        let life = self.clock.length(middle_of_duration_class(class), head.to);
                        let life = u64::try_from(life).unwrap_or(u64::MAX);
                        self.totals.lifetimes.add_many(site, life, count);
                    }
                }
                Aggregated::Pair(pair) => {
                    let mut at = |ticks| self.clock.nanos(ticks);
                    let made = (Thread(pair.made_by.0), at(pair.first_made), at(pair.last_made));
                    let freed =
                        (Thread(pair.freed_by.0), at(pair.first_freed), at(pair.last_freed));
                    self.totals.aggregated_by(made, freed, pair.blocks, pair.bytes);
                }
                Aggregated::Size(size) => self.totals.sizes.aggregated(size),
            }
        }
        Ok(())
    }

    /// Takes in all batches.
    fn take<const SAMPLED: bool, S: Sink>(
        &mut self,
        feed: &Feed,
        sink: &mut S,
        progress: &mut dyn Progress,
    ) -> Outcome {
        while let Some(batch) = feed.next() {
            // What is wrong with them was counted by the survey.
            let _ = self.aggregated(&batch.aggregated);
            for (index, step) in batch.steps.iter().enumerate() {
                if let Some(address) = batch.steps.get(index + BLOCK_AHEAD).and_then(address_of) {
                    self.pairing.expect(address);
                }
                if self.totals.are_wide()
                    && let Some(step) = batch.steps.get(index + SITE_AHEAD)
                {
                    self.expect_site(step);
                }
                self.step::<SAMPLED, S>(step, sink);
            }
            self.steps += batch.steps.len();
            if self.steps >= STEPS_BETWEEN_LOOKS {
                self.steps = 0;
                progress.advance(batch.events, batch.share);
                if sink.is_gone() || progress.should_stop() {
                    return Outcome::Stopped;
                }
            }
            feed.recycle(batch);
        }
        Outcome::Whole
    }

    /// Has the sums fetched that a step will change, once its block was fetched.
    #[inline]
    fn expect_site(&self, step: &Step) {
        let site = match step.what {
            What::Made(made) => self.sites.known(made.node),
            What::Freed { address } | What::ReallocEnd { address } => self.pairing.site_at(address),
            What::SkippedAllocs { .. } | What::Failed { .. } => None,
        };
        if let Some(site) = site {
            self.totals.expect(site);
        }
    }

    #[inline]
    fn step<const SAMPLED: bool, S: Sink>(&mut self, step: &Step, sink: &mut S) {
        let by = EventOrigin {
            at: self.clock.nanos(step.at),
            stream: step.stream,
            thread: Thread(step.thread.0),
        };
        if self.samples.are_before(by.at) {
            self.samples.note(by.at, self.totals.global.live_bytes);
        }
        self.totals.reach(by.at);
        match step.what {
            What::Made(made) => {
                let site = self.sites.of(made.node, &mut self.stacks);
                self.pairing.made::<SAMPLED, S>(by, site, &made, &mut self.totals, sink);
                self.declines.made(by.at, &self.totals.global);
            }
            What::Freed { address } => {
                self.pairing.freed::<SAMPLED, S>(by, address, &mut self.totals, sink);
                self.declines.freed(by.at, &self.totals.global);
            }
            // It comes back at once: that is no decline.
            What::ReallocEnd { address } => {
                self.pairing.regrown::<SAMPLED, S>(by, address, &mut self.totals, sink);
            }
            What::SkippedAllocs { allocations } => self.totals.unwritten(by.thread, allocations),
            What::Failed { size, node } => {
                self.totals.seen(by.thread, by.at);
                let site = self.sites.of(node, &mut self.stacks);
                if self.failures.len() < FAILURES_MAX {
                    self.failures.push(Failure { at: by.at, site, size, thread: by.thread });
                }
            }
        }
    }
}
