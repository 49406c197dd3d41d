//! The file that an export goes to.
//!
//! Reads: what stands at its path. Writes: a temporary file beside it, then that file in its place.
//!
//! Invariants:
//! - A file that is there stays, unless the caller may replace it; a database or a recording of
//!   ours, a link and a directory always stay.
//! - The path changes once, by a link or a rename, when all is written. Until then a failure leaves
//!   nothing behind.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::atomic_file::{AtomicFile, Existing, SQLITE_MAGIC};
use crate::present::export::error::ExportError;

/// Whether a file that is there may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replace {
    /// No.
    Never,
    /// No; and only the user may read the new file.
    NeverPrivate,
    /// A regular file that is not one of our own, yes.
    Allowed,
}

/// Tells a recording, whose format is not this folder's business.
pub(crate) type IsRecording = fn(&Path) -> bool;

impl Replace {
    /// What is said where a file is in the way.
    fn exists(self) -> &'static str {
        match self {
            Self::NeverPrivate => "not overwritten: it exists; choose another name",
            _ => "not overwritten: it exists (--force replaces it)",
        }
    }
}

/// A file under construction.
#[derive(Debug)]
pub(crate) struct Target {
    path: PathBuf,
    /// `None`: a pipe or a device, which is written directly.
    file: Option<AtomicFile>,
    replace: Replace,
    is_recording: IsRecording,
    out: BufWriter<File>,
}

impl Target {
    /// Begins a file for `path`.
    ///
    /// # Errors
    /// If what stands there must stay, or nothing can be written beside it.
    pub(crate) fn begin(
        path: &Path,
        replace: Replace,
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
        let mode = if replace == Replace::NeverPrivate { 0o600 } else { 0o666 };
        let (atomic, file) = AtomicFile::create(path, "exporting", mode).map_err(failed)?;
        let out = BufWriter::with_capacity(1 << 16, file);
        let path = path.to_owned();
        Ok(Self { path, file: Some(atomic), replace, is_recording, out })
    }

    /// Where to write.
    pub(crate) fn out(&mut self) -> &mut (dyn Write + Send) {
        &mut self.out
    }

    /// Puts the finished file in its place; says how many bytes it has.
    ///
    /// # Errors
    /// If the rest can't be written, or something else has come to stand there.
    pub(crate) fn finish(mut self) -> Result<u64, ExportError> {
        self.out.flush()?;
        let bytes = self.out.get_ref().metadata()?.len();
        let Some(file) = self.file else {
            return Ok(bytes);
        };
        let failed = |error: io::Error| refused(&self.path, &format!("can't be written: {error}"));
        if self.replace != Replace::Allowed {
            match file.link() {
                Ok(()) => return Ok(bytes),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(refused(&self.path, self.replace.exists()));
                }
                // A file system without links: the check below is all there is.
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

fn check(path: &Path, replace: Replace, is_recording: IsRecording) -> Result<(), ExportError> {
    let existing = Existing::at(path);
    match existing.map_err(|error| refused(path, &format!("can't be written: {error}")))? {
        Existing::Nothing => return Ok(()),
        Existing::Other(what) => {
            return Err(refused(path, &format!("not overwritten: it is {what}")));
        }
        Existing::File => {}
    }
    if let Some(what) = ours(path, is_recording) {
        return Err(refused(path, &format!("not overwritten: it is {what}")));
    }
    match replace {
        Replace::Never | Replace::NeverPrivate => Err(refused(path, replace.exists())),
        Replace::Allowed => Ok(()),
    }
}

/// What a file of ours is that no export may take the place of.
fn ours(path: &Path, is_recording: IsRecording) -> Option<&'static str> {
    if is_recording(path) {
        return Some("a recording");
    }
    let mut begin = Vec::new();
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()?;
    file.take(16).read_to_end(&mut begin).ok()?;
    begin.starts_with(SQLITE_MAGIC).then_some("a database")
}
