//! Writes CSV that is safe to open: cells are quoted where needed, and a `'` precedes text that a
//! spreadsheet would evaluate as a formula.

use std::borrow::Cow;
use std::io::{self, Write};

use crate::database::Value;
use crate::database::text::units;

/// First characters with which spreadsheets begin a formula; some skip leading tabs and returns.
const FORMULA_STARTS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// Writes records to any writer.
pub(crate) struct CsvWriter<'a> {
    writer: csv::Writer<&'a mut dyn Write>,
}

impl<'a> CsvWriter<'a> {
    pub(crate) fn new(out: &'a mut dyn Write) -> Self {
        Self { writer: csv::Writer::from_writer(out) }
    }

    /// Adds a cell of text.
    pub(crate) fn text(&mut self, text: &str) -> io::Result<()> {
        self.writer.write_field(guarded(text).as_bytes()).map_err(failed)
    }

    /// Adds a cell; NULL is an empty one, numbers have all digits.
    pub(crate) fn value(&mut self, value: &Value) -> io::Result<()> {
        match value {
            Value::Text(text) => self.text(text),
            // Numbers may begin with a minus.
            other => self.writer.write_field(units::raw(other)).map_err(failed),
        }
    }

    /// Ends the record.
    pub(crate) fn end_record(&mut self) -> io::Result<()> {
        self.writer.write_record(None::<&[u8]>).map_err(failed)
    }

    /// Writes all buffered records.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

fn guarded(text: &str) -> Cow<'_, str> {
    if text.starts_with(FORMULA_STARTS) { format!("'{text}").into() } else { text.into() }
}

fn failed(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}
