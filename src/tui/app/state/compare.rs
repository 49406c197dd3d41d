//! State of the Compare view: sides, options, result and cursors.
//!
//! Invariant: cursors are in range after [`CompareState::clamp`]; the shown result has the options that
//! it was requested with.

use std::collections::HashSet;
use std::sync::Arc;

use crate::database::compare::{Comparison, Normalization, Row, State};
use crate::database::error::QueryError;
use crate::tui::app::message::Sides;
use crate::tui::app::state::cursor::Cursor;
use crate::tui::app::state::flame_cursor::{DEPTH_MAX, FlameCursor, Graph};
use crate::tui::flame::cell_layout::{Cell, CellContent, Top};
use crate::tui::flame::difference_tree::{self, DifferenceOptions, Differences, OpenLine};
use crate::tui::flame::shape::{ShapedId, TOP};

/// Maximum lines of the tree.
pub const LINES_MAX: usize = 100_000;

/// Presentations of a comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompareMode {
    /// Sites, the largest change first.
    #[default]
    List,
    /// A flamegraph of growth and shrinkage.
    Flame,
    /// A tree of growth and shrinkage, line by line.
    Tree,
}

impl CompareMode {
    /// The next variant; the first follows the last.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::List => Self::Flame,
            Self::Flame => Self::Tree,
            Self::Tree => Self::List,
        }
    }
}

/// The view.
#[derive(Clone, Debug, Default)]
pub struct CompareState {
    /// The two sides; `None`: nothing to compare.
    pub sides: Option<Sides>,
    /// The divisor of all figures.
    pub per: Normalization,
    /// Measure, filters and direction.
    pub options: DifferenceOptions,
    /// The presentation.
    pub mode: CompareMode,
    /// The comparison, once read.
    pub comparison: Option<Arc<Comparison>>,
    /// The comparison as list and tree for the current options.
    pub shown: Option<Arc<Differences>>,
    /// The error of the last request, if it failed.
    pub error: Option<QueryError>,
    /// The selected site.
    pub list: Cursor,
    /// The selected line of the tree.
    pub lines: Cursor,
    /// Expanded nodes of the tree.
    pub opened: HashSet<ShapedId>,
    /// Selected cell, zoom and scroll position of the flamegraph.
    pub cursor: FlameCursor,
    opened_lines: Vec<OpenLine>,
}

impl CompareState {
    /// Starts another comparison.
    pub fn start(&mut self, sides: Sides) {
        *self = Self {
            sides: Some(sides),
            per: self.per.clone(),
            options: DifferenceOptions {
                measure: self.options.measure,
                ..DifferenceOptions::default()
            },
            mode: self.mode,
            ..Self::default()
        };
    }

    /// Shows another result.
    pub fn set(&mut self, shown: Arc<Differences>) {
        self.shown = Some(shown);
        self.cursor.reset();
        self.opened.clear();
        self.refresh();
    }

    /// The visible lines of the tree.
    pub fn opened_lines(&self) -> &[OpenLine] {
        &self.opened_lines
    }

    /// Rebuilds the lines after nodes were expanded or collapsed.
    pub fn refresh(&mut self) {
        self.opened_lines = match &self.shown {
            Some(shown) => {
                difference_tree::lines(shown, |node| self.opened.contains(&node), LINES_MAX)
            }
            None => Vec::new(),
        };
    }

    /// The selected site.
    pub fn row(&self) -> Option<&Row> {
        self.shown.as_ref()?.rows.get(self.list.at as usize)
    }

    /// The selected line of the tree.
    pub fn line(&self) -> Option<OpenLine> {
        self.opened_lines.get(self.lines.at as usize).copied()
    }

    /// How a site changed in the shown measure.
    pub fn state(&self, row: &Row) -> State {
        row.state(self.options.measure)
    }

    fn graph(&self, width: u16) -> Graph<'_, Differences> {
        Graph { tree: self.shown.as_deref(), root: Top { node: TOP, skip: 0 }, width }
    }

    /// Changes the cursor, given the flamegraph as it is drawn.
    pub fn with_cursor<T>(
        &mut self,
        width: u16,
        change: impl FnOnce(&mut FlameCursor, &Graph<'_, Differences>) -> T,
    ) -> T {
        let mut cursor = std::mem::take(&mut self.cursor);
        let result = change(&mut cursor, &self.graph(width));
        self.cursor = cursor;
        result
    }

    /// The rows of cells, root first.
    pub fn rows(&self, width: u16, depth: usize) -> Vec<Vec<Cell>> {
        self.cursor.rows(&self.graph(width), depth.min(DEPTH_MAX))
    }

    /// The selected cell.
    pub fn cell(&self, width: u16) -> Option<Cell> {
        self.cursor.cell(&self.graph(width))
    }

    /// The node at the cursor, in the flamegraph or in the tree.
    pub fn node(&self, width: u16) -> Option<ShapedId> {
        match self.mode {
            CompareMode::List => None,
            CompareMode::Tree => self.line().map(|line| line.node),
            CompareMode::Flame => match self.cell(width)?.content {
                CellContent::Node(node) => Some(node),
                CellContent::More { .. } => None,
            },
        }
    }

    /// Moves all cursors into range.
    pub fn clamp(&mut self, width: u16, height: usize, window: u64) {
        let sites = self.shown.as_ref().map_or(0, |shown| shown.rows.len() as u64);
        self.list.clamp(sites, window);
        self.lines.clamp(self.opened_lines.len() as u64, window);
        if self.mode == CompareMode::Flame {
            self.with_cursor(width, |cursor, graph| cursor.clamp(graph, height));
        }
    }
}
