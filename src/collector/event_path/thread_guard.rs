//! The right of a thread to record: found at each event, given at its first, handed back at its end.
//!
//! Reads: the session. Writes: which thread recorder is whose, and each thread recorder's `busy` flag.
//!
//! Invariants:
//! - A thread is inside the recorder at most once: a signal handler that comes in between is
//!   counted and not recorded.
//! - When a thread ends its thread recorder goes back to the pool, after all other thread-local
//!   destructors that allocate have had their turn.

use std::cell::Cell;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, compiler_fence, fence};

use crate::collector::event_path::recorder_pool;
use crate::collector::event_path::session_word::{HAS_BARRIER, SESSION, SessionWord};
use crate::collector::event_path::thread_recorder::{Local, ThreadRecorder};
use crate::collector::event_path::threads;
use crate::collector::platform::clock;
use crate::collector::platform::sys::{self, PreservedErrno, ThreadName};
use crate::safeguards;

/// Events of threads that have no thread recorder.
pub(crate) static DROPPED_NO_RECORDER: AtomicU64 = AtomicU64::new(0);
/// Events that came while their thread was being given a thread recorder.
pub(crate) static DROPPED_DURING_START: AtomicU64 = AtomicU64::new(0);
/// Events of threads for whose thread recorder the system had no memory.
pub(crate) static DROPPED_NO_MEMORY: AtomicU64 = AtomicU64::new(0);

/// The pthread key whose destructor returns thread recorders, plus one; 0 before the first recording.
static EXIT_KEY: AtomicU32 = AtomicU32::new(0);

/// A thread that nothing is recorded of, for now: it is inside the recorder.
const SUPPRESSED: *mut ThreadRecorder = ptr::without_provenance_mut(1);
/// A thread of the recorder itself: what it allocates is no loss.
const RECORDER_THREAD: *mut ThreadRecorder = ptr::without_provenance_mut(2);
/// A thread whose end has been handled. The largest of these: whatever is above is a thread recorder.
const THREAD_ENDED: *mut ThreadRecorder = ptr::without_provenance_mut(3);

thread_local! {
    // Constant and without a destructor, so that it is usable at any moment of a thread's life.
    static SLOT: Cell<*mut ThreadRecorder> = const { Cell::new(ptr::null_mut()) };
    /// The session in which this thread found no thread recorder.
    static SLOT_DISABLED: Cell<SessionWord> = const { Cell::new(SessionWord::NONE) };
}

/// The right to record on this thread, until dropped.
pub(crate) struct RecorderGuard {
    recorder: &'static ThreadRecorder,
}

impl RecorderGuard {
    #[inline(always)]
    pub(crate) fn recorder(&self) -> &'static ThreadRecorder {
        self.recorder
    }

    #[inline(always)]
    pub(crate) fn local(&mut self) -> &mut Local {
        // SAFETY: `busy` is set, and this value is the one that set it.
        unsafe { &mut *self.recorder.local() }
    }
}

impl Drop for RecorderGuard {
    #[inline(always)]
    fn drop(&mut self) {
        self.recorder.busy.store(false, Ordering::Release);
    }
}

/// Begins an event: `None` if this thread does not record now.
#[inline(always)]
pub(crate) fn enter() -> Option<RecorderGuard> {
    let slot = SLOT.get();
    if slot.addr() <= THREAD_ENDED.addr() {
        return enter_slow(slot);
    }
    // SAFETY: thread recorders are never freed.
    let recorder: &'static ThreadRecorder = unsafe { &*slot };
    enter_tracker(recorder)
}

#[inline(always)]
fn enter_tracker(recorder: &'static ThreadRecorder) -> Option<RecorderGuard> {
    if recorder.busy.load(Ordering::Relaxed) && !safeguards::without("busy flag") {
        // A signal handler, or the recorder itself.
        recorder.counters.reentrant.add(1);
        return None;
    }
    recorder.busy.store(true, Ordering::Relaxed);
    // Whoever stops the recording clears SESSION, makes every core pass a barrier and then
    // looks at `busy`: so either it sees `busy`, or this sees the cleared SESSION.
    compiler_fence(Ordering::SeqCst);
    let session = SESSION.load(Ordering::Relaxed);
    let mut guard = RecorderGuard { recorder };
    if session == recorder.session.load(Ordering::Relaxed) || guard.join_unsampled(session) {
        Some(guard)
    } else {
        None
    }
}

/// Begins an event where nothing is out of the ordinary: the thread has a thread recorder in this session,
/// is not inside of it, its clock is the processor's counter, and all blocks are recorded. Else
/// `None`, and [`enter`] says more. No call is in here.
#[inline(always)]
pub(crate) fn try_enter_fast() -> Option<RecorderGuard> {
    let slot = SLOT.get();
    if slot.addr() <= THREAD_ENDED.addr() {
        return None;
    }
    // SAFETY: thread recorders are never freed.
    let recorder: &'static ThreadRecorder = unsafe { &*slot };
    if recorder.busy.load(Ordering::Relaxed) && !safeguards::without("busy flag") {
        return None;
    }
    recorder.busy.store(true, Ordering::Relaxed);
    // As in `enter_tracker`.
    compiler_fence(Ordering::SeqCst);
    let guard = RecorderGuard { recorder };
    let is_same_session =
        SESSION.load(Ordering::Relaxed) == recorder.session.load(Ordering::Relaxed);
    is_same_session.then_some(guard)
}

/// The same in a session that samples, and in no other: a thread recorder's session is never equal to
/// such a one, so that [`enter`] refuses what began before it without asking at each event.
#[cold]
pub(crate) fn enter_sampled() -> Option<RecorderGuard> {
    let (slot, session) = (SLOT.get(), SESSION.load(Ordering::Relaxed));
    if !session.is_sampled() {
        return None;
    }
    if slot.addr() <= THREAD_ENDED.addr() {
        return enter_unregistered(slot, session);
    }
    // SAFETY: thread recorders are never freed.
    let recorder: &'static ThreadRecorder = unsafe { &*slot };
    if recorder.busy.load(Ordering::Relaxed) {
        recorder.counters.reentrant.add(1);
        return None;
    }
    recorder.busy.store(true, Ordering::Relaxed);
    // As in `enter_tracker`.
    compiler_fence(Ordering::SeqCst);
    let mut guard = RecorderGuard { recorder };
    let is_on = SESSION.load(Ordering::Relaxed) == session && guard.join(session);
    is_on.then_some(guard)
}

/// The right to record in whatever session there is.
pub(crate) fn enter_any() -> Option<RecorderGuard> {
    if SESSION.load(Ordering::Relaxed).is_sampled() { enter_sampled() } else { enter() }
}

#[cold]
fn enter_slow(slot: *mut ThreadRecorder) -> Option<RecorderGuard> {
    let session = SESSION.load(Ordering::Relaxed);
    if session.is_sampled() { None } else { enter_unregistered(slot, session) }
}

fn enter_unregistered(slot: *mut ThreadRecorder, session: SessionWord) -> Option<RecorderGuard> {
    if slot == SUPPRESSED {
        DROPPED_DURING_START.fetch_add(u64::from(!session.is_none()), Ordering::Relaxed);
        return None;
    }
    if session.is_none() || slot == RECORDER_THREAD {
        return None;
    }
    if slot == THREAD_ENDED || SLOT_DISABLED.get() == session {
        DROPPED_NO_RECORDER.fetch_add(1, Ordering::Relaxed);
        return None;
    }
    let _errno = PreservedErrno::new();
    SLOT.set(SUPPRESSED);
    let recorder = recorder_pool::take();
    let Some(recorder) = recorder else {
        SLOT.set(ptr::null_mut());
        SLOT_DISABLED.set(session);
        DROPPED_NO_RECORDER.fetch_add(1, Ordering::Relaxed);
        return None;
    };
    let guard = assign_thread(recorder, session);
    register_exit_hook(recorder);
    SLOT.set(ptr::from_ref(recorder).cast_mut());
    guard
}

/// Makes a thread recorder out of the pool this thread's.
fn assign_thread(recorder: &'static ThreadRecorder, session: SessionWord) -> Option<RecorderGuard> {
    recorder.busy.store(true, Ordering::Relaxed);
    // As in `enter_tracker`; here a fence costs nothing that matters.
    fence(Ordering::SeqCst);
    let mut guard = RecorderGuard { recorder };
    if SESSION.load(Ordering::Relaxed) != session {
        return None;
    }
    if recorder.records_in(session) {
        guard.start_thread();
        return Some(guard);
    }
    guard.join(session).then_some(guard)
}

/// Gives this thread a thread recorder in a session that is about to begin, so that it is thread 0.
pub(crate) fn register_thread(session: SessionWord) -> bool {
    let slot = SLOT.get();
    let recorder = if slot.addr() > THREAD_ENDED.addr() {
        // SAFETY: thread recorders are never freed.
        unsafe { &*slot }
    } else {
        let Some(recorder) = recorder_pool::take() else {
            return false;
        };
        register_exit_hook(recorder);
        SLOT.set(ptr::from_ref(recorder).cast_mut());
        recorder
    };
    recorder.busy.store(true, Ordering::Relaxed);
    RecorderGuard { recorder }.join(session)
}

/// This thread is in another scope: its stream tells so before the next event. A thread that has
/// no thread recorder yet tells it behind its first keyframe.
pub(crate) fn scope_changed() {
    let slot = SLOT.get();
    let session = SESSION.load(Ordering::Relaxed);
    // Where blocks are sampled each event looks for itself.
    if session.is_none() || session.is_sampled() || slot.addr() <= THREAD_ENDED.addr() {
        return;
    }
    // SAFETY: thread recorders are never freed.
    let recorder: &'static ThreadRecorder = unsafe { &*slot };
    // In a signal handler that interrupted the recorder: it leaves its scopes before it returns.
    if recorder.busy.load(Ordering::Relaxed) {
        return;
    }
    if let Some(mut guard) = enter_tracker(recorder) {
        let local = guard.local();
        local.scope_due = true;
        local.ring.force_slow_path();
    }
}

/// Keeps the calling thread out of the recording until dropped.
pub(crate) struct SuppressGuard(*mut ThreadRecorder);

impl SuppressGuard {
    pub(crate) fn new() -> Self {
        Self(SLOT.replace(SUPPRESSED))
    }

    /// The same for a thread of the recorder itself, for good.
    pub(crate) fn own_thread() -> Self {
        Self(SLOT.replace(RECORDER_THREAD))
    }
}

impl Drop for SuppressGuard {
    fn drop(&mut self) {
        // Unless the thread was given a thread recorder meanwhile.
        if matches!(SLOT.get(), SUPPRESSED | RECORDER_THREAD) {
            SLOT.set(self.0);
        }
    }
}

impl RecorderGuard {
    /// Makes the thread recorder part of a session that records every event.
    #[cold]
    fn join_unsampled(&mut self, session: SessionWord) -> bool {
        !session.is_sampled() && self.join(session)
    }

    /// Makes the thread recorder part of `session`. `false`: there is none, or no memory for it.
    #[cold]
    fn join(&mut self, session: SessionWord) -> bool {
        if session.is_none() {
            return false;
        }
        if self.recorder.records_in(session) {
            if self.recorder.session.load(Ordering::Relaxed).wants_keyframe() {
                self.recorder.session.clear_keyframe();
                let local = self.local();
                local.keyframe_due = true;
                local.ring.force_slow_path();
            }
            // Where nothing is usual, every event passes here.
            fence(Ordering::SeqCst);
            return SESSION.load(Ordering::Relaxed) == session;
        }
        let _errno = PreservedErrno::new();
        let recorder = self.recorder;
        let local = self.local();
        if !local.apply_config(&recorder.shared) {
            DROPPED_NO_MEMORY.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        recorder.counters.reset();
        local.ring.begin(&recorder.shared);
        self.start_thread();
        let is_fast =
            HAS_BARRIER.load(Ordering::Relaxed) && clock::is_tsc() && !session.is_sampled();
        let word = if is_fast { session } else { session.with_slow_path() };
        recorder.session.store(word, Ordering::Release);
        true
    }

    /// Defines this thread in the recording and starts its events with a keyframe.
    fn start_thread(&mut self) {
        let recorder = self.recorder;
        let name = ThreadName::of_this_thread();
        let os_thread = sys::thread_id();
        let now = clock::now();
        let thread = threads::define(None, os_thread, now, name);
        recorder.os_thread.store(os_thread, Ordering::Relaxed);
        recorder.thread.store(thread.0, Ordering::Relaxed);
        recorder.set_name(name);
        let local = self.local();
        local.exit_rounds = 0;
        local.dropping_events = false;
        local.random = now.0 | 1;
        // Without its bounds no stack can be read: every walk is then the slow, checked one.
        local.walker.adopt(sys::stack_bounds().unwrap_or((0, 0)));
        // Says whose the events are: before it none is written.
        local.keyframe_due = true;
        local.attached_at = now;
        local.ring.force_slow_path();
    }
}

/// Numbers threads from 0 again, and counts losses anew. Called before a session begins.
pub(crate) fn reset_threads() {
    for lost in [&DROPPED_NO_RECORDER, &DROPPED_DURING_START, &DROPPED_NO_MEMORY] {
        lost.store(0, Ordering::Relaxed);
    }
    threads::clear();
}

/// In a forked child: the threads that were recording are not here, so nobody waits for them or
/// asks for their names. Their thread recorders stay taken.
pub(crate) fn reset_after_fork() {
    // SAFETY: the child has one thread, which forked and so holds neither lock.
    unsafe {
        recorder_pool::reset_after_fork();
        threads::reset_after_fork();
    }
    let own = SLOT.get();
    for recorder in recorder_pool::all().filter(|recorder| !ptr::eq(*recorder, own)) {
        recorder.busy.store(false, Ordering::Relaxed);
        recorder.os_thread.store(0, Ordering::Relaxed);
    }
}

/// Makes the key whose destructor runs when a thread ends. Called while enabling.
pub(crate) fn create_exit_key() -> bool {
    if EXIT_KEY.load(Ordering::Acquire) != 0 {
        return true;
    }
    let mut key = 0;
    // SAFETY: `on_thread_exit` has the right type and takes what `register_exit_hook` stores.
    if unsafe { libc::pthread_key_create(&raw mut key, Some(on_thread_exit)) } != 0 {
        return false;
    }
    EXIT_KEY.store(key.wrapping_add(1), Ordering::Release);
    true
}

fn register_exit_hook(recorder: &'static ThreadRecorder) {
    if let Some(key) = EXIT_KEY.load(Ordering::Acquire).checked_sub(1) {
        // SAFETY: the key exists; the value is a thread recorder, which lives as long as the process.
        unsafe { libc::pthread_setspecific(key, ptr::from_ref(recorder).cast()) };
    }
}

/// glibc and musl run destructors up to four times over while new values are set.
const EXIT_ROUNDS: u32 = 3;

unsafe extern "C" fn on_thread_exit(value: *mut libc::c_void) {
    let Some(recorder) = NonNull::new(value.cast::<ThreadRecorder>()) else {
        return;
    };
    // SAFETY: `register_exit_hook` stored a thread recorder, which lives as long as the process.
    let recorder: &'static ThreadRecorder = unsafe { recorder.as_ref() };
    // SAFETY: `busy` is not set: a destructor does not run inside the recorder, and a signal
    // handler on this thread sees the slot as ignored from here on.
    SLOT.set(SUPPRESSED);
    // SAFETY: as above.
    let local = unsafe { &mut *recorder.local() };
    // Other destructors may still allocate: stay until the last round.
    if local.exit_rounds < EXIT_ROUNDS && !safeguards::without("exit rounds") {
        local.exit_rounds = local.exit_rounds.wrapping_add(1);
        register_exit_hook(recorder);
        SLOT.set(ptr::from_ref(recorder).cast_mut());
        return;
    }
    let session = SESSION.load(Ordering::Relaxed);
    if !session.is_none() && recorder.records_in(session) {
        let os_thread = recorder.os_thread.load(Ordering::Relaxed);
        recorder.refresh_name(os_thread, ThreadName::of_this_thread());
    }
    local.exit_rounds = 0;
    recorder.os_thread.store(0, Ordering::Relaxed);
    SLOT.set(THREAD_ENDED);
    recorder_pool::give_back(recorder);
}
