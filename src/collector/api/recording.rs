//! A guard that ends a recording when it is dropped.
//!
//! Invariant: it ends only its own session; another one may have started since.

use std::path::{Path, PathBuf};

use crate::collector::error::Error;
use crate::collector::event_path::session_word::SessionWord;
use crate::collector::options::Options;
use crate::collector::session;

/// A running recording. Dropping it ends the recording, as [`disable_tracking`] does: at the end of
/// its scope, also by an early return, by `?`, or by a panic.
///
/// [`disable_tracking`]: crate::disable_tracking
#[derive(Debug)]
#[must_use = "the recording ends when this is dropped: give it a name"]
pub struct Recording {
    session: SessionWord,
    path: PathBuf,
}

impl Recording {
    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        session::disable_session(self.session);
    }
}

/// Starts to record every allocation and free of the process, with the options of
/// [`Options::default`], into a new file in the current directory.
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
///     // The recording ends here, and on any other way out of `main`.
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
    /// Starts to record, until the returned guard is dropped.
    ///
    /// # Errors
    /// As [`Options::enable`].
    pub fn record(self) -> Result<Recording, Error> {
        let (session, path) = session::enable_for_guard(self)?;
        Ok(Recording { session, path })
    }
}
