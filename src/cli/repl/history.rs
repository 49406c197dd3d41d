//! The location of the prompt's history file. Without a writable state directory there is no
//! history.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

/// The history file in the state directory, which is created if missing and which only its owner may
/// read, because statements may contain private names.
pub(super) fn path() -> Option<PathBuf> {
    let project = directories::ProjectDirs::from("", "", "rheaper")?;
    let directory = project.state_dir().unwrap_or_else(|| project.data_local_dir());
    DirBuilder::new().recursive(true).mode(0o700).create(directory).ok()?;
    Some(directory.join("sql_history"))
}
