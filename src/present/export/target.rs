//! The file that an export goes to.
//!
//! Reads: what stands at its path. Writes: a temporary file beside it, then that file in its place.
//!
//! Invariants:
//! - A file that is there stays, unless the caller may replace it; a database or a recording of
//!   ours, a link and a directory always stay.
//! - The path changes once, by a link or a rename, when all is written. Until then a failure leaves
//!   nothing behind.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::present::export::error::ExportError;

/// Whether a file that is there may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overwrite {
    /// No.
    Never,
    /// No; and only the user may read the new file.
    NeverPrivate,
    /// A regular file that is not one of our own, yes.
    Allowed,
}

/// Tells a recording, whose format is not this folder's business.
pub(crate) type IsRecording = fn(&Path) -> bool;

impl Overwrite {
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
    /// `None`: a pipe or a device, which is written as it is.
    temporary: Option<PathBuf>,
    replace: Overwrite,
    is_recording: IsRecording,
    out: BufWriter<File>,
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // It may be gone already, and there is nobody to tell.
            let _ = fs::remove_file(temporary);
        }
    }
}

impl Target {
    /// Begins a file for `path`.
    ///
    /// # Errors
    /// If what stands there must stay, or nothing can be written beside it.
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
            return Ok(Self { path, temporary: None, replace, is_recording, out });
        }
        check(path, replace, is_recording)?;
        let name = path.file_name().ok_or_else(|| refused(path, "no name of a file"))?;
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.exporting", std::process::id()));
        let temporary = path.with_file_name(hidden);
        let mode = if replace == Overwrite::NeverPrivate { 0o600 } else { 0o666 };
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW)
            .open(&temporary)
            .map_err(failed)?;
        let out = BufWriter::with_capacity(1 << 16, file);
        let path = path.to_owned();
        Ok(Self { path, temporary: Some(temporary), replace, is_recording, out })
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
        let Some(temporary) = &self.temporary else {
            return Ok(bytes);
        };
        let failed = |error: io::Error| refused(&self.path, &format!("can't be written: {error}"));
        if self.replace != Overwrite::Allowed {
            match fs::hard_link(temporary, &self.path) {
                Ok(()) => return Ok(bytes),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(refused(&self.path, self.replace.exists()));
                }
                // A file system without links: the check below is all there is.
                Err(_) => {}
            }
        }
        check(&self.path, self.replace, self.is_recording)?;
        fs::rename(temporary, &self.path).map_err(failed)?;
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
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused(path, &format!("can't be written: {error}"))),
    };
    if found.is_symlink() {
        return Err(refused(path, "not overwritten: it is a symbolic link"));
    }
    if found.is_dir() {
        return Err(refused(path, "not overwritten: it is a directory"));
    }
    if !found.is_file() {
        return Err(refused(path, "not overwritten: it is not a regular file"));
    }
    if let Some(what) = ours(path, is_recording) {
        return Err(refused(path, &format!("not overwritten: it is {what}")));
    }
    match replace {
        Overwrite::Never | Overwrite::NeverPrivate => Err(refused(path, replace.exists())),
        Overwrite::Allowed => Ok(()),
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
    begin.starts_with(b"SQLite format 3\0").then_some("a database")
}
