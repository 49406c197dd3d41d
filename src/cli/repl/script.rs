//! Runs a text of statements and dot commands: a line of the prompt, or a file of `.read`.
//!
//! Invariant: statements run in order until one fails.

use crate::cli::exit::Failure;
use crate::cli::progress;
use crate::cli::repl::commands::{self, Outcome};
use crate::cli::repl::session::Session;
use crate::cli::run_query::Statement;
use crate::database::Params;
use crate::database::sql::lexer;

/// Limit on nested `.read`, which detects files that read each other.
const DEPTH_MAX: usize = 16;

/// Whether the prompt continues.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Continue,
    Quit,
}

/// Runs a line of the prompt and prints its error, if it fails.
pub(super) fn run_line(session: &mut Session<'_>, line: &str) -> Next {
    session.update_width();
    run(session, line, 0).unwrap_or_else(|failure| {
        if !failure.message.is_empty() {
            progress::print_error(&failure.message);
        }
        Next::Continue
    })
}

fn run(session: &mut Session<'_>, text: &str, depth: usize) -> Result<Next, Failure> {
    if depth >= DEPTH_MAX {
        return Err(Failure::failed(".read is nested too deeply: do the files read each other?"));
    }
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if rest.starts_with('.') {
            let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
            match commands::dispatch(session, line)? {
                Outcome::Done => {}
                Outcome::Quit => return Ok(Next::Quit),
                Outcome::Script(script) => {
                    if run(session, &script, depth + 1)? == Next::Quit {
                        return Ok(Next::Quit);
                    }
                }
            }
            rest = after;
            continue;
        }
        let Some(statement) = lexer::statements(rest).into_iter().next() else {
            return Ok(Next::Continue);
        };
        let sql = &rest[statement.range.clone()];
        session.run(&Statement { sql, params: &Params::none(), query: None })?;
        rest = rest[statement.range.end..].trim_start();
        rest = rest.strip_prefix(';').unwrap_or(rest);
    }
}
