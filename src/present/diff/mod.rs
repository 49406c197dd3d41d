//! Writes what differs between two recordings: for people, for an issue, for programs, for a
//! flamegraph.
//!
//! Reads: a [`Comparison`]. Writes: text, to any writer.
//!
//! Invariants:
//! - No byte of a recording moves a cursor, ends a cell, or separates what it names.
//! - Without rows nothing is written, except by JSON, which says what was compared.

pub(crate) mod folded;
pub(crate) mod json;
pub(crate) mod text;

use std::io::{self, Write};

use crate::database::compare::{Comparison, Measure, Row};

/// How a difference is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum DiffFormat {
    /// For a terminal.
    #[default]
    Text,
    /// For an issue.
    Markdown,
    /// For a program: one object, all digits.
    Json,
    /// A stack a line, outermost first, with both figures: for difference flamegraphs.
    Folded,
}

/// What is to be written.
pub(crate) struct Diff<'a> {
    pub(crate) comparison: &'a Comparison,
    /// What differs, in the order in which it is shown.
    pub(crate) rows: &'a [Row],
    /// The most rows.
    pub(crate) limit: usize,
    pub(crate) measure: Measure,
    /// Whether what is the same is written too, where the format has a place for it.
    pub(crate) unchanged: bool,
    /// Columns of the terminal, if it is one.
    pub(crate) width: Option<usize>,
}

impl Diff<'_> {
    fn shown(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().take(self.limit)
    }
}

/// Writes it.
///
/// # Errors
/// If the writer fails.
pub(crate) fn write(diff: &Diff<'_>, format: DiffFormat, out: &mut dyn Write) -> io::Result<()> {
    match format {
        DiffFormat::Json => crate::present::diff::json::write(diff, out),
        DiffFormat::Folded => crate::present::diff::folded::write(diff, out),
        DiffFormat::Text | DiffFormat::Markdown if diff.rows.is_empty() => Ok(()),
        DiffFormat::Text => crate::present::diff::text::text(diff, out),
        DiffFormat::Markdown => crate::present::diff::text::markdown(diff, out),
    }
}
