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

/// The output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// Aligned columns.
    #[default]
    Table,
    /// Comma-separated values.
    Csv,
    /// Tab-separated values.
    Tsv,
    /// One array of objects.
    Json,
    /// One object per line.
    Jsonl,
    /// A Markdown table.
    Markdown,
    /// One value per line.
    Line,
}

impl Format {
    /// All formats with their names and descriptions in the help.
    #[rustfmt::skip]
    pub(crate) const NAMES: &[(Self, &str, &str)] = &[
        (Self::Table, "table", "Aligned columns, with units"),
        (Self::Csv, "csv", "Comma-separated, quoted where needed; a `'` precedes text that a spreadsheet would evaluate"),
        (Self::Tsv, "tsv", "Tab-separated; tabs, line ends and backslashes in cells become \\t, \\n, \\\\"),
        (Self::Json, "json", "One array of objects"),
        (Self::Jsonl, "jsonl", "One object per line"),
        (Self::Markdown, "markdown", "A table for an issue or a document, with units"),
        (Self::Line, "line", "One value per line, with units; for rows that are too wide"),
    ];

    /// The format of a name, ignoring case.
    ///
    /// # Errors
    /// A sentence that lists the names.
    pub(crate) fn parse(typed: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(_, name, _)| name.eq_ignore_ascii_case(typed));
        found.map(|(format, ..)| *format).ok_or_else(|| {
            let names: Vec<&str> = Self::NAMES.iter().map(|(_, name, _)| *name).collect();
            format!("no format is called `{typed}`; there are {}", names.join(", "))
        })
    }
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
