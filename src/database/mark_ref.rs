//! A moment that is named by a mark: `@deploy`, `@deploy#2`.
//!
//! Reads: what is typed. Writes: SQL that finds it.
//!
//! Invariant: the SQL is one value, whatever the name has in it.

use std::fmt;

/// One of the marks of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkName {
    /// The name.
    pub name: String,
    /// Which of that name, from 1; `None`: the last one.
    pub nth: Option<u32>,
}

impl MarkName {
    /// What `@name` or `@name#2` says; `None` if it does not begin with `@`, or has no name.
    pub fn parse(typed: &str) -> Option<Self> {
        let name = typed.trim().strip_prefix('@')?;
        let numbered = name.rsplit_once('#').and_then(|(name, nth)| {
            let nth = nth.parse().ok().filter(|nth| *nth > 0)?;
            Some(Self { name: name.to_owned(), nth: Some(nth) })
        });
        let mark = numbered.unwrap_or_else(|| Self { name: name.to_owned(), nth: None });
        (!mark.name.is_empty()).then_some(mark)
    }

    /// A value in SQL: the moment, or NULL if there is no such mark.
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
