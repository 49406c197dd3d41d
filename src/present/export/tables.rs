//! Selects the tables of an export, their columns and types, and streams their rows.
//!
//! Invariants:
//! - A column has one type; a value of another type is an error.
//! - Rows are streamed; memory holds a key of eight bytes per site (a distinct backtrace).

use std::collections::HashMap;
use std::ops::ControlFlow;

use crate::database::{Database, Params, Value};
use crate::present::export::error::ExportError;
use crate::present::export::metadata::Metadata;
use crate::present::export::request::{Label, Request};

/// The tables that are exported by default.
const DEFAULT_TABLES: [&str; 4] = ["allocations", "backtraces", "sites", "timeline"];

/// The type of a column's values that are not NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ColumnType {
    /// Integers.
    Int,
    /// Floating-point numbers.
    Real,
    /// Text.
    Text,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    /// Its name.
    pub name: String,
    /// The type of its values.
    pub column_type: ColumnType,
}

/// A table to export.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// The name, also of the file.
    pub name: String,
    /// The columns without labels.
    pub fields: Vec<Field>,
    /// Constant columns after the others.
    pub labels: Vec<Label>,
    sql: String,
    params: Params,
    /// Whether the last column is the key of the site in the first column.
    has_key: bool,
}

/// The tables of a request: the result of its selection, else named or default tables.
pub(crate) fn select(
    database: &Database,
    request: &Request<'_>,
) -> Result<Vec<Table>, ExportError> {
    let mut tables = match &request.selection {
        Some(selection) => {
            let sql = selection.sql.clone();
            let fields = infer_types(database, request, &sql, &selection.params)?;
            let params = selection.params.clone();
            let labels = Vec::new();
            vec![Table { name: "result".into(), fields, labels, sql, params, has_key: false }]
        }
        None if request.tables.is_empty() => DEFAULT_TABLES
            .iter()
            .map(|name| table_by_name(database, request, name))
            .collect::<Result<_, _>>()?,
        None => {
            let named = request.tables.iter().map(|name| table_by_name(database, request, name));
            named.collect::<Result<_, _>>()?
        }
    };
    for table in &mut tables {
        table.labels = labels(database, request, table)?;
    }
    Ok(tables)
}

/// The labels and the id of the recording, which makes ids of rows unique.
fn labels(
    database: &Database,
    request: &Request<'_>,
    table: &Table,
) -> Result<Vec<Label>, ExportError> {
    let mut labels = request.labels.clone();
    if labels.is_empty() {
        return Ok(labels);
    }
    if !labels.iter().any(|label| label.name == "recording") {
        let value = Metadata::read(database, request)?.text("recording_id");
        labels.push(Label { name: "recording".into(), value });
    }
    let is_taken = |label: &&Label| {
        table.fields.iter().any(|field| field.name.eq_ignore_ascii_case(&label.name))
    };
    match labels.iter().find(is_taken) {
        Some(label) => Err(ExportError::Request(format!(
            "--label {}: {} has a column of that name",
            label.name, table.name
        ))),
        None => Ok(labels),
    }
}

fn table_by_name(
    database: &Database,
    request: &Request<'_>,
    name: &str,
) -> Result<Table, ExportError> {
    let limits = request.limits();
    let sql = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') \
               AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
    let there = database.query(sql, &Params::none(), &limits)?;
    let mut names = there.rows.iter().filter_map(|row| row[0].as_str());
    let Some(name) = names.clone().find(|known| known.eq_ignore_ascii_case(name)) else {
        let names: Vec<&str> = names.by_ref().collect();
        return Err(ExportError::Request(format!(
            "no table is called `{name}`, only: {}",
            names.join(", ")
        )));
    };
    let quoted = format!("\"{}\"", name.replace('"', "\"\""));
    let has_key = name == "sites";
    let sql = match name {
        "sites" => "SELECT sites.*, frames.sym, frames.file, frames.line \
                    FROM sites LEFT JOIN frames ON frames.id = sites.frame ORDER BY sites.bt"
            .to_owned(),
        "backtraces" => "SELECT * FROM backtraces ORDER BY id, frame_no".to_owned(),
        _ => format!("SELECT * FROM {quoted}"),
    };
    let declared =
        database.query(&format!("PRAGMA table_info({quoted})"), &Params::none(), &limits)?;
    let mut fields = Vec::new();
    for row in 0..declared.rows.len() {
        let text = |column: &str| {
            declared.get(row, column).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let column_type = match text("type").as_str() {
            "INTEGER" => ColumnType::Int,
            "REAL" => ColumnType::Real,
            "TEXT" => ColumnType::Text,
            // The columns of views have no declared type.
            _ => {
                fields = infer_types(database, request, &sql, &Params::none())?;
                break;
            }
        };
        fields.push(Field { name: text("name"), column_type });
    }
    if has_key {
        let more = [
            ("sym", ColumnType::Text),
            ("file", ColumnType::Text),
            ("line", ColumnType::Int),
            ("site_key", ColumnType::Text),
        ];
        fields.extend(more.map(|(name, column_type)| Field { name: name.into(), column_type }));
    }
    let labels = Vec::new();
    Ok(Table { name: name.into(), fields, labels, sql, params: Params::none(), has_key })
}

/// Infers the types of the columns from all values of the result.
fn infer_types(
    database: &Database,
    request: &Request<'_>,
    sql: &str,
    params: &Params,
) -> Result<Vec<Field>, ExportError> {
    let columns = database.columns(sql)?;
    let mut types: Vec<Option<ColumnType>> = vec![None; columns.len()];
    database.stream(sql, params, &request.limits(), |row| {
        for (column_type, value) in types.iter_mut().zip(row) {
            *column_type = match (*column_type, value) {
                (column_type, Value::Null) => column_type,
                (None | Some(ColumnType::Int), Value::Integer(_)) => Some(ColumnType::Int),
                (Some(ColumnType::Real), Value::Integer(_))
                | (None | Some(ColumnType::Int | ColumnType::Real), Value::Real(_)) => {
                    Some(ColumnType::Real)
                }
                _ => Some(ColumnType::Text),
            };
        }
        ControlFlow::Continue(())
    })?;
    let mut fields: Vec<Field> = Vec::new();
    for (column, column_type) in columns.iter().zip(types) {
        // Most readers require unique column names.
        let mut name = column.name.clone();
        let mut count = 1;
        while fields.iter().any(|field| field.name.eq_ignore_ascii_case(&name)) {
            count += 1;
            name = format!("{}_{count}", column.name);
        }
        fields.push(Field { name, column_type: column_type.unwrap_or(ColumnType::Text) });
    }
    Ok(fields)
}

impl Table {
    /// Passes each row to `each`, with one value per field.
    pub(crate) fn for_each(
        &self,
        database: &Database,
        request: &Request<'_>,
        mut each: impl FnMut(&[Value]) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        let keys = if self.has_key { keys(database, request)? } else { HashMap::new() };
        let mut failed = Ok(());
        let mut keyed = Vec::new();
        database.stream(&self.sql, &self.params, &request.limits(), |row| {
            failed = if self.has_key {
                keyed.clear();
                keyed.extend_from_slice(row);
                let key = row[0].as_i64().and_then(|bt| keys.get(&bt));
                keyed.push(key.map_or(Value::Null, |key| Value::Text(format!("{key:016x}"))));
                each(&keyed)
            } else {
                each(row)
            };
            if failed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        failed
    }

    /// The error for a value that does not have its column's type.
    #[cfg(feature = "parquet")]
    pub(crate) fn type_mismatch(&self, field: &Field) -> ExportError {
        let what = match field.column_type {
            ColumnType::Int => "whole numbers",
            ColumnType::Real => "numbers",
            ColumnType::Text => "text",
        };
        ExportError::Request(format!(
            "{}: column `{}` holds {what}, and a row has something else: CAST it",
            self.name, field.name
        ))
    }
}

/// Keys that identify sites across recordings of a program: 64-bit FNV-1a over the names of the own
/// frames, innermost first, each followed by a line feed; over all frames if none is own. Lines and
/// addresses are excluded because they change with every build.
fn keys(database: &Database, request: &Request<'_>) -> Result<HashMap<i64, u64>, ExportError> {
    #[derive(Clone, Copy)]
    struct Hashes {
        own: Option<u64>,
        all: u64,
    }
    let mut hashes: HashMap<i64, Hashes> = HashMap::new();
    let sql = "SELECT bt, sym, kind FROM backtrace_frames JOIN frames ON frames.id = frame \
               ORDER BY bt, frame_no";
    database.stream(sql, &Params::none(), &request.limits(), |row| {
        let (Some(bt), Some(sym)) = (row[0].as_i64(), row[1].as_str()) else {
            return ControlFlow::Continue(());
        };
        let hash = hashes.entry(bt).or_insert(Hashes { own: None, all: FNV_OFFSET });
        hash.all = fnv(hash.all, sym);
        if row[2].as_str() == Some("own") {
            hash.own = Some(fnv(hash.own.unwrap_or(FNV_OFFSET), sym));
        }
        ControlFlow::Continue(())
    })?;
    Ok(hashes.into_iter().map(|(bt, hash)| (bt, hash.own.unwrap_or(hash.all))).collect())
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

fn fnv(hash: u64, name: &str) -> u64 {
    let bytes = name.bytes().chain([b'\n']);
    bytes.fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
