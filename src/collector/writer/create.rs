//! Creates the recording file: exclusively, mode 0600, not through links, closed on exec.
//!
//! Programs close descriptors that they did not open, often all at once, and then open files of
//! their own under the same numbers. Where the kernel supports it, the flusher has a descriptor
//! table of its own, which the program cannot reach ([`RecordingFile::unshare_descriptors`]).
//! Elsewhere the file behind a descriptor is checked before each use. If it is another one, the
//! recording is opened again by its path, and a memory reading is `None`.
//!
//! Invariants:
//! - An existing file is never opened, except the recording itself, which is known by device and
//!   inode.
//! - A descriptor that refers to another file is not written to, truncated or closed.
//! - The descriptor is above the standard streams, and high, so that few programs reuse its number.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::mem::{ManuallyDrop, MaybeUninit};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::safeguards::{self, Safeguard};

/// Minimum descriptor number of the recorder, if the limit of the process allows it: above the
/// numbers that programs loop over to close inherited descriptors.
const DESCRIPTOR_MIN: RawFd = 512;

/// Maximum number of names tried per second of time.
const NAMES_MAX: u32 = 10_000;

/// Creates a recording file in `directory`, which is created if it does not exist.
pub(crate) fn create(directory: &Path, unix_s: u64) -> io::Result<(PathBuf, RecordingFile)> {
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
            Ok(file) => {
                let file = RecordingFile::new(&path, file)?;
                return Ok((path, file));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists))
}

/// A file of the recorder. The program may close its descriptor, and open another file under the
/// same number.
#[derive(Debug)]
pub(crate) struct OwnFile {
    file: ManuallyDrop<File>,
    identity: Identity,
}

/// Device and inode, which are unique while the file is open or has a name.
type Identity = (u64, u64);

impl OwnFile {
    /// Takes the file and moves it to a high descriptor.
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let file = move_to_high_descriptor(file)?;
        let identity = identity_of(file.as_raw_fd())?;
        Ok(Self { file: ManuallyDrop::new(file), identity })
    }

    /// The file; `None` if the descriptor is closed or refers to another file.
    pub(crate) fn get(&self) -> Option<&File> {
        let is_own = safeguards::is_disabled(Safeguard::OwnFile)
            || identity_of(self.file.as_raw_fd()).is_ok_and(|it| it == self.identity);
        is_own.then_some(&*self.file)
    }

    /// The same descriptor number, for use in another descriptor table than that of `self`.
    fn in_other_table(&self) -> Self {
        let descriptor = self.file.as_raw_fd();
        // SAFETY: each of the two values owns the descriptor in one table, so that none is closed
        // twice.
        let file = unsafe { File::from_raw_fd(descriptor) };
        Self { file: ManuallyDrop::new(file), identity: self.identity }
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        if self.get().is_some() {
            // SAFETY: the file is dropped only here, and its descriptor still refers to it.
            unsafe { ManuallyDrop::drop(&mut self.file) };
        }
    }
}

/// The recording that is being written.
#[derive(Debug)]
pub(crate) struct RecordingFile {
    own: ManuallyDrop<OwnFile>,
    /// Absolute, because the program may change its working directory.
    path: CString,
    /// Number of bytes written, which is the file offset of the descriptor.
    end: u64,
}

impl RecordingFile {
    fn new(path: &Path, file: File) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let path = CString::new(path.as_os_str().as_bytes())?;
        Ok(Self { own: ManuallyDrop::new(OwnFile::new(file)?), path, end: 0 })
    }

    /// Gives the calling thread a descriptor table of its own, in which only the recording is open.
    /// Returns the recording's descriptor in the program's table, for another thread to close.
    /// `None`: the kernel does not support it, and all threads still share one table.
    pub(crate) fn unshare_descriptors(&self) -> Option<ProgramDescriptor> {
        let own = u32::try_from(self.own.file.as_raw_fd()).ok()?;
        let close = |first: u32, last: u32, flags: libc::c_uint| {
            // SAFETY: with CLOSE_RANGE_UNSHARE the kernel copies the table for this thread before
            // it closes anything. The second call closes descriptors of that copy, none of which
            // this thread uses.
            let refused = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
            refused == 0
        };
        if !close(own.checked_add(1)?, u32::MAX, libc::CLOSE_RANGE_UNSHARE) {
            return None;
        }
        close(0, own.checked_sub(1)?, 0);
        Some(ProgramDescriptor { _file: self.own.in_other_table() })
    }

    /// Appends bytes.
    pub(crate) fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = match self.checked()?.write(bytes) {
                Ok(0) => return Err(io::Error::from_raw_os_error(libc::EIO)),
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                // Closed since the check: the next round opens it again, or returns the reason.
                Err(error) if error.raw_os_error() == Some(libc::EBADF) && !self.is_intact() => 0,
                Err(error) => return Err(error),
            };
            self.end = self.end.saturating_add(written as u64);
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    /// Writes bytes at `position` and truncates the file behind them.
    pub(crate) fn end_with(&mut self, bytes: &[u8], position: u64) -> io::Result<()> {
        let end = position.saturating_add(bytes.len() as u64);
        self.checked()?.write_all_at(bytes, position)?;
        self.checked()?.set_len(end)
    }

    /// Whether the descriptor refers to the recording, with its offset at the end. Another offset
    /// means that the program has opened the recording under the same number, to read it.
    fn is_intact(&self) -> bool {
        self.own.get().is_some_and(|file| {
            // SAFETY: `lseek` by 0 from the current offset only returns the offset.
            let offset = unsafe { libc::lseek(file.as_raw_fd(), 0, libc::SEEK_CUR) };
            u64::try_from(offset).is_ok_and(|offset| offset == self.end)
        })
    }

    /// The file, opened again by its path if the descriptor no longer refers to it.
    fn checked(&mut self) -> io::Result<&File> {
        if !self.is_intact() {
            self.reopen()?;
        }
        Ok(&self.own.file)
    }

    #[cold]
    fn reopen(&mut self) -> io::Result<()> {
        let flags =
            libc::O_WRONLY | libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;
        // SAFETY: the path is zero-terminated. Without O_CREAT and O_TRUNC the call neither creates
        // nor changes a file.
        let descriptor = unsafe { libc::open(self.path.as_ptr(), flags) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `open` returned a new descriptor without another owner.
        let own = OwnFile::new(unsafe { File::from_raw_fd(descriptor) })?;
        if own.identity != self.own.identity {
            return Err(io::Error::from_raw_os_error(libc::ESTALE));
        }
        let end = i64::try_from(self.end).unwrap_or(i64::MAX);
        // SAFETY: `lseek` sets the offset of a descriptor that this function owns.
        if unsafe { libc::lseek(own.file.as_raw_fd(), end, libc::SEEK_SET) } < 0 {
            return Err(io::Error::last_os_error());
        }
        // Without a drop of the old value: its descriptor belongs to the program now.
        self.own = ManuallyDrop::new(own);
        Ok(())
    }
}

impl Drop for RecordingFile {
    fn drop(&mut self) {
        // Otherwise the descriptor is the program's, which may read the recording through it.
        if self.is_intact() {
            // SAFETY: the value is dropped only here.
            unsafe { ManuallyDrop::drop(&mut self.own) };
        }
    }
}

/// The recording's descriptor in the table of the program, which the recorder no longer needs.
/// Closed when dropped.
#[derive(Debug)]
pub(crate) struct ProgramDescriptor {
    _file: OwnFile,
}

/// The identity of the file that a descriptor refers to.
fn identity_of(descriptor: RawFd) -> io::Result<Identity> {
    let mut status = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: the kernel writes only to `status`, and rejects a descriptor that is not open.
    if unsafe { libc::fstat(descriptor, status.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fstat` succeeded and wrote the value.
    let status = unsafe { status.assume_init() };
    Ok((status.st_dev, status.st_ino))
}

/// Moves the file to a descriptor that is no standard stream, and at least [`DESCRIPTOR_MIN`] if
/// the limit of the process allows it.
fn move_to_high_descriptor(file: File) -> io::Result<File> {
    if safeguards::is_disabled(Safeguard::HighDescriptor) {
        return Ok(file);
    }
    let low = file.into_raw_fd();
    let duplicate = |min: RawFd| {
        // SAFETY: `low` is an open descriptor that this function owns.
        unsafe { libc::fcntl(low, libc::F_DUPFD_CLOEXEC, min) }
    };
    let mut high = duplicate(DESCRIPTOR_MIN);
    if high < 0 && low <= libc::STDERR_FILENO {
        high = duplicate(libc::STDERR_FILENO.saturating_add(1));
    }
    if high < 0 && low > libc::STDERR_FILENO {
        // SAFETY: this function owns `low`, and it has no other owner.
        return Ok(unsafe { File::from_raw_fd(low) });
    }
    let error = io::Error::last_os_error();
    // SAFETY: this function owns `low` and does not use it again.
    unsafe { libc::close(low) };
    if high < 0 {
        return Err(error);
    }
    // SAFETY: `high` is a new descriptor without another owner.
    Ok(unsafe { File::from_raw_fd(high) })
}
