//! Asks: one statement, typed parameters, limits; answers with a table or row by row.
//!
//! Reads: the database. Writes: nothing.
//!
//! Invariants:
//! - A capped answer says so: [`Completeness::All`] only when the statement ended by itself.
//! - An error's offset counts bytes of the SQL that the caller gave.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Error, ErrorCode, Rows, Statement, ToSql};

use crate::database::cancel::{CancelToken, Stopped};
use crate::database::connection::Database;
use crate::database::error::{QueryError, QueryErrorKind};
use crate::database::mark_ref::MarkName;
use crate::database::sql::lexer;
use crate::database::table::{Column, Completeness, Table, Value};

/// What a query may cost.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Rows to keep.
    pub rows_max: usize,
    /// Bytes of values to keep.
    pub bytes_max: usize,
    /// How long it may run.
    pub time_max: Option<Duration>,
    /// Stops it from elsewhere.
    pub cancel: Option<CancelToken>,
}

impl Limits {
    /// No limit on rows, bytes and time.
    pub fn none() -> Self {
        Self { rows_max: usize::MAX, bytes_max: usize::MAX, time_max: None, cancel: None }
    }

    /// At most so many rows.
    pub fn rows(rows_max: usize) -> Self {
        Self { rows_max, ..Self::default() }
    }

    /// The same, stopped by `cancel`.
    #[must_use]
    pub fn cancelled_by(mut self, cancel: &CancelToken) -> Self {
        self.cancel = Some(cancel.clone());
        self
    }
}

impl Default for Limits {
    /// What a screen can use: 10,000 rows, 64 MiB, no deadline.
    fn default() -> Self {
        Self { rows_max: 10_000, bytes_max: 64 << 20, time_max: None, cancel: None }
    }
}

/// Values for named parameters, without the `:`, `@` or `$`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params {
    values: Vec<(String, Value)>,
    /// Moments that only a database knows.
    marks: Vec<(String, MarkName)>,
}

impl Params {
    /// None.
    pub fn none() -> Self {
        Self::default()
    }

    /// The same with one more. A later value replaces an earlier one of the same name.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.set(name, value.into());
        self
    }

    /// Sets one.
    pub fn set(&mut self, name: &str, value: Value) {
        self.marks.retain(|(known, _)| known != name);
        self.values.retain(|(known, _)| known != name);
        self.values.push((name.to_owned(), value));
    }

    /// Sets one to the moment of a mark, which is looked up in the database that is asked.
    pub fn set_mark(&mut self, name: &str, mark: MarkName) {
        self.set(name, Value::Text(mark.to_string()));
        self.marks.push((name.to_owned(), mark));
    }

    /// The mark of a name, if it is one.
    pub fn mark(&self, name: &str) -> Option<&MarkName> {
        self.marks.iter().find(|(known, _)| known == name).map(|(_, mark)| mark)
    }

    /// The value of a name; what was typed, if it is a mark.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl Database {
    /// Asks one statement and keeps the answer.
    ///
    /// # Errors
    /// If the SQL is wrong, is refused, is stopped, or a parameter has no value.
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

    /// Asks one statement and hands each row on, keeping none: for results of any size. Rows are
    /// not limited by `limits`, the caller breaks off. The callback must not query.
    ///
    /// # Errors
    /// As [`query`](Self::query); rows before the error were handed on.
    pub fn stream(
        &self,
        sql: &str,
        params: &Params,
        limits: &Limits,
        mut each: impl FnMut(&[Value]) -> ControlFlow<()>,
    ) -> Result<Vec<Column>, QueryError> {
        let deadline = limits.time_max.and_then(|time| Instant::now().checked_add(time));
        let _heeding = self.watch.begin(limits.cancel.clone(), deadline);
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

    /// Whether a statement could run, and the columns that it would have. Runs nothing.
    ///
    /// # Errors
    /// If the SQL is wrong or refused.
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
                Some(mark) => &self.moment(mark)?,
                None => value,
            };
            statement
                .raw_bind_parameter(index, value)
                .map_err(|error| QueryError::new(QueryErrorKind::Parameter, error.to_string()))?;
        }
        Ok(())
    }

    /// When a mark was set.
    fn moment(&self, mark: &MarkName) -> Result<Value, QueryError> {
        let found = self
            .connection
            .query_row(&format!("SELECT {}", mark.sql()), [], |row| row.get::<_, Option<i64>>(0));
        // A database of before there were marks has no table of them.
        if let Ok(Some(at)) = found {
            return Ok(Value::Integer(at));
        }
        let sql = "SELECT group_concat('@' || name, ', ') FROM (SELECT DISTINCT name FROM marks LIMIT 20)";
        let known = self.connection.query_row(sql, [], |row| row.get::<_, Option<String>>(0));
        let known = match known {
            Ok(Some(known)) => format!("it has {known}"),
            _ => "it has none".to_owned(),
        };
        let message = format!("no mark {mark} is in this recording; {known}");
        Err(QueryError::new(QueryErrorKind::Parameter, message))
    }

    fn prepare(&self, sql: &str) -> Result<Statement<'_>, QueryError> {
        // SQLite stops reading at NUL, and would run something else than what is seen.
        if let Some(offset) = sql.find('\0') {
            return Err(QueryError {
                offset: Some(offset),
                ..QueryError::new(QueryErrorKind::Sql, "the SQL has a NUL character")
            });
        }
        let statement =
            self.connection.prepare(sql).map_err(|error| located(self.explain(error), sql))?;
        // VACUUM asks the authorizer only when it runs.
        if !statement.readonly() {
            return Err(denied());
        }
        if statement.column_count() == 0 {
            return Err(QueryError::new(
                QueryErrorKind::Sql,
                "there is no statement, or none that answers",
            ));
        }
        Ok(statement)
    }

    /// Fetches the next row into `row`; `Break` at the end.
    fn step(&self, rows: &mut Rows<'_>, row: &mut [Value]) -> Result<ControlFlow<()>, QueryError> {
        // The callback runs every few thousand steps; short queries must heed a token as well.
        if let Some(stopped) = self.watch.stopped() {
            return Err(because(stopped));
        }
        let Some(next) = rows.next().map_err(|error| self.explain(error))? else {
            return Ok(ControlFlow::Break(()));
        };
        for (i, cell) in row.iter_mut().enumerate() {
            *cell = value(next.get_ref(i).map_err(|error| self.explain(error))?);
        }
        Ok(ControlFlow::Continue(()))
    }

    /// SQLite's error in our words.
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
                        self.watch.stopped().map_or_else(|| because(Stopped::Cancelled), because)
                    }
                    ErrorCode::AuthorizationForStatementDenied | ErrorCode::ReadOnly => denied(),
                    ErrorCode::OutOfMemory => QueryError::new(
                        QueryErrorKind::TooBig,
                        "the query needs more memory than it may have: aggregate, filter or add a LIMIT",
                    ),
                    ErrorCode::DiskFull | ErrorCode::CannotOpen => QueryError::new(
                        QueryErrorKind::TooBig,
                        "the temporary directory is full or can't be written, and the query needs it to sort",
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
            Error::MultipleStatement => QueryError::new(
                QueryErrorKind::Sql,
                "several statements: one at a time is run here",
            ),
            other => QueryError::new(QueryErrorKind::Sql, other.to_string()),
        }
    }
}

/// SQLite has no place for a table that does not exist, but names it.
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
    let message = "refused: a rheaper database is only read here, nothing is changed or created";
    QueryError::new(QueryErrorKind::Denied, message)
}

fn because(stopped: Stopped) -> QueryError {
    let (kind, message) = match stopped {
        Stopped::Cancelled => (QueryErrorKind::Cancelled, "stopped"),
        Stopped::Deadline => (QueryErrorKind::Deadline, "stopped: it ran longer than allowed"),
        Stopped::TemporarySpace => (
            QueryErrorKind::TooBig,
            "stopped: its temporary files grew beyond 8 GiB: aggregate, filter or add a LIMIT",
        ),
    };
    QueryError::new(kind, message)
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
