//! `rheaper load` with its short form `rheaper RECORDING [DB]`, `rheaper import`, and loading before the
//! explorer opens.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::cli::args::{ImportArgs, LoadArgs};
use crate::cli::exit::Failure;
use crate::cli::interrupt::TerminationHandler;
use crate::cli::progress::{self, ProgressReporter};
use crate::database::builtin;
use crate::database::text::units;
use crate::database::{CancelToken, Database};
use crate::loader::{self, LoadOptions, Summary};

/// `rheaper load`
pub(crate) fn load(args: LoadArgs, cancel: &CancelToken) -> Result<(), Failure> {
    check_is_recording(&args.recording)?;
    let output = args.output.map_or_else(|| default_output(&args.recording), Ok)?;
    let kinds = kinds_files(args.kinds, &output);
    let options = LoadOptions { symbols: args.symbols, kinds, force: args.force };
    let _handler = TerminationHandler::install();
    print_abandoned(&output);
    let summary = loader::load(
        &args.recording,
        &output,
        &options,
        &mut ProgressReporter::new(cancel.clone()),
    )?;
    print_summary(&summary, &output);
    Ok(())
}

/// `rheaper import`
pub(crate) fn import(args: ImportArgs, cancel: &CancelToken) -> Result<(), Failure> {
    let output = args.output.map_or_else(|| default_output(&args.recording), Ok)?;
    let kinds = kinds_files(args.kinds, &output);
    let options = LoadOptions { symbols: args.symbols, kinds, force: args.force };
    let _handler = TerminationHandler::install();
    print_abandoned(&output);
    let summary = loader::import(
        &args.recording,
        &output,
        &options,
        &mut ProgressReporter::new(cancel.clone()),
    )?;
    print_summary(&summary, &output);
    Ok(())
}

/// The database to explore: the file itself, or the database loaded from it if it is a recording. A
/// database that is newer than the recording is not loaded again.
pub(crate) fn database_of(file: &Path, cancel: &CancelToken) -> Result<PathBuf, Failure> {
    if !is_recording(file) {
        return Ok(file.to_owned());
    }
    let mut output = default_output(file)?;
    if is_newer(&output, file) && Database::open(&output).is_ok() {
        return Ok(output);
    }
    if !is_writable(&output) {
        let name = output.file_name().unwrap_or_default().to_owned();
        output = std::env::temp_dir().join(name);
        progress::print_line(&format!(
            "the recording's directory can't be written: loading into {}",
            output.display()
        ));
    }
    let _handler = TerminationHandler::install();
    print_abandoned(&output);
    let options = LoadOptions { kinds: kinds_files(Vec::new(), &output), ..LoadOptions::default() };
    let summary =
        loader::load(file, &output, &options, &mut ProgressReporter::new(cancel.clone()))?;
    print_summary(&summary, &output);
    Ok(output)
}

/// Whether the file begins like a recording. An unreadable file does not.
pub(crate) fn is_recording(file: &Path) -> bool {
    let mut magic = vec![0; crate::recording::MAGIC.len()];
    let read = fs::File::open(file).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok() && magic == crate::recording::MAGIC
}

/// Rejects databases and recordings of other profilers with the command that reads them.
pub(crate) fn check_is_recording(file: &Path) -> Result<(), Failure> {
    if !is_recording(file) && Database::open(file).is_ok() {
        let file = file.display();
        return Err(Failure::file(format!(
            "{file}: a database, not a recording; next: rheaper tui {file}"
        )));
    }
    refuse_foreign(file)
}

/// Rejects recordings of other profilers, which only `rheaper import` reads.
pub(crate) fn refuse_foreign(file: &Path) -> Result<(), Failure> {
    if is_recording(file) || !loader::is_importable(file) {
        return Ok(());
    }
    let file = file.display();
    Err(Failure::file(format!(
        "{file}: a recording of another profiler; first: rheaper import {file}"
    )))
}

/// The files of rules for the kinds of frames (own, dependency, std, runtime): the given ones, then `kinds.txt` beside the database,
/// then that of the user.
fn kinds_files(given: Vec<PathBuf>, output: &Path) -> Vec<PathBuf> {
    const NAME: &str = "kinds.txt";
    let users = builtin::configuration_directory().map(|directory| directory.join(NAME));
    let mut files = given;
    let found = [Some(output.with_file_name(NAME)), users].into_iter().flatten();
    files.extend(found.filter(|file| file.is_file()));
    files
}

/// The database `rip-123.db` for the recording `rip-123`. A recording that is a stream has no default,
/// because its database would be in a directory of the system.
fn default_output(recording: &Path) -> Result<PathBuf, Failure> {
    let absolute = std::path::absolute(recording).unwrap_or_else(|_| recording.to_owned());
    let is_stream = ["/dev", "/proc"].iter().any(|directory| absolute.starts_with(directory))
        && !absolute.starts_with("/dev/shm");
    if is_stream {
        return Err(Failure::usage(format!(
            "{} is a stream, which has no default database: name one with -o",
            recording.display()
        )));
    }
    let mut name = recording.as_os_str().to_owned();
    name.push(".db");
    Ok(PathBuf::from(name))
}

/// Prints the temporary files of killed loads of other databases in the directory of `output`. The
/// loader removes those of the same database.
fn print_abandoned(output: &Path) {
    for (path, bytes) in loader::abandoned_for_others(output) {
        progress::print_line(&format!(
            "{} ({}) was left by a killed load and can be removed",
            path.display(),
            units::bytes(bytes as f64)
        ));
    }
}

fn is_newer(database: &Path, recording: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
    matches!((modified(database), modified(recording)), (Ok(database), Ok(recording)) if database > recording)
}

fn is_writable(output: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let directory =
        output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(directory) = std::ffi::CString::new(directory.as_os_str().as_bytes()) else {
        return false;
    };
    // SAFETY: `access` reads the NUL-terminated path, which lives until it returns.
    unsafe { libc::access(directory.as_ptr(), libc::W_OK) == 0 }
}

fn print_summary(summary: &Summary, output: &Path) {
    let bytes = |bytes: u64| units::bytes(bytes as f64);
    let count = |count: u64| units::count(i64::try_from(count).unwrap_or(i64::MAX));
    let about = if summary.sample_bytes > 0 { "about " } else { "" };
    progress::print_line(&format!(
        "{about}{} allocations of {} from {} backtraces in {}; peak {}, at the end {} in {} blocks",
        count(summary.allocations),
        bytes(summary.bytes),
        count(summary.backtraces),
        units::duration(summary.duration_ns as f64),
        bytes(summary.peak_bytes),
        bytes(summary.live_bytes),
        count(summary.live_blocks),
    ));
    if summary.ending.is_partial() {
        progress::print_line(&format!(
            "the recording is incomplete ({}): the existing part was loaded",
            summary.ending.label()
        ));
    }
    for sentence in &summary.not_recorded {
        progress::print_line(&format!("not recorded: {sentence}"));
    }
    if let Ok(database) = Database::open(output) {
        progress::print_caveats(&database);
    }
    for loss in &summary.losses {
        progress::print_line(&format!(
            "lost: {} {}: {}",
            count(loss.count),
            loss.name,
            loss.meaning
        ));
    }
    for note in &summary.symbols.notes {
        progress::print_line(&format!("symbols: {note}"));
    }
    progress::print_line(&format!(
        "wrote {} ({}) in {:.1} s; next: rheaper tui {}",
        output.display(),
        bytes(summary.database_bytes),
        summary.took.as_secs_f64(),
        output.display(),
    ));
}
