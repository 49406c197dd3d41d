//! The right of a thread to record: found at each event, given at its first, handed back at its end.
//!
//! Reads: the session. Writes: which tracker is whose, and each tracker's `busy` flag.
//!
//! Invariants:
//! - A thread is inside the recorder at most once: a signal handler that comes in between is
//!   counted and not recorded.
//! - When a thread ends its tracker goes back to the pool, after all other thread-local
//!   destructors that allocate have had their turn.

use std::cell::Cell;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, compiler_fence, fence};

use crate::collector::event_path::recorder_pool;
use crate::collector::event_path::thread_recorder::{
    HAS_BARRIER, KEYFRAME, Local, SAMPLED, SESSION, SLOW_PATH, ThreadRecorder,
};
use crate::collector::event_path::threads;
use crate::collector::platform::clock;
use crate::collector::platform::sys::{self, PreservedErrno, ThreadName};
use crate::safeguards::{self, Safeguard};

/// Events of threads that have no tracker.
pub(crate) static UNTRACKED: AtomicU64 = AtomicU64::new(0);
/// Events that came while their thread was being given a tracker.
pub(crate) static DURING_START: AtomicU64 = AtomicU64::new(0);
/// Events of threads for whose tracker the system had no memory.
pub(crate) static NO_MEMORY: AtomicU64 = AtomicU64::new(0);

/// The pthread key whose destructor returns trackers, plus one; 0 before the first recording.
static EXIT_KEY: AtomicU32 = AtomicU32::new(0);

/// A thread that nothing is recorded of, for now: it is inside the recorder.
const IGNORED: *mut ThreadRecorder = ptr::without_provenance_mut(1);
/// A thread of the recorder itself: what it allocates is no loss.
const OWN: *mut ThreadRecorder = ptr::without_provenance_mut(2);
/// A thread whose end has been handled. The largest of these: whatever is above is a tracker.
const ENDED: *mut ThreadRecorder = ptr::without_provenance_mut(3);

thread_local! {
    // Constant and without a destructor, so that it is usable at any moment of a thread's life.
    static SLOT: Cell<*mut ThreadRecorder> = const { Cell::new(ptr::null_mut()) };
    /// The session in which this thread found no tracker.
    static SLOT_DISABLED: Cell<u32> = const { Cell::new(0) };
}

/// The right to record on this thread, until dropped.
pub(crate) struct RecorderGuard {
    tracker: &'static ThreadRecorder,
}

impl RecorderGuard {
    #[inline(always)]
    pub(crate) fn tracker(&self) -> &'static ThreadRecorder {
        self.tracker
    }

    #[inline(always)]
    pub(crate) fn local(&mut self) -> &mut Local {
        // SAFETY: `busy` is set, and this value is the one that set it.
        unsafe { &mut *self.tracker.local() }
    }
}

impl Drop for RecorderGuard {
    #[inline(always)]
    fn drop(&mut self) {
        self.tracker.busy.store(false, Ordering::Release);
    }
}

/// Begins an event: `None` if this thread does not record now.
#[inline(always)]
pub(crate) fn enter() -> Option<RecorderGuard> {
    let slot = SLOT.get();
    if slot.addr() <= ENDED.addr() {
        return enter_slow(slot);
    }
    // SAFETY: trackers are never freed.
    let tracker: &'static ThreadRecorder = unsafe { &*slot };
    enter_tracker(tracker)
}

#[inline(always)]
fn enter_tracker(tracker: &'static ThreadRecorder) -> Option<RecorderGuard> {
    if tracker.busy.load(Ordering::Relaxed) && !safeguards::is_disabled(Safeguard::BusyFlag) {
        // A signal handler, or the recorder itself.
        tracker.tallies.reentrant.add(1);
        return None;
    }
    tracker.busy.store(true, Ordering::Relaxed);
    // Whoever stops the recording clears SESSION, makes every core pass a barrier and then
    // looks at `busy`: so either it sees `busy`, or this sees the cleared SESSION.
    compiler_fence(Ordering::SeqCst);
    let session = SESSION.load(Ordering::Relaxed);
    let mut entered = RecorderGuard { tracker };
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
pub(crate) fn try_enter_fast() -> Option<RecorderGuard> {
    let slot = SLOT.get();
    if slot.addr() <= ENDED.addr() {
        return None;
    }
    // SAFETY: trackers are never freed.
    let tracker: &'static ThreadRecorder = unsafe { &*slot };
    if tracker.busy.load(Ordering::Relaxed) && !safeguards::is_disabled(Safeguard::BusyFlag) {
        return None;
    }
    tracker.busy.store(true, Ordering::Relaxed);
    // As in `enter_tracker`.
    compiler_fence(Ordering::SeqCst);
    let entered = RecorderGuard { tracker };
    let is_joined = SESSION.load(Ordering::Relaxed) == tracker.session.load(Ordering::Relaxed);
    is_joined.then_some(entered)
}

/// The same in a session that samples, and in no other: a tracker's session is never equal to
/// such a one, so that [`enter`] refuses what began before it without asking at each event.
#[cold]
pub(crate) fn enter_sampled() -> Option<RecorderGuard> {
    let (slot, session) = (SLOT.get(), SESSION.load(Ordering::Relaxed));
    if session & SAMPLED == 0 {
        return None;
    }
    if slot.addr() <= ENDED.addr() {
        return enter_first(slot, session);
    }
    // SAFETY: trackers are never freed.
    let tracker: &'static ThreadRecorder = unsafe { &*slot };
    if tracker.busy.load(Ordering::Relaxed) {
        tracker.tallies.reentrant.add(1);
        return None;
    }
    tracker.busy.store(true, Ordering::Relaxed);
    // As in `enter_tracker`.
    compiler_fence(Ordering::SeqCst);
    let mut entered = RecorderGuard { tracker };
    let is_on = SESSION.load(Ordering::Relaxed) == session && entered.join(session);
    is_on.then_some(entered)
}

/// The right to record in whatever session there is.
pub(crate) fn enter_any() -> Option<RecorderGuard> {
    if SESSION.load(Ordering::Relaxed) & SAMPLED == 0 { enter() } else { enter_sampled() }
}

#[cold]
fn enter_slow(slot: *mut ThreadRecorder) -> Option<RecorderGuard> {
    let session = SESSION.load(Ordering::Relaxed);
    if session & SAMPLED == 0 { enter_first(slot, session) } else { None }
}

fn enter_first(slot: *mut ThreadRecorder, session: u32) -> Option<RecorderGuard> {
    if slot == IGNORED {
        DURING_START.fetch_add(u64::from(session != 0), Ordering::Relaxed);
        return None;
    }
    if session == 0 || slot == OWN {
        return None;
    }
    if slot == ENDED || SLOT_DISABLED.get() == session {
        UNTRACKED.fetch_add(1, Ordering::Relaxed);
        return None;
    }
    let _errno = PreservedErrno::new();
    SLOT.set(IGNORED);
    let tracker = recorder_pool::take();
    let Some(tracker) = tracker else {
        SLOT.set(ptr::null_mut());
        SLOT_DISABLED.set(session);
        UNTRACKED.fetch_add(1, Ordering::Relaxed);
        return None;
    };
    let entered = begin_thread(tracker, session);
    arm_exit(tracker);
    SLOT.set(ptr::from_ref(tracker).cast_mut());
    entered
}

/// Makes a tracker out of the pool this thread's.
fn begin_thread(tracker: &'static ThreadRecorder, session: u32) -> Option<RecorderGuard> {
    tracker.busy.store(true, Ordering::Relaxed);
    // As in `enter_tracker`; here a fence costs nothing that matters.
    fence(Ordering::SeqCst);
    let mut entered = RecorderGuard { tracker };
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
pub(crate) fn register_thread(session: u32) -> bool {
    let slot = SLOT.get();
    let tracker = if slot.addr() > ENDED.addr() {
        // SAFETY: trackers are never freed.
        unsafe { &*slot }
    } else {
        let Some(tracker) = recorder_pool::take() else {
            return false;
        };
        arm_exit(tracker);
        SLOT.set(ptr::from_ref(tracker).cast_mut());
        tracker
    };
    tracker.busy.store(true, Ordering::Relaxed);
    RecorderGuard { tracker }.join(session)
}

/// This thread is in another scope: its stream tells so before the next event. A thread that has
/// no tracker yet tells it behind its first keyframe.
pub(crate) fn scope_changed() {
    let slot = SLOT.get();
    let session = SESSION.load(Ordering::Relaxed);
    // Where blocks are sampled each event looks for itself.
    if session == 0 || session & SAMPLED != 0 || slot.addr() <= ENDED.addr() {
        return;
    }
    // SAFETY: trackers are never freed.
    let tracker: &'static ThreadRecorder = unsafe { &*slot };
    // In a signal handler that interrupted the recorder: it leaves its scopes before it returns.
    if tracker.busy.load(Ordering::Relaxed) {
        return;
    }
    if let Some(mut entered) = enter_tracker(tracker) {
        let local = entered.local();
        local.scope_due = true;
        local.region.force_slow_path();
    }
}

/// Keeps the calling thread out of the recording until dropped.
pub(crate) struct SuppressGuard(*mut ThreadRecorder);

impl SuppressGuard {
    pub(crate) fn new() -> Self {
        Self(SLOT.replace(IGNORED))
    }

    /// The same for a thread of the recorder itself, for good.
    pub(crate) fn own_thread() -> Self {
        Self(SLOT.replace(OWN))
    }
}

impl Drop for SuppressGuard {
    fn drop(&mut self) {
        // Unless the thread was given a tracker meanwhile.
        if matches!(SLOT.get(), IGNORED | OWN) {
            SLOT.set(self.0);
        }
    }
}

impl RecorderGuard {
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
                local.region.force_slow_path();
            }
            // Where nothing is usual, every event passes here.
            fence(Ordering::SeqCst);
            return SESSION.load(Ordering::Relaxed) == session;
        }
        let _errno = PreservedErrno::new();
        let tracker = self.tracker;
        let local = self.local();
        if !local.apply_config(&tracker.shared) {
            NO_MEMORY.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        tracker.tallies.reset();
        local.region.begin(&tracker.shared);
        self.start_thread();
        let is_usual =
            HAS_BARRIER.load(Ordering::Relaxed) && clock::is_usual() && session & SAMPLED == 0;
        let marked = if is_usual { session } else { session | SLOW_PATH };
        tracker.session.store(marked, Ordering::Release);
        true
    }

    /// Defines this thread in the recording and starts its events with a keyframe.
    fn start_thread(&mut self) {
        let tracker = self.tracker;
        let name = ThreadName::of_this_thread();
        let os_thread = sys::thread_id();
        let now = clock::now();
        let thread = threads::define(None, os_thread, now, name);
        tracker.os_thread.store(os_thread, Ordering::Relaxed);
        tracker.thread.store(thread.0, Ordering::Relaxed);
        tracker.set_name(name);
        let local = self.local();
        local.exit_rounds = 0;
        local.dropping_events = false;
        local.random = now.0 | 1;
        // Without its bounds no stack can be read: every walk is then the slow, checked one.
        local.walker.adopt(sys::stack_bounds().unwrap_or((0, 0)));
        // Says whose the events are: before it none is written.
        local.keyframe_due = true;
        local.joined = now;
        local.region.force_slow_path();
    }
}

/// Numbers threads from 0 again, and counts losses anew. Called before a session begins.
pub(crate) fn reset_threads() {
    for lost in [&UNTRACKED, &DURING_START, &NO_MEMORY] {
        lost.store(0, Ordering::Relaxed);
    }
    threads::forget();
}

/// In a forked child: the threads that were recording are not here, so nobody waits for them or
/// asks for their names. Their trackers stay taken.
pub(crate) fn forked() {
    // SAFETY: the child has one thread, which forked and so holds neither lock.
    unsafe {
        recorder_pool::forked();
        threads::forked();
    }
    let own = SLOT.get();
    for tracker in recorder_pool::all().filter(|tracker| !ptr::eq(*tracker, own)) {
        tracker.busy.store(false, Ordering::Relaxed);
        tracker.os_thread.store(0, Ordering::Relaxed);
    }
}

/// Makes the key whose destructor runs when a thread ends. Called while enabling.
pub(crate) fn prepare_exit() -> bool {
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

fn arm_exit(tracker: &'static ThreadRecorder) {
    if let Some(key) = EXIT_KEY.load(Ordering::Acquire).checked_sub(1) {
        // SAFETY: the key exists; the value is a tracker, which lives as long as the process.
        unsafe { libc::pthread_setspecific(key, ptr::from_ref(tracker).cast()) };
    }
}

/// glibc and musl run destructors up to four times over while new values are set.
const EXIT_ROUNDS: u32 = 3;

unsafe extern "C" fn thread_ended(value: *mut libc::c_void) {
    let Some(tracker) = NonNull::new(value.cast::<ThreadRecorder>()) else {
        return;
    };
    // SAFETY: `arm_exit` stored a tracker, which lives as long as the process.
    let tracker: &'static ThreadRecorder = unsafe { tracker.as_ref() };
    // SAFETY: `busy` is not set: a destructor does not run inside the recorder, and a signal
    // handler on this thread sees the slot as ignored from here on.
    SLOT.set(IGNORED);
    // SAFETY: as above.
    let local = unsafe { &mut *tracker.local() };
    // Other destructors may still allocate: stay until the last round.
    if local.exit_rounds < EXIT_ROUNDS && !safeguards::is_disabled(Safeguard::ExitRounds) {
        local.exit_rounds = local.exit_rounds.wrapping_add(1);
        arm_exit(tracker);
        SLOT.set(ptr::from_ref(tracker).cast_mut());
        return;
    }
    let session = SESSION.load(Ordering::Relaxed);
    if session != 0 && tracker.is_in(session) {
        let os_thread = tracker.os_thread.load(Ordering::Relaxed);
        tracker.refresh_name(os_thread, ThreadName::of_this_thread());
    }
    local.exit_rounds = 0;
    tracker.os_thread.store(0, Ordering::Relaxed);
    SLOT.set(ENDED);
    recorder_pool::give_back(tracker);
}
