//! The command line: what was typed becomes one library call, and its answer is printed.
//!
//! Reads: arguments. Writes: answers to stdout, narration to stderr.
//!
//! Invariants:
//! - Exit codes are those of `failure`; clap's own for wrong usage is the same 2.
//! - A reader that closes the pipe ends the program silently.

#[cfg(all(feature = "cli", feature = "collector"))]
pub(crate) mod demo;
mod commands;
mod args;
#[cfg(feature = "cli")]
pub(crate) mod repl;
pub(crate) mod run_query;
pub(crate) mod progress;
pub(crate) mod exit;
#[cfg(feature = "cli")]
pub(crate) mod interrupt;

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

#[cfg(feature = "collector")]
use crate::cli::args::DemoArgs;
use crate::cli::args::{Cli, Command, DiffArgs, LoadArgs, ReportArgs, ThemeName, TuiArgs};
use crate::cli::exit::Failure;
use crate::database::CancelToken;
#[cfg(feature = "collector")]
use crate::database::text::units;
use crate::present::report::{self, ReportFormat};
use crate::tui::TuiOptions;
use crate::tui::terminal::theme::{Background, Wanted};

pub use crate::cli::commands::export_view::write_view;
pub(crate) use crate::cli::commands::query::{bind_words, catalog, describe, find, list};
pub(crate) use crate::cli::commands::sql::read_script;

/// Runs the command that the arguments name, the program's name first.
pub fn run(args: impl IntoIterator<Item = std::ffi::OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                crate::cli::progress::error(&failure.message);
            }
            failure.exit_code()
        }
    }
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    let cancel = interrupt::install();
    match cli.command {
        Some(Command::Load(args)) => crate::cli::commands::load::load(args, &cancel),
        Some(Command::Symbolize(args)) => {
            crate::cli::commands::symbolize::symbolize(&args, &cancel)
        }
        Some(Command::Import(args)) => crate::cli::commands::load::import(args, &cancel),
        Some(Command::Tui(args)) => tui(&args, &cancel),
        Some(Command::Sql(args)) => crate::cli::commands::sql::sql(&args, &cancel),
        Some(Command::Query(args)) => crate::cli::commands::query::query(&args, &cancel),
        Some(Command::Report(args)) => print_report(&args, &cancel),
        Some(Command::Check(args)) => crate::cli::commands::check::check(&args, &cancel),
        Some(Command::Diff(args)) => crate::cli::commands::diff::diff(&args, &cancel),
        Some(Command::Info(args)) => crate::cli::commands::info::info(&args),
        Some(Command::Export(args)) => crate::cli::commands::export::export(&args, &cancel),
        #[cfg(feature = "collector")]
        Some(Command::Demo(args)) => demo(&args, &cancel),
        Some(Command::Completions(args)) => crate::cli::commands::completions::completions(&args),
        Some(Command::Man(args)) => crate::cli::commands::completions::man(&args),
        None => {
            let (Some(recording), output) = (cli.short.recording, cli.short.database) else {
                return Err(Failure::usage("expected a command, or a recording and a database"));
            };
            crate::cli::commands::load::load(
                LoadArgs {
                    recording,
                    output,
                    symbols: Vec::new(),
                    kinds: Vec::new(),
                    force: false,
                },
                &cancel,
            )
        }
    }
}

#[cfg(feature = "collector")]
fn demo(args: &DemoArgs, cancel: &CancelToken) -> Result<(), Failure> {
    let length = units::parse_duration(&args.length)
        .map_err(|error| Failure::usage(format!("--length: {error}")))?;
    let length = std::time::Duration::from_nanos(length.unsigned_abs());
    crate::cli::progress::say(&format!(
        "recording a small leaky service for {:.1} s",
        length.as_secs_f64()
    ));
    let recording =
        demo::record(length, cancel).map_err(|error| Failure::file(error.to_string()))?;
    if cancel.is_cancelled() {
        return Err(Failure::interrupted());
    }
    tui(&TuiArgs { file: Some(recording), ..TuiArgs::default() }, cancel)
}

fn tui(args: &TuiArgs, cancel: &CancelToken) -> Result<(), Failure> {
    let Some(file) = args.file.as_deref().filter(|_| !args.list_keys) else {
        return Ok(io::stdout().write_all(crate::tui::input::keymap::listing().as_bytes())?);
    };
    let keys = args.keys.as_deref().map(written_keys).transpose()?.unwrap_or_default();
    let database = crate::cli::commands::load::database_of(file, cancel)?;
    let other = args
        .compare
        .as_deref()
        .map(|file| crate::cli::commands::load::database_of(file, cancel))
        .transpose()?;
    let is_seen = io::stdout().is_terminal() && io::stdin().is_terminal();
    if let (Some(before), false) = (&other, is_seen) {
        return crate::cli::commands::diff::diff(&DiffArgs::of(before.clone(), database), cancel);
    }
    if !is_seen {
        return print_report(
            &ReportArgs { database, markdown: false, json: false, top: 5 },
            cancel,
        );
    }
    crate::cli::commands::open::database(&database)?;
    other.as_deref().map(crate::cli::commands::open::database).transpose()?;
    let record_keys = args.record_keys.clone();
    let wanted = args.theme.map(|theme| match theme {
        ThemeName::Auto => Wanted::Auto,
        ThemeName::Dark => Wanted::Is(Background::Dark),
        ThemeName::Light => Wanted::Is(Background::Light),
    });
    let exporter: Option<crate::tui::app::export::Writer> = Some(write_view);
    let compare = other;
    let options =
        TuiOptions { compare, keys, record_keys, wanted, exporter, ..TuiOptions::default() };
    crate::tui::run(&database, &options).map_err(|error| Failure::question(error.to_string()))
}

fn print_report(args: &ReportArgs, cancel: &CancelToken) -> Result<(), Failure> {
    let database = crate::cli::commands::open::database(&args.database)?;
    let format = match (args.markdown, args.json) {
        (true, _) => ReportFormat::Markdown,
        (_, true) => ReportFormat::Json,
        _ => ReportFormat::Text,
    };
    let report = report::gather(&database, args.top, cancel)?;
    let mut out = BufWriter::new(io::stdout().lock());
    report::write(&report, format, &mut out)?;
    Ok(out.flush()?)
}

/// The keys of a log.
fn written_keys(path: &Path) -> Result<Vec<crossterm::event::KeyEvent>, Failure> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| Failure::file(named(&error)))?;
    crate::tui::input::keylog::parse(&text).map_err(|error| Failure::file(named(&error)))
}
