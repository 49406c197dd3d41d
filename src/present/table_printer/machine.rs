//! The formats for machines: csv, tsv, json, jsonl.
//!
//! Reads: rows. Writes: each as it comes.
//!
//! Invariant: what is written parses back to the same values, by the rules of the format.

use std::collections::HashMap;
use std::io::{self, Write};

use crate::database::table::{Column, Value};
use crate::database::text::{sanitize, units};
use crate::present::table_printer::{Format, Headers, Style};

pub(super) struct Machine {
    format: Format,
    headers: Headers,
    /// Unique, as objects need them.
    names: Vec<String>,
    /// The same as JSON, with what stands before and behind them.
    keys: Vec<String>,
    rows: u64,
}

impl Machine {
    pub(super) fn new(style: &Style, columns: &[Column]) -> Self {
        let names = unique(columns);
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
            format => fields(out, format, row.iter().map(|value| field(value, format)))?,
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
        let named =
            matches!(self.format, Format::Csv | Format::Tsv) && self.headers == Headers::Shown;
        if self.rows > 0 || !named {
            return Ok(());
        }
        fields(
            out,
            self.format,
            self.names.iter().map(|name| field(&Value::Text(name.clone()), self.format)),
        )
    }

    fn object(&self, out: &mut dyn Write, row: &[Value]) -> io::Result<()> {
        for (key, value) in self.keys.iter().zip(row) {
            out.write_all(key.as_bytes())?;
            out.write_all(json(value).as_bytes())?;
        }
        out.write_all(if self.names.is_empty() { b"{}" } else { b"}" })
    }
}

fn fields(
    out: &mut dyn Write,
    format: Format,
    fields: impl Iterator<Item = String>,
) -> io::Result<()> {
    let separator = if format == Format::Csv { "," } else { "\t" };
    let line = fields.collect::<Vec<_>>().join(separator);
    writeln!(out, "{line}")
}

fn field(value: &Value, format: Format) -> String {
    let text = units::raw(value);
    if format == Format::Tsv {
        return text
            .replace('\\', "\\\\")
            .replace('\t', "\\t")
            .replace('\n', "\\n")
            .replace('\r', "\\r");
    }
    // A spreadsheet would run `=…`; numbers of ours may begin with a minus.
    let runs =
        matches!(value, Value::Text(_)) && text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if runs { format!("'{text}") } else { text };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
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

/// A JSON string in which every character that could act on a terminal is escaped as well.
fn string(text: &str) -> String {
    sanitize::json(&serde_json::Value::from(text).to_string())
}

/// The names of the columns; the second `size` becomes `size:2`, as objects need.
fn unique(columns: &[Column]) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let number = |Column { name, .. }: &'_ Column| {
        let count = seen.entry(name.clone()).or_default();
        *count += 1;
        if *count == 1 { name.clone() } else { format!("{name}:{count}") }
    };
    columns.iter().map(number).collect()
}
