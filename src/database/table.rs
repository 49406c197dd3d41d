//! What a query answers with: columns with units, rows of values, and whether that is all.
//!
//! Reads and writes nothing; plain types that the prompt, the reports and the explorer share.
//!
//! Invariants:
//! - Every row of a [`Table`] has as many values as the table has columns.
//! - `complete` is true only if the statement itself said that there is no further row.

use std::time::Duration;

/// An answer held in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The columns, in the order of the statement.
    pub columns: Vec<Column>,
    /// The rows, each as long as `columns`.
    pub rows: Vec<Vec<Value>>,
    /// Whether these are all rows; otherwise there are more than `rows.len()` of them.
    pub complete: Completeness,
    /// From the start of the statement to its last row.
    pub elapsed: Duration,
}

impl Table {
    /// The position of a column by its name, ignoring case.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// The value of the named column in a row.
    pub fn get(&self, row: usize, name: &str) -> Option<&Value> {
        self.rows.get(row)?.get(self.column(name)?)
    }

    /// "17", or "more than 500" where the rest was not fetched. Never a guess.
    pub fn count_text(&self) -> String {
        match self.complete {
            Completeness::All => self.rows.len().to_string(),
            Completeness::More => format!("more than {}", self.rows.len()),
        }
    }
}

/// Whether a [`Table`] holds every row of its statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Completeness {
    /// There are no other rows.
    #[default]
    All,
    /// A limit ended the fetch; at least one more row exists.
    More,
}

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// As the statement names it.
    pub name: String,
    /// What its numbers count.
    pub unit: Unit,
}

impl Column {
    /// A column whose unit follows from its name.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), unit: Unit::of_column(name) }
    }
}

/// What the numbers of a column count, and so how they are shown to people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Text, or a number that is shown as it stands.
    #[default]
    None,
    /// Bytes.
    Bytes,
    /// Bytes a second.
    BytesPerSecond,
    /// Events a second.
    PerSecond,
    /// A span of time in nanoseconds.
    Duration,
    /// A moment: nanoseconds since tracking was enabled.
    Moment,
    /// How many.
    Count,
    /// A share of a whole, 0 to 1.
    Share,
    /// An address in the recorded process.
    Address,
    /// A backtrace's id: such a row can be opened.
    Backtrace,
    /// A thread's number in the recording.
    Thread,
}

impl Unit {
    /// All units with the word that query headers call them.
    pub const WORDS: &'static [(&'static str, Unit)] = &[
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

    /// The word that query headers call it.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, unit)| *unit == self).map_or("text", |(word, _)| word)
    }

    /// The unit that a header's word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(known, _)| *known == word).map(|(_, unit)| *unit)
    }

    /// What a column counts, by the names that the schema keeps to (units stand last) and by
    /// the aggregate around it, so that `sum(size)` of hand-written SQL has bytes as well.
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

    /// Whether numbers of this unit stand to the right of their column.
    pub fn is_numeric(self) -> bool {
        self != Self::None
    }
}

/// Whole names with a unit. Before the suffixes, as `frees` and `bt` have none.
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

/// Endings with a unit; longer ones first where one ends in the other.
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

/// `f(x)` as (`f`, `x`).
fn call(name: &str) -> Option<(&str, &str)> {
    let (function, rest) = name.split_once('(')?;
    Some((function.trim(), rest.strip_suffix(')')?.trim()))
}

/// One cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Real(f64),
    /// Text. Uncleaned: whoever prints it cleans it.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl Value {
    /// The number, where it is a whole one.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// The number, whole or not.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Integer(number) => Some(*number as f64),
            Self::Real(number) => Some(*number),
            _ => None,
        }
    }

    /// The text, where it is text.
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

    /// Bytes that it keeps on the heap, for limits.
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
