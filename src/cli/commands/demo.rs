//! `rheaper demo`: records a small leaky service inside this binary, loads the recording and opens
//! the explorer.
//!
//! Recording and database are in a directory of their own, which is removed at the end unless `--keep`
//! is given.
//!
//! Invariant: the service always performs the same sequence of requests; the machine determines only
//! how many.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::cli::args::{DemoArgs, TuiArgs};
use crate::cli::commands::tui;
use crate::cli::exit::Failure;
use crate::cli::progress;
use crate::database::CancelToken;
use crate::database::text::units;

/// Pause between two requests.
const PAUSE: Duration = Duration::from_micros(250);
/// Limit of the cache, which is full after the first second.
const PAGES_MAX: usize = 200;
/// Attempts to find an unused directory name.
const DIRECTORIES_MAX: u32 = 1000;

/// `rheaper demo`
pub(crate) fn demo(args: &DemoArgs, cancel: &CancelToken) -> Result<(), Failure> {
    let duration = units::parse_duration(&args.duration)
        .map_err(|error| Failure::usage(format!("--duration: {error}")))?;
    let duration = Duration::from_nanos(duration.unsigned_abs());
    progress::print_line(&format!(
        "recording a small leaky service for {:.1} s",
        duration.as_secs_f64()
    ));
    let recording = record(duration, cancel).map_err(|error| Failure::file(error.to_string()))?;
    let directory = recording.parent().map(Path::to_owned).unwrap_or_default();
    let result = if cancel.is_cancelled() {
        Err(Failure::interrupted())
    } else {
        tui::tui(&TuiArgs { file: Some(recording), ..TuiArgs::default() }, cancel)
    };
    if args.keep {
        progress::print_line(&format!("kept: {}", directory.display()));
    } else if let Err(error) = fs::remove_dir_all(&directory) {
        progress::print_line(&format!("can't remove {}: {error}", directory.display()));
    }
    result
}

/// The recording could not be started.
#[derive(Debug)]
enum DemoError {
    /// The directory for the recording can't be created.
    Directory(io::Error),
    /// Tracking can't be enabled.
    Tracking(crate::Error),
}

impl fmt::Display for DemoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(error) => write!(f, "no directory for the recording: {error}"),
            Self::Tracking(error) => write!(f, "tracking: {error}"),
        }
    }
}

/// Runs the service with tracking enabled; returns the path of the recording.
fn record(duration: Duration, cancel: &CancelToken) -> Result<PathBuf, DemoError> {
    let profile_dir = directory().map_err(DemoError::Directory)?;
    let recording = crate::enable_tracking(crate::TrackerConfig {
        max_stack_depth: 64,
        max_trackers: 8,
        tracker_event_buffer_size: 8192,
        sample_rate: 1.0,
        profile_dir,
    })
    .map_err(DemoError::Tracking)?;
    serve(duration, cancel);
    Ok(recording)
}

/// Creates a directory that only its owner may enter.
fn directory() -> io::Result<PathBuf> {
    let mut number = 0;
    loop {
        let directory =
            std::env::temp_dir().join(format!("rheaper-demo-{}-{number}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&directory) {
            Err(error)
                if error.kind() == io::ErrorKind::AlreadyExists && number < DIRECTORIES_MAX =>
            {
                number += 1;
            }
            created => return created.map(|()| directory),
        }
    }
}

/// Handles requests on this thread; a second thread writes the responses. Tracking is disabled before
/// the service is dropped, so that its memory is live at the end of the recording.
fn serve(duration: Duration, cancel: &CancelToken) {
    let (responses, outbox) = sync_channel(64);
    let writer =
        thread::Builder::new().name("writer".to_owned()).spawn(move || write_responses(&outbox));
    let mut service = Service::default();
    let start = Instant::now();
    let mut number = 0_u64;
    while start.elapsed() < duration && !cancel.is_cancelled() {
        let response = service.handle(number);
        if responses.send(response).is_err() {
            break;
        }
        number += 1;
        thread::sleep(PAUSE);
    }
    crate::disable_tracking();
    drop(responses);
    if let Ok(writer) = writer {
        // The thread returns nothing, and a panic in it does not affect the recording.
        let _ = writer.join();
    }
}

/// Frees strings that the other thread allocated.
#[inline(never)]
fn write_responses(outbox: &Receiver<String>) {
    while let Ok(response) = outbox.recv() {
        std::hint::black_box(&response);
    }
}

#[derive(Default)]
struct Service {
    cache: PageCache,
    audit: AuditLog,
}

impl Service {
    #[inline(never)]
    fn handle(&mut self, number: u64) -> String {
        let path = format!("/page/{}", number * 7919 % 500);
        let bytes = self.cache.page(&path);
        if number.is_multiple_of(10) {
            self.audit.append(number, &path);
        }
        format!("200 OK, {bytes} bytes")
    }
}

/// Holds most of the memory, but is bounded: not a leak.
#[derive(Default)]
struct PageCache {
    pages: HashMap<String, Vec<u8>>,
    order: VecDeque<String>,
}

impl PageCache {
    #[inline(never)]
    fn page(&mut self, path: &str) -> usize {
        if let Some(page) = self.pages.get(path) {
            return page.len();
        }
        if self.order.len() == PAGES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.pages.remove(&oldest);
        }
        let page = vec![b'x'; 1000 + path.len()];
        let bytes = page.len();
        self.order.push_back(path.to_owned());
        self.pages.insert(path.to_owned(), page);
        bytes
    }
}

/// The leak: grows by an entry every tenth request and is never read.
#[derive(Default)]
struct AuditLog {
    entries: Vec<(u64, String)>,
}

impl AuditLog {
    #[inline(never)]
    fn append(&mut self, number: u64, path: &str) {
        let mut entry = String::with_capacity(480);
        entry.push_str("GET ");
        entry.push_str(path);
        self.entries.push((number, entry));
    }
}
