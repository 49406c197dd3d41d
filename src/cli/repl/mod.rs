//! The prompt of `rheaper sql`: reads statements and dot commands, prints their results.
//!
//! Invariants:
//! - Only `.quit` and the end of input end the prompt, no error does.
//! - Ctrl-C cancels the running query, or clears the line.

mod editor;
mod script;
mod commands;
mod session;
mod pager;
mod history;

use rustyline::Editor;
use rustyline::config::{ColorMode, CompletionType, Config};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;

use crate::cli::commands::query;
use crate::cli::exit::Failure;
use crate::cli::interrupt;
use crate::cli::progress;
use crate::cli::repl::editor::Helper;
use crate::cli::repl::script::Next;
use crate::cli::repl::session::Session;
use crate::database::completion::Names;
use crate::database::{CancelToken, Database};
use crate::present::table_printer::Style;

/// Limit on the entries of the history file.
const HISTORY_MAX: usize = 10_000;

/// Reads and runs lines until the user leaves.
pub(crate) fn run(database: &Database, style: Style, cancel: &CancelToken) -> Result<(), Failure> {
    let catalog = query::catalog();
    let names = Names::of(database, &catalog)?;
    let mut editor =
        editor(names).map_err(|error| Failure::file(format!("the terminal: {error}")))?;
    let history = crate::cli::repl::history::path();
    if let Some(path) = &history {
        // Does not exist at the first start.
        let _ = editor.load_history(path);
    }
    progress::print_line(
        "End statements with `;`   help: .help   built-in queries: .queries   leave: Ctrl-D",
    );
    let mut session = Session::new(database, &catalog, style, cancel);
    loop {
        let input = match editor.readline("rheaper> ") {
            Ok(input) => input,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(Failure::file(format!("the terminal: {error}"))),
        };
        if input.trim().is_empty() {
            continue;
        }
        let _ = editor.add_history_entry(input.trim());
        if let Some(path) = &history {
            // Written at once, so that a killed terminal loses nothing. Errors are ignored.
            let _ = editor.append_history(path);
        }
        interrupt::reset();
        if script::run_line(&mut session, &input) == Next::Quit {
            return Ok(());
        }
    }
}

fn editor(names: Names) -> rustyline::Result<Editor<Helper, FileHistory>> {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty())
        || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let config = Config::builder()
        .max_history_size(HISTORY_MAX)?
        .history_ignore_dups(true)?
        .completion_type(CompletionType::List)
        .color_mode(if plain { ColorMode::Disabled } else { ColorMode::Enabled })
        .build();
    let mut editor = Editor::with_config(config)?;
    editor.set_helper(Some(Helper::new(names)));
    Ok(editor)
}
