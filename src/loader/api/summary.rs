//! The result of a load.

use std::path::PathBuf;
use std::time::Duration;

/// The result of a load, for the caller to print.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Summary {
    /// Events that were read.
    pub events: u64,
    /// Allocations. In a sampled recording, this and all other sums are estimates.
    pub allocations: u64,
    /// Allocated bytes.
    pub bytes: u64,
    /// Allocations that were freed.
    pub frees: u64,
    /// Live blocks at the end.
    pub live_blocks: u64,
    /// Live bytes at the end.
    pub live_bytes: u64,
    /// Maximum of the live bytes.
    pub peak_bytes: u64,
    /// Time of that maximum, in nanoseconds since tracking was enabled.
    pub peak_after_ns: u64,
    /// Mean number of bytes per sample; 0: every block was recorded.
    pub sample_bytes: u64,
    /// Distinct backtraces.
    pub backtraces: u64,
    /// Threads with an event.
    pub threads: u64,
    /// Length of the recording.
    pub duration_ns: u64,
    /// How the recording ended.
    pub ending: Ending,
    /// Losses with a count above 0.
    pub losses: Vec<Loss>,
    /// A sentence for each fact that the source's format does not record; only for imports.
    pub not_recorded: Vec<String>,
    /// The result of symbol resolution.
    pub symbols: SymbolSummary,
    /// Length of the recording in bytes.
    pub recording_bytes: u64,
    /// Length of the database in bytes; 0 for a dry run.
    pub database_bytes: u64,
    /// Duration of the load.
    pub took: Duration,
}

/// How a recording ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// By `disable_tracking`: it is complete.
    Sealed,
    /// A write failed with this `errno`: it is complete up to there.
    WriteFailed(i32),
    /// The file reached its quota: it is complete up to there.
    Quota,
    /// Without an end: the process was killed, or is still running.
    #[default]
    CutOff,
}

impl Ending {
    /// The value of `meta.ending`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::WriteFailed(_) => "write failed",
            Self::Quota => "quota",
            Self::CutOff => "cut off",
        }
    }

    /// Whether events may be missing at the end.
    pub const fn is_partial(self) -> bool {
        !matches!(self, Self::Sealed)
    }
}

/// A loss, with its count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The value of `losses.name`.
    pub name: String,
    /// Number of lost events, bytes or other items.
    pub count: u64,
    /// The meaning in one sentence.
    pub meaning: String,
}

/// The result of symbol resolution.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SymbolSummary {
    /// Distinct return addresses.
    pub addresses: u64,
    /// Return addresses with a function name.
    pub named: u64,
    /// Return addresses with file and line.
    pub with_lines: u64,
    /// The files that the names were read from.
    pub files: Vec<PathBuf>,
    /// A sentence for each module without names, with the file that is needed.
    pub notes: Vec<String>,
}
