//! The options of a recording.

use std::path::PathBuf;
use std::time::Duration;

/// Configuration of a recording with all values given. [`Options::default`] has values that suit most
/// programs, and [`record`](crate::record) uses them:
///
/// ```no_run
/// let path = rheaper::enable_tracking(rheaper::TrackerConfig {
///     max_stack_depth: 64,
///     max_trackers: 1024,
///     tracker_event_buffer_size: 16_384,
///     sample_rate: 1.0,
///     profile_dir: std::env::temp_dir(),
/// })?;
/// # Ok::<(), rheaper::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TrackerConfig {
    /// Depth limit of a backtrace, in physical frames; inlined frames are added when the recording
    /// is loaded. At most 1,024; 0 records no backtraces.
    pub max_stack_depth: usize,
    /// Maximum number of threads recorded at once. Each needs a tracker of about 180 KiB, which is
    /// reused when its thread ends. A thread without a tracker is not recorded, and its events are
    /// counted. At most 16,384.
    pub max_trackers: usize,
    /// Number of events that a tracker buffers. A larger buffer survives a longer stall of the
    /// disk.
    pub tracker_event_buffer_size: usize,
    /// Fraction of allocations whose backtrace is captured: 1.0 all, 0.0 none. The allocation
    /// itself is always recorded; its backtrace is then NULL.
    pub sample_rate: f64,
    /// Directory of the recording; created if it does not exist.
    pub profile_dir: PathBuf,
}

/// Options of a recording, each with a default: the values of [`TrackerConfig`], and options for
/// recordings of hours, which are off by default.
///
/// ```no_run
/// use std::time::Duration;
///
/// let _recording = rheaper::Options::default()
///     .profile_dir("/var/tmp")
///     .aggregate_shorter_than(Duration::from_secs(1))
///     .max_bytes(256 << 20)
///     .record()?;
/// # Ok::<(), rheaper::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    pub(crate) config: TrackerConfig,
    /// Zero: nothing is aggregated.
    pub(crate) aggregate_shorter_than: Duration,
    /// Zero: no quota.
    pub(crate) quota_bytes: u64,
    /// Zero: no sampling.
    pub(crate) sample_bytes: u64,
}

/// A smaller quota has no room for the stacks of a typical program.
pub(crate) const QUOTA_BYTES_MIN: u64 = 1 << 20;

/// Frames of a backtrace by default.
const STACK_DEPTH: usize = 64;
/// Threads at once by default: tokio's pool for blocking work has up to 512, and large machines 256
/// cores with a worker each. A tracker is created when a thread first needs one, so that unused ones
/// cost nothing.
const TRACKERS: usize = 1024;
/// Events that a tracker buffers by default.
const BUFFERED_EVENTS: usize = 8192;

impl Default for Options {
    /// Every backtrace, 64 frames deep, of up to 1,024 threads at once, into the current directory.
    fn default() -> Self {
        Self::new(TrackerConfig {
            max_stack_depth: STACK_DEPTH,
            max_trackers: TRACKERS,
            tracker_event_buffer_size: BUFFERED_EVENTS,
            sample_rate: 1.0,
            profile_dir: PathBuf::from("."),
        })
    }
}

impl Options {
    /// The options of [`enable_tracking`](crate::enable_tracking).
    pub fn new(config: TrackerConfig) -> Self {
        Self { config, aggregate_shorter_than: Duration::ZERO, quota_bytes: 0, sample_bytes: 0 }
    }

    /// The directory of the recording; created if it does not exist.
    #[must_use]
    pub fn profile_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.config.profile_dir = directory.into();
        self
    }

    /// Limit on the frames of a backtrace, [`TrackerConfig::max_stack_depth`].
    #[must_use]
    pub fn max_stack_depth(mut self, frames: usize) -> Self {
        self.config.max_stack_depth = frames;
        self
    }

    /// Maximum number of threads recorded at once, [`TrackerConfig::max_trackers`].
    #[must_use]
    pub fn max_trackers(mut self, threads: usize) -> Self {
        self.config.max_trackers = threads;
        self
    }

    /// Number of events that a tracker buffers, [`TrackerConfig::tracker_event_buffer_size`].
    #[must_use]
    pub fn tracker_event_buffer_size(mut self, events: usize) -> Self {
        self.config.tracker_event_buffer_size = events;
        self
    }

    /// Fraction of allocations whose backtrace is captured, [`TrackerConfig::sample_rate`].
    #[must_use]
    pub fn sample_rate(mut self, share: f64) -> Self {
        self.config.sample_rate = share;
        self
    }

    /// Aggregates blocks that are freed within `limit` instead of writing them one by one: the
    /// totals per call site (count, bytes, sizes, lifetimes) stay exact, but the blocks have no
    /// rows. Longer-lived blocks are written as usual, once their lifetime is known to exceed the
    /// limit. At most 1,000 seconds.
    #[must_use]
    pub fn aggregate_shorter_than(mut self, limit: Duration) -> Self {
        self.aggregate_shorter_than = limit.min(Duration::from_secs(1000));
        self
    }

    /// Limits the recording to `bytes`, at least 1 MiB. As it grows, aggregation becomes coarser:
    /// at 2/8, 3/8, 4/8, 5/8 and 6/8 of the quota, blocks with a lifetime below 10 ms, 100 ms, 1 s,
    /// 10 s and 100 s are aggregated; the recording contains the time of each step. At the quota
    /// the recording ends and says so. With sampling there are no steps.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.quota_bytes = bytes;
        self
    }

    /// Records a random sample: on average one of `bytes` allocated bytes is chosen, and its block
    /// is recorded. A block of `size` bytes is recorded with the probability 1 − exp(−`size` /
    /// `bytes`), so that large blocks are almost certainly recorded and totals can be estimated
    /// without bias. An unrecorded block costs almost nothing, see `docs/internals/OVERHEAD.md`. 512 KiB is a
    /// good choice for a server; 0 records every block.
    ///
    /// Sampled blocks are not aggregated: together with
    /// [`aggregate_shorter_than`](Self::aggregate_shorter_than) recording does not start, and
    /// [`max_bytes`](Self::max_bytes) has no aggregation steps. Failed requests are always
    /// recorded. About 2.8 million sampled blocks can be live at once; further ones are counted as
    /// lost.
    #[must_use]
    pub fn sample_bytes(mut self, bytes: u64) -> Self {
        self.sample_bytes = bytes;
        self
    }
}

impl From<TrackerConfig> for Options {
    fn from(config: TrackerConfig) -> Self {
        Self::new(config)
    }
}
