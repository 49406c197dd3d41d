//! Errors of starting a recording.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why [`enable_tracking`](crate::enable_tracking) did not start a recording. It then leaves no
/// file, and nothing is recorded.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A recording is already running.
    AlreadyEnabled,
    /// The file or its directory could not be created or written.
    File {
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The options exclude each other; the string says which.
    Options(&'static str),
    /// The system refused memory or a thread for the recorder.
    Resources(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyEnabled => f.write_str("tracking already enabled"),
            Self::File { path, source } => {
                write!(f, "cannot write the recording {}: {source}", path.display())
            }
            Self::Options(what) => write!(f, "options exclude each other: {what}"),
            Self::Resources(source) => {
                write!(f, "the system refused memory or a thread for the recorder: {source}")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::AlreadyEnabled | Self::Options(_) => None,
            Self::File { source, .. } | Self::Resources(source) => Some(source),
        }
    }
}
