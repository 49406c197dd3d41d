//! Errors of exports.

use std::fmt;
use std::io;

use crate::database::QueryError;

/// Why an export failed.
#[derive(Debug)]
pub(crate) enum ExportError {
    /// A query failed.
    Query(QueryError),
    /// The writer failed.
    Io(io::Error),
    /// The request is invalid; a sentence.
    Request(String),
    /// The file can't be written or replaced; a sentence that names it.
    Target(String),
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query(error) => error.fmt(f),
            Self::Io(error) => write!(f, "can't write: {error}"),
            Self::Request(sentence) | Self::Target(sentence) => f.write_str(sentence),
        }
    }
}

impl std::error::Error for ExportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Query(error) => Some(error),
            Self::Io(error) => Some(error),
            Self::Request(_) | Self::Target(_) => None,
        }
    }
}

impl From<QueryError> for ExportError {
    fn from(error: QueryError) -> Self {
        Self::Query(error)
    }
}

impl From<serde_json::Error> for ExportError {
    fn from(error: serde_json::Error) -> Self {
        // The error of the writer itself, such as a closed pipe.
        Self::Io(error.into())
    }
}

impl From<io::Error> for ExportError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
