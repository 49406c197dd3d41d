//! The command line: parses arguments, runs one command, prints its result.
//!
//! Results go to stdout, progress and messages to stderr.
//!
//! Invariants:
//! - Exit codes are those of `exit`; clap's own code for wrong usage is 2 as well.
//! - If the reader of stdout closes the pipe, the program ends silently.

mod repl;
mod commands;
mod args;
mod argument_values;
mod run_query;
mod progress;
mod exit;
mod interrupt;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::args::{Cli, Command, LoadArgs};
use crate::cli::exit::Failure;

pub use crate::cli::commands::view_writer::write_view;

/// Runs the command that the arguments name. The first argument is the program's name.
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
                progress::print_error(&failure.message);
            }
            failure.exit_code()
        }
    }
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    let cancel = interrupt::install();
    match cli.command {
        Some(Command::Load(args)) => commands::load::load(args, &cancel),
        Some(Command::Symbolize(args)) => commands::symbolize::symbolize(&args, &cancel),
        Some(Command::Import(args)) => commands::load::import(args, &cancel),
        Some(Command::Tui(args)) => commands::tui::tui(&args, &cancel),
        Some(Command::Sql(args)) => commands::sql::sql(&args, repl::run, &cancel),
        Some(Command::Query(args)) => commands::query::query(&args, &cancel),
        Some(Command::Report(args)) => commands::report::report(&args, &cancel),
        Some(Command::Check(args)) => commands::check::check(&args, &cancel),
        Some(Command::Diff(args)) => commands::diff::diff(&args, &cancel),
        Some(Command::Info(args)) => commands::info::info(&args),
        Some(Command::Export(args)) => commands::export::export(&args, &cancel),
        #[cfg(feature = "collector")]
        Some(Command::Demo(args)) => commands::demo::demo(&args, &cancel),
        Some(Command::Completions(args)) => commands::completions::completions(&args),
        Some(Command::Man(args)) => commands::completions::man(&args),
        None => {
            let (Some(recording), output) = (cli.short.recording, cli.short.database) else {
                return Err(Failure::usage("expected a command, or a recording and a database"));
            };
            if output.is_none() && !recording.exists() {
                return Err(Failure::usage(format!(
                    "{} is neither a command nor an existing file; see rheaper --help",
                    recording.display()
                )));
            }
            let (symbols, kinds) = (Vec::new(), Vec::new());
            let args = LoadArgs { recording, output, symbols, kinds, force: false };
            commands::load::load(args, &cancel)
        }
    }
}
