//! The comparison: with what, what of it is shown, and where its cursors are.
//!
//! Reads: a comparison and its shape as they arrive. Writes: which ones are wanted.
//!
//! Invariant: cursors are in range after [`CompareState::fit`]; what is shown remembers the options
//! that it answers.

use std::collections::HashSet;
use std::sync::Arc;

use crate::database::compare::{Comparison, Normalization, Row, State};
use crate::database::error::QueryError;
use crate::tui::app::message::Sides;
use crate::tui::app::state::cursor::Cursor;
use crate::tui::flame::cell_layout::{self, Cell, CellContent, Top};
use crate::tui::flame::difference_tree::{self, DifferenceOptions, Differences, OpenLine};
use crate::tui::flame::shape::{ShownId, TOP};

/// Lines of an opened tree at most.
pub const LINES_MAX: usize = 100_000;

/// Rows of the picture at most.
pub const DEPTH_MAX: usize = 400;

/// How the comparison is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompareMode {
    /// Sites, the largest change first.
    #[default]
    List,
    /// A flamegraph of growth and shrinkage.
    Flame,
    /// The same, line by line.
    Tree,
}

impl CompareMode {
    /// The next one, round and round.
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
    /// CellContent is compared; `None`: nothing yet.
    pub sides: Option<Sides>,
    /// CellContent figures are divided by.
    pub per: Normalization,
    /// CellContent of it is shown.
    pub options: DifferenceOptions,
    /// How.
    pub mode: CompareMode,
    /// The answer.
    pub comparison: Option<Arc<Comparison>>,
    /// Its shape.
    pub shown: Option<Arc<Differences>>,
    /// CellContent went wrong.
    pub error: Option<QueryError>,
    /// The selected site.
    pub list: Cursor,
    /// The selected line of the tree.
    pub lines: Cursor,
    /// Opened nodes of the tree.
    pub opened: HashSet<ShownId>,
    /// CellContent the picture was zoomed into, the last one at the top.
    pub zoom: Vec<Top>,
    /// Row and column of the selected cell.
    pub selected: (usize, u16),
    /// The first row of the picture that is drawn.
    pub top_row: usize,
    opened_lines: Vec<OpenLine>,
}

impl CompareState {
    /// Begins another comparison.
    pub fn begin(&mut self, sides: Sides) {
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

    /// Takes what is to be shown.
    pub fn set(&mut self, shown: Arc<Differences>) {
        self.shown = Some(shown);
        self.zoom.clear();
        self.opened.clear();
        self.selected = (0, 0);
        self.top_row = 0;
        self.refresh();
    }

    /// The lines of the opened tree.
    pub fn opened_lines(&self) -> &[OpenLine] {
        &self.opened_lines
    }

    /// After something was opened or closed.
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

    /// CellContent stands at the top of the picture.
    pub fn top(&self) -> Top {
        self.zoom.last().copied().unwrap_or(Top { node: TOP, skip: 0 })
    }

    /// The rows of the picture, from its top on.
    pub fn rows(&self, width: u16, depth: usize) -> Vec<Vec<Cell>> {
        match &self.shown {
            Some(shown) => {
                cell_layout::rows(shown.as_ref(), self.top(), width, depth.min(DEPTH_MAX))
            }
            None => Vec::new(),
        }
    }

    /// The selected cell.
    pub fn cell(&self, width: u16) -> Option<Cell> {
        let rows = self.rows(width, self.selected.0 + 1);
        let row = rows.get(self.selected.0)?;
        row.iter().find(|cell| cell.covers(self.selected.1)).copied()
    }

    /// The node that the cursor is on, in the picture or in the tree.
    pub fn node(&self, width: u16) -> Option<ShownId> {
        match self.mode {
            CompareMode::List => None,
            CompareMode::Tree => self.line().map(|line| line.node),
            CompareMode::Flame => match self.cell(width)?.content {
                CellContent::Node(node) => Some(node),
                CellContent::More { .. } => None,
            },
        }
    }

    /// Zooms into the selected cell.
    pub fn zoom_in(&mut self, width: u16) {
        let Some(cell) = self.cell(width) else { return };
        let top = match cell.content {
            CellContent::Node(node) => Top { node, skip: 0 },
            CellContent::More { parent, skip } => Top { node: parent, skip },
        };
        if top != self.top() {
            self.zoom.push(top);
            self.selected = (0, 0);
            self.top_row = 0;
        }
    }

    /// Zooms out one step; whether there was one.
    pub fn zoom_out(&mut self) -> bool {
        self.selected = (0, 0);
        self.top_row = 0;
        self.zoom.pop().is_some()
    }

    /// Moves by rows and by cells of the picture.
    pub fn step(&mut self, rows: i64, cells: i64, width: u16) {
        let to = self.selected.0.saturating_add_signed(rows as isize).min(DEPTH_MAX);
        if let Some(cell) = self.cell(width).filter(|_| rows > 0) {
            self.selected.1 = cell.x;
        }
        let drawn = self.rows(width, to + 1);
        self.selected.0 = to.min(drawn.len().saturating_sub(1));
        if let Some(row) = drawn.get(self.selected.0).filter(|_| cells != 0) {
            let at = row.iter().position(|cell| cell.covers(self.selected.1)).unwrap_or(0);
            let next = at.saturating_add_signed(cells as isize).min(row.len().saturating_sub(1));
            self.selected.1 = row.get(next).map_or(0, |cell| cell.x);
        }
    }

    /// Selects whatever is at a place of the picture; whether it was selected already.
    pub fn point(&mut self, row: usize, column: u16, width: u16) -> bool {
        let before = self.selected;
        let rows = self.rows(width, row + 1);
        let hit = rows.get(row).and_then(|row| row.iter().find(|cell| cell.covers(column)));
        if let Some(cell) = hit {
            self.selected = (row, cell.x);
            return self.selected == before;
        }
        false
    }

    /// Brings all cursors back into range.
    pub fn fit(&mut self, width: u16, height: usize, window: u64) {
        let sites = self.shown.as_ref().map_or(0, |shown| shown.rows.len() as u64);
        self.list.fit(sites, window);
        self.lines.fit(self.opened_lines.len() as u64, window);
        if self.mode != CompareMode::Flame {
            return;
        }
        let rows = self.rows(width, self.selected.0 + 1);
        self.selected.0 = self.selected.0.min(rows.len().saturating_sub(1));
        let nearest = rows.get(self.selected.0).and_then(|row| {
            let x = self.selected.1;
            row.iter().min_by_key(|cell| if cell.covers(x) { 0 } else { 1 + cell.x.abs_diff(x) })
        });
        self.selected.1 = nearest.map_or(0, |cell| cell.x);
        let height = height.max(1);
        self.top_row = self.top_row.min(self.selected.0);
        if self.selected.0 >= self.top_row + height {
            self.top_row = self.selected.0 + 1 - height;
        }
    }
}
