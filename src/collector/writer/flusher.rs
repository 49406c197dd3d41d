//! The flusher: the thread that writes committed events, definitions and counters to the file.
//!
//! Invariants:
//! - All signals are blocked, so that the program's handlers never run here and a write beyond a
//!   size limit is an error and not a signal.
//! - After the start this thread does not allocate through the program's allocator, except to
//!   register a module that was loaded late.
//! - A pass reads the committed lengths, then writes definitions, then events: whatever an event
//!   refers to was published before the event was committed.
//! - After a failed write, or at the quota, no event is written and the session is switched off,
//!   but the rings are still drained so that no thread waits. The file ends with the reason: after
//!   its last complete block, or in place of the last blocks if the disk has no more space.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::collector::aggregate::{AggregationCounters, Aggregator, PayloadSink};
use crate::collector::event_path::recorder_pool;
use crate::collector::event_path::session_config;
use crate::collector::event_path::session_word::{SESSION, SessionWord};
use crate::collector::event_path::thread_recorder::ThreadRecorder;
use crate::collector::platform::clock;
use crate::collector::platform::event_count;
use crate::collector::platform::sys::{self, ThreadName};
#[cfg(walks_with_framehop)]
use crate::collector::unwind::dlopen;
#[cfg(walks_with_framehop)]
use crate::collector::unwind::module_registry;
use crate::collector::writer::block_file::BlockFile;
use crate::collector::writer::counters::FlusherCounters;
use crate::collector::writer::create::{ProgramDescriptor, RecordingFile};
use crate::collector::writer::definitions::{Definitions, QuotaSink};
use crate::collector::writer::process_memory::MemoryReader;
use crate::collector::writer::quota::Quota;
use crate::recording::{
    AggregationStep, BlockKind, ByteWriter, Bytes, ClockKind, Counter, Counters, EventsHead,
    Header, MemoryReadingDef, Seal, SealReason, StepReason, Ticks,
};
use crate::safeguards::{self, Safeguard};

/// Interval of the passes: events of this time are lost at most if the process is killed.
const PASS_EVERY: Duration = Duration::from_nanos(PASS_EVERY_NS);
const PASS_EVERY_NS: u64 = 25_000_000;

/// Buffered bytes that cause a write before the interval is over: the kernel needs nearly twice the
/// time per byte for small writes.
const WRITE_BYTES: usize = 512 << 10;

/// Interval of the statistics (counters and thread names).
const SECOND_NS: u64 = 1_000_000_000;

/// Space for the last blocks: counters, clock pair, seal.
const END_BYTES: u64 = 8 << 10;

/// Passes between reaching the quota and the end of the recording.
const FULL_PASSES: u32 = 2;

/// Space for small blocks: counters, a clock pair, a seal.
const SMALL_BLOCK_BYTES: usize = 4096;

/// Set by the thread that ends the recording.
pub(crate) static STOP: AtomicBool = AtomicBool::new(false);

/// The state of the flusher.
pub(crate) struct Flusher {
    output: BlockFile,
    session: SessionWord,
    definitions: Definitions,
    counts: FlusherCounters,
    failure: Option<i32>,
    stats_written_ns: u64,
    pass_started_ns: u64,
    /// Time of the last clock pair.
    clock_written_ns: u64,
    /// Start of the pass in which the buffer was last written.
    written_ns: u64,
    committed: Vec<u64>,
    gauges: MemoryReader,
    /// Present where the session may aggregate.
    aggregate: Option<Box<Aggregator>>,
    quota: Quota,
    /// The quota is reached: number of passes since.
    passes_since_full: Option<u32>,
    /// Bytes reserved below the quota for the totals of aggregation.
    reserved_bytes: u64,
    /// The seal is written; nothing may follow it.
    is_sealed: bool,
    /// Ticks per second.
    second: u64,
}

/// Result of a session.
pub(crate) struct SessionSummary {
    pub(crate) counters: Counters,
    /// `errno` of the write that failed; `None`: no failure.
    pub(crate) failure: Option<i32>,
}

impl Flusher {
    /// A flusher for a file that has its header. Allocates all needed memory; `None` if the system
    /// refuses it.
    pub(crate) fn new(file: RecordingFile, session: SessionWord, header: &Header) -> Option<Self> {
        let second = match header.clock {
            // An event counter has no durations, so that no block counts as short-lived.
            ClockKind::Counter => 0,
            _ if header.ticks_per_second < 1.0 => SECOND_NS,
            _ => header.ticks_per_second as u64,
        };
        let quota = if header.sample_bytes == 0 {
            Quota::new(header.quota_bytes, header.aggregate_below_ns)
        } else {
            Quota::without_steps(header.quota_bytes)
        };
        let aggregate = if quota.may_aggregate() {
            let recorders = session_config::get().trackers_max;
            Some(Box::new(Aggregator::new(recorders, header.started_ticks, second)?))
        } else {
            None
        };
        Some(Self {
            output: BlockFile::new(file),
            session,
            definitions: Definitions::new(),
            counts: FlusherCounters::default(),
            failure: None,
            stats_written_ns: 0,
            pass_started_ns: sys::monotonic_ns(),
            clock_written_ns: 0,
            written_ns: 0,
            committed: vec![0; session_config::TRACKERS_MAX],
            gauges: MemoryReader::default(),
            aggregate,
            quota,
            passes_since_full: None,
            reserved_bytes: 0,
            is_sealed: false,
            second,
        })
    }

    /// Called first on the flusher's thread: gives it a descriptor table of its own, as
    /// [`RecordingFile::unshare_descriptors`] does, and opens the files of memory readings in it.
    pub(crate) fn prepare_on_thread(&mut self) -> Option<ProgramDescriptor> {
        let program = self.output.unshare_descriptors();
        self.gauges = MemoryReader::open();
        program
    }

    /// Writes until the recording is ended, then the rest and the seal.
    pub(crate) fn run(mut self) -> SessionSummary {
        self.begin_aggregation();
        loop {
            let ticket = event_count::wake_ticket();
            // Read before the pass, so that the pass includes everything committed before the stop.
            let is_last = STOP.load(Ordering::Acquire);
            self.register_late_modules();
            self.pass(is_last);
            let now = sys::monotonic_ns();
            if is_last || now.saturating_sub(self.stats_written_ns) >= SECOND_NS {
                self.stats_written_ns = now;
                self.write_stats();
            }
            if is_last {
                break;
            }
            self.end_at_quota();
            let age = Duration::from_nanos(now.saturating_sub(self.written_ns));
            event_count::wait_for_wake(ticket, PASS_EVERY.saturating_sub(age));
        }
        let counters = self.counters();
        if self.failure.is_none() && !self.is_sealed {
            self.seal();
            self.write_out();
        }
        if self.failure.is_some() {
            self.write_failure_trailer();
        }
        SessionSummary { counters, failure: self.failure }
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
        let note = AggregationStep { at, aggregate_below_ns, written_bytes, reason };
        self.block(BlockKind::AggregationStep, |out| note.write(out));
    }

    fn pass(&mut self, is_last: bool) {
        let now = sys::monotonic_ns();
        self.counts.gap_max_ns =
            self.counts.gap_max_ns.max(now.saturating_sub(self.pass_started_ns));
        self.pass_started_ns = now;
        // Precedes the events of the pass: later commits have no earlier timestamp, except for a
        // thread that was interrupted between its timestamp and its commit.
        let pair = clock::pair();
        let mut recorders = 0_usize;
        for (recorder, committed) in recorder_pool::all().zip(self.committed.iter_mut()) {
            *committed = recorder.shared.committed();
            recorders = recorders.saturating_add(1);
        }
        if let Some(limit) = self.quota.step(self.output.length()) {
            self.aggregate_shorter(limit, StepReason::Quota);
        }
        // Aggregated events are written so rarely that a clock pair per pass would be most of the
        // file.
        let aggregates = self.quota.aggregate_below_ns() != 0;
        if !aggregates || is_last || now.saturating_sub(self.clock_written_ns) >= PASS_EVERY_NS {
            self.clock_written_ns = now;
            self.block(BlockKind::Clock, |out| pair.write(out));
        }
        self.define(Definitions::write);
        // Moved out, so that it can borrow the flusher as its sink.
        let mut aggregate = self.aggregate.take();
        let mut aggregation = aggregate.as_mut().filter(|_| aggregates && !self.is_sealed);
        if let Some(aggregate) = &aggregation {
            self.reserved_bytes = aggregate.totals_bytes_max() as u64;
        }
        for (index, recorder) in recorder_pool::all().take(recorders).enumerate() {
            let end = self.committed.get(index).copied().unwrap_or(0);
            if !recorder.records_in(self.session) {
                continue;
            }
            let raw_until = match &mut aggregation {
                Some(aggregate) => {
                    let progress = aggregate.add(index, &recorder.shared, end);
                    if progress.needs_keyframe {
                        recorder.request_keyframe(self.session);
                    }
                    if recorder.shared.tail() < progress.raw_until {
                        aggregate.missed_events(clock::now());
                    }
                    progress.raw_until
                }
                None => end,
            };
            self.events(recorder, raw_until);
        }
        if let Some(aggregate) = aggregation {
            // The last pass: also includes events whose timestamps are ahead of this core's clock.
            let until = if is_last { Ticks(u64::MAX) } else { pair.ticks };
            aggregate.pass(pair.ticks, until, self);
            if is_last {
                aggregate.finish(pair.ticks, self);
            }
        }
        self.aggregate = aggregate;
        event_count::notify_space();
        let age_ns = self.pass_started_ns.saturating_sub(self.written_ns);
        if is_last || self.output.used() >= WRITE_BYTES || age_ns >= PASS_EVERY_NS {
            self.write_out();
        }
    }

    /// Writes definitions. They are moved out, so that they can borrow the flusher as their sink.
    fn define(&mut self, write: impl FnOnce(&mut Definitions, &mut Self)) {
        let mut definitions = std::mem::take(&mut self.definitions);
        write(&mut definitions, self);
        self.definitions = definitions;
    }

    /// Writes the committed events of a thread recorder unchanged.
    fn events(&mut self, recorder: &ThreadRecorder, end: u64) {
        let Some(read) = recorder.shared.read(end) else {
            return;
        };
        let len = read.first.len().saturating_add(read.second.len());
        if self.has_quota_for(len.saturating_add(EventsHead::BYTES)) {
            let head = EventsHead {
                stream: recorder.stream,
                offset: read.offset,
                keyframe: read.keyframe,
            };
            self.make_room(len.saturating_add(EventsHead::BYTES));
            self.block(BlockKind::Events, |out| {
                head.write(out);
                out.bytes(read.first);
                out.bytes(read.second);
            });
        } else {
            self.counts.lost_bytes = self.counts.lost_bytes.saturating_add(len as u64);
        }
        recorder.shared.release(&read);
    }

    /// Seals a recording that has reached its quota, whatever happens to the process later. Threads
    /// inside the recorder have had time to leave it and to be counted.
    fn end_at_quota(&mut self) {
        let Some(passes) = self.passes_since_full else { return };
        self.passes_since_full = Some(passes.saturating_add(1));
        if passes != FULL_PASSES || self.is_sealed {
            return;
        }
        if let Some(mut aggregate) = self.aggregate.take() {
            aggregate.finish(clock::now(), self);
            self.aggregate = Some(aggregate);
        }
        self.write_stats();
        self.seal();
        self.write_out();
        self.is_sealed = true;
    }

    /// The fallback unwinder finds late modules itself.
    #[cfg(not(walks_with_framehop))]
    fn register_late_modules(&mut self) {}

    #[cfg(walks_with_framehop)]
    fn register_late_modules(&mut self) {
        while let Some(module) = dlopen::take() {
            module_registry::add_late(&module);
            self.counts.refreshes = self.counts.refreshes.saturating_add(1);
            dlopen::answered();
        }
    }

    /// Writes values that change slowly: thread names, memory, counters.
    fn write_stats(&mut self) {
        for recorder in recorder_pool::all() {
            let os_thread = recorder.os_thread.load(Ordering::Relaxed);
            if os_thread == 0 || !recorder.records_in(self.session) {
                continue;
            }
            if let Some(name) = ThreadName::of_thread(os_thread) {
                recorder.refresh_name(os_thread, name);
            }
        }
        self.define(Definitions::threads);
        self.write_memory_reading();
        let counters = self.counters();
        self.block(BlockKind::Counters, |out| counters.write(out));
        self.write_out();
    }

    /// Writes a memory reading.
    fn write_memory_reading(&mut self) {
        let sample = MemoryReadingDef {
            at: clock::now(),
            rss: self.gauges.rss().map(Bytes),
            cgroup: self.gauges.cgroup().map(Bytes),
            cgroup_limit: self.gauges.cgroup_limit().map(Bytes),
        };
        self.block(BlockKind::MemoryReadings, |out| sample.write(out));
    }

    fn counters(&mut self) -> Counters {
        let lost_as =
            if self.failure.is_some() { Counter::DroppedWrite } else { Counter::DroppedQuota };
        let length = self.output.length();
        let mut counters =
            self.counts.collect(self.session, length, lost_as, self.aggregate.as_deref());
        counters.set(Counter::RssMaxBytes, self.gauges.rss_max().unwrap_or(0));
        counters
    }

    fn seal(&mut self) {
        let pair = clock::pair();
        self.block(BlockKind::Clock, |out| pair.write(out));
        let reason = match (self.failure, self.passes_since_full) {
            (Some(_), _) => SealReason::WriteFailed,
            (None, Some(_)) => SealReason::Quota,
            (None, None) => SealReason::Disabled,
        };
        let seal = Seal { at: pair.ticks, reason, os_error: self.failure.unwrap_or(0) };
        self.block(BlockKind::Seal, |out| seal.write(out));
    }

    /// Appends a block to the buffer. A block that does not fit would be a defect in the sizes
    /// above, and is dropped.
    fn block(&mut self, kind: BlockKind, payload: impl FnOnce(&mut ByteWriter<'_>)) {
        self.make_room(SMALL_BLOCK_BYTES);
        self.output.append(kind, payload);
    }

    /// Writes the buffer if a payload of `bytes` does not fit behind it.
    fn make_room(&mut self, bytes: usize) {
        if !self.output.has_room(bytes) {
            self.write_out();
        }
    }

    fn write_out(&mut self) {
        #[cfg(rheaper_testing)]
        std::thread::sleep(crate::collector::testing::write_delay());
        self.written_ns = self.pass_started_ns;
        if self.failure.is_some() || self.is_sealed {
            self.output.discard();
            return;
        }
        let used = self.output.used();
        if let Err(error) = self.output.write() {
            self.fail(&error, used);
        }
    }

    /// Stops recording after a failed write and writes the reason.
    fn fail(&mut self, error: &io::Error, unwritten: usize) {
        self.failure = Some(error.raw_os_error().unwrap_or(libc::EIO));
        self.counts.lost_bytes = self.counts.lost_bytes.saturating_add(unwritten as u64);
        self.stop_recording();
        self.write_failure_trailer();
    }

    fn stop_recording(&self) {
        // Only this session: the program may have ended it and started another one.
        SESSION.replace(self.session, SessionWord::NONE, Ordering::SeqCst);
    }

    /// Ends the file with the counters and the reason of the failure.
    fn write_failure_trailer(&mut self) {
        if self.is_sealed || safeguards::is_disabled(Safeguard::FailureTrailer) {
            return;
        }
        self.output.discard();
        let counters = self.counters();
        self.block(BlockKind::Counters, |out| counters.write(out));
        self.seal();
        self.output.write_failure_trailer();
    }
}

impl PayloadSink for Flusher {
    fn note(&mut self, counters: AggregationCounters) {
        self.counts.update_aggregation(counters);
    }

    fn payload(
        &mut self,
        kind: BlockKind,
        bytes: usize,
        write: &mut dyn FnMut(&mut ByteWriter<'_>),
    ) {
        // Space for totals is reserved.
        if kind == BlockKind::Events && !self.has_quota_for(bytes) {
            self.counts.lost_bytes = self.counts.lost_bytes.saturating_add(bytes as u64);
            return;
        }
        self.make_room(bytes);
        self.block(kind, |out| write(out));
    }
}

impl QuotaSink for Flusher {
    fn has_quota_for(&mut self, bytes: usize) -> bool {
        if self.failure.is_some() || self.passes_since_full.is_some() {
            return false;
        }
        let more = (bytes as u64).saturating_add(self.reserved_bytes).saturating_add(END_BYTES);
        if !self.quota.has_quota_for(self.output.length(), more) {
            self.passes_since_full = Some(0);
            self.stop_recording();
            return false;
        }
        true
    }
}
