//! The formats for programs: tsv, json, jsonl. Each row is written as it arrives.
//!
//! Invariant: the output parses to the same values by the rules of the format.

use std::collections::HashMap;
use std::io::{self, Write};

use crate::database::table::{Column, Value};
use crate::database::text::{sanitize, units};
use crate::present::table_printer::{Format, Headers, Style};

pub(crate) struct Machine {
    format: Format,
    headers: Headers,
    /// Column names, made unique for JSON objects.
    names: Vec<String>,
    /// The names as JSON keys, with the punctuation around them.
    keys: Vec<String>,
    rows: u64,
}

impl Machine {
    pub(super) fn new(style: &Style, columns: &[Column]) -> Self {
        let names = unique_names(columns);
        let lead = |i: usize| if i == 0 { "{" } else { ", " };
        let key = |(i, name): (usize, &String)| format!("{}{}: ", lead(i), string(name));
        let keys = names.iter().enumerate().map(key).collect();
        Self { format: style.format, headers: style.headers, names, keys, rows: 0 }
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
        for (key, value) in self.keys.iter().zip(row) {
            out.write_all(key.as_bytes())?;
            out.write_all(json(value).as_bytes())?;
        }
        out.write_all(if self.names.is_empty() { b"{}" } else { b"}" })
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

fn json(value: &Value) -> String {
    match value {
        Value::Real(number) if !number.is_finite() => "null".to_owned(),
        Value::Null => "null".to_owned(),
        Value::Integer(_) | Value::Real(_) => units::raw(value),
        Value::Text(text) => string(text),
        Value::Blob(_) => string(&units::raw(value)),
    }
}

/// A JSON string in which characters that act on a terminal are escaped as well.
fn string(text: &str) -> String {
    sanitize::json(&serde_json::Value::from(text).to_string())
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
