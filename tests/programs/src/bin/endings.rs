//! A server that leaks, or one that doesn't, and every way in which its run can end; recorded
//! with the guard and its defaults, as a newcomer would.

use std::collections::HashMap;
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

#[global_allocator]
static GLOBAL: rheaper::Allocator<std::alloc::System> =
    rheaper::Allocator::from_allocator(std::alloc::System);

struct Session(Vec<u8>);

struct Server {
    sessions: HashMap<u64, Session>,
    tables: Vec<Vec<u8>>,
    remembers: bool,
}

impl Server {
    #[inline(never)]
    fn start(remembers: bool) -> Self {
        let tables = (0..40).map(|size| vec![1; 2000 + size]).collect();
        Self { sessions: HashMap::new(), tables, remembers }
    }

    #[inline(never)]
    fn handle(&mut self, request: u64) {
        let answer = format!("request {request} of {}", self.tables.len());
        self.sessions.insert(request, Session(vec![0; 1000]));
        if !self.remembers && request >= 64 {
            self.sessions.remove(&(request - 64));
        }
        black_box(answer);
    }
}

fn serve(remembers: bool) -> Server {
    let mut server = Server::start(remembers);
    for request in 0..1000 {
        server.handle(request);
        thread::sleep(Duration::from_micros(500));
    }
    server
}

fn end(mut server: Server, how: &str) {
    match how {
        "forgotten" => {
            std::mem::forget(std::mem::take(&mut server.sessions));
            drop(server);
        }
        "dropped" => drop(server),
        "slowly" => {
            for (_, Session(bytes)) in server.sessions.drain() {
                drop(bytes);
                thread::sleep(Duration::from_micros(700));
            }
        }
        "busily" => {
            for (id, Session(bytes)) in server.sessions.drain() {
                let line = format!("{id} {} {:?}", bytes.len(), bytes.first());
                drop(bytes);
                black_box(line);
            }
        }
        "elsewhere" => thread::spawn(move || drop(server)).join().expect("it drops"),
        // SAFETY: ends this process.
        "killed" => unsafe {
            thread::sleep(Duration::from_millis(300));
            libc::kill(libc::getpid(), libc::SIGKILL);
        },
        other => panic!("{other}?"),
    }
}

/// More threads than a guess would allow, each of which allocates.
fn many_threads() {
    let barrier = Arc::new(Barrier::new(700));
    let threads: Vec<_> = (0..700_usize)
        .map(|n| {
            let barrier = Arc::clone(&barrier);
            thread::spawn(move || {
                barrier.wait();
                (0..50).map(|k| black_box(vec![1_u8; 100 + k + n]).len()).sum::<usize>()
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("it counts");
    }
}

/// Leaves by `?`.
fn fails() -> Result<(), Box<dyn std::error::Error>> {
    let _recording = options().record()?;
    black_box(vec![1_u8; 5000]);
    Err("no".into())
}

fn options() -> rheaper::Options {
    let directory = std::env::var_os("RECORD_INTO").map_or_else(std::env::temp_dir, PathBuf::from);
    rheaper::Options::default().profile_dir(directory)
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments[1].as_str() {
        "fails" => assert!(fails().is_err()),
        "panics" => {
            let caught = std::panic::catch_unwind(|| {
                let _recording = options().record().expect("recording starts");
                assert!(black_box(vec![1_u8; 5000]).is_empty(), "no");
            });
            assert!(caught.is_err());
        }
        "threads" => {
            let recording = options().record().expect("recording starts");
            println!("{}", recording.path().display());
            many_threads();
        }
        "peaks" => {
            let recording = options().record().expect("recording starts");
            println!("{}", recording.path().display());
            thread::sleep(Duration::from_millis(50));
            // Resident for a moment between two readings.
            let began = Instant::now();
            let block = black_box(vec![1_u8; 64 << 20]);
            drop(block);
            assert!(began.elapsed() < Duration::from_secs(60));
        }
        kind => {
            let recording = options().record().expect("recording starts");
            println!("{}", recording.path().display());
            end(serve(kind == "leaks"), &arguments[2]);
        }
    }
}
