//! JSON written as it comes: arrays of any length, strings with everything wild escaped.
//!
//! Reads: values. Writes: text.
//!
//! Invariant: a string parses back to exactly what it was, and has no character that acts on a
//! terminal or a page.

use std::io::{self, Write};

use crate::database::text::sanitize;

/// A string with its quotes.
pub(crate) fn string(text: &str) -> String {
    sanitize::json(&serde_json::Value::from(text).to_string())
}

/// `null` for nothing.
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

/// An array that is being written, an item a line.
#[derive(Debug)]
pub(crate) struct List {
    is_first: bool,
}

impl List {
    /// Writes what comes before the items.
    pub(crate) fn begin(out: &mut dyn Write) -> io::Result<Self> {
        out.write_all(b"[")?;
        Ok(Self { is_first: true })
    }

    /// Writes what comes before an item.
    pub(crate) fn item(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if std::mem::take(&mut self.is_first) { Ok(()) } else { out.write_all(b",\n") }
    }

    /// Writes what comes behind the items.
    pub(crate) fn end(out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"]")
    }
}
