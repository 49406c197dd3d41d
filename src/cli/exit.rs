//! Exit codes and error messages of commands.
//!
//! Invariant: the codes are those of the help text, because scripts rely on them.

use std::io;
use std::process::ExitCode;

use crate::cli::interrupt;
use crate::database::{OpenError, QueryError, QueryErrorKind};
use crate::loader::{LoadError, LoadErrorKind};
use crate::present::export::error::ExportError;

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    /// The error message; empty if it was printed already.
    pub(crate) message: String,
}

impl Failure {
    /// A query or a check failed.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into() }
    }

    /// The arguments are invalid.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into() }
    }

    /// A file can't be read or written.
    pub(crate) fn file(message: impl Into<String>) -> Self {
        Self { code: 3, message: message.into() }
    }

    /// The user pressed Ctrl-C, or a signal asked the process to terminate.
    pub(crate) fn interrupted() -> Self {
        Self { code: interrupt::exit_code(), message: "interrupted".to_owned() }
    }

    /// The reader of stdout closed the pipe, which is no error.
    pub(crate) fn broken_pipe() -> Self {
        Self { code: 0, message: String::new() }
    }

    /// Whether only this query failed, so that other statements can run.
    pub(crate) fn is_query_failure(&self) -> bool {
        self.code == 1
    }

    /// The exit code of the process.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }

    /// A failed query with a formatted message.
    pub(crate) fn query(error: &QueryError, shown: String) -> Self {
        let code = match error.kind {
            QueryErrorKind::Cancelled => return Self::interrupted(),
            QueryErrorKind::Damaged => 3,
            _ => 1,
        };
        Self { code, message: shown }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::file(error.to_string())
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        Self::query(&error, error.to_string())
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        match error.kind() {
            LoadErrorKind::Interrupted => Self::interrupted(),
            _ => Self::file(error.to_string()),
        }
    }
}

impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Query(error) => error.into(),
            ExportError::Io(error) => error.into(),
            ExportError::Request(sentence) => Self::usage(sentence),
            ExportError::Target(sentence) => Self::file(sentence),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::broken_pipe(),
            _ => Self::file(format!("can't write: {error}")),
        }
    }
}
