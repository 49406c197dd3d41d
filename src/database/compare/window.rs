//! Time windows: parses moments such as `5m`, `peak` or `@mark`, and resolves them in a database.

use std::fmt;
use std::ops::ControlFlow;

use crate::database::connection::Database;
use crate::database::error::{QueryError, QueryErrorKind};
use crate::database::query::{Limits, Params};
use crate::database::table::Value;
use crate::database::text::mark_ref::MarkName;
use crate::database::text::units;

/// Mark names that an error message lists.
const MARKS_LISTED: usize = 8;

/// A moment as the user wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nanoseconds since tracking was enabled.
    At(i64),
    /// The time at which tracking was enabled.
    Start,
    /// The time of most live bytes.
    Peak,
    /// The end of the recording.
    End,
    /// The time of a mark.
    Mark(MarkName),
}

impl Moment {
    /// Parses `start`, `peak`, `end`, a time since the start such as `5m`, or a mark: `@NAME` for the
    /// last mark of that name, `@NAME#2` for the second.
    ///
    /// # Errors
    /// The accepted forms, as a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(match text.trim() {
            "start" => Self::Start,
            "peak" => Self::Peak,
            "end" => Self::End,
            text => match MarkName::parse(text) {
                Some(mark) => Self::Mark(mark),
                None => Self::At(units::parse_duration(text).map_err(
                    |_| "expected a time since the start such as 5m, or start, peak, end, @MARK",
                )?),
            },
        })
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(ns) => write!(f, "{}", units::duration(*ns as f64)),
            Self::Start => write!(f, "start"),
            Self::Peak => write!(f, "peak"),
            Self::End => write!(f, "end"),
            Self::Mark(mark) => mark.fmt(f),
        }
    }
}

/// Blocks allocated after `from` and not after `to`, in their state at `to`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// The beginning; `None`: before the first allocation.
    pub from: Option<Moment>,
    /// The end; `None`: the end of the recording.
    pub to: Option<Moment>,
}

/// A window in nanoseconds since tracking was enabled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Blocks allocated at or before this time are excluded; -1: none is.
    pub from_ns: i64,
    /// Blocks allocated after this time are excluded.
    pub to_ns: i64,
    /// Whether it is the whole recording, whose totals the database already has.
    pub is_whole: bool,
}

impl Span {
    /// The duration of the window.
    pub fn duration_ns(&self) -> i64 {
        self.to_ns.saturating_sub(self.from_ns.max(0))
    }
}

impl Window {
    /// Resolves the moments in a database.
    ///
    /// # Errors
    /// If a mark does not exist, or the window is empty.
    pub fn resolve(&self, database: &Database, limits: &Limits) -> Result<Span, QueryError> {
        let end = meta(database, "duration_ns", limits)?;
        let resolve = |moment: &Option<Moment>, default: i64| match moment {
            None => Ok(default),
            Some(Moment::At(ns)) => Ok(*ns),
            Some(Moment::Start) => Ok(0),
            Some(Moment::End) => Ok(end),
            Some(Moment::Peak) => meta(database, "peak_ns", limits),
            Some(Moment::Mark(name)) => mark(database, name, limits),
        };
        let from_ns = resolve(&self.from, -1)?;
        let to_ns = resolve(&self.to, end)?;
        if let Some(behind) = [from_ns, to_ns].into_iter().find(|moment| *moment > end) {
            let (behind, end) = (units::duration(behind as f64), units::duration(end as f64));
            return Err(parameter_error(format!(
                "{}: {behind} is after the end of the recording at {end}",
                database.path().display()
            )));
        }
        if from_ns >= to_ns {
            let (from, to) = (units::duration(from_ns as f64), units::duration(to_ns as f64));
            return Err(parameter_error(format!(
                "{}: the window is empty: it begins at {from} and ends at {to}",
                database.path().display()
            )));
        }
        Ok(Span { from_ns, to_ns, is_whole: from_ns < 0 && to_ns >= end })
    }
}

fn meta(database: &Database, key: &str, limits: &Limits) -> Result<i64, QueryError> {
    let sql = "SELECT value FROM meta WHERE key = :key";
    let table = database.query(sql, &Params::none().with("key", key), limits)?;
    Ok(table.rows.first().and_then(|row| row.first()).and_then(Value::as_i64).unwrap_or(0))
}

/// The number of marks of a name in a span.
pub(crate) fn marks_in(
    database: &Database,
    name: &str,
    span: &Span,
    limits: &Limits,
) -> Result<i64, QueryError> {
    if !has_marks(database, limits)? {
        return Err(no_mark(database, &format!("@{name}"), limits));
    }
    let sql = "SELECT count(*) FROM marks WHERE name = :name AND at_ns > :from AND at_ns <= :to";
    let params =
        Params::none().with("name", name).with("from", span.from_ns).with("to", span.to_ns);
    let table = database.query(sql, &params, limits)?;
    match table.rows.first().and_then(|row| row.first()).and_then(Value::as_i64) {
        Some(count) if count > 0 => Ok(count),
        _ => Err(no_mark(database, &format!("@{name}"), limits)),
    }
}

fn mark(database: &Database, mark: &MarkName, limits: &Limits) -> Result<i64, QueryError> {
    if !has_marks(database, limits)? {
        return Err(no_mark(database, &mark.to_string(), limits));
    }
    let table = database.query(&format!("SELECT {}", mark.sql()), &Params::none(), limits)?;
    let found = table.rows.first().and_then(|row| row.first()).and_then(Value::as_i64);
    found.ok_or_else(|| no_mark(database, &mark.to_string(), limits))
}

/// Whether the database has the table of marks.
fn has_marks(database: &Database, limits: &Limits) -> Result<bool, QueryError> {
    let sql = "SELECT 1 FROM sqlite_schema WHERE name = 'marks' AND type = 'table'";
    Ok(!database.query(sql, &Params::none(), limits)?.rows.is_empty())
}

fn no_mark(database: &Database, name: &str, limits: &Limits) -> QueryError {
    let mut names = Vec::new();
    let sql = "SELECT DISTINCT name FROM marks ORDER BY name";
    // Without the table there is nothing to list.
    let _ = database.stream(sql, &Params::none(), limits, |row| {
        names.extend(row.first().and_then(Value::as_str).map(|name| format!("@{name}")));
        match names.len() < MARKS_LISTED {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    });
    let path = database.path().display();
    parameter_error(match names.as_slice() {
        [] => format!("{path}: no mark {name} in the recording; it has none"),
        names => format!("{path}: no mark {name} in the recording; it has {}", names.join(", ")),
    })
}

pub(crate) fn parameter_error(message: String) -> QueryError {
    QueryError::new(QueryErrorKind::Parameter, message)
}
