//! A reference to a mark: `@deploy`, `@deploy#2`.
//!
//! Invariant: the SQL is one scalar expression, whatever characters the name contains.

use std::fmt;

/// A mark of a given name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkName {
    /// The name.
    pub name: String,
    /// Its number among the marks of that name, from 1; `None`: the last one.
    pub nth: Option<u32>,
}

impl MarkName {
    /// Parses `@name` or `@name#2`; `None` without `@` or without a name.
    pub fn parse(typed: &str) -> Option<Self> {
        let name = typed.trim().strip_prefix('@')?;
        let numbered = name.rsplit_once('#').and_then(|(name, nth)| {
            let nth = nth.parse().ok().filter(|nth| *nth > 0)?;
            Some(Self { name: name.to_owned(), nth: Some(nth) })
        });
        let mark = numbered.unwrap_or_else(|| Self { name: name.to_owned(), nth: None });
        (!mark.name.is_empty()).then_some(mark)
    }

    /// A scalar SQL expression: the time of the mark, or NULL if there is none.
    pub fn sql(&self) -> String {
        let name = self.name.replace('\'', "''");
        let order = match self.nth {
            None => "at_ns DESC LIMIT 1".to_owned(),
            Some(nth) => format!("at_ns, rowid LIMIT 1 OFFSET {}", nth - 1),
        };
        format!("(SELECT at_ns FROM marks WHERE name = '{name}' ORDER BY {order})")
    }
}

impl fmt::Display for MarkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.nth {
            None => write!(f, "@{}", self.name),
            Some(nth) => write!(f, "@{}#{nth}", self.name),
        }
    }
}
