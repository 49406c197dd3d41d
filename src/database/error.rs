//! What can go wrong with a database or a question, each said in one sentence.
//!
//! Invariant: messages name what was expected; the file's name or the user's SQL is added by
//! whoever prints, who knows how.

use std::fmt;
use std::path::PathBuf;

/// Why a file can't be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: OpenProblem,
}

/// What is wrong with a file that should be a database of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenProblem {
    /// There is no such file.
    Missing,
    /// It is a directory, a socket or a device.
    NotAFile,
    /// The system does not let us read it; its words.
    Unreadable(String),
    /// It has no bytes.
    Empty,
    /// It is no SQLite file, or an encrypted one.
    NotSqlite,
    /// It is SQLite, but another program's.
    Foreign,
    /// It was written by a newer rheaper: its schema and the newest one that this one knows.
    Newer {
        /// The file's.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// It was written by an older rheaper whose schema is no longer read.
    Older {
        /// The file's.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// Someone switched it to write-ahead logging, which can't be read without writing.
    WriteAheadLog,
    /// A table that must be there is not, or is not a plain table; its name.
    Table(&'static str),
    /// SQLite can't make sense of it; its words.
    Damaged(String),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.to_string_lossy();
        let path = crate::database::text::sanitize::line(&path);
        match &self.problem {
            OpenProblem::Missing => write!(f, "{path}: no such file"),
            OpenProblem::NotAFile => write!(f, "{path}: not a file"),
            OpenProblem::Unreadable(why) => write!(f, "{path}: can't be read: {why}"),
            OpenProblem::Empty => write!(f, "{path}: the file is empty, so not a rheaper database"),
            OpenProblem::NotSqlite => {
                write!(f, "{path}: not a rheaper database (not SQLite at all, or encrypted)")
            }
            OpenProblem::Foreign => {
                write!(f, "{path}: a SQLite database, but not one that rheaper made")
            }
            OpenProblem::Newer { found, known } => write!(
                f,
                "{path}: made by a newer rheaper (schema {found}; this one reads up to {known}): update rheaper"
            ),
            OpenProblem::Older { found, known } => write!(
                f,
                "{path}: made by an older rheaper (schema {found}, this one reads {known}): load the recording again"
            ),
            OpenProblem::WriteAheadLog => write!(
                f,
                "{path}: is in WAL mode, which can't be read without writing beside it; run `PRAGMA journal_mode = DELETE` on it with sqlite3"
            ),
            OpenProblem::Table(name) => {
                write!(f, "{path}: damaged: `{name}` is missing or not a plain table")
            }
            OpenProblem::Damaged(why) => {
                write!(f, "{path}: damaged: {}", crate::database::text::sanitize::line(why))
            }
        }
    }
}

impl std::error::Error for OpenError {}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryError {
    /// Which kind, for exit codes and for what to offer next.
    pub kind: QueryErrorKind,
    /// One sentence. May quote the user's SQL or the database: clean before printing.
    pub message: String,
    /// The byte in the user's SQL at which it went wrong, where SQLite knows.
    pub offset: Option<usize>,
}

/// The kinds of [`QueryError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueryErrorKind {
    /// The SQL is wrong.
    Sql,
    /// It would write or reach outside the database.
    Denied,
    /// A parameter has no value.
    Parameter,
    /// The user stopped it.
    Cancelled,
    /// It ran longer than it was allowed to.
    Deadline,
    /// A value or the memory needed passed its limit.
    TooBig,
    /// The file itself is damaged or can't be read.
    Damaged,
}

impl QueryError {
    /// An error without a position.
    pub fn new(kind: QueryErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), offset: None }
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for QueryError {}
