//! Where the prompt's history is.
//!
//! Invariant: a home that can't be written means no history, never an error: a prompt without
//! history still answers.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

/// The file in the state directory, which is made if it is not there; only its owner may read it,
/// as statements may name what is private.
pub(super) fn path() -> Option<PathBuf> {
    let project = directories::ProjectDirs::from("", "", "rheaper")?;
    let directory = project.state_dir().unwrap_or_else(|| project.data_local_dir());
    DirBuilder::new().recursive(true).mode(0o700).create(directory).ok()?;
    Some(directory.join("sql_history"))
}
