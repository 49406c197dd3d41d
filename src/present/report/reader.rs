//! Queries of a report, and the cells of their results.

use crate::database::{
    CancelToken, Database, Limits, Params, QueryError, QueryErrorKind, Table, Value,
};

/// The database of a report with the limits of its queries.
pub(crate) struct Reader<'a> {
    pub(crate) database: &'a Database,
    pub(crate) limits: Limits,
}

impl<'a> Reader<'a> {
    /// A reader whose queries `cancel` stops.
    pub(crate) fn new(database: &'a Database, cancel: &CancelToken) -> Self {
        Self { database, limits: Limits::default().cancelled_by(cancel) }
    }

    /// The rows of a query; none if the database lacks a table of it.
    pub(crate) fn rows(&self, sql: &str, params: &Params) -> Result<Table, QueryError> {
        match self.database.query(sql, params, &self.limits) {
            Err(error) if error.kind == QueryErrorKind::Sql => Ok(Table::default()),
            other => other,
        }
    }
}

pub(crate) fn int(table: &Table, row: usize, column: &str) -> i64 {
    table.get(row, column).and_then(Value::as_i64).unwrap_or(0)
}

pub(crate) fn real(table: &Table, row: usize, column: &str) -> f64 {
    table.get(row, column).and_then(Value::as_f64).unwrap_or(0.0)
}

pub(crate) fn text(table: &Table, row: usize, column: &str) -> String {
    table.get(row, column).and_then(Value::as_str).unwrap_or_default().to_owned()
}
