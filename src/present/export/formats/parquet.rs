//! Exports a table as Parquet, with snappy compression, dictionaries and optional columns.
//!
//! Invariants:
//! - Memory holds one row group, which is limited in rows and in bytes of text.
//! - Text and numbers are exactly those of the database.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::{Compression, ConvertedType, Encoding, LogicalType, Repetition, Type};
use parquet::column::writer::{ColumnWriter, ColumnWriterImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnPath, Type as SchemaType};

use crate::database::text::units;
use crate::database::{Database, Value};
use crate::present::export::Summary;
use crate::present::export::error::ExportError;
use crate::present::export::metadata::Metadata;
use crate::present::export::request::Request;
use crate::present::export::tables::{ColumnType, Field, Table};

/// Limit on the rows of a row group, the default of DuckDB, which reads a group per thread.
const GROUP_ROWS_MAX: usize = 122_880;
/// Limit on the bytes of text in a row group.
const GROUP_TEXT_MAX: usize = 16 << 20;

/// The values of a column that are not NULL, and the definition levels of all rows.
enum Buffer {
    Int(Vec<i64>, Vec<i16>),
    Real(Vec<f64>, Vec<i16>),
    Text(Vec<ByteArray>, Vec<i16>),
}

pub(crate) fn write(
    table: &Table,
    database: &Database,
    request: &Request<'_>,
    out: &mut (dyn Write + Send),
) -> Result<Summary, ExportError> {
    let metadata = Metadata::read(database, request)?;
    let schema = schema(table).map_err(failed)?;
    let properties = Arc::new(properties(table, &metadata.text("recording_id")));
    let mut writer = SerializedFileWriter::new(out, schema, properties).map_err(failed)?;
    let mut buffers: Vec<Buffer> = table.fields.iter().map(Buffer::of).collect();
    let (mut count, mut rows, mut text) = (0_u64, 0, 0);
    table.for_each(database, request, |row| {
        for ((buffer, value), field) in buffers.iter_mut().zip(row).zip(&table.fields) {
            text += buffer.push(value).map_err(|TypeMismatch| table.type_mismatch(field))?;
        }
        count += 1;
        rows += 1;
        if rows >= GROUP_ROWS_MAX || text >= GROUP_TEXT_MAX {
            group(&mut writer, &mut buffers, table, rows).map_err(failed)?;
            (rows, text) = (0, 0);
        }
        Ok(())
    })?;
    if rows > 0 {
        group(&mut writer, &mut buffers, table, rows).map_err(failed)?;
    }
    writer.close().map_err(failed)?;
    Ok(Summary { noun: "rows", count, ..Summary::default() })
}

fn schema(table: &Table) -> Result<Arc<SchemaType>, ParquetError> {
    let labels = table
        .labels
        .iter()
        .map(|label| Field { name: label.name.clone(), column_type: ColumnType::Text });
    let column = |field: Field| {
        let column_type = match field.column_type {
            ColumnType::Int => Type::INT64,
            ColumnType::Real => Type::DOUBLE,
            ColumnType::Text => Type::BYTE_ARRAY,
        };
        let mut column = SchemaType::primitive_type_builder(&field.name, column_type)
            .with_repetition(Repetition::OPTIONAL);
        if field.column_type == ColumnType::Text {
            column = column
                .with_converted_type(ConvertedType::UTF8)
                .with_logical_type(Some(LogicalType::String));
        }
        column.build().map(Arc::new)
    };
    let columns = table.fields.iter().cloned().chain(labels).map(column);
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(SchemaType::group_type_builder(&table.name).with_fields(columns).build()?))
}

fn properties(table: &Table, recording: &str) -> WriterProperties {
    let metadata = [("rheaper.table", table.name.as_str()), ("rheaper.recording", recording)];
    let metadata = metadata.map(|(key, value)| KeyValue::new(key.to_owned(), value.to_owned()));
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by(concat!("rheaper ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_key_value_metadata(Some(metadata.to_vec()));
    // Times and addresses are mostly distinct, with small differences between rows.
    for field in &table.fields {
        let name = field.name.as_str();
        let is_time = name.ends_with("_after") || name.ends_with("_ns");
        if field.column_type == ColumnType::Int && (is_time || name == "addr") {
            let column = ColumnPath::from(name);
            properties = properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
        }
    }
    properties.build()
}

/// A value does not have its column's type.
struct TypeMismatch;

impl Buffer {
    fn of(field: &Field) -> Self {
        match field.column_type {
            ColumnType::Int => Self::Int(Vec::new(), Vec::new()),
            ColumnType::Real => Self::Real(Vec::new(), Vec::new()),
            ColumnType::Text => Self::Text(Vec::new(), Vec::new()),
        }
    }

    /// Adds a value; returns its bytes of text.
    fn push(&mut self, value: &Value) -> Result<usize, TypeMismatch> {
        let levels = match self {
            Self::Int(_, levels) | Self::Real(_, levels) | Self::Text(_, levels) => levels,
        };
        levels.push(i16::from(!value.is_null()));
        match (self, value) {
            (_, Value::Null) => {}
            (Self::Int(values, _), Value::Integer(number)) => values.push(*number),
            (Self::Real(values, _), Value::Integer(number)) => values.push(*number as f64),
            (Self::Real(values, _), Value::Real(number)) => values.push(*number),
            (Self::Text(values, _), value) => {
                let text = units::raw(value);
                let bytes = text.len();
                values.push(ByteArray::from(text.into_bytes()));
                return Ok(bytes);
            }
            _ => return Err(TypeMismatch),
        }
        Ok(0)
    }
}

type Writer<'a> = SerializedFileWriter<&'a mut (dyn Write + Send)>;

/// Writes the buffers as a row group and clears them.
fn group(
    writer: &mut Writer<'_>,
    buffers: &mut [Buffer],
    table: &Table,
    rows: usize,
) -> Result<(), ParquetError> {
    let mut group = writer.next_row_group()?;
    let labels = table.labels.iter().map(|label| {
        let value = ByteArray::from(label.value.clone().into_bytes());
        Buffer::Text(vec![value; rows], vec![1; rows])
    });
    let mut labels: Vec<Buffer> = labels.collect();
    for buffer in buffers.iter_mut().chain(&mut labels) {
        let Some(mut column) = group.next_column()? else { break };
        match (column.untyped(), buffer) {
            (ColumnWriter::Int64ColumnWriter(column), Buffer::Int(values, levels)) => {
                put(column, values, levels)?;
            }
            (ColumnWriter::DoubleColumnWriter(column), Buffer::Real(values, levels)) => {
                put(column, values, levels)?;
            }
            (ColumnWriter::ByteArrayColumnWriter(column), Buffer::Text(values, levels)) => {
                put(column, values, levels)?;
            }
            _ => return Err(ParquetError::General("a column of another type".to_owned())),
        }
        column.close()?;
    }
    group.close()?;
    Ok(())
}

fn put<T: DataType>(
    column: &mut ColumnWriterImpl<'_, T>,
    values: &mut Vec<T::T>,
    levels: &mut Vec<i16>,
) -> Result<(), ParquetError> {
    column.write_batch(values, Some(levels), None)?;
    values.clear();
    levels.clear();
    Ok(())
}

/// Unwraps I/O errors, such as a full disk.
fn failed(error: ParquetError) -> ExportError {
    match error {
        ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(error) => ExportError::Io(*error),
            Err(inner) => ExportError::Io(std::io::Error::other(inner)),
        },
        other => ExportError::Io(std::io::Error::other(other)),
    }
}
