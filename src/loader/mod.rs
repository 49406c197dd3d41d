//! Loads a recording into an SQLite database.
//!
//! A load reads the recording twice (`passes`): first the metadata, then the events, which it pairs
//! by address (`live`), sums (`totals`) and writes as rows. Then it resolves names (`symbols`), ranks
//! suspects (`analyze`) and writes the other tables (`write`).
//!
//! Invariants:
//! - The loader prints nothing: it reports to a [`Progress`], and returns a [`Summary`] or a
//!   [`LoadError`].
//! - Memory grows with live blocks and distinct stacks, never with events.
//! - The same recording and the same symbol files give the same bytes.

mod pipeline;
mod import;
mod source;
mod analyze;
mod write;
mod symbols;
mod passes;
mod totals;
mod live;
mod read;
mod api;
mod model;
mod sanitize;
mod fast_hash;

use std::path::{Path, PathBuf};
use std::time::Instant;

pub use crate::loader::api::error::{LoadError, LoadErrorKind};
pub use crate::loader::api::options::LoadOptions;
pub use crate::loader::api::progress::{Phase, Progress};
pub use crate::loader::api::summary::{Ending, Loss, Summary, SymbolSummary};
pub use crate::loader::pipeline::info::{BlockCount, Info, ModuleInfo, StreamInfo, ThreadInfo};
pub(crate) use crate::loader::write::database_file::abandoned_for_others;

use crate::loader::passes::metadata_pass::RecordingMetadata;
use crate::loader::pipeline::load::Pipeline;
use crate::loader::read::reader::Recording;
use crate::loader::source::Source;
use crate::loader::symbols::Rules;
use crate::loader::write::database_file::DatabaseFile;

/// Loads the recording at `recording` into a database at `output`.
///
/// The database appears complete or not at all. A recording that is still being written, or was
/// cut off, is loaded up to its end, and [`Summary::ending`] says so. An existing `output` is
/// replaced if it is a rheaper database made from the same recording, with [`LoadOptions::force`]
/// also one made from another recording; any other file is never replaced.
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
/// One sentence with the problem, the file and a remedy; `output` is then unchanged.
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

/// The steps of a load, for any source of events.
fn write<R: Source>(
    source: &R,
    output: &Path,
    options: &LoadOptions,
    progress: &mut dyn Progress,
    started: Instant,
) -> Result<Summary, LoadError> {
    let rules = Rules::read(&options.kinds)?;
    let output = DatabaseFile::create(output, &source.id(), options.force)?;
    let mut pipeline = Pipeline::read_metadata(source, progress)?;
    pipeline.resolve_symbols(&options.symbols, rules, progress)?;
    let connection = pipeline.write_events(&output, progress)?;
    pipeline.write_totals(&connection, &output, progress)?;
    pipeline.finish(connection, output, options.force, started)
}

/// Loads a recording of heaptrack or bytehound, at `file`, into a database at `output`, under the
/// same rules as [`load`]. Columns that the other format does not record are NULL; sentences in
/// [`Summary::not_recorded`] name them.
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
/// Those of [`load`].
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

/// Whether a file is a recording that [`import()`] reads, by its first bytes; false if the file can't
/// be read.
pub fn is_importable(file: &Path) -> bool {
    import::is_recording(file)
}

/// Reads a recording and pairs all events as [`load`] does, but writes no database.
///
/// # Errors
/// Those of [`load`], except for those of the output.
pub fn dry_run(recording: &Path, progress: &mut dyn Progress) -> Result<Summary, LoadError> {
    pair(&Recording::open(recording)?, progress)
}

/// Reads another profiler's recording and pairs all events as [`import()`] does, but writes no
/// database.
///
/// # Errors
/// Those of [`import()`], except for those of the output.
pub fn dry_run_import(file: &Path, progress: &mut dyn Progress) -> Result<Summary, LoadError> {
    pair(&import::Recording::open(file)?, progress)
}

fn pair<R: Source>(source: &R, progress: &mut dyn Progress) -> Result<Summary, LoadError> {
    let started = Instant::now();
    let mut pipeline = Pipeline::read_metadata(source, progress)?;
    pipeline.pair_events(progress)?;
    Ok(pipeline.summary(started))
}

/// The contents and the losses of a recording, without decoding its events.
///
/// # Errors
/// Those of [`load`].
pub fn info(recording: &Path) -> Result<Info, LoadError> {
    let recording = Recording::open(recording)?;
    let metadata = RecordingMetadata::read(&mut recording.blocks(), &mut ())
        .map_err(|error| LoadError::reading(recording.path(), error))?
        .ok_or_else(LoadError::interrupted)?;
    Ok(Info::of(&recording, metadata))
}

/// Resolves the names of an existing database again. `symbols` are files, or directories that are
/// searched by build id, in addition to the usual places. The recording is not needed.
///
/// # Errors
/// When `database` is not a rheaper database or can't be written; it is then unchanged.
pub fn symbolize(
    database: &Path,
    symbols: &[PathBuf],
    progress: &mut dyn Progress,
) -> Result<SymbolSummary, LoadError> {
    pipeline::symbolize::symbolize(database, symbols, progress)
}
