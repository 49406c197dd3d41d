//! `rheaper tui`: opens the explorer on a database or a recording. Without a terminal it prints the
//! report or the comparison instead.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use crate::cli::args::{DiffArgs, ReportArgs, TuiArgs};
use crate::cli::argument_values::ThemeName;
use crate::cli::commands::open;
use crate::cli::commands::view_writer;
use crate::cli::commands::{diff, load, report};
use crate::cli::exit::Failure;
use crate::database::CancelToken;
use crate::tui::TuiOptions;
use crate::tui::terminal::theme::{Background, BackgroundChoice};

/// Suspects of the report that is printed without a terminal.
const REPORT_SUSPECTS: usize = 5;

/// `rheaper tui`
pub(crate) fn tui(args: &TuiArgs, cancel: &CancelToken) -> Result<(), Failure> {
    let Some(file) = args.file.as_deref().filter(|_| !args.list_keys) else {
        return Ok(io::stdout().write_all(crate::tui::input::key_lookup::listing().as_bytes())?);
    };
    let keys = args.keys.as_deref().map(read_key_log).transpose()?.unwrap_or_default();
    let database = load::database_of(file, cancel)?;
    let compare =
        args.compare.as_deref().map(|file| load::database_of(file, cancel)).transpose()?;
    let is_interactive = io::stdout().is_terminal() && io::stdin().is_terminal();
    if let (Some(before), false) = (&compare, is_interactive) {
        return diff::diff(&DiffArgs::of(before.clone(), database), cancel);
    }
    if !is_interactive {
        let args = ReportArgs { database, markdown: false, json: false, top: REPORT_SUSPECTS };
        return report::report(&args, cancel);
    }
    // Opened here first, so that an error is printed before the screen changes.
    open::database(&database)?;
    compare.as_deref().map(open::database).transpose()?;
    let background = args.theme.map(|theme| match theme {
        ThemeName::Auto => BackgroundChoice::Auto,
        ThemeName::Dark => BackgroundChoice::Fixed(Background::Dark),
        ThemeName::Light => BackgroundChoice::Fixed(Background::Light),
    });
    let exporter: Option<crate::tui::app::export::Writer> = Some(view_writer::write_view);
    let record_keys = args.record_keys.clone();
    let options =
        TuiOptions { compare, keys, record_keys, background, exporter, ..TuiOptions::default() };
    crate::tui::run(&database, &options).map_err(|error| Failure::failed(error.to_string()))
}

/// The keys of a file that `--record-keys` wrote.
fn read_key_log(path: &Path) -> Result<Vec<crossterm::event::KeyEvent>, Failure> {
    let failure =
        |error: &dyn std::fmt::Display| Failure::file(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| failure(&error))?;
    crate::tui::input::keylog::parse(&text).map_err(|error| failure(&error))
}
