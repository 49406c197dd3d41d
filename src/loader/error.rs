//! Why a load gave nothing: one sentence that says what, where, and what to do.

use std::fmt;
use std::path::Path;

/// What kind of thing went wrong; the command line makes exit codes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LoadErrorKind {
    /// The recording can't be read, or is none.
    Recording,
    /// The output can't be written, or is not ours to replace.
    Output,
    /// A database that was given is none of ours or can't be changed.
    Database,
    /// [`Progress::should_stop`](crate::loader::Progress::should_stop) said so.
    Interrupted,
}

/// Why a load gave nothing. Its text is one sentence, ready to be shown.
#[derive(Debug)]
pub struct LoadError {
    kind: LoadErrorKind,
    sentence: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl LoadError {
    /// What kind of thing went wrong.
    pub fn kind(&self) -> LoadErrorKind {
        self.kind
    }

    pub(in crate::loader) fn new(kind: LoadErrorKind, sentence: impl Into<String>) -> Self {
        Self {
            kind,
            sentence: sentence.into(),
            source: None,
        }
    }

    pub(in crate::loader) fn not_a_recording(path: &Path) -> Self {
        Self::new(
            LoadErrorKind::Recording,
            format!(
                "{} is not a rheaper recording: its first bytes are not those of a file that \
                 `enable_tracking` wrote (`rip-…`)",
                path.display()
            ),
        )
    }

    pub(in crate::loader) fn not_a_database(path: &Path) -> Self {
        Self::new(
            LoadErrorKind::Database,
            format!("{} is not a rheaper database", path.display()),
        )
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.source.as_deref()?;
        Some(source)
    }
}
