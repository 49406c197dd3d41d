//! The cursor of a flamegraph: selected cell, zoom and scroll position.
//!
//! Invariant: after [`FlameCursor::clamp`], the selected cell is drawn and its row is in the window.

use crate::tui::flame::cell_layout::{self, Cell, CellContent, Top, WeightedTree};

/// Rows of a flamegraph that the cursor can reach.
pub const DEPTH_MAX: usize = 400;

/// A flamegraph as it is drawn.
#[derive(Debug)]
pub struct Graph<'a, T> {
    /// The tree; `None` while it is read.
    pub tree: Option<&'a T>,
    /// The root without zoom.
    pub root: Top,
    /// Columns of the pane.
    pub width: u16,
}

/// Selected cell, zoom and scroll position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlameCursor {
    /// The nodes that were zoomed into, outermost first.
    pub zoom: Vec<Top>,
    /// Row and column of the selected cell; row 0 is the root.
    pub selected: (usize, u16),
    /// The first row that is drawn.
    pub top_row: usize,
}

impl FlameCursor {
    /// Selects the root of another tree, without zoom.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Zooms to `top` and selects it.
    pub fn zoom_to(&mut self, top: Top) {
        *self = Self { zoom: vec![top], ..Self::default() };
    }

    /// The root as it is zoomed.
    pub fn top(&self, root: Top) -> Top {
        self.zoom.last().copied().unwrap_or(root)
    }

    /// The rows of cells, root first, at most `depth_max`.
    pub fn rows(&self, graph: &Graph<'_, impl WeightedTree>, depth_max: usize) -> Vec<Vec<Cell>> {
        let top = self.top(graph.root);
        graph
            .tree
            .map_or_else(Vec::new, |tree| cell_layout::rows(tree, top, graph.width, depth_max))
    }

    /// The selected cell.
    pub fn cell(&self, graph: &Graph<'_, impl WeightedTree>) -> Option<Cell> {
        let rows = self.rows(graph, self.selected.0 + 1);
        let row = rows.get(self.selected.0)?;
        row.iter().find(|cell| cell.covers(self.selected.1)).copied()
    }

    /// Moves down by rows and keeps the column; up if negative.
    pub fn step_row(&mut self, graph: &Graph<'_, impl WeightedTree>, by: i64) {
        let row = self.selected.0.saturating_add_signed(by as isize).min(DEPTH_MAX);
        if let Some(cell) = self.cell(graph).filter(|_| row > self.selected.0) {
            // Towards the callees, the first one is the widest, not the one below the middle.
            self.selected.1 = cell.x;
        }
        let rows = self.rows(graph, row + 1);
        self.selected.0 = row.min(rows.len().saturating_sub(1));
    }

    /// Moves right by cells of the row; left if negative.
    pub fn step_cell(&mut self, graph: &Graph<'_, impl WeightedTree>, by: i64) {
        let rows = self.rows(graph, self.selected.0 + 1);
        let Some(row) = rows.get(self.selected.0) else {
            return;
        };
        let at = row.iter().position(|cell| cell.covers(self.selected.1)).unwrap_or(0);
        let next = at.saturating_add_signed(by as isize).min(row.len().saturating_sub(1));
        self.selected.1 = row.get(next).map_or(self.selected.1, |cell| cell.x);
    }

    /// Selects the cell at a row and column; returns whether there is one.
    pub fn point(&mut self, graph: &Graph<'_, impl WeightedTree>, row: usize, column: u16) -> bool {
        let rows = self.rows(graph, row + 1);
        let hit = rows.get(row).and_then(|row| row.iter().find(|cell| cell.covers(column)));
        if let Some(cell) = hit {
            self.selected = (row, cell.x);
        }
        hit.is_some()
    }

    /// Zooms into the selected cell.
    pub fn zoom_in(&mut self, graph: &Graph<'_, impl WeightedTree>) {
        let Some(cell) = self.cell(graph) else { return };
        let top = match cell.content {
            CellContent::Node(node) => Top { node, skip: 0 },
            CellContent::More { parent, skip } => Top { node: parent, skip },
        };
        if top != self.top(graph.root) {
            self.zoom.push(top);
            self.selected = (0, 0);
            self.top_row = 0;
        }
    }

    /// Zooms out one step; returns whether there was one.
    pub fn zoom_out(&mut self) -> bool {
        self.selected = (0, 0);
        self.top_row = 0;
        self.zoom.pop().is_some()
    }

    /// Selects the nearest drawn cell and scrolls its row into a window of `height` rows.
    pub fn clamp(&mut self, graph: &Graph<'_, impl WeightedTree>, height: usize) {
        let rows = self.rows(graph, self.selected.0 + 1);
        self.selected.0 = self.selected.0.min(rows.len().saturating_sub(1));
        let nearest = rows.get(self.selected.0).and_then(|row| {
            let x = self.selected.1;
            row.iter().min_by_key(|cell| if cell.covers(x) { 0 } else { 1 + cell.x.abs_diff(x) })
        });
        self.selected.1 = nearest.map_or(0, |cell| cell.x);
        let height = height.max(1);
        if self.selected.0 < self.top_row {
            self.top_row = self.selected.0;
        } else if self.selected.0 >= self.top_row + height {
            self.top_row = self.selected.0 + 1 - height;
        }
    }
}
