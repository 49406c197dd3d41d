//! What a query answers with: columns with units, rows of values, and whether that is all.
//!
//! Reads and writes nothing; plain types that the prompt, the reports and the explorer share.
//!
//! Invariants:
//! - Every row of a [`Table`] has as many values as the table has columns.
//! - `complete` is true only if the statement itself said that there is no further row.

use std::time::Duration;

/// A query result in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The columns, in the order of the statement.
    pub columns: Vec<Column>,
    /// The rows, each with as many values as there are columns.
    pub rows: Vec<Vec<Value>>,
    /// Whether these are all rows.
    pub complete: Completeness,
    /// Time from the start of the statement to its last row.
    pub elapsed: Duration,
}

impl Table {
    /// The index of a column, ignoring the case of its name.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// The value of a column in a row.
    pub fn get(&self, row: usize, name: &str) -> Option<&Value> {
        self.rows.get(row)?.get(self.column(name)?)
    }

    /// "17", or "more than 500" where the rest was not fetched.
    pub fn count_text(&self) -> String {
        match self.complete {
            Completeness::All => self.rows.len().to_string(),
            Completeness::More => format!("more than {}", self.rows.len()),
        }
    }
}

/// Whether a [`Table`] has all rows of its statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Completeness {
    /// It has all rows.
    #[default]
    All,
    /// A limit was reached; at least one more row exists.
    More,
}

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The name in the statement.
    pub name: String,
    /// The unit of its values.
    pub unit: Unit,
}

impl Column {
    /// A column with the unit that its name implies.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), unit: Unit::of_column(name) }
    }
}

/// The unit of a column's values, which determines how they are formatted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Text, or a number without unit.
    #[default]
    None,
    /// Bytes.
    Bytes,
    /// Bytes per second.
    BytesPerSecond,
    /// Events per second.
    PerSecond,
    /// A duration in nanoseconds.
    Duration,
    /// A moment: nanoseconds since tracking was enabled.
    Moment,
    /// A number of things.
    Count,
    /// A fraction from 0 to 1.
    Share,
    /// An address in the recorded process.
    Address,
    /// The id of a backtrace: the explorer can open such a row.
    Backtrace,
    /// A thread's number in the recording.
    Thread,
}

impl Unit {
    /// The names in query headers.
    pub const NAMES: &'static [(&'static str, Unit)] = &[
        ("text", Unit::None),
        ("bytes", Unit::Bytes),
        ("bytes/s", Unit::BytesPerSecond),
        ("per second", Unit::PerSecond),
        ("ns", Unit::Duration),
        ("moment", Unit::Moment),
        ("count", Unit::Count),
        ("share", Unit::Share),
        ("address", Unit::Address),
        ("backtrace", Unit::Backtrace),
        ("thread", Unit::Thread),
    ];

    /// The name in query headers.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, unit)| *unit == self).map_or("text", |(name, _)| name)
    }

    /// The unit of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, unit)| *unit)
    }

    /// The unit that a column name implies: by the suffixes of the schema, also inside an aggregate
    /// function, so that `sum(size)` of hand-written SQL is in bytes.
    pub fn of_column(name: &str) -> Self {
        let name = name.trim().trim_matches('"').to_ascii_lowercase();
        if let Some((function, argument)) = call(&name) {
            return match function {
                "count" => Self::Count,
                "sum" | "total" | "min" | "max" | "avg" | "median" | "abs" | "round"
                | "coalesce" | "ifnull" => {
                    Self::of_column(argument.split(',').next().unwrap_or(""))
                }
                "percentile" => Self::of_column(argument.split(',').next().unwrap_or("")),
                _ => Self::None,
            };
        }
        let name = name.rsplit('.').next().unwrap_or(&name);
        if let Some((_, unit)) = NAMES.iter().find(|(known, _)| *known == name) {
            return *unit;
        }
        SUFFIXES
            .iter()
            .find(|(suffix, _)| name.ends_with(suffix))
            .map_or(Self::None, |(_, unit)| *unit)
    }

    /// Whether values of this unit are right-aligned.
    pub fn is_numeric(self) -> bool {
        self != Self::None
    }
}

/// Complete names with a unit. Checked before the suffixes.
const NAMES: &[(&str, Unit)] = &[
    ("bt", Unit::Backtrace),
    ("backtrace_id", Unit::Backtrace),
    ("size", Unit::Bytes),
    ("size_min", Unit::Bytes),
    ("size_max", Unit::Bytes),
    ("bytes", Unit::Bytes),
    ("addr", Unit::Address),
    ("address", Unit::Address),
    ("page", Unit::Address),
    ("alloc_thread", Unit::Thread),
    ("dealloc_thread", Unit::Thread),
    ("thread", Unit::Thread),
    ("allocations", Unit::Count),
    ("frees", Unit::Count),
    ("blocks", Unit::Count),
    ("temporary", Unit::Count),
    ("reallocs", Unit::Count),
    ("reallocs_moved", Unit::Count),
    ("cross_thread_frees", Unit::Count),
    ("threads", Unit::Count),
    ("sites", Unit::Count),
    ("count", Unit::Count),
    ("age", Unit::Duration),
    ("lifetime", Unit::Duration),
    ("duration", Unit::Duration),
    ("percent", Unit::Share),
    ("share", Unit::Share),
];

/// Suffixes with a unit; a longer one precedes one that it ends in.
const SUFFIXES: &[(&str, Unit)] = &[
    ("_bytes_per_s", Unit::BytesPerSecond),
    ("_per_s", Unit::PerSecond),
    ("_bytes", Unit::Bytes),
    ("_size", Unit::Bytes),
    ("_ns", Unit::Duration),
    ("_after", Unit::Moment),
    ("_blocks", Unit::Count),
    ("_count", Unit::Count),
    ("_allocations", Unit::Count),
    ("_frees", Unit::Count),
    ("_share", Unit::Share),
    ("_error", Unit::Share),
    ("_addr", Unit::Address),
    ("_bt", Unit::Backtrace),
    ("_thread", Unit::Thread),
];

/// Splits `f(x)` into `f` and `x`.
fn call(name: &str) -> Option<(&str, &str)> {
    let (function, rest) = name.split_once('(')?;
    Some((function.trim(), rest.strip_suffix(')')?.trim()))
}

/// A value.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// SQL's NULL.
    #[default]
    Null,
    /// An integer.
    Integer(i64),
    /// A floating-point number.
    Real(f64),
    /// Text, not sanitized: sanitize it before printing.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl Value {
    /// The integer, if it is one.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Integer(number) => Some(*number as f64),
            Self::Real(number) => Some(*number),
            _ => None,
        }
    }

    /// The text, if it is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Bytes on the heap, for limits.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Blob(blob) => blob.len(),
            Self::Null | Self::Integer(_) | Self::Real(_) => 0,
        }
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
