//! The options of an export.

use crate::database::{CancelToken, Limits, Measure, Params};

/// The output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Folded stacks.
    Folded,
    /// A flamegraph.
    Svg,
    /// A gzipped protobuf.
    Pprof,
    /// JSON for speedscope.
    Speedscope,
    /// JSON for the Firefox Profiler.
    Firefox,
    /// JSON for valgrind's DHAT viewer.
    Dhat,
    /// Tables as text.
    Csv,
    /// Tables in columns.
    Parquet,
}

impl Format {
    /// All formats with their names and descriptions in the help.
    #[rustfmt::skip]
    pub(crate) const NAMES: &[(Self, &str, &str)] = &[
        (Self::Folded, "folded", "One line per backtrace, outermost function first: for flamegraph tools, grep and awk"),
        (Self::Svg, "svg", "A flamegraph, for a browser"),
        (Self::Pprof, "pprof", "A gzipped protobuf, for `go tool pprof` and the services that read it"),
        (Self::Speedscope, "speedscope", "Flamegraphs and tables of functions in a browser page"),
        (Self::Firefox, "firefox", "The Firefox Profiler's format: the live curve, and the growth in any range of it"),
        (Self::Dhat, "dhat", "The format of valgrind's DHAT: sites with sizes and lifetimes"),
        (Self::Csv, "csv", "Tables for spreadsheets"),
        (Self::Parquet, "parquet", "Tables for DuckDB, ClickHouse, Spark, pandas: see docs/guide/FLEET.md"),
    ];

    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(format, ..)| *format == self).map_or("", |(_, name, _)| name)
    }

    /// Whether this build can write it.
    pub(crate) fn is_supported(self) -> bool {
        self != Self::Parquet || cfg!(feature = "parquet")
    }

    /// Whether the output must not go to a terminal.
    pub(crate) fn is_binary(self) -> bool {
        matches!(self, Self::Pprof | Self::Parquet)
    }

    /// Whether it holds tables instead of backtraces with weights.
    pub(crate) fn is_tabular(self) -> bool {
        matches!(self, Self::Csv | Self::Parquet)
    }
}

/// Blocks allocated from `from` to `to`, both included, in ns since tracking was enabled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    /// The beginning; `None`: that of the recording.
    pub from: Option<i64>,
    /// The end; `None`: that of the recording.
    pub to: Option<i64>,
}

impl Window {
    /// Whether it is the whole recording.
    pub(crate) fn is_whole(self) -> bool {
        self == Self::default()
    }
}

/// A statement whose rows select the backtraces or blocks of an export.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    /// The name of the query, for messages and titles.
    pub title: String,
    /// The statement.
    pub sql: String,
    /// Its parameters.
    pub params: Params,
}

/// A column with the same value in every row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    /// The column's name.
    pub name: String,
    /// The value.
    pub value: String,
}

/// The options of an export.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    /// The output format.
    pub format: Format,
    /// The exported measure; where a format holds all measures, the one that is shown first.
    pub measure: Measure,
    /// Only blocks allocated in this window.
    pub window: Window,
    /// Whether consecutive library frames are replaced by the outermost of them.
    pub is_collapsed: bool,
    /// Only the backtraces or blocks of these rows.
    pub selection: Option<Selection>,
    /// The column of `selection` with the weights.
    pub weight: Option<String>,
    /// The exported tables; empty: the default ones.
    pub tables: Vec<String>,
    /// Constant columns of every table.
    pub labels: Vec<Label>,
    /// Cancels the export from another thread.
    pub cancel: &'a CancelToken,
}

impl Request<'_> {
    /// The limits of all queries of the export: only the cancel token.
    pub(crate) fn limits(&self) -> Limits {
        Limits::none().cancelled_by(self.cancel)
    }

    /// The parameters of the selection.
    pub(crate) fn params(&self) -> Params {
        self.selection.as_ref().map(|selection| selection.params.clone()).unwrap_or_default()
    }
}
