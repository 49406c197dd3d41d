//! dhat: sums for each stack in memory, written when it stops. It keeps 10 frames by default; here as
//! many as the others, which costs it nothing while it records, since it walks the whole stack anyway.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;

use peers_workloads::{Recorder, drive};

#[global_allocator]
static GLOBAL: dhat::Alloc = dhat::Alloc;

/// Recording lasts as long as this lives.
static PROFILER: Mutex<Option<dhat::Profiler>> = Mutex::new(None);

fn start(dir: &Path) {
    let profiler = dhat::Profiler::builder()
        .file_name(dir.join("dhat-heap.json"))
        .trim_backtraces(Some(128))
        .build();
    *PROFILER.lock().expect("no thread has failed") = Some(profiler);
}

fn stop() {
    let profiler = PROFILER.lock().expect("no thread has failed").take();
    drop(profiler);
}

fn main() -> ExitCode {
    drive(&Recorder {
        start,
        stop,
        counts: || None,
    })
}
