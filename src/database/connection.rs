//! Opens a database for reading only, whatever SQL is run on it.
//!
//! Large sorts use unlinked temporary files, up to a limit; no other file is written.
//!
//! Invariants:
//! - A statement is prepared only if `allows` permits each of its actions.
//! - The safeguards are independent: read-only file handle, authorizer, no attached databases,
//!   defensive mode, `query_only`.
//! - Values, memory and time are limited: a query can fail, but can't exhaust the machine.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use crate::database::cancel::{Interrupt, PROGRESS_STEPS};
use crate::database::error::{OpenError, OpenProblem};
use crate::database::schema::{APPLICATION_ID, SCHEMA_VERSION};
use crate::database::sql::functions;
use crate::safeguards::{self, Safeguard};

/// The schema version in the type of the file header.
const KNOWN: u32 = SCHEMA_VERSION.cast_unsigned();

/// Limit on a text, blob or row: one function call on a larger value could not be interrupted.
const VALUE_MAX_BYTES: i32 = 16 << 20;
/// Limit on the length of a statement.
const SQL_MAX_BYTES: i32 = 1 << 20;
/// Limit on the nesting of expressions, which SQLite evaluates by recursion.
const EXPRESSION_DEPTH_MAX: i32 = 500;
/// Size of the page cache, and of the runs of an external sort, in KiB.
const CACHE_KIB: i32 = 2 << 10;

/// Tables that every rheaper database has. They must be plain tables: a view or a virtual table of
/// the same name could return anything, or not terminate.
const TABLES: [&str; 9] = [
    "allocations",
    "frames",
    "backtrace_frames",
    "sites",
    "timeline",
    "site_timeline",
    "suspects",
    "threads",
    "meta",
];

/// Options of [`Database::open_with`].
#[derive(Clone, Copy, Debug)]
pub struct OpenOptions {
    /// Limit on the memory that SQLite uses in this process. `None` keeps the current limit.
    pub heap_max_bytes: Option<u64>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { heap_max_bytes: Some(512 << 20) }
    }
}

/// An open rheaper database.
#[derive(Debug)]
pub struct Database {
    pub(crate) connection: Connection,
    pub(crate) interrupt: Interrupt,
    path: PathBuf,
}

impl Database {
    /// Opens a database that rheaper wrote.
    ///
    /// # Errors
    /// If the file is missing, not a rheaper database, of another schema version, or damaged.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_with(path, &OpenOptions::default())
    }

    /// As [`open`](Self::open), with options.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(path: &Path, options: &OpenOptions) -> Result<Self, OpenError> {
        open(path, options).map_err(|problem| OpenError { path: path.to_owned(), problem })
    }

    /// The path as it was passed to [`open`](Self::open).
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The pragmas that only read, and whether they may have an argument.
const PRAGMAS: &[(&str, Argument)] = &[
    ("application_id", Argument::None),
    ("collation_list", Argument::None),
    ("compile_options", Argument::None),
    ("data_version", Argument::None),
    ("database_list", Argument::None),
    ("encoding", Argument::None),
    ("foreign_key_list", Argument::Any),
    ("freelist_count", Argument::None),
    ("function_list", Argument::None),
    ("index_info", Argument::Any),
    ("index_list", Argument::Any),
    ("index_xinfo", Argument::Any),
    ("integrity_check", Argument::Any),
    ("journal_mode", Argument::None),
    ("module_list", Argument::None),
    ("page_count", Argument::None),
    ("page_size", Argument::None),
    ("pragma_list", Argument::None),
    ("query_only", Argument::None),
    ("quick_check", Argument::Any),
    ("schema_version", Argument::None),
    ("table_info", Argument::Any),
    ("table_list", Argument::Any),
    ("table_xinfo", Argument::Any),
    ("temp_store", Argument::None),
    ("trusted_schema", Argument::None),
    ("user_version", Argument::None),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Argument {
    /// An argument would set a value.
    None,
    /// The argument names a table or an index.
    Any,
}

/// Functions that access files, load code or expose internals.
const FUNCTIONS_DENIED: &[&str] =
    &["load_extension", "fts3_tokenizer", "sqlite_log", "readfile", "writefile", "edit"];

/// Whether a statement may perform this action. Unlisted actions are denied.
fn allows(action: &AuthAction<'_>) -> bool {
    match action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => true,
        AuthAction::Function { function_name } => {
            !FUNCTIONS_DENIED.iter().any(|denied| denied.eq_ignore_ascii_case(function_name))
        }
        AuthAction::Pragma { pragma_name, pragma_value } => {
            PRAGMAS.iter().any(|(name, argument)| {
                name.eq_ignore_ascii_case(pragma_name)
                    && (pragma_value.is_none() || *argument == Argument::Any)
            })
        }
        _ => false,
    }
}

fn open(path: &Path, options: &OpenOptions) -> Result<Database, OpenProblem> {
    check_header(path)?;
    // An absolute path can't be interpreted as a URI such as `file:x?mode=rwc`.
    let absolute = path.canonicalize().map_err(|error| unreadable(&error))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection =
        Connection::open_with_flags(absolute, flags).map_err(|error| damaged(&error))?;
    let interrupt = Interrupt::default();
    configure(&connection, options).map_err(|error| damaged(&error))?;
    functions::register(&connection).map_err(|error| damaged(&error))?;
    check_tables(&connection)?;
    let progress = interrupt.clone();
    connection
        .progress_handler(
            PROGRESS_STEPS,
            Some(move || progress.on_progress() && !safeguards::is_disabled(Safeguard::Deadline)),
        )
        .map_err(|error| damaged(&error))?;
    connection
        .authorizer(Some(|context: AuthContext<'_>| {
            if allows(&context.action) || safeguards::is_disabled(Safeguard::Authorizer) {
                Authorization::Allow
            } else {
                Authorization::Deny
            }
        }))
        .map_err(|error| damaged(&error))?;
    Ok(Database { connection, interrupt, path: path.to_owned() })
}

fn configure(connection: &Connection, options: &OpenOptions) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE, false)?;
    // Otherwise a misspelt "name" is silently a string, as in sqlite3 before 3.41.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    if !safeguards::is_disabled(Safeguard::LengthLimit) {
        connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, VALUE_MAX_BYTES)?;
    }
    connection.set_limit(Limit::SQLITE_LIMIT_SQL_LENGTH, SQL_MAX_BYTES)?;
    connection.set_limit(Limit::SQLITE_LIMIT_EXPR_DEPTH, EXPRESSION_DEPTH_MAX)?;
    connection.set_limit(Limit::SQLITE_LIMIT_WORKER_THREADS, 0)?;
    connection.pragma_update(None, "query_only", true)?;
    // Sorts that exceed the page cache go to unlinked files in the temporary directory. In memory
    // SQLite would sort all rows as one list, in one step that can't be interrupted and that
    // thrashes the CPU caches: `GROUP BY bt` over 3 million rows took 4.7 s, in runs of the size of
    // this cache it takes 0.9 s. `Interrupt` limits the files.
    connection.pragma_update(None, "temp_store", "file")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    // No mmap: a file that is truncated while it is mapped raises SIGBUS.
    connection.pragma_update(None, "mmap_size", 0)?;
    let heap_max_bytes =
        options.heap_max_bytes.filter(|_| !safeguards::is_disabled(Safeguard::HeapLimit));
    if let Some(bytes) = heap_max_bytes {
        connection.pragma_update(
            None,
            "hard_heap_limit",
            i64::try_from(bytes).unwrap_or(i64::MAX),
        )?;
    }
    Ok(())
}

/// Checks the file header before SQLite opens the file, because SQLite has one message for many
/// faults and writes side files for a database in WAL mode.
fn check_header(path: &Path) -> Result<(), OpenProblem> {
    const HEADER_BYTES: usize = 100;
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(&error))?;
    if !metadata.is_file() {
        return Err(OpenProblem::NotAFile);
    }
    let mut header = Vec::with_capacity(HEADER_BYTES);
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    file.take(HEADER_BYTES as u64).read_to_end(&mut header).map_err(|error| unreadable(&error))?;
    if header.is_empty() {
        return Err(OpenProblem::Empty);
    }
    if header.len() < HEADER_BYTES || !header.starts_with(b"SQLite format 3\0") {
        return Err(OpenProblem::NotSqlite);
    }
    let word =
        |at: usize| header[at..at + 4].iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte));
    if word(68) != APPLICATION_ID.cast_unsigned() {
        return Err(OpenProblem::Foreign);
    }
    match word(60) {
        KNOWN => {}
        found if found > KNOWN => {
            return Err(OpenProblem::Newer { found, known: KNOWN });
        }
        found => {
            return Err(OpenProblem::Older { found, known: KNOWN });
        }
    }
    if header[18] == 2 || header[19] == 2 {
        return Err(OpenProblem::WriteAheadLog);
    }
    Ok(())
}

fn check_tables(connection: &Connection) -> Result<(), OpenProblem> {
    let mut statement = connection
        .prepare("SELECT type, coalesce(sql, '') FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE")
        .map_err(|error| damaged(&error))?;
    for name in TABLES {
        let found: Result<(String, String), _> =
            statement.query_row([name], |row| Ok((row.get(0)?, row.get(1)?)));
        match found {
            Ok((kind, sql))
                if kind == "table" && !sql.to_ascii_uppercase().starts_with("CREATE VIRTUAL") => {}
            Ok(_) | Err(rusqlite::Error::QueryReturnedNoRows) => {
                return Err(OpenProblem::Table(name));
            }
            Err(error) => return Err(damaged(&error)),
        }
    }
    Ok(())
}

fn unreadable(error: &std::io::Error) -> OpenProblem {
    match error.kind() {
        std::io::ErrorKind::NotFound => OpenProblem::Missing,
        _ => OpenProblem::Unreadable(error.to_string()),
    }
}

fn damaged(error: &rusqlite::Error) -> OpenProblem {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => OpenProblem::Damaged(message.clone()),
        other => OpenProblem::Damaged(other.to_string()),
    }
}
