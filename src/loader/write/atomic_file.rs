//! The file that a database is built in, and its place at the end.
//!
//! Reads: what stands at the output's path. Writes: a temporary file beside it, then that file
//! in its place.
//!
//! Invariants:
//! - The output's path changes at most once, by one rename, when all is written and synced.
//! - What is there and is not a rheaper database stays, whatever the caller asks for.
//! - A temporary file that is not renamed is removed.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::database::schema::{APPLICATION_ID, SCHEMA};
use crate::loader::error::LoadError;
use crate::loader::rows::MissingColumns;
use crate::loader::write::row_writer::Tables;
use crate::loader::write::sqlite_pages::{PageFile, TableBuilder};
use crate::safeguards::{self, Safeguard};

/// The first bytes of every SQLite file.
const SQLITE_MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Where `PRAGMA application_id` stands in it.
const APPLICATION_ID_OFFSET: usize = 68;
const SQLITE_HEADER_BYTES: usize = 100;

/// Pages of this size made the smallest and the fastest file of those that were measured.
const PAGE_BYTES: u32 = 8192;

/// How the name of a file under construction ends.
const TEMPORARY_SUFFIX: &str = ".loading";

/// A database under construction.
#[derive(Debug)]
pub(crate) struct Output {
    path: PathBuf,
    temporary: Temporary,
}

/// A file that goes away unless it is kept.
#[derive(Debug)]
struct Temporary {
    path: PathBuf,
    kept: bool,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.kept {
            // It may be gone already, and there is nobody to tell.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Output {
    /// Checks that `path` may be replaced, and begins a file beside it. `recording_id` is that of
    /// the recording: a database made from another one is replaced only by `force`.
    pub(crate) fn begin(path: &Path, recording_id: &str, force: bool) -> Result<Self, LoadError> {
        check_replaceable(path, recording_id, force)?;
        let failed = |error| LoadError::writing(path, error);
        let name =
            path.file_name().ok_or_else(|| LoadError::not_ours(path, "no name of a file"))?;
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        remove_abandoned(directory, name);
        let temporary = directory.join(hidden_name(name, std::process::id()));
        let create = || {
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW)
                .open(&temporary)
        };
        create().map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => LoadError::busy(path),
            _ => failed(error),
        })?;
        Ok(Self { path: path.to_owned(), temporary: Temporary { path: temporary, kept: false } })
    }

    /// Makes the file under construction an empty rheaper database, and gives what its big
    /// tables are built with. Nothing here has to survive a crash: the file is not anybody's yet.
    pub(crate) fn begin_tables(&self, lacks: MissingColumns) -> Result<Tables, LoadError> {
        let failed = |error| self.failed(error);
        let connection = self.connect().map_err(failed)?;
        connection.execute_batch(SCHEMA).map_err(failed)?;
        let root = |table: &str| {
            let sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
            connection
                .query_row(sql, [table], |row| row.get::<_, u32>(0))
                .map(|root| TableBuilder::new(root, PAGE_BYTES as usize))
        };
        let allocations = root("allocations").map_err(failed)?;
        let reallocs = root("reallocs").map_err(failed)?;
        let scopes = root("allocation_scopes").map_err(failed)?;
        let zone_outliers = root("zone_outliers").map_err(failed)?;
        connection.close().map_err(|(_, error)| failed(error))?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW)
            .open(&self.temporary.path)
            .and_then(|file| PageFile::open(file, PAGE_BYTES as usize))
            .map_err(|error| LoadError::writing(&self.path, error))?;
        Ok(Tables::new(file, allocations, reallocs, scopes, zone_outliers, lacks))
    }

    /// Opens the file under construction for all other tables, in one transaction.
    pub(crate) fn resume(&self) -> Result<Connection, LoadError> {
        let open = || {
            let connection = self.connect()?;
            connection.execute_batch("BEGIN")?;
            Ok(connection)
        };
        open().map_err(|error| self.failed(error))
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let connection = Connection::open_with_flags(&self.temporary.path, flags)?;
        // In files goes only what does not fit the cache: else the index of the greatest table would
        // decide what memory a load needs.
        connection.execute_batch(&format!(
            "PRAGMA page_size = {PAGE_BYTES}; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
             PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -8192;
             PRAGMA temp_store = FILE;"
        ))?;
        Ok(connection)
    }

    /// What a failed write means to the user.
    pub(crate) fn failed(&self, error: rusqlite::Error) -> LoadError {
        LoadError::writing(&self.path, error)
    }

    /// The same where it is not SQLite that failed.
    pub(crate) fn failed_io(&self, error: io::Error) -> LoadError {
        LoadError::writing(&self.path, error)
    }

    /// Puts the finished database in its place; says how many bytes it has.
    pub(crate) fn finish(
        mut self,
        connection: Connection,
        recording_id: &str,
        force: bool,
    ) -> Result<u64, LoadError> {
        let path = self.path.clone();
        let failed = |error| LoadError::writing(&path, error);
        connection.execute_batch("COMMIT").map_err(|error| LoadError::writing(&path, error))?;
        connection.close().map_err(|(_, error)| LoadError::writing(&path, error))?;
        let file = File::open(&self.temporary.path).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        // Someone may have put something else there while we were busy.
        check_replaceable(&path, recording_id, force)?;
        fs::rename(&self.temporary.path, &path).map_err(failed)?;
        self.temporary.kept = true;
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            // The rename is done; that it also survives a power cut is only nice to have.
            let _ = File::open(parent).and_then(|directory| directory.sync_all());
        }
        Ok(bytes)
    }
}

/// `.name.pid.loading`: hidden, and telling whose it is.
fn hidden_name(name: &OsStr, pid: u32) -> OsString {
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{pid}{TEMPORARY_SUFFIX}"));
    hidden
}

/// Removes what a loader that was killed has left for the same output.
fn remove_abandoned(directory: &Path, name: &OsStr) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    for entry in entries.flatten() {
        let found = entry.file_name();
        let pid = found
            .as_bytes()
            .strip_prefix(prefix.as_bytes())
            .and_then(|rest| rest.strip_suffix(TEMPORARY_SUFFIX.as_bytes()))
            .and_then(|pid| std::str::from_utf8(pid).ok())
            .and_then(|pid| pid.parse::<u32>().ok());
        let is_abandoned =
            pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists());
        if is_abandoned && Path::new("/proc/self").exists() {
            // If it can't be removed, it is only in nobody's way.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn check_replaceable(path: &Path, recording_id: &str, force: bool) -> Result<(), LoadError> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(LoadError::writing(path, error)),
    };
    let kind = metadata.file_type();
    if kind.is_symlink() {
        return Err(LoadError::not_ours(path, "a symbolic link"));
    }
    if kind.is_dir() {
        return Err(LoadError::not_ours(path, "a directory"));
    }
    if !kind.is_file() {
        return Err(LoadError::not_ours(path, "not a regular file"));
    }
    let is_ours = is_rheaper_database(path).map_err(|error| LoadError::writing(path, error))?;
    if !is_ours && !safeguards::is_disabled(Safeguard::ForeignOutput) {
        return Err(LoadError::not_ours(path, "not a rheaper database"));
    }
    if !force && recording_of(path).is_none_or(|id| id != recording_id) {
        let what = "the database of another recording (--force replaces it)";
        return Err(LoadError::not_ours(path, what));
    }
    Ok(())
}

/// Whether a file carries our mark. Its content is not trusted for anything else.
pub(crate) fn is_rheaper_database(path: &Path) -> io::Result<bool> {
    let mut header = Vec::with_capacity(SQLITE_HEADER_BYTES);
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path)?
        .take(SQLITE_HEADER_BYTES as u64)
        .read_to_end(&mut header)?;
    let id = header.get(APPLICATION_ID_OFFSET..).and_then(|rest| rest.first_chunk::<4>());
    Ok(header.starts_with(SQLITE_MAGIC) && id == Some(&APPLICATION_ID.to_be_bytes()))
}

fn recording_of(path: &Path) -> Option<String> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    connection
        .query_row("SELECT value FROM meta WHERE key = 'recording_id'", [], |row| row.get(0))
        .ok()
}
