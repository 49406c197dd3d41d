//! A report of one page about a recording, as text, Markdown or JSON. Reads only the small tables of
//! the database.
//!
//! Invariants:
//! - Every number has its unit, and losses are listed.
//! - If a table or key is missing, its line is omitted.

pub(crate) mod markdown;
pub(crate) mod text;
pub(crate) mod json;
pub(crate) mod data;

use std::io::{self, Write};

use crate::database::caveats::{Sampled, interval_text, relative_error_text};
use crate::database::estimate::Interval;
use crate::database::{CancelToken, Database, QueryError};

/// The output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReportFormat {
    /// For a terminal.
    Text,
    /// For an issue.
    Markdown,
    /// For a program.
    Json,
}

/// The contents of a report.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Report {
    /// The database's file name.
    pub file: String,
    /// `meta.ending`; "sealed" for a complete recording.
    pub ending: Option<String>,
    /// Duration of the recording.
    pub duration_ns: i64,
    /// Number of allocations.
    pub allocations: i64,
    /// Allocated bytes.
    pub allocated_bytes: i64,
    /// Number of frees.
    pub frees: i64,
    /// Most live bytes.
    pub peak_bytes: i64,
    /// Time of most live bytes.
    pub peak_ns: i64,
    /// Bytes live at the end.
    pub live_bytes: i64,
    /// Blocks live at the end.
    pub live_blocks: i64,
    /// Memory of the process; `None`: unknown.
    pub memory: Option<Memory>,
    /// Number of recorded threads; `None`: unknown.
    pub threads: Option<i64>,
    /// Distinct backtraces.
    pub sites: i64,
    /// Bytes live at the end of each time slice.
    pub curve: Vec<i64>,
    /// Growth of live bytes in the second half; `None`: too few slices.
    pub growth: Option<Growth>,
    /// Suspects, most suspicious first.
    pub suspects: Vec<Suspect>,
    /// Sites with most temporary blocks.
    pub temporaries: Vec<Temporary>,
    /// Loss counters that are not zero.
    pub losses: Vec<Loss>,
    /// The profiler that wrote an imported recording.
    pub imported_from: Option<String>,
    /// Sentences about data that was not recorded, or was aggregated.
    pub not_recorded: Vec<String>,
    /// Sampling of a sampled recording, in which all numbers are estimates.
    pub sampled: Option<Sampled>,
}

/// Memory of the process in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Resident memory at the last reading.
    pub rss_bytes: i64,
    /// Largest resident memory of all readings.
    pub rss_max_bytes: i64,
    /// Live bytes at the last reading.
    pub live_bytes: i64,
    /// Peak memory of the recorder; 0: unknown.
    pub recorder_bytes: i64,
    /// Memory charged to the control group at the last reading.
    pub cgroup_bytes: Option<i64>,
    /// The limit of the control group.
    pub cgroup_limit_bytes: Option<i64>,
}

impl Memory {
    /// Live bytes relative to resident memory; above 1 if blocks were allocated and not touched.
    pub(crate) fn explained(&self) -> f64 {
        self.live_bytes as f64 / self.rss_bytes.max(1) as f64
    }
}

/// A least-squares line through the live bytes of the second half of the recording.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Growth {
    /// The slope in bytes per hour.
    pub bytes_per_hour: f64,
    /// R², 0 to 1.
    pub fit: f64,
}

/// A group of sites that may leak.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Suspect {
    /// The finding in one sentence.
    pub sentence: String,
    /// The kind of finding.
    pub label: String,
    /// Bytes live at the end.
    pub live_bytes: i64,
    /// Bounds of `live_bytes`, if it is an estimate.
    pub live_interval: Option<Interval>,
    /// Blocks live at the end.
    pub live_blocks: i64,
    /// Share of all bytes live at the end, 0 to 1.
    pub live_share: f64,
    /// The backtrace with most live bytes.
    pub bt: i64,
    /// The innermost own frames of that backtrace: function, file and line.
    pub frames: Vec<String>,
}

impl Suspect {
    /// The sentence, with the bounds of an estimate.
    pub(crate) fn finding(&self) -> String {
        match self.live_interval {
            None => self.sentence.clone(),
            Some(interval) => {
                let error =
                    relative_error_text(interval.relative_error(self.live_bytes.unsigned_abs()));
                format!("{} {error}: {}.", self.sentence, interval_text(interval))
            }
        }
    }
}

/// A site with temporary blocks.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Temporary {
    /// The function.
    pub function: String,
    /// Blocks freed by their own thread after at most one other allocation.
    pub blocks: i64,
    /// Share of the site's allocations, 0 to 1.
    pub share: f64,
}

/// A loss counter.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Loss {
    /// The name.
    pub name: String,
    /// The value.
    pub count: i64,
    /// An explanation.
    pub meaning: String,
}

/// Reads a report with at most `top` suspects.
///
/// # Errors
/// If the database is damaged, or the query is cancelled.
pub(crate) fn gather(
    database: &Database,
    top: usize,
    cancel: &CancelToken,
) -> Result<Report, QueryError> {
    crate::present::report::data::gather(database, top, cancel)
}

/// Prints a report.
///
/// # Errors
/// If the writer fails.
pub(crate) fn write(report: &Report, format: ReportFormat, out: &mut dyn Write) -> io::Result<()> {
    match format {
        ReportFormat::Text => crate::present::report::text::write(report, out),
        ReportFormat::Markdown => crate::present::report::markdown::write(report, out),
        ReportFormat::Json => crate::present::report::json::write(report, out),
    }
}

/// A curve as a line of at most `width` bars, scaled from zero.
pub(crate) fn sparkline(curve: &[i64], width: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let top = curve.iter().copied().max().unwrap_or(0).max(1) as f64;
    let width = width.min(curve.len());
    let cell = |i: usize| {
        // Each bar shows the largest of its slices, so that short peaks stay visible.
        let slices = &curve[i * curve.len() / width..(i + 1) * curve.len() / width];
        let value = slices.iter().copied().max().unwrap_or(0).max(0) as f64;
        BARS[((value / top * 7.0).round() as usize).min(7)]
    };
    (0..width).map(cell).collect()
}
