//! Parameters of built-in queries: parses what users type into SQL values.
//!
//! Invariant: bytes, durations, times and integers are bound as integers, because in SQL text
//! compares larger than every number.

use std::fmt;

use crate::database::builtin::nearest;
use crate::database::query::Params;
use crate::database::table::Value;
use crate::database::text::mark_ref::MarkName;
use crate::database::text::units;

/// A parameter of a built-in query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The name in the SQL, without the colon.
    pub name: String,
    /// The type of its values.
    pub kind: ParameterKind,
    /// The default value. Empty: NULL, which queries take as "any". `None`: the parameter is
    /// required.
    pub default: Option<String>,
    /// A description.
    pub help: String,
}

impl Parameter {
    /// A parameter of the SQL that the header does not declare.
    pub(super) fn undeclared(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: ParameterKind::Text,
            default: None,
            help: String::new(),
        }
    }

    /// Parses a value. Empty input is NULL if the default is NULL.
    ///
    /// # Errors
    /// A sentence with the accepted forms.
    pub fn parse(&self, typed: &str) -> Result<Value, String> {
        if typed.trim().is_empty() && self.default.as_deref() == Some("") {
            return Ok(Value::Null);
        }
        self.kind.parse(typed)
    }
}

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// A size: `4K`, `1.5MiB`.
    Bytes,
    /// A duration: `10m`, `1h30m`.
    Duration,
    /// A moment: a duration since tracking was enabled, or a mark, `@name`.
    Time,
    /// A regular expression.
    Regex,
    /// A thread's number or name.
    Thread,
    /// A whole number.
    Int,
    /// Any text.
    Text,
}

impl ParameterKind {
    /// The names in headers.
    pub const NAMES: &'static [(&'static str, ParameterKind)] = &[
        ("bytes", Self::Bytes),
        ("duration", Self::Duration),
        ("time", Self::Time),
        ("regex", Self::Regex),
        ("thread", Self::Thread),
        ("int", Self::Int),
        ("text", Self::Text),
    ];

    /// The name in headers.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, kind)| *kind == self).map_or("text", |(name, _)| name)
    }

    /// An accepted value, for messages.
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

    /// Parses a value. A mark is looked up when the query runs.
    ///
    /// # Errors
    /// A sentence with the accepted forms.
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

/// The parameters of a query could not be bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindError {
    /// The query has no such parameter.
    Unknown {
        /// The unknown name.
        name: String,
        /// The most similar known name, if one is similar.
        nearest: Option<String>,
    },
    /// A required parameter was not given.
    Missing(String),
    /// The value is invalid.
    Wrong {
        /// The parameter.
        name: String,
        /// The invalid value.
        typed: String,
        /// The accepted forms.
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

/// Parses the given values and adds the defaults.
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
