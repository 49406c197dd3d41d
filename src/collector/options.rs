//! What a program may ask of a recording.

use std::path::PathBuf;
use std::time::Duration;

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

/// More than [`TrackerConfig`] can say: how to record for hours. Each is off unless it is asked
/// for.
///
/// ```no_run
/// use std::time::Duration;
///
/// # let config = rheaper::TrackerConfig {
/// #     max_stack_depth: 64, max_trackers: 256, tracker_event_buffer_size: 16_384,
/// #     sample_rate: 1.0, profile_dir: std::env::temp_dir(),
/// # };
/// let path = rheaper::Options::new(config)
///     .aggregate_shorter_than(Duration::from_secs(1))
///     .max_bytes(256 << 20)
///     .enable()?;
/// # Ok::<(), rheaper::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    pub(crate) config: TrackerConfig,
    /// Zero: nothing is aggregated.
    pub(crate) aggregate_shorter_than: Duration,
    /// Zero: no quota.
    pub(crate) quota_bytes: u64,
    /// Zero: everything is recorded.
    pub(crate) sample_bytes: u64,
}

/// A smaller quota has no room for the stacks of a usual program.
pub(crate) const QUOTA_BYTES_MIN: u64 = 1 << 20;

impl Options {
    /// As [`enable_tracking`](crate::enable_tracking) would record.
    pub fn new(config: TrackerConfig) -> Self {
        Self { config, aggregate_shorter_than: Duration::ZERO, quota_bytes: 0, sample_bytes: 0 }
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
        self.quota_bytes = bytes;
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
