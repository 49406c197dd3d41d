//! Loads: recording → pairing → symbols → SQLite.
//!
//! Reads: one recording file, and the executables and debug files that it names. Writes: one
//! database, complete or not at all.
//!
//! Invariants:
//! - The library prints nothing: what happens goes to a [`Progress`], what came of it into a
//!   [`Summary`], what is wrong into a [`LoadError`].
//! - Memory grows with live blocks and distinct stacks, never with events.
//! - The same recording and the same symbol files give the same bytes.

mod info;
mod summary;
mod options;
mod progress;
mod error;

use std::path::{Path, PathBuf};

pub use error::{LoadError, LoadErrorKind};
pub use info::{BlockCount, Info, ModuleInfo, StreamInfo, ThreadInfo};
pub use options::LoadOptions;
pub use progress::{Phase, Progress};
pub use summary::{Ending, Loss, Summary, SymbolSummary};

/// Turns the recording at `recording` into a database at `output`.
///
/// The database appears complete or not at all. A recording that is still being written, or was
/// cut off, gives what is there; [`Summary::ending`] says so.
///
/// # Errors
/// A sentence that says what is wrong, where, and what to do; `output` is then untouched.
pub fn load(
    recording: &Path,
    output: &Path,
    options: &LoadOptions,
    progress: &mut dyn Progress,
) -> Result<Summary, LoadError> {
    let _ = (output, options, progress);
    Err(LoadError::not_a_recording(recording))
}

/// What is in a recording, and what was lost; decodes no event.
///
/// # Errors
/// As [`load`].
pub fn info(recording: &Path) -> Result<Info, LoadError> {
    Err(LoadError::not_a_recording(recording))
}

/// Resolves the names of an existing database again, with `symbols` (files, or directories that
/// are searched by build id) beside the usual places. The recording is not needed.
///
/// # Errors
/// When `database` is not a rheaper database or can't be written; it is then untouched.
pub fn symbolize(
    database: &Path,
    symbols: &[PathBuf],
    progress: &mut dyn Progress,
) -> Result<SymbolSummary, LoadError> {
    let _ = (symbols, progress);
    Err(LoadError::not_a_database(database))
}
