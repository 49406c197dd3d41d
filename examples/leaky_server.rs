//! A small service that leaks: requests come in, sessions are kept, a cache fills and stays
//! bounded, and every tenth request is remembered for ever by `AuditLog::note`.
//!
//! ```text
//! cargo run --release --example leaky_server -- 10         # ten seconds, leaking
//! cargo run --release --example leaky_server -- 10 fixed   # the same after the fix
//! cargo run --release --example leaky_server -- 9000r      # so many requests, all of them served
//! rheaper tui rip-*
//! ```

#![allow(clippy::print_stderr, clippy::vec_box, reason = "a program that talks, and leaks boxes")]

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

#[global_allocator]
static GLOBAL: rheaper::Allocator<std::alloc::System> =
    rheaper::Allocator::from_allocator(std::alloc::System);

/// Sessions that may be open at once.
const SESSIONS_MAX: usize = 500;
/// Pages that the cache keeps.
const PAGES_MAX: usize = 200;
/// Requests a second.
const REQUESTS_PER_S: u32 = 4_000;

struct Request {
    user: u64,
    path: String,
}

/// What was done, by whom. The leak: entries are added and never looked at again.
#[derive(Default)]
struct AuditLog {
    entries: Vec<Box<Entry>>,
    keeps_all: bool,
}

struct Entry {
    _user: u64,
    _action: String,
}

impl AuditLog {
    #[inline(never)]
    fn note(&mut self, user: u64, path: &str) {
        let action = format!("GET {path}");
        self.entries.push(Box::new(Entry { _user: user, _action: action }));
        if !self.keeps_all && self.entries.len() > 100 {
            self.entries.clear();
        }
    }
}

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
        let page = vec![b'x'; 2_000 + path.len()];
        let bytes = page.len();
        self.order.push_back(path.to_owned());
        self.pages.insert(path.to_owned(), page);
        bytes
    }
}

#[derive(Default)]
struct Service {
    sessions: HashMap<u64, Vec<u8>>,
    cache: PageCache,
    log: AuditLog,
    served: u64,
}

impl Service {
    #[inline(never)]
    fn handle(&mut self, request: &Request) -> String {
        self.served += 1;
        if self.sessions.len() >= SESSIONS_MAX {
            self.sessions.clear();
        }
        self.sessions.entry(request.user).or_insert_with(|| vec![0; 300]);
        let bytes = self.cache.page(&request.path);
        if self.served.is_multiple_of(10) {
            self.log.note(request.user, &request.path);
        }
        format!("200 OK {bytes}")
    }
}

fn main() -> Result<(), rheaper::Error> {
    let mut arguments = std::env::args().skip(1);
    let length = arguments.next().unwrap_or_default();
    let count: Option<u32> = length.strip_suffix('r').and_then(|text| text.parse().ok());
    let seconds = if count.is_some() { 3600 } else { length.parse().unwrap_or(10) };
    let is_fixed = arguments.next().is_some_and(|word| word == "fixed");
    let path = rheaper::enable_tracking(rheaper::TrackerConfig {
        max_stack_depth: 64,
        max_trackers: 64,
        tracker_event_buffer_size: 16_384,
        sample_rate: 1.0,
        profile_dir: std::env::current_dir().unwrap_or_default(),
    })?;
    eprintln!("recording into {}", path.display());

    let service = Arc::new(Mutex::new(Service::default()));
    if let Ok(mut service) = service.lock() {
        service.log.keeps_all = !is_fixed;
    }
    let (requests, inbox) = mpsc::sync_channel::<Request>(64);
    let inbox = Arc::new(Mutex::new(inbox));
    let workers: Vec<_> = (0..2)
        .filter_map(|number| {
            let (service, inbox) = (Arc::clone(&service), Arc::clone(&inbox));
            let work = move || {
                while let Ok(Ok(request)) = inbox.lock().map(|inbox| inbox.recv()) {
                    if let Ok(mut service) = service.lock() {
                        std::hint::black_box(service.handle(&request));
                    }
                }
            };
            std::thread::Builder::new().name(format!("worker-{number}")).spawn(work).ok()
        })
        .collect();

    let began = Instant::now();
    let mut sent = 0_u32;
    while began.elapsed() < Duration::from_secs(seconds) && count != Some(sent) {
        let user = u64::from(sent % 2_000);
        let path = format!("/page/{}", sent % 1_000);
        if requests.send(Request { user, path }).is_err() {
            break;
        }
        sent += 1;
        let due = began + Duration::from_secs(1) * sent / REQUESTS_PER_S;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let served = || service.lock().map_or(u64::MAX, |service| service.served);
    while count.is_some() && served() < u64::from(sent) {
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(requests);
    rheaper::disable_tracking();
    workers.into_iter().for_each(|worker| drop(worker.join()));
    eprintln!("next: rheaper tui {}", path.display());
    Ok(())
}
