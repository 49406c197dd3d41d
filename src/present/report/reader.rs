//! Queries of a report, and access to the cells of their results.
//!
//! Invariant: missing tables and cells give empty results, not errors.

use crate::database::{Database, Limits, Params, QueryError, QueryErrorKind, Table, Value};

/// A database with the limits of a report's queries.
pub(super) struct Reader<'a> {
    pub(super) database: &'a Database,
    pub(super) limits: Limits,
}

impl Reader<'_> {
    /// The rows of a query; none if the database lacks a table of it.
    pub(super) fn rows(&self, sql: &str, params: &Params) -> Result<Table, QueryError> {
        match self.database.query(sql, params, &self.limits) {
            Err(error) if error.kind == QueryErrorKind::Sql => Ok(Table::default()),
            other => other,
        }
    }
}

pub(super) fn int(table: &Table, row: usize, column: &str) -> i64 {
    table.get(row, column).and_then(Value::as_i64).unwrap_or(0)
}

pub(super) fn real(table: &Table, row: usize, column: &str) -> f64 {
    table.get(row, column).and_then(Value::as_f64).unwrap_or(0.0)
}

pub(super) fn text(table: &Table, row: usize, column: &str) -> String {
    table.get(row, column).and_then(Value::as_str).unwrap_or_default().to_owned()
}
