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
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::collector::clock;
use crate::collector::entry;
use crate::collector::fold::{Fold, Target};
use crate::collector::label::LABEL_BYTES_MAX;
#[cfg(walks_with_framehop)]
use crate::collector::late;
use crate::collector::limits;
use crate::collector::marks;
use crate::collector::memory::Gauges;
use crate::collector::nodes;
use crate::collector::pool;
use crate::collector::quota::Quota;
use crate::collector::sampling;
use crate::collector::scopes;
use crate::collector::signal;
use crate::collector::sys::ThreadName;
use crate::collector::threads::{self, PENDING_MAX, PendingThread};
use crate::collector::tracker::{SESSION, Tracker};
use crate::collector::{registry, sys};
use crate::guards;
use crate::recording::{
    BLOCK_HEADER_BYTES, BlockHeader, BlockKind, ByteWriter, Bytes, ClockKind, Counter, Counters,
    EventsHead, HEADER_BYTES, Header, MarkDef, NodeId, NodesHead, Note, NoteReason, SampleDef,
    ScopeDef, ScopeId, Seal, SealReason, ThreadDef, Ticks,
};

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

/// The reason for a failure is never longer: counters and seal.
const REASON_BYTES: u64 = 1024;

/// Passes between the quota and the end of the recording.
const FULL_PASSES: u32 = 2;

/// The buffer that blocks are gathered in; the largest ring fits twice.
pub(in crate::collector) const BUFFER_BYTES: usize = 2 << 20;

/// Nodes a block at most: 15 bytes each in the worst case, well inside the buffer.
const NODES_A_BLOCK: u32 = 32 << 10;

/// Scopes and marks a block at most: they fit the buffer easily.
const SCOPES_A_BLOCK: u32 = 1024;
const MARKS_A_BLOCK: usize = 128;

/// Nodes that are claimed but not yet written by their owner; no more than threads that can be
/// inside the recorder at once and were interrupted there.
const HOLES_MAX: usize = 256;

/// Set by who ends the recording.
pub(in crate::collector) static STOP: AtomicBool = AtomicBool::new(false);

/// What the flusher is given, and gives back when it ends.
pub(in crate::collector) struct Flusher {
    file: File,
    session: u32,
    buffer: Vec<u8>,
    used: usize,
    nodes_done: NodeId,
    holes: [NodeId; HOLES_MAX],
    holes_len: usize,
    modules_done: usize,
    written: u64,
    /// Where writes began: one with room for the reason behind it, and one that will be it.
    written_before: (u64, u64),
    lost_bytes: u64,
    failure: Option<i32>,
    /// Where the reason for a failure was written, and how many bytes it has.
    reason_at: Option<(u64, usize)>,
    surveyed_ns: u64,
    passed_ns: u64,
    /// When a clock pair was last written.
    paired_ns: u64,
    /// When the pass began at whose end, or in which, the buffer was last written.
    written_ns: u64,
    gap_max_ns: u64,
    refreshes: u64,
    recorder_bytes_max: u64,
    committed: Vec<u64>,
    pending: Vec<Option<PendingThread>>,
    gauges: Gauges,
    scopes_done: u32,
    /// Present where the session may fold.
    fold: Option<Box<Fold>>,
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
pub(in crate::collector) struct Ended {
    pub(in crate::collector) counters: Counters,
    /// The `errno` of the write that ended it early.
    pub(in crate::collector) failure: Option<i32>,
}

impl Flusher {
    /// A flusher for a file that has its header. Everything it needs is allocated here.
    /// `None`: no memory for what the session asks for.
    pub(in crate::collector) fn new(file: File, session: u32, header: &Header) -> Option<Self> {
        let second = match header.clock {
            // It tells no time, so nothing is ever short.
            ClockKind::Counter => 0,
            _ if header.ticks_per_second < 1.0 => SECOND_NS,
            _ => header.ticks_per_second as u64,
        };
        let quota = if header.sample_bytes == 0 {
            Quota::new(header.bytes_max, header.fold_shorter_ns)
        } else {
            Quota::without_steps(header.bytes_max)
        };
        let fold = if quota.may_fold() {
            let trackers = limits::get().trackers_max;
            Some(Box::new(Fold::new(trackers, header.started_ticks, second)?))
        } else {
            None
        };
        Some(Self {
            file,
            session,
            buffer: vec![0; BUFFER_BYTES],
            used: 0,
            nodes_done: NodeId::FIRST,
            holes: [NodeId::NONE; HOLES_MAX],
            holes_len: 0,
            modules_done: 0,
            written: HEADER_BYTES as u64,
            written_before: (HEADER_BYTES as u64, HEADER_BYTES as u64),
            lost_bytes: 0,
            failure: None,
            reason_at: None,
            surveyed_ns: 0,
            passed_ns: sys::monotonic_ns(),
            paired_ns: 0,
            written_ns: 0,
            gap_max_ns: 0,
            refreshes: 0,
            recorder_bytes_max: 0,
            committed: vec![0; limits::TRACKERS_MAX],
            pending: vec![None; PENDING_MAX],
            gauges: Gauges::open(),
            scopes_done: 0,
            fold,
            quota,
            full_since: None,
            reserve: 0,
            is_closed: false,
            second,
        })
    }

    /// Writes until the recording is ended, then the rest and the seal.
    pub(in crate::collector) fn run(mut self) -> Ended {
        self.begin_folding();
        loop {
            let ticket = signal::wake_ticket();
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
            signal::sleep(ticket, PASS_EVERY.saturating_sub(age));
        }
        let counters = self.counters();
        if self.failure.is_none() && !self.is_closed {
            self.seal();
            self.write_out();
        }
        if self.failure.is_some() {
            self.write_reason();
        }
        Ended { counters, failure: self.failure }
    }

    fn begin_folding(&mut self) {
        if self.quota.fold_shorter_ns() != 0 {
            self.fold_shorter(self.quota.fold_shorter_ns(), NoteReason::Asked);
        }
    }

    fn fold_shorter(&mut self, fold_shorter_ns: u64, reason: NoteReason) {
        let product = u128::from(fold_shorter_ns).saturating_mul(u128::from(self.second));
        let ticks = product.checked_div(u128::from(SECOND_NS)).unwrap_or(0);
        if let Some(fold) = &mut self.fold {
            fold.coarsen(u64::try_from(ticks).unwrap_or(u64::MAX));
        }
        let written_bytes = self.length();
        let at = clock::now();
        let note = Note { at, fold_shorter_ns, written_bytes, reason };
        self.block(BlockKind::Note, |out| note.write(out));
    }

    fn pass(&mut self, is_last: bool) {
        let now = sys::monotonic_ns();
        self.gap_max_ns = self.gap_max_ns.max(now.saturating_sub(self.passed_ns));
        self.passed_ns = now;
        // Stands before the pass's events: no event stamped earlier than this is committed
        // later, but for a thread that was interrupted between its stamp and its commit.
        let pair = clock::pair();
        let mut trackers = 0_usize;
        for (tracker, committed) in pool::all().zip(self.committed.iter_mut()) {
            *committed = tracker.shared.committed();
            trackers = trackers.saturating_add(1);
        }
        if let Some(limit) = self.quota.step(self.length()) {
            self.fold_shorter(limit, NoteReason::Quota);
        }
        // What is folded is written so seldom that a pair for each pass would be most of it.
        let folds = self.quota.fold_shorter_ns() != 0;
        if !folds || is_last || now.saturating_sub(self.paired_ns) >= PASS_EVERY_NS {
            self.paired_ns = now;
            self.block(BlockKind::Clock, |out| pair.write(out));
        }
        self.modules();
        self.threads();
        self.nodes();
        self.scopes();
        self.marks();
        // Taken out, so that it can write through this.
        let mut fold = self.fold.take();
        let mut folding = fold.as_mut().filter(|_| folds && !self.is_closed);
        if let Some(fold) = &folding {
            self.reserve = fold.sums_bytes_max() as u64;
        }
        for (index, tracker) in pool::all().take(trackers).enumerate() {
            let end = self.committed.get(index).copied().unwrap_or(0);
            if !tracker.is_in(self.session) {
                continue;
            }
            let raw_until = match &mut folding {
                Some(fold) => {
                    let unfolded = fold.add(index, &tracker.shared, end);
                    if unfolded.wants_keyframe {
                        tracker.want_keyframe(self.session);
                    }
                    if tracker.shared.tail() < unfolded.until {
                        fold.missed_events(clock::now());
                    }
                    unfolded.until
                }
                None => end,
            };
            self.events(tracker, raw_until);
        }
        if let Some(fold) = folding {
            // Nothing is committed any more: what a faster clock stamped is in the past too.
            let until = if is_last { Ticks(u64::MAX) } else { pair.ticks };
            fold.pass(pair.ticks, until, self);
            if is_last {
                fold.finish(pair.ticks, self);
            }
        }
        self.fold = fold;
        signal::announce_room();
        let age_ns = self.passed_ns.saturating_sub(self.written_ns);
        if is_last || self.used >= WRITE_BYTES || age_ns >= PASS_EVERY_NS {
            self.write_out();
        }
    }

    /// What a tracker committed, as it is.
    fn events(&mut self, tracker: &Tracker, end: u64) {
        let Some(read) = tracker.shared.read(end) else {
            return;
        };
        let len = read.first.len().saturating_add(read.second.len());
        if self.admits(len.saturating_add(EventsHead::BYTES)) {
            let head =
                EventsHead { stream: tracker.stream, offset: read.offset, keyframe: read.keyframe };
            self.make_room(len.saturating_add(EventsHead::BYTES));
            self.block(BlockKind::Events, |out| {
                head.write(out);
                out.bytes(read.first);
                out.bytes(read.second);
            });
        } else {
            self.lost_bytes = self.lost_bytes.saturating_add(len as u64);
        }
        tracker.shared.release(&read);
    }

    /// Whether a payload may still be written, the recording's end not counted.
    fn admits(&mut self, bytes: usize) -> bool {
        if self.failure.is_some() || self.full_since.is_some() {
            return false;
        }
        let more = (bytes as u64).saturating_add(self.reserve).saturating_add(END_BYTES);
        if !self.quota.admits(self.length(), more) {
            self.full_since = Some(0);
            self.stop_recording();
            return false;
        }
        true
    }

    /// The recording's length, with what is about to be written.
    fn length(&self) -> u64 {
        self.written.saturating_add(self.used as u64)
    }

    /// Seals a recording that has reached its quota, whatever becomes of the process. Threads
    /// that were inside the recorder have had time to leave it and be counted.
    fn end_at_quota(&mut self) {
        let Some(passes) = self.full_since else { return };
        self.full_since = Some(passes.saturating_add(1));
        if passes != FULL_PASSES || self.is_closed {
            return;
        }
        if let Some(mut fold) = self.fold.take() {
            fold.finish(clock::now(), self);
            self.fold = Some(fold);
        }
        self.survey();
        self.seal();
        self.write_out();
        self.is_closed = true;
    }

    /// Nodes from the last one written upwards; the ones that their owner is still writing are
    /// remembered and written later, before any event can refer to them.
    fn nodes(&mut self) {
        let end = nodes::end();
        self.fill_holes();
        while self.nodes_done < end {
            let first = self.nodes_done;
            let stop = NodeId(end.0.min(first.0.saturating_add(NODES_A_BLOCK)));
            let count = (first.0..stop.0)
                .take_while(|id| nodes::definition(NodeId(*id)).is_some())
                .count() as u32;
            self.node_block(first, count);
            self.nodes_done = NodeId(first.0.saturating_add(count));
            if self.nodes_done < stop {
                let Some(place) = self.holes.get_mut(self.holes_len) else {
                    return;
                };
                *place = self.nodes_done;
                self.holes_len = self.holes_len.saturating_add(1);
                self.nodes_done = NodeId(self.nodes_done.0.saturating_add(1));
            }
        }
    }

    fn fill_holes(&mut self) {
        let mut at = 0;
        while let Some(hole) = self.holes.get(at).copied().filter(|_| at < self.holes_len) {
            if nodes::definition(hole).is_none() {
                at = at.saturating_add(1);
                continue;
            }
            self.node_block(hole, 1);
            self.holes_len = self.holes_len.saturating_sub(1);
            self.holes.copy_within(at.saturating_add(1)..=self.holes_len, at);
        }
    }

    fn node_block(&mut self, first: NodeId, count: u32) {
        if count == 0 {
            return;
        }
        let bytes = (count as usize).saturating_mul(15).saturating_add(NodesHead::BYTES);
        if !self.admits(bytes) {
            return;
        }
        self.make_room(bytes);
        self.block(BlockKind::Nodes, |out| {
            NodesHead { first, count }.write(out);
            let mut previous = crate::recording::Address(0);
            for id in first.0..first.0.saturating_add(count) {
                let Some((parent, address)) = nodes::definition(NodeId(id)) else {
                    return;
                };
                NodesHead::write_node(out, NodeId(id), parent, address, previous);
                previous = address;
            }
        });
    }

    fn threads(&mut self) {
        loop {
            let len = threads::take_pending(&mut self.pending);
            if len == 0 {
                return;
            }
            // A definition has 37 bytes at most.
            self.make_room(len.saturating_mul(40));
            let pending = std::mem::take(&mut self.pending);
            self.block(BlockKind::Threads, |out| {
                for thread in pending.iter().take(len).flatten() {
                    let name = thread.name.as_bytes();
                    ThreadDef { id: thread.id, os_id: thread.os_thread, at: thread.at, name }
                        .write(out);
                }
            });
            self.pending = pending;
        }
    }

    /// Scopes from the last one written upwards.
    fn scopes(&mut self) {
        let end = scopes::count();
        while self.scopes_done < end {
            let first = self.scopes_done.saturating_add(1);
            let last = end.min(self.scopes_done.saturating_add(SCOPES_A_BLOCK));
            let bytes = ScopeDef::HEAD_BYTES.saturating_add(LABEL_BYTES_MAX);
            self.make_room((SCOPES_A_BLOCK as usize).saturating_mul(bytes));
            self.block(BlockKind::Scopes, |out| {
                for id in (first..=last).map(ScopeId) {
                    if let Some((parent, label)) = scopes::definition(id) {
                        let name = &mut [0; LABEL_BYTES_MAX];
                        ScopeDef { id, parent, name: label.bytes(name) }.write(out);
                    }
                }
            });
            self.scopes_done = last;
        }
    }

    fn marks(&mut self) {
        let mut waiting = [const { None }; MARKS_A_BLOCK];
        loop {
            let len = marks::take(&mut waiting);
            if len == 0 {
                return;
            }
            let bytes = MarkDef::HEAD_BYTES.saturating_add(LABEL_BYTES_MAX);
            self.make_room(len.saturating_mul(bytes));
            self.block(BlockKind::Marks, |out| {
                for mark in waiting.iter().take(len).flatten() {
                    let name = &mut [0; LABEL_BYTES_MAX];
                    let (at, thread, value) = (mark.at, mark.thread, mark.value);
                    MarkDef { at, thread, value, name: mark.name.bytes(name) }.write(out);
                }
            });
        }
    }

    fn modules(&mut self) {
        while let Some(bytes) = registry::definition_bytes(self.modules_done) {
            self.make_room(bytes);
            let index = self.modules_done;
            self.block(BlockKind::Modules, |out| registry::write_definition(index, out));
            self.modules_done = self.modules_done.saturating_add(1);
        }
    }

    /// Where the system's own unwinder walks, it finds late modules itself.
    #[cfg(not(walks_with_framehop))]
    fn answer_late_modules(&mut self) {}

    #[cfg(walks_with_framehop)]
    fn answer_late_modules(&mut self) {
        while let Some(module) = late::take() {
            registry::add_late(&module);
            self.refreshes = self.refreshes.saturating_add(1);
            late::answered();
        }
    }

    /// What changes slowly: memory, counters, and names that threads were given since.
    fn survey(&mut self) {
        for tracker in pool::all() {
            let os_thread = tracker.os_thread.load(Ordering::Relaxed);
            if os_thread == 0 || !tracker.is_in(self.session) {
                continue;
            }
            if let Some(name) = ThreadName::of_thread(os_thread) {
                tracker.refresh_name(os_thread, name);
            }
        }
        self.threads();
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
        let mut counters = Counters::new();
        for tracker in pool::all().filter(|tracker| tracker.is_in(self.session)) {
            tracker.count_into(&mut counters);
        }
        counters.set(Counter::DroppedNoTracker, entry::UNTRACKED.load(Ordering::Relaxed));
        counters.set(Counter::DroppedNoMemory, entry::NO_MEMORY.load(Ordering::Relaxed));
        counters.add(Counter::DroppedReentrant, entry::DURING_START.load(Ordering::Relaxed));
        counters.set(Counter::DroppedMarks, marks::DROPPED.load(Ordering::Relaxed));
        counters.set(Counter::DroppedScopes, scopes::OVERFLOWS.load(Ordering::Relaxed));
        counters.set(Counter::DroppedSamples, sampling::DROPPED.load(Ordering::Relaxed));
        // The shortest event has one byte: an upper bound of what was lost.
        let lost =
            if self.failure.is_some() { Counter::DroppedWrite } else { Counter::DroppedQuota };
        counters.set(lost, self.lost_bytes);
        counters.set(Counter::BytesWritten, self.length());
        if let Some(fold) = &self.fold {
            counters.set(Counter::Folded, fold.blocks());
            counters.set(Counter::HeldShort, fold.held_short());
            counters.set(Counter::Undecoded, fold.undecoded_bytes());
        }
        counters.set(Counter::Threads, threads::defined());
        counters.set(Counter::Nodes, u64::from(nodes::end().0.saturating_sub(NodeId::FIRST.0)));
        counters.set(Counter::ModuleRefreshes, self.refreshes);
        counters.set(Counter::FlushGapMaxNs, self.gap_max_ns);
        let own = (BUFFER_BYTES as u64)
            .saturating_add(nodes::used_bytes())
            .saturating_add(pool::used_bytes())
            .saturating_add(sampling::used_bytes(self.session))
            .saturating_add(self.fold.as_ref().map_or(0, |fold| fold.used_bytes()));
        self.recorder_bytes_max = self.recorder_bytes_max.max(own);
        counters.set(Counter::RecorderBytes, self.recorder_bytes_max);
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
        let Some(room) = self.buffer.get_mut(self.used..) else {
            return;
        };
        let Some((head, body)) = room.split_at_mut_checked(BLOCK_HEADER_BYTES) else {
            return;
        };
        let mut out = ByteWriter::new(body);
        payload(&mut out);
        let Some(len) = out.finish() else { return };
        let Some(written) = body.get(..len) else {
            return;
        };
        head.copy_from_slice(&BlockHeader::for_payload(kind, written, &[]).to_bytes());
        self.used = self.used.saturating_add(BLOCK_HEADER_BYTES).saturating_add(len);
    }

    /// Writes the buffer out if a payload of `bytes` would not fit behind it.
    fn make_room(&mut self, bytes: usize) {
        let wanted = bytes.saturating_add(BLOCK_HEADER_BYTES);
        if self.buffer.len().saturating_sub(self.used) < wanted {
            self.write_out();
        }
    }

    fn write_out(&mut self) {
        #[cfg(rheaper_testing)]
        std::thread::sleep(crate::collector::testing::write_delay());
        let used = std::mem::take(&mut self.used);
        self.written_ns = self.passed_ns;
        if self.failure.is_some() || self.is_closed {
            return;
        }
        let Some(bytes) = self.buffer.get(..used) else {
            return;
        };
        match self.file.write_all(bytes) {
            Ok(()) => {
                self.written = self.written.saturating_add(used as u64);
                let (_, later) = self.written_before;
                if self.written.saturating_sub(later) >= REASON_BYTES {
                    self.written_before = (later, self.written);
                }
            }
            Err(error) => self.fail(&error, used),
        }
    }

    /// The file can't be written: stop recording, and say why.
    fn fail(&mut self, error: &io::Error, unwritten: usize) {
        self.failure = Some(error.raw_os_error().unwrap_or(libc::EIO));
        self.lost_bytes = self.lost_bytes.saturating_add(unwritten as u64);
        self.stop_recording();
        self.write_reason();
    }

    fn stop_recording(&self) {
        // Only this session: the program may have ended it and begun another meanwhile.
        let _ = SESSION.compare_exchange(self.session, 0, Ordering::SeqCst, Ordering::Relaxed);
    }

    /// Ends the file with its counters and the reason. A full disk still has what is left of the
    /// last page; where that is too little, the last blocks make room, whose bytes are there.
    fn write_reason(&mut self) {
        if self.is_closed || guards::without("reason") {
            return;
        }
        self.used = 0;
        let counters = self.counters();
        self.block(BlockKind::Counters, |out| counters.write(out));
        self.seal();
        let used = std::mem::take(&mut self.used);
        let Some(bytes) = self.buffer.get(..used) else {
            return;
        };
        let places = match self.reason_at {
            // Once more at the end, with the last counts.
            Some((at, len)) if len == used => [at, at],
            Some(_) => return,
            None => [self.written, self.written_before.0],
        };
        for place in places {
            let end = place.saturating_add(used as u64);
            if self.file.write_all_at(bytes, place).is_ok() && self.file.set_len(end).is_ok() {
                self.reason_at = Some((place, used));
                return;
            }
        }
    }
}

impl Target for Flusher {
    fn payload(
        &mut self,
        kind: BlockKind,
        bytes: usize,
        write: &mut dyn FnMut(&mut ByteWriter<'_>),
    ) {
        // Room for sums was kept free.
        if kind == BlockKind::Events && !self.admits(bytes) {
            self.lost_bytes = self.lost_bytes.saturating_add(bytes as u64);
            return;
        }
        self.make_room(bytes);
        self.block(kind, |out| write(out));
    }
}

/// Room for any block that is not asked room for on its own: counters, a clock pair, a seal.
const SMALL_BLOCK_BYTES: usize = 4096;
