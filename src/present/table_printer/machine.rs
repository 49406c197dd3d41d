//! The formats for programs: tsv, json, jsonl. Each row is written as it arrives.
//!
//! Invariant: the output parses to the same values by the rules of the format.

use std::collections::HashMap;
use std::io::{self, Write};

use serde::{Serialize, Serializer};

use crate::database::table::{Column, Value};
use crate::database::text::units;
use crate::present::json;
use crate::present::table_printer::{Format, Headers, Style};

pub(crate) struct Machine {
    format: Format,
    headers: Headers,
    /// Column names, made unique for JSON objects.
    names: Vec<String>,
    rows: u64,
}

impl Machine {
    pub(super) fn new(style: &Style, columns: &[Column]) -> Self {
        let names = unique_names(columns);
        Self { format: style.format, headers: style.headers, names, rows: 0 }
    }

    pub(super) fn row(&mut self, out: &mut dyn Write, row: &[Value]) -> io::Result<()> {
        self.begin(out)?;
        match self.format {
            Format::Json => {
                let lead = if self.rows == 0 { "[\n" } else { ",\n" };
                out.write_all(lead.as_bytes())?;
                self.object(out, row)?;
            }
            Format::Jsonl => {
                self.object(out, row)?;
                out.write_all(b"\n")?;
            }
            _ => fields(out, row.iter().map(field))?,
        }
        self.rows += 1;
        Ok(())
    }

    pub(super) fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.begin(out)?;
        if self.format == Format::Json {
            let end = if self.rows == 0 { "[]\n" } else { "\n]\n" };
            out.write_all(end.as_bytes())?;
        }
        Ok(())
    }

    fn begin(&self, out: &mut dyn Write) -> io::Result<()> {
        let named = self.format == Format::Tsv && self.headers == Headers::Shown;
        if self.rows > 0 || !named {
            return Ok(());
        }
        fields(out, self.names.iter().map(|name| field(&Value::Text(name.clone()))))
    }

    fn object(&self, out: &mut dyn Write, row: &[Value]) -> io::Result<()> {
        json::row(&Object { names: &self.names, row }, out)
    }
}

/// A row as a JSON object.
struct Object<'a> {
    names: &'a [String],
    row: &'a [Value],
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.names.iter().zip(self.row.iter().map(Cell)))
    }
}

/// A cell of JSON.
struct Cell<'a>(&'a Value);

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Integer(number) => serializer.serialize_i64(*number),
            Value::Real(number) => serializer.serialize_f64(*number),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Blob(_) => serializer.serialize_str(&units::raw(self.0)),
        }
    }
}

fn fields(out: &mut dyn Write, fields: impl Iterator<Item = String>) -> io::Result<()> {
    writeln!(out, "{}", fields.collect::<Vec<_>>().join("\t"))
}

/// A cell of TSV, which escapes with backslashes.
fn field(value: &Value) -> String {
    units::raw(value)
        .replace('\\', "\\\\")
        .replace('\t', "\\t")
        .replace('\n', "\\n")
        .replace('\r', "\\r")
}

/// Column names, where the second `size` becomes `size:2`.
pub(super) fn unique_names(columns: &[Column]) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let number = |Column { name, .. }: &'_ Column| {
        let count = seen.entry(name.clone()).or_default();
        *count += 1;
        if *count == 1 { name.clone() } else { format!("{name}:{count}") }
    };
    columns.iter().map(number).collect()
}
