//! Readings of the memory of the process: resident set size, and usage and limit of its control
//! group.
//!
//! Reads `/proc/self/statm`, `/proc/self/status` and the files of the control group through
//! descriptors that are opened once.
//!
//! Invariants: opening allocates, outside of the recording; reading does not allocate. A value that
//! the system does not provide, or whose descriptor the program has closed, is `None`, never an
//! error.

use std::fs::{self, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::collector::platform::sys;
use crate::collector::writer::create::OwnFile;

/// Maximum number of ancestor groups whose limits are read.
const GROUPS_MAX: usize = 32;

/// Larger limits mean no limit: version 1 of control groups reports a huge number.
const NO_LIMIT_BYTES: u64 = 1 << 60;

/// `VmHWM` is within this many bytes from the beginning of `/proc/self/status`.
const STATUS_BYTES: usize = 2048;

/// The open files of memory readings; by default none.
#[derive(Debug, Default)]
pub(crate) struct MemoryReader {
    statm: Option<OwnFile>,
    status: Option<OwnFile>,
    group: Option<OwnFile>,
    /// Limits of the group and its ancestors.
    limits: Vec<OwnFile>,
    page_bytes: u64,
}

impl MemoryReader {
    /// Opens the files that exist.
    pub(crate) fn open() -> Self {
        // SAFETY: `sysconf` takes an integer and accesses no memory of the caller.
        let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let (group, limits) = open_group();
        Self {
            statm: open(Path::new("/proc/self/statm")),
            status: open(Path::new("/proc/self/status")),
            group,
            limits,
            page_bytes: u64::try_from(page_bytes).unwrap_or(4096),
        }
    }

    /// Resident bytes of the process.
    pub(crate) fn rss(&self) -> Option<u64> {
        // Fields in pages: total, resident, …
        let pages = read_number(self.statm.as_ref()?, 1)?;
        pages.checked_mul(self.page_bytes)
    }

    /// Largest resident set of the process so far, which may lie between two readings.
    pub(crate) fn rss_max(&self) -> Option<u64> {
        let mut bytes = [0_u8; STATUS_BYTES];
        let text = read(self.status.as_ref()?, &mut bytes)?;
        high_water_mark(text)
    }

    /// Memory charged to the control group: anonymous memory, page cache, kernel memory.
    pub(crate) fn cgroup(&self) -> Option<u64> {
        read_number(self.group.as_ref()?, 0)
    }

    /// Smallest limit of the group and its ancestors.
    pub(crate) fn cgroup_limit(&self) -> Option<u64> {
        let limits = self.limits.iter().filter_map(|file| read_number(file, 0));
        limits.filter(|limit| *limit < NO_LIMIT_BYTES).min()
    }
}

/// Opens the usage file of the group and the limit files.
fn open_group() -> (Option<OwnFile>, Vec<OwnFile>) {
    let Ok(groups) = fs::read_to_string("/proc/self/cgroup") else {
        return (None, Vec::new());
    };
    for (usage, limit, directories) in candidates(&groups) {
        let found = directories.iter().find_map(|directory| open(&directory.join(usage)));
        if let Some(found) = found {
            let limits = directories.iter().filter_map(|it| open(&it.join(limit))).collect();
            return (Some(found), limits);
        }
    }
    (None, Vec::new())
}

/// For each hierarchy that may account for memory: the names of its usage and limit files, and the
/// directories to search, innermost first. A container sees its own group as the root, whatever
/// `/proc/self/cgroup` says, so that the root comes last.
fn candidates(groups: &str) -> Vec<(&'static str, &'static str, Vec<PathBuf>)> {
    let mut found = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let roots: &[&str] = if controllers.is_empty() {
            &["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        } else if controllers.split(',').any(|name| name == "memory") {
            &["/sys/fs/cgroup/memory"]
        } else {
            continue;
        };
        let (usage, limit) = if controllers.is_empty() {
            ("memory.current", "memory.max")
        } else {
            ("memory.usage_in_bytes", "memory.limit_in_bytes")
        };
        let path = Path::new(path.trim_start_matches('/'));
        // A path with `..` belongs to another namespace.
        let is_visible = !path.components().any(|part| part == std::path::Component::ParentDir);
        for root in roots {
            let ancestors = path.ancestors().take(GROUPS_MAX).filter(|_| is_visible);
            let ancestors = ancestors.map(|group| Path::new(root).join(group));
            let directories = ancestors.chain((!is_visible).then(|| PathBuf::from(root))).collect();
            found.push((usage, limit, directories));
        }
    }
    found
}

fn open(path: &Path) -> Option<OwnFile> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_CLOEXEC | libc::O_NONBLOCK);
    OwnFile::new(options.open(path).ok()?).ok()
}

/// Reads the beginning of a file. `None` also if the program has closed the descriptor.
fn read<'a>(file: &OwnFile, bytes: &'a mut [u8]) -> Option<&'a [u8]> {
    let file = file.get()?;
    // SAFETY: the kernel writes at most the length of the slice.
    let len = unsafe { libc::pread(file.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    bytes.get(..usize::try_from(len).ok()?)
}

/// The value of `VmHWM` in `/proc/self/status`, in bytes.
fn high_water_mark(status: &[u8]) -> Option<u64> {
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"VmHWM:"))?;
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    sys::decimal(words.next()?)?.checked_mul(1024)
}

/// Reads the decimal number after `skipped` words at the beginning of a file. `None` also if the
/// program has closed the descriptor.
fn read_number(file: &OwnFile, skipped: usize) -> Option<u64> {
    let mut bytes = [0_u8; 64];
    let text = read(file, &mut bytes)?;
    let mut words = text.split(u8::is_ascii_whitespace);
    sys::decimal(words.nth(skipped)?)
}
