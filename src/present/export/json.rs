//! Streams JSON: strings, numbers, and arrays of any length.
//!
//! Invariant: strings parse to the original, and contain no character that acts on a terminal.

use std::io::{self, Write};

use crate::database::text::sanitize;

/// A JSON string with its quotes.
pub(crate) fn string(text: &str) -> String {
    sanitize::json(&serde_json::Value::from(text).to_string())
}

/// A JSON number, or `null`.
pub(crate) fn number(number: Option<i64>) -> String {
    number.map_or_else(|| "null".to_owned(), |number| number.to_string())
}

/// Writes `[a,b,c]`.
pub(crate) fn array<T: AsRef<str>>(
    out: &mut dyn Write,
    items: impl IntoIterator<Item = T>,
) -> io::Result<()> {
    out.write_all(b"[")?;
    for (number, item) in items.into_iter().enumerate() {
        if number > 0 {
            out.write_all(b",")?;
        }
        out.write_all(item.as_ref().as_bytes())?;
    }
    out.write_all(b"]")
}

/// An array that is written item by item, one per line.
#[derive(Debug)]
pub(crate) struct List {
    is_first: bool,
}

impl List {
    /// Writes the beginning of the array.
    pub(crate) fn begin(out: &mut dyn Write) -> io::Result<Self> {
        out.write_all(b"[")?;
        Ok(Self { is_first: true })
    }

    /// Writes the separator before an item.
    pub(crate) fn item(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if std::mem::take(&mut self.is_first) { Ok(()) } else { out.write_all(b",\n") }
    }

    /// Writes the end of the array.
    pub(crate) fn end(out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"]")
    }
}
