//! The thread that writes: what trackers have committed becomes blocks in the file.
//!
//! Reads: regions, the node table, thread definitions, module requests. Writes: the file.
//!
//! Invariants:
//! - All signals are blocked, so that the program's handlers never run here, and a write past a
//!   size limit is an error and not a signal.
//! - Nothing that the program allocates through is used after the start, but for making a late
//!   module known.
//! - In a pass committed lengths are read first, then definitions are written, then events: what
//!   an event refers to was published before the event was committed.
//! - After a failed write, or at the quota, no event is written any more, the session is switched
//!   off, and regions are still drained so that no thread waits. The file ends with the reason:
//!   behind its last whole block, or in place of the last ones where not a byte more can be had.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::collector::aggregate::{Aggregator, Counted, Target};
use crate::collector::event_path::recorder_pool;
use crate::collector::event_path::session_config;
use crate::collector::event_path::thread_recorder::{SESSION, ThreadRecorder};
use crate::collector::platform::clock;
use crate::collector::platform::event_count;
use crate::collector::platform::sys::{self, ThreadName};
#[cfg(walks_with_framehop)]
use crate::collector::unwind::dlopen;
#[cfg(walks_with_framehop)]
use crate::collector::unwind::module_registry;
use crate::collector::writer::block_file::Output;
use crate::collector::writer::counters::Counts;
use crate::collector::writer::definitions::{Definitions, Sink};
use crate::collector::writer::process_memory::Gauges;
use crate::collector::writer::quota::Quota;
use crate::recording::{
    BlockKind, ByteWriter, Bytes, ClockKind, Counter, Counters, EventsHead, Header, Note,
    SampleDef, Seal, SealReason, StepReason, Ticks,
};
use crate::safeguards;

/// How often what is committed is written: what is lost at most when the process is killed.
const PASS_EVERY: Duration = Duration::from_nanos(PASS_EVERY_NS);
const PASS_EVERY_NS: u64 = 25_000_000;

/// What is gathered before it is written, if that takes less time: the kernel takes a byte of a
/// small piece for nearly twice the time of one of these.
const WRITE_BYTES: usize = 512 << 10;

/// How often counters and names are looked at, and a second in any case.
const SECOND_NS: u64 = 1_000_000_000;

/// Room for the last blocks: counters, clock pair, seal.
const END_BYTES: u64 = 8 << 10;

/// Passes between the quota and the end of the recording.
const FULL_PASSES: u32 = 2;

/// Room for any block that is not asked room for on its own: counters, a clock pair, a seal.
const SMALL_BLOCK_BYTES: usize = 4096;

/// Set by who ends the recording.
pub(crate) static STOP: AtomicBool = AtomicBool::new(false);

/// What the flusher is given, and gives back when it ends.
pub(crate) struct Flusher {
    output: Output,
    session: u32,
    definitions: Definitions,
    counts: Counts,
    failure: Option<i32>,
    surveyed_ns: u64,
    passed_ns: u64,
    /// When a clock pair was last written.
    paired_ns: u64,
    /// When the pass began at whose end, or in which, the buffer was last written.
    written_ns: u64,
    committed: Vec<u64>,
    gauges: Gauges,
    /// Present where the session may aggregate.
    aggregate: Option<Box<Aggregator>>,
    quota: Quota,
    /// The next block would go beyond the quota: how long ago, in passes.
    full_since: Option<u32>,
    /// What must stay free below the quota for the end.
    reserve: u64,
    /// The seal is written: nothing stands behind it.
    is_closed: bool,
    /// In ticks.
    second: u64,
}

/// How a recording ended.
pub(crate) struct Ended {
    pub(crate) counters: Counters,
    /// The `errno` of the write that ended it early.
    pub(crate) failure: Option<i32>,
}

impl Flusher {
    /// A flusher for a file that has its header. Everything it needs is allocated here.
    /// `None`: no memory for what the session asks for.
    pub(crate) fn new(file: File, session: u32, header: &Header) -> Option<Self> {
        let second = match header.clock {
            // It tells no time, so nothing is ever short.
            ClockKind::Counter => 0,
            _ if header.ticks_per_second < 1.0 => SECOND_NS,
            _ => header.ticks_per_second as u64,
        };
        let quota = if header.sample_bytes == 0 {
            Quota::new(header.bytes_max, header.aggregate_below_ns)
        } else {
            Quota::without_steps(header.bytes_max)
        };
        let aggregate = if quota.may_aggregate() {
            let trackers = session_config::get().trackers_max;
            Some(Box::new(Aggregator::new(trackers, header.started_ticks, second)?))
        } else {
            None
        };
        Some(Self {
            output: Output::new(file),
            session,
            definitions: Definitions::new(),
            counts: Counts::default(),
            failure: None,
            surveyed_ns: 0,
            passed_ns: sys::monotonic_ns(),
            paired_ns: 0,
            written_ns: 0,
            committed: vec![0; session_config::TRACKERS_MAX],
            gauges: Gauges::open(),
            aggregate,
            quota,
            full_since: None,
            reserve: 0,
            is_closed: false,
            second,
        })
    }

    /// Writes until the recording is ended, then the rest and the seal.
    pub(crate) fn run(mut self) -> Ended {
        self.begin_aggregation();
        loop {
            let ticket = event_count::wake_ticket();
            // Read before the pass: what was committed before the stop is in it.
            let is_last = STOP.load(Ordering::Acquire);
            self.answer_late_modules();
            self.pass(is_last);
            let now = sys::monotonic_ns();
            if is_last || now.saturating_sub(self.surveyed_ns) >= SECOND_NS {
                self.surveyed_ns = now;
                self.survey();
            }
            if is_last {
                break;
            }
            self.end_at_quota();
            let age = Duration::from_nanos(now.saturating_sub(self.written_ns));
            event_count::sleep(ticket, PASS_EVERY.saturating_sub(age));
        }
        let counters = self.counters();
        if self.failure.is_none() && !self.is_closed {
            self.seal();
            self.write_out();
        }
        if self.failure.is_some() {
            self.write_failure_trailer();
        }
        Ended { counters, failure: self.failure }
    }

    fn begin_aggregation(&mut self) {
        if self.quota.aggregate_below_ns() != 0 {
            self.aggregate_shorter(self.quota.aggregate_below_ns(), StepReason::Asked);
        }
    }

    fn aggregate_shorter(&mut self, aggregate_below_ns: u64, reason: StepReason) {
        let product = u128::from(aggregate_below_ns).saturating_mul(u128::from(self.second));
        let ticks = product.checked_div(u128::from(SECOND_NS)).unwrap_or(0);
        if let Some(aggregate) = &mut self.aggregate {
            aggregate.coarsen(u64::try_from(ticks).unwrap_or(u64::MAX));
        }
        let written_bytes = self.output.length();
        let at = clock::now();
        let note = Note { at, aggregate_below_ns, written_bytes, reason };
        self.block(BlockKind::Note, |out| note.write(out));
    }

    fn pass(&mut self, is_last: bool) {
        let now = sys::monotonic_ns();
        self.counts.gap_max_ns = self.counts.gap_max_ns.max(now.saturating_sub(self.passed_ns));
        self.passed_ns = now;
        // Stands before the pass's events: no event stamped earlier than this is committed
        // later, but for a thread that was interrupted between its stamp and its commit.
        let pair = clock::pair();
        let mut trackers = 0_usize;
        for (tracker, committed) in recorder_pool::all().zip(self.committed.iter_mut()) {
            *committed = tracker.shared.committed();
            trackers = trackers.saturating_add(1);
        }
        if let Some(limit) = self.quota.step(self.output.length()) {
            self.aggregate_shorter(limit, StepReason::Quota);
        }
        // What is aggregated is written so seldom that a pair for each pass would be most of it.
        let aggregates = self.quota.aggregate_below_ns() != 0;
        if !aggregates || is_last || now.saturating_sub(self.paired_ns) >= PASS_EVERY_NS {
            self.paired_ns = now;
            self.block(BlockKind::Clock, |out| pair.write(out));
        }
        self.define(Definitions::write);
        // Taken out, so that it can write through this.
        let mut aggregate = self.aggregate.take();
        let mut aggregation = aggregate.as_mut().filter(|_| aggregates && !self.is_closed);
        if let Some(aggregate) = &aggregation {
            self.reserve = aggregate.sums_bytes_max() as u64;
        }
        for (index, tracker) in recorder_pool::all().take(trackers).enumerate() {
            let end = self.committed.get(index).copied().unwrap_or(0);
            if !tracker.is_in(self.session) {
                continue;
            }
            let raw_until = match &mut aggregation {
                Some(aggregate) => {
                    let unfolded = aggregate.add(index, &tracker.shared, end);
                    if unfolded.wants_keyframe {
                        tracker.request_keyframe(self.session);
                    }
                    if tracker.shared.tail() < unfolded.until {
                        aggregate.missed_events(clock::now());
                    }
                    unfolded.until
                }
                None => end,
            };
            self.events(tracker, raw_until);
        }
        if let Some(aggregate) = aggregation {
            // Nothing is committed any more: what a faster clock stamped is in the past too.
            let until = if is_last { Ticks(u64::MAX) } else { pair.ticks };
            aggregate.pass(pair.ticks, until, self);
            if is_last {
                aggregate.finish(pair.ticks, self);
            }
        }
        self.aggregate = aggregate;
        event_count::notify_space();
        let age_ns = self.passed_ns.saturating_sub(self.written_ns);
        if is_last || self.output.used() >= WRITE_BYTES || age_ns >= PASS_EVERY_NS {
            self.write_out();
        }
    }

    /// Writes definitions. They are taken out, so that they can write through this.
    fn define(&mut self, write: impl FnOnce(&mut Definitions, &mut Self)) {
        let mut definitions = std::mem::take(&mut self.definitions);
        write(&mut definitions, self);
        self.definitions = definitions;
    }

    /// What a tracker committed, as it is.
    fn events(&mut self, tracker: &ThreadRecorder, end: u64) {
        let Some(read) = tracker.shared.read(end) else {
            return;
        };
        let len = read.first.len().saturating_add(read.second.len());
        if self.has_quota_for(len.saturating_add(EventsHead::BYTES)) {
            let head =
                EventsHead { stream: tracker.stream, offset: read.offset, keyframe: read.keyframe };
            self.make_room(len.saturating_add(EventsHead::BYTES));
            self.block(BlockKind::Events, |out| {
                head.write(out);
                out.bytes(read.first);
                out.bytes(read.second);
            });
        } else {
            self.counts.lost_bytes = self.counts.lost_bytes.saturating_add(len as u64);
        }
        tracker.shared.release(&read);
    }

    /// Seals a recording that has reached its quota, whatever becomes of the process. Threads
    /// that were inside the recorder have had time to leave it and be counted.
    fn end_at_quota(&mut self) {
        let Some(passes) = self.full_since else { return };
        self.full_since = Some(passes.saturating_add(1));
        if passes != FULL_PASSES || self.is_closed {
            return;
        }
        if let Some(mut aggregate) = self.aggregate.take() {
            aggregate.finish(clock::now(), self);
            self.aggregate = Some(aggregate);
        }
        self.survey();
        self.seal();
        self.write_out();
        self.is_closed = true;
    }

    /// Where the system's own unwinder walks, it finds late modules itself.
    #[cfg(not(walks_with_framehop))]
    fn answer_late_modules(&mut self) {}

    #[cfg(walks_with_framehop)]
    fn answer_late_modules(&mut self) {
        while let Some(module) = dlopen::take() {
            module_registry::add_late(&module);
            self.counts.refreshes = self.counts.refreshes.saturating_add(1);
            dlopen::answered();
        }
    }

    /// What changes slowly: memory, counters, and names that threads were given since.
    fn survey(&mut self) {
        for tracker in recorder_pool::all() {
            let os_thread = tracker.os_thread.load(Ordering::Relaxed);
            if os_thread == 0 || !tracker.is_in(self.session) {
                continue;
            }
            if let Some(name) = ThreadName::of_thread(os_thread) {
                tracker.refresh_name(os_thread, name);
            }
        }
        self.define(Definitions::threads);
        self.sample();
        let counters = self.counters();
        self.block(BlockKind::Counters, |out| counters.write(out));
        self.write_out();
    }

    /// The memory of the process, at the start, now and then, and at the end.
    fn sample(&mut self) {
        let sample = SampleDef {
            at: clock::now(),
            rss: self.gauges.rss().map(Bytes),
            cgroup: self.gauges.cgroup().map(Bytes),
            cgroup_limit: self.gauges.cgroup_limit().map(Bytes),
        };
        self.block(BlockKind::Samples, |out| sample.write(out));
    }

    fn counters(&mut self) -> Counters {
        let lost_as =
            if self.failure.is_some() { Counter::DroppedWrite } else { Counter::DroppedQuota };
        let length = self.output.length();
        let mut counters =
            self.counts.gather(self.session, length, lost_as, self.aggregate.as_deref());
        counters.set(Counter::RssMaxBytes, self.gauges.rss_max().unwrap_or(0));
        counters
    }

    fn seal(&mut self) {
        let pair = clock::pair();
        self.block(BlockKind::Clock, |out| pair.write(out));
        let reason = match (self.failure, self.full_since) {
            (Some(_), _) => SealReason::WriteFailed,
            (None, Some(_)) => SealReason::Quota,
            (None, None) => SealReason::Disabled,
        };
        let seal = Seal { at: pair.ticks, reason, os_error: self.failure.unwrap_or(0) };
        self.block(BlockKind::Seal, |out| seal.write(out));
    }

    /// Appends a block to the buffer. What does not fit is a mistake in the sizes above, and is
    /// left out whole.
    fn block(&mut self, kind: BlockKind, payload: impl FnOnce(&mut ByteWriter<'_>)) {
        self.make_room(SMALL_BLOCK_BYTES);
        self.output.append(kind, payload);
    }

    /// Writes the buffer out if a payload of `bytes` would not fit behind it.
    fn make_room(&mut self, bytes: usize) {
        if !self.output.has_room(bytes) {
            self.write_out();
        }
    }

    fn write_out(&mut self) {
        #[cfg(rheaper_testing)]
        std::thread::sleep(crate::collector::testing::write_delay());
        self.written_ns = self.passed_ns;
        if self.failure.is_some() || self.is_closed {
            self.output.discard();
            return;
        }
        let used = self.output.used();
        if let Err(error) = self.output.write() {
            self.fail(&error, used);
        }
    }

    /// The file can't be written: stop recording, and say why.
    fn fail(&mut self, error: &io::Error, unwritten: usize) {
        self.failure = Some(error.raw_os_error().unwrap_or(libc::EIO));
        self.counts.lost_bytes = self.counts.lost_bytes.saturating_add(unwritten as u64);
        self.stop_recording();
        self.write_failure_trailer();
    }

    fn stop_recording(&self) {
        // Only this session: the program may have ended it and begun another meanwhile.
        let _ = SESSION.compare_exchange(self.session, 0, Ordering::SeqCst, Ordering::Relaxed);
    }

    /// Ends the file with its counters and the reason.
    fn write_failure_trailer(&mut self) {
        if self.is_closed || safeguards::without("reason") {
            return;
        }
        self.output.discard();
        let counters = self.counters();
        self.block(BlockKind::Counters, |out| counters.write(out));
        self.seal();
        self.output.write_failure_trailer();
    }
}

impl Target for Flusher {
    fn note(&mut self, counted: Counted) {
        self.counts.see_aggregation(counted);
    }

    fn payload(
        &mut self,
        kind: BlockKind,
        bytes: usize,
        write: &mut dyn FnMut(&mut ByteWriter<'_>),
    ) {
        // Room for sums was kept free.
        if kind == BlockKind::Events && !self.has_quota_for(bytes) {
            self.counts.lost_bytes = self.counts.lost_bytes.saturating_add(bytes as u64);
            return;
        }
        self.make_room(bytes);
        self.block(kind, |out| write(out));
    }
}

impl Sink for Flusher {
    fn has_quota_for(&mut self, bytes: usize) -> bool {
        if self.failure.is_some() || self.full_since.is_some() {
            return false;
        }
        let more = (bytes as u64).saturating_add(self.reserve).saturating_add(END_BYTES);
        if !self.quota.has_quota_for(self.output.length(), more) {
            self.full_since = Some(0);
            self.stop_recording();
            return false;
        }
        true
    }
}
