//! Prints answers: aligned for people, in a machine's format for pipes.
//!
//! Reads: columns and rows, one after the other. Writes: to any writer; never more than a window
//! of rows is held.
//!
//! Invariants:
//! - Formats for people have units and are cleaned: no byte of a recording moves a cursor.
//! - Formats for machines have every digit and no unit, and are escaped as their rules say.

pub(crate) mod caret;
pub(crate) mod aligned;
pub(crate) mod machine;

use std::io::{self, Write};

use crate::database::table::{Column, Value};

pub(crate) use crate::present::table_printer::aligned::cut;

/// How rows are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns, with units.
    #[default]
    Table,
    /// Comma-separated, quoted where needed; text that a spreadsheet would run gets a `'`.
    Csv,
    /// Tab-separated; tabs, line ends and backslashes in cells are written \t, \n, \\.
    Tsv,
    /// One array of objects.
    Json,
    /// One object a line.
    Jsonl,
    /// A table for an issue or a document, with units.
    Markdown,
    /// One value a line, with units; for rows that are too wide.
    Line,
}

/// Where rows go, and how they look there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Style {
    /// How rows are written.
    pub format: Format,
    /// Whether names of columns come first, where the format lets one choose.
    pub headers: Headers,
    /// Columns of the terminal; `None`: not a terminal, nothing is cut to fit.
    pub width: Option<usize>,
    /// Widths that the user has set, by column; 0 for automatic.
    pub column_widths: Vec<usize>,
}

/// Whether names of columns are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Headers {
    /// Above the rows.
    #[default]
    Shown,
    /// Not at all.
    Hidden,
}

/// Takes rows and writes them.
pub(crate) struct Printer<'a> {
    out: &'a mut dyn Write,
    form: Form,
}

enum Form {
    Aligned(crate::present::table_printer::aligned::Aligned),
    Machine(crate::present::table_printer::machine::Machine),
}

impl<'a> Printer<'a> {
    /// A printer that has written nothing yet.
    pub(crate) fn new(out: &'a mut dyn Write, style: &Style, columns: &[Column]) -> Self {
        let form = match style.format {
            Format::Table | Format::Markdown | Format::Line => {
                Form::Aligned(crate::present::table_printer::aligned::Aligned::new(style, columns))
            }
            Format::Csv | Format::Tsv | Format::Json | Format::Jsonl => {
                Form::Machine(crate::present::table_printer::machine::Machine::new(style, columns))
            }
        };
        Self { out, form }
    }

    /// Writes a row, or holds it until widths are known.
    ///
    /// # Errors
    /// If the writer fails.
    pub(crate) fn row(&mut self, row: &[Value]) -> io::Result<()> {
        match &mut self.form {
            Form::Aligned(aligned) => aligned.row(self.out, row),
            Form::Machine(machine) => machine.row(self.out, row),
        }
    }

    /// Writes what is left, and flushes.
    ///
    /// # Errors
    /// If the writer fails.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        match &mut self.form {
            Form::Aligned(aligned) => aligned.finish(self.out)?,
            Form::Machine(machine) => machine.finish(self.out)?,
        }
        self.out.flush()
    }
}
