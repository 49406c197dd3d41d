//! What a program may ask of a recording.

use std::path::PathBuf;
use std::time::Duration;

/// How to record, all of it given. [`Options::default`] has a choice that suits most programs, and
/// [`record`](crate::record) makes it:
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

/// How to record, with a default for everything: what [`TrackerConfig`] says, and more for recording
/// for hours, which is off unless it is asked for.
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
    pub(crate) bytes_max: u64,
    /// Zero: everything is recorded.
    pub(crate) sample_bytes: u64,
}

/// A smaller quota has no room for the stacks of a usual program.
pub(crate) const QUOTA_BYTES_MIN: u64 = 1 << 20;

/// Frames of a backtrace by default.
const STACK_DEPTH: usize = 64;
/// Threads at once by default: tokio's pool for blocking work has up to 512, and large machines 256
/// cores with a worker each. A tracker is made when a thread first needs one, so that what is not
/// used costs nothing.
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
    /// As [`enable_tracking`](crate::enable_tracking) would record.
    pub fn new(config: TrackerConfig) -> Self {
        Self { config, aggregate_shorter_than: Duration::ZERO, bytes_max: 0, sample_bytes: 0 }
    }

    /// The directory for the recording; made if it is missing.
    #[must_use]
    pub fn profile_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.config.profile_dir = directory.into();
        self
    }

    /// Depth limit of a backtrace, [`TrackerConfig::max_stack_depth`].
    #[must_use]
    pub fn max_stack_depth(mut self, frames: usize) -> Self {
        self.config.max_stack_depth = frames;
        self
    }

    /// Threads that can be recorded at once, [`TrackerConfig::max_trackers`].
    #[must_use]
    pub fn max_trackers(mut self, threads: usize) -> Self {
        self.config.max_trackers = threads;
        self
    }

    /// Events that a thread's tracker buffers, [`TrackerConfig::tracker_event_buffer_size`].
    #[must_use]
    pub fn tracker_event_buffer_size(mut self, events: usize) -> Self {
        self.config.tracker_event_buffer_size = events;
        self
    }

    /// Share of allocations whose backtrace is probed, [`TrackerConfig::sample_rate`].
    #[must_use]
    pub fn sample_rate(mut self, share: f64) -> Self {
        self.config.sample_rate = share;
        self
    }

    /// Does not write blocks that are freed within `limit` one by one, but adds them to the sums
    /// of their call sites: count, bytes, sizes and lifetimes stay exact, their rows are missing.
    /// What lives longer is written as ever, once that is known. At most a thousand seconds.
    #[must_use]
    pub fn aggregate_shorter_than(mut self, limit: Duration) -> Self {
        self.aggregate_shorter_than = limit.min(Duration::from_secs(1000));
        self
    }

    /// Keeps the recording below `bytes`, 1 MiB or more. On the way there aggregation grows coarser:
    /// at 2/8, 3/8, 4/8, 5/8 and 6/8 of it blocks that live shorter than 10 ms, 100 ms, 1 s, 10 s
    /// and 100 s are aggregated, and the recording says since when. At the quota it ends, and says so
    /// too. Where blocks are sampled it only ends.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.bytes_max = bytes;
        self
    }

    /// Records a sample: of each `bytes` bytes that are allocated one is chosen, on average, and
    /// the block that it is in. Large blocks are as good as certain to be in the recording, of
    /// small ones a share; a block of `size` bytes is in it with the probability
    /// 1 − exp(−`size` / `bytes`), so that sums can be estimated without bias. What is not in it
    /// costs next to nothing, see `docs/OVERHEAD.md`. 512 KiB is a good choice for a server; 0
    /// records everything.
    ///
    /// Sampled blocks are not aggregated: together with
    /// [`aggregate_shorter_than`](Self::aggregate_shorter_than) recording does not begin, and
    /// [`max_bytes`](Self::max_bytes) is a limit without steps on the way. Failed requests are
    /// always recorded. About 2.8 million sampled blocks can be alive at once; what comes on top
    /// is counted.
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
