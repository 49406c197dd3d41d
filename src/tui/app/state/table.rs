//! State of a table: pages of a statement's rows, with sorting and column filters.
//!
//! Invariants:
//! - At most [`PAGES_MAX`] pages are in memory, those nearest to the window.
//! - Every change of sorting or filters drops all pages.
//! - The number of rows is exact or marked as a lower bound.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::database::error::QueryError;
use crate::database::page::{Condition, Filter, Order, RowView, Sort};
use crate::database::table::{Column, Completeness, Table, Unit, Value};
use crate::tui::app::message::{Now, Query};
use crate::tui::app::state::cursor::Cursor;
use crate::tui::app::state::requests::TableId;

/// Rows per page.
pub const PAGE_ROWS: u64 = 500;

/// Maximum number of pages in memory.
pub const PAGES_MAX: usize = 8;

/// Rows of a sorted table that can be reached: SQLite sorts again for every page, and keeps all rows up
/// to it.
pub const SORTED_ROWS_MAX: u64 = 100_000;

/// The placement of a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// In its order.
    #[default]
    Plain,
    /// At the left edge, always visible.
    Pinned,
    /// Not drawn.
    Hidden,
}

/// The layout of a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColumnLayout {
    /// Its placement.
    pub placement: Placement,
    /// Terminal columns that the user added to its natural width.
    pub extra_width: i16,
}

/// The number of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Total {
    /// The exact number.
    Exactly(u64),
    /// A lower bound.
    AtLeast(u64),
}

/// The origin of the rows, which decides what Enter does.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// The selected allocations.
    Allocations,
    /// The result of a built-in query; its name.
    BuiltinQuery(String),
    /// Groups of a column's values.
    Groups {
        /// The statement that was grouped.
        of: Query,
        /// The filters and sorting of that table.
        view: RowView,
        /// Title of the table that was grouped.
        title: String,
        /// The grouped column.
        column: String,
    },
    /// A statement of the user.
    Statement,
}

/// State of a table.
#[derive(Clone, Debug)]
pub struct TableState {
    /// Identifies the table.
    pub id: TableId,
    /// The title.
    pub title: String,
    /// The origin of the rows.
    pub origin: Origin,
    /// The statement.
    pub query: Query,
    /// Filters and sorting.
    pub view: RowView,
    /// The columns; empty before the first page.
    pub columns: Vec<Column>,
    /// Their layouts.
    pub column_layouts: Vec<ColumnLayout>,
    /// The selected row and the scroll position.
    pub cursor: Cursor,
    /// The selected column.
    pub column: usize,
    /// The number of rows.
    pub total: Total,
    /// The error of the last request, if it failed.
    pub error: Option<QueryError>,
    /// Run time of the first page.
    pub elapsed: Option<Duration>,
    /// When it was read.
    pub ran_at: Now,
    /// Units that the built-in query declares.
    pub units: Vec<(String, Unit)>,
    pages: BTreeMap<u64, Vec<Vec<Value>>>,
}

impl TableState {
    /// A table before its first page.
    pub fn new(id: TableId, title: String, origin: Origin, query: Query) -> Self {
        Self {
            id,
            title,
            origin,
            query,
            view: RowView::default(),
            columns: Vec::new(),
            column_layouts: Vec::new(),
            cursor: Cursor::default(),
            column: 0,
            total: Total::AtLeast(0),
            error: None,
            elapsed: None,
            ran_at: Now::ZERO,
            units: Vec::new(),
            pages: BTreeMap::new(),
        }
    }

    /// A row, if its page is in memory.
    pub fn row(&self, row: u64) -> Option<&[Value]> {
        let page = self.pages.get(&(row / PAGE_ROWS))?;
        page.get((row % PAGE_ROWS) as usize).map(Vec::as_slice)
    }

    /// The selected row.
    pub fn selected(&self) -> Option<&[Value]> {
        self.row(self.cursor.at)
    }

    /// The selected cell.
    pub fn cell(&self) -> Option<&Value> {
        self.selected()?.get(self.column)
    }

    /// The value of a column in the selected row.
    pub fn selected_value(&self, column: usize) -> Option<&Value> {
        self.selected()?.get(column)
    }

    /// The first column of a unit.
    pub fn column_of(&self, unit: Unit) -> Option<usize> {
        self.columns.iter().position(|column| column.unit == unit)
    }

    /// The backtrace of the selected row.
    pub fn backtrace(&self) -> Option<i64> {
        let column = self.column_of(Unit::Backtrace)?;
        number(self.selected_value(column)?)
    }

    /// The file and line of the selected row.
    pub fn place(&self) -> Option<(String, u32)> {
        let named = |name: &str| self.columns.iter().position(|column| column.name == name);
        let file = self.selected_value(named("file")?)?.as_str()?.to_owned();
        let line = number(self.selected_value(named("line")?)?)?;
        Some((file, u32::try_from(line).ok()?))
    }

    /// Whether the first page was read.
    pub fn is_loaded(&self) -> bool {
        !self.columns.is_empty()
    }

    /// The number of rows that can be reached.
    pub fn len(&self) -> u64 {
        let known = match self.total {
            Total::Exactly(rows) | Total::AtLeast(rows) => rows,
        };
        match self.view.sort.is_empty() {
            true => known,
            false => known.min(SORTED_ROWS_MAX),
        }
    }

    /// Whether no rows are known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The missing pages of a window of rows.
    pub fn missing(&self, window: u64) -> Vec<u64> {
        let first = self.cursor.top / PAGE_ROWS;
        let behind = self.cursor.top.saturating_add(window.max(1));
        let last = behind.min(self.len().max(1)).saturating_sub(1) / PAGE_ROWS;
        (first..=last.min(first.saturating_add(2)))
            .filter(|page| !self.pages.contains_key(page))
            .collect()
    }

    /// Stores a page.
    pub fn set_page(&mut self, page: u64, table: Table, now: Now) {
        let rows = table.rows.len() as u64;
        let end = page * PAGE_ROWS + rows;
        if self.columns.is_empty() || self.columns.len() != table.columns.len() {
            self.columns = table.columns;
            self.column_layouts = vec![ColumnLayout::default(); self.columns.len()];
            self.column = self.column.min(self.columns.len().saturating_sub(1));
            for column in &mut self.columns {
                let declared = self.units.iter().find(|(name, _)| *name == column.name);
                column.unit = declared.map_or(column.unit, |(_, unit)| *unit);
            }
        }
        if self.elapsed.is_none() {
            self.elapsed = Some(table.elapsed);
            self.ran_at = now;
        }
        match (table.complete, self.total) {
            (Completeness::All, _) if rows > 0 || page == 0 => self.total = Total::Exactly(end),
            (_, Total::AtLeast(known)) => {
                self.total = Total::AtLeast(known.max(end + u64::from(rows == PAGE_ROWS)));
            }
            (_, Total::Exactly(_)) => {}
        }
        self.error = None;
        self.pages.insert(page, table.rows);
        while self.pages.len() > PAGES_MAX {
            let window_page = self.cursor.top / PAGE_ROWS;
            let farthest = self.pages.keys().copied().max_by_key(|page| page.abs_diff(window_page));
            let Some(farthest) = farthest else { break };
            self.pages.remove(&farthest);
        }
    }

    /// Stores the number of rows.
    pub fn set_count(&mut self, rows: u64, complete: Completeness) {
        if let Total::AtLeast(known) = self.total {
            self.total = match complete {
                Completeness::All => Total::Exactly(rows),
                Completeness::More => Total::AtLeast(known.max(rows)),
            };
        }
    }

    /// Drops all rows after a change of the filters, the sorting or the statement.
    pub fn reset(&mut self) {
        self.pages.clear();
        self.total = Total::AtLeast(0);
        self.cursor = Cursor::default();
        self.error = None;
        self.elapsed = None;
    }

    /// Sorts by the selected column, or removes that sorting.
    pub fn sort(&mut self, order: Order) {
        let Some(column) = self.columns.get(self.column) else {
            return;
        };
        let sort = Sort { column: column.name.clone(), order };
        match self.view.sort.first() == Some(&sort) {
            true => self.view.sort.clear(),
            false => self.view.sort = vec![sort],
        }
        self.reset();
    }

    /// Sets or removes the filter of a column.
    pub fn filter(&mut self, column: usize, condition: Option<Condition>) {
        let Some(column) = self.columns.get(column).map(|it| it.name.clone()) else {
            return;
        };
        self.view.filters.retain(|filter| filter.column != column);
        if let Some(condition) = condition {
            self.view.filters.push(Filter { column, condition });
        }
        self.reset();
    }

    /// The columns in drawing order: pinned ones first, without hidden ones.
    pub fn order(&self) -> Vec<usize> {
        let at = |placement: Placement| {
            let column_layouts = self.column_layouts.iter().enumerate();
            column_layouts
                .filter_map(move |(at, layout)| (layout.placement == placement).then_some(at))
        };
        at(Placement::Pinned).chain(at(Placement::Plain)).collect()
    }

    /// Moves right by drawn columns; left if negative.
    pub fn step_column(&mut self, by: i64) {
        let order = self.order();
        let at = order.iter().position(|column| *column == self.column);
        let next = at.unwrap_or(0).saturating_add_signed(by as isize);
        if let Some(column) = order.get(next.min(order.len().saturating_sub(1))) {
            self.column = *column;
        }
    }
}

/// An integer; text is parsed, because old or hand-written tables may store it so.
pub fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Text(text) => text.parse().ok(),
        value => value.as_i64(),
    }
}
