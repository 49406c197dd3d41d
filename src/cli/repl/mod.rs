//! `rheaper sql` on a terminal: reads statements and dot commands, shows their answers.
//!
//! Reads: the keyboard, a database. Writes: the terminal, a history file, and a file that the user
//! names with `.output`.
//!
//! Invariants:
//! - No error ends the prompt; only `.quit` and the end of input do.
//! - Ctrl-C stops the running query, or clears the line, and nothing else.

pub(crate) mod editor;
pub(crate) mod history;
pub(crate) mod commands;
pub(crate) mod session;
pub(crate) mod pager;

use rustyline::Editor;
use rustyline::config::{ColorMode, CompletionType, Config};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;

use crate::cli;
use crate::cli::exit::Failure;
use crate::cli::interrupt;
use crate::cli::progress;
use crate::cli::repl::editor::Helper;
use crate::cli::repl::session::{Next, Session};
use crate::database::completion::Names;
use crate::database::{CancelToken, Database};
use crate::present::table_printer::Style;

/// Statements that the history keeps.
const HISTORY_MAX: usize = 10_000;

/// Reads and answers until the user leaves.
pub(crate) fn run(database: &Database, style: Style, cancel: &CancelToken) -> Result<(), Failure> {
    let catalog = cli::catalog();
    let names = Names::of(database, &catalog)?;
    let mut editor =
        editor(names).map_err(|error| Failure::file(format!("the terminal: {error}")))?;
    let history = crate::cli::repl::history::path();
    if let Some(path) = &history {
        // The first time there is none.
        let _ = editor.load_history(path);
    }
    progress::print_line(
        "Ends a statement: `;`   help: .help   canned queries: .queries   leave: Ctrl-D",
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
            // Kept at once, so that a killed terminal loses nothing. A full disk is no reason to stop.
            let _ = editor.append_history(path);
        }
        interrupt::reset();
        if session.run(&input) == Next::Leave {
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
