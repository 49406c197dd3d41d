//! The result of a comparison: one row per stack that differs, the largest change first.
//!
//! Invariant: a stack with equal totals on both sides is in `unchanged`, not in `rows`.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::Path;

use crate::database::caveats::Caveats;
use crate::database::compare::metrics::{Metrics, Normalization, Ratio};
use crate::database::compare::stacks::{Name, StackId, Stacks};
use crate::database::compare::window::{Span, Window};
use crate::database::measure::Measure;

/// How a stack changed in a measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Zero on the first side.
    New,
    /// More on the second side.
    Grown,
    /// Less on the second side.
    Shrunk,
    /// Zero on the second side.
    Gone,
    /// Equal on both sides.
    Same,
}

impl State {
    /// The states that are a difference.
    pub const CHANGES: [Self; 4] = [Self::New, Self::Grown, Self::Shrunk, Self::Gone];

    /// The name in tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Grown => "grown",
            Self::Shrunk => "shrunk",
            Self::Gone => "gone",
            Self::Same => "same",
        }
    }

    /// The state when the sides are exchanged.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::New => Self::Gone,
            Self::Grown => Self::Shrunk,
            Self::Shrunk => Self::Grown,
            Self::Gone => Self::New,
            Self::Same => Self::Same,
        }
    }
}

/// The totals of a stack on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The own frames.
    pub stack: StackId,
    /// Normalized totals of the first side.
    pub before: Metrics,
    /// Normalized totals of the second side.
    pub after: Metrics,
    /// The backtrace with most live bytes on the first side; an id of its database.
    pub bt_before: Option<i64>,
    /// The backtrace with most live bytes on the second side; an id of its database.
    pub bt_after: Option<i64>,
}

impl Row {
    /// The second side minus the first.
    pub fn difference(&self, measure: Measure) -> i64 {
        self.after.get(measure).saturating_sub(self.before.get(measure))
    }

    /// How the stack changed.
    pub fn state(&self, measure: Measure) -> State {
        match (self.before.get(measure), self.after.get(measure)) {
            (before, after) if before == after => State::Same,
            (0, _) => State::New,
            (_, 0) => State::Gone,
            (before, after) if after > before => State::Grown,
            _ => State::Shrunk,
        }
    }
}

/// Totals and metadata of one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Total {
    /// The file name of the database.
    pub file: String,
    /// The window as it was requested.
    pub window: Window,
    /// The window in nanoseconds.
    pub span: Span,
    /// Totals before normalization.
    pub metrics: Metrics,
    /// The normalization factor.
    pub ratio: Ratio,
    /// Distinct backtraces.
    pub sites: u64,
    /// Caveats of the totals.
    pub caveats: Caveats,
}

impl Total {
    /// "heap.db is sampled, one in 512 KiB: estimates"
    fn sampling_text(&self) -> String {
        match self.caveats.sampled {
            Some(sampled) => format!("{} is {}", self.file, sampled.tag()),
            None => format!("{} is not sampled", self.file),
        }
    }

    pub(crate) fn new(path: &Path, window: &Window, span: Span) -> Self {
        let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Self {
            file,
            window: window.clone(),
            span,
            metrics: Metrics::default(),
            ratio: Ratio::ONE,
            sites: 0,
            caveats: Caveats::default(),
        }
    }
}

/// Totals of both sides by stack.
#[derive(Debug)]
pub(crate) struct StackMetrics {
    stacks: HashMap<StackId, [SideMetrics; 2]>,
    ratios: [Ratio; 2],
}

impl Default for StackMetrics {
    fn default() -> Self {
        Self { stacks: HashMap::new(), ratios: [Ratio::ONE; 2] }
    }
}

/// Totals of a stack on one side.
#[derive(Clone, Copy, Debug, Default)]
struct SideMetrics {
    metrics: Metrics,
    /// The backtrace with most live bytes, and its live bytes.
    heaviest: Option<(i64, i64)>,
}

impl StackMetrics {
    pub(crate) fn add(&mut self, stack: StackId, side: usize, bt: Option<i64>, metrics: Metrics) {
        let part = &mut self.stacks.entry(stack).or_default()[side];
        part.metrics += metrics;
        if let Some(bt) = bt
            && part.heaviest.is_none_or(|(_, bytes)| metrics.live_bytes > bytes)
        {
            part.heaviest = Some((bt, metrics.live_bytes));
        }
    }

    pub(crate) fn set_ratio(&mut self, side: usize, ratio: Ratio) {
        self.ratios[side] = ratio;
    }
}

/// The differences between two sides.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The frames of all stacks.
    pub stacks: Stacks,
    /// Stacks that differ in any measure, the largest change of live bytes first.
    pub rows: Vec<Row>,
    /// Stacks that are equal on both sides, in no order.
    pub unchanged: Vec<Row>,
    /// The first side.
    pub before: Total,
    /// The second side.
    pub after: Total,
    /// The normalization of all rows.
    pub per: Normalization,
}

impl Comparison {
    /// A sentence to show with the rows if a side is sampled.
    pub fn warning(&self) -> Option<String> {
        let sides = [&self.before, &self.after];
        if sides.iter().all(|side| side.caveats.sampled.is_none()) {
            return None;
        }
        let recorded = match self.before.sampling_text() == self.after.sampling_text() {
            true => self.before.sampling_text(),
            false => {
                format!("{}; {}", self.before.sampling_text(), self.after.sampling_text())
            }
        };
        Some(format!("{recorded}; a difference within the error of an estimate is not significant"))
    }

    pub(crate) fn new(
        stacks: Stacks,
        metrics_by_stack: StackMetrics,
        [before, after]: [Total; 2],
        per: Normalization,
    ) -> Self {
        let ratios = metrics_by_stack.ratios;
        let (mut rows, mut unchanged) = (Vec::new(), Vec::new());
        for (stack, parts) in metrics_by_stack.stacks {
            let normalized =
                |side: usize| parts[side].metrics.map(|value| ratios[side].apply(value));
            let row = Row {
                stack,
                before: normalized(0),
                after: normalized(1),
                bt_before: parts[0].heaviest.map(|(bt, _)| bt),
                bt_after: parts[1].heaviest.map(|(bt, _)| bt),
            };
            if row.before == row.after {
                unchanged.push(row);
            } else {
                rows.push(row);
            }
        }
        let mut comparison = Self { stacks, rows, unchanged, before, after, per };
        let mut rows = std::mem::take(&mut comparison.rows);
        comparison.sort(&mut rows, Measure::LiveBytes);
        comparison.rows = rows;
        comparison
    }

    /// Sorts rows by the size of their change, the largest first, and by name among equal ones, so
    /// that exchanging the sides does not change the order.
    pub fn sort(&self, rows: &mut [Row], measure: Measure) {
        let names = |row: &Row| self.stacks.frames(row.stack).map(|name| name.sym.as_str());
        rows.sort_unstable_by(|one, other| {
            let size = |row: &Row| Reverse(row.difference(measure).unsigned_abs());
            size(one).cmp(&size(other)).then_with(|| names(one).cmp(names(other)))
        });
    }

    /// Rows that differ by at least `min` in a measure, the largest change first.
    pub fn changed(&self, measure: Measure, min: i64) -> Vec<Row> {
        let least = min.unsigned_abs().max(1);
        let is_wanted = |row: &&Row| row.difference(measure).unsigned_abs() >= least;
        let mut rows: Vec<Row> = self.rows.iter().filter(is_wanted).copied().collect();
        if measure != Measure::LiveBytes {
            self.sort(&mut rows, measure);
        }
        rows
    }

    /// Total growth and total shrinkage in a measure, both as positive numbers.
    pub fn movement(&self, measure: Measure) -> (i64, i64) {
        self.rows.iter().fold((0_i64, 0_i64), |(up, down), row| match row.difference(measure) {
            more if more > 0 => (up.saturating_add(more), down),
            less => (up, down.saturating_sub(less)),
        })
    }

    /// The frames of a row, innermost first.
    pub fn frames(&self, row: &Row) -> impl Iterator<Item = &Name> {
        self.stacks.frames(row.stack)
    }

    /// The innermost own function of a row.
    pub fn function(&self, row: &Row) -> &str {
        self.frames(row).next().map_or("(no frames)", |name| name.function.as_str())
    }
}
