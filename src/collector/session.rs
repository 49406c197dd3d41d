//! A recording session, from `enable_tracking` to `disable_tracking`.
//!
//! Writes the file's header; the flusher writes everything else.
//!
//! Invariants:
//! - At most one session at a time. Its lock is taken to enable and to disable, never to record.
//! - Disabling ends the session first, then waits until no thread is inside the recorder, then lets
//!   the flusher write the rest: everything recorded before the call is in the file.
//! - A forked child records nothing because it has no flusher.

use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::collector::error::Error;
use crate::collector::event_path::recorder_pool;
use crate::collector::event_path::session_config::{self, SessionConfig};
use crate::collector::event_path::session_word::{HAS_BARRIER, SESSION, SessionWord};
use crate::collector::event_path::thread_guard::{self, SuppressGuard};
use crate::collector::event_path::{marks, sampling, scope_table};
use crate::collector::options::{Options, QUOTA_BYTES_MIN, TrackerConfig};
use crate::collector::platform::clock::{self, ClockInfo};
use crate::collector::platform::event_count::{self, FutexEvent};
use crate::collector::platform::sys::{self, RecorderThread};
use crate::collector::unwind::module_registry::{self, KnownGuard};
use crate::collector::unwind::{modules, stack_table};
use crate::collector::writer::create::{self, ProgramDescriptor, RecordingFile};
use crate::collector::writer::flusher::{Flusher, STOP, SessionSummary};
use crate::recording::{ClockPair, Counter, Counters, Header};
use crate::safeguards::{self, Safeguard};

/// Maximum wait, at the end of a recording, for a thread that was stopped inside the recorder (by a
/// debugger, or descheduled). After that its last event is lost.
const QUIESCE_MAX: Duration = Duration::from_secs(1);

/// Minimum time over which the rate of the clock is measured.
const CALIBRATION_NS: u64 = 1_000_000;
const CALIBRATION_PAIRS_MAX: u32 = 10_000;

/// The running session.
struct Running {
    flusher: RecorderThread,
    process: u32,
    session: SessionWord,
}

static RUNNING: Mutex<Option<Running>> = Mutex::new(None);
static SESSIONS: AtomicU32 = AtomicU32::new(0);
static HAS_HANDLERS: AtomicBool = AtomicBool::new(false);
/// The process that registered the handlers; a forked child is another one.
static OWNER: AtomicU32 = AtomicU32::new(0);
/// The flusher has run [`Flusher::prepare_on_thread`] and stored the result in
/// [`PROGRAM_DESCRIPTOR`].
static IS_FLUSHER_READY: AtomicBool = AtomicBool::new(false);
static FLUSHER_READY: FutexEvent = FutexEvent::new();
static PROGRAM_DESCRIPTOR: Mutex<Option<ProgramDescriptor>> = Mutex::new(None);
/// Maximum time between two checks of [`IS_FLUSHER_READY`].
const READY_CHECK_EVERY: Duration = Duration::from_millis(10);
/// The process whose `exit` has begun; no control may start a recording in it.
static EXITING: AtomicU32 = AtomicU32::new(0);

fn running() -> MutexGuard<'static, Option<Running>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts to record every allocation and free of the process, and returns the path of the
/// recording, a new file in `config.profile_dir`.
///
/// `rheaper <recording> <db>` loads the file at any time, also while it is written.
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
///         tracker_event_buffer_size: 8192,
///         sample_rate: 1.0,
///         profile_dir: directory,
///     };
///     let recording = rheaper::enable_tracking(config)?;
///     let numbers: Vec<String> = (0..10).map(|number| number.to_string()).collect();
///     rheaper::disable_tracking();
///     assert!(std::fs::metadata(&recording).is_ok_and(|file| file.len() > 0));
/// #   assert_eq!(numbers.len(), 10);
/// #   std::fs::remove_file(recording).unwrap();
///     Ok(())
/// }
/// ```
///
/// # Errors
/// [`Error::AlreadyEnabled`] while another recording is running; [`Error::File`] when the file
/// cannot be created; [`Error::Resources`] when the system refuses memory or a thread.
pub fn enable_tracking(config: TrackerConfig) -> Result<PathBuf, Error> {
    Options::new(config).enable()
}

impl Options {
    /// Starts to record, as [`enable_tracking`] does.
    ///
    /// # Errors
    /// As [`enable_tracking`], and [`Error::Options`] for options that exclude each other.
    pub fn enable(self) -> Result<PathBuf, Error> {
        enable(self, StartedBy::Program).map(|(_, path)| path)
    }
}

/// Like [`Options::enable`], but also returns the session.
pub(crate) fn enable_for_guard(options: Options) -> Result<(SessionWord, PathBuf), Error> {
    enable(options, StartedBy::Program)
}

/// Like [`Options::enable`], but for the control thread, whose own allocations are not recorded:
/// thread 0 is then the first thread that allocates. Also returns the session.
pub(crate) fn enable_for_control(options: Options) -> Result<(SessionWord, PathBuf), Error> {
    enable(options, StartedBy::Control)
}

/// The caller that starts a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StartedBy {
    Program,
    Control,
}

fn enable(options: Options, started_by: StartedBy) -> Result<(SessionWord, PathBuf), Error> {
    if options.quota_bytes != 0 && options.quota_bytes < QUOTA_BYTES_MIN {
        return Err(Error::Options("a quota below 1 MiB has no room for a program's stacks"));
    }
    if options.sample_bytes != 0 && !options.aggregate_shorter_than.is_zero() {
        return Err(Error::Options(
            "sampled blocks are not aggregated: use either sample_bytes or aggregate_shorter_than",
        ));
    }
    let mut running = running();
    // A forked child inherits this state from its parent, but not the flusher.
    if running.as_ref().is_some_and(|running| {
        running.process == sys::process_id() || safeguards::is_disabled(Safeguard::PidCheck)
    }) {
        return Err(Error::AlreadyEnabled);
    }
    if started_by == StartedBy::Control && EXITING.load(Ordering::SeqCst) == sys::process_id() {
        return Err(Error::Resources(io::Error::other("the process is ending")));
    }
    // `start` drops all its temporaries, so that the first recorded free is one of the program.
    let Started { path, flusher, session } = start(options, started_by)?;
    *running = Some(Running { flusher, process: sys::process_id(), session });
    SESSION.store(session, Ordering::SeqCst);
    Ok((session, path))
}

struct Started {
    path: PathBuf,
    flusher: RecorderThread,
    session: SessionWord,
}

#[expect(clippy::needless_pass_by_value, reason = "dropped here, before recording starts")]
fn start(options: Options, started_by: StartedBy) -> Result<Started, Error> {
    let config = &options.config;
    let suppressed = SuppressGuard::new();
    prepare()?;
    let limits = SessionConfig::new(
        config.max_stack_depth,
        config.max_trackers,
        config.tracker_event_buffer_size,
        config.sample_rate,
    );
    session_config::set(limits);
    let is_sampling = options.sample_bytes != 0;
    let aggregates = !options.aggregate_shorter_than.is_zero() || options.quota_bytes != 0;
    session_config::set_aggregation(aggregates && !is_sampling);
    let session = next_session(is_sampling);
    sampling::prepare(session, options.sample_bytes);
    let clock_info = clock::choose();
    let start = clock::pair();
    let loaded = module_registry::refresh(start.ticks);
    #[cfg(walks_with_framehop)]
    crate::collector::unwind::rules::prepare(&loaded);
    drop(loaded);

    let (path, mut file) = create::create(&config.profile_dir, start.unix_ns / 1_000_000_000)
        .map_err(|source| Error::File { path: config.profile_dir.clone(), source })?;
    let header = header(&options, limits, clock_info, start);
    let begun = sys::with_sigxfsz_blocked(|| file.write_all(&header.to_bytes()))
        .map_err(|source| Error::File { path: path.clone(), source })
        .and_then(|()| start_flusher(file, session, &header));
    match begun {
        Ok(flusher) => {
            drop(suppressed);
            if started_by == StartedBy::Program {
                // Without memory for the first thread recorder, the events of this thread are
                // counted as lost.
                let _ = thread_guard::register_thread(session);
            }
            Ok(Started { path, flusher, session })
        }
        Err(error) => {
            let _ = std::fs::remove_file(&path);
            Err(error)
        }
    }
}

/// Ends the recording and prints on stderr the number of its events, and the reason if it ended
/// early. Does nothing when no recording is running. Everything recorded before the call is in the
/// file when it returns.
pub fn disable_tracking() {
    report_end(stop(running()));
}

/// Ends this session only: another one may have started since.
pub(crate) fn disable_session(session: SessionWord) {
    let running = running();
    let is_current = running.as_ref().is_some_and(|running| running.session == session);
    report_end(if is_current { stop(running) } else { None });
}

/// State of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Recording.
    Recording,
    /// Its file cannot be written any more, but it was not ended.
    Failed,
    /// Ended, or replaced by another session.
    Over,
}

/// The state of a session.
pub(crate) fn state_of(session: SessionWord) -> State {
    let running = running();
    if running.as_ref().is_none_or(|running| running.session != session) {
        return State::Over;
    }
    if SESSION.load(Ordering::SeqCst) == session { State::Recording } else { State::Failed }
}

fn report_end(summary: Option<SessionSummary>) {
    if let Some(SessionSummary { counters, failure }) = summary {
        let kinds = [Counter::Allocations, Counter::Frees, Counter::Reallocations];
        let events: u64 = kinds.into_iter().map(|kind| counters.get(kind)).sum();
        let mut line = match failure.map(io::Error::from_raw_os_error) {
            None => format!("recorded {events} allocation events"),
            Some(error) => format!("recorded {events} allocation events, not all: {error}"),
        };
        if let Some(lost) = lost_events(&counters) {
            line.push_str(&lost);
        }
        line.push('\n');
        // The program may have closed its stderr; the message is then dropped.
        let _ = io::stderr().write_all(line.as_bytes());
    }
}

/// The number of events that were not recorded, and the most frequent reason.
fn lost_events(counters: &Counters) -> Option<String> {
    let lost = || Counter::LOST_EVENTS.iter().map(|kind| (counters.get(*kind), kind));
    let count = lost().fold(0_u64, |sum, (count, _)| sum.saturating_add(count));
    let (_, most) = lost().max_by_key(|(count, _)| *count).filter(|_| count > 0)?;
    let was = if count == 1 { "was" } else { "were" };
    Some(format!("; {count} more {was} not recorded: {}", most.meaning().trim_end_matches('.')))
}

fn stop(mut running: MutexGuard<'_, Option<Running>>) -> Option<SessionSummary> {
    let Running { flusher, process, session: _ } = running.take()?;
    SESSION.store(SessionWord::NONE, Ordering::SeqCst);
    if process != sys::process_id() {
        return None;
    }
    let _suppressed = SuppressGuard::new();
    quiesce();
    STOP.store(true, Ordering::Release);
    event_count::wake_flusher();
    let summary = flusher.join().filter(|summary| !summary.is_null())?;
    // SAFETY: `run_flusher` returns a leaked `Box<SessionSummary>`, and only this join receives it.
    let summary = unsafe { Box::from_raw(summary.cast::<SessionSummary>()) };
    for recorder in recorder_pool::all() {
        recorder.discard();
    }
    sampling::discard();
    Some(*summary)
}

/// Waits until no thread is inside the recorder, at most [`QUIESCE_MAX`].
fn quiesce() {
    if HAS_BARRIER.load(Ordering::Relaxed) {
        sys::memory_barrier();
    }
    let started_ns = sys::monotonic_ns();
    for recorder in recorder_pool::all() {
        while recorder.is_busy()
            && u128::from(sys::monotonic_ns().saturating_sub(started_ns)) < QUIESCE_MAX.as_nanos()
        {
            std::thread::sleep(Duration::from_micros(50));
        }
    }
}

/// Prepares the tables and handlers that exist once per process, and resets the counters.
fn prepare() -> Result<(), Error> {
    if !stack_table::prepare() || !thread_guard::create_exit_key() {
        return Err(Error::Resources(io::Error::last_os_error()));
    }
    modules::prepare();
    OWNER.store(sys::process_id(), Ordering::SeqCst);
    HAS_BARRIER.store(sys::register_memory_barrier(), Ordering::Relaxed);
    if !HAS_HANDLERS.swap(true, Ordering::Relaxed) {
        // SAFETY: all handlers are `extern "C"` functions without arguments that live as long as
        // the process, and none of them unwinds.
        unsafe {
            libc::pthread_atfork(
                Some(before_fork),
                Some(after_fork_in_parent),
                Some(after_fork_in_child),
            );
            libc::atexit(at_exit);
        }
    }
    thread_guard::reset_threads();
    marks::clear();
    scope_table::OVERFLOWS.store(0, Ordering::Relaxed);
    STOP.store(false, Ordering::Release);
    Ok(())
}

/// The locks held across a `fork`, so that no other thread holds them in the child, where it would
/// never release them.
struct AcrossFork(UnsafeCell<Option<ForkLocks>>);

/// Guards of the session lock, if it was acquired in time, and of the module list.
struct ForkLocks {
    _running: Option<MutexGuard<'static, Option<Running>>>,
    _known: KnownGuard,
}

// SAFETY: only the fork handlers below access it, and libc runs them for one fork at a time, on the
// forking thread, which is the only thread of the child.
unsafe impl Sync for AcrossFork {}

static ACROSS_FORK: AcrossFork = AcrossFork(UnsafeCell::new(None));

/// Number of attempts, a millisecond apart, to get the session lock: a thread that ends a recording
/// on a slow disk holds it for long, and a fork must not wait for that.
const FORK_TRIES: u32 = 20;

unsafe extern "C" fn before_fork() {
    let mut running = RUNNING.try_lock();
    for _ in 1..FORK_TRIES {
        if running.is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
        running = RUNNING.try_lock();
    }
    let locks = ForkLocks { _running: running.ok(), _known: module_registry::lock() };
    // SAFETY: libc runs the fork handlers one at a time, so that this is the only reference to the
    // value.
    unsafe { *ACROSS_FORK.0.get() = Some(locks) };
}

unsafe extern "C" fn after_fork_in_parent() {
    // SAFETY: libc runs the fork handlers one at a time, so that this is the only reference to the
    // value.
    drop(unsafe { (*ACROSS_FORK.0.get()).take() });
}

unsafe extern "C" fn after_fork_in_child() {
    SESSION.store(SessionWord::NONE, Ordering::Relaxed);
    thread_guard::reset_after_fork();
    marks::reset_after_fork();
    scope_table::reset_after_fork();
    #[cfg(walks_with_framehop)]
    crate::collector::unwind::dlopen::reset_after_fork();
    #[cfg(walks_with_framehop)]
    crate::collector::unwind::rules::reset_after_fork();
    // SAFETY: libc runs the fork handlers one at a time, so that this is the only reference to the
    // value.
    drop(unsafe { (*ACROSS_FORK.0.get()).take() });
}

/// `atexit` handler: finishes the recording if the program did not call [`disable_tracking`].
extern "C" fn at_exit() {
    let process = sys::process_id();
    EXITING.store(process, Ordering::SeqCst);
    // The holder of the lock either starts or ends a recording, or was interrupted by `exit` and
    // will never release it. In a forked child the holder may not exist.
    let started_ns = sys::monotonic_ns();
    let is_late =
        || u128::from(sys::monotonic_ns().saturating_sub(started_ns)) > QUIESCE_MAX.as_nanos();
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

fn next_session(is_sampled: bool) -> SessionWord {
    loop {
        let number = SESSIONS.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if let Some(session) = SessionWord::new(number, is_sampled) {
            return session;
        }
    }
}

fn header(
    options: &Options,
    limits: SessionConfig,
    clock_info: ClockInfo,
    start: ClockPair,
) -> Header {
    let mut second = clock::pair();
    // A test clock may not advance.
    for _ in 0..CALIBRATION_PAIRS_MAX {
        if second.monotonic_ns.saturating_sub(start.monotonic_ns) >= CALIBRATION_NS {
            break;
        }
        second = clock::pair();
    }
    let mut recording_id = [0; 16];
    // SAFETY: writes at most 16 bytes into the array. If it fails, the id stays zero.
    unsafe { libc::getrandom(recording_id.as_mut_ptr().cast(), recording_id.len(), 0) };
    let config = &options.config;
    let sample_rate = if config.sample_rate.is_nan() { 1.0 } else { config.sample_rate };
    Header {
        clock: clock_info.kind,
        tick_shift: clock_info.tick_shift,
        recording_id,
        pid: sys::process_id(),
        max_stack_depth: limits.depth_max as u32,
        started_unix_ns: start.unix_ns,
        started_ticks: start.ticks,
        started_monotonic_ns: start.monotonic_ns,
        ticks_per_second: clock::rate(clock_info, start, second),
        sample_rate: sample_rate.clamp(0.0, 1.0),
        trackers_max: limits.trackers_max as u32,
        ring_bytes: limits.ring_bytes as u32,
        aggregate_below_ns: u64::try_from(options.aggregate_shorter_than.as_nanos())
            .unwrap_or(u64::MAX),
        quota_bytes: options.quota_bytes,
        sample_bytes: options.sample_bytes,
    }
}

/// Starts the flusher on its own thread, and waits until it no longer uses the descriptors of the
/// program.
fn start_flusher(
    file: RecordingFile,
    session: SessionWord,
    header: &Header,
) -> Result<RecorderThread, Error> {
    let flusher = Flusher::new(file, session, header)
        .ok_or_else(|| Error::Resources(io::Error::from_raw_os_error(libc::ENOMEM)))?;
    let flusher = Box::into_raw(Box::new(flusher));
    IS_FLUSHER_READY.store(false, Ordering::SeqCst);
    let thread = sys::spawn(run_flusher, flusher.cast()).map_err(|refused| {
        // SAFETY: no thread was created, so that this function still owns the box.
        drop(unsafe { Box::from_raw(flusher) });
        Error::Resources(io::Error::from_raw_os_error(refused))
    })?;
    loop {
        let ticket = FLUSHER_READY.ticket();
        if IS_FLUSHER_READY.load(Ordering::SeqCst) {
            break;
        }
        FLUSHER_READY.wait(ticket, READY_CHECK_EVERY);
    }
    // Closes the descriptor in the program's table, which the flusher cannot reach any more.
    drop(program_descriptor().take());
    Ok(thread)
}

fn program_descriptor() -> MutexGuard<'static, Option<ProgramDescriptor>> {
    PROGRAM_DESCRIPTOR.lock().unwrap_or_else(PoisonError::into_inner)
}

extern "C" fn run_flusher(flusher: *mut c_void) -> *mut c_void {
    let _suppressed = SuppressGuard::for_recorder_thread();
    sys::name_this_thread(c"rheaper");
    // SAFETY: `start_flusher` passes a leaked box, and this thread is its only owner.
    let mut flusher = unsafe { Box::from_raw(flusher.cast::<Flusher>()) };
    *program_descriptor() = flusher.prepare_on_thread();
    IS_FLUSHER_READY.store(true, Ordering::SeqCst);
    FLUSHER_READY.notify();
    Box::into_raw(Box::new(flusher.run())).cast()
}
