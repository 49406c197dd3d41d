//! Runs one statement with typed parameters and limits; returns a table, or streams rows.
//!
//! Invariants:
//! - [`Completeness::All`] only if the statement returned its last row.
//! - The offset of an error counts bytes of the SQL that the caller passed.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Error, ErrorCode, Rows, Statement, ToSql};

use crate::database::cancel::{CancelToken, InterruptReason};
use crate::database::connection::Database;
use crate::database::error::{QueryError, QueryErrorKind};
use crate::database::sql::lexer;
use crate::database::table::{Column, Completeness, Table, Value};
use crate::database::text::mark_ref::MarkName;

/// Limits of a query.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Rows of the result; more are not fetched.
    pub rows_max: usize,
    /// Bytes of the values of the result.
    pub bytes_max: usize,
    /// Run time.
    pub time_max: Option<Duration>,
    /// Cancels the query from another thread.
    pub cancel: Option<CancelToken>,
}

impl Limits {
    /// No limit on rows, bytes and time.
    pub fn none() -> Self {
        Self { rows_max: usize::MAX, bytes_max: usize::MAX, time_max: None, cancel: None }
    }

    /// At most `rows_max` rows.
    pub fn rows(rows_max: usize) -> Self {
        Self { rows_max, ..Self::default() }
    }

    /// The same limits, and `cancel` cancels the query.
    #[must_use]
    pub fn cancelled_by(mut self, cancel: &CancelToken) -> Self {
        self.cancel = Some(cancel.clone());
        self
    }
}

impl Default for Limits {
    /// Enough for a screen: 10,000 rows, 64 MiB, no deadline.
    fn default() -> Self {
        Self { rows_max: 10_000, bytes_max: 64 << 20, time_max: None, cancel: None }
    }
}

/// Values of named parameters. Names are without `:`, `@` or `$`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params {
    values: Vec<(String, Value)>,
    /// Parameters whose values are looked up in the database.
    marks: Vec<(String, MarkName)>,
}

impl Params {
    /// No parameters.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds a parameter, or replaces the one of that name.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.set(name, value.into());
        self
    }

    /// Sets a parameter.
    pub fn set(&mut self, name: &str, value: Value) {
        self.marks.retain(|(known, _)| known != name);
        self.values.retain(|(known, _)| known != name);
        self.values.push((name.to_owned(), value));
    }

    /// Sets a parameter to the time of a mark, which is looked up when the query runs.
    pub fn set_mark(&mut self, name: &str, mark: MarkName) {
        self.set(name, Value::Text(mark.to_string()));
        self.marks.push((name.to_owned(), mark));
    }

    /// The mark that a parameter was set to, if it was.
    pub fn mark(&self, name: &str) -> Option<&MarkName> {
        self.marks.iter().find(|(known, _)| known == name).map(|(_, mark)| mark)
    }

    /// The value of a parameter; for a mark, its text.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl Database {
    /// Runs a statement and collects its rows.
    ///
    /// # Errors
    /// If the SQL is invalid or not allowed, the query is interrupted, or a parameter has no value.
    pub fn query(&self, sql: &str, params: &Params, limits: &Limits) -> Result<Table, QueryError> {
        let start = Instant::now();
        let mut table = Table::default();
        let mut bytes = 0usize;
        let mut complete = Completeness::All;
        let columns = self.stream(sql, params, limits, |row| {
            bytes = bytes.saturating_add(
                row.iter().map(Value::heap_bytes).sum::<usize>() + size_of_val(row),
            );
            if table.rows.len() >= limits.rows_max
                || (bytes > limits.bytes_max && !table.rows.is_empty())
            {
                complete = Completeness::More;
                return ControlFlow::Break(());
            }
            table.rows.push(row.to_vec());
            ControlFlow::Continue(())
        })?;
        table.columns = columns;
        table.complete = complete;
        table.elapsed = start.elapsed();
        Ok(table)
    }

    /// Runs a statement and passes each row to `each`, collecting none: for results of any size.
    /// `limits` do not limit the rows; the callback breaks. The callback must not query.
    ///
    /// # Errors
    /// As [`query`](Self::query); the rows before the error were passed on.
    pub fn stream(
        &self,
        sql: &str,
        params: &Params,
        limits: &Limits,
        mut each: impl FnMut(&[Value]) -> ControlFlow<()>,
    ) -> Result<Vec<Column>, QueryError> {
        let deadline = limits.time_max.and_then(|time| Instant::now().checked_add(time));
        let _active = self.interrupt.begin(limits.cancel.clone(), deadline);
        let mut statement = self.prepare(sql)?;
        self.bind(&mut statement, params)?;
        let columns: Vec<Column> = statement.column_names().map(Column::named).collect();
        let mut row = vec![Value::Null; columns.len()];
        let mut rows = statement.raw_query();
        while self.step(&mut rows, &mut row)?.is_continue() {
            if each(&row).is_break() {
                break;
            }
        }
        Ok(columns)
    }

    /// Prepares a statement without running it, and returns its columns.
    ///
    /// # Errors
    /// If the SQL is invalid or not allowed.
    pub fn columns(&self, sql: &str) -> Result<Vec<Column>, QueryError> {
        Ok(self.prepare(sql)?.column_names().map(Column::named).collect())
    }

    fn bind(&self, statement: &mut Statement<'_>, params: &Params) -> Result<(), QueryError> {
        for index in 1..=statement.parameter_count() {
            let name = statement.parameter_name(index).map(str::to_owned);
            let found = name.as_deref().and_then(|name| params.get(&name[1..]));
            let Some(value) = found else {
                let name = name.unwrap_or_else(|| format!("?{index}"));
                return Err(QueryError::new(
                    QueryErrorKind::Parameter,
                    format!("parameter {name} has no value"),
                ));
            };
            let mark = name.as_deref().and_then(|name| params.mark(&name[1..]));
            let value = match mark {
                Some(mark) => &self.mark_time(mark)?,
                None => value,
            };
            statement
                .raw_bind_parameter(index, value)
                .map_err(|error| QueryError::new(QueryErrorKind::Parameter, error.to_string()))?;
        }
        Ok(())
    }

    /// The time of a mark.
    fn mark_time(&self, mark: &MarkName) -> Result<Value, QueryError> {
        let found = self
            .connection
            .query_row(&format!("SELECT {}", mark.sql()), [], |row| row.get::<_, Option<i64>>(0));
        if let Ok(Some(at)) = found {
            return Ok(Value::Integer(at));
        }
        let sql = "SELECT group_concat('@' || name, ', ') FROM (SELECT DISTINCT name FROM marks LIMIT 20)";
        let known = self.connection.query_row(sql, [], |row| row.get::<_, Option<String>>(0));
        let known = match known {
            Ok(Some(known)) => format!("it has {known}"),
            _ => "it has none".to_owned(),
        };
        let message = format!("no mark {mark} in the recording; {known}");
        Err(QueryError::new(QueryErrorKind::Parameter, message))
    }

    fn prepare(&self, sql: &str) -> Result<Statement<'_>, QueryError> {
        // SQLite stops reading at NUL, and would run a different statement than the visible one.
        if let Some(offset) = sql.find('\0') {
            return Err(QueryError {
                offset: Some(offset),
                ..QueryError::new(QueryErrorKind::Sql, "the SQL has a NUL character")
            });
        }
        let statement =
            self.connection.prepare(sql).map_err(|error| located(self.explain(error), sql))?;
        // The authorizer sees VACUUM only when it runs, so it is rejected here.
        if !statement.readonly() {
            return Err(denied());
        }
        if statement.column_count() == 0 {
            return Err(QueryError::new(
                QueryErrorKind::Sql,
                "there is no statement, or it returns no rows",
            ));
        }
        Ok(statement)
    }

    /// Fetches the next row into `row`; `Break` at the end.
    fn step(&self, rows: &mut Rows<'_>, row: &mut [Value]) -> Result<ControlFlow<()>, QueryError> {
        // The progress handler runs every few thousand steps; a shorter query must stop as well.
        if let Some(reason) = self.interrupt.reason() {
            return Err(reason.into());
        }
        let Some(next) = rows.next().map_err(|error| self.explain(error))? else {
            return Ok(ControlFlow::Break(()));
        };
        for (i, cell) in row.iter_mut().enumerate() {
            *cell = value(next.get_ref(i).map_err(|error| self.explain(error))?);
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Converts an error of SQLite, with the interrupt's reason if there was one.
    fn explain(&self, error: Error) -> QueryError {
        match error {
            Error::SqlInputError { msg, offset, .. } => QueryError {
                kind: QueryErrorKind::Sql,
                message: msg,
                offset: usize::try_from(offset).ok(),
            },
            Error::SqliteFailure(failure, message) => {
                let message = message.unwrap_or_else(|| failure.to_string());
                match failure.code {
                    ErrorCode::OperationInterrupted => {
                        self.interrupt.reason().unwrap_or(InterruptReason::Cancelled).into()
                    }
                    ErrorCode::AuthorizationForStatementDenied | ErrorCode::ReadOnly => denied(),
                    ErrorCode::OutOfMemory => QueryError::new(
                        QueryErrorKind::TooBig,
                        "the query exceeds its memory limit: aggregate, filter or add a LIMIT",
                    ),
                    ErrorCode::DiskFull | ErrorCode::CannotOpen => QueryError::new(
                        QueryErrorKind::TooBig,
                        "the query needs temporary files to sort, and the temporary directory is full or not writable",
                    ),
                    ErrorCode::TooBig => QueryError::new(QueryErrorKind::TooBig, message),
                    ErrorCode::DatabaseCorrupt
                    | ErrorCode::NotADatabase
                    | ErrorCode::SystemIoFailure => QueryError::new(
                        QueryErrorKind::Damaged,
                        format!("the database is damaged: {message}"),
                    ),
                    _ => QueryError::new(QueryErrorKind::Sql, message),
                }
            }
            Error::MultipleStatement => {
                QueryError::new(QueryErrorKind::Sql, "several statements where one is expected")
            }
            other => QueryError::new(QueryErrorKind::Sql, other.to_string()),
        }
    }
}

/// Adds the offset of an unknown table, which SQLite only names.
fn located(mut error: QueryError, sql: &str) -> QueryError {
    if let (None, Some(name)) = (error.offset, error.message.strip_prefix("no such table: ")) {
        let name = name.rsplit('.').next().unwrap_or(name);
        let found =
            lexer::tokens(sql).into_iter().find(|token| token.text(sql).eq_ignore_ascii_case(name));
        error.offset = found.map(|token| token.range.start);
    }
    error
}

fn denied() -> QueryError {
    let message = "refused: the database is only read, nothing can be changed or created";
    QueryError::new(QueryErrorKind::Denied, message)
}

impl From<InterruptReason> for QueryError {
    fn from(reason: InterruptReason) -> Self {
        let (kind, message) = match reason {
            InterruptReason::Cancelled => (QueryErrorKind::Cancelled, "stopped"),
            InterruptReason::Deadline => (QueryErrorKind::Deadline, "stopped: time limit exceeded"),
            InterruptReason::TemporarySpace => (
                QueryErrorKind::TooBig,
                "stopped: temporary files exceed 8 GiB: aggregate, filter or add a LIMIT",
            ),
        };
        Self::new(kind, message)
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(blob) => ValueRef::Blob(blob),
        }))
    }
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(blob) => Value::Blob(blob.to_vec()),
    }
}
