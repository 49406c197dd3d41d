//! Counters of a recording: recorded events, lost events, and the cost of recording.
//!
//! Invariant: the code of a counter never changes its meaning; a new counter gets a new code.
//! Readers ignore counters with unknown codes.

use crate::recording::bytes::{ByteReader, ByteWriter};
use crate::recording::error::FormatError;

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $label:literal;)+) => {
        /// A named counter, cumulative over the recording unless its description differs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Counter {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Counter {
            /// Counters of events that are not in the recording.
            pub const LOST_EVENTS: &'static [Self] = &[
                Self::DroppedFull,
                Self::DroppedNoTracker,
                Self::DroppedReentrant,
                Self::DroppedNoMemory,
                Self::DroppedWrite,
                Self::DroppedQuota,
                Self::DroppedSamples,
            ];

            /// Every counter, in the order of the recording.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its code in the file.
            pub const fn code(self) -> u16 {
                match self { $(Self::$name => $code,)+ }
            }

            /// Its name in the database and in reports.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }

            /// Its description, one sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

counters! {
    /// Allocations recorded (`alloc` and `alloc_zeroed` that succeeded).
    Allocations = 1, "allocations";
    /// Frees recorded.
    Frees = 2, "frees";
    /// Reallocations recorded; each closes one block and opens another.
    Reallocations = 3, "reallocations";
    /// Requests for which the inner allocator returned null.
    Failed = 4, "failed_allocations";
    /// Events lost because a tracker's buffer stayed full longer than a thread may wait; raise
    /// tracker_event_buffer_size.
    DroppedFull = 16, "dropped_buffer_full";
    /// Events of threads that found no free tracker; raise max_trackers.
    DroppedNoTracker = 17, "dropped_no_tracker";
    /// Events of the recorder itself, or of a signal handler that interrupted it.
    DroppedReentrant = 18, "dropped_reentrant";
    /// Events lost because the system refused memory for a tracker.
    DroppedNoMemory = 19, "dropped_no_memory";
    /// Events lost because the file could not be written; make room on its disk.
    DroppedWrite = 20, "dropped_write_failed";
    /// Events lost because the recording had reached its quota; raise max_bytes.
    DroppedQuota = 21, "dropped_quota";
    /// Sampled allocations lost because the table of live sampled allocations was full; raise
    /// sample_bytes.
    DroppedSamples = 22, "dropped_samples";
    /// Allocations recorded without a backtrace because of the sample rate.
    NotSampled = 32, "backtraces_not_sampled";
    /// Backtraces cut at the depth limit.
    Truncated = 33, "backtraces_truncated";
    /// Backtraces that could not be unwound to their end.
    FailedWalks = 34, "backtraces_failed";
    /// Backtraces lost because the stack table was full.
    StackTableFull = 35, "backtraces_other";
    /// Stack walks that found the whole stack in the cached frames.
    WalkHits = 48, "walk_hits";
    /// Stack walks that found a recent suffix on top of the cached frames.
    WalkSuffixHits = 52, "walk_recalls";
    /// Stack walks that unwound at least one frame.
    WalkMisses = 49, "walk_misses";
    /// Frames unwound.
    NewFrames = 50, "walk_fresh_frames";
    /// Unwind rules derived from unwind tables because they were not cached.
    RulesDerived = 51, "walk_rules_derived";
    /// Blocks aggregated: short-lived, so that only their totals were written.
    Aggregated = 40, "aggregated_blocks";
    /// Events written before their block could be aggregated because memory was short.
    EvictedEarly = 41, "held_short";
    /// Bytes of events that aggregation could not decode (a defect of the recorder).
    Undecoded = 42, "undecoded_bytes";
    /// Marks lost because too many were queued.
    DroppedMarks = 60, "dropped_marks";
    /// Scopes merged into their parent because the scope table was full.
    DroppedScopes = 61, "dropped_scopes";
    /// Nanoseconds that recorded threads waited for the recorder, in total.
    WaitedNs = 64, "waited_ns";
    /// Bytes written to the file.
    BytesWritten = 65, "bytes_written";
    /// Peak memory of the recorder itself, in bytes.
    RecorderBytes = 66, "recorder_bytes";
    /// Threads that recorded an event.
    Threads = 67, "threads";
    /// Stack nodes defined.
    Nodes = 68, "stack_nodes";
    /// Number of times the module list was read.
    ModuleRefreshes = 69, "module_refreshes";
    /// Longest time between two flushes, in nanoseconds.
    FlushGapMaxNs = 70, "flush_gap_max_ns";
    /// Largest resident set of the process, in bytes, from the kernel.
    RssMaxBytes = 71, "rss_max_bytes";
}

/// The value of every counter at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    values: [u64; Counter::ALL.len()],
}

impl Default for Counters {
    fn default() -> Self {
        Self::new()
    }
}

impl Counters {
    /// All zero.
    pub const fn new() -> Self {
        Self { values: [0; Counter::ALL.len()] }
    }

    /// The value of `counter`.
    pub fn get(&self, counter: Counter) -> u64 {
        self.values.get(counter as usize).copied().unwrap_or(0)
    }

    /// Sets the value of `counter`.
    pub fn set(&mut self, counter: Counter, value: u64) {
        if let Some(slot) = self.values.get_mut(counter as usize) {
            *slot = value;
        }
    }

    /// Adds to the value of `counter`.
    pub fn add(&mut self, counter: Counter, value: u64) {
        self.set(counter, self.get(counter).saturating_add(value));
    }

    /// All counters with their values.
    pub fn iter(&self) -> impl Iterator<Item = (Counter, u64)> + '_ {
        Counter::ALL.iter().map(|counter| (*counter, self.get(*counter)))
    }

    /// Appends a `Counters` payload.
    pub fn write(&self, out: &mut ByteWriter<'_>) {
        for (counter, value) in self.iter() {
            out.u16(counter.code());
            out.u64(value);
        }
    }

    /// Reads a `Counters` payload; numbers that this version does not know are left out.
    pub fn read(payload: &[u8]) -> Result<Self, FormatError> {
        let mut input = ByteReader::new(payload, "the counters");
        let mut counters = Self::new();
        while !input.is_empty() {
            let (code, value) = (input.u16()?, input.u64()?);
            if let Some(counter) = Counter::ALL.iter().find(|counter| counter.code() == code) {
                counters.set(*counter, value);
            }
        }
        Ok(counters)
    }
}
