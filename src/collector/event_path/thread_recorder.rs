//! The recorder of one thread: stack walker, encoder, ring buffer and counters.
//!
//! Invariants:
//! - Only the thread that set `busy` accesses [`Local`]: the owner outside of signal handlers that
//!   interrupt it, or the pool while there is no owner.
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

/// Event counters of one thread.
#[derive(Debug, Default)]
pub(crate) struct ThreadCounters {
    /// Allocations on the fast path with the same stack as the one before.
    pub(crate) same_stack_allocations: SoloCounter,
    /// Allocations on the fast path with a recent stack.
    pub(crate) recent_stack_allocations: SoloCounter,
    /// All other allocations.
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

/// The recorder of one thread.
pub(crate) struct ThreadRecorder {
    pub(crate) busy: AtomicBool,
    pub(crate) session: AtomicSessionWord,
    pub(crate) stream: StreamId,
    pub(crate) shared: RingShared,
    pub(crate) counters: ThreadCounters,
    /// The kernel's thread id; 0 while the recorder is in the pool.
    pub(crate) os_thread: AtomicU64,
    pub(crate) thread: AtomicU32,
    /// The last defined name of the thread, in two halves.
    name: (AtomicU64, AtomicU64),
    local: UnsafeCell<Local>,
}

/// The state that only the holder of `busy` accesses.
pub(crate) struct Local {
    pub(crate) walker: Walker,
    pub(crate) encoder: Encoder,
    pub(crate) ring: RingProducer,
    /// A backtrace is captured if a random number is below this.
    sample_below: u64,
    pub(crate) random: u64,
    depth_max: usize,
    /// Rounds of thread-local destructors so far.
    pub(crate) exit_rounds: u32,
    /// A wait for space timed out: events are dropped until there is space again.
    pub(crate) dropping_events: bool,
    /// Time at which the current thread was assigned.
    pub(crate) attached_at: Ticks,
    /// A keyframe has to be written before the next event.
    pub(crate) keyframe_due: bool,
    /// The current scope may differ from `scope_written`.
    pub(crate) scope_due: bool,
    /// The scope that the stream is in.
    scope_written: ScopeId,
    /// Next entry of the pool's free list: index plus one, 0: end.
    next_free: u32,
}

// SAFETY: only the thread that set `busy` accesses `local`; everything else is atomic.
unsafe impl Sync for ThreadRecorder {}

impl ThreadRecorder {
    /// Whether its thread is inside the recorder.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    /// Whether it has joined `session`.
    pub(crate) fn records_in(&self, session: SessionWord) -> bool {
        self.session.load(Ordering::Acquire).session() == session
    }

    /// Requests a keyframe before the next event, if this recorder has joined `session`.
    pub(crate) fn request_keyframe(&self, session: SessionWord) {
        let word = self.session.load(Ordering::Relaxed);
        if word.session() == session {
            // Fails if the thread joins another session in the meantime, which starts with a keyframe.
            self.session.replace(word, word.with_keyframe(), Ordering::Relaxed);
        }
    }

    /// Adds the counters of this thread recorder.
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

    /// Defines the thread again if its name has changed. Called by the flusher, and by the thread
    /// when it ends.
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

    /// The state that only the holder of `busy` may access.
    #[inline(always)]
    pub(crate) fn local(&self) -> *mut Local {
        self.local.get()
    }

    /// The link of the pool's free list. The caller holds the pool's lock, and the recorder has no
    /// thread.
    pub(crate) fn next_free(&self) -> *mut u32 {
        // SAFETY: the field lives as long as the thread recorder, and only its address is taken.
        unsafe { &raw mut (*self.local.get()).next_free }
    }

    /// Returns the ring's memory to the system. Nothing is recorded now.
    pub(crate) fn discard(&self) {
        self.busy.store(true, Ordering::SeqCst);
        if SESSION.load(Ordering::SeqCst).is_none() {
            // SAFETY: this thread set `busy`, and no session is running.
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
            // Owned by the pool until it is assigned.
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
        // SAFETY: the mapping is new, large enough and page-aligned.
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
            // SAFETY: the mapping is new, zeroed, and of the size that the walker requires.
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

    /// Applies the configuration of a new session. A buffer of another size replaces the old one,
    /// which stays mapped while its memory is returned to the system.
    pub(crate) fn apply_config(&mut self, shared: &RingShared) -> bool {
        let config = session_config::get();
        self.sample_below = config.sample_below;
        self.walker.enable_fast_entry(config.sample_below == u64::MAX);
        if self.depth_max != config.depth_max {
            let Some(pages) = sys::map_pages(Walker::bytes(config.depth_max)) else {
                return false;
            };
            self.walker.discard(self.depth_max);
            // SAFETY: the mapping is new, zeroed, and of the size that the walker requires.
            self.walker = unsafe { Walker::new(pages, config.depth_max) };
            self.walker.enable_fast_entry(config.sample_below == u64::MAX);
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

    /// The node of the last stack, if the current stack is the same and every backtrace is
    /// captured.
    #[inline(always)]
    pub(crate) fn same_stack(&self, start: &Start) -> Option<NodeId> {
        #[cfg(rheaper_testing)]
        if crate::collector::testing::is_naive() {
            return None;
        }
        self.walker.find_last(start)
    }

    /// The node of a recent stack, if the current stack is the same and every backtrace is
    /// captured; else [`NodeId::NONE`].
    #[inline(always)]
    pub(crate) fn recent_stack(&self, start: &Start) -> NodeId {
        #[cfg(rheaper_testing)]
        if crate::collector::testing::is_naive() {
            return NodeId::NONE;
        }
        self.walker.find_recent(start)
    }

    #[cfg(rheaper_testing)]
    pub(crate) fn depth_max(&self) -> usize {
        self.depth_max
    }

    /// Whether to capture the backtrace of this allocation.
    #[inline(always)]
    pub(crate) fn is_sampled(&mut self) -> bool {
        self.sample_below == u64::MAX || self.draw() < self.sample_below
    }

    /// xorshift64 (Marsaglia 2003): six instructions, and random enough for sampling.
    fn draw(&mut self) -> u64 {
        let mut value = self.random;
        value ^= value << 13;
        value ^= value >> 7;
        value ^= value << 17;
        self.random = value;
        value
    }

    /// Ensures space for an event, and returns whether it fits. Waits for the flusher for a bounded
    /// time.
    #[cold]
    pub(crate) fn ensure_space(&mut self, recorder: &ThreadRecorder) -> bool {
        let _errno = PreservedErrno::new();
        let mut space = self.ring.check_space(&recorder.shared);
        if space.is_half_full {
            event_count::wake_flusher();
        }
        if !space.fits && !self.dropping_events {
            let started_ns = sys::monotonic_ns();
            let mut waited_ns = 0;
            let wait_max_ns = session_config::wait_max_ns();
            while !space.fits && waited_ns < wait_max_ns {
                let ticket = event_count::space_ticket();
                space = self.ring.check_space(&recorder.shared);
                if !space.fits {
                    event_count::wait_for_space(ticket, session_config::WAIT_STEP);
                }
                waited_ns = sys::monotonic_ns().saturating_sub(started_ns);
            }
            recorder.counters.waited_ns.add(waited_ns);
        }
        self.dropping_events = !space.fits;
        if space.fits && (space.keyframe_due || self.keyframe_due) {
            // Not the current time: the cost of writing a keyframe must not change the times of
            // events.
            let now = self.encoder.now().max(self.attached_at);
            self.keyframe(recorder, now);
        }
        if space.fits && self.scope_due {
            self.emit_scope(recorder);
        }
        space.fits
    }

    /// Schedules a scope event if the current scope differs from the stream's.
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
        // The limit of the ring depends on the last keyframe.
        self.ring.check_space(&recorder.shared);
        self.scope_written = ScopeId::NONE;
        self.scope_due = true;
    }

    /// Writes the current scope. Its space is that of a keyframe, which is reserved with every
    /// event.
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
