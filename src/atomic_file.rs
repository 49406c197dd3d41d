//! A file that appears at its destination complete or not at all.
//!
//! It is written under a hidden temporary name in the same directory, and moved to its destination
//! by one system call. Shared by the loader and the exports.
//!
//! Invariant: a temporary file that was not moved is removed when its [`AtomicFile`] is dropped.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The first bytes of every SQLite file.
pub(crate) const SQLITE_MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// A file under construction.
#[derive(Debug)]
pub(crate) struct AtomicFile {
    destination: PathBuf,
    temporary: PathBuf,
    is_moved: bool,
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if !self.is_moved {
            // An error can't be reported here, and the file may be gone already.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

impl AtomicFile {
    /// Creates the temporary file `.NAME.PID.SUFFIX` beside the destination.
    ///
    /// # Errors
    /// `AlreadyExists` if this process is already writing to the same destination.
    pub(crate) fn create(destination: &Path, suffix: &str, mode: u32) -> io::Result<(Self, File)> {
        let name = destination.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.{suffix}", std::process::id()));
        let temporary = destination.with_file_name(hidden);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW)
            .open(&temporary)?;
        Ok((Self { destination: destination.to_owned(), temporary, is_moved: false }, file))
    }

    /// The path of the temporary file.
    pub(crate) fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// The path at which the file will appear.
    pub(crate) fn destination(&self) -> &Path {
        &self.destination
    }

    /// Moves the file to its destination and replaces what is there.
    pub(crate) fn replace(mut self) -> io::Result<()> {
        fs::rename(&self.temporary, &self.destination)?;
        self.is_moved = true;
        Ok(())
    }

    /// Puts the file at its destination unless something is there (`AlreadyExists`). Other errors
    /// mean that the file system has no hard links.
    pub(crate) fn link(&self) -> io::Result<()> {
        fs::hard_link(&self.temporary, &self.destination)
    }
}

/// Removes temporary files that killed processes have left for the same destination.
pub(crate) fn remove_abandoned(destination: &Path, suffix: &str) {
    for (path, name) in abandoned(directory_of(destination), suffix) {
        if Some(name.as_os_str()) == destination.file_name() {
            // If it can't be removed, it only takes space.
            let _ = fs::remove_file(path);
        }
    }
}

/// The temporary files that killed processes have left for other destinations in the same directory,
/// with their lengths in bytes.
pub(crate) fn abandoned_for_others(destination: &Path, suffix: &str) -> Vec<(PathBuf, u64)> {
    abandoned(directory_of(destination), suffix)
        .into_iter()
        .filter(|(_, name)| Some(name.as_os_str()) != destination.file_name())
        .filter_map(|(path, _)| {
            let bytes = fs::metadata(&path).ok()?.len();
            Some((path, bytes))
        })
        .collect()
}

/// The temporary files of processes that no longer exist, with the names of their destinations. Without
/// procfs there are none, because it is unknown which processes exist.
fn abandoned(directory: &Path, suffix: &str) -> Vec<(PathBuf, OsString)> {
    if !Path::new("/proc/self").exists() {
        return Vec::new();
    }
    let destination = |temporary: &OsStr| {
        let rest = temporary.as_bytes().strip_prefix(b".")?;
        let rest = rest.strip_suffix(suffix.as_bytes())?.strip_suffix(b".")?;
        let dot = rest.iter().rposition(|byte| *byte == b'.')?;
        let pid: u32 = std::str::from_utf8(&rest[dot + 1..]).ok()?.parse().ok()?;
        let exists = Path::new("/proc").join(pid.to_string()).exists();
        (!exists).then(|| OsStr::from_bytes(&rest[..dot]).to_owned())
    };
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.path(), destination(&entry.file_name())?))).collect()
}

fn directory_of(destination: &Path) -> &Path {
    match destination.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The object at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// There is none.
    Nothing,
    /// A regular file.
    File,
    /// Anything else, which is never replaced, with words for a message.
    Other(&'static str),
}

impl Existing {
    /// Inspects a path without following a symbolic link.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::Nothing),
            Err(error) => return Err(error),
        };
        let kind = metadata.file_type();
        Ok(if kind.is_symlink() {
            Self::Other("a symbolic link")
        } else if kind.is_dir() {
            Self::Other("a directory")
        } else if !kind.is_file() {
            Self::Other("not a regular file")
        } else {
            Self::File
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use crate::atomic_file::{AtomicFile, Existing, abandoned_for_others, remove_abandoned};

    #[test]
    fn a_file_appears_complete_or_not_at_all() {
        let directory = std::env::temp_dir().join(format!("rheaper-atomic-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let path = directory.join("file");
        let names = || fs::read_dir(&directory).unwrap().count();
        let begin = || {
            let (atomic, mut file) = AtomicFile::create(&path, "test", 0o600).unwrap();
            file.write_all(b"new").unwrap();
            atomic
        };

        drop(begin());
        assert_eq!((Existing::at(&path).unwrap(), names()), (Existing::Nothing, 0));
        let first = begin();
        assert!(AtomicFile::create(&path, "test", 0o600).is_err());
        first.link().unwrap();
        drop(first);
        assert_eq!((Existing::at(&path).unwrap(), names()), (Existing::File, 1));

        fs::write(&path, "old").unwrap();
        let second = begin();
        assert!(second.link().is_err());
        second.replace().unwrap();
        assert_eq!((fs::read(&path).unwrap(), names()), (b"new".to_vec(), 1));

        // No process has this id: it is above the kernel's limit.
        fs::write(directory.join(".file.4194999.test"), "").unwrap();
        fs::write(directory.join(".file.4194999.other"), "").unwrap();
        let other = directory.join(".other.file.4194999.test");
        fs::write(&other, "half").unwrap();
        assert_eq!(abandoned_for_others(&path, "test"), [(other, 4)]);
        remove_abandoned(&path, "test");
        assert_eq!(names(), 3);
        fs::remove_dir_all(&directory).unwrap();
    }
}
