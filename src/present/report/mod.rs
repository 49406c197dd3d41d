//! One page about a recording, to be read at once or pasted into an issue.
//!
//! Reads: the small tables of a database, never `allocations`. Writes: text, markdown or JSON.
//!
//! Invariants:
//! - Every figure names its unit, and what was lost stands on the page.
//! - A table or a fact that is missing leaves its line out; it does not fail the page.

pub(crate) mod markdown;
pub(crate) mod text;
pub(crate) mod json;
pub(crate) mod holders;
pub(crate) mod data;

use std::io::{self, Write};

use crate::database::caveats::{Sampled, between, plus_minus};
use crate::database::estimate::Interval;
use crate::database::text::units;
use crate::database::{CancelToken, Database, QueryError};
use crate::present::report::holders::Ranking;

/// How the page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReportFormat {
    /// For a terminal.
    Text,
    /// For an issue.
    Markdown,
    /// For a program.
    Json,
}

/// What the page says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Report {
    /// The database's file name.
    pub file: String,
    /// How the recording ended; "sealed" is the good case.
    pub ending: Option<String>,
    /// Its length.
    pub duration_ns: i64,
    /// Blocks made.
    pub allocations: i64,
    /// Bytes of them.
    pub allocated_bytes: i64,
    /// Blocks freed.
    pub frees: i64,
    /// Most bytes alive at once.
    pub peak_bytes: i64,
    /// When that was.
    pub peak_ns: i64,
    /// Bytes alive at the end.
    pub live_bytes: i64,
    /// Blocks alive at the end.
    pub live_blocks: i64,
    /// Memory of the process; `None` where the system did not tell.
    pub memory: Option<Memory>,
    /// Threads that were recorded; `None`: not known.
    pub threads: Option<i64>,
    /// Distinct backtraces.
    pub sites: i64,
    /// Bytes alive at the end of each slice of the run.
    pub curve: Vec<i64>,
    /// When the shutdown began that the run ended with, if it did.
    pub shutdown_ns: Option<i64>,
    /// Bytes alive then; at the end if there was none.
    pub judged_bytes: i64,
    /// Blocks alive then.
    pub judged_blocks: i64,
    /// Who held that.
    pub held: Ranking,
    /// Who held the peak.
    pub at_peak: Ranking,
    /// Who allocated most.
    pub allocated: Ranking,
    /// How live bytes grew over the second half; `None` where that is too short or no line.
    pub growth: Option<Growth>,
    /// The first to look at first.
    pub suspects: Vec<Suspect>,
    /// The functions with most temporary blocks.
    pub temporaries: Vec<Temporary>,
    /// What was lost, only what is not zero.
    pub losses: Vec<Loss>,
    /// The profiler that recorded it, where that was not rheaper.
    pub imported_from: Option<String>,
    /// What that profiler does not record, or what was aggregated, a sentence each.
    pub not_recorded: Vec<String>,
    /// How it was sampled, if that is so: then all figures are estimates.
    pub sampled: Option<Sampled>,
}

/// Labels of what grows for ever, as far as was seen.
const GROWING: [&str; 3] = ["steady leak", "partial leak", "growing container"];

impl Report {
    /// When leaks are judged.
    pub(crate) fn judged_ns(&self) -> i64 {
        self.shutdown_ns.unwrap_or(self.duration_ns)
    }

    /// That moment in words.
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

    /// What is to be said of losses: a free of a block from before the recording is none, unless events
    /// are missing that could be its allocation.
    pub(crate) fn told_losses(&self) -> impl Iterator<Item = &Loss> {
        let is_whole = self.lost_events() == 0;
        let older = ["unknown_frees", "unknown_reallocs"];
        self.losses.iter().filter(move |loss| !is_whole || !older.contains(&loss.name.as_str()))
    }

    /// Events that were not recorded.
    pub(crate) fn lost_events(&self) -> i64 {
        let lost = self.losses.iter().filter(|loss| loss.is_of_events());
        lost.fold(0, |sum, loss| sum.saturating_add(loss.count))
    }

    /// What to read first: what grows, or that nothing does, and whether that can be known.
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

    /// What was not recorded, and what to do about it; it makes every share one of a part.
    pub(crate) fn warning(&self) -> Option<String> {
        let lost = self.lost_events();
        let worst =
            self.losses.iter().filter(|loss| loss.is_of_events()).max_by_key(|it| it.count)?;
        let (count, is) = (units::count(lost), if lost == 1 { "event was" } else { "events were" });
        Some(format!("! {count} {is} not recorded, sums are of the others: {}", worst.meaning))
    }
}

/// Memory of the process as the system saw it, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Resident at the last sample.
    pub rss_bytes: i64,
    /// Most resident at any sample.
    pub rss_max_bytes: i64,
    /// Alive on the recorded heap at the last sample.
    pub live_bytes: i64,
    /// Most that the recorder itself needed; 0: not known.
    pub recorder_bytes: i64,
    /// What the control group was charged with at the last sample.
    pub cgroup_bytes: Option<i64>,
    /// Its limit.
    pub cgroup_limit_bytes: Option<i64>,
}

impl Memory {
    /// The share of the resident memory that live blocks explain, from 0; above 1 where they were
    /// asked for and not touched.
    pub(crate) fn explained(&self) -> f64 {
        self.live_bytes as f64 / self.rss_bytes.max(1) as f64
    }
}

/// A straight line through the live bytes of the second half of the run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Growth {
    /// Its slope.
    pub bytes: f64,
    /// … in this time: "a second", "an hour".
    pub unit: &'static str,
    /// The same in an hour, whatever may be told of it.
    pub bytes_per_hour: f64,
    /// R²: how much of the curve is this line, 0 to 1.
    pub fit: f64,
}

/// A group of sites that may leak.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Suspect {
    /// The finding in one sentence.
    pub sentence: String,
    /// What kind of finding.
    pub label: String,
    /// Bytes alive at the end.
    pub live_bytes: i64,
    /// The bounds of that, where it is an estimate.
    pub live_interval: Option<Interval>,
    /// Blocks alive at the end.
    pub live_blocks: i64,
    /// Of all bytes alive at the end, 0 to 1.
    pub live_share: f64,
    /// Its heaviest backtrace.
    pub bt: i64,
    /// The first own frames of that backtrace, innermost first: function and place.
    pub frames: Vec<String>,
}

impl Suspect {
    /// The sentence, and the bounds of what lives where that is an estimate.
    pub(crate) fn finding(&self) -> String {
        match self.live_interval {
            None => self.sentence.clone(),
            Some(interval) => {
                let error = plus_minus(interval.relative_error(self.live_bytes.unsigned_abs()));
                format!("{} {error}: {}.", self.sentence, between(interval))
            }
        }
    }
}

/// A function whose blocks die at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Temporary {
    /// Its function.
    pub function: String,
    /// Blocks that were freed by their own thread before it made two more.
    pub blocks: i64,
    /// Of the function's blocks, 0 to 1.
    pub share: f64,
}

/// What was lost.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Loss {
    /// Its name.
    pub name: String,
    /// How often.
    pub count: i64,
    /// What that means.
    pub meaning: String,
}

impl Loss {
    /// Whether events are missing, and with them blocks; all others are facts about what there is.
    fn is_of_events(&self) -> bool {
        let others = ["dropped_marks", "dropped_scopes"];
        self.name.starts_with("dropped_") && !others.contains(&self.name.as_str())
    }
}

/// Reads what the page says, with at most `top` suspects.
///
/// # Errors
/// If the database is damaged, or `cancel` is used.
pub(crate) fn gather(
    database: &Database,
    top: usize,
    cancel: &CancelToken,
) -> Result<Report, QueryError> {
    crate::present::report::data::gather(database, top, cancel)
}

/// Writes the page.
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

/// A curve in so many characters, scaled from zero.
pub(crate) fn sparkline(curve: &[i64], width: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let top = curve.iter().copied().max().unwrap_or(0).max(1) as f64;
    let width = width.min(curve.len());
    let cell = |i: usize| {
        // Each character shows the highest of its slices: a short peak stays visible.
        let slices = &curve[i * curve.len() / width..(i + 1) * curve.len() / width];
        let value = slices.iter().copied().max().unwrap_or(0).max(0) as f64;
        BARS[((value / top * 7.0).round() as usize).min(7)]
    };
    (0..width).map(cell).collect()
}
