//! Asks one statement and prints its rows as they come; shared by the commands and the prompt.
//!
//! Reads: a database. Writes: rows to a writer.

use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;

use crate::cli::exit::Failure;
use crate::database::{BuiltinQuery, Column, Database, Limits, Params, QueryError, Value};
use crate::present::table_printer::caret;
use crate::present::table_printer::{Format, Printer, Style};

/// A statement with its parameters and, if it is a canned one, what its header says.
pub(crate) struct Statement<'a> {
    pub(crate) sql: &'a str,
    pub(crate) params: &'a Params,
    pub(crate) query: Option<&'a BuiltinQuery>,
}

/// The rows printed, or why not all of them.
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
    let asked = database.stream(statement.sql, statement.params, limits, |row: &[Value]| {
        written = printer.row(row);
        rows += 1;
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    written?;
    // Rows before an error are shown: they are part of the answer, and the error follows.
    printer.finish()?;
    asked.map_err(failed)?;
    Ok(rows)
}

fn labelled(mut columns: Vec<Column>, query: Option<&BuiltinQuery>) -> Vec<Column> {
    if let Some(query) = query {
        query.label(&mut columns);
    }
    columns
}

/// The style for stdout as it is: cut to the terminal, if it is one.
pub(crate) fn style_of(format: Format) -> Style {
    Style { format, width: terminal_width(), ..Style::default() }
}

/// Columns of the terminal that stdout is, if it is one.
pub(crate) fn terminal_width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    crossterm::terminal::size()
        .ok()
        .map(|(columns, _)| usize::from(columns))
        .filter(|columns| *columns > 0)
}
