//! Prints query results row by row: aligned with units for people, or in a format for programs.
//!
//! Invariants:
//! - Memory is bounded: at most a window of rows is buffered.
//! - Formats for people are sanitized: no byte of a recording acts on a terminal.
//! - Formats for programs have all digits and no units, and are escaped by their own rules.

pub(crate) mod caret;
pub(crate) mod aligned;
pub(crate) mod machine;

use std::io::{self, Write};

use crate::database::table::{Column, Value};
use crate::present::csv::CsvWriter;
use crate::present::table_printer::aligned::Aligned;
use crate::present::table_printer::machine::Machine;

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

/// The options of a printer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Style {
    /// The output format.
    pub format: Format,
    /// Whether column names are printed, in formats that can omit them.
    pub headers: Headers,
    /// Width of the terminal; `None`: rows are not cut.
    pub width: Option<usize>,
    /// Widths of columns that the user has set; 0: automatic.
    pub column_widths: Vec<usize>,
}

/// Whether column names are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Headers {
    /// Printed above the rows.
    #[default]
    Shown,
    /// Not printed.
    Hidden,
}

/// Prints rows in one of the formats.
pub(crate) enum Printer<'a> {
    /// table, markdown, line.
    Aligned(&'a mut dyn Write, Aligned),
    /// tsv, json, jsonl.
    Machine(&'a mut dyn Write, Machine),
    /// csv, with the names until they are written.
    Csv(Box<CsvWriter<'a>>, Option<Vec<String>>),
}

impl<'a> Printer<'a> {
    /// A printer that has written nothing yet.
    pub(crate) fn new(out: &'a mut dyn Write, style: &Style, columns: &[Column]) -> Self {
        match style.format {
            Format::Table | Format::Markdown | Format::Line => {
                Self::Aligned(out, Aligned::new(style, columns))
            }
            Format::Tsv | Format::Json | Format::Jsonl => {
                Self::Machine(out, Machine::new(style, columns))
            }
            Format::Csv => {
                let shown = style.headers == Headers::Shown;
                Self::Csv(
                    Box::new(CsvWriter::new(out)),
                    shown.then(|| machine::unique_names(columns)),
                )
            }
        }
    }

    /// Prints a row, or buffers it until the column widths are known.
    ///
    /// # Errors
    /// If the writer fails.
    pub(crate) fn row(&mut self, row: &[Value]) -> io::Result<()> {
        match self {
            Self::Aligned(out, aligned) => aligned.row(*out, row),
            Self::Machine(out, machine) => machine.row(*out, row),
            Self::Csv(writer, names) => {
                write_names(writer, names)?;
                row.iter().try_for_each(|value| writer.value(value))?;
                writer.end_record()
            }
        }
    }

    /// Prints all buffered rows, and flushes.
    ///
    /// # Errors
    /// If the writer fails.
    pub(crate) fn finish(self) -> io::Result<()> {
        match self {
            Self::Aligned(out, mut aligned) => {
                aligned.finish(out)?;
                out.flush()
            }
            Self::Machine(out, mut machine) => {
                machine.finish(out)?;
                out.flush()
            }
            Self::Csv(mut writer, mut names) => {
                write_names(&mut writer, &mut names)?;
                writer.flush()
            }
        }
    }
}

/// Writes the column names before the first row.
fn write_names(writer: &mut CsvWriter<'_>, names: &mut Option<Vec<String>>) -> io::Result<()> {
    let Some(names) = names.take() else { return Ok(()) };
    names.iter().try_for_each(|name| writer.text(name))?;
    writer.end_record()
}
