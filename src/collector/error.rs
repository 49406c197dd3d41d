//! Why recording could not begin.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why [`enable_tracking`](crate::enable_tracking) did not begin a recording. Nothing has
/// changed then: no file is left, and nothing is recorded.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A recording is under way already.
    AlreadyEnabled,
    /// The file or its directory could not be made or written.
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The options can't be had together; the sentence says which.
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
            Self::Options(what) => write!(f, "the options can't be had together: {what}"),
            Self::Resources(source) => {
                write!(f, "the system refused what the recorder needs: {source}")
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
