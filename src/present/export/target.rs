//! The output file of an export, written to a temporary file that replaces it at the end.
//!
//! Invariants:
//! - An existing file is replaced only if the caller allows it; databases, recordings, symbolic links
//!   and directories never are.
//! - The path changes once, by a link or a rename, after all is written. A failure before leaves no
//!   file behind.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::atomic_file::{AtomicFile, Existing, SQLITE_MAGIC};
use crate::present::export::error::ExportError;

/// Whether an existing file may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overwrite {
    /// Never.
    Never,
    /// Never, and only the user may read the new file.
    NeverPrivate,
    /// A regular file that is no database and no recording may be.
    Allowed,
}

/// Whether a file is a recording. The caller knows the format; exports know databases only.
pub(crate) type IsRecording = fn(&Path) -> bool;

impl Overwrite {
    /// The error message for an existing file.
    fn exists(self) -> &'static str {
        match self {
            Self::NeverPrivate => "not overwritten: it exists; choose another name",
            _ => "not overwritten: it exists (--force replaces it)",
        }
    }
}

/// An unfinished file.
#[derive(Debug)]
pub(crate) struct Target {
    path: PathBuf,
    /// `None`: a pipe or a device, which is written directly.
    file: Option<AtomicFile>,
    replace: Overwrite,
    is_recording: IsRecording,
    out: BufWriter<File>,
}

impl Target {
    /// Creates the temporary file for `path`.
    ///
    /// # Errors
    /// If the path exists and may not be replaced, or its directory is not writable.
    pub(crate) fn begin(
        path: &Path,
        replace: Overwrite,
        is_recording: IsRecording,
    ) -> Result<Self, ExportError> {
        let failed = |error: io::Error| refused(path, &format!("can't be written: {error}"));
        if is_pipe_or_device(path) {
            let file = OpenOptions::new().write(true).open(path).map_err(failed)?;
            let out = BufWriter::new(file);
            let path = path.to_owned();
            return Ok(Self { path, file: None, replace, is_recording, out });
        }
        check(path, replace, is_recording)?;
        if path.file_name().is_none() {
            return Err(refused(path, "no name of a file"));
        }
        let mode = if replace == Overwrite::NeverPrivate { 0o600 } else { 0o666 };
        let (atomic, file) = AtomicFile::create(path, "exporting", mode).map_err(failed)?;
        let out = BufWriter::with_capacity(1 << 16, file);
        let path = path.to_owned();
        Ok(Self { path, file: Some(atomic), replace, is_recording, out })
    }

    /// The writer.
    pub(crate) fn out(&mut self) -> &mut (dyn Write + Send) {
        &mut self.out
    }

    /// Moves the finished file to its path; returns its size in bytes.
    ///
    /// # Errors
    /// If the rest can't be written, or another file was created at the path.
    pub(crate) fn finish(mut self) -> Result<u64, ExportError> {
        self.out.flush()?;
        let bytes = self.out.get_ref().metadata()?.len();
        let Some(file) = self.file else {
            return Ok(bytes);
        };
        let failed = |error: io::Error| refused(&self.path, &format!("can't be written: {error}"));
        if self.replace != Overwrite::Allowed {
            match file.link() {
                Ok(()) => return Ok(bytes),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(refused(&self.path, self.replace.exists()));
                }
                // The file system has no hard links: only the check below protects an existing file.
                Err(_) => {}
            }
        }
        check(&self.path, self.replace, self.is_recording)?;
        file.replace().map_err(failed)?;
        Ok(bytes)
    }
}

fn refused(path: &Path, why: &str) -> ExportError {
    ExportError::Target(format!("{}: {why}", path.display()))
}

fn is_pipe_or_device(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| {
        let kind = found.file_type();
        kind.is_fifo() || kind.is_char_device()
    })
}

fn check(path: &Path, replace: Overwrite, is_recording: IsRecording) -> Result<(), ExportError> {
    let existing = Existing::at(path);
    match existing.map_err(|error| refused(path, &format!("can't be written: {error}")))? {
        Existing::Nothing => return Ok(()),
        Existing::Other(what) => {
            return Err(refused(path, &format!("not overwritten: it is {what}")));
        }
        Existing::File => {}
    }
    if let Some(what) = protected_kind(path, is_recording) {
        return Err(refused(path, &format!("not overwritten: it is {what}")));
    }
    match replace {
        Overwrite::Never | Overwrite::NeverPrivate => Err(refused(path, replace.exists())),
        Overwrite::Allowed => Ok(()),
    }
}

/// The kind of a rheaper file that no export may replace.
fn protected_kind(path: &Path, is_recording: IsRecording) -> Option<&'static str> {
    if is_recording(path) {
        return Some("a recording");
    }
    let mut begin = Vec::new();
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()?;
    file.take(16).read_to_end(&mut begin).ok()?;
    begin.starts_with(SQLITE_MAGIC).then_some("a database")
}
