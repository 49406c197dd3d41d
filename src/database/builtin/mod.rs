//! Built-in queries: SQL files with a header that declares parameters and columns.
//!
//! The files of `queries/` are embedded in the binary; a directory of the user can add and replace
//! queries.
//!
//! Invariants:
//! - Every parameter of the SQL is declared and bound with its type: a duration is an integer number
//!   of nanoseconds in SQL, never text.
//! - An invalid file of the user is reported and skipped; the others are loaded.

pub(crate) mod embedded;
pub(crate) mod header;
pub(crate) mod parameter;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::database::caveats::Caveats;
use crate::database::connection::Database;
use crate::database::error::QueryError;
use crate::database::query::{Limits, Params};
use crate::database::sql::lexer;
use crate::database::table::{Column, Table, Unit, Value};

pub use crate::database::builtin::header::HeaderError;
pub use crate::database::builtin::parameter::{BindError, Parameter, ParameterKind};

/// Limits on the number of files in the user's directory, and on the size of each.
const USER_FILES_MAX: usize = 1000;
const USER_FILE_MAX_BYTES: u64 = 1 << 20;

/// A query with its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltinQuery {
    /// The file name without `.sql`, which the user types.
    pub name: String,
    /// The title in lists.
    pub title: String,
    /// The description of the result and of how to read it.
    pub description: String,
    /// The heading in lists.
    pub group: String,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
    /// Its result columns.
    pub columns: Vec<QueryColumn>,
    /// The best presentation of the result.
    pub view: QueryView,
    /// The text of the file.
    pub sql: String,
    /// The source of the file.
    pub origin: Origin,
}

/// A result column as the header declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryColumn {
    /// The name in the result.
    pub name: String,
    /// The unit of its values.
    pub unit: Unit,
    /// A description.
    pub help: String,
}

/// The best presentation of a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueryView {
    /// Rows and columns.
    #[default]
    Table,
    /// A flamegraph of its backtraces.
    Flame,
    /// A line chart over time.
    Time,
    /// A bar chart.
    Histogram,
    /// Names and values, one pair per line.
    KeyValues,
}

impl QueryView {
    /// The names in headers.
    pub const NAMES: &'static [(&'static str, QueryView)] = &[
        ("table", Self::Table),
        ("flame", Self::Flame),
        ("time", Self::Time),
        ("histogram", Self::Histogram),
        ("key_values", Self::KeyValues),
    ];

    /// The name in headers.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, view)| *view == self).map_or("table", |(name, _)| name)
    }
}

/// The source of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Embedded in the binary.
    BuiltIn,
    /// A file of the user.
    User(PathBuf),
}

impl BuiltinQuery {
    /// Parses a file. The header is optional; undeclared parameters are text.
    ///
    /// # Errors
    /// If a line of the header is invalid.
    pub fn parse(name: &str, text: &str, origin: Origin) -> Result<Self, HeaderError> {
        let mut query = crate::database::builtin::header::parse(name, text, origin)?;
        for found in lexer::parameters(text) {
            let found = &found[1..];
            if !query.parameters.iter().any(|parameter| parameter.name == found) {
                query.parameters.push(Parameter::undeclared(found));
            }
        }
        Ok(query)
    }

    /// The parameter of a name.
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }

    /// Parses the values of parameters; those that are not in `given` have their defaults.
    ///
    /// # Errors
    /// If a value is invalid, a name is unknown, or a parameter without default is missing.
    pub fn bind(&self, given: &[(&str, &str)]) -> Result<Params, BindError> {
        crate::database::builtin::parameter::bind(&self.parameters, given)
    }

    /// As [`BuiltinQuery::bind`], but without a limit unless `given` has one: a result that is
    /// summed, compared or drawn must not be cut to a page.
    ///
    /// # Errors
    /// As [`BuiltinQuery::bind`].
    pub fn bind_whole(&self, given: &[(&str, &str)]) -> Result<Params, BindError> {
        let mut params = self.bind(given)?;
        if self.limit(&params).is_some() && !given.iter().any(|(name, _)| *name == LIMIT) {
            // No limit in SQLite.
            params.set(LIMIT, Value::Integer(-1));
        }
        Ok(params)
    }

    /// The maximum number of rows, as bound.
    pub fn limit(&self, params: &Params) -> Option<u64> {
        self.parameter(LIMIT).filter(|limit| limit.kind == ParameterKind::Int)?;
        let bound = params.iter().find(|(name, _)| *name == LIMIT)?;
        bound.1.as_i64().and_then(|limit| u64::try_from(limit).ok())
    }

    /// The number of rows without a limit.
    ///
    /// # Errors
    /// As [`Database::query`].
    pub fn count(
        &self,
        database: &Database,
        params: &Params,
        limits: &Limits,
    ) -> Result<u64, QueryError> {
        let mut params = params.clone();
        params.set(LIMIT, Value::Integer(-1));
        let sql = self.sql.trim_end().trim_end_matches(';');
        let counted =
            database.query(&format!("SELECT count(*) FROM (\n{sql}\n)"), &params, limits)?;
        let count = counted.rows.first().and_then(|row| row[0].as_i64());
        Ok(count.unwrap_or(0).max(0).unsigned_abs())
    }

    /// The SQL to run on a database.
    ///
    /// For a sampled recording it adds columns with the relative error of each estimate, whose names
    /// end in `_error`. The error is NULL where a row has only a part of the bytes of its site or
    /// suspect, because only the error of the whole is known.
    pub fn sql_for(&self, caveats: &Caveats) -> String {
        match caveats.sampled {
            None => self.sql.clone(),
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

    /// Runs the query and sets the units of the columns from the header.
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

    /// Sets the units of result columns from the header.
    pub fn label(&self, columns: &mut [Column]) {
        for column in columns {
            if let Some(known) = self.columns.iter().find(|known| known.name == column.name) {
                column.unit = known.unit;
            }
        }
    }
}

/// The parameter for the maximum number of rows.
const LIMIT: &str = "limit";

/// All queries, in the order of their groups.
#[derive(Clone, Debug)]
pub struct Catalog {
    entries: Vec<BuiltinQuery>,
}

impl Catalog {
    /// The embedded queries.
    pub fn built_in() -> Self {
        let parse =
            |(name, text): &(&str, &str)| BuiltinQuery::parse(name, text, Origin::BuiltIn).ok();
        Self {
            entries: crate::database::builtin::embedded::QUERIES.iter().filter_map(parse).collect(),
        }
    }

    /// The embedded queries and the user's, which replace embedded ones of the same name; and the
    /// problems of skipped files. A missing directory is not an error.
    pub fn with_user(directory: Option<&Path>) -> (Self, Vec<CatalogProblem>) {
        let mut catalog = Self::built_in();
        let mut problems = Vec::new();
        for path in directory.map(sql_files).unwrap_or_default() {
            match read(&path) {
                Ok(query) => {
                    match catalog.entries.iter_mut().find(|known| known.name == query.name) {
                        Some(known) => *known = query,
                        None => catalog.entries.push(query),
                    }
                }
                Err(message) => problems.push(CatalogProblem { path, message }),
            }
        }
        (catalog, problems)
    }

    /// The query of a name, ignoring case and the difference of `-` and `_`.
    pub fn get(&self, name: &str) -> Option<&BuiltinQuery> {
        let plain = |name: &str| name.to_ascii_lowercase().replace('-', "_");
        let name = plain(name);
        self.entries.iter().find(|query| plain(&query.name) == name)
    }

    /// The most similar name, if one is similar.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        nearest(name, self.entries.iter().map(|query| query.name.as_str()))
    }

    /// All queries.
    pub fn iter(&self) -> impl Iterator<Item = &BuiltinQuery> {
        self.entries.iter()
    }
}

/// The configuration directory, which `RHEAPER_CONFIG` overrides.
pub fn configuration_directory() -> Option<PathBuf> {
    match std::env::var_os("RHEAPER_CONFIG") {
        Some(path) if !path.is_empty() => Some(PathBuf::from(path)),
        _ => Some(directories::ProjectDirs::from("", "", "rheaper")?.config_dir().to_owned()),
    }
}

/// The directory of the user's queries: `queries/` in the configuration directory.
pub fn user_directory() -> Option<PathBuf> {
    Some(configuration_directory()?.join("queries"))
}

/// A file of the user that was skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogProblem {
    /// The file.
    pub path: PathBuf,
    /// The reason.
    pub message: String,
}

impl fmt::Display for CatalogProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.message)
    }
}

/// The known name that is most similar to a misspelt one, if one is similar: at most a third of its
/// letters, and one, differ.
pub(crate) fn nearest<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let best = known.map(|name| (strsim::levenshtein(typed, name), name)).min()?;
    (best.0 <= typed.len().max(best.1.len()) / 3 + 1).then_some(best.1)
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

fn read(path: &Path) -> Result<BuiltinQuery, String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() || metadata.len() > USER_FILE_MAX_BYTES {
        return Err("not a file of at most 1 MiB".to_owned());
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    BuiltinQuery::parse(&name, &text, Origin::User(path.to_owned()))
        .map_err(|error| error.to_string())
}
