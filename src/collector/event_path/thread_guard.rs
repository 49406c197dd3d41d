//! Entry to the recorder: finds the thread's recorder at each event, assigns one at the first, and
//! returns it to the pool when the thread ends.
//!
//! Invariants:
//! - A thread is inside the recorder at most once: the events of a signal handler that interrupts
//!   the recorder are counted and not recorded.
//! - The recorder of an ending thread returns to the pool after all other thread-local destructors,
//!   which may allocate.

use std::cell::Cell;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, compiler_fence, fence};

use crate::collector::event_path::recorder_pool;
use crate::collector::event_path::session_word::{HAS_BARRIER, SESSION, SessionWord};
use crate::collector::event_path::thread_recorder::{Local, ThreadRecorder};
use crate::collector::event_path::threads;
use crate::collector::platform::clock;
use crate::collector::platform::sys::{self, PreservedErrno, ThreadName};
use crate::safeguards::{self, Safeguard};

/// Events of threads without a thread recorder.
pub(crate) static DROPPED_NO_RECORDER: AtomicU64 = AtomicU64::new(0);
/// Events while their thread was being assigned a thread recorder.
pub(crate) static DROPPED_DURING_START: AtomicU64 = AtomicU64::new(0);
/// Events of threads for whose recorder the system had no memory.
pub(crate) static DROPPED_NO_MEMORY: AtomicU64 = AtomicU64::new(0);

/// The pthread key whose destructor returns the thread recorder, plus one; 0 before the first
/// recording.
static EXIT_KEY: AtomicU32 = AtomicU32::new(0);

/// A thread whose events are not recorded at the moment, because it is inside the recorder.
const SUPPRESSED: *mut ThreadRecorder = ptr::without_provenance_mut(1);
/// A thread of the recorder itself: its allocations are not losses.
const RECORDER_THREAD: *mut ThreadRecorder = ptr::without_provenance_mut(2);
/// A thread that has ended. The largest of these constants: greater values are pointers.
const THREAD_ENDED: *mut ThreadRecorder = ptr::without_provenance_mut(3);

thread_local! {
    // Constant and without a destructor, so that it is usable at any moment of a thread's life.
    static SLOT: Cell<*mut ThreadRecorder> = const { Cell::new(ptr::null_mut()) };
    /// The session in which this thread found no free thread recorder.
    static SLOT_DISABLED: Cell<SessionWord> = const { Cell::new(SessionWord::NONE) };
}

/// Exclusive access to this thread's recorder, until dropped.
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
        // SAFETY: this guard set `busy`, so that no other reference to the state exists until it is
        // dropped.
        unsafe { &mut *self.recorder.local() }
    }
}

impl Drop for RecorderGuard {
    #[inline(always)]
    fn drop(&mut self) {
        self.recorder.busy.store(false, Ordering::Release);
    }
}

/// Enters the recorder; `None` if this thread does not record now.
#[inline(always)]
pub(crate) fn enter() -> Option<RecorderGuard> {
    let slot = SLOT.get();
    if slot.addr() <= THREAD_ENDED.addr() {
        return enter_slow(slot);
    }
    // SAFETY: a slot above `THREAD_ENDED` is a pointer to a thread recorder, which is never freed.
    let recorder: &'static ThreadRecorder = unsafe { &*slot };
    enter_recorder(recorder)
}

#[inline(always)]
fn enter_recorder(recorder: &'static ThreadRecorder) -> Option<RecorderGuard> {
    if recorder.busy.load(Ordering::Relaxed) && !safeguards::is_disabled(Safeguard::BusyFlag) {
        // A signal handler interrupted the recorder, or the recorder itself allocated.
        recorder.counters.reentrant.add(1);
        return None;
    }
    recorder.busy.store(true, Ordering::Relaxed);
    // Asymmetric fence with `quiesce`: the stopping thread clears `SESSION`, issues a barrier on
    // all cores (membarrier) and then reads `busy`. So either it sees `busy` set, or this thread
    // sees the cleared `SESSION`, and a compiler fence suffices here. Without membarrier,
    // `SLOW_PATH` leads to a real fence.
    compiler_fence(Ordering::SeqCst);
    let session = SESSION.load(Ordering::Relaxed);
    let mut guard = RecorderGuard { recorder };
    if session == recorder.session.load(Ordering::Relaxed) || guard.join_unsampled(session) {
        Some(guard)
    } else {
        None
    }
}

/// Enters the recorder on the fast path: the thread has a recorder in this session and is not
/// inside it, the clock is the time stamp counter, and blocks are not sampled. Otherwise `None`;
/// use [`enter`]. Contains no call.
#[inline(always)]
pub(crate) fn try_enter_fast() -> Option<RecorderGuard> {
    let slot = SLOT.get();
    if slot.addr() <= THREAD_ENDED.addr() {
        return None;
    }
    // SAFETY: a slot above `THREAD_ENDED` is a pointer to a thread recorder, which is never freed.
    let recorder: &'static ThreadRecorder = unsafe { &*slot };
    if recorder.busy.load(Ordering::Relaxed) && !safeguards::is_disabled(Safeguard::BusyFlag) {
        return None;
    }
    recorder.busy.store(true, Ordering::Relaxed);
    // Pairs with the barrier in `quiesce`: `busy` is set before `SESSION` is read.
    compiler_fence(Ordering::SeqCst);
    let guard = RecorderGuard { recorder };
    let is_same_session =
        SESSION.load(Ordering::Relaxed) == recorder.session.load(Ordering::Relaxed);
    is_same_session.then_some(guard)
}

/// Enters the recorder in a sampled session, and in no other. The word of a sampled session never
/// equals a recorder's word, so that [`enter`] rejects its events without another branch.
#[cold]
pub(crate) fn enter_sampled() -> Option<RecorderGuard> {
    let (slot, session) = (SLOT.get(), SESSION.load(Ordering::Relaxed));
    if !session.is_sampled() {
        return None;
    }
    if slot.addr() <= THREAD_ENDED.addr() {
        return enter_unregistered(slot, session);
    }
    // SAFETY: a slot above `THREAD_ENDED` is a pointer to a thread recorder, which is never freed.
    let recorder: &'static ThreadRecorder = unsafe { &*slot };
    if recorder.busy.load(Ordering::Relaxed) {
        recorder.counters.reentrant.add(1);
        return None;
    }
    recorder.busy.store(true, Ordering::Relaxed);
    // Pairs with the barrier in `quiesce`: `busy` is set before `SESSION` is read.
    compiler_fence(Ordering::SeqCst);
    let mut guard = RecorderGuard { recorder };
    let is_on = SESSION.load(Ordering::Relaxed) == session && guard.join(session);
    is_on.then_some(guard)
}

/// Enters the recorder in any session.
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

/// Assigns a thread recorder from the pool to this thread.
fn assign_thread(recorder: &'static ThreadRecorder, session: SessionWord) -> Option<RecorderGuard> {
    recorder.busy.store(true, Ordering::Relaxed);
    // Pairs with the barrier in `quiesce`. Once per thread, so that a real fence costs nothing.
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

/// Assigns a recorder to this thread in a session that is about to start, so that it is thread 0.
pub(crate) fn register_thread(session: SessionWord) -> bool {
    let slot = SLOT.get();
    let recorder = if slot.addr() > THREAD_ENDED.addr() {
        // SAFETY: a slot above `THREAD_ENDED` is a pointer to a thread recorder, which is never
        // freed.
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

/// Schedules a scope event before the next event of this thread. A thread without a recorder writes
/// its scope after its first keyframe.
pub(crate) fn scope_changed() {
    let slot = SLOT.get();
    let session = SESSION.load(Ordering::Relaxed);
    // In a sampled session each event checks the scope itself.
    if session.is_none() || session.is_sampled() || slot.addr() <= THREAD_ENDED.addr() {
        return;
    }
    // SAFETY: a slot above `THREAD_ENDED` is a pointer to a thread recorder, which is never freed.
    let recorder: &'static ThreadRecorder = unsafe { &*slot };
    // A signal handler interrupted the recorder; it leaves its scopes before it returns.
    if recorder.busy.load(Ordering::Relaxed) {
        return;
    }
    if let Some(mut guard) = enter_recorder(recorder) {
        let local = guard.local();
        local.scope_due = true;
        local.ring.force_slow_path();
    }
}

/// Excludes the calling thread from the recording until dropped.
pub(crate) struct SuppressGuard(*mut ThreadRecorder);

impl SuppressGuard {
    pub(crate) fn new() -> Self {
        Self(SLOT.replace(SUPPRESSED))
    }

    /// Excludes a thread of the recorder itself for good.
    pub(crate) fn own_thread() -> Self {
        Self(SLOT.replace(RECORDER_THREAD))
    }
}

impl Drop for SuppressGuard {
    fn drop(&mut self) {
        // Not if the thread was assigned a recorder in the meantime.
        if matches!(SLOT.get(), SUPPRESSED | RECORDER_THREAD) {
            SLOT.set(self.0);
        }
    }
}

impl RecorderGuard {
    /// Joins a session that is not sampled.
    #[cold]
    fn join_unsampled(&mut self, session: SessionWord) -> bool {
        !session.is_sampled() && self.join(session)
    }

    /// Joins `session`. `false`: there is none, or no memory for it.
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
            // Every event passes here if this recorder has the slow-path flag. Pairs with the
            // barrier in `quiesce`.
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

    /// Defines this thread in the recording, and requests a keyframe before its first event.
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
        // Without stack bounds every walk takes the slow path, which checks each read.
        local.walker.adopt(sys::stack_bounds().unwrap_or((0, 0)));
        // The keyframe carries the thread id and must precede the first event.
        local.keyframe_due = true;
        local.attached_at = now;
        local.ring.force_slow_path();
    }
}

/// Restarts thread ids at 0 and resets the loss counters. Called before a session starts.
pub(crate) fn reset_threads() {
    for lost in [&DROPPED_NO_RECORDER, &DROPPED_DURING_START, &DROPPED_NO_MEMORY] {
        lost.store(0, Ordering::Relaxed);
    }
    threads::clear();
}

/// Resets the state in a forked child, where the other threads do not exist, so that nothing waits
/// for them or reads their names. Their recorders stay assigned.
pub(crate) fn reset_after_fork() {
    // SAFETY: the child has one thread, which called `fork` and so holds neither lock.
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

/// Creates the key whose destructor runs when a thread ends. Called while enabling.
pub(crate) fn create_exit_key() -> bool {
    if EXIT_KEY.load(Ordering::Acquire) != 0 {
        return true;
    }
    let mut key = 0;
    // SAFETY: `on_thread_exit` has the required type and accepts the values that
    // `register_exit_hook` stores.
    if unsafe { libc::pthread_key_create(&raw mut key, Some(on_thread_exit)) } != 0 {
        return false;
    }
    EXIT_KEY.store(key.wrapping_add(1), Ordering::Release);
    true
}

fn register_exit_hook(recorder: &'static ThreadRecorder) {
    if let Some(key) = EXIT_KEY.load(Ordering::Acquire).checked_sub(1) {
        // SAFETY: the key exists, and the value points to a thread recorder, which is never freed.
        unsafe { libc::pthread_setspecific(key, ptr::from_ref(recorder).cast()) };
    }
}

/// glibc and musl repeat the destructors up to four times while new values are set; the recorder
/// waits for the last round but one.
const EXIT_ROUNDS: u32 = 3;

unsafe extern "C" fn on_thread_exit(value: *mut libc::c_void) {
    let Some(recorder) = NonNull::new(value.cast::<ThreadRecorder>()) else {
        return;
    };
    // SAFETY: `register_exit_hook` stored a pointer to a thread recorder, which is never freed.
    let recorder: &'static ThreadRecorder = unsafe { recorder.as_ref() };
    SLOT.set(SUPPRESSED);
    // SAFETY: no other reference to the state exists: a destructor does not run inside the recorder, and
    // signal handlers on this thread find the slot suppressed.
    let local = unsafe { &mut *recorder.local() };
    // Other destructors may still allocate: stay until the last round.
    if local.exit_rounds < EXIT_ROUNDS && !safeguards::is_disabled(Safeguard::ExitRounds) {
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
