//! Exports a table as CSV: column names first, then each row as it is read.
//!
//! Invariant: no cell begins a formula or contains a character that acts on a terminal.

use std::io::Write;

use crate::database::text::sanitize;
use crate::database::{Database, Value};
use crate::present::csv::CsvWriter;
use crate::present::export::Summary;
use crate::present::export::error::ExportError;
use crate::present::export::request::Request;
use crate::present::export::tables::Table;

pub(crate) fn write(
    table: &Table,
    database: &Database,
    request: &Request<'_>,
    out: &mut dyn Write,
) -> Result<Summary, ExportError> {
    let mut writer = CsvWriter::new(out);
    for field in &table.fields {
        writer.text(&sanitize::block(&field.name))?;
    }
    for label in &table.labels {
        writer.text(&sanitize::block(&label.name))?;
    }
    writer.end_record()?;
    let mut count = 0;
    table.for_each(database, request, |row| {
        for value in row {
            match value {
                Value::Text(text) => writer.text(&sanitize::block(text))?,
                other => writer.value(other)?,
            }
        }
        for label in &table.labels {
            writer.text(&sanitize::block(&label.value))?;
        }
        count += 1;
        Ok(writer.end_record()?)
    })?;
    writer.flush()?;
    Ok(Summary { noun: "rows", count, ..Summary::default() })
}
