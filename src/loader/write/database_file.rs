//! The database under construction: a temporary file that replaces the output when it is complete.
//!
//! Invariants:
//! - The output's path changes at most once, by one rename, when all is written and synced.
//! - A file that is not a rheaper database is never replaced, even with `force`.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::atomic_file::{self, AtomicFile, Existing, SQLITE_MAGIC};
use crate::database::schema::{APPLICATION_ID, SCHEMA};
use crate::loader::api::error::LoadError;
use crate::loader::model::MissingColumns;
use crate::loader::write::row_writer::RowTables;
use crate::loader::write::sqlite_pages::{PageFile, TableBuilder};
use crate::safeguards::{self, Safeguard};

/// Offset of `PRAGMA application_id` in an SQLite file.
const APPLICATION_ID_OFFSET: usize = 68;
const SQLITE_HEADER_BYTES: usize = 100;

/// The page size that gave the smallest database and the fastest load of those measured.
const PAGE_BYTES: u32 = 8192;

/// Suffix of the temporary file's name.
const TEMPORARY_SUFFIX: &str = "loading";

/// A database under construction.
#[derive(Debug)]
pub(crate) struct DatabaseFile {
    file: AtomicFile,
}

impl DatabaseFile {
    /// Checks that `path` may be replaced, and creates a temporary file beside it. A database that
    /// was made from another recording than `recording_id` is replaced only with `force`.
    pub(crate) fn create(path: &Path, recording_id: &str, force: bool) -> Result<Self, LoadError> {
        check_replaceable(path, recording_id, force)?;
        if path.file_name().is_none() {
            return Err(LoadError::not_ours(path, "no name of a file"));
        }
        atomic_file::remove_abandoned(path, TEMPORARY_SUFFIX);
        match AtomicFile::create(path, TEMPORARY_SUFFIX, 0o600) {
            Ok((file, _)) => Ok(Self { file }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(LoadError::busy(path))
            }
            Err(error) => Err(LoadError::writing(path, error)),
        }
    }

    /// Creates the schema; returns the builders of the tables that are written as pages. Nothing
    /// is synced: a crash leaves a temporary file, which is of no use anyway.
    pub(crate) fn create_tables(
        &self,
        missing_columns: MissingColumns,
    ) -> Result<RowTables, LoadError> {
        let failed = |error| self.failed(error);
        let connection = self.connect().map_err(failed)?;
        connection.execute_batch(SCHEMA).map_err(failed)?;
        let builder = |table: &str| {
            let sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
            connection
                .query_row(sql, [table], |row| row.get::<_, u32>(0))
                .map(|root| TableBuilder::new(root, PAGE_BYTES as usize))
        };
        let allocations = builder("allocations").map_err(failed)?;
        let reallocs = builder("reallocs").map_err(failed)?;
        let scopes = builder("allocation_scopes").map_err(failed)?;
        let zone_outliers = builder("zone_outliers").map_err(failed)?;
        connection.close().map_err(|(_, error)| failed(error))?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW)
            .open(self.file.temporary())
            .and_then(|file| PageFile::open(file, PAGE_BYTES as usize))
            .map_err(|error| self.failed_io(error))?;
        Ok(RowTables::new(file, allocations, reallocs, scopes, zone_outliers, missing_columns))
    }

    /// Opens a transaction for all other tables, once the pages are written.
    pub(crate) fn begin_transaction(&self) -> Result<Connection, LoadError> {
        let begin = || {
            let connection = self.connect()?;
            connection.execute_batch("BEGIN")?;
            Ok(connection)
        };
        begin().map_err(|error| self.failed(error))
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let connection = Connection::open_with_flags(self.file.temporary(), flags)?;
        // The sort for the index of the largest table spills to a file beyond the cache of 8 MiB;
        // in memory it would determine the peak memory of a load.
        connection.execute_batch(&format!(
            "PRAGMA page_size = {PAGE_BYTES}; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
             PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -8192;
             PRAGMA temp_store = FILE;"
        ))?;
        Ok(connection)
    }

    /// The error of a load whose SQL statement failed.
    pub(crate) fn failed(&self, error: rusqlite::Error) -> LoadError {
        LoadError::writing(self.file.destination(), error)
    }

    /// The error of a load that could not write a page.
    pub(crate) fn failed_io(&self, error: io::Error) -> LoadError {
        LoadError::writing(self.file.destination(), error)
    }

    /// Commits, syncs, and moves the database to its destination; returns its length in bytes.
    pub(crate) fn finish(
        self,
        connection: Connection,
        recording_id: &str,
        force: bool,
    ) -> Result<u64, LoadError> {
        let path = self.file.destination().to_owned();
        let failed = |error| LoadError::writing(&path, error);
        connection.execute_batch("COMMIT").map_err(|error| self.failed(error))?;
        connection.close().map_err(|(_, error)| self.failed(error))?;
        let file = File::open(self.file.temporary()).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        // Another process may have created a file there during the load.
        check_replaceable(&path, recording_id, force)?;
        self.file.replace().map_err(failed)?;
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            // Makes the rename survive a power failure; an error does not undo the load.
            let _ = File::open(parent).and_then(|directory| directory.sync_all());
        }
        Ok(bytes)
    }
}

/// The temporary files that killed loads have left for other databases in the directory of `output`,
/// with their lengths in bytes.
pub(crate) fn abandoned_for_others(output: &Path) -> Vec<(PathBuf, u64)> {
    atomic_file::abandoned_for_others(output, TEMPORARY_SUFFIX)
}

fn check_replaceable(path: &Path, recording_id: &str, force: bool) -> Result<(), LoadError> {
    match Existing::at(path).map_err(|error| LoadError::writing(path, error))? {
        Existing::Nothing => return Ok(()),
        Existing::Other(what) => return Err(LoadError::not_ours(path, what)),
        Existing::File => {}
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

/// Whether a file has SQLite's magic and our application id; nothing else of it is trusted.
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
