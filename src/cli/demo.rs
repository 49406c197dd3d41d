//! `rheaper demo`: records a small leaky service inside this very binary, so that a newcomer has
//! something to look at within seconds.
//!
//! Reads: nothing. Writes: a directory of its own, with a recording in it.
//!
//! Invariant: the service does the same things each time it runs; only how many depends on the
//! machine.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::database::CancelToken;

/// Between two requests.
const PAUSE: Duration = Duration::from_micros(250);
/// Pages that the cache keeps: it fills, then stays as it is.
const PAGES_MAX: usize = 200;
/// Directories of this name that may be there already.
const DIRECTORIES_MAX: u32 = 1000;

/// Why there is no recording.
#[derive(Debug)]
pub(crate) enum DemoError {
    /// The directory can't be made.
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

/// Runs the service under observation for so long; gives the recording.
pub(crate) fn record(length: Duration, cancel: &CancelToken) -> Result<PathBuf, DemoError> {
    let profile_dir = directory().map_err(DemoError::Directory)?;
    let recording = crate::enable_tracking(crate::TrackerConfig {
        max_stack_depth: 64,
        max_trackers: 8,
        tracker_event_buffer_size: 8192,
        sample_rate: 1.0,
        profile_dir,
    })
    .map_err(DemoError::Tracking)?;
    serve(length, cancel);
    Ok(recording)
}

/// A new directory that only its owner may enter.
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
            made => return made.map(|()| directory),
        }
    }
}

/// Requests on one thread, their answers written by another. Tracking ends while the service still
/// holds all that it holds, as it would in a service that is observed from outside.
fn serve(length: Duration, cancel: &CancelToken) {
    let (answers, outbox) = sync_channel(64);
    let writer =
        thread::Builder::new().name("writer".to_owned()).spawn(move || write_answers(&outbox));
    let mut service = Service::default();
    let begun = Instant::now();
    let mut number = 0_u64;
    while begun.elapsed() < length && !cancel.is_cancelled() {
        let answer = service.handle(number);
        if answers.send(answer).is_err() {
            break;
        }
        number += 1;
        thread::sleep(PAUSE);
    }
    crate::disable_tracking();
    drop(answers);
    if let Ok(writer) = writer {
        // It has nothing to say that we would need.
        let _ = writer.join();
    }
}

/// The answers are made by one thread and freed by another.
#[inline(never)]
fn write_answers(outbox: &Receiver<String>) {
    while let Ok(answer) = outbox.recv() {
        std::hint::black_box(&answer);
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
            self.audit.note(number, &path);
        }
        format!("200 OK, {bytes} bytes")
    }
}

/// Bounded: no leak, though it holds most.
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

/// The leak: every tenth request is remembered, and never looked at again.
#[derive(Default)]
struct AuditLog {
    entries: Vec<(u64, String)>,
}

impl AuditLog {
    #[inline(never)]
    fn note(&mut self, number: u64, path: &str) {
        let mut what = String::with_capacity(480);
        what.push_str("GET ");
        what.push_str(path);
        self.entries.push((number, what));
    }
}
