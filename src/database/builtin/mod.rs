//! The canned analyses: one question a file, with a header that is parsed, shown and tested.
//!
//! Reads: `queries/*.sql`, which are part of this binary, and a directory of the user's own.
//! Writes: nothing.
//!
//! Invariants:
//! - Every parameter that the SQL names is declared, and is bound with its type: a duration is a
//!   whole number of nanoseconds in SQL, never text.
//! - A broken file of the user's is reported and left out; it takes no other with it.

pub(crate) mod embedded;
pub(crate) mod header;
pub(crate) mod parameter;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::database::caveats::Notes;
use crate::database::connection::Database;
use crate::database::error::QueryError;
use crate::database::query::{Limits, Params};
use crate::database::sql::lexer;
use crate::database::table::{Column, Table, Unit};

pub use crate::database::builtin::header::HeaderError;
pub use crate::database::builtin::parameter::{BindError, Parameter, ParameterKind};

/// The most files that are read from the user's directory, and the most bytes of each.
const USER_FILES_MAX: usize = 1000;
const USER_FILE_MAX_BYTES: u64 = 1 << 20;

/// One analysis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canned {
    /// The file's name without `.sql`; what the user types.
    pub name: String,
    /// A few words.
    pub title: String,
    /// The question that it answers, and what to know when reading the answer.
    pub question: String,
    /// What it belongs to in lists.
    pub group: String,
    /// What it asks for.
    pub parameters: Vec<Parameter>,
    /// What it answers with.
    pub columns: Vec<CannedColumn>,
    /// How the answer is best seen.
    pub view: CannedView,
    /// The whole file.
    pub sql: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// A column as the header declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CannedColumn {
    /// Its name in the result.
    pub name: String,
    /// What its numbers count.
    pub unit: Unit,
    /// What it means.
    pub help: String,
}

/// How an answer is best seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CannedView {
    /// Rows and columns.
    #[default]
    Table,
    /// A flamegraph over its backtraces.
    Flame,
    /// A curve over time.
    Time,
    /// Bars.
    Histogram,
    /// A few facts, one a line.
    Facts,
}

impl CannedView {
    /// The words of headers.
    pub const WORDS: &'static [(&'static str, CannedView)] = &[
        ("table", Self::Table),
        ("flame", Self::Flame),
        ("time", Self::Time),
        ("histogram", Self::Histogram),
        ("facts", Self::Facts),
    ];

    /// The word of headers.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, view)| *view == self).map_or("table", |(word, _)| word)
    }
}

/// Where an analysis comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This binary.
    BuiltIn,
    /// A file of the user's.
    User(PathBuf),
}

impl Canned {
    /// Parses a file. A file without a header is a query as well; its undeclared parameters are
    /// text.
    ///
    /// # Errors
    /// If the header has a line that it can't have.
    pub fn parse(name: &str, text: &str, origin: Origin) -> Result<Self, HeaderError> {
        let mut canned = crate::database::builtin::header::parse(name, text, origin)?;
        for found in lexer::parameters(text) {
            let found = &found[1..];
            if !canned.parameters.iter().any(|parameter| parameter.name == found) {
                canned.parameters.push(Parameter::undeclared(found));
            }
        }
        Ok(canned)
    }

    /// The parameter of a name.
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }

    /// Types what was typed: each parameter from `given`, else its default.
    ///
    /// # Errors
    /// If a value is not of its type, a name is unknown, or a value without default is missing.
    pub fn bind(&self, given: &[(&str, &str)]) -> Result<Params, BindError> {
        crate::database::builtin::parameter::bind(&self.parameters, given)
    }

    /// The SQL to ask a database with, that gives the answer of the file's.
    ///
    /// Where every block was recorded, nothing is looked up for each row; that is a twentieth to a
    /// third of such a query. Of a sampled recording it says beside the estimates how far these may
    /// be off, in columns at the end whose names end in `_error`. Where an answer has a part of what
    /// a call site or a suspect made, that is not known, and NULL.
    pub fn sql_for(&self, notes: &Notes) -> String {
        match notes.sampled {
            None => without_weights(&self.sql),
            Some(_) => self.with_errors(),
        }
    }

    fn with_errors(&self) -> String {
        let has = |name: &str| self.columns.iter().any(|column| column.name == name);
        let estimates = ["bytes", "live_bytes"].into_iter().filter(|name| has(name));
        let (of, key, whole) = match self.name.as_str() {
            "suspects" => ("suspect", "answer.rank", "suspects AS whole ON whole.id = answer.rank"),
            "overview" => ("total", "0", ""),
            _ if has("bt") => ("site", "answer.bt", "sites AS whole ON whole.bt = answer.bt"),
            _ => return self.sql.clone(),
        };
        let errors: Vec<String> = estimates
            .map(|name| match whole {
                "" => format!("estimates.{name}_error"),
                _ => format!("iif(answer.{name} = whole.{name}, estimates.{name}_error, NULL) AS {name}_error"),
            })
            .collect();
        if self.origin != Origin::BuiltIn || errors.is_empty() {
            return self.sql.clone();
        }
        let own: Vec<String> =
            self.columns.iter().map(|column| format!("answer.\"{}\"", column.name)).collect();
        let whole = match whole {
            "" => String::new(),
            whole => format!("\nLEFT JOIN {whole}"),
        };
        format!(
            "SELECT {}, {}\nFROM (SELECT *, row_number() OVER () AS place FROM (\n{}\n)) AS answer{whole}\n\
             LEFT JOIN estimates ON estimates.of = '{of}' AND estimates.id = {key}\nORDER BY place",
            own.join(", "),
            errors.join(", "),
            self.sql.trim_end().trim_end_matches(';'),
        )
    }

    /// Asks it, and gives the columns the units of its header.
    ///
    /// # Errors
    /// As [`Database::query`].
    pub fn run(
        &self,
        database: &Database,
        params: &Params,
        limits: &Limits,
    ) -> Result<Table, QueryError> {
        let mut table = database.query(&self.sql, params, limits)?;
        self.label(&mut table.columns);
        Ok(table)
    }

    /// Gives the columns of an answer the units that the header declares.
    pub fn label(&self, columns: &mut [Column]) {
        for column in columns {
            if let Some(known) = self.columns.iter().find(|known| known.name == column.name) {
                column.unit = known.unit;
            }
        }
    }
}

/// What a row counts, as `queries/README.md` has it: the weight of a sample, or what stands last.
const WEIGHT: &str = r"iif\(\(SELECT 1 FROM sample_weights\), \(SELECT \w+ FROM sample_weights AS w WHERE w\.size = [\w.]+\), ([\w.]+)\)";

/// The same for a database without samples.
fn without_weights(sql: &str) -> String {
    // Most queries have none.
    if !sql.contains("sample_weights") {
        return sql.to_owned();
    }
    let Ok(weight) = regex::Regex::new(WEIGHT) else {
        return sql.to_owned();
    };
    let plain = weight.replace_all(sql, "$1");
    plain.replace("CAST(round(sum(1)) AS INTEGER)", "count(*)")
}

/// All analyses, in the order of their groups.
#[derive(Clone, Debug)]
pub struct Catalog {
    entries: Vec<Canned>,
}

impl Catalog {
    /// Those of this binary.
    pub fn built_in() -> Self {
        let parse = |(name, text): &(&str, &str)| Canned::parse(name, text, Origin::BuiltIn).ok();
        Self {
            entries: crate::database::builtin::embedded::QUERIES.iter().filter_map(parse).collect(),
        }
    }

    /// Those of this binary and the user's, which replace ours of the same name, and what is wrong
    /// with files that were left out. No directory is no error.
    pub fn with_user(directory: Option<&Path>) -> (Self, Vec<CatalogProblem>) {
        let mut catalog = Self::built_in();
        let mut problems = Vec::new();
        for path in directory.map(sql_files).unwrap_or_default() {
            match read(&path) {
                Ok(canned) => {
                    match catalog.entries.iter_mut().find(|known| known.name == canned.name) {
                        Some(known) => *known = canned,
                        None => catalog.entries.push(canned),
                    }
                }
                Err(message) => problems.push(CatalogProblem { path, message }),
            }
        }
        (catalog, problems)
    }

    /// The analysis of a name; `-` and `_` are the same, and so are cases.
    pub fn get(&self, name: &str) -> Option<&Canned> {
        let plain = |name: &str| name.to_ascii_lowercase().replace('-', "_");
        let name = plain(name);
        self.entries.iter().find(|canned| plain(&canned.name) == name)
    }

    /// The name that was perhaps meant.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        nearest(name, self.entries.iter().map(|canned| canned.name.as_str()))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Canned> {
        self.entries.iter()
    }
}

/// Where the user's own files are: the configuration directory, which `RHEAPER_CONFIG` names if
/// set.
pub fn configuration() -> Option<PathBuf> {
    match std::env::var_os("RHEAPER_CONFIG") {
        Some(path) if !path.is_empty() => Some(PathBuf::from(path)),
        _ => Some(directories::ProjectDirs::from("", "", "rheaper")?.config_dir().to_owned()),
    }
}

/// Where the user's own queries are: `queries/` in the configuration directory.
pub fn user_directory() -> Option<PathBuf> {
    Some(configuration()?.join("queries"))
}

/// A file of the user's that is not in the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogProblem {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for CatalogProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.message)
    }
}

/// The known word that is closest to a mistyped one, if any is close.
pub(crate) fn nearest<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let best = known.map(|word| (distance(typed, word), word)).min()?;
    (best.0 <= typed.len().max(best.1.len()) / 3 + 1).then_some(best.1)
}

/// Levenshtein's.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let change = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

fn sql_files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .take(USER_FILES_MAX)
        .collect();
    files.sort();
    files
}

fn read(path: &Path) -> Result<Canned, String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() || metadata.len() > USER_FILE_MAX_BYTES {
        return Err("not a file of at most 1 MiB".to_owned());
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    Canned::parse(&name, &text, Origin::User(path.to_owned())).map_err(|error| error.to_string())
}
