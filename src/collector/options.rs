//! What a program may ask of a recording.

use std::path::PathBuf;

/// How to record. All fields are given; there is no default, as every program knows its own
/// depth and threads best. A common choice:
///
/// ```no_run
/// let path = rheaper::enable_tracking(rheaper::TrackerConfig {
///     max_stack_depth: 64,
///     max_trackers: 256,
///     tracker_event_buffer_size: 16_384,
///     sample_rate: 1.0,
///     profile_dir: std::env::temp_dir(),
/// })?;
/// # Ok::<(), rheaper::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TrackerConfig {
    /// Depth limit of a backtrace, in frames that were really called; inlined ones come on top
    /// when the recording is loaded. At most 1,024; 0 records no backtraces.
    pub max_stack_depth: usize,
    /// How many threads can be recorded at once. Each needs a tracker, about 180 KiB; trackers
    /// are handed on when threads end. A thread that finds none is not recorded, and counted.
    /// At most 16,384.
    pub max_trackers: usize,
    /// Events that a tracker buffers. More of them bridge a longer stall of the disk.
    pub tracker_event_buffer_size: usize,
    /// Share of allocations whose backtrace is probed: 1.0 all, 0.0 none. The allocation itself
    /// is always recorded; without a probe its backtrace is NULL.
    pub sample_rate: f64,
    /// The directory for the recording; made if it is missing.
    pub profile_dir: PathBuf,
}
