//! `rheaper load`, its short form, and loading before the explorer opens.
//!
//! Reads: a recording. Writes: a database, through the loader; what came of it to stderr.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::cli::args::{ImportArgs, LoadArgs};
use crate::cli::exit::Failure;
use crate::cli::progress::{self, ProgressReporter};
use crate::database::builtin;
use crate::database::text::units;
use crate::database::{CancelToken, Database};
use crate::loader::{self, LoadOptions, Summary};

/// `rheaper load`
pub(crate) fn load(args: LoadArgs, cancel: &CancelToken) -> Result<(), Failure> {
    check_is_recording(&args.recording)?;
    let output = args.output.unwrap_or_else(|| beside(&args.recording));
    let kinds = kinds(args.kinds, &output);
    let options = LoadOptions { symbols: args.symbols, kinds, force: args.force };
    let summary = loader::load(
        &args.recording,
        &output,
        &options,
        &mut ProgressReporter::new(cancel.clone()),
    )?;
    tell(&summary, &output);
    Ok(())
}

/// `rheaper import`
pub(crate) fn import(args: ImportArgs, cancel: &CancelToken) -> Result<(), Failure> {
    let output = args.output.unwrap_or_else(|| beside(&args.recording));
    let kinds = kinds(args.kinds, &output);
    let options = LoadOptions { symbols: args.symbols, kinds, force: args.force };
    let summary = loader::import(
        &args.recording,
        &output,
        &options,
        &mut ProgressReporter::new(cancel.clone()),
    )?;
    tell(&summary, &output);
    Ok(())
}

/// The database to explore: the file itself, or what is loaded from it if it is a recording. One
/// that was loaded before and is younger than its recording is taken as it is.
pub(crate) fn database_of(file: &Path, cancel: &CancelToken) -> Result<PathBuf, Failure> {
    if !is_recording(file) {
        return Ok(file.to_owned());
    }
    let mut output = beside(file);
    if is_younger(&output, file) && Database::open(&output).is_ok() {
        return Ok(output);
    }
    if !is_writable(&output) {
        let name = output.file_name().unwrap_or_default().to_owned();
        output = std::env::temp_dir().join(name);
        progress::say(&format!(
            "the recording's directory can't be written: loading into {}",
            output.display()
        ));
    }
    let options = LoadOptions { kinds: kinds(Vec::new(), &output), ..LoadOptions::default() };
    let summary =
        loader::load(file, &output, &options, &mut ProgressReporter::new(cancel.clone()))?;
    tell(&summary, &output);
    Ok(output)
}

/// Whether the file begins as a recording does. A file that can't be read is none.
pub(crate) fn is_recording(file: &Path) -> bool {
    let mut magic = vec![0; crate::recording::MAGIC.len()];
    let read = fs::File::open(file).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok() && magic == crate::recording::MAGIC
}

/// Says what to do with what is no recording of ours, where that is known: a database, or what
/// only `rheaper import` reads.
pub(crate) fn check_is_recording(file: &Path) -> Result<(), Failure> {
    if !is_recording(file) && Database::open(file).is_ok() {
        let file = file.display();
        return Err(Failure::file(format!(
            "{file}: a database, not a recording; next: rheaper tui {file}"
        )));
    }
    refuse_foreign(file)
}

/// Says what to do with another profiler's recording, which only `rheaper import` reads.
pub(crate) fn refuse_foreign(file: &Path) -> Result<(), Failure> {
    if is_recording(file) || !loader::is_importable(file) {
        return Ok(());
    }
    let file = file.display();
    Err(Failure::file(format!(
        "{file}: a recording of another profiler; first: rheaper import {file}"
    )))
}

/// Files that say whose code a frame is: those that are given, that beside the database, the
/// user's.
fn kinds(given: Vec<PathBuf>, output: &Path) -> Vec<PathBuf> {
    const NAME: &str = "kinds.txt";
    let users = builtin::configuration().map(|directory| directory.join(NAME));
    let mut files = given;
    let found = [Some(output.with_file_name(NAME)), users].into_iter().flatten();
    files.extend(found.filter(|file| file.is_file()));
    files
}

/// `rip-123` is loaded into `rip-123.db`.
fn beside(recording: &Path) -> PathBuf {
    let mut name = recording.as_os_str().to_owned();
    name.push(".db");
    PathBuf::from(name)
}

fn is_younger(database: &Path, recording: &Path) -> bool {
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

fn tell(summary: &Summary, output: &Path) {
    let bytes = |bytes: u64| units::bytes(bytes as f64);
    let count = |count: u64| units::count(i64::try_from(count).unwrap_or(i64::MAX));
    let about = if summary.sample_bytes > 0 { "about " } else { "" };
    progress::say(&format!(
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
        progress::say(&format!(
            "the recording is not whole ({}): what is there was loaded",
            summary.ending.label()
        ));
    }
    for sentence in &summary.not_recorded {
        progress::say(&format!("not recorded: {sentence}"));
    }
    if let Ok(database) = Database::open(output) {
        progress::notes(&database);
    }
    for loss in &summary.losses {
        progress::say(&format!("lost: {} {}: {}", count(loss.count), loss.name, loss.meaning));
    }
    for note in &summary.symbols.notes {
        progress::say(&format!("symbols: {note}"));
    }
    progress::say(&format!(
        "wrote {} ({}) in {:.1} s; next: rheaper tui {}",
        output.display(),
        bytes(summary.database_bytes),
        summary.took.as_secs_f64(),
        output.display(),
    ));
}
