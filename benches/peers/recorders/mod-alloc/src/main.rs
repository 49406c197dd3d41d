//! mod-alloc: sums for each site, of eight frames found by frame pointers, in a table of fixed size. It
//! counts from the start of the process. Only builds with frame pointers give it stacks.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;

use mod_alloc::ModAlloc;
use peers_workloads::{Recorder, drive};

#[global_allocator]
static GLOBAL: ModAlloc = ModAlloc::new();

/// Where the report goes.
static REPORT: Mutex<Option<PathBuf>> = Mutex::new(None);

fn start(dir: &Path) {
    *REPORT.lock().expect("no thread has failed") = Some(dir.join("dhat-heap.json"));
}

fn stop() {
    if let Some(path) = REPORT.lock().expect("no thread has failed").take() {
        GLOBAL
            .write_dhat_json(path)
            .expect("the report can be written");
    }
}

fn main() -> ExitCode {
    drive(&Recorder {
        start,
        stop,
        counts: || None,
    })
}
