//! What was recorded, what was lost, and what recording cost: named numbers.
//!
//! Invariant: a counter's number on disk never changes its meaning; new ones get new numbers.
//! Readers keep the ones that they don't know out of the table and lose nothing else.

use crate::recording::bytes::{ByteReader, ByteWriter};
use crate::recording::error::FormatError;

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $label:literal;)+) => {
        /// A named number. Cumulative over the recording unless it says otherwise.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Counter {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Counter {
            /// Counts of events that are not in the recording.
            pub const LOST_EVENTS: &'static [Self] = &[
                Self::DroppedFull,
                Self::DroppedNoTracker,
                Self::DroppedReentrant,
                Self::DroppedNoMemory,
                Self::DroppedWrite,
                Self::DroppedQuota,
                Self::DroppedSamples,
            ];

            /// Every counter, in the order of the file.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its number on disk.
            pub const fn code(self) -> u16 {
                match self { $(Self::$name => $code,)+ }
            }

            /// Its name in reports and in the database.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }

            /// What it means, in one sentence.
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
    /// Requests that the inner allocator answered with null.
    Failed = 4, "failed_allocations";
    /// Events lost because a tracker's buffer stayed full longer than a thread may wait; raise
    /// tracker_event_buffer_size.
    DroppedFull = 16, "dropped_buffer_full";
    /// Events of threads that found no free tracker; raise max_trackers.
    DroppedNoTracker = 17, "dropped_no_tracker";
    /// Events inside the recorder itself or in a signal handler that interrupted it.
    DroppedReentrant = 18, "dropped_reentrant";
    /// Events that could not be kept because memory for a tracker was refused.
    DroppedNoMemory = 19, "dropped_no_memory";
    /// Events lost because the file could not be written; make room on its disk.
    DroppedWrite = 20, "dropped_write_failed";
    /// Events lost because the recording had grown to its quota; raise max_bytes.
    DroppedQuota = 21, "dropped_quota";
    /// Sampled allocations lost because too many of them were alive at once; raise sample_bytes.
    DroppedSamples = 22, "dropped_samples";
    /// Allocations whose backtrace was not probed because of the sample rate.
    NotSampled = 32, "backtraces_not_sampled";
    /// Backtraces that go on beyond what was walked.
    Truncated = 33, "backtraces_truncated";
    /// Backtraces that could not be unwound to their end.
    FailedWalks = 34, "backtraces_failed";
    /// Backtraces that fell to the `other` node because the node table was full.
    NodeTableFull = 35, "backtraces_other";
    /// Walks answered wholly by the kept stack.
    WalkHits = 48, "walk_hits";
    /// Walks answered by a recent stack's innermost frames and the kept stack below them.
    WalkRecalls = 52, "walk_recalls";
    /// Walks that unwound at least one fresh frame.
    WalkMisses = 49, "walk_misses";
    /// Fresh frames unwound.
    FreshFrames = 50, "walk_fresh_frames";
    /// Unwind rules derived because no table had them.
    RulesDerived = 51, "walk_rules_derived";
    /// Blocks aggregated: freed so soon that only their sums were written.
    Aggregated = 40, "aggregated_blocks";
    /// Events written before it was known whether they could be aggregated, for lack of memory.
    HeldShort = 41, "held_short";
    /// Bytes of events that aggregation could not decode, a mistake of the recorder.
    Undecoded = 42, "undecoded_bytes";
    /// Marks that were lost because too many waited to be written.
    DroppedMarks = 60, "dropped_marks";
    /// Scopes that could not be kept apart from the one around them because the table was full.
    DroppedScopes = 61, "dropped_scopes";
    /// Nanoseconds that recorded threads waited for the recorder, all together.
    WaitedNs = 64, "waited_ns";
    /// Bytes written to the file.
    BytesWritten = 65, "bytes_written";
    /// Largest memory of the recorder itself so far, in bytes.
    RecorderBytes = 66, "recorder_bytes";
    /// Threads seen.
    Threads = 67, "threads";
    /// Stack nodes defined.
    Nodes = 68, "stack_nodes";
    /// Times that the module list was read again.
    ModuleRefreshes = 69, "module_refreshes";
    /// Longest time between two flushes, in nanoseconds.
    FlushGapMaxNs = 70, "flush_gap_max_ns";
    /// Most memory of the process that was ever resident at once, in bytes, as the kernel knows it.
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
            if let Some(counter) = Counter::ALL.iter().find(|known| known.code() == code) {
                counters.set(*counter, value);
            }
        }
        Ok(counters)
    }
}
