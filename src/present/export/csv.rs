//! A table as CSV: names first, quoted where needed, NULL as nothing.
//!
//! Reads: rows. Writes: each as it comes.
//!
//! Invariant: no cell begins a formula, and none acts on a terminal.

use std::borrow::Cow;
use std::io::Write;

use crate::database::text::{sanitize, units};
use crate::database::{Database, Value};
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
    let mut writer = csv::Writer::from_writer(out);
    let names = table.fields.iter().map(|field| &field.name);
    let labels = table.labels.iter().map(|label| &label.name);
    writer.write_record(names.chain(labels).map(|name| cell(name).into_owned())).map_err(failed)?;
    let mut count = 0;
    table.for_each(database, request, |row| {
        for value in row {
            match value {
                Value::Text(text) => writer.write_field(cell(text).as_bytes()),
                other => writer.write_field(units::raw(other)),
            }
            .map_err(failed)?;
        }
        for label in &table.labels {
            writer.write_field(cell(&label.value).as_bytes()).map_err(failed)?;
        }
        count += 1;
        writer.write_record(None::<&[u8]>).map_err(failed)
    })?;
    writer.flush()?;
    Ok(Summary { noun: "rows", count, ..Summary::default() })
}

/// Text with a `'` in front where a spreadsheet would run it.
fn cell(text: &str) -> Cow<'_, str> {
    let text = sanitize::block(text);
    if text.starts_with(['=', '+', '-', '@', '\t']) { format!("'{text}").into() } else { text }
}

fn failed(error: csv::Error) -> ExportError {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => ExportError::Io(error),
        other => ExportError::Io(std::io::Error::other(format!("{other:?}"))),
    }
}
