//! Common code of the recorded programs: starts a recording as a user does.

pub mod oracle;

use std::path::PathBuf;
use std::time::Duration;

/// Starts recording, and prints the recording's path as the first line of stdout.
pub fn record(depth: usize) -> PathBuf {
    let path = record_quietly(depth);
    println!("{}", path.display());
    path
}

/// Starts recording into the directory `RECORD_INTO`, with at most `depth` frames, or `DEPTH` of
/// them. `AGGREGATE_US`, `QUOTA_BYTES` and `SAMPLE_BYTES` set further options.
pub fn record_quietly(depth: usize) -> PathBuf {
    try_record(depth).expect("recording starts")
}

/// Like [`record_quietly`], for tests in which starting may fail.
pub fn try_record(depth: usize) -> Result<PathBuf, rheaper::Error> {
    let depth = variable("DEPTH").map_or(depth, |depth| depth as usize);
    options(config(depth)).enable()
}

/// The options that the environment variables set.
pub fn options(config: rheaper::TrackerConfig) -> rheaper::Options {
    let mut options = rheaper::Options::new(config);
    if let Some(aggregate_us) = variable("AGGREGATE_US") {
        options = options.aggregate_shorter_than(Duration::from_micros(aggregate_us));
    }
    if let Some(bytes) = variable("QUOTA_BYTES") {
        options = options.max_bytes(bytes);
    }
    if let Some(bytes) = variable("SAMPLE_BYTES") {
        options = options.sample_bytes(bytes);
    }
    options
}

/// The configuration of scenarios without special needs.
pub fn config(depth: usize) -> rheaper::TrackerConfig {
    rheaper::TrackerConfig {
        max_stack_depth: depth,
        max_trackers: 256,
        tracker_event_buffer_size: 16_384,
        sample_rate: 1.0,
        profile_dir: std::env::var_os("RECORD_INTO").map_or_else(std::env::temp_dir, PathBuf::from),
    }
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}
