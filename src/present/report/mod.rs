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
pub(crate) mod holders;
pub(crate) mod reader;

use std::io::{self, Write};

use crate::database::caveats::{Sampled, interval_text, relative_error_text};
use crate::database::estimate::Interval;
use crate::database::text::units;
use crate::database::{CancelToken, Database, QueryError};
use crate::present::report::holders::Ranking;

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
    /// Beginning of the shutdown at the end of the recording, if there was one.
    pub shutdown_ns: Option<i64>,
    /// Bytes live at that time, else at the end.
    pub judged_bytes: i64,
    /// Blocks live at that time, else at the end.
    pub judged_blocks: i64,
    /// Functions by these bytes.
    pub held: Ranking,
    /// Functions by bytes live at the peak.
    pub at_peak: Ranking,
    /// Functions by allocated bytes.
    pub allocated: Ranking,
    /// Growth of live bytes in the second half; `None`: too short, or no line.
    pub growth: Option<Growth>,
    /// Suspects, most suspicious first.
    pub suspects: Vec<Suspect>,
    /// Functions with most temporary blocks.
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

/// Labels of leaks.
const GROWING: [&str; 3] = ["steady leak", "partial leak", "growing container"];

impl Report {
    /// The time for which leaks are judged.
    pub(crate) fn judged_ns(&self) -> i64 {
        self.shutdown_ns.unwrap_or(self.duration_ns)
    }

    /// That time in words.
    pub(crate) fn judged_moment(&self) -> String {
        match self.shutdown_ns {
            None => "at the end".to_owned(),
            Some(at) => format!("before the shutdown at {}", units::duration(at as f64)),
        }
    }

    /// The suspects that grow.
    pub(crate) fn growing(&self) -> impl Iterator<Item = &Suspect> {
        self.suspects.iter().filter(|suspect| GROWING.contains(&suspect.label.as_str()))
    }

    /// The losses to print: frees of blocks that were allocated before the recording are no losses,
    /// unless events are missing, among which their allocations could be.
    pub(crate) fn printed_losses(&self) -> impl Iterator<Item = &Loss> {
        let is_whole = self.lost_events() == 0;
        let older = ["unknown_frees", "unknown_reallocs"];
        self.losses.iter().filter(move |loss| !is_whole || !older.contains(&loss.name.as_str()))
    }

    /// Events that were not recorded.
    pub(crate) fn lost_events(&self) -> i64 {
        let lost = self.losses.iter().filter(|loss| loss.is_of_events());
        lost.fold(0, |sum, loss| sum.saturating_add(loss.count))
    }

    /// The first sentence: the suspects that grow, or that there are none.
    pub(crate) fn finding(&self) -> String {
        let bytes = |bytes: i64| units::bytes(bytes as f64);
        let grown: i64 = self.growing().map(|suspect| suspect.live_bytes).sum();
        let (moment, held) = (self.judged_moment(), bytes(self.judged_bytes));
        match self.growing().count() {
            0 if self.allocations == 0 => "Nothing was recorded.".to_owned(),
            0 => format!("Nothing grows: no leak was found. {held} are held {moment}."),
            1 => format!("One suspect grows and holds {} of {held} {moment}.", bytes(grown)),
            many => format!("{many} suspects grow and hold {} of {held} {moment}.", bytes(grown)),
        }
    }

    /// The number of events that were not recorded, and a remedy. All figures are without these events.
    pub(crate) fn warning(&self) -> Option<String> {
        let lost = self.lost_events();
        let worst =
            self.losses.iter().filter(|loss| loss.is_of_events()).max_by_key(|it| it.count)?;
        let (count, is) = (units::count(lost), if lost == 1 { "event was" } else { "events were" });
        Some(format!(
            "! {count} {is} not recorded, all figures are without them: {}",
            worst.meaning
        ))
    }
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
    /// The slope, in bytes per `unit`.
    pub bytes: f64,
    /// "per second" or "per hour".
    pub unit: &'static str,
    /// The slope in bytes per hour, however short the recording.
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

/// A function with temporary blocks.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Temporary {
    /// The function.
    pub function: String,
    /// Blocks freed by their own thread after at most one other allocation.
    pub blocks: i64,
    /// Share of the function's allocations, 0 to 1.
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

impl Loss {
    /// Whether it counts events that were not recorded.
    fn is_of_events(&self) -> bool {
        let others = ["dropped_marks", "dropped_scopes"];
        self.name.starts_with("dropped_") && !others.contains(&self.name.as_str())
    }
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
