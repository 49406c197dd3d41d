//! Runs one statement and prints its rows as they arrive; used by the commands and the prompt.

use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;

use crate::cli::exit::Failure;
use crate::database::{BuiltinQuery, Column, Database, Limits, Params, QueryError, Value};
use crate::present::table_printer::caret;
use crate::present::table_printer::{Format, Printer, Style};

/// A statement with its parameters, and the built-in query that it belongs to.
pub(crate) struct Statement<'a> {
    pub(crate) sql: &'a str,
    pub(crate) params: &'a Params,
    pub(crate) query: Option<&'a BuiltinQuery>,
}

/// Runs a statement and prints its rows; returns their number.
pub(crate) fn run(
    database: &Database,
    statement: &Statement<'_>,
    style: &Style,
    limits: &Limits,
    out: &mut dyn Write,
) -> Result<u64, Failure> {
    let failed = |error: QueryError| Failure::query(&error, caret::explain(&error, statement.sql));
    let columns = labelled(database.columns(statement.sql).map_err(failed)?, statement.query);
    let mut printer = Printer::new(out, style, &columns);
    let mut written: io::Result<()> = Ok(());
    let mut rows = 0u64;
    let finished = database.stream(statement.sql, statement.params, limits, |row: &[Value]| {
        written = printer.row(row);
        rows += 1;
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    written?;
    // Rows that arrived before an error are printed before the error is returned.
    printer.finish()?;
    finished.map_err(failed)?;
    Ok(rows)
}

fn labelled(mut columns: Vec<Column>, query: Option<&BuiltinQuery>) -> Vec<Column> {
    if let Some(query) = query {
        query.label(&mut columns);
    }
    columns
}

/// The style for stdout, cut to the width of a terminal.
pub(crate) fn style_of(format: Format) -> Style {
    Style { format, width: terminal_width(), ..Style::default() }
}

/// The width of the terminal, if stdout is one.
pub(crate) fn terminal_width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    crossterm::terminal::size()
        .ok()
        .map(|(columns, _)| usize::from(columns))
        .filter(|columns| *columns > 0)
}
