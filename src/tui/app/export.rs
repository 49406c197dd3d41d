//! What is shown, ready to be written to a file by whoever knows the formats.
//!
//! Reads and writes nothing: the writer is handed in, as this folder knows no formats.
//!
//! Invariant: it is what the screen showed when the key was pressed, whatever is pressed then.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::database::cancel::CancelToken;
use crate::database::compare::{Comparison, Measure, Row};
use crate::database::connection::Database;
use crate::database::query::Params;
use crate::database::table::Unit;
use crate::tui::flame::cell_layout::Top;
use crate::tui::flame::shape::Shown;

/// Writes an export; what it says is shown, whether it worked or not.
pub type Writer = fn(&Database, &Export, &CancelToken) -> Result<String, String>;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Rows, for spreadsheets.
    Csv,
    /// Rows, for programs.
    Json,
    /// Rows, for an issue.
    Markdown,
    /// Stacks with weights, one a line.
    Folded,
    /// A flamegraph, for a browser.
    Svg,
}

impl Format {
    /// What the file's name ends in, which chooses the format.
    pub const ALL: [(Self, &str); 5] = [
        (Self::Csv, "csv"),
        (Self::Json, "json"),
        (Self::Markdown, "md"),
        (Self::Folded, "folded"),
        (Self::Svg, "svg"),
    ];

    /// The format of a file of this name.
    pub fn of(path: &Path) -> Option<Self> {
        let end = path.extension()?.to_str()?.to_ascii_lowercase();
        Self::ALL.iter().find(|(_, known)| *known == end).map(|(format, _)| *format)
    }

    /// Whether it holds stacks, not rows.
    pub fn needs_stacks(self) -> bool {
        matches!(self, Self::Folded | Self::Svg)
    }
}

/// What is to be written.
#[derive(Clone, Debug)]
pub struct Export {
    /// The file, which must not be there yet.
    pub path: PathBuf,
    /// How.
    pub format: Format,
    /// What is shown, in words.
    pub title: String,
    /// The content.
    pub content: Content,
}

/// The content of an export.
#[derive(Clone, Debug)]
pub enum Content {
    /// Rows of a statement.
    Rows(Rows),
    /// A flamegraph, from a node on.
    Stacks(Arc<Shown>, Top),
    /// What differs.
    Changes(Arc<Comparison>, Vec<Row>, Measure),
}

/// Rows of a statement.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// The statement.
    pub sql: String,
    /// Values of its parameters.
    pub params: Params,
    /// Units of columns, where they don't follow from their names.
    pub units: Vec<(String, Unit)>,
    /// The columns that are shown, in their order; empty: all.
    pub columns: Vec<usize>,
}
