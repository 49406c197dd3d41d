//! A recording that ends with the scope that it is held in.
//!
//! Reads: [`Options`]. Writes: nothing itself; it begins and ends a session.
//!
//! Invariant: it ends its own session and no other one, which may have begun since.

use std::path::{Path, PathBuf};

use crate::collector::error::Error;
use crate::collector::options::Options;
use crate::collector::session;

/// A recording under way. Dropping it ends the recording, as [`disable_tracking`] does: when its
/// scope is left, by an early return, by `?`, or by a panic.
///
/// [`disable_tracking`]: crate::disable_tracking
#[derive(Debug)]
#[must_use = "the recording ends when this is dropped: give it a name"]
pub struct Recording {
    session: u32,
    path: PathBuf,
}

impl Recording {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        session::end(self.session);
    }
}

/// Begins to record every allocation and free of the process, with the options of
/// [`Options::default`], into one new file in the current directory.
///
/// ```standalone_crate
/// #[global_allocator]
/// static GLOBAL: rheaper::Allocator<std::alloc::System> =
///     rheaper::Allocator::from_allocator(std::alloc::System);
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
/// #   std::env::set_current_dir(std::env::temp_dir())?;
///     let recording = rheaper::record()?;
///     let kept: Vec<String> = (0..10).map(|number| number.to_string()).collect();
/// #   let path = recording.path().to_owned();
///     // It ends here, and wherever else `main` is left.
/// #   drop(recording);
/// #   assert!(std::fs::metadata(&path)?.len() > 0 && kept.len() == 10);
/// #   std::fs::remove_file(path)?;
///     Ok(())
/// }
/// ```
///
/// # Errors
/// As [`enable_tracking`](crate::enable_tracking).
pub fn record() -> Result<Recording, Error> {
    Options::default().record()
}

impl Options {
    /// Begins to record, until what it answers is dropped.
    ///
    /// # Errors
    /// As [`Options::enable`].
    pub fn record(self) -> Result<Recording, Error> {
        let (session, path) = session::begin_for_guard(self)?;
        Ok(Recording { session, path })
    }
}
