//! Creates the recording file: exclusively, mode 0600, not through links, closed on exec.
//!
//! Invariants: an existing file is never opened; the descriptor is above 2, so that a program that
//! closed its standard streams does not print into its recording.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::safeguards::{self, Safeguard};

/// Maximum number of names tried per second of time.
const NAMES_MAX: u32 = 10_000;

/// Creates a recording file in `directory`, which is created if it does not exist.
pub(crate) fn create(directory: &Path, unix_s: u64) -> io::Result<(PathBuf, File)> {
    std::fs::create_dir_all(directory).map_err(|error| match error.kind() {
        // A file has the name of the directory.
        io::ErrorKind::AlreadyExists => io::Error::from_raw_os_error(libc::ENOTDIR),
        _ => error,
    })?;
    for number in 1..=NAMES_MAX {
        let name =
            if number == 1 { format!("rip-{unix_s}") } else { format!("rip-{unix_s}-{number}") };
        let path = directory.join(name);
        let mut options = OpenOptions::new();
        let mode = if safeguards::is_disabled(Safeguard::FileMode) { 0o644 } else { 0o600 };
        options.write(true).create_new(true).mode(mode);
        options.custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC);
        if safeguards::is_disabled(Safeguard::ExclusiveCreate) {
            options.create_new(false).create(true).custom_flags(libc::O_CLOEXEC);
        }
        match options.open(&path) {
            Ok(file) => return Ok((path, above_standard_streams(file)?)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists))
}

/// Duplicates the file to a descriptor above the standard streams, if needed.
pub(crate) fn above_standard_streams(file: File) -> io::Result<File> {
    if file.as_raw_fd() > libc::STDERR_FILENO || safeguards::is_disabled(Safeguard::HighDescriptor)
    {
        return Ok(file);
    }
    let low = file.into_raw_fd();
    // SAFETY: `low` is an open descriptor that this function owns.
    let high = unsafe { libc::fcntl(low, libc::F_DUPFD_CLOEXEC, 3) };
    let error = io::Error::last_os_error();
    // SAFETY: this function owns `low` and does not use it again.
    unsafe { libc::close(low) };
    if high < 0 {
        return Err(error);
    }
    // SAFETY: `high` is a new descriptor without another owner.
    Ok(unsafe { File::from_raw_fd(high) })
}
