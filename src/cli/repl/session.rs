//! The state of a prompt between two lines, and where results are printed.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use crate::cli::exit::Failure;
use crate::cli::progress;
use crate::cli::repl::pager::Pager;
use crate::cli::run_query::{self, Statement};
use crate::database::text::units;
use crate::database::{CancelToken, Catalog, Database, Limits};
use crate::present::table_printer::Style;

/// Whether the number of rows and the time are printed below a result.
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
    /// The file of `.output`; `None`: the screen.
    pub(super) output: Option<File>,
    cancel: &'a CancelToken,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        database: &'a Database,
        catalog: &'a Catalog,
        style: Style,
        cancel: &'a CancelToken,
    ) -> Self {
        Self { database, catalog, style, timer: Timer::On, output: None, cancel }
    }

    /// Adapts to the width of the terminal, which may have been resized.
    pub(super) fn update_width(&mut self) {
        if self.style.width.is_some() {
            self.style.width = run_query::terminal_width();
        }
    }

    /// Runs a statement and prints its rows.
    pub(super) fn run(&mut self, statement: &Statement<'_>) -> Result<(), Failure> {
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
            let elapsed = units::duration(start.elapsed().as_nanos() as f64);
            let count = units::count(i64::try_from(rows).unwrap_or(i64::MAX));
            progress::print_line(&format!("{count} row{plural} in {elapsed}"));
        }
        Ok(())
    }

    /// Prints text to the screen or the output file.
    pub(super) fn show(
        &mut self,
        text: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Failure> {
        self.print(|out| Ok(text(out)?))
    }

    /// Whether the path is the open database.
    pub(super) fn is_database(&self, path: &Path) -> bool {
        let paths = (path.canonicalize(), self.database.path().canonicalize());
        matches!(paths, (Ok(path), Ok(database)) if path == database)
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
        // Buffered rows are shown before the error is returned.
        let flushed = pager.flush();
        let (pager, _) = pager.into_parts();
        pager.close()?;
        printed?;
        match flushed {
            // The user quit the pager early.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => Ok(other?),
        }
    }
}
