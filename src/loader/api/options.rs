//! The options of a load.

use std::path::PathBuf;

/// The options of a load.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Symbol files, or directories that are searched by build id, before the usual places.
    pub symbols: Vec<PathBuf>,
    /// Files with rules that set the kind of frames, in the order of precedence; see
    /// docs/reference/SCHEMA.md.
    pub kinds: Vec<PathBuf>,
    /// Whether to replace an existing rheaper database that was made from another recording. One
    /// that was made from the same recording is always replaced, any other file never.
    pub force: bool,
}
