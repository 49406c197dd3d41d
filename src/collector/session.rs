//! A recording session: what happens between `enable_tracking` and `disable_tracking`.
//!
//! Reads: a [`TrackerConfig`]. Writes: the file's header; everything else is the flusher's.
//!
//! Invariants:
//! - One session at a time, guarded by a lock that application threads never take on their own:
//!   only enabling and disabling do.
//! - Disabling ends the session first, then waits until no thread is inside the recorder, then
//!   lets the flusher write the rest: what was recorded before the call is in the file.
//! - A forked child records nothing: it has no flusher.

use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::collector::error::Error;
use crate::collector::event_path::recorder_pool;
use crate::collector::event_path::session_config::{self, Limits};
use crate::collector::event_path::thread_guard::{self, SuppressGuard};
use crate::collector::event_path::thread_recorder::{HAS_BARRIER, SAMPLED, SESSION, SESSION_MASK};
use crate::collector::event_path::{marks, sampling, scope_table};
use crate::collector::options::{Options, QUOTA_BYTES_MIN, TrackerConfig};
use crate::collector::platform::clock::{self, ClockFacts};
use crate::collector::platform::event_count;
use crate::collector::platform::sys::{self, OwnThread};
use crate::collector::unwind::module_registry::{self, KnownGuard};
use crate::collector::unwind::{modules, stack_table};
use crate::collector::writer::create;
use crate::collector::writer::flusher::{Ended, Flusher, STOP};
use crate::recording::{ClockPair, Counter, Counters, Header};
use crate::safeguards;

/// A thread that was stopped inside the recorder (a debugger, a descheduled core) is waited for
/// this long when a recording ends; then its last event is given up.
const QUIESCE_MAX: Duration = Duration::from_secs(1);

/// The clock is watched at least this long to learn its rate.
const CALIBRATION_NS: u64 = 1_000_000;
const CALIBRATION_PAIRS_MAX: u32 = 10_000;

/// What runs while recording.
struct Running {
    flusher: OwnThread,
    process: u32,
    session: u32,
}

static RUNNING: Mutex<Option<Running>> = Mutex::new(None);
static SESSIONS: AtomicU32 = AtomicU32::new(0);
static HAS_HANDLERS: AtomicBool = AtomicBool::new(false);
/// The process that the handlers were made in; a forked child is another one.
static OWNER: AtomicU32 = AtomicU32::new(0);
/// The process whose `exit` has begun: no control starts a recording any more.
static EXITING: AtomicU32 = AtomicU32::new(0);

fn running() -> MutexGuard<'static, Option<Running>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins to record every allocation and free of the process, and answers the path of the
/// recording: one new file in `config.profile_dir`.
///
/// The file can be loaded at any time, also while it is written; `rheaper <recording> <db>`
/// does.
///
/// ```standalone_crate
/// #[global_allocator]
/// static GLOBAL: rheaper::Allocator<std::alloc::System> =
///     rheaper::Allocator::from_allocator(std::alloc::System);
///
/// fn main() -> Result<(), rheaper::Error> {
///     let directory = std::env::temp_dir();
///     let config = rheaper::TrackerConfig {
///         max_stack_depth: 50,
///         max_trackers: 50,
///         tracker_event_buffer_size: 8196,
///         sample_rate: 1.0,
///         profile_dir: directory,
///     };
///     let recording = rheaper::enable_tracking(config)?;
///     let kept: Vec<String> = (0..10).map(|number| number.to_string()).collect();
///     rheaper::disable_tracking();
///     assert!(std::fs::metadata(&recording).is_ok_and(|file| file.len() > 0));
/// #   assert_eq!(kept.len(), 10);
/// #   std::fs::remove_file(recording).unwrap();
///     Ok(())
/// }
/// ```
///
/// # Errors
/// [`Error::AlreadyEnabled`] while another recording is under way; [`Error::File`] when the file
/// can't be made; [`Error::Resources`] when the system refuses memory or a thread.
pub fn enable_tracking(config: TrackerConfig) -> Result<PathBuf, Error> {
    Options::new(config).enable()
}

impl Options {
    /// Begins to record, as [`enable_tracking`] does.
    ///
    /// # Errors
    /// As [`enable_tracking`], and [`Error::Options`] for options that can't be had together.
    pub fn enable(self) -> Result<PathBuf, Error> {
        enable(self, StartedBy::Program).map(|(_, path)| path)
    }
}

/// The same, and which session it is.
pub(crate) fn begin_for_guard(options: Options) -> Result<(u32, PathBuf), Error> {
    enable(options, StartedBy::Program)
}

/// The same for the control thread, whose own allocations are nobody's business: thread 0 is then
/// the first that allocates. Answers the session, too.
pub(crate) fn enable_for_control(options: Options) -> Result<(u32, PathBuf), Error> {
    enable(options, StartedBy::Control)
}

/// Who begins a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StartedBy {
    Program,
    Control,
}

fn enable(options: Options, starter: StartedBy) -> Result<(u32, PathBuf), Error> {
    if options.bytes_max != 0 && options.bytes_max < QUOTA_BYTES_MIN {
        return Err(Error::Options("a quota below 1 MiB has no room for a program's stacks"));
    }
    if options.sample_bytes != 0 && !options.aggregate_shorter_than.is_zero() {
        return Err(Error::Options(
            "of a sample nothing is aggregated: ask for sample_bytes or for aggregate_shorter_than",
        ));
    }
    let mut running = running();
    // A forked child inherits the parent's state, but not its flusher.
    if running.as_ref().is_some_and(|running| {
        running.process == sys::process_id() || safeguards::without("pid check")
    }) {
        return Err(Error::AlreadyEnabled);
    }
    if starter == StartedBy::Control && EXITING.load(Ordering::SeqCst) == sys::process_id() {
        return Err(Error::Resources(io::Error::other("the process is ending")));
    }
    // Everything that was made on the way is dropped in there: the first free that is recorded
    // is the program's.
    let Begun { path, flusher, session } = begin(options, starter)?;
    *running = Some(Running { flusher, process: sys::process_id(), session });
    SESSION.store(session, Ordering::SeqCst);
    Ok((session, path))
}

struct Begun {
    path: PathBuf,
    flusher: OwnThread,
    session: u32,
}

#[expect(clippy::needless_pass_by_value, reason = "it is to be dropped in here")]
fn begin(options: Options, starter: StartedBy) -> Result<Begun, Error> {
    let config = &options.config;
    let ignored = SuppressGuard::new();
    prepare()?;
    let limits = Limits::new(
        config.max_stack_depth,
        config.max_trackers,
        config.tracker_event_buffer_size,
        config.sample_rate,
    );
    session_config::set(limits);
    let is_sampling = options.sample_bytes != 0;
    let aggregates = !options.aggregate_shorter_than.is_zero() || options.bytes_max != 0;
    session_config::set_aggregation(aggregates && !is_sampling);
    let session = next_session() | if is_sampling { SAMPLED } else { 0 };
    sampling::prepare(session, options.sample_bytes);
    let facts = clock::choose();
    let start = clock::pair();
    let loaded = module_registry::refresh(start.ticks);
    #[cfg(walks_with_framehop)]
    crate::collector::unwind::rules::prepare(&loaded);
    drop(loaded);

    let (path, mut file) = create::create(&config.profile_dir, start.unix_ns / 1_000_000_000)
        .map_err(|source| Error::File { path: config.profile_dir.clone(), source })?;
    let header = header(&options, limits, facts, start);
    let begun = sys::without_size_signal(|| file.write_all(&header.to_bytes()))
        .map_err(|source| Error::File { path: path.clone(), source })
        .and_then(|()| start_flusher(file, session, &header));
    match begun {
        Ok(flusher) => {
            drop(ignored);
            if starter == StartedBy::Program {
                // If there is no memory for the first tracker, this thread's events are counted.
                let _ = thread_guard::register_thread(session);
            }
            Ok(Begun { path, flusher, session })
        }
        Err(error) => {
            let _ = std::fs::remove_file(&path);
            Err(error)
        }
    }
}

/// Ends the recording and says on stderr how many events it has, and why it ends early if it does.
/// Does nothing when none is under way. What was recorded before the call is in the file when it
/// returns.
pub fn disable_tracking() {
    say(stop(running()));
}

/// The same for one session only: another one may have begun since.
pub(crate) fn end(session: u32) {
    let running = running();
    let is_it = running.as_ref().is_some_and(|running| running.session == session);
    say(if is_it { stop(running) } else { None });
}

/// How a session is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It records.
    Recording,
    /// Its file can't be written any more, and nobody has ended it.
    Failed,
    /// It was ended.
    Over,
}

/// How a session is doing.
pub(crate) fn state_of(session: u32) -> State {
    let running = running();
    if running.as_ref().is_none_or(|running| running.session != session) {
        return State::Over;
    }
    if SESSION.load(Ordering::SeqCst) == session { State::Recording } else { State::Failed }
}

fn say(ended: Option<Ended>) {
    if let Some(Ended { counters, failure }) = ended {
        let kinds = [Counter::Allocations, Counter::Frees, Counter::Reallocations];
        let events: u64 = kinds.into_iter().map(|kind| counters.get(kind)).sum();
        let mut line = match failure.map(io::Error::from_raw_os_error) {
            None => format!("recorded {events} allocation events"),
            Some(error) => format!("recorded {events} allocation events, not all: {error}"),
        };
        if let Some(lost) = lost(&counters) {
            line.push_str(&lost);
        }
        line.push('\n');
        // The program may have closed its stderr: then nobody wants to know.
        let _ = io::stderr().write_all(line.as_bytes());
    }
}

/// How many events were not recorded, and what the most of them were lost by.
fn lost(counters: &Counters) -> Option<String> {
    let lost = || Counter::LOST_EVENTS.iter().map(|kind| (counters.get(*kind), kind));
    let count = lost().fold(0_u64, |sum, (count, _)| sum.saturating_add(count));
    let (_, most) = lost().max_by_key(|(count, _)| *count).filter(|_| count > 0)?;
    let was = if count == 1 { "was" } else { "were" };
    Some(format!("; {count} more {was} not recorded: {}", most.meaning().trim_end_matches('.')))
}

fn stop(mut running: MutexGuard<'_, Option<Running>>) -> Option<Ended> {
    let Running { flusher, process, session: _ } = running.take()?;
    SESSION.store(0, Ordering::SeqCst);
    if process != sys::process_id() {
        return None;
    }
    let _ignored = SuppressGuard::new();
    quiesce();
    STOP.store(true, Ordering::Release);
    event_count::wake_flusher();
    let ended = flusher.join().filter(|ended| !ended.is_null())?;
    // SAFETY: `run_flusher` answers a leaked box, for us alone.
    let ended = unsafe { Box::from_raw(ended.cast::<Ended>()) };
    for tracker in recorder_pool::all() {
        tracker.discard();
    }
    sampling::discard();
    Some(*ended)
}

/// Waits until no thread is inside the recorder.
fn quiesce() {
    if HAS_BARRIER.load(Ordering::Relaxed) {
        sys::memory_barrier();
    }
    let began = sys::monotonic_ns();
    for tracker in recorder_pool::all() {
        while tracker.is_busy()
            && u128::from(sys::monotonic_ns().saturating_sub(began)) < QUIESCE_MAX.as_nanos()
        {
            std::thread::sleep(Duration::from_micros(50));
        }
    }
}

/// What is made once in a process.
fn prepare() -> Result<(), Error> {
    if !stack_table::prepare() || !thread_guard::prepare_exit() {
        return Err(Error::Resources(io::Error::last_os_error()));
    }
    modules::prepare();
    OWNER.store(sys::process_id(), Ordering::SeqCst);
    HAS_BARRIER.store(sys::register_memory_barrier(), Ordering::Relaxed);
    if !HAS_HANDLERS.swap(true, Ordering::Relaxed) {
        // SAFETY: the first three take and give back two locks, and put what other threads had in
        // hand in order; the last does what ends a recording.
        unsafe {
            libc::pthread_atfork(Some(forking), Some(forked), Some(forked_child));
            libc::atexit(at_exit);
        }
    }
    thread_guard::reset_threads();
    marks::forget();
    scope_table::OVERFLOWS.store(0, Ordering::Relaxed);
    STOP.store(false, Ordering::Release);
    Ok(())
}

/// The locks that a fork holds, so that no other thread has them in the child, for ever.
struct AcrossFork(UnsafeCell<Option<Held>>);

/// The session's, unless who had it was slow, and the list of modules'.
struct Held {
    _running: Option<MutexGuard<'static, Option<Running>>>,
    _known: KnownGuard,
}

// SAFETY: only the handlers below touch it, and libc runs them one fork at a time, all on the
// forking thread, which is also the child's only one.
unsafe impl Sync for AcrossFork {}

static ACROSS_FORK: AcrossFork = AcrossFork(UnsafeCell::new(None));

/// Tries for the session's lock so often, a millisecond apart: who ends a recording on a slow
/// disk holds it for long, and a fork is not to wait for that.
const FORK_TRIES: u32 = 20;

unsafe extern "C" fn forking() {
    let mut running = RUNNING.try_lock();
    for _ in 1..FORK_TRIES {
        if running.is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
        running = RUNNING.try_lock();
    }
    let held = Held { _running: running.ok(), _known: module_registry::hold() };
    // SAFETY: as said at `AcrossFork`.
    unsafe { *ACROSS_FORK.0.get() = Some(held) };
}

unsafe extern "C" fn forked() {
    // SAFETY: as said at `AcrossFork`.
    drop(unsafe { (*ACROSS_FORK.0.get()).take() });
}

unsafe extern "C" fn forked_child() {
    SESSION.store(0, Ordering::Relaxed);
    thread_guard::forked();
    marks::forked();
    scope_table::forked();
    #[cfg(walks_with_framehop)]
    crate::collector::unwind::dlopen::forked();
    #[cfg(walks_with_framehop)]
    crate::collector::unwind::rules::forked();
    // SAFETY: as said at `AcrossFork`.
    drop(unsafe { (*ACROSS_FORK.0.get()).take() });
}

/// A program that ends without a word has its recording written to the end all the same.
extern "C" fn at_exit() {
    let process = sys::process_id();
    EXITING.store(process, Ordering::SeqCst);
    // Whoever holds the lock is beginning or ending a recording, or is what was interrupted by
    // `exit`, and then will never let it go. So will nobody in a forked child.
    let began = sys::monotonic_ns();
    let is_late = || u128::from(sys::monotonic_ns().saturating_sub(began)) > QUIESCE_MAX.as_nanos();
    loop {
        if let Ok(running) = RUNNING.try_lock() {
            let _ = stop(running);
            return;
        }
        if is_late() || OWNER.load(Ordering::SeqCst) != process {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn next_session() -> u32 {
    // The highest bits are the trackers'.
    let session =
        SESSIONS.fetch_add(1, Ordering::Relaxed).wrapping_add(1) & SESSION_MASK & !SAMPLED;
    if session == 0 { next_session() } else { session }
}

fn header(options: &Options, limits: Limits, facts: ClockFacts, start: ClockPair) -> Header {
    let mut second = clock::pair();
    // A test's clock may stand still.
    for _ in 0..CALIBRATION_PAIRS_MAX {
        if second.monotonic_ns.saturating_sub(start.monotonic_ns) >= CALIBRATION_NS {
            break;
        }
        second = clock::pair();
    }
    let mut recording_id = [0; 16];
    // SAFETY: writes at most 16 bytes into the array; without randomness the id is zero.
    unsafe { libc::getrandom(recording_id.as_mut_ptr().cast(), recording_id.len(), 0) };
    let config = &options.config;
    let sample_rate = if config.sample_rate.is_nan() { 1.0 } else { config.sample_rate };
    Header {
        clock: facts.kind,
        tick_shift: facts.tick_shift,
        recording_id,
        pid: sys::process_id(),
        max_stack_depth: limits.depth_max as u32,
        started_unix_ns: start.unix_ns,
        started_ticks: start.ticks,
        started_monotonic_ns: start.monotonic_ns,
        ticks_per_second: clock::rate(facts, start, second),
        sample_rate: sample_rate.clamp(0.0, 1.0),
        trackers_max: limits.trackers_max as u32,
        region_bytes: limits.ring_bytes as u32,
        aggregate_below_ns: u64::try_from(options.aggregate_shorter_than.as_nanos())
            .unwrap_or(u64::MAX),
        bytes_max: options.bytes_max,
        sample_bytes: options.sample_bytes,
    }
}

/// Starts the flusher, on a thread of its own.
fn start_flusher(file: File, session: u32, header: &Header) -> Result<OwnThread, Error> {
    let flusher = Flusher::new(file, session, header)
        .ok_or_else(|| Error::Resources(io::Error::from_raw_os_error(libc::ENOMEM)))?;
    let flusher = Box::into_raw(Box::new(flusher));
    sys::spawn(run_flusher, flusher.cast()).map_err(|refused| {
        // SAFETY: the thread was not made, so the box is still ours.
        drop(unsafe { Box::from_raw(flusher) });
        Error::Resources(io::Error::from_raw_os_error(refused))
    })
}

extern "C" fn run_flusher(flusher: *mut c_void) -> *mut c_void {
    let _ignored = SuppressGuard::own_thread();
    sys::name_this_thread(c"rheaper");
    // SAFETY: `start_flusher` passes a leaked box, for us alone.
    let flusher = unsafe { Box::from_raw(flusher.cast::<Flusher>()) };
    Box::into_raw(Box::new(flusher.run())).cast()
}
