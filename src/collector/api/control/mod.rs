//! Starts and stops recordings while the program runs, without a rebuild: opt-in, off by default.
//!
//! Reads: a signal's flag, a file, an environment variable, the process's memory, requests.
//! Writes: recordings, through the same doors as `enable_tracking` and `disable_tracking`; what
//! came of it, for who asks.
//!
//! Invariants:
//! - One thread does it all, with all signals blocked; nothing that it allocates is recorded.
//! - The signal handler sets a flag. There is no port, no socket and no child process.
//! - Nothing here panics or prints; what can't be done is a sentence in [`ControlStatus`].

pub(crate) mod triggers;
pub(crate) mod watch;

use std::ffi::{OsString, c_void};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::collector::api::control::triggers::{Command, install_signal_handler, read_environment};
use crate::collector::api::control::watch::Watch;
use crate::collector::event_path::thread_guard::SuppressGuard;
use crate::collector::options::Options;
use crate::collector::platform::event_count::FutexEvent;
use crate::collector::platform::sys::{self, RecorderThread};

/// How often triggers are looked at unless the program says otherwise.
const POLL_EVERY: Duration = Duration::from_millis(150);

/// How often they can be looked at.
const POLL_MIN: Duration = Duration::from_millis(1);
const POLL_MAX: Duration = Duration::from_secs(3600);

/// Changes to wake the control thread.
static WAKE: FutexEvent = FutexEvent::new();

/// What [`Control`] asked for last: one of the numbers below.
static REQUEST: AtomicU32 = AtomicU32::new(REQUEST_NONE);
const REQUEST_NONE: u32 = 0;
const REQUEST_START: u32 = 1;
const REQUEST_STOP: u32 = 2;
const REQUEST_END: u32 = 3;

/// What came of it so far. Written by the control thread.
static STATUS: Mutex<ControlStatus> = Mutex::new(ControlStatus::new());

/// The control thread, and the process that it is in.
static THREAD: Mutex<Option<(RecorderThread, u32)>> = Mutex::new(None);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets recordings be started and stopped from outside while the program runs. Choose triggers,
/// then [`start`](ControlBuilder::start); without a call of it nothing happens, and without a
/// trigger only [`Control`] itself starts recordings.
///
/// A thread of its own looks at the triggers about seven times a second. Any of them may end what
/// another one began. Recordings that the program itself enabled are left alone.
///
/// ```no_run
/// use std::time::Duration;
///
/// # let config = rheaper::TrackerConfig {
/// #     max_stack_depth: 64, max_trackers: 256, tracker_event_buffer_size: 16_384,
/// #     sample_rate: 1.0, profile_dir: std::env::temp_dir(),
/// # };
/// let control = rheaper::control(config)
///     .signal(12) // SIGUSR2: the first starts, the next stops
///     .file("/run/heap/record") // there: record; gone, or `stop` in it: don't
///     .env("RHEAPER_RECORD") // `1`, or how long: `10m`
///     .when_above(rheaper::Measure::Rss, 2 << 30)
///     .record_for(Duration::from_secs(600)) // however it began
///     .start()?;
/// println!("{:?}", control.status().recording);
/// # Ok::<(), rheaper::ControlError>(())
/// ```
pub fn control(options: impl Into<Options>) -> ControlBuilder {
    ControlBuilder {
        options: options.into(),
        signal: None,
        file: None,
        environment: None,
        threshold: None,
        record_for: None,
        poll_every: POLL_EVERY,
    }
}

/// What starts and stops recordings; see [`control`].
#[derive(Clone, Debug)]
#[must_use = "nothing is watched before `start`"]
pub struct ControlBuilder {
    options: Options,
    signal: Option<i32>,
    file: Option<PathBuf>,
    environment: Option<OsString>,
    threshold: Option<(Measure, u64)>,
    record_for: Option<Duration>,
    poll_every: Duration,
}

/// What is compared with a threshold, in bytes.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Measure {
    /// Resident memory of the process.
    Rss,
    /// What the process's control group is charged with: what a container's limit is about.
    Cgroup,
    /// What the program says, such as live bytes of its allocator. Called on the control thread,
    /// at each look. The recorder itself counts nothing while it does not record.
    Gauge(fn() -> u64),
}

impl ControlBuilder {
    /// A signal, such as `SIGUSR2`, starts a recording, and ends the one that is under way. The
    /// handler sets a flag. Several signals between two looks are one.
    ///
    /// [`start`](Self::start) refuses a signal that already has a handler or is ignored. The
    /// handler stays when the control ends, as the signal would kill the process without it.
    pub fn signal(mut self, signal: i32) -> Self {
        self.signal = Some(signal);
        self
    }

    /// A recording is under way while this file is there, unless it says `stop`. It may be empty,
    /// which counts when it is seen twice, say `start`, or say for how long: `90s`, `10m`, `2h`.
    /// After a recording that ended on its own another one begins when the file is written anew.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// A recording begins at once if this environment variable is `1`, `on` or `start`, or says
    /// for how long: `90s`, `10m`, `2h`. It is read once, and not at all in a program that runs
    /// with more rights than its caller (set-user-id and the like).
    pub fn env(mut self, name: impl Into<OsString>) -> Self {
        self.environment = Some(name.into());
        self
    }

    /// A recording begins when a measure passes `bytes`, once an episode: the episode, and a
    /// recording that began with it, end when the measure falls below nine tenths of that.
    pub fn when_above(mut self, measure: Measure, bytes: u64) -> Self {
        self.threshold = Some((measure, bytes));
        self
    }

    /// A recording ends after so long, whatever began it, unless its trigger says for how long.
    pub fn record_for(mut self, limit: Duration) -> Self {
        self.record_for = Some(limit);
        self
    }

    /// How often the triggers are looked at: 150 ms, unless this says otherwise. From 1 ms to an
    /// hour.
    pub fn poll_every(mut self, interval: Duration) -> Self {
        self.poll_every = interval.clamp(POLL_MIN, POLL_MAX);
        self
    }

    /// Begins to watch, on a thread of its own.
    ///
    /// # Errors
    /// [`ControlError::AlreadyControlled`] while another control is at work in this process;
    /// [`ControlError::Signal`] when the signal can't be had; [`ControlError::Thread`] when the
    /// system refuses a thread. Nothing is watched then.
    pub fn start(self) -> Result<Control, ControlError> {
        let mut thread = lock(&THREAD);
        let process = sys::process_id();
        // A forked child inherits the parent's state, but not its thread.
        if thread.as_ref().is_some_and(|(_, owner)| *owner == process) {
            return Err(ControlError::AlreadyControlled);
        }
        let _ignored = SuppressGuard::new();
        if let Some(signal) = self.signal {
            install_signal_handler(signal)
                .map_err(|source| ControlError::Signal { signal, source })?;
        }
        let initial = self.environment.as_deref().map_or(Ok(None), read_environment);
        REQUEST.store(REQUEST_NONE, Ordering::Relaxed);
        *lock(&STATUS) = ControlStatus::new();
        let watch = Box::into_raw(Box::new(Watch::new(self, initial)));
        match sys::spawn(run_watch, watch.cast()) {
            Ok(id) => {
                *thread = Some((id, process));
                Ok(Control { process })
            }
            Err(error) => {
                // SAFETY: the thread was not made, so the box is still ours.
                drop(unsafe { Box::from_raw(watch) });
                Err(ControlError::Thread(io::Error::from_raw_os_error(error)))
            }
        }
    }
}

extern "C" fn run_watch(watch: *mut c_void) -> *mut c_void {
    let _ignored = SuppressGuard::own_thread();
    sys::name_this_thread(c"rheaper-control");
    // SAFETY: `start` passes a leaked box, for us alone.
    unsafe { Box::from_raw(watch.cast::<Watch>()) }.run();
    std::ptr::null_mut()
}

/// A control at work. Dropping it changes nothing: the triggers go on being watched until
/// [`end`](Control::end), or the end of the process.
#[derive(Debug)]
pub struct Control {
    process: u32,
}

impl Control {
    /// What came of it so far.
    pub fn status(&self) -> ControlStatus {
        lock(&STATUS).clone()
    }

    /// Asks for a recording, as any trigger does. It begins within milliseconds, on the control
    /// thread; [`status`](Self::status) says when, and where.
    pub fn start_recording(&self) {
        self.ask(REQUEST_START);
    }

    /// Asks for the end of the recording that is under way, if the control began it.
    pub fn stop_recording(&self) {
        self.ask(REQUEST_STOP);
    }

    /// Ends the recording that the control began, if one is under way, and the control.
    pub fn end(self) {
        // In a forked child there is no thread to join.
        if self.process != sys::process_id() {
            return;
        }
        let Some((thread, _)) = lock(&THREAD).take() else {
            return;
        };
        self.ask(REQUEST_END);
        let _ = thread.join();
    }

    #[expect(clippy::unused_self, reason = "only who holds a control may ask it")]
    fn ask(&self, what: u32) {
        // Nothing is asked of a control that is ending.
        let ask = |asked| (asked != REQUEST_END).then_some(what);
        let _ = REQUEST.fetch_update(Ordering::AcqRel, Ordering::Acquire, ask);
        WAKE.notify();
    }
}

/// What a control has done so far.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ControlStatus {
    /// The recording that the control began and that is under way.
    pub recording: Option<PathBuf>,
    /// The one that ended last.
    pub last: Option<PathBuf>,
    /// What began `recording`, else `last`.
    pub trigger: Option<Trigger>,
    /// Recordings active.
    pub started: u64,
    /// Of these, ended.
    pub ended: u64,
    /// Wishes that could not be fulfilled.
    pub refused: u64,
    /// Why, of the last one.
    pub refusal: Option<String>,
}

impl ControlStatus {
    const fn new() -> Self {
        Self {
            recording: None,
            last: None,
            trigger: None,
            started: 0,
            ended: 0,
            refused: 0,
            refusal: None,
        }
    }
}

/// What a recording began with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trigger {
    /// [`Control::start_recording`].
    Request,
    /// The signal.
    Signal,
    /// The file.
    File,
    /// The environment variable.
    Environment,
    /// The measure passed its threshold.
    Threshold,
}

/// Why nothing is watched.
#[derive(Debug)]
#[non_exhaustive]
pub enum ControlError {
    /// Another control is at work in this process.
    AlreadyControlled,
    /// The signal has a handler already, is ignored, or can't be handled.
    Signal {
        /// Which one.
        signal: i32,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused a thread.
    Thread(io::Error),
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyControlled => f.write_str("recordings are already controlled"),
            Self::Signal { signal, source } => {
                write!(f, "signal {signal} can't start recordings: {source}")
            }
            Self::Thread(source) => write!(f, "the system refused a thread: {source}"),
        }
    }
}

impl std::error::Error for ControlError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::AlreadyControlled => None,
            Self::Signal { source, .. } | Self::Thread(source) => Some(source),
        }
    }
}

/// What was asked since the last look.
fn take_request() -> Option<Command> {
    let take = |asked| (asked != REQUEST_END).then_some(REQUEST_NONE);
    match REQUEST.fetch_update(Ordering::AcqRel, Ordering::Acquire, take) {
        Ok(REQUEST_START) => Some(Command::Start(Trigger::Request, None)),
        Ok(REQUEST_STOP) => Some(Command::Stop),
        Ok(_) => None,
        Err(_) => Some(Command::End),
    }
}
