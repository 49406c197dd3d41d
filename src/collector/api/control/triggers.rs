//! The triggers of a control: signal, file, environment variable, and memory threshold.
//!
//! Invariant: a trigger issues a command when its state changes, not while it stays: a recording
//! that ended on its own does not start again because the file still exists.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::collector::api::control::{Measure, Trigger};
use crate::collector::writer::process_memory::MemoryReader;
use crate::safeguards::{self, Safeguard};

/// A command for the control thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Start a recording, with an optional duration.
    Start(Trigger, Option<Duration>),
    /// Stop the recording.
    Stop,
    /// Stop the recording if this trigger started it.
    StopOwn(Trigger),
    /// Start a recording, or stop the running one.
    Toggle(Trigger),
    /// End the control.
    End,
    /// Report an input that could not be parsed.
    Refuse(String),
}

static SIGNALLED: AtomicBool = AtomicBool::new(false);

extern "C" fn signalled(_signal: libc::c_int) {
    SIGNALLED.store(true, Ordering::Relaxed);
}

/// Installs the signal handler unless the program has one.
pub(crate) fn install_signal_handler(signal: i32) -> io::Result<()> {
    SIGNALLED.store(false, Ordering::Relaxed);
    let ours = signalled as extern "C" fn(libc::c_int) as usize;
    // SAFETY: all-zero is a valid value of every field of `sigaction`.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = ours;
    action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: all-zero is a valid value of every field of `sigaction`.
    let mut before: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: the handler only stores to an atomic, which is async-signal-safe; both structures are
    // valid for the call.
    if unsafe { libc::sigaction(signal, &raw const action, &raw mut before) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if before.sa_sigaction == ours || before.sa_sigaction == libc::SIG_DFL {
        return Ok(());
    }
    // SAFETY: restores the action that the previous call returned.
    unsafe { libc::sigaction(signal, &raw const before, std::ptr::null_mut()) };
    let what = if before.sa_sigaction == libc::SIG_IGN { "is ignored" } else { "has a handler" };
    Err(io::Error::other(format!("it {what} already")))
}

/// The command of a signal that arrived since the last call.
pub(crate) fn take_signal() -> Option<Command> {
    SIGNALLED.swap(false, Ordering::Relaxed).then_some(Command::Toggle(Trigger::Signal))
}

/// The command of the environment variable; `Err` if it cannot be parsed.
pub(crate) fn read_environment(name: &OsStr) -> Result<Option<Command>, String> {
    // SAFETY: `getauxval` takes a number and accesses no memory of the caller.
    let is_privileged = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    if is_privileged && !safeguards::is_disabled(Safeguard::PrivilegedEnvironment) {
        return Ok(None);
    }
    let Some(value) = std::env::var_os(name) else {
        return Ok(None);
    };
    match value.to_str().and_then(parse) {
        Some(Directive::Start(limit)) => Ok(Some(Command::Start(Trigger::Environment, limit))),
        Some(Directive::Stop) => Ok(None),
        None => Err(format!("the variable {} should be {EXPECTED}", name.to_string_lossy())),
    }
}

const EXPECTED: &str = "`start`, `stop`, or a duration, such as `90s`, `10m` or `2h`";

/// The content of a control file or variable.
enum Directive {
    Start(Option<Duration>),
    Stop,
}

fn parse(text: &str) -> Option<Directive> {
    let text = text.trim().to_ascii_lowercase();
    match text.as_str() {
        "1" | "on" | "start" | "true" | "yes" => return Some(Directive::Start(None)),
        "" | "0" | "off" | "stop" | "false" | "no" => return Some(Directive::Stop),
        _ => {}
    }
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.trim_end().parse().ok()?;
    let limit = match text.strip_prefix(digits)? {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" | "min" => Duration::from_secs(number.checked_mul(60)?),
        "h" => Duration::from_secs(number.checked_mul(3600)?),
        _ => return None,
    };
    Some(Directive::Start(Some(limit)))
}

/// Maximum number of bytes read from a control file.
const FILE_BYTES_MAX: usize = 64;

/// The file trigger: records while the file exists.
#[derive(Debug)]
pub(crate) struct FileTrigger {
    path: PathBuf,
    last: Option<FileState>,
    /// The file was found empty once: an editor truncates a file before it writes the content.
    is_write_pending: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct FileState {
    /// Whether the content asks for a recording.
    wants_recording: bool,
    version: FileVersion,
}

/// Identifies a version of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct FileVersion {
    inode: u64,
    modified: (i64, i64),
    bytes: u64,
}

impl FileTrigger {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, last: None, is_write_pending: false }
    }

    /// The command of a change since the last poll.
    pub(crate) fn poll(&mut self) -> Option<Command> {
        let Ok((mut state, text)) = self.read() else {
            self.is_write_pending = false;
            let previous = self.last.take();
            return previous.filter(|state| state.wants_recording).map(|_| Command::Stop);
        };
        let is_empty = text.trim().is_empty();
        let directive = if is_empty { Some(Directive::Start(None)) } else { parse(&text) };
        let before = self.last.unwrap_or_default();
        let is_unchanged =
            before.version == state.version && !std::mem::take(&mut self.is_write_pending);
        self.is_write_pending = is_empty && before.version != state.version;
        state.wants_recording = match directive {
            _ if self.is_write_pending => before.wants_recording,
            Some(Directive::Start(_)) => true,
            _ => false,
        };
        self.last = Some(state);
        if is_unchanged || self.is_write_pending {
            return None;
        }
        match directive {
            Some(Directive::Start(limit)) => Some(Command::Start(Trigger::File, limit)),
            Some(Directive::Stop) => Some(Command::Stop),
            // The content is not echoed: the path may be a link to a confidential file.
            None => Some(Command::Refuse(format!("the control file should contain {EXPECTED}"))),
        }
    }

    fn read(&self) -> io::Result<(FileState, String)> {
        let flags = libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY;
        let mut file = OpenOptions::new().read(true).custom_flags(flags).open(&self.path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        // A single read: a concurrent write must not combine parts of two versions.
        let mut bytes = [0; FILE_BYTES_MAX];
        let len = file.read(&mut bytes)?;
        let version = FileVersion {
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            bytes: metadata.len(),
        };
        let text = String::from_utf8_lossy(bytes.get(..len).unwrap_or_default()).into_owned();
        Ok((FileState { wants_recording: false, version }, text))
    }
}

/// The threshold trigger: records while a measure is high.
#[derive(Debug)]
pub(crate) struct Threshold {
    measure: Measure,
    above: u64,
    /// None for a measure that the program reports.
    reader: Option<MemoryReader>,
    /// The measure exceeded the threshold and has not fallen below 90 % of it since.
    in_episode: bool,
}

impl Threshold {
    pub(crate) fn new(measure: Measure, above: u64) -> Self {
        let reader = (!matches!(measure, Measure::Gauge(_))).then(MemoryReader::open);
        Self { measure, above, reader, in_episode: false }
    }

    /// The command of a change since the last poll.
    pub(crate) fn poll(&mut self) -> Option<Command> {
        let value = match self.measure {
            Measure::Rss => self.reader.as_ref().and_then(MemoryReader::rss),
            Measure::Cgroup => self.reader.as_ref().and_then(MemoryReader::cgroup),
            // The program's own code: a panic in it must not end the process from here.
            Measure::Gauge(gauge) => catch_unwind(AssertUnwindSafe(gauge)).ok(),
        }?;
        if !self.in_episode && value > self.above {
            self.in_episode = true;
            return Some(Command::Start(Trigger::Threshold, None));
        }
        if self.in_episode && value < self.above.saturating_sub(self.above / 10) {
            self.in_episode = false;
            return Some(Command::StopOwn(Trigger::Threshold));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use crate::collector::api::control::Trigger;
    use crate::collector::api::control::triggers::{Command, FileTrigger};

    #[test]
    fn a_file_that_is_being_written_gives_no_command_yet() {
        let directory = std::env::temp_dir().join(format!("rheaper-file-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("control");
        let mut trigger = FileTrigger::new(path.clone());
        let start = |limit| Some(Command::Start(Trigger::File, limit));
        // Each version has a different length, so that the test does not depend on timestamps.
        let mut write_and_poll = |text: Option<&str>| {
            match text {
                Some(text) => fs::write(&path, text).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            trigger.poll()
        };
        assert_eq!(write_and_poll(Some("")), None);
        assert_eq!(write_and_poll(Some("10m")), start(Some(Duration::from_secs(600))));
        assert_eq!(write_and_poll(Some("")), None);
        assert_eq!(write_and_poll(Some("stop")), Some(Command::Stop));
        assert_eq!(write_and_poll(Some("")), None);
        assert_eq!(write_and_poll(None), None);
        assert_eq!(write_and_poll(Some("start")), start(None));
        assert_eq!(write_and_poll(Some("")), None);
        assert_eq!(write_and_poll(None), Some(Command::Stop));
        fs::write(&path, "").unwrap();
        assert_eq!(trigger.poll(), None);
        assert_eq!(trigger.poll(), start(None));
        assert_eq!(trigger.poll(), None);
        fs::remove_file(&path).unwrap();
        assert_eq!(trigger.poll(), Some(Command::Stop));
        fs::remove_dir_all(directory).unwrap();
    }
}
