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
mod symbolize;
mod import;
mod options;
mod pipeline;
mod source;
mod analyze;
mod write;
mod symbols;
mod passes;
mod summary;
mod progress;
mod totals;
mod live;
mod read;
mod error;
mod rows;
mod sanitize;
mod fast_hash;

use std::path::{Path, PathBuf};
use std::time::Instant;

pub use error::{LoadError, LoadErrorKind};
pub use info::{BlockCount, Info, ModuleInfo, StreamInfo, ThreadInfo};
pub use options::LoadOptions;
pub use progress::{Phase, Progress};
pub use summary::{Ending, Loss, Summary, SymbolSummary};

use crate::loader::passes::metadata_pass::Survey;
use crate::loader::pipeline::Build;
use crate::loader::read::reader::Recording;
use crate::loader::source::Source;
use crate::loader::symbols::Rules;
use crate::loader::write::atomic_file::Output;

/// Turns the recording at `recording` into a database at `output`.
///
/// The database appears complete or not at all. A recording that is still being written, or was
/// cut off, gives what is there; [`Summary::ending`] says so. An existing `output` is replaced if
/// it is a rheaper database made from the same recording, or from any other with
/// [`LoadOptions::force`]; whatever is not a rheaper database is never touched.
///
/// ```no_run
/// use rheaper::database::{Database, Limits, Params};
/// use rheaper::loader::{LoadOptions, load};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (recording, output) = ("rip-1795350087".as_ref(), "heap.db".as_ref());
/// let summary = load(recording, output, &LoadOptions::default(), &mut ())?;
/// assert!(summary.losses.is_empty());
/// let database = Database::open(output)?;
/// let sql = "SELECT sentence FROM suspects ORDER BY id LIMIT 5";
/// for row in database.query(sql, &Params::none(), &Limits::default())?.rows {
///     println!("{}", row[0].as_str().unwrap_or_default());
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// A sentence that says what is wrong, where, and what to do; `output` is then untouched.
pub fn load(
    recording: &Path,
    output: &Path,
    options: &LoadOptions,
    progress: &mut dyn Progress,
) -> Result<Summary, LoadError> {
    let started = Instant::now();
    let recording = Recording::open(recording)?;
    write(&recording, output, options, progress, started)
}

/// The steps of a load, wherever its events come from.
fn write<R: Source>(
    source: &R,
    output: &Path,
    options: &LoadOptions,
    progress: &mut dyn Progress,
    started: Instant,
) -> Result<Summary, LoadError> {
    let rules = Rules::read(&options.kinds)?;
    let output = Output::begin(output, &source.id(), options.force)?;
    let mut build = Build::survey(source, progress)?;
    build.resolve(&options.symbols, rules, progress)?;
    let connection = build.replay_into(&output, progress)?;
    build.write_totals(&connection, &output, progress)?;
    build.finish(connection, output, options.force, started)
}

/// Turns a recording of heaptrack or bytehound, at `file`, into a database at `output`, under the
/// same rules as [`load`]. What the other format does not hold is NULL, and counted in `losses`.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = std::env::temp_dir().join(format!("rheaper-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// # let (file, output) = (directory.join("heaptrack.a.1"), directory.join("heap.db"));
/// // Five bytes from `main`, never freed, as heaptrack writes it.
/// let recorded = "v 10400 3\ns 6 /bin/a\ns 4 main\ni 1000 1 2\nt 1 0\na 5 1\n+ 0\nc a\n";
/// std::fs::write(&file, recorded)?;
/// let options = rheaper::loader::LoadOptions::default();
/// let summary = rheaper::loader::import(&file, &output, &options, &mut ())?;
/// assert_eq!((summary.allocations, summary.live_bytes), (1, 5));
/// assert!(summary.not_recorded.iter().any(|sentence| sentence.contains("threads")));
/// # std::fs::remove_dir_all(directory)?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`load`].
pub fn import(
    file: &Path,
    output: &Path,
    options: &LoadOptions,
    progress: &mut dyn Progress,
) -> Result<Summary, LoadError> {
    let started = Instant::now();
    let recording = import::Recording::open(file)?;
    write(&recording, output, options, progress, started)
}

/// Whether a file is a recording that [`import`] reads, by its first bytes. One that can't be
/// read is none.
pub fn is_importable(file: &Path) -> bool {
    import::is_recording(file)
}

/// Reads a recording as [`load`] does, pairs all events, and writes nothing: what would be loaded?
///
/// # Errors
/// As [`load`], except for those of the output.
pub fn dry_run(recording: &Path, progress: &mut dyn Progress) -> Result<Summary, LoadError> {
    pair(&Recording::open(recording)?, progress)
}

/// Reads another profiler's recording as [`import`] does, pairs all events, and writes nothing.
///
/// # Errors
/// As [`import`], except for those of the output.
pub fn rehearse_import(file: &Path, progress: &mut dyn Progress) -> Result<Summary, LoadError> {
    pair(&import::Recording::open(file)?, progress)
}

fn pair<R: Source>(source: &R, progress: &mut dyn Progress) -> Result<Summary, LoadError> {
    let started = Instant::now();
    let mut build = Build::survey(source, progress)?;
    build.replay(progress)?;
    Ok(build.summary(started))
}

/// What is in a recording, and what was lost; decodes no event.
///
/// # Errors
/// As [`load`].
pub fn info(recording: &Path) -> Result<Info, LoadError> {
    let recording = Recording::open(recording)?;
    let survey = Survey::take(&mut recording.blocks(), &mut ())
        .map_err(|error| LoadError::reading(recording.path(), error))?
        .ok_or_else(LoadError::interrupted)?;
    Ok(Info::of(&recording, survey))
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
    symbolize::symbolize(database, symbols, progress)
}
