//! Parses the header of a built-in query: the comment lines at the beginning of its file.
//!
//! ```sql
//! -- # Never freed, older than an age
//! -- Live blocks older than a given age. The description may have several lines.
//! --
//! -- group  leaks
//! -- param  age : duration = 10m   the least age of a block
//! -- column live_bytes : bytes   live bytes of the site
//! -- view   flame
//! SELECT …
//! ```
//!
//! A default or a name ends at two blanks; its description follows. A parameter without `=` is
//! required; an empty default is NULL.

use std::fmt;

use crate::database::builtin::parameter::{Parameter, ParameterKind};
use crate::database::builtin::{BuiltinQuery, Origin, QueryColumn, QueryView};
use crate::database::table::Unit;

/// A line of a header is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderError {
    /// The line number, from 1.
    pub line: usize,
    /// The reason.
    pub message: String,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for HeaderError {}

/// Parses the header; SQLite parses the rest.
pub(super) fn parse(name: &str, text: &str, origin: Origin) -> Result<BuiltinQuery, HeaderError> {
    let mut query = BuiltinQuery {
        name: name.to_owned(),
        title: name.replace('_', " "),
        description: String::new(),
        group: "own".to_owned(),
        parameters: Vec::new(),
        columns: Vec::new(),
        view: QueryView::default(),
        sql: text.to_owned(),
        origin,
    };
    let mut in_description = false;
    for (i, line) in text.lines().enumerate() {
        let Some(line) = line.trim().strip_prefix("--") else {
            break;
        };
        let line = line.trim();
        if let Some(title) = line.strip_prefix("# ") {
            title.trim().clone_into(&mut query.title);
            in_description = true;
        } else if line.is_empty() {
            in_description = false;
        } else if in_description {
            if !query.description.is_empty() {
                query.description.push(' ');
            }
            query.description.push_str(line);
        } else {
            field(&mut query, line).map_err(|message| HeaderError { line: i + 1, message })?;
        }
    }
    Ok(query)
}

/// Parses a line such as `param …`; other comments are ignored.
fn field(query: &mut BuiltinQuery, line: &str) -> Result<(), String> {
    let (key, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    match key {
        "group" => rest.clone_into(&mut query.group),
        "param" => query.parameters.push(parameter(rest)?),
        "column" => query.columns.push(column(rest)?),
        "view" => {
            let found = QueryView::NAMES.iter().find(|(name, _)| *name == rest);
            query.view = found
                .map(|(_, view)| *view)
                .ok_or_else(|| format!("no view is called `{rest}`"))?;
        }
        _ => {}
    }
    Ok(())
}

fn parameter(line: &str) -> Result<Parameter, String> {
    let (name, rest) = line.split_once(':').ok_or("expected `param NAME : TYPE`")?;
    let rest = rest.trim();
    let (kind, rest) =
        rest.split_at(rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len()));
    let known = ParameterKind::NAMES.iter().find(|(name, _)| *name == kind);
    let kind = known.map(|(_, kind)| *kind).ok_or_else(|| format!("no type is called `{kind}`"))?;
    let (default, help) = match rest.trim_start().strip_prefix('=') {
        Some(rest) => {
            let rest = rest.strip_prefix(' ').unwrap_or(rest);
            let (default, help) = rest.split_once("  ").unwrap_or((rest, ""));
            (Some(default.trim().to_owned()), help)
        }
        None => (None, rest),
    };
    if let Some(default) = default.as_deref().filter(|default| !default.is_empty()) {
        kind.parse(default)
            .map_err(|message| format!("the default of `{}`: {message}", name.trim()))?;
    }
    Ok(Parameter { name: name.trim().to_owned(), kind, default, help: help.trim().to_owned() })
}

fn column(line: &str) -> Result<QueryColumn, String> {
    let (declared, help) = line.split_once("  ").unwrap_or((line, ""));
    let (name, unit) = match declared.split_once(':') {
        Some((name, unit)) => {
            let unit = unit.trim();
            (
                name.trim(),
                Unit::from_name(unit).ok_or_else(|| format!("no unit is called `{unit}`"))?,
            )
        }
        None => (declared.trim(), Unit::of_column(declared.trim())),
    };
    Ok(QueryColumn { name: name.to_owned(), unit, help: help.trim().to_owned() })
}
