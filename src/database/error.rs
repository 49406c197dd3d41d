//! Errors of opening and querying a database, each with a message of one sentence.
//!
//! Invariant: messages say what was expected. The caller that prints them adds the user's SQL.

use std::fmt;
use std::path::PathBuf;

/// A file could not be opened as a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenError {
    /// The file.
    pub path: PathBuf,
    /// The reason.
    pub problem: OpenProblem,
}

/// Why a file is not a readable rheaper database.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenProblem {
    /// The file does not exist.
    Missing,
    /// A directory, a socket or a device.
    NotAFile,
    /// The operating system refused to read it; its error message.
    Unreadable(String),
    /// The file has no bytes.
    Empty,
    /// Not a SQLite file, or an encrypted one.
    NotSqlite,
    /// A SQLite database of another program.
    Foreign,
    /// Written by a newer rheaper, with another schema version.
    Newer {
        /// The schema version of the file.
        found: u32,
        /// The schema version that this rheaper reads.
        known: u32,
    },
    /// Written by an older rheaper, with another schema version.
    Older {
        /// The schema version of the file.
        found: u32,
        /// The schema version that this rheaper reads.
        known: u32,
    },
    /// In write-ahead-log mode, in which reading writes side files.
    WriteAheadLog,
    /// A required table is missing or is not a plain table; its name.
    Table(&'static str),
    /// SQLite reports damage; its message.
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
                write!(f, "{path}: a SQLite database, but not one that rheaper wrote")
            }
            OpenProblem::Newer { found, known } => write!(
                f,
                "{path}: written by a newer rheaper with schema version {found}, and this one reads version {known}: update rheaper, or load the recording again"
            ),
            OpenProblem::Older { found, known } => write!(
                f,
                "{path}: written by an older rheaper with schema version {found}, and this one reads version {known}: load the recording again"
            ),
            OpenProblem::WriteAheadLog => write!(
                f,
                "{path}: in WAL mode, in which reading writes side files; run `PRAGMA journal_mode = DELETE` on it with sqlite3"
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

/// A query failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryError {
    /// The kind, which determines the exit code.
    pub kind: QueryErrorKind,
    /// One sentence. May quote the user's SQL or the database: sanitize before printing.
    pub message: String,
    /// The byte offset in the user's SQL, where SQLite knows it.
    pub offset: Option<usize>,
}

/// The kinds of [`QueryError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueryErrorKind {
    /// The SQL is invalid.
    Sql,
    /// The statement would write, or access something outside the database.
    Denied,
    /// A parameter has no value, or an invalid one.
    Parameter,
    /// The user cancelled it.
    Cancelled,
    /// It exceeded its time limit.
    Deadline,
    /// A value, the memory or the temporary files exceeded their limit.
    TooBig,
    /// The file is damaged or can't be read.
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
