//! One thread's recorder: its walker, its encoder, its region.
//!
//! Reads: the session's limits. Writes: its region, and thread definitions for the flusher.
//!
//! Invariants:
//! - A thread recorder's [`Local`] is touched only by who set its `busy` flag: its thread outside of
//!   signal handlers that interrupted it, or the pool while it has no thread.
//! - Thread recorders are never freed.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use crate::collector::event_path::ring::{RingProducer, RingShared};
use crate::collector::event_path::scope_table;
use crate::collector::event_path::session_config;
use crate::collector::event_path::session_word::{AtomicSessionWord, SESSION, SessionWord};
use crate::collector::event_path::threads;
use crate::collector::platform::clock;
use crate::collector::platform::counter::{SoloCounter, WalkCounters};
use crate::collector::platform::event_count;
use crate::collector::platform::sys::{self, PreservedErrno, ThreadName};
use crate::collector::unwind::walker::{Start, Walker};
use crate::recording::{Counter, Counters, Encoder, NodeId, ScopeId, StreamId, ThreadId, Ticks};

/// What a thread counts.
#[derive(Debug, Default)]
pub(crate) struct ThreadCounters {
    /// Allocations whose stack was the last one, and nothing else about them unusual.
    pub(crate) same_stack_allocations: SoloCounter,
    /// The same, whose stack was a recent one.
    pub(crate) recent_stack_allocations: SoloCounter,
    /// All others.
    pub(crate) full_path_allocations: SoloCounter,
    pub(crate) frees: SoloCounter,
    pub(crate) reallocations: SoloCounter,
    pub(crate) failed: SoloCounter,
    pub(crate) dropped_full: SoloCounter,
    pub(crate) reentrant: SoloCounter,
    pub(crate) not_sampled: SoloCounter,
    pub(crate) waited_ns: SoloCounter,
    pub(crate) walk: WalkCounters,
}

impl ThreadCounters {
    pub(crate) fn reset(&self) {
        let all = [
            &self.same_stack_allocations,
            &self.recent_stack_allocations,
            &self.full_path_allocations,
            &self.frees,
            &self.reallocations,
            &self.failed,
            &self.dropped_full,
            &self.reentrant,
            &self.not_sampled,
            &self.waited_ns,
            &self.walk.hits,
            &self.walk.suffix_hits,
            &self.walk.misses,
            &self.walk.new_frames,
            &self.walk.rules_derived,
            &self.walk.truncated,
            &self.walk.failed,
            &self.walk.overflow,
        ];
        all.into_iter().for_each(SoloCounter::reset);
    }
}

/// A thread's recorder.
pub(crate) struct ThreadRecorder {
    pub(crate) busy: AtomicBool,
    pub(crate) session: AtomicSessionWord,
    pub(crate) stream: StreamId,
    pub(crate) shared: RingShared,
    pub(crate) counters: ThreadCounters,
    /// The thread's id for the kernel; 0 while the thread recorder is in the pool.
    pub(crate) os_thread: AtomicU64,
    pub(crate) thread: AtomicU32,
    /// The thread's name as it was defined last, in two halves.
    name: (AtomicU64, AtomicU64),
    local: UnsafeCell<Local>,
}

/// What only the holder of `busy` touches.
pub(crate) struct Local {
    pub(crate) walker: Walker,
    pub(crate) encoder: Encoder,
    pub(crate) ring: RingProducer,
    /// An allocation's backtrace is probed when a random number is below this.
    sample_below: u64,
    pub(crate) random: u64,
    depth_max: usize,
    /// Rounds of thread-local destructors that this thread has been through.
    pub(crate) exit_rounds: u32,
    /// Waited in vain: until there is room again, events are dropped at once.
    pub(crate) dropping_events: bool,
    /// When the present thread was given this thread recorder.
    pub(crate) attached_at: Ticks,
    /// A new thread's keyframe has not been written yet.
    pub(crate) keyframe_due: bool,
    /// The thread may be in another scope than its stream says.
    pub(crate) scope_due: bool,
    scope_written: ScopeId,
    /// Next in the pool, by index plus one.
    next_free: u32,
}

// SAFETY: `local` is guarded by `busy` as said above; everything else is atomic.
unsafe impl Sync for ThreadRecorder {}

impl ThreadRecorder {
    /// Whether somebody is recording with it right now.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    /// Whether it has recorded anything in `session`.
    pub(crate) fn records_in(&self, session: SessionWord) -> bool {
        self.session.load(Ordering::Acquire).session() == session
    }

    /// Has the thread recorder write a keyframe before its next event, if it records in `session`.
    pub(crate) fn request_keyframe(&self, session: SessionWord) {
        let word = self.session.load(Ordering::Relaxed);
        if word.session() == session {
            // Fails if the thread joins another session in the meantime, which starts with a keyframe.
            self.session.replace(word, word.with_keyframe(), Ordering::Relaxed);
        }
    }

    /// Adds what this thread recorder counted.
    pub(crate) fn count_into(&self, counters: &mut Counters) {
        let own = &self.counters;
        let walk = &own.walk;
        for (counter, value) in [
            (Counter::Allocations, &own.same_stack_allocations),
            (Counter::Allocations, &own.recent_stack_allocations),
            (Counter::Allocations, &own.full_path_allocations),
            (Counter::Frees, &own.frees),
            (Counter::Reallocations, &own.reallocations),
            (Counter::Failed, &own.failed),
            (Counter::DroppedFull, &own.dropped_full),
            (Counter::DroppedReentrant, &own.reentrant),
            (Counter::NotSampled, &own.not_sampled),
            (Counter::WaitedNs, &own.waited_ns),
            (Counter::WalkHits, &own.same_stack_allocations),
            (Counter::WalkHits, &walk.hits),
            (Counter::WalkSuffixHits, &own.recent_stack_allocations),
            (Counter::WalkSuffixHits, &walk.suffix_hits),
            (Counter::WalkMisses, &walk.misses),
            (Counter::NewFrames, &walk.new_frames),
            (Counter::RulesDerived, &walk.rules_derived),
            (Counter::Truncated, &walk.truncated),
            (Counter::FailedWalks, &walk.failed),
            (Counter::StackTableFull, &walk.overflow),
        ] {
            counters.add(counter, value.get());
        }
    }

    /// Defines the thread anew if `name` is not what it was called last. Called by the flusher, and
    /// by the thread when it ends.
    pub(crate) fn refresh_name(&self, os_thread: u64, name: ThreadName) {
        let (front, back) = name.halves();
        let known = (self.name.0.load(Ordering::Relaxed), self.name.1.load(Ordering::Relaxed));
        if (front, back) != known {
            self.set_name(name);
            let thread = ThreadId(self.thread.load(Ordering::Relaxed));
            threads::define(Some(thread), os_thread, clock::now(), name);
        }
    }

    pub(crate) fn set_name(&self, name: ThreadName) {
        let (front, back) = name.halves();
        self.name.0.store(front, Ordering::Relaxed);
        self.name.1.store(back, Ordering::Relaxed);
    }

    /// What only the holder of `busy` touches.
    #[inline(always)]
    pub(crate) fn local(&self) -> *mut Local {
        self.local.get()
    }

    /// Where the pool keeps its list. Whoever has the pool's lock, and a thread recorder without a thread
    /// here, may use it.
    pub(crate) fn next_free(&self) -> *mut u32 {
        // SAFETY: the place is there as long as the thread recorder is.
        unsafe { &raw mut (*self.local.get()).next_free }
    }

    /// Gives the memory of what was recorded back to the system. Nothing is recorded now.
    pub(crate) fn discard(&self) {
        self.busy.store(true, Ordering::SeqCst);
        if SESSION.load(Ordering::SeqCst).is_none() {
            // SAFETY: `busy` is set, and no thread records.
            unsafe { (*self.local.get()).ring.discard() };
        }
        self.busy.store(false, Ordering::Release);
    }

    pub(crate) fn create(index: usize) -> Option<&'static Self> {
        let pages = sys::map_pages(size_of::<Self>())?.cast::<Self>();
        let stream = StreamId(u32::try_from(index).ok()?);
        let shared = RingShared::default();
        let local = Local::new(&shared)?;
        let recorder = Self {
            // The pool's until it is handed out.
            busy: AtomicBool::new(false),
            session: AtomicSessionWord::new(SessionWord::NOT_JOINED),
            stream,
            shared,
            counters: ThreadCounters::default(),
            os_thread: AtomicU64::new(0),
            thread: AtomicU32::new(0),
            name: (AtomicU64::new(0), AtomicU64::new(0)),
            local: UnsafeCell::new(local),
        };
        // SAFETY: fresh pages, large enough and page-aligned.
        unsafe {
            pages.write(recorder);
            Some(pages.as_ref())
        }
    }
}

impl Local {
    fn new(shared: &RingShared) -> Option<Self> {
        let config = session_config::get();
        let pages = sys::map_pages(Walker::bytes(config.depth_max))?;
        Some(Self {
            // SAFETY: fresh zeroed pages of the size that it asked for.
            walker: unsafe { Walker::new(pages, config.depth_max) },
            encoder: Encoder::new(),
            ring: RingProducer::new(config.ring_bytes, shared)?,
            sample_below: config.sample_below,
            random: 1,
            depth_max: config.depth_max,
            exit_rounds: 0,
            dropping_events: false,
            attached_at: Ticks(0),
            keyframe_due: true,
            scope_due: false,
            scope_written: ScopeId::NONE,
            next_free: 0,
        })
    }

    /// Takes on the limits of a new session; memory of another size replaces the old, which
    /// stays mapped but is given back to the system.
    pub(crate) fn apply_config(&mut self, shared: &RingShared) -> bool {
        let config = session_config::get();
        self.sample_below = config.sample_below;
        self.walker.commit_fast_entry(config.sample_below == u64::MAX);
        if self.depth_max != config.depth_max {
            let Some(pages) = sys::map_pages(Walker::bytes(config.depth_max)) else {
                return false;
            };
            self.walker.discard(self.depth_max);
            // SAFETY: fresh zeroed pages of the size that it asked for.
            self.walker = unsafe { Walker::new(pages, config.depth_max) };
            self.walker.commit_fast_entry(config.sample_below == u64::MAX);
            self.depth_max = config.depth_max;
        }
        if self.ring.ring_bytes() != config.ring_bytes {
            self.ring.discard();
            let Some(ring) = RingProducer::new(config.ring_bytes, shared) else {
                return false;
            };
            self.ring = ring;
        }
        true
    }

    /// The last stack, if it is the present one and every backtrace is to be probed.
    #[inline(always)]
    pub(crate) fn same_stack(&self, start: &Start) -> Option<NodeId> {
        #[cfg(rheaper_testing)]
        if crate::collector::testing::is_naive() {
            return None;
        }
        self.walker.same(start)
    }

    /// A recent stack, if it is the present one and every backtrace is to be probed; else
    /// [`NodeId::NONE`].
    #[inline(always)]
    pub(crate) fn recent_stack(&self, start: &Start) -> NodeId {
        #[cfg(rheaper_testing)]
        if crate::collector::testing::is_naive() {
            return NodeId::NONE;
        }
        self.walker.recalled(start)
    }

    #[cfg(rheaper_testing)]
    pub(crate) fn depth_max(&self) -> usize {
        self.depth_max
    }

    /// Whether this allocation's backtrace is to be probed.
    #[inline(always)]
    pub(crate) fn is_sampled(&mut self) -> bool {
        self.sample_below == u64::MAX || self.draw() < self.sample_below
    }

    /// xorshift64 (Marsaglia 2003): good enough to choose, and three instructions.
    fn draw(&mut self) -> u64 {
        let mut value = self.random;
        value ^= value << 13;
        value ^= value >> 7;
        value ^= value << 17;
        self.random = value;
        value
    }

    /// Makes sure that an event fits; answers whether it does. Waits for the flusher for a
    /// bounded time.
    #[cold]
    pub(crate) fn ensure_space(&mut self, recorder: &ThreadRecorder) -> bool {
        let _errno = PreservedErrno::new();
        let mut space = self.ring.check_space(&recorder.shared);
        if space.is_half_full {
            event_count::wake_flusher();
        }
        if !space.fits && !self.dropping_events {
            let began = sys::monotonic_ns();
            let mut waited_ns = 0;
            let wait_max_ns = session_config::wait_max_ns();
            while !space.fits && waited_ns < wait_max_ns {
                let ticket = event_count::space_ticket();
                space = self.ring.check_space(&recorder.shared);
                if !space.fits {
                    event_count::wait_for_space(ticket, session_config::WAIT_STEP);
                }
                waited_ns = sys::monotonic_ns().saturating_sub(began);
            }
            recorder.counters.waited_ns.add(waited_ns);
        }
        self.dropping_events = !space.fits;
        if space.fits && (space.keyframe_due || self.keyframe_due) {
            // Not a reading of the clock: what a keyframe costs must not show in the times.
            let now = self.encoder.now().max(self.attached_at);
            self.keyframe(recorder, now);
        }
        if space.fits && self.scope_due {
            self.emit_scope(recorder);
        }
        space.fits
    }

    /// Makes the stream tell its scope before the next event, where it has not been told so.
    pub(crate) fn check_scope(&mut self) {
        if scope_table::current().scope != self.scope_written {
            self.scope_due = true;
            self.ring.force_slow_path();
        }
    }

    fn keyframe(&mut self, recorder: &ThreadRecorder, now: Ticks) {
        let thread = ThreadId(recorder.thread.load(Ordering::Relaxed));
        self.keyframe_due = false;
        self.ring.mark_keyframe(&recorder.shared);
        let len = self.encoder.keyframe(self.ring.slot(), now, thread);
        self.ring.commit(&recorder.shared, len);
        // The limits depend on where the last keyframe is.
        self.ring.check_space(&recorder.shared);
        self.scope_written = ScopeId::NONE;
        self.scope_due = true;
    }

    /// Says in which scope the next events happen. The room for it is that of a keyframe, which
    /// is kept beside that of every event.
    fn emit_scope(&mut self, recorder: &ThreadRecorder) {
        self.scope_due = false;
        let scope = scope_table::current().scope;
        if scope != self.scope_written {
            self.scope_written = scope;
            let len = self.encoder.scope(self.ring.slot(), scope);
            self.ring.commit(&recorder.shared, len);
        }
    }
}
