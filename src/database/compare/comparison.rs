//! What differs between two sides.
//!
//! Reads: figures by stack, as the sides were gathered. Writes: [`Row`]s, the largest change first.
//!
//! Invariant: a stack whose figures are equal on both sides has no row.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::Path;

use crate::database::caveats::Notes;
use crate::database::compare::figures::{Measure, Metrics, Normalization, Rate};
use crate::database::compare::stacks::{Name, StackId, Stacks};
use crate::database::compare::window::{Span, Window};

/// How a stack changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Only the second side has any.
    New,
    /// The second side has more.
    Grown,
    /// The second side has less.
    Shrunk,
    /// Only the first side has any.
    Gone,
    /// No difference in this measure.
    Same,
}

impl State {
    /// All that are a difference.
    pub const CHANGES: [Self; 4] = [Self::New, Self::Grown, Self::Shrunk, Self::Gone];

    /// In one word.
    pub fn word(self) -> &'static str {
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

/// A stack that is not the same on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its own frames.
    pub stack: StackId,
    /// On the first side, normalised.
    pub before: Metrics,
    /// On the second side, normalised.
    pub after: Metrics,
    /// The backtrace with most live bytes on the first side, in its database.
    pub bt_before: Option<i64>,
    /// The same of the second side.
    pub bt_after: Option<i64>,
}

impl Row {
    /// By how much the second side has more.
    pub fn difference(&self, measure: Measure) -> i64 {
        self.after.get(measure).saturating_sub(self.before.get(measure))
    }

    /// How it changed.
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

/// A side as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Total {
    /// Its file's name.
    pub file: String,
    /// What was looked at, as it was asked for.
    pub window: Window,
    /// The same in nanoseconds.
    pub span: Span,
    /// Sums, not normalised.
    pub figures: Metrics,
    /// What figures are multiplied by.
    pub rate: Rate,
    /// Distinct backtraces.
    pub sites: u64,
    /// What is to be said of its figures.
    pub notes: Notes,
}

impl Total {
    /// "heap.db is sampled, one in 512 KiB: estimates"
    fn recorded(&self) -> String {
        match self.notes.sampled {
            Some(sampled) => format!("{} is {}", self.file, sampled.tag()),
            None => format!("{} has every block", self.file),
        }
    }

    pub(crate) fn new(path: &Path, window: &Window, span: Span) -> Self {
        let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Self {
            file,
            window: window.clone(),
            span,
            figures: Metrics::default(),
            rate: Rate::ONE,
            sites: 0,
            notes: Notes::default(),
        }
    }
}

/// Both sides' figures by stack.
#[derive(Debug)]
pub(crate) struct Gathered {
    stacks: HashMap<StackId, [Part; 2]>,
    rates: [Rate; 2],
}

impl Default for Gathered {
    fn default() -> Self {
        Self { stacks: HashMap::new(), rates: [Rate::ONE; 2] }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Part {
    figures: Metrics,
    /// Its backtrace with most live bytes, with these.
    heaviest: Option<(i64, i64)>,
}

impl Gathered {
    pub(crate) fn add(&mut self, stack: StackId, side: usize, bt: Option<i64>, figures: Metrics) {
        let part = &mut self.stacks.entry(stack).or_default()[side];
        part.figures += figures;
        if let Some(bt) = bt
            && part.heaviest.is_none_or(|(_, bytes)| figures.live_bytes > bytes)
        {
            part.heaviest = Some((bt, figures.live_bytes));
        }
    }

    pub(crate) fn rate(&mut self, side: usize, rate: Rate) {
        self.rates[side] = rate;
    }
}

/// What differs between two sides.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The names of all stacks.
    pub stacks: Stacks,
    /// What differs, in any measure; the largest change of live bytes first.
    pub rows: Vec<Row>,
    /// What is the same on both sides, in no order.
    pub unchanged: Vec<Row>,
    /// The first side.
    pub before: Total,
    /// The second side.
    pub after: Total,
    /// What figures were divided by.
    pub per: Normalization,
}

impl Comparison {
    /// What is to be kept in mind where a side is an estimate, or both are: a sentence.
    pub fn caution(&self) -> Option<String> {
        let sides = [&self.before, &self.after];
        if sides.iter().all(|side| side.notes.sampled.is_none()) {
            return None;
        }
        let recorded = match self.before.recorded() == self.after.recorded() {
            true => self.before.recorded(),
            false => format!("{}; {}", self.before.recorded(), self.after.recorded()),
        };
        Some(format!("{recorded}; a difference within the error of an estimate says nothing"))
    }

    pub(crate) fn new(
        stacks: Stacks,
        gathered: Gathered,
        [before, after]: [Total; 2],
        per: Normalization,
    ) -> Self {
        let rates = gathered.rates;
        let (mut rows, mut unchanged) = (Vec::new(), Vec::new());
        for (stack, parts) in gathered.stacks {
            let normal = |side: usize| parts[side].figures.map(|value| rates[side].of(value));
            let row = Row {
                stack,
                before: normal(0),
                after: normal(1),
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

    /// Orders rows by the size of their change, the largest first; equal ones by name, so that
    /// the order is that of the exchanged sides.
    pub fn sort(&self, rows: &mut [Row], measure: Measure) {
        let names = |row: &Row| self.stacks.frames(row.stack).map(|name| name.sym.as_str());
        rows.sort_unstable_by(|one, other| {
            let size = |row: &Row| Reverse(row.difference(measure).unsigned_abs());
            size(one).cmp(&size(other)).then_with(|| names(one).cmp(names(other)))
        });
    }

    /// The rows that differ by at least `min` in a measure, the largest change first.
    pub fn changed(&self, measure: Measure, min: i64) -> Vec<Row> {
        let least = min.unsigned_abs().max(1);
        let is_wanted = |row: &&Row| row.difference(measure).unsigned_abs() >= least;
        let mut rows: Vec<Row> = self.rows.iter().filter(is_wanted).copied().collect();
        if measure != Measure::LiveBytes {
            self.sort(&mut rows, measure);
        }
        rows
    }

    /// Growth and shrinkage in a measure, both as positive numbers.
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

    /// The function that a row is called by: its innermost own one.
    pub fn function(&self, row: &Row) -> &str {
        self.frames(row).next().map_or("(no frames)", |name| name.function.as_str())
    }
}
