//! The user's files: SQL history, accepted suspects, keys and theme.
//!
//! Reads and writes: `history.sql` in the state directory; `suppressions.txt`, `keys.txt` and `theme.txt`
//! in the configuration directory; a temporary file while an editor is open.
//!
//! Invariant: files that can't be read are ignored; files that can't be written cause a message.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use directories::ProjectDirs;

/// Maximum number of statements in the history.
pub(crate) const HISTORY_MAX: usize = 1000;

/// Bytes of a file that are read.
const FILE_MAX_BYTES: u64 = 4 << 20;

/// Separates statements of the history, which may have several lines.
const SEPARATOR: &str = "\n\u{1e}\n";

/// The history, oldest statement first.
pub(crate) fn history() -> Vec<String> {
    let text = history_path().and_then(|path| text(&path).ok()).unwrap_or_default();
    let statements = text.split(SEPARATOR).map(str::trim).filter(|it| !it.is_empty());
    let all: Vec<String> =
        statements.map(|it| crate::database::text::sanitize::block(it).into_owned()).collect();
    all[all.len().saturating_sub(HISTORY_MAX)..].to_vec()
}

/// Appends a statement to the history.
///
/// # Errors
/// When the file can't be written.
pub(crate) fn append_history(statement: &str) -> io::Result<()> {
    match history_path() {
        Some(path) => append(&path, &format!("{statement}{SEPARATOR}")),
        None => Ok(()),
    }
}

/// The patterns of accepted suspects: the rest of lines that start with `leak:`.
pub(crate) fn suppressions() -> Vec<String> {
    let text = suppressions_path().and_then(|path| text(&path).ok()).unwrap_or_default();
    let patterns = text.lines().filter_map(|line| line.trim().strip_prefix("leak:"));
    patterns.map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned).collect()
}

/// The content of `keys.txt`.
pub(crate) fn keys() -> String {
    let path = suppressions_path().map(|path| path.with_file_name("keys.txt"));
    path.and_then(|path| text(&path).ok()).unwrap_or_default()
}

/// The content of `theme.txt`.
pub(crate) fn theme() -> String {
    let path = suppressions_path().map(|path| path.with_file_name("theme.txt"));
    path.and_then(|path| text(&path).ok()).unwrap_or_default()
}

/// Appends lines to the file of accepted suspects.
///
/// # Errors
/// When there is no home directory or the file can't be written.
pub(crate) fn append_suppression(lines: &str) -> io::Result<()> {
    match suppressions_path() {
        Some(path) => append(&path, &format!("{lines}\n")),
        None => Err(io::Error::other(
            "accepted for this session only: there is no home directory to save it in",
        )),
    }
}

/// Creates a temporary file with a text, for an editor; only the user can read it.
///
/// # Errors
/// When it can't be written.
pub(crate) fn scratch(text: &str) -> io::Result<PathBuf> {
    for attempt in 0..100 {
        let name = format!("rheaper-{}-{attempt}.sql", std::process::id());
        let path = std::env::temp_dir().join(name);
        match private().create_new(true).write(true).open(&path) {
            Ok(mut file) => {
                file.write_all(text.as_bytes())?;
                return Ok(path);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("can't create a temporary file: all names are taken"))
}

/// Reads and removes a temporary file.
///
/// # Errors
/// When it can't be read.
pub(crate) fn take_scratch(path: &Path) -> io::Result<String> {
    let edited = text(path);
    // If it can't be removed, only the user can read it.
    let _ = fs::remove_file(path);
    edited.map(|text| crate::database::text::sanitize::block(&text).into_owned())
}

fn history_path() -> Option<PathBuf> {
    let directories = ProjectDirs::from("", "", "rheaper")?;
    let state = directories.state_dir().unwrap_or(directories.data_local_dir());
    Some(state.join("history.sql"))
}

fn suppressions_path() -> Option<PathBuf> {
    if let Some(directory) = std::env::var_os("RHEAPER_CONFIG").filter(|it| !it.is_empty()) {
        return Some(PathBuf::from(directory).join("suppressions.txt"));
    }
    let directories = ProjectDirs::from("", "", "rheaper")?;
    Some(directories.config_dir().join("suppressions.txt"))
}

fn text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn append(path: &Path, text: &str) -> io::Result<()> {
    let named = |error: io::Error| {
        let path = path.to_string_lossy();
        let path = crate::database::text::sanitize::line(&path);
        io::Error::new(error.kind(), format!("{path}: {error}"))
    };
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(named)?;
    }
    let mut file = private().create(true).append(true).open(path).map_err(named)?;
    file.write_all(text.as_bytes()).map_err(named)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}
