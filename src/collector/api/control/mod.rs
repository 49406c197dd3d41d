//! Starts and stops recordings while the program runs. Opt-in, off by default.
//!
//! Inputs are a signal, a file, an environment variable, a memory measure, and requests of the
//! program; recordings are started and stopped as by `enable_tracking` and `disable_tracking`.
//!
//! Invariants:
//! - One thread does all the work, with all signals blocked; its allocations are not recorded.
//! - The signal handler only sets a flag. There is no port, no socket and no child process.
//! - Nothing here panics or prints; an error is reported in [`ControlStatus`].

pub(crate) mod control_thread;
pub(crate) mod triggers;

use std::ffi::{OsString, c_void};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::collector::api::control::control_thread::ControlThread;
use crate::collector::api::control::triggers::{Command, install_signal_handler, read_environment};
use crate::collector::event_path::thread_guard::SuppressGuard;
use crate::collector::options::Options;
use crate::collector::platform::event_count::FutexEvent;
use crate::collector::platform::sys::{self, RecorderThread};

/// Default polling interval of the triggers.
const POLL_EVERY: Duration = Duration::from_millis(150);

/// Limits of the polling interval.
const POLL_MIN: Duration = Duration::from_millis(1);
const POLL_MAX: Duration = Duration::from_secs(3600);

/// Wakes the control thread.
static WAKE: FutexEvent = FutexEvent::new();

/// The last request of [`Control`]: one of the numbers below.
static REQUEST: AtomicU32 = AtomicU32::new(REQUEST_NONE);
const REQUEST_NONE: u32 = 0;
const REQUEST_START: u32 = 1;
const REQUEST_STOP: u32 = 2;
const REQUEST_END: u32 = 3;

/// The current status, written by the control thread.
static STATUS: Mutex<ControlStatus> = Mutex::new(ControlStatus::new());

/// The control thread and the id of its process.
static THREAD: Mutex<Option<(RecorderThread, u32)>> = Mutex::new(None);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts and stops recordings on external triggers while the program runs. Choose triggers, then call
/// [`start`](ControlBuilder::start); without it nothing happens, and without a trigger only [`Control`]
/// itself starts recordings.
///
/// A separate thread polls the triggers about seven times per second. Each trigger can end a recording
/// that another one started. Recordings that the program itself enabled are not affected.
///
/// ```no_run
/// use std::time::Duration;
///
/// # let config = rheaper::TrackerConfig {
/// #     max_stack_depth: 64, max_trackers: 256, tracker_event_buffer_size: 16_384,
/// #     sample_rate: 1.0, profile_dir: std::env::temp_dir(),
/// # };
/// let control = rheaper::control(config)
///     .signal(12) // SIGUSR2 starts a recording, or stops it
///     .file("/run/heap/record") // exists: record; removed, or contains `stop`: stop
///     .env("RHEAPER_RECORD") // `1`, or a duration: `10m`
///     .when_above(rheaper::Measure::Rss, 2 << 30)
///     .record_for(Duration::from_secs(600)) // for every trigger
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

/// The triggers that start and stop recordings; see [`control`].
#[derive(Clone, Debug)]
#[must_use = "triggers are not polled before `start`"]
pub struct ControlBuilder {
    options: Options,
    signal: Option<i32>,
    file: Option<PathBuf>,
    environment: Option<OsString>,
    threshold: Option<(Measure, u64)>,
    record_for: Option<Duration>,
    poll_every: Duration,
}

/// A measure, in bytes, that is compared with a threshold.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Measure {
    /// Resident set size of the process.
    Rss,
    /// Memory charged to the control group of the process; a container's limit applies to it.
    Cgroup,
    /// A value that the program reports, such as live bytes of its allocator. Called on the control
    /// thread at each poll. The recorder itself counts nothing while it does not record.
    Gauge(fn() -> u64),
}

impl ControlBuilder {
    /// A signal such as `SIGUSR2` starts a recording, or ends the running one. The handler sets a
    /// flag. Several signals between two polls count as one.
    ///
    /// [`start`](Self::start) rejects a signal that already has a handler or is ignored. The
    /// handler stays installed when the control ends because the signal would otherwise kill the
    /// process.
    pub fn signal(mut self, signal: i32) -> Self {
        self.signal = Some(signal);
        self
    }

    /// Records while this file exists, unless it contains `stop`. An empty file counts
    /// once two polls in a row have seen it; it may contain `start` or a duration: `90s`, `10m`. After a
    /// recording that ended on its own, another one starts when the file is written again.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Starts a recording immediately if this environment variable is `1`, `on` or `start`, or a
    /// duration: `90s`, `10m`, `2h`. It is read once, and never in a program that runs with more
    /// privileges than its caller (set-user-id and similar).
    pub fn env(mut self, name: impl Into<OsString>) -> Self {
        self.environment = Some(name.into());
        self
    }

    /// Starts a recording when a measure exceeds `bytes`, and ends it when the
    /// measure falls below 90 % of `bytes`; until then no other recording is started by this trigger.
    pub fn when_above(mut self, measure: Measure, bytes: u64) -> Self {
        self.threshold = Some((measure, bytes));
        self
    }

    /// Limits the duration of recordings whose trigger does not give one.
    pub fn record_for(mut self, limit: Duration) -> Self {
        self.record_for = Some(limit);
        self
    }

    /// Sets the polling interval of the triggers, 1 ms to one hour. Default: 150 ms.
    pub fn poll_every(mut self, interval: Duration) -> Self {
        self.poll_every = interval.clamp(POLL_MIN, POLL_MAX);
        self
    }

    /// Starts the control thread.
    ///
    /// # Errors
    /// [`ControlError::AlreadyControlled`] while another control is active in this process;
    /// [`ControlError::Signal`] when the signal cannot be handled; [`ControlError::Thread`] when
    /// the system refuses a thread. Nothing is polled then.
    pub fn start(self) -> Result<Control, ControlError> {
        let mut thread = lock(&THREAD);
        let process = sys::process_id();
        // A forked child inherits this state from its parent, but not the thread.
        if thread.as_ref().is_some_and(|(_, owner)| *owner == process) {
            return Err(ControlError::AlreadyControlled);
        }
        let _suppressed = SuppressGuard::new();
        if let Some(signal) = self.signal {
            install_signal_handler(signal)
                .map_err(|source| ControlError::Signal { signal, source })?;
        }
        let initial = self.environment.as_deref().map_or(Ok(None), read_environment);
        REQUEST.store(REQUEST_NONE, Ordering::Relaxed);
        *lock(&STATUS) = ControlStatus::new();
        let control_thread = Box::into_raw(Box::new(ControlThread::new(self, initial)));
        match sys::spawn(run_control_thread, control_thread.cast()) {
            Ok(id) => {
                *thread = Some((id, process));
                Ok(Control { process })
            }
            Err(error) => {
                // SAFETY: no thread was created, so that this function still owns the box.
                drop(unsafe { Box::from_raw(control_thread) });
                Err(ControlError::Thread(io::Error::from_raw_os_error(error)))
            }
        }
    }
}

extern "C" fn run_control_thread(state: *mut c_void) -> *mut c_void {
    let _suppressed = SuppressGuard::for_recorder_thread();
    sys::name_this_thread(c"rheaper-control");
    // SAFETY: `start` passes a leaked box, and this thread is its only owner.
    unsafe { Box::from_raw(state.cast::<ControlThread>()) }.run();
    std::ptr::null_mut()
}

/// Handle of an active control. Dropping it changes nothing: the triggers are polled until
/// [`end`](Control::end) or the end of the process.
#[derive(Debug)]
pub struct Control {
    process: u32,
}

impl Control {
    /// The current status.
    pub fn status(&self) -> ControlStatus {
        lock(&STATUS).clone()
    }

    /// Requests a recording, like a trigger. It starts within milliseconds, on the control thread;
    /// [`status`](Self::status) has its path.
    pub fn start_recording(&self) {
        self.request(REQUEST_START);
    }

    /// Requests the end of the running recording, if the control started it.
    pub fn stop_recording(&self) {
        self.request(REQUEST_STOP);
    }

    /// Ends the running recording, if the control started it, and then the control.
    pub fn end(self) {
        // In a forked child there is no thread to join.
        if self.process != sys::process_id() {
            return;
        }
        let Some((thread, _)) = lock(&THREAD).take() else {
            return;
        };
        self.request(REQUEST_END);
        let _ = thread.join();
    }

    #[expect(clippy::unused_self, reason = "only the owner of a control may send requests")]
    fn request(&self, request: u32) {
        // A request to end is never replaced.
        let next = |pending| (pending != REQUEST_END).then_some(request);
        let _ = REQUEST.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        WAKE.notify();
    }
}

/// Status of a control.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ControlStatus {
    /// The running recording, if the control started it.
    pub recording: Option<PathBuf>,
    /// The recording that ended last.
    pub last_recording: Option<PathBuf>,
    /// The trigger of `recording`, or of `last_recording` if none is running.
    pub trigger: Option<Trigger>,
    /// Number of recordings started.
    pub started: u64,
    /// Number of them that ended.
    pub ended: u64,
    /// Number of commands that failed.
    pub failed_commands: u64,
    /// Reason of the last failure.
    pub last_error: Option<String>,
}

impl ControlStatus {
    const fn new() -> Self {
        Self {
            recording: None,
            last_recording: None,
            trigger: None,
            started: 0,
            ended: 0,
            failed_commands: 0,
            last_error: None,
        }
    }
}

/// The trigger of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trigger {
    /// A call of [`Control::start_recording`].
    Request,
    /// The signal.
    Signal,
    /// The file.
    File,
    /// The environment variable.
    Environment,
    /// The measure exceeded its threshold.
    Threshold,
}

/// Why a control could not be started.
#[derive(Debug)]
#[non_exhaustive]
pub enum ControlError {
    /// Another control is active in this process.
    AlreadyControlled,
    /// The signal already has a handler, is ignored, or cannot be handled.
    Signal {
        /// The signal's number.
        signal: i32,
        /// The error of the operating system.
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

/// Takes the request made since the last poll.
fn take_request() -> Option<Command> {
    let cleared = |pending| (pending != REQUEST_END).then_some(REQUEST_NONE);
    match REQUEST.fetch_update(Ordering::AcqRel, Ordering::Acquire, cleared) {
        Ok(REQUEST_START) => Some(Command::Start(Trigger::Request, None)),
        Ok(REQUEST_STOP) => Some(Command::Stop),
        Ok(_) => None,
        Err(_) => Some(Command::End),
    }
}
