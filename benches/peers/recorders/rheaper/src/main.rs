//! This package's recorder, with every event and every stack to disk.

use std::alloc::System;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use peers_workloads::{Recorder, drive};
use rheaper::{Options, TrackerConfig};

#[global_allocator]
static GLOBAL: rheaper::Allocator<System> = rheaper::Allocator::from_allocator(System);

fn start(dir: &Path) {
    let mut options = Options::new(TrackerConfig {
        max_stack_depth: 128,
        max_trackers: 128,
        tracker_event_buffer_size: 8196,
        sample_rate: 1.0,
        profile_dir: dir.to_path_buf(),
    });
    if let Some(aggregate_ms) = wish("AGGREGATE_MS") {
        options = options.aggregate_shorter_than(Duration::from_millis(aggregate_ms));
    }
    if let Some(bytes) = wish("QUOTA_BYTES") {
        options = options.max_bytes(bytes);
    }
    if let Some(bytes) = wish("SAMPLE_BYTES") {
        options = options.sample_bytes(bytes);
    }
    options.enable().expect("recording can be enabled");
}

/// More than the peers can do, where the environment asks for it.
fn wish(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

fn main() -> ExitCode {
    drive(&Recorder {
        start,
        stop: || rheaper::disable_tracking(),
        counts: || None,
    })
}
