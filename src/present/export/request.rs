//! What is asked of an export.
//!
//! Reads and writes nothing: plain types, some of them parsed by clap.

use crate::database::{CancelToken, Limits, Params};

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// One line a backtrace, outermost function first: for flamegraph tools, grep and awk
    Folded,
    /// A flamegraph, for a browser
    Svg,
    /// A gzipped protobuf, for `go tool pprof` and the services that read it
    Pprof,
    /// Flamegraphs and tables of functions in a browser page
    Speedscope,
    /// The Firefox Profiler's format: the live curve, and what grew in any range of it
    Firefox,
    /// The format of valgrind's DHAT: sites with sizes and lifetimes
    Dhat,
    /// Tables for spreadsheets and anything else
    Csv,
    /// Tables for DuckDB, ClickHouse, Spark, pandas: see docs/FLEET.md
    Parquet,
}

impl Format {
    /// The word of the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Folded => "folded",
            Self::Svg => "svg",
            Self::Pprof => "pprof",
            Self::Speedscope => "speedscope",
            Self::Firefox => "firefox",
            Self::Dhat => "dhat",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }

    /// Whether it is bytes that no terminal should get.
    pub(crate) fn is_binary(self) -> bool {
        matches!(self, Self::Pprof | Self::Parquet)
    }

    /// Whether it is tables, not backtraces with weights.
    pub(crate) fn is_of_tables(self) -> bool {
        matches!(self, Self::Csv | Self::Parquet)
    }
}

/// Which blocks count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Measure {
    /// Alive at --to, or at the end of the recording
    #[default]
    Live,
    /// Never freed
    Leaked,
    /// Made, whatever became of them
    Allocated,
    /// Alive when the recording had most bytes alive
    Peak,
}

impl Measure {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Allocated, Self::Live, Self::Leaked, Self::Peak];

    /// The word of the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Leaked => "leaked",
            Self::Allocated => "allocated",
            Self::Peak => "peak",
        }
    }
}

/// What is counted of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Their bytes.
    #[default]
    Bytes,
    /// Themselves.
    Blocks,
}

impl Unit {
    /// The word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Blocks => "blocks",
        }
    }
}

/// Blocks made from `from` to `to`, both included, in ns since tracking was enabled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    /// Its beginning; `None`: that of the recording.
    pub from: Option<i64>,
    /// Its end; `None`: that of the recording.
    pub to: Option<i64>,
}

impl Window {
    /// Whether it is the whole recording.
    pub(crate) fn is_everything(self) -> bool {
        self == Self::default()
    }
}

/// A statement whose rows an export is about.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    /// What it is called.
    pub title: String,
    /// The statement.
    pub sql: String,
    /// Its parameters.
    pub params: Params,
}

/// A column with the same value in every row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    /// What is written.
    pub format: Format,
    /// Which blocks count; where a format holds all measures, which one is shown first.
    pub measure: Measure,
    /// What is counted of them.
    pub unit: Unit,
    /// Only blocks made in it.
    pub window: Window,
    /// Only what these rows name.
    pub selection: Option<Selection>,
    /// The column of the rows that has the weights.
    pub weight: Option<String>,
    /// Which tables; none: the usual ones.
    pub tables: Vec<String>,
    /// Columns that every row of a table gets.
    pub labels: Vec<Label>,
    /// Stops it from elsewhere.
    pub cancel: &'a CancelToken,
}

impl Request<'_> {
    /// No limit but the token.
    pub(crate) fn limits(&self) -> Limits {
        Limits::none().cancelled_by(self.cancel)
    }

    /// Parameters of the selection, or none.
    pub(crate) fn params(&self) -> Params {
        self.selection.as_ref().map(|selection| selection.params.clone()).unwrap_or_default()
    }
}
