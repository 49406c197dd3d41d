//! What a caller of the loader may choose.

use std::path::PathBuf;

/// How to load. The default needs nothing.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Where to look for symbols first: files, or directories that are searched by build id.
    pub symbols: Vec<PathBuf>,
    /// Files that say whose code a frame is, the first one first: lines of `kind pattern`, as
    /// docs/SCHEMA.md has it.
    pub kinds: Vec<PathBuf>,
    /// Whether an existing rheaper database that was made from *another* recording may be
    /// replaced. One made from the same recording always may; anything that is not a rheaper
    /// database never is, whatever this says.
    pub force: bool,
}
