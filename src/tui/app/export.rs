//! The data of an export: a snapshot of the view.
//!
//! The writer is a function pointer from the command line, because this folder must not import the formats.
//!
//! Invariant: it is the view as it was when the key was pressed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::database::cancel::CancelToken;
use crate::database::compare::{Comparison, Measure, Row};
use crate::database::connection::Database;
use crate::database::query::Params;
use crate::database::table::Unit;
use crate::tui::flame::cell_layout::Top;
use crate::tui::flame::shape::ShapedTree;

/// Writes an export; returns the message to show.
pub type Writer = fn(&Database, &Export, &CancelToken) -> Result<String, String>;

/// File formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Rows, for spreadsheets.
    Csv,
    /// Rows, for programs.
    Json,
    /// Rows, for an issue.
    Markdown,
    /// Folded stacks, one call path and weight per line.
    Folded,
    /// A flamegraph, for a browser.
    Svg,
}

impl Format {
    /// All formats with their file name extensions.
    pub const ALL: [(Self, &str); 5] = [
        (Self::Csv, "csv"),
        (Self::Json, "json"),
        (Self::Markdown, "md"),
        (Self::Folded, "folded"),
        (Self::Svg, "svg"),
    ];

    /// The format of a file name.
    pub fn from_path(path: &Path) -> Option<Self> {
        let end = path.extension()?.to_str()?.to_ascii_lowercase();
        Self::ALL.iter().find(|(_, known)| *known == end).map(|(format, _)| *format)
    }

    /// Whether the format holds stacks instead of rows.
    pub fn needs_stacks(self) -> bool {
        matches!(self, Self::Folded | Self::Svg)
    }
}

/// An export.
#[derive(Clone, Debug)]
pub struct Export {
    /// The file, which must not exist yet.
    pub path: PathBuf,
    /// The format.
    pub format: Format,
    /// The title of the view.
    pub title: String,
    /// The data.
    pub content: Content,
}

/// The data of an export.
#[derive(Clone, Debug)]
pub enum Content {
    /// Rows of a statement.
    Rows(Rows),
    /// A flamegraph from its root, which may be zoomed.
    Stacks(Arc<ShapedTree>, Top),
    /// A comparison in one measure.
    Changes(Arc<Comparison>, Vec<Row>, Measure),
}

/// Rows of a statement.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// The statement.
    pub sql: String,
    /// Values of its parameters.
    pub params: Params,
    /// Units of columns whose names don't determine them.
    pub units: Vec<(String, Unit)>,
    /// Indices of the shown columns in order; empty: all.
    pub columns: Vec<usize>,
}
