//! The error of a load: one sentence with the problem, the file and a remedy.

use std::fmt;
use std::fs::FileType;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use crate::recording::FormatError;

/// The kind of an error; the command line maps it to an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LoadErrorKind {
    /// The recording can't be read, or is not a recording.
    Recording,
    /// The output can't be written, or must not be replaced.
    Output,
    /// The database to be changed can't be changed, or is not a rheaper database.
    Database,
    /// A file of rules cannot be read, or has an invalid line.
    Rules,
    /// [`Progress::should_stop`](crate::loader::Progress::should_stop) returned true.
    Interrupted,
}

/// The error of a load. Its text is one sentence for the user.
#[derive(Debug)]
pub struct LoadError {
    kind: LoadErrorKind,
    sentence: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl LoadError {
    /// The kind of the error.
    pub fn kind(&self) -> LoadErrorKind {
        self.kind
    }

    pub(crate) fn new(kind: LoadErrorKind, sentence: impl Into<String>) -> Self {
        Self { kind, sentence: sentence.into(), source: None }
    }

    fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// The recording can't be opened or read.
    pub(crate) fn reading(path: &Path, error: io::Error) -> Self {
        let shown = path.display();
        let sentence = match error.kind() {
            io::ErrorKind::NotFound => {
                format!(
                    "no such recording: {shown} (`enable_tracking` returns the path of its own)"
                )
            }
            io::ErrorKind::PermissionDenied => format!(
                "no permission to read {shown}: recordings have mode 0600 and belong to the \
                 user of the recorded process"
            ),
            _ => format!("can't read {shown}: {error}"),
        };
        Self::new(LoadErrorKind::Recording, sentence).with_source(error)
    }

    /// The recording is a directory, a pipe or a device.
    pub(crate) fn not_a_file(path: &Path, kind: FileType) -> Self {
        let shown = path.display();
        let sentence = if kind.is_dir() {
            format!("{shown} is a directory: name the recording in it (`rip-…`)")
        } else if kind.is_fifo() {
            format!("{shown} is a pipe: write the recording to a file first, it is read twice")
        } else {
            format!("{shown} is not a regular file, so it can't be a recording")
        };
        Self::new(LoadErrorKind::Recording, sentence)
    }

    /// The recording is empty.
    pub(crate) fn empty(path: &Path) -> Self {
        Self::new(
            LoadErrorKind::Recording,
            format!(
                "{} is empty: the program was stopped before it recorded anything, record again",
                path.display()
            ),
        )
    }

    /// The recording's first bytes are not a header.
    pub(crate) fn header(path: &Path, error: FormatError) -> Self {
        let shown = path.display();
        let sentence = match error {
            FormatError::NotARecording => format!(
                "{shown} is not a rheaper recording: its first bytes are not those of a file \
                 that `enable_tracking` wrote (`rip-…`)"
            ),
            FormatError::Truncated(_) => format!(
                "{shown} ends inside the recording's header: the program was stopped before it \
                 recorded anything, record again"
            ),
            FormatError::Version(version) => format!(
                "{shown} has recording format {version}, which this rheaper does not know: load \
                 it with the version of rheaper that recorded it, or a newer one"
            ),
            FormatError::HeaderDamaged => format!(
                "{shown} has a damaged header (its checksum disagrees): get another copy of it"
            ),
            other => format!("{shown} can't be read as a recording: {other}"),
        };
        Self::new(LoadErrorKind::Recording, sentence).with_source(error)
    }

    /// The output can't be written.
    pub(crate) fn writing(
        path: &Path,
        error: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        let sentence = format!("can't write {}: {error}", path.display());
        Self::new(LoadErrorKind::Output, sentence).with_source(error)
    }

    /// This process is already loading to the same output.
    pub(crate) fn busy(path: &Path) -> Self {
        Self::new(
            LoadErrorKind::Output,
            format!("{} is being written by another load", path.display()),
        )
    }

    /// The output exists and must not be replaced.
    pub(crate) fn not_ours(path: &Path, what: &str) -> Self {
        Self::new(
            LoadErrorKind::Output,
            format!("{} is {what} and is left untouched: name another output", path.display()),
        )
    }

    /// A file of rules for the kinds of frames is invalid.
    pub(crate) fn rules(path: &Path, what: &str) -> Self {
        Self::new(LoadErrorKind::Rules, format!("{}: {what}", path.display()))
    }

    /// The caller asked to stop.
    pub(crate) fn interrupted() -> Self {
        Self::new(LoadErrorKind::Interrupted, "interrupted; nothing was written")
    }

    /// A database that can't be opened, read or changed.
    pub(crate) fn database(
        path: &Path,
        error: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        let sentence = format!("can't change {}: {error}", path.display());
        Self::new(LoadErrorKind::Database, sentence).with_source(error)
    }

    /// A symbol file of the last resolution is missing, so that its names would be lost.
    pub(crate) fn would_lose_names(path: &Path, module: &str) -> Self {
        Self::new(
            LoadErrorKind::Database,
            format!(
                "{} has names from {module}, which is not there any more and would lose them: \
                 give that file with --symbols too",
                path.display()
            ),
        )
    }

    /// The database's names were recorded, and it has no file offsets to resolve.
    pub(crate) fn names_were_recorded(path: &Path) -> Self {
        Self::new(
            LoadErrorKind::Database,
            format!(
                "{} has the names that its recording brought along, and no addresses to look up \
                 others by: to use other symbol files, record again with `heaptrack --raw`",
                path.display()
            ),
        )
    }

    /// The file is not a recording that can be imported.
    pub(crate) fn not_importable(path: &Path, sentence: &str) -> Self {
        Self::new(LoadErrorKind::Recording, format!("{} {sentence}", path.display()))
    }

    /// Another profiler's recording can't be decompressed or decoded.
    pub(crate) fn damaged(path: &Path, error: &io::Error) -> Self {
        let sentence = format!(
            "{} is damaged and can't be read to its end ({error}): get another copy of it",
            path.display()
        );
        Self::new(LoadErrorKind::Recording, sentence)
    }

    /// The file is not a rheaper database.
    pub(crate) fn not_a_database(path: &Path) -> Self {
        Self::new(
            LoadErrorKind::Database,
            format!("{} is not a rheaper database: make one with `rheaper load`", path.display()),
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
