//! The flamegraph's state: what is shown, where the cursor is, what was zoomed into.
//!
//! Reads: shaped trees as they arrive. Writes: which tree and which shape are wanted.
//!
//! Invariant: [`FlameState::selected`] is the path of a cell that is drawn_tree; whoever changes the
//! tree, the zoom or the size calls [`FlameState::fit`].

use std::collections::HashSet;
use std::sync::Arc;

use crate::database::error::QueryError;
use crate::tui::app::message::TreeSource;
use crate::tui::data::filter::{Filter, FilterSet};
use crate::tui::flame::cell_layout::{self, Cell, CellContent, Top};
use crate::tui::flame::measure::Measure;
use crate::tui::flame::shape::{Collapse, Direction, Key, Shape, Shown, ShownId, TOP};
use crate::tui::flame::tree::{CallTree, SymbolId};

/// Rows below the top that can be gone down to.
pub const DEPTH_MAX: usize = 400;

/// Where the roots are drawn_tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Roots {
    /// At the top; growing downwards.
    #[default]
    Top,
    /// At the bottom; growing upwards, as flames do.
    Bottom,
}

/// From where the tree is looked at, by names, which outlive a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Orientation {
    /// From the outermost functions inwards.
    #[default]
    TopDown,
    /// From the allocating functions outwards.
    BottomUp,
    /// Callers and callees of one function.
    Sandwich(String),
}

/// A search: the pattern and what it found.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// As typed.
    pub pattern: String,
    /// The functions that match.
    pub symbols: HashSet<SymbolId>,
    /// How much of the whole goes through them.
    pub value: u64,
}

/// The flamegraph.
#[derive(Clone, Debug, Default)]
pub struct FlameState {
    /// Instead of the filter set: rows of a result; what it is called and its statement.
    pub over: Option<(String, TreeSource)>,
    /// CellContent the tree was asked for.
    pub source: Option<TreeSource>,
    /// Everything.
    pub tree: Option<Arc<CallTree>>,
    /// The tree that is drawn_tree: the last one, until its successor has been shaped.
    pub drawn_tree: Option<Arc<CallTree>>,
    /// CellContent is drawn_tree; in a sandwich, what the function calls.
    pub shown: Option<Arc<Shown>>,
    /// In a sandwich, who calls the function.
    pub callers: Option<Arc<Shown>>,
    /// CellContent widths stand for.
    pub measure: Measure,
    /// CellContent they stood for before the filter set said when, to come back to.
    pub measure_before: Option<Measure>,
    /// CellContent the filter set said about when, the last time that a tree was asked for.
    pub time: Option<Filter>,
    /// From where it is looked at.
    pub orientation: Orientation,
    /// Library and runtime frames.
    pub library: Collapse,
    /// Functions that call themselves.
    pub recursion: Collapse,
    /// Where the roots are drawn_tree.
    pub roots: Roots,
    /// CellContent was zoomed into, outermost first.
    pub zoom: Vec<Top>,
    /// Row and column of the selected cell. Row 0 is the top.
    pub selected: (usize, u16),
    /// The first row that is drawn_tree.
    pub top_row: usize,
    /// The search.
    pub search: Option<Search>,
    /// CellContent went wrong.
    pub error: Option<QueryError>,
}

impl FlameState {
    /// Takes note of a filter set: one that says when is about its own blocks, not about the run's end.
    pub fn on_filters_changed(&mut self, filters: &FilterSet) {
        let time = filters.filters().iter().find(|it| it.is_time_filter()).cloned();
        match (&self.time, &time) {
            (None, Some(_)) => {
                self.measure_before = Some(self.measure);
                self.measure = Measure::Allocated;
            }
            (Some(_), None) => self.measure = self.measure_before.take().unwrap_or(self.measure),
            _ => {}
        }
        self.time = time;
    }

    /// The shapes to ask for: one, or two in a sandwich.
    pub fn shapes(&self, hidden: &[String], from: Option<&String>) -> Vec<Shape> {
        let Some(tree) = &self.tree else {
            return Vec::new();
        };
        let named = |sym: &String| tree.symbols().named(sym);
        let shape = |direction| Shape {
            measure: self.measure,
            direction,
            library: self.library,
            recursion: self.recursion,
            hidden: hidden.iter().filter_map(named).collect(),
            from: from.and_then(named),
        };
        match &self.orientation {
            Orientation::TopDown => vec![shape(Direction::TopDown)],
            Orientation::BottomUp => vec![shape(Direction::BottomUp)],
            Orientation::Sandwich(sym) => match named(sym) {
                Some(symbol) => {
                    vec![shape(Direction::Callees(symbol)), shape(Direction::Callers(symbol))]
                }
                None => vec![shape(Direction::TopDown)],
            },
        }
    }

    /// Whether it is this tree that is drawn_tree.
    pub fn is_drawn(&self, tree: &Arc<CallTree>) -> bool {
        self.drawn_tree.as_ref().is_some_and(|drawn_tree| Arc::ptr_eq(drawn_tree, tree))
    }

    /// Takes what is to be drawn_tree.
    pub fn set(&mut self, mut shown: Vec<Arc<Shown>>) {
        self.callers = (shown.len() > 1).then(|| shown.remove(1));
        self.shown = shown.pop();
        self.drawn_tree = self.tree.clone();
        self.zoom.clear();
        self.selected = (0, 0);
        self.top_row = 0;
        if let Some(pattern) = self.search.as_ref().map(|search| search.pattern.clone()) {
            self.find(&pattern);
        }
    }

    /// CellContent stands at the top.
    pub fn top(&self) -> Top {
        // In a sandwich the function itself is the top: what is above are its callers.
        let focus = match (&self.shown, &self.callers) {
            (Some(shown), Some(_)) => shown.children(TOP).first().copied(),
            _ => None,
        };
        let whole = Top { node: focus.unwrap_or(TOP), skip: 0 };
        self.zoom.last().copied().unwrap_or(whole)
    }

    /// The rows as they are drawn_tree, from the top on.
    pub fn rows(&self, width: u16, depth_max: usize) -> Vec<Vec<Cell>> {
        match &self.shown {
            Some(shown) => cell_layout::rows(shown.as_ref(), self.top(), width, depth_max),
            None => Vec::new(),
        }
    }

    /// The selected cell.
    pub fn cell(&self, width: u16) -> Option<Cell> {
        let rows = self.rows(width, self.selected.0 + 1);
        let row = rows.get(self.selected.0)?;
        row.iter().find(|cell| cell.covers(self.selected.1)).copied()
    }

    /// The node of the selected cell; for "… more", the node whose children these are.
    pub fn node(&self, width: u16) -> Option<ShownId> {
        Some(match self.cell(width)?.content {
            CellContent::Node(node) => node,
            CellContent::More { parent, .. } => parent,
        })
    }

    /// The function of the selected cell.
    pub fn symbol(&self, width: u16) -> Option<String> {
        let CellContent::Node(node) = self.cell(width)?.content else {
            return None;
        };
        let shown = self.shown.as_ref()?;
        shown.symbol(node).map(|symbol| symbol.sym.clone())
    }

    /// Moves to a row, keeping the column; then to what is there.
    pub fn step_row(&mut self, by: i64, width: u16, height: usize) {
        let row = self.selected.0.saturating_add_signed(by as isize).min(DEPTH_MAX);
        if let Some(cell) = self.cell(width).filter(|_| row > self.selected.0) {
            // Going in, the first and widest callee is meant, not what is under the middle.
            self.selected.1 = cell.x;
        }
        let rows = self.rows(width, row + 1);
        self.selected.0 = row.min(rows.len().saturating_sub(1));
        self.fit(width, height);
    }

    /// Moves along the row.
    pub fn step_cell(&mut self, by: i64, width: u16, height: usize) {
        let rows = self.rows(width, self.selected.0 + 1);
        let Some(row) = rows.get(self.selected.0) else {
            return;
        };
        let at = row.iter().position(|cell| cell.covers(self.selected.1));
        let last = row.len().saturating_sub(1);
        let next = at.unwrap_or(0).saturating_add_signed(by as isize).min(last);
        if let Some(cell) = row.get(next) {
            self.selected.1 = cell.x;
        }
        self.fit(width, height);
    }

    /// Selects whatever is at a place, if anything is.
    pub fn point(&mut self, row: usize, column: u16, width: u16) -> bool {
        let rows = self.rows(width, row + 1);
        let hit = rows.get(row).and_then(|row| row.iter().find(|cell| cell.covers(column)));
        match hit {
            Some(cell) => self.selected = (row, cell.x),
            None => return false,
        }
        true
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

    /// Brings the selection back onto a drawn_tree cell, and the window around it.
    pub fn fit(&mut self, width: u16, height: usize) {
        let rows = self.rows(width, self.selected.0 + 1);
        self.selected.0 = self.selected.0.min(rows.len().saturating_sub(1));
        if let Some(row) = rows.get(self.selected.0) {
            let x = self.selected.1;
            let nearest = row.iter().min_by_key(|cell| match cell.covers(x) {
                true => 0,
                false => 1 + cell.x.abs_diff(x),
            });
            self.selected.1 = nearest.map_or(0, |cell| cell.x);
        } else {
            self.selected = (0, 0);
        }
        let height = height.max(1);
        if self.selected.0 < self.top_row {
            self.top_row = self.selected.0;
        } else if self.selected.0 >= self.top_row + height {
            self.top_row = self.selected.0 + 1 - height;
        }
    }

    /// Searches; an empty pattern ends it. False if it is no pattern.
    pub fn find(&mut self, pattern: &str) -> bool {
        self.search = None;
        let (Some(shown), false) = (&self.shown, pattern.is_empty()) else {
            return true;
        };
        let Ok(regex) = regex::RegexBuilder::new(pattern)
            .case_insensitive(!pattern.chars().any(char::is_uppercase))
            .build()
        else {
            return false;
        };
        let symbols = shown.symbols();
        let ids = (0..symbols.len() as u32).map(SymbolId);
        let matching = |id: &SymbolId| symbols.get(*id).is_some_and(|it| regex.is_match(&it.sym));
        let found: HashSet<SymbolId> = ids.filter(matching).collect();
        let value = shown.matched(|symbol| found.contains(&symbol));
        self.search = Some(Search { pattern: pattern.to_owned(), symbols: found, value });
        true
    }

    /// Whether the search found this node.
    pub fn is_match(&self, shown: &Shown, node: ShownId) -> bool {
        match (&self.search, shown.key(node)) {
            (Some(search), Key::Symbol(symbol)) => search.symbols.contains(&symbol),
            _ => false,
        }
    }

    /// Goes to the next match that is drawn_tree, row by row, in a direction; whether there is one.
    pub fn next_match(&mut self, forward: bool, width: u16, height: usize) -> bool {
        let Some(shown) = self.shown.clone() else {
            return false;
        };
        let rows = self.rows(width, DEPTH_MAX);
        let mut places: Vec<(usize, u16)> = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            let hits = row.iter().filter(
                |cell| matches!(cell.content, CellContent::Node(node) if self.is_match(&shown, node)),
            );
            places.extend(hits.map(|cell| (at, cell.x)));
        }
        let next = match forward {
            true => places.iter().find(|place| **place > self.selected).or(places.first()),
            false => places.iter().rfind(|place| **place < self.selected).or(places.last()),
        };
        let Some(next) = next.copied() else {
            return false;
        };
        self.selected = next;
        self.fit(width, height);
        true
    }
}
