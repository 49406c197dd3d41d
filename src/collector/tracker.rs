//! One thread's recorder: its walker, its encoder, its region; and the pool they come from.
//!
//! Reads: the session's limits. Writes: its region, and thread definitions for the flusher.
//!
//! Invariants:
//! - A tracker's [`Local`] is touched only by who set its `busy` flag: its thread outside of
//!   signal handlers that interrupted it, or the pool while it has no thread.
//! - Trackers are never freed. When a thread ends its tracker goes back to the pool, after all
//!   other thread-local destructors that allocate have had their turn.

use std::cell::{Cell, UnsafeCell};
use std::ptr::{self, NonNull};
use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, compiler_fence, fence,
};

use crate::collector::clock;
use crate::collector::limits::{self, TRACKERS_MAX};
use crate::collector::region::{Region, Shared};
use crate::collector::scopes;
use crate::collector::signal;
use crate::collector::sync::SpinLock;
use crate::collector::sys::{self, PreservedErrno, ThreadName};
use crate::collector::tally::Tally;
use crate::collector::walk::{Start, WalkTallies, Walker};
use crate::guards;
use crate::recording::{Counter, Counters, Encoder, NodeId, ScopeId, StreamId, ThreadId, Ticks};

/// The session that is recording, or 0. The only thing that is read when recording is off.
pub(in crate::collector) static SESSION: AtomicU32 = AtomicU32::new(0);

/// Whether [`sys::memory_barrier`] works; else each event has a fence of its own.
pub(in crate::collector) static HAS_BARRIER: AtomicBool = AtomicBool::new(false);

/// Set in a tracker's session where events need what [`enter_usual`] does not give: a fence each,
/// another clock, or a look whether they are sampled.
const UNUSUAL: u32 = 1 << 30;

/// Set in a tracker's session where the flusher wants a keyframe before the next event.
const KEYFRAME: u32 = 1 << 29;

/// Part of a session's number where blocks are sampled: its events come through
/// [`enter_sampled`]. The sign, so that off, all and sampled are told apart by one comparison.
pub(in crate::collector) const SAMPLED: u32 = 1 << 31;

/// What is left for sessions' numbers.
pub(in crate::collector) const SESSION_MASK: u32 = !(UNUSUAL | KEYFRAME);

/// Events of threads that have no tracker.
pub(in crate::collector) static UNTRACKED: AtomicU64 = AtomicU64::new(0);
/// Events that came while their thread was being given a tracker.
pub(in crate::collector) static DURING_START: AtomicU64 = AtomicU64::new(0);
/// Events of threads for whose tracker the system had no memory.
pub(in crate::collector) static NO_MEMORY: AtomicU64 = AtomicU64::new(0);

static TABLE: [AtomicPtr<Tracker>; TRACKERS_MAX] =
    [const { AtomicPtr::new(ptr::null_mut()) }; TRACKERS_MAX];
static CREATED: AtomicUsize = AtomicUsize::new(0);

/// The pthread key whose destructor returns trackers, plus one; 0 before the first recording.
static EXIT_KEY: AtomicU32 = AtomicU32::new(0);

/// A thread that nothing is recorded of, for now: it is inside the recorder.
const IGNORED: *mut Tracker = ptr::without_provenance_mut(1);
/// A thread of the recorder itself: what it allocates is no loss.
const OWN: *mut Tracker = ptr::without_provenance_mut(2);
/// A thread whose end has been handled. The largest of these: whatever is above is a tracker.
const ENDED: *mut Tracker = ptr::without_provenance_mut(3);

thread_local! {
    // Constant and without a destructor, so that it is usable at any moment of a thread's life.
    static SLOT: Cell<*mut Tracker> = const { Cell::new(ptr::null_mut()) };
    /// The session in which this thread found no tracker.
    static REFUSED: Cell<u32> = const { Cell::new(0) };
}

/// What a thread counts.
#[derive(Debug, Default)]
pub(in crate::collector) struct Tallies {
    /// Allocations whose stack was the last one, and nothing else about them unusual.
    pub(in crate::collector) usual_allocations: Tally,
    /// All others.
    pub(in crate::collector) other_allocations: Tally,
    pub(in crate::collector) frees: Tally,
    pub(in crate::collector) reallocations: Tally,
    pub(in crate::collector) failed: Tally,
    pub(in crate::collector) dropped_full: Tally,
    pub(in crate::collector) reentrant: Tally,
    pub(in crate::collector) not_sampled: Tally,
    pub(in crate::collector) waited_ns: Tally,
    pub(in crate::collector) walk: WalkTallies,
}

impl Tallies {
    fn reset(&self) {
        let all = [
            &self.usual_allocations,
            &self.other_allocations,
            &self.frees,
            &self.reallocations,
            &self.failed,
            &self.dropped_full,
            &self.reentrant,
            &self.not_sampled,
            &self.waited_ns,
            &self.walk.hits,
            &self.walk.recalled,
            &self.walk.misses,
            &self.walk.fresh,
            &self.walk.derived,
            &self.walk.truncated,
            &self.walk.failed,
            &self.walk.other,
        ];
        all.into_iter().for_each(Tally::reset);
    }
}

/// A thread's recorder.
pub(in crate::collector) struct Tracker {
    busy: AtomicBool,
    session: AtomicU32,
    pub(in crate::collector) stream: StreamId,
    pub(in crate::collector) shared: Shared,
    pub(in crate::collector) tallies: Tallies,
    /// The thread's id for the kernel; 0 while the tracker is in the pool.
    pub(in crate::collector) os_thread: AtomicU64,
    pub(in crate::collector) thread: AtomicU32,
    /// The thread's name as it was defined last, in two halves.
    name: (AtomicU64, AtomicU64),
    local: UnsafeCell<Local>,
}

/// What only the holder of `busy` touches.
pub(in crate::collector) struct Local {
    pub(in crate::collector) walker: Walker,
    pub(in crate::collector) encoder: Encoder,
    pub(in crate::collector) region: Region,
    /// An allocation's backtrace is probed when a random number is below this.
    sample_below: u64,
    random: u64,
    depth_max: usize,
    /// Rounds of thread-local destructors that this thread has been through.
    exit_rounds: u32,
    /// Waited in vain: until there is room again, events are dropped at once.
    gave_up: bool,
    /// When the present thread was given this tracker.
    joined: Ticks,
    /// A new thread's keyframe has not been written yet.
    keyframe_due: bool,
    /// The thread may be in another scope than its stream says.
    scope_due: bool,
    scope_said: ScopeId,
    /// Next in the pool, by index plus one.
    next_free: u32,
}

// SAFETY: `local` is guarded by `busy` as said above; everything else is atomic.
unsafe impl Sync for Tracker {}

/// The right to record on this thread, until dropped.
pub(in crate::collector) struct Entered {
    tracker: &'static Tracker,
}

impl Entered {
    #[inline(always)]
    pub(in crate::collector) fn tracker(&self) -> &'static Tracker {
        self.tracker
    }

    #[inline(always)]
    pub(in crate::collector) fn local(&mut self) -> &mut Local {
        // SAFETY: `busy` is set, and this value is the one that set it.
        unsafe { &mut *self.tracker.local.get() }
    }
}

impl Drop for Entered {
    #[inline(always)]
    fn drop(&mut self) {
        self.tracker.busy.store(false, Ordering::Release);
    }
}

/// Begins an event: `None` if this thread does not record now.
#[inline(always)]
pub(in crate::collector) fn enter() -> Option<Entered> {
    let slot = SLOT.get();
    if slot.addr() <= ENDED.addr() {
        return enter_slowly(slot);
    }
    // SAFETY: trackers are never freed.
    let tracker: &'static Tracker = unsafe { &*slot };
    enter_tracker(tracker)
}

#[inline(always)]
fn enter_tracker(tracker: &'static Tracker) -> Option<Entered> {
    if tracker.busy.load(Ordering::Relaxed) && !guards::without("busy flag") {
        // A signal handler, or the recorder itself.
        tracker.tallies.reentrant.add(1);
        return None;
    }
    tracker.busy.store(true, Ordering::Relaxed);
    // Whoever stops the recording clears SESSION, makes every core pass a barrier and then
    // looks at `busy`: so either it sees `busy`, or this sees the cleared SESSION.
    compiler_fence(Ordering::SeqCst);
    let session = SESSION.load(Ordering::Relaxed);
    let mut entered = Entered { tracker };
    if session == tracker.session.load(Ordering::Relaxed) || entered.join_whole(session) {
        Some(entered)
    } else {
        None
    }
}

/// Begins an event where nothing is out of the ordinary: the thread has a tracker in this session,
/// is not inside of it, its clock is the processor's counter, and all blocks are recorded. Else
/// `None`, and [`enter`] says more. No call is in here.
#[inline(always)]
pub(in crate::collector) fn enter_usual() -> Option<Entered> {
    let slot = SLOT.get();
    if slot.addr() <= ENDED.addr() {
        return None;
    }
    // SAFETY: trackers are never freed.
    let tracker: &'static Tracker = unsafe { &*slot };
    if tracker.busy.load(Ordering::Relaxed) && !guards::without("busy flag") {
        return None;
    }
    tracker.busy.store(true, Ordering::Relaxed);
    // As in `enter_tracker`.
    compiler_fence(Ordering::SeqCst);
    let entered = Entered { tracker };
    let is_joined = SESSION.load(Ordering::Relaxed) == tracker.session.load(Ordering::Relaxed);
    is_joined.then_some(entered)
}

/// The same in a session that samples, and in no other: a tracker's session is never equal to
/// such a one, so that [`enter`] refuses what began before it without asking at each event.
#[cold]
pub(in crate::collector) fn enter_sampled() -> Option<Entered> {
    let (slot, session) = (SLOT.get(), SESSION.load(Ordering::Relaxed));
    if session & SAMPLED == 0 {
        return None;
    }
    if slot.addr() <= ENDED.addr() {
        return enter_first(slot, session);
    }
    // SAFETY: trackers are never freed.
    let tracker: &'static Tracker = unsafe { &*slot };
    if tracker.busy.load(Ordering::Relaxed) {
        tracker.tallies.reentrant.add(1);
        return None;
    }
    tracker.busy.store(true, Ordering::Relaxed);
    // As in `enter_tracker`.
    compiler_fence(Ordering::SeqCst);
    let mut entered = Entered { tracker };
    let is_on = SESSION.load(Ordering::Relaxed) == session && entered.join(session);
    is_on.then_some(entered)
}

/// The right to record in whatever session there is.
pub(in crate::collector) fn enter_any() -> Option<Entered> {
    if SESSION.load(Ordering::Relaxed) & SAMPLED == 0 { enter() } else { enter_sampled() }
}

#[cold]
fn enter_slowly(slot: *mut Tracker) -> Option<Entered> {
    let session = SESSION.load(Ordering::Relaxed);
    if session & SAMPLED == 0 { enter_first(slot, session) } else { None }
}

fn enter_first(slot: *mut Tracker, session: u32) -> Option<Entered> {
    if slot == IGNORED {
        DURING_START.fetch_add(u64::from(session != 0), Ordering::Relaxed);
        return None;
    }
    if session == 0 || slot == OWN {
        return None;
    }
    if slot == ENDED || REFUSED.get() == session {
        UNTRACKED.fetch_add(1, Ordering::Relaxed);
        return None;
    }
    let _errno = PreservedErrno::new();
    SLOT.set(IGNORED);
    let tracker = Pool::take();
    let Some(tracker) = tracker else {
        SLOT.set(ptr::null_mut());
        REFUSED.set(session);
        UNTRACKED.fetch_add(1, Ordering::Relaxed);
        return None;
    };
    let entered = begin_thread(tracker, session);
    arm_exit(tracker);
    SLOT.set(ptr::from_ref(tracker).cast_mut());
    entered
}

/// Makes a tracker out of the pool this thread's.
fn begin_thread(tracker: &'static Tracker, session: u32) -> Option<Entered> {
    tracker.busy.store(true, Ordering::Relaxed);
    // As in `enter_tracker`; here a fence costs nothing that matters.
    fence(Ordering::SeqCst);
    let mut entered = Entered { tracker };
    if SESSION.load(Ordering::Relaxed) != session {
        return None;
    }
    if tracker.is_in(session) {
        entered.start_thread();
        return Some(entered);
    }
    entered.join(session).then_some(entered)
}

/// Gives this thread a tracker in a session that is about to begin, so that it is thread 0.
pub(in crate::collector) fn enlist(session: u32) -> bool {
    let slot = SLOT.get();
    let tracker = if slot.addr() > ENDED.addr() {
        // SAFETY: trackers are never freed.
        unsafe { &*slot }
    } else {
        let Some(tracker) = Pool::take() else {
            return false;
        };
        arm_exit(tracker);
        SLOT.set(ptr::from_ref(tracker).cast_mut());
        tracker
    };
    tracker.busy.store(true, Ordering::Relaxed);
    Entered { tracker }.join(session)
}

/// This thread is in another scope: its stream tells so before the next event. A thread that has
/// no tracker yet tells it behind its first keyframe.
pub(in crate::collector) fn scope_changed() {
    let slot = SLOT.get();
    let session = SESSION.load(Ordering::Relaxed);
    // Where blocks are sampled each event looks for itself.
    if session == 0 || session & SAMPLED != 0 || slot.addr() <= ENDED.addr() {
        return;
    }
    // SAFETY: trackers are never freed.
    let tracker: &'static Tracker = unsafe { &*slot };
    // In a signal handler that interrupted the recorder: it leaves its scopes before it returns.
    if tracker.busy.load(Ordering::Relaxed) {
        return;
    }
    if let Some(mut entered) = enter_tracker(tracker) {
        let local = entered.local();
        local.scope_due = true;
        local.region.look_next();
    }
}

/// Keeps the calling thread out of the recording until dropped.
pub(in crate::collector) struct Ignored(*mut Tracker);

impl Ignored {
    pub(in crate::collector) fn new() -> Self {
        Self(SLOT.replace(IGNORED))
    }

    /// The same for a thread of the recorder itself, for good.
    pub(in crate::collector) fn own_thread() -> Self {
        Self(SLOT.replace(OWN))
    }
}

impl Drop for Ignored {
    fn drop(&mut self) {
        // Unless the thread was given a tracker meanwhile.
        if matches!(SLOT.get(), IGNORED | OWN) {
            SLOT.set(self.0);
        }
    }
}

impl Entered {
    /// Makes the tracker part of a session that records every event.
    #[cold]
    fn join_whole(&mut self, session: u32) -> bool {
        session & SAMPLED == 0 && self.join(session)
    }

    /// Makes the tracker part of `session`. `false`: there is none, or no memory for it.
    #[cold]
    fn join(&mut self, session: u32) -> bool {
        if session == 0 {
            return false;
        }
        if self.tracker.is_in(session) {
            if self.tracker.session.load(Ordering::Relaxed) & KEYFRAME != 0 {
                self.tracker.session.fetch_and(!KEYFRAME, Ordering::Relaxed);
                let local = self.local();
                local.keyframe_due = true;
                local.region.look_next();
            }
            // Where nothing is usual, every event passes here.
            fence(Ordering::SeqCst);
            return SESSION.load(Ordering::Relaxed) == session;
        }
        let _errno = PreservedErrno::new();
        let tracker = self.tracker;
        let local = self.local();
        if !local.fit_limits(&tracker.shared) {
            NO_MEMORY.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        tracker.tallies.reset();
        local.region.begin(&tracker.shared);
        self.start_thread();
        let is_usual =
            HAS_BARRIER.load(Ordering::Relaxed) && clock::is_usual() && session & SAMPLED == 0;
        let marked = if is_usual { session } else { session | UNUSUAL };
        tracker.session.store(marked, Ordering::Release);
        true
    }

    /// Defines this thread in the recording and starts its events with a keyframe.
    fn start_thread(&mut self) {
        let tracker = self.tracker;
        let name = ThreadName::of_this_thread();
        let os_thread = sys::thread_id();
        let now = clock::now();
        let thread = define_thread(None, os_thread, now, name);
        tracker.os_thread.store(os_thread, Ordering::Relaxed);
        tracker.thread.store(thread.0, Ordering::Relaxed);
        tracker.set_name(name);
        let local = self.local();
        local.exit_rounds = 0;
        local.gave_up = false;
        local.random = now.0 | 1;
        // Without its bounds no stack can be read: every walk is then the slow, checked one.
        local.walker.adopt(sys::stack_bounds().unwrap_or((0, 0)));
        // Says whose the events are: before it none is written.
        local.keyframe_due = true;
        local.joined = now;
        local.region.look_next();
    }
}

impl Tracker {
    /// Whether somebody is recording with it right now.
    pub(in crate::collector) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    /// Whether it has recorded anything in `session`.
    pub(in crate::collector) fn is_in(&self, session: u32) -> bool {
        self.session.load(Ordering::Acquire) & SESSION_MASK == session
    }

    /// Has the tracker write a keyframe before its next event, if it records in `session`.
    pub(in crate::collector) fn want_keyframe(&self, session: u32) {
        let marked = self.session.load(Ordering::Relaxed);
        if marked & SESSION_MASK == session {
            // If it joins another session meanwhile, that one begins with a keyframe.
            let wanted = marked | KEYFRAME;
            let (set, fail) = (Ordering::Relaxed, Ordering::Relaxed);
            let _ = self.session.compare_exchange(marked, wanted, set, fail);
        }
    }

    /// Adds what this tracker counted.
    pub(in crate::collector) fn count_into(&self, counters: &mut Counters) {
        let tallies = &self.tallies;
        let walk = &tallies.walk;
        for (counter, tally) in [
            (Counter::Allocations, &tallies.usual_allocations),
            (Counter::Allocations, &tallies.other_allocations),
            (Counter::Frees, &tallies.frees),
            (Counter::Reallocations, &tallies.reallocations),
            (Counter::Failed, &tallies.failed),
            (Counter::DroppedFull, &tallies.dropped_full),
            (Counter::DroppedReentrant, &tallies.reentrant),
            (Counter::NotSampled, &tallies.not_sampled),
            (Counter::WaitedNs, &tallies.waited_ns),
            (Counter::WalkHits, &tallies.usual_allocations),
            (Counter::WalkHits, &walk.hits),
            (Counter::WalkRecalls, &walk.recalled),
            (Counter::WalkMisses, &walk.misses),
            (Counter::FreshFrames, &walk.fresh),
            (Counter::RulesDerived, &walk.derived),
            (Counter::Truncated, &walk.truncated),
            (Counter::FailedWalks, &walk.failed),
            (Counter::NodeTableFull, &walk.other),
        ] {
            counters.add(counter, tally.get());
        }
    }

    /// Defines the thread anew if it was renamed since. Called by the flusher.
    pub(in crate::collector) fn refresh_name(&self, os_thread: u64) {
        let Some(name) = ThreadName::of_thread(os_thread) else {
            return;
        };
        let (front, back) = name.halves();
        let known = (self.name.0.load(Ordering::Relaxed), self.name.1.load(Ordering::Relaxed));
        if (front, back) != known {
            self.set_name(name);
            let thread = ThreadId(self.thread.load(Ordering::Relaxed));
            define_thread(Some(thread), os_thread, clock::now(), name);
        }
    }

    fn set_name(&self, name: ThreadName) {
        let (front, back) = name.halves();
        self.name.0.store(front, Ordering::Relaxed);
        self.name.1.store(back, Ordering::Relaxed);
    }

    /// Gives the memory of what was recorded back to the system. Nothing is recorded now.
    pub(in crate::collector) fn discard(&self) {
        self.busy.store(true, Ordering::SeqCst);
        if SESSION.load(Ordering::SeqCst) == 0 {
            // SAFETY: `busy` is set, and no thread records.
            unsafe { (*self.local.get()).region.discard() };
        }
        self.busy.store(false, Ordering::Release);
    }

    fn create(index: usize) -> Option<&'static Self> {
        let pages = sys::map_pages(size_of::<Self>())?.cast::<Self>();
        let stream = StreamId(u32::try_from(index).ok()?);
        let shared = Shared::default();
        let local = Local::new(&shared)?;
        let tracker = Self {
            // The pool's until it is handed out.
            busy: AtomicBool::new(false),
            // In no session, not even in the one that is none.
            session: AtomicU32::new(UNUSUAL),
            stream,
            shared,
            tallies: Tallies::default(),
            os_thread: AtomicU64::new(0),
            thread: AtomicU32::new(0),
            name: (AtomicU64::new(0), AtomicU64::new(0)),
            local: UnsafeCell::new(local),
        };
        // SAFETY: fresh pages, large enough and page-aligned.
        unsafe {
            pages.write(tracker);
            Some(pages.as_ref())
        }
    }
}

impl Local {
    fn new(shared: &Shared) -> Option<Self> {
        let limits = limits::get();
        let pages = sys::map_pages(Walker::bytes(limits.depth_max))?;
        Some(Self {
            // SAFETY: fresh zeroed pages of the size that it asked for.
            walker: unsafe { Walker::new(pages, limits.depth_max) },
            encoder: Encoder::new(),
            region: Region::new(limits.ring_bytes, shared)?,
            sample_below: limits.sample_below,
            random: 1,
            depth_max: limits.depth_max,
            exit_rounds: 0,
            gave_up: false,
            joined: Ticks(0),
            keyframe_due: true,
            scope_due: false,
            scope_said: ScopeId::NONE,
            next_free: 0,
        })
    }

    /// Takes on the limits of a new session; memory of another size replaces the old, which
    /// stays mapped but is given back to the system.
    fn fit_limits(&mut self, shared: &Shared) -> bool {
        let limits = limits::get();
        self.sample_below = limits.sample_below;
        self.walker.keep_usual(limits.sample_below == u64::MAX);
        if self.depth_max != limits.depth_max {
            let Some(pages) = sys::map_pages(Walker::bytes(limits.depth_max)) else {
                return false;
            };
            self.walker.discard(self.depth_max);
            // SAFETY: fresh zeroed pages of the size that it asked for.
            self.walker = unsafe { Walker::new(pages, limits.depth_max) };
            self.walker.keep_usual(limits.sample_below == u64::MAX);
            self.depth_max = limits.depth_max;
        }
        if self.region.ring_bytes() != limits.ring_bytes {
            self.region.discard();
            let Some(region) = Region::new(limits.ring_bytes, shared) else {
                return false;
            };
            self.region = region;
        }
        true
    }

    /// The last stack, if it is the present one and every backtrace is to be probed.
    #[inline(always)]
    pub(in crate::collector) fn same_stack(&self, start: &Start) -> Option<NodeId> {
        #[cfg(rheaper_testing)]
        if crate::collector::testing::is_naive() {
            return None;
        }
        self.walker.same(start)
    }

    #[cfg(rheaper_testing)]
    pub(in crate::collector) fn depth_max(&self) -> usize {
        self.depth_max
    }

    /// Whether this allocation's backtrace is to be probed.
    #[inline(always)]
    pub(in crate::collector) fn is_sampled(&mut self) -> bool {
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
    pub(in crate::collector) fn make_room(&mut self, tracker: &Tracker) -> bool {
        let _errno = PreservedErrno::new();
        let mut room = self.region.look(&tracker.shared);
        if room.is_half_full {
            signal::wake_flusher();
        }
        if !room.fits && !self.gave_up {
            let began = sys::monotonic_ns();
            let mut waited_ns = 0;
            let wait_max_ns = limits::wait_max_ns();
            while !room.fits && waited_ns < wait_max_ns {
                let ticket = signal::room_ticket();
                room = self.region.look(&tracker.shared);
                if !room.fits {
                    signal::wait_for_room(ticket, limits::WAIT_STEP);
                }
                waited_ns = sys::monotonic_ns().saturating_sub(began);
            }
            tracker.tallies.waited_ns.add(waited_ns);
        }
        self.gave_up = !room.fits;
        if room.fits && (room.wants_keyframe || self.keyframe_due) {
            // Not a reading of the clock: what a keyframe costs must not show in the times.
            let now = self.encoder.now().max(self.joined);
            self.keyframe(tracker, now);
        }
        if room.fits && self.scope_due {
            self.say_scope(tracker);
        }
        room.fits
    }

    /// Makes the stream tell its scope before the next event, where it has not been told so.
    pub(in crate::collector) fn note_scope(&mut self) {
        if scopes::here().scope != self.scope_said {
            self.scope_due = true;
            self.region.look_next();
        }
    }

    fn keyframe(&mut self, tracker: &Tracker, now: Ticks) {
        let thread = ThreadId(tracker.thread.load(Ordering::Relaxed));
        self.keyframe_due = false;
        self.region.note_keyframe(&tracker.shared);
        let len = self.encoder.keyframe(self.region.slot(), now, thread);
        self.region.commit(&tracker.shared, len);
        // The limits depend on where the last keyframe is.
        self.region.look(&tracker.shared);
        self.scope_said = ScopeId::NONE;
        self.scope_due = true;
    }

    /// Says in which scope the next events happen. The room for it is that of a keyframe, which
    /// is kept beside that of every event.
    fn say_scope(&mut self, tracker: &Tracker) {
        self.scope_due = false;
        let scope = scopes::here().scope;
        if scope != self.scope_said {
            self.scope_said = scope;
            let len = self.encoder.scope(self.region.slot(), scope);
            self.region.commit(&tracker.shared, len);
        }
    }
}

/// All trackers there are.
pub(in crate::collector) fn all() -> impl Iterator<Item = &'static Tracker> {
    let created = CREATED.load(Ordering::Acquire).min(TRACKERS_MAX);
    TABLE.iter().take(created).filter_map(|place| {
        // SAFETY: only `Pool::take` stores here, and trackers are never freed.
        unsafe { place.load(Ordering::Acquire).as_ref() }
    })
}

/// Memory of all trackers, in bytes.
pub(in crate::collector) fn used_bytes() -> u64 {
    let limits = limits::get();
    let each = size_of::<Tracker>()
        .saturating_add(Walker::bytes(limits.depth_max))
        .saturating_add(limits.ring_bytes);
    (CREATED.load(Ordering::Relaxed) as u64).saturating_mul(each as u64)
}

/// A thread definition that waits for the flusher.
#[derive(Clone, Copy)]
pub(in crate::collector) struct PendingThread {
    pub(in crate::collector) id: ThreadId,
    pub(in crate::collector) os_thread: u64,
    pub(in crate::collector) at: Ticks,
    pub(in crate::collector) name: ThreadName,
}

/// Definitions that may wait; the flusher takes them at each pass.
pub(in crate::collector) const PENDING_MAX: usize = 1024;

struct Pool {
    /// First tracker that has no thread, by index plus one.
    free: u32,
    next_thread: u32,
    pending: [Option<PendingThread>; PENDING_MAX],
    pending_len: usize,
}

static POOL: SpinLock<Pool> = SpinLock::new(Pool {
    free: 0,
    next_thread: 0,
    pending: [const { None }; PENDING_MAX],
    pending_len: 0,
});

impl Pool {
    /// A tracker without a thread, or a new one within the limits.
    fn take() -> Option<&'static Tracker> {
        let mut pool = POOL.lock()?;
        if let Some(index) = pool.free.checked_sub(1)
            && let Some(place) = TABLE.get(index as usize)
        {
            // SAFETY: only created trackers are in the list, and they are never freed.
            let tracker = unsafe { place.load(Ordering::Acquire).as_ref() }?;
            // SAFETY: it has no thread, and the pool is locked.
            pool.free = unsafe { (*tracker.local.get()).next_free };
            return Some(tracker);
        }
        let created = CREATED.load(Ordering::Relaxed);
        if created >= limits::get().trackers_max && !guards::without("trackers at most") {
            return None;
        }
        let tracker = Tracker::create(created)?;
        TABLE.get(created)?.store(ptr::from_ref(tracker).cast_mut(), Ordering::Release);
        CREATED.store(created.wrapping_add(1), Ordering::Release);
        Some(tracker)
    }

    fn give_back(tracker: &'static Tracker) {
        // A tracker that can't be given back in time is lost to the pool, not to the file.
        let Some(mut pool) = POOL.lock() else { return };
        // SAFETY: its thread has ended and the pool is locked.
        unsafe { (*tracker.local.get()).next_free = pool.free };
        pool.free = tracker.stream.0.wrapping_add(1);
    }
}

/// Numbers threads from 0 again, and counts losses anew. Called before a session begins.
pub(in crate::collector) fn forget_threads() {
    for lost in [&UNTRACKED, &DURING_START, &NO_MEMORY] {
        lost.store(0, Ordering::Relaxed);
    }
    if let Some(mut pool) = POOL.lock() {
        pool.next_thread = 0;
        pool.pending_len = 0;
    }
}

/// Threads that were defined in this session.
pub(in crate::collector) fn threads_defined() -> u64 {
    POOL.lock().map_or(0, |pool| u64::from(pool.next_thread))
}

/// Defines a thread, or an old one under a new name.
pub(in crate::collector) fn define_thread(
    known: Option<ThreadId>,
    os_thread: u64,
    at: Ticks,
    name: ThreadName,
) -> ThreadId {
    let mut chosen = known;
    for _ in 0..64 {
        let ticket = signal::room_ticket();
        let Some(mut pool) = POOL.lock() else { break };
        let id = *chosen.get_or_insert_with(|| {
            let id = ThreadId(pool.next_thread);
            pool.next_thread = pool.next_thread.wrapping_add(1);
            id
        });
        let len = pool.pending_len;
        if let Some(place) = pool.pending.get_mut(len) {
            *place = Some(PendingThread { id, os_thread, at, name });
            pool.pending_len = len.wrapping_add(1);
            return id;
        }
        // A storm of short threads: the flusher has to write definitions first.
        drop(pool);
        signal::wake_flusher();
        signal::wait_for_room(ticket, limits::WAIT_STEP);
    }
    chosen.unwrap_or_default()
}

/// Takes the waiting definitions, at most as many as `into` holds; answers how many.
pub(in crate::collector) fn take_pending(into: &mut [Option<PendingThread>]) -> usize {
    let Some(mut pool) = POOL.lock() else {
        return 0;
    };
    let len = pool.pending_len.min(into.len());
    for (to, from) in into.iter_mut().zip(pool.pending.iter_mut().take(len)) {
        *to = from.take();
    }
    let left = pool.pending_len.wrapping_sub(len);
    pool.pending.copy_within(len..len.wrapping_add(left), 0);
    pool.pending_len = left;
    len
}

/// In a forked child: the threads that were recording are not here, so nobody waits for them or
/// asks for their names. Their trackers stay taken.
pub(in crate::collector) fn forked() {
    // SAFETY: the child has one thread, which forked and so does not hold the lock.
    unsafe { POOL.forked() };
    let own = SLOT.get();
    for tracker in all().filter(|tracker| !ptr::eq(*tracker, own)) {
        tracker.busy.store(false, Ordering::Relaxed);
        tracker.os_thread.store(0, Ordering::Relaxed);
    }
}

/// Makes the key whose destructor runs when a thread ends. Called while enabling.
pub(in crate::collector) fn prepare_exit() -> bool {
    if EXIT_KEY.load(Ordering::Acquire) != 0 {
        return true;
    }
    let mut key = 0;
    // SAFETY: `thread_ended` has the right type and takes what `arm_exit` stores.
    if unsafe { libc::pthread_key_create(&raw mut key, Some(thread_ended)) } != 0 {
        return false;
    }
    EXIT_KEY.store(key.wrapping_add(1), Ordering::Release);
    true
}

fn arm_exit(tracker: &'static Tracker) {
    if let Some(key) = EXIT_KEY.load(Ordering::Acquire).checked_sub(1) {
        // SAFETY: the key exists; the value is a tracker, which lives as long as the process.
        unsafe { libc::pthread_setspecific(key, ptr::from_ref(tracker).cast()) };
    }
}

/// glibc and musl run destructors up to four times over while new values are set.
const EXIT_ROUNDS: u32 = 3;

unsafe extern "C" fn thread_ended(value: *mut libc::c_void) {
    let Some(tracker) = NonNull::new(value.cast::<Tracker>()) else {
        return;
    };
    // SAFETY: `arm_exit` stored a tracker, which lives as long as the process.
    let tracker: &'static Tracker = unsafe { tracker.as_ref() };
    // SAFETY: `busy` is not set: a destructor does not run inside the recorder, and a signal
    // handler on this thread sees the slot as ignored from here on.
    SLOT.set(IGNORED);
    // SAFETY: as above.
    let local = unsafe { &mut *tracker.local.get() };
    // Other destructors may still allocate: stay until the last round.
    if local.exit_rounds < EXIT_ROUNDS && !guards::without("exit rounds") {
        local.exit_rounds = local.exit_rounds.wrapping_add(1);
        arm_exit(tracker);
        SLOT.set(ptr::from_ref(tracker).cast_mut());
        return;
    }
    let session = SESSION.load(Ordering::Relaxed);
    if session != 0 && tracker.is_in(session) {
        tracker.refresh_name(tracker.os_thread.load(Ordering::Relaxed));
    }
    local.exit_rounds = 0;
    tracker.os_thread.store(0, Ordering::Relaxed);
    SLOT.set(ENDED);
    Pool::give_back(tracker);
}
