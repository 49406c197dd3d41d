//! The parameters of canned queries: what people type, and the value that SQL gets.
//!
//! Invariant: bytes, durations, times and integers become integers in SQL. Bound as text they
//! would compare larger than every number.

use std::fmt;

use crate::database::builtin::nearest;
use crate::database::mark_ref::MarkName;
use crate::database::query::Params;
use crate::database::table::Value;
use crate::database::text::units;

/// What a canned query asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name in the SQL, without the colon.
    pub name: String,
    /// What may be typed.
    pub kind: ParameterKind,
    /// What it is if nothing is typed. Empty: NULL, which queries take as "any". `None`: it must
    /// be given.
    pub default: Option<String>,
    /// What it means.
    pub help: String,
}

impl Parameter {
    /// One that the SQL has, but not the header.
    pub(super) fn undeclared(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: ParameterKind::Text,
            default: None,
            help: String::new(),
        }
    }

    /// The value of what was typed. Nothing typed is NULL where the default is.
    ///
    /// # Errors
    /// A sentence that says what would be accepted.
    pub fn parse(&self, typed: &str) -> Result<Value, String> {
        if typed.trim().is_empty() && self.default.as_deref() == Some("") {
            return Ok(Value::Null);
        }
        self.kind.parse(typed)
    }
}

/// What may be typed for a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// `4K`, `1.5MiB`.
    Bytes,
    /// `10m`, `1h30m`.
    Duration,
    /// A moment of the run: how long after its beginning, as a duration; or a mark, `@name`.
    Time,
    /// A regular expression.
    Regex,
    /// A thread's number or name.
    Thread,
    /// A whole number.
    Int,
    /// Anything.
    Text,
}

impl ParameterKind {
    /// The words of headers.
    pub const WORDS: &'static [(&'static str, ParameterKind)] = &[
        ("bytes", Self::Bytes),
        ("duration", Self::Duration),
        ("time", Self::Time),
        ("regex", Self::Regex),
        ("thread", Self::Thread),
        ("int", Self::Int),
        ("text", Self::Text),
    ];

    /// The word of headers.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, kind)| *kind == self).map_or("text", |(word, _)| word)
    }

    /// Something that may be typed.
    pub fn example(self) -> &'static str {
        match self {
            Self::Bytes => "4K",
            Self::Duration => "10m",
            Self::Time => "1h30m",
            Self::Regex => "^tokio::",
            Self::Thread => "0",
            Self::Int => "20",
            Self::Text => "text",
        }
    }

    /// The value of what was typed; a mark's name is looked up when a database is asked.
    ///
    /// # Errors
    /// A sentence that says what would be accepted.
    pub fn parse(self, typed: &str) -> Result<Value, String> {
        let integer = |parsed: Result<i64, units::ParseError>| {
            parsed.map(Value::Integer).map_err(|e| e.to_string())
        };
        match self {
            Self::Bytes => integer(units::parse_bytes(typed)),
            Self::Time if MarkName::parse(typed).is_some() => {
                Ok(Value::Text(typed.trim().to_owned()))
            }
            Self::Duration | Self::Time => integer(units::parse_duration(typed)),
            Self::Int => integer(units::parse_count(typed)),
            Self::Regex => match regex::Regex::new(typed) {
                Ok(_) => Ok(Value::Text(typed.to_owned())),
                Err(error) => Err(format!("not a regular expression: {error}")),
            },
            Self::Thread => Ok(typed
                .trim()
                .parse()
                .map_or_else(|_| Value::Text(typed.to_owned()), Value::Integer)),
            Self::Text => Ok(Value::Text(typed.to_owned())),
        }
    }
}

/// Why a query can't have what was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindError {
    /// There is no such parameter; the one that was perhaps meant.
    Unknown {
        /// As typed.
        name: String,
        /// A known one, if it is close.
        nearest: Option<String>,
    },
    /// It has no default and was not given.
    Missing(String),
    /// What was typed is not of its type.
    Wrong {
        /// The parameter.
        name: String,
        /// As typed.
        typed: String,
        /// What would be accepted.
        message: String,
    },
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, nearest: Some(nearest) } => {
                write!(f, "no parameter is called `{name}`; did you mean `{nearest}`?")
            }
            Self::Unknown { name, nearest: None } => write!(f, "no parameter is called `{name}`"),
            Self::Missing(name) => write!(f, "`{name}` must be given"),
            Self::Wrong { name, typed, message } => {
                write!(f, "`{name}` can't be `{typed}`: {message}")
            }
        }
    }
}

impl std::error::Error for BindError {}

/// Types what was given and fills in the defaults.
pub(super) fn bind(parameters: &[Parameter], given: &[(&str, &str)]) -> Result<Params, BindError> {
    for (name, _) in given {
        if !parameters.iter().any(|parameter| parameter.name == *name) {
            let known = parameters.iter().map(|parameter| parameter.name.as_str());
            let nearest = nearest(name, known).map(str::to_owned);
            return Err(BindError::Unknown { name: (*name).to_owned(), nearest });
        }
    }
    let mut params = Params::none();
    for parameter in parameters {
        let typed =
            given.iter().rev().find(|(name, _)| *name == parameter.name).map(|(_, typed)| *typed);
        let typed = typed.or(parameter.default.as_deref());
        let typed = typed.ok_or_else(|| BindError::Missing(parameter.name.clone()))?;
        let value = parameter.parse(typed).map_err(|message| BindError::Wrong {
            name: parameter.name.clone(),
            typed: typed.to_owned(),
            message,
        })?;
        match MarkName::parse(typed).filter(|_| parameter.kind == ParameterKind::Time) {
            Some(mark) => params.set_mark(&parameter.name, mark),
            None => params.set(&parameter.name, value),
        }
    }
    Ok(params)
}
