//! Prints a [`Comparison`] as text, Markdown, JSON or folded stacks.
//!
//! Invariants:
//! - No byte of a recording acts on a terminal, ends a cell, or separates frames.
//! - Without rows only JSON writes anything.

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

/// The rows to print and the options.
pub(crate) struct Diff<'a> {
    pub(crate) comparison: &'a Comparison,
    /// The rows in the order of the output.
    pub(crate) rows: &'a [Row],
    /// Maximum number of rows.
    pub(crate) limit: usize,
    pub(crate) measure: Measure,
    /// Whether folded stacks include unchanged sites.
    pub(crate) include_unchanged: bool,
    /// Width of the terminal, if there is one.
    pub(crate) width: Option<usize>,
}

impl Diff<'_> {
    fn shown(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().take(self.limit)
    }
}

/// Prints the comparison.
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
