//! What a prompt keeps between two lines, and how a line is run.
//!
//! Reads: statements and commands. Writes: answers to the screen, a pager or the output file.
//!
//! Invariant: each statement of a line is run until one fails; the failure is said, not returned.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use crate::cli::exit::Failure;
use crate::cli::progress;
use crate::cli::repl::commands;
use crate::cli::repl::pager::Pager;
use crate::cli::run_query::{self, Statement};
use crate::database::sql::lexer;
use crate::database::text::units;
use crate::database::{CancelToken, Catalog, Database, Limits, Params};
use crate::present::table_printer::Style;

/// `.read` in a file that is read, so deep; then it is a circle.
const SCRIPT_DEPTH_MAX: usize = 16;

/// Whether the prompt goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Stay,
    Leave,
}

/// Whether rows and time are told below an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    On,
    Off,
}

pub(super) struct Session<'a> {
    pub(super) database: &'a Database,
    pub(super) catalog: &'a Catalog,
    pub(super) style: Style,
    pub(super) timer: Timer,
    pub(super) output: Option<File>,
    cancel: &'a CancelToken,
    depth: usize,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        database: &'a Database,
        catalog: &'a Catalog,
        style: Style,
        cancel: &'a CancelToken,
    ) -> Self {
        Self { database, catalog, style, timer: Timer::On, output: None, cancel, depth: 0 }
    }

    /// Runs what was typed and says what failed.
    pub(super) fn run(&mut self, input: &str) -> Next {
        // The terminal may have been resized since.
        if self.style.width.is_some() {
            self.style.width = run_query::terminal_width();
        }
        match self.script(input) {
            Ok(next) => next,
            Err(failure) => {
                if !failure.message.is_empty() {
                    progress::print_error(&failure.message);
                }
                Next::Stay
            }
        }
    }

    /// Runs statements and, on lines of their own between them, commands.
    pub(super) fn script(&mut self, script: &str) -> Result<Next, Failure> {
        if self.depth >= SCRIPT_DEPTH_MAX {
            return Err(Failure::failed("files that read each other without end"));
        }
        self.depth += 1;
        let done = self.pieces(script);
        self.depth -= 1;
        done
    }

    fn pieces(&mut self, script: &str) -> Result<Next, Failure> {
        let mut rest = script;
        loop {
            rest = rest.trim_start();
            if rest.is_empty() {
                return Ok(Next::Stay);
            }
            if rest.starts_with('.') {
                let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
                if commands::dispatch(self, line)? == Next::Leave {
                    return Ok(Next::Leave);
                }
                rest = after;
                continue;
            }
            let Some(statement) = lexer::statements(rest).into_iter().next() else {
                return Ok(Next::Stay);
            };
            let sql = &rest[statement.range.clone()];
            self.ask(&Statement { sql, params: &Params::none(), query: None })?;
            rest = rest[statement.range.end..].trim_start();
            rest = rest.strip_prefix(';').unwrap_or(rest);
        }
    }

    /// Answers a statement where answers go.
    pub(super) fn ask(&mut self, statement: &Statement<'_>) -> Result<Next, Failure> {
        let start = Instant::now();
        let limits = Limits::none().cancelled_by(self.cancel);
        let (database, mut style) = (self.database, self.style.clone());
        if self.output.is_some() {
            style.width = None;
        }
        let mut rows = 0;
        self.print(|out| {
            rows = run_query::run(database, statement, &style, &limits, out)?;
            Ok(())
        })?;
        if self.timer == Timer::On {
            let plural = if rows == 1 { "" } else { "s" };
            let took = units::duration(start.elapsed().as_nanos() as f64);
            let count = units::count(i64::try_from(rows).unwrap_or(i64::MAX));
            progress::print_line(&format!("{count} row{plural} in {took}"));
        }
        Ok(Next::Stay)
    }

    /// Prints text where answers go.
    pub(super) fn show(
        &mut self,
        text: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<Next, Failure> {
        self.print(|out| Ok(text(out)?))?;
        Ok(Next::Stay)
    }

    /// Whether the path is the database that is open.
    pub(super) fn is_database(&self, path: &Path) -> bool {
        let same = (path.canonicalize(), self.database.path().canonicalize());
        matches!(same, (Ok(path), Ok(database)) if path == database)
    }

    fn print(
        &mut self,
        text: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if let Some(file) = &mut self.output {
            let mut out = BufWriter::new(file);
            text(&mut out)?;
            return Ok(out.flush()?);
        }
        let height = crossterm::terminal::size().map_or(24, |(_, rows)| usize::from(rows));
        let mut pager = BufWriter::new(Pager::new(height));
        let printed = text(&mut pager);
        // What is still buffered is shown before an error is said.
        let flushed = pager.flush();
        let (pager, _) = pager.into_parts();
        pager.close()?;
        // Leaving the pager early is no failure.
        printed?;
        match flushed {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        }
    }
}
