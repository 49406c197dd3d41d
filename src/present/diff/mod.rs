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

/// The output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum DiffFormat {
    /// Aligned tables.
    #[default]
    Text,
    /// Markdown tables.
    Markdown,
    /// One JSON object.
    Json,
    /// Folded stacks with the values of both sides.
    Folded,
}

impl DiffFormat {
    /// All formats with their names and descriptions in the help.
    pub(crate) const NAMES: &[(Self, &str, &str)] = &[
        (Self::Text, "text", "For a terminal"),
        (Self::Markdown, "markdown", "For an issue"),
        (Self::Json, "json", "For a program: one object, all digits"),
        (
            Self::Folded,
            "folded",
            "One stack per line, outermost first, with both values: for difference flamegraphs",
        ),
    ];
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
    pub(crate) include_unchanged: bool,
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
