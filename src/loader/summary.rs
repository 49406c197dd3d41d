//! What came of a load.

use std::path::PathBuf;
use std::time::Duration;

/// What came of a load, to be printed by whoever asked for it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Summary {
    /// Events in the recording that could be read.
    pub events: u64,
    /// Blocks made; all sums are estimates where [`Summary::sample_bytes`] is not 0.
    pub allocations: u64,
    /// Bytes of these allocations.
    pub bytes: u64,
    /// Allocations that were freed.
    pub frees: u64,
    /// Blocks alive at the end.
    pub live_blocks: u64,
    /// Bytes of them.
    pub live_bytes: u64,
    /// Most bytes alive at once.
    pub peak_bytes: u64,
    /// When that was, in nanoseconds since tracking was enabled.
    pub peak_after_ns: u64,
    /// One sample was taken in so many bytes; 0: every block was recorded.
    pub sample_bytes: u64,
    /// Distinct backtraces.
    pub backtraces: u64,
    /// Threads.
    pub threads: u64,
    /// Length of the recording.
    pub duration_ns: u64,
    /// How the recording ended.
    pub ending: Ending,
    /// What was lost, cut or could not be paired; only what is not zero.
    pub losses: Vec<Loss>,
    /// What the recording does not hold at all, a sentence each; only imported ones have such.
    pub not_recorded: Vec<String>,
    /// How names were found.
    pub symbols: SymbolSummary,
    /// Bytes of the recording that were read.
    pub recording_bytes: u64,
    /// Bytes of the database.
    pub database_bytes: u64,
    /// How long it took.
    pub took: Duration,
}

/// How a recording ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// By `disable_tracking`: it is whole.
    Sealed,
    /// Writing failed with this `errno`: it is whole up to there.
    WriteFailed(i32),
    /// The recording had grown to its quota: it is whole up to there.
    Quota,
    /// It has no end: the process was killed, or is still running.
    #[default]
    CutOff,
}

impl Ending {
    /// One word, as `meta.ending` has it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::WriteFailed(_) => "write failed",
            Self::Quota => "quota",
            Self::CutOff => "cut off",
        }
    }

    /// Whether something may be missing at the end.
    pub const fn is_partial(self) -> bool {
        !matches!(self, Self::Sealed)
    }
}

/// Something that was lost, with its count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Its name, as in `losses.name`.
    pub name: String,
    /// How often.
    pub count: u64,
    /// What that means, in one sentence.
    pub meaning: String,
}

/// How names were found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SymbolSummary {
    /// Distinct addresses that backtraces hold.
    pub addresses: u64,
    /// Of these, the ones with a function name.
    pub named: u64,
    /// Of these, the ones with file and line.
    pub with_lines: u64,
    /// The files that names came from.
    pub files: Vec<PathBuf>,
    /// One sentence for each module whose names are missing, which says what file is wanted.
    pub notes: Vec<String>,
}
