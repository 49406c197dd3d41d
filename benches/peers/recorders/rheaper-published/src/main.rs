//! The last published release, with every event and every stack to disk.

use std::alloc::System;
use std::path::Path;
use std::process::ExitCode;

use peers_workloads::{Recorder, drive};
use published::TrackerConfig;

#[global_allocator]
static GLOBAL: published::Allocator<System> = published::Allocator::from_allocator(System);

fn start(dir: &Path) {
    published::enable_tracking(TrackerConfig {
        max_stack_depth: 128,
        max_trackers: 128,
        tracker_event_buffer_size: 8196,
        sample_rate: 1.0,
        profile_dir: dir.to_path_buf(),
    })
    .expect("recording can be enabled");
}

fn main() -> ExitCode {
    drive(&Recorder {
        start,
        stop: || published::disable_tracking(),
        counts: || None,
    })
}
