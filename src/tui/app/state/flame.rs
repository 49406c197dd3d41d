//! State of the flamegraph: trees, cursor, search.
//!
//! Invariant: the selected cell is drawn. After changes of the tree, the zoom or the size,
//! [`FlameState::clamp`] must be called.

use std::collections::HashSet;
use std::sync::Arc;

use crate::database::error::QueryError;
use crate::tui::app::message::TreeSource;
use crate::tui::app::state::flame_cursor::{DEPTH_MAX, FlameCursor, Graph};
use crate::tui::data::filter::{Filter, FilterSet};
use crate::tui::flame::cell_layout::{Cell, CellContent, Top};
use crate::tui::flame::measure::Measure;
use crate::tui::flame::shape::{Collapse, Direction, Key, Shape, ShapedId, ShapedTree, TOP};
use crate::tui::flame::tree::{CallTree, SymbolId};

/// Where the roots are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Roots {
    /// At the top (icicle graph).
    #[default]
    Top,
    /// At the bottom (flame graph).
    Bottom,
}

/// The orientation of the tree. Functions are names, because ids don't outlive a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Orientation {
    /// From the outermost functions to the allocating ones.
    #[default]
    TopDown,
    /// From the allocating functions to the outermost ones.
    BottomUp,
    /// Callers and callees of one function.
    Sandwich(String),
}

/// A search with its matches.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// As typed.
    pub pattern: String,
    /// The functions that match.
    pub symbols: HashSet<SymbolId>,
    /// The weight of all call paths through them.
    pub value: u64,
}

/// State of the flamegraph.
#[derive(Clone, Debug, Default)]
pub struct FlameState {
    /// A query result shown instead of the filtered allocations: title and source.
    pub over: Option<(String, TreeSource)>,
    /// The source that the tree was requested for.
    pub source: Option<TreeSource>,
    /// The call tree.
    pub tree: Option<Arc<CallTree>>,
    /// The call tree that `shown` was made from; the previous one until a new one is shaped.
    pub drawn_tree: Option<Arc<CallTree>>,
    /// The tree that is drawn; in a sandwich, the callees.
    pub shown: Option<Arc<ShapedTree>>,
    /// In a sandwich, the callers.
    pub callers: Option<Arc<ShapedTree>>,
    /// The measure of widths.
    pub measure: Measure,
    /// The measure before a time filter was added, to be restored without it.
    pub measure_before: Option<Measure>,
    /// The time filter of the last requested tree.
    pub time: Option<Filter>,
    /// The orientation.
    pub orientation: Orientation,
    /// Whether library and runtime frames are collapsed.
    pub library: Collapse,
    /// Whether recursive calls are collapsed.
    pub recursion: Collapse,
    /// Where the roots are drawn.
    pub roots: Roots,
    /// Selected cell, zoom and scroll position.
    pub cursor: FlameCursor,
    /// The search.
    pub search: Option<Search>,
    /// The error of the last request, if it failed.
    pub error: Option<QueryError>,
}

impl FlameState {
    /// Switches to allocated bytes when a time filter is added, because most of its blocks may be freed at
    /// the end of the run; switches back when it is removed.
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

    /// The shapes to request: one, or two for a sandwich.
    pub fn shapes(&self, hidden: &[String], from: Option<&String>) -> Vec<Shape> {
        let Some(tree) = &self.tree else {
            return Vec::new();
        };
        let named = |sym: &String| tree.symbols().by_name(sym);
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

    /// Whether this call tree is drawn.
    pub fn is_drawn(&self, tree: &Arc<CallTree>) -> bool {
        self.drawn_tree.as_ref().is_some_and(|drawn_tree| Arc::ptr_eq(drawn_tree, tree))
    }

    /// Draws another tree.
    pub fn set(&mut self, mut shown: Vec<Arc<ShapedTree>>) {
        self.callers = (shown.len() > 1).then(|| shown.remove(1));
        self.shown = shown.pop();
        self.drawn_tree = self.tree.clone();
        self.cursor.reset();
        if let Some(pattern) = self.search.as_ref().map(|search| search.pattern.clone()) {
            self.find(&pattern);
        }
    }

    /// The root of the picture without zoom.
    fn root(&self) -> Top {
        // The root of a sandwich is the function itself; its callers are drawn above.
        let focus = match (&self.shown, &self.callers) {
            (Some(shown), Some(_)) => shown.children(TOP).first().copied(),
            _ => None,
        };
        Top { node: focus.unwrap_or(TOP), skip: 0 }
    }

    /// The root of the picture.
    pub fn top(&self) -> Top {
        self.cursor.top(self.root())
    }

    fn graph(&self, width: u16) -> Graph<'_, ShapedTree> {
        Graph { tree: self.shown.as_deref(), root: self.root(), width }
    }

    /// Changes the cursor, given the flamegraph as it is drawn.
    fn with_cursor<T>(
        &mut self,
        width: u16,
        change: impl FnOnce(&mut FlameCursor, &Graph<'_, ShapedTree>) -> T,
    ) -> T {
        let mut cursor = std::mem::take(&mut self.cursor);
        let result = change(&mut cursor, &self.graph(width));
        self.cursor = cursor;
        result
    }

    /// The rows of cells, root first.
    pub fn rows(&self, width: u16, depth_max: usize) -> Vec<Vec<Cell>> {
        self.cursor.rows(&self.graph(width), depth_max)
    }

    /// The selected cell.
    pub fn cell(&self, width: u16) -> Option<Cell> {
        self.cursor.cell(&self.graph(width))
    }

    /// The node of the selected cell; for a "… more" cell, its parent.
    pub fn node(&self, width: u16) -> Option<ShapedId> {
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

    /// Moves down by rows and keeps the column; up if negative.
    pub fn step_row(&mut self, by: i64, width: u16, height: usize) {
        self.with_cursor(width, |cursor, graph| {
            cursor.step_row(graph, by);
            cursor.clamp(graph, height);
        });
    }

    /// Moves right by cells of the row; left if negative.
    pub fn step_cell(&mut self, by: i64, width: u16, height: usize) {
        self.with_cursor(width, |cursor, graph| {
            cursor.step_cell(graph, by);
            cursor.clamp(graph, height);
        });
    }

    /// Selects the cell at a row and column; returns whether there is one.
    pub fn point(&mut self, row: usize, column: u16, width: u16) -> bool {
        self.with_cursor(width, |cursor, graph| cursor.point(graph, row, column))
    }

    /// Zooms into the selected cell.
    pub fn zoom_in(&mut self, width: u16) {
        self.with_cursor(width, FlameCursor::zoom_in);
    }

    /// Moves the cursor to a drawn cell and scrolls to it.
    pub fn clamp(&mut self, width: u16, height: usize) {
        self.with_cursor(width, |cursor, graph| cursor.clamp(graph, height));
    }

    /// Searches for a pattern; an empty one ends the search. Returns false if it is not valid.
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

    /// Whether the node matches the search.
    pub fn is_match(&self, shown: &ShapedTree, node: ShapedId) -> bool {
        match (&self.search, shown.key(node)) {
            (Some(search), Key::Symbol(symbol)) => search.symbols.contains(&symbol),
            _ => false,
        }
    }

    /// Selects the next drawn match, row by row; returns whether there is one.
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
            true => places.iter().find(|place| **place > self.cursor.selected).or(places.first()),
            false => places.iter().rfind(|place| **place < self.cursor.selected).or(places.last()),
        };
        let Some(next) = next.copied() else {
            return false;
        };
        self.cursor.selected = next;
        self.clamp(width, height);
        true
    }
}
