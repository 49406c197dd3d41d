//! What may start or stop a recording: each trigger remembers what it saw, and says what changed.
//!
//! Reads: the signal's flag, the control file, the environment, a measure. Writes: commands.
//!
//! Invariant: a trigger speaks when something changed, not while it stays: a recording that ended
//! on its own does not begin again because a file is still there.

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
use crate::safeguards;

/// What a trigger wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// A recording, for so long if it says.
    Start(Trigger, Option<Duration>),
    /// Its end.
    Stop,
    /// Its end, if it began with this trigger.
    StopOwn(Trigger),
    /// A recording if there is none, else its end.
    Toggle(Trigger),
    /// The end of everything.
    End,
    /// Something that can't be understood.
    Refuse(String),
}

static SIGNALLED: AtomicBool = AtomicBool::new(false);

extern "C" fn signalled(_signal: libc::c_int) {
    SIGNALLED.store(true, Ordering::Relaxed);
}

/// Installs the handler, unless somebody else has one.
pub(crate) fn install_signal_handler(signal: i32) -> io::Result<()> {
    SIGNALLED.store(false, Ordering::Relaxed);
    let ours = signalled as extern "C" fn(libc::c_int) as usize;
    // SAFETY: zero is a valid value of every field.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = ours;
    action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: as above.
    let mut before: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: the handler stores to one atomic; both structures are ours.
    if unsafe { libc::sigaction(signal, &raw const action, &raw mut before) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if before.sa_sigaction == ours || before.sa_sigaction == libc::SIG_DFL {
        return Ok(());
    }
    // SAFETY: gives back what was there.
    unsafe { libc::sigaction(signal, &raw const before, std::ptr::null_mut()) };
    let what = if before.sa_sigaction == libc::SIG_IGN { "is ignored" } else { "has a handler" };
    Err(io::Error::other(format!("it {what} already")))
}

/// Whether the signal came since the last call.
pub(crate) fn take_signal() -> Option<Command> {
    SIGNALLED.swap(false, Ordering::Relaxed).then_some(Command::Toggle(Trigger::Signal))
}

/// What the environment asks for, once. `Err`: it can't be understood.
pub(crate) fn read_environment(name: &OsStr) -> Result<Option<Command>, String> {
    // SAFETY: a plain number.
    let is_privileged = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    if is_privileged && !safeguards::without("privileged environment") {
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

const EXPECTED: &str = "`start`, `stop`, or how long, such as `90s`, `10m` or `2h`";

/// What a word says.
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

/// More of a control file is not read.
const FILE_BYTES_MAX: usize = 64;

/// A file that is there or not.
#[derive(Debug)]
pub(crate) struct FileTrigger {
    path: PathBuf,
    seen: Option<FileState>,
    /// It was seen to be empty, once: whoever writes to a file empties it first.
    is_write_pending: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct FileState {
    /// Whether a recording was wished for.
    wants_recording: bool,
    writing: FileVersion,
}

/// What tells one writing of a file from another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct FileVersion {
    inode: u64,
    modified: (i64, i64),
    bytes: u64,
}

impl FileTrigger {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, seen: None, is_write_pending: false }
    }

    /// What changed since the last look.
    pub(crate) fn poll(&mut self) -> Option<Command> {
        let Ok((mut seen, text)) = self.read() else {
            self.is_write_pending = false;
            let was_there = self.seen.take();
            return was_there.filter(|seen| seen.wants_recording).map(|_| Command::Stop);
        };
        let is_empty = text.trim().is_empty();
        let said = if is_empty { Some(Directive::Start(None)) } else { parse(&text) };
        let before = self.seen.unwrap_or_default();
        let is_unchanged =
            before.writing == seen.writing && !std::mem::take(&mut self.is_write_pending);
        self.is_write_pending = is_empty && before.writing != seen.writing;
        seen.wants_recording = match said {
            _ if self.is_write_pending => before.wants_recording,
            Some(Directive::Start(_)) => true,
            _ => false,
        };
        self.seen = Some(seen);
        if is_unchanged || self.is_write_pending {
            return None;
        }
        match said {
            Some(Directive::Start(limit)) => Some(Command::Start(Trigger::File, limit)),
            Some(Directive::Stop) => Some(Command::Stop),
            // What it says is not repeated: it may be a link to somebody's secret.
            None => Some(Command::Refuse(format!("the control file should say {EXPECTED}"))),
        }
    }

    fn read(&self) -> io::Result<(FileState, String)> {
        let flags = libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY;
        let mut file = OpenOptions::new().read(true).custom_flags(flags).open(&self.path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        // At one go: if it is written meanwhile, the end of one text must not stand behind another.
        let mut bytes = [0; FILE_BYTES_MAX];
        let len = file.read(&mut bytes)?;
        let writing = FileVersion {
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            bytes: metadata.len(),
        };
        let text = String::from_utf8_lossy(bytes.get(..len).unwrap_or_default()).into_owned();
        Ok((FileState { wants_recording: false, writing }, text))
    }
}

/// A measure that passes a threshold.
#[derive(Debug)]
pub(crate) struct Threshold {
    measure: Measure,
    above: u64,
    /// None where the program measures.
    gauges: Option<MemoryReader>,
    /// The measure has passed the threshold and has not fallen since.
    in_episode: bool,
}

impl Threshold {
    pub(crate) fn new(measure: Measure, above: u64) -> Self {
        let gauges = (!matches!(measure, Measure::Gauge(_))).then(MemoryReader::open);
        Self { measure, above, gauges, in_episode: false }
    }

    /// What changed since the last look.
    pub(crate) fn poll(&mut self) -> Option<Command> {
        let value = match self.measure {
            Measure::Rss => self.gauges.as_ref().and_then(MemoryReader::rss),
            Measure::Cgroup => self.gauges.as_ref().and_then(MemoryReader::cgroup),
            // The program's own code: what it does wrong must not end the process from here.
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
    fn a_file_that_is_being_written_says_nothing_yet() {
        let directory = std::env::temp_dir().join(format!("rheaper-file-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("control");
        let mut trigger = FileTrigger::new(path.clone());
        let start = |limit| Some(Command::Start(Trigger::File, limit));
        // Each writing has another length, so that no clock has to tell them apart.
        let mut says = |text: Option<&str>| {
            match text {
                Some(text) => fs::write(&path, text).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            trigger.poll()
        };
        assert_eq!(says(Some("")), None);
        assert_eq!(says(Some("10m")), start(Some(Duration::from_secs(600))));
        assert_eq!(says(Some("")), None);
        assert_eq!(says(Some("stop")), Some(Command::Stop));
        assert_eq!(says(Some("")), None);
        assert_eq!(says(None), None);
        assert_eq!(says(Some("start")), start(None));
        assert_eq!(says(Some("")), None);
        assert_eq!(says(None), Some(Command::Stop));
        fs::write(&path, "").unwrap();
        assert_eq!(trigger.poll(), None);
        assert_eq!(trigger.poll(), start(None));
        assert_eq!(trigger.poll(), None);
        fs::remove_file(&path).unwrap();
        assert_eq!(trigger.poll(), Some(Command::Stop));
        fs::remove_dir_all(directory).unwrap();
    }
}
