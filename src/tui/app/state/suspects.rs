//! State of the Suspects view: ranked groups of sites with label, description and curve.
//!
//! Invariant: the number and the bytes of accepted suspects are always shown, even if they are hidden.

use std::collections::HashMap;

use crate::database::error::QueryError;
use crate::database::table::{Table, Value};
use crate::tui::app::state::cursor::Cursor;
use crate::tui::app::state::table::number;

/// A suspect.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Suspect {
    /// Rank, 1 first.
    pub id: i64,
    /// The label: "steady leak", "bounded", and so on.
    pub label: String,
    /// The description, one sentence.
    pub sentence: String,
    /// The score that it is ranked by.
    pub score: f64,
    /// Its heaviest backtrace.
    pub bt: i64,
    /// Sites in the group.
    pub sites: i64,
    /// Live bytes.
    pub live_bytes: i64,
    /// Relative error of the live bytes; `None`: exact.
    pub live_error: Option<f64>,
    /// Live blocks.
    pub live_blocks: i64,
    /// Share of all bytes live at the end.
    pub live_share: f64,
    /// Allocations.
    pub allocations: i64,
    /// Share of slices without a decrease; flat ones count half.
    pub steadiness: f64,
    /// 1: allocated in the last tenth of the run; less if it stopped earlier.
    pub recency: f64,
    /// Bytes per second in the second half of the run.
    pub slope: f64,
    /// Coefficient of determination of a linear fit; 1 is a straight line.
    pub fit: f64,
    /// First allocation, ns since the start.
    pub first_ns: i64,
    /// Last allocation, ns since the start.
    pub last_ns: i64,
    /// Full name of the function that names it.
    pub sym: String,
    /// Short name.
    pub function: String,
    /// Source file.
    pub file: Option<String>,
    /// Source line.
    pub line: Option<u32>,
    /// The dependency's function that it calls, with its crate.
    pub through: Option<String>,
    /// Selected bytes.
    pub filtered_bytes: i64,
    /// Selected blocks.
    pub filtered_blocks: i64,
}

/// Whether accepted suspects are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accepted {
    /// Hidden.
    #[default]
    Hidden,
    /// Listed with a mark.
    Listed,
}

/// State of the view.
#[derive(Clone, Debug, Default)]
pub struct SuspectsState {
    /// All suspects of the filter set; `None`: not read yet.
    pub all: Option<Vec<Suspect>>,
    /// Live bytes over time, by suspect.
    pub trends: HashMap<i64, Vec<u64>>,
    /// The selection among the listed ones.
    pub cursor: Cursor,
    /// Patterns of accepted suspects.
    pub patterns: Vec<String>,
    /// Whether accepted suspects are listed.
    pub accepted: Accepted,
    /// The error of the last request, if it failed.
    pub error: Option<QueryError>,
}

impl SuspectsState {
    /// The listed suspects.
    pub fn listed(&self) -> Vec<&Suspect> {
        let all = self.all.iter().flatten();
        all.filter(|suspect| self.accepted == Accepted::Listed || !self.is_accepted(suspect))
            .collect()
    }

    /// Number and bytes of accepted suspects.
    pub fn accepted_total(&self) -> (usize, i64) {
        let accepted = self.all.iter().flatten().filter(|it| self.is_accepted(it));
        accepted.fold((0, 0), |(count, bytes), it| (count + 1, bytes + it.filtered_bytes))
    }

    /// Whether the user has accepted a suspect.
    pub fn is_accepted(&self, suspect: &Suspect) -> bool {
        self.patterns.iter().any(|it| suspect.sym.contains(it.as_str()))
    }

    /// The selected suspect.
    pub fn selected(&self) -> Option<&Suspect> {
        self.listed().get(self.cursor.at as usize).copied()
    }

    /// Shows another list.
    pub fn set(&mut self, table: &Table) {
        self.all = Some((0..table.rows.len()).map(|row| suspect(table, row)).collect());
        self.error = None;
    }

    /// Sets the curves from rows of suspect, slice and change, ordered by slice.
    pub fn set_trends(&mut self, table: &Table, slices: usize) {
        self.trends.clear();
        let mut live: HashMap<i64, i64> = HashMap::new();
        let mut last: HashMap<i64, usize> = HashMap::new();
        for row in &table.rows {
            let [suspect, slice, change] = row.as_slice() else {
                continue;
            };
            let (Some(suspect), Some(slice), Some(change)) =
                (number(suspect), number(slice), number(change))
            else {
                continue;
            };
            let slice = usize::try_from(slice).unwrap_or(0).min(slices.saturating_sub(1));
            let curve = self.trends.entry(suspect).or_insert_with(|| vec![0; slices]);
            let live = live.entry(suspect).or_default();
            let last = last.entry(suspect).or_default();
            let level = u64::try_from(*live).unwrap_or(0);
            if let Some(between) = curve.get_mut(*last..slice) {
                between.fill(level);
            }
            *live += change;
            *last = slice;
        }
        for (suspect, curve) in &mut self.trends {
            let level = live.get(suspect).copied().unwrap_or(0);
            let last = last.get(suspect).copied().unwrap_or(0);
            if let Some(rest) = curve.get_mut(last..) {
                rest.fill(u64::try_from(level).unwrap_or(0));
            }
        }
    }
}

/// Reduces a curve to `width` values, each the maximum of its part, so that no peak is lost.
pub fn downsample_max(curve: &[u64], width: usize) -> Vec<u64> {
    let share = |at: usize| {
        let from = at * curve.len() / width;
        let to = ((at + 1) * curve.len() / width).clamp(from + 1, curve.len());
        curve.get(from..to).and_then(|part| part.iter().max()).copied()
    };
    match curve.is_empty() {
        true => Vec::new(),
        false => (0..width).map(|at| share(at).unwrap_or(0)).collect(),
    }
}

fn suspect(table: &Table, row: usize) -> Suspect {
    let get = |name: &str| table.get(row, name);
    let integer = |name: &str| get(name).and_then(number).unwrap_or(0);
    let real = |name: &str| get(name).and_then(Value::as_f64).unwrap_or(0.0);
    let text = |name: &str| get(name).and_then(Value::as_str).unwrap_or("").to_owned();
    Suspect {
        id: integer("id"),
        label: text("label"),
        sentence: text("sentence"),
        score: real("score"),
        bt: integer("bt"),
        sites: integer("sites"),
        live_bytes: integer("live_bytes"),
        live_error: get("live_bytes_error").and_then(Value::as_f64),
        live_blocks: integer("live_blocks"),
        live_share: real("live_share"),
        allocations: integer("allocations"),
        steadiness: real("steadiness"),
        recency: real("recency"),
        slope: real("slope_bytes_per_s"),
        fit: real("fit"),
        first_ns: integer("first_ns"),
        last_ns: integer("last_ns"),
        sym: text("sym"),
        function: text("function"),
        file: get("file").and_then(Value::as_str).map(str::to_owned),
        line: get("line").and_then(number).and_then(|it| u32::try_from(it).ok()),
        through: get("library_function").and_then(Value::as_str).map(|function| {
            let krate = text("library_crate");
            if krate.is_empty() || function.starts_with(&krate) {
                function.to_owned()
            } else {
                format!("{krate}::{function}")
            }
        }),
        filtered_bytes: integer("filtered_bytes"),
        filtered_blocks: integer("filtered_blocks"),
    }
}
