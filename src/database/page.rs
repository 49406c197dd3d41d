//! Pages, sorts, filters and counts the rows of any statement by wrapping it in another one, so
//! that a view of ten million rows holds one screenful.
//!
//! Invariants:
//! - Column names are quoted and values are bound: no text of a cell becomes SQL.
//! - A wrapped statement has the columns of the original.

use crate::database::connection::Database;
use crate::database::error::QueryError;
use crate::database::query::{Limits, Params};
use crate::database::table::{Completeness, Table, Value};

/// Filters and sort order on top of a statement.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowView {
    /// Conditions that a row must all meet.
    pub filters: Vec<Filter>,
    /// Sort keys, the most significant first.
    pub sort: Vec<Sort>,
}

/// A condition on a column.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// The column's name in the result.
    pub column: String,
    /// The condition.
    pub condition: Condition,
}

/// A condition on a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// Equal to the value.
    Equal(Value),
    /// Not equal to the value, or NULL.
    NotEqual(Value),
    /// Less than the value.
    Less(Value),
    /// Less than or equal to the value.
    AtMost(Value),
    /// Greater than the value.
    More(Value),
    /// Greater than or equal to the value.
    AtLeast(Value),
    /// Between the values, both included.
    Between(Value, Value),
    /// The text contains this one, ignoring the case of ASCII letters.
    Contains(String),
    /// The text matches this regular expression.
    Matches(String),
    /// NULL.
    IsNull,
    /// Not NULL.
    IsNotNull,
}

/// A column to sort by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort {
    /// The column's name in the result.
    pub column: String,
    /// The direction.
    pub order: Order,
}

/// Sort direction. NULL comes last in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Smallest first.
    #[default]
    Ascending,
    /// Largest first.
    Descending,
}

impl RowView {
    /// The statement with these filters and this order, without a trailing semicolon, and all
    /// parameters that it needs.
    pub fn wrap(&self, sql: &str, params: &Params) -> (String, Params) {
        let mut params = params.clone();
        let mut wrapped = format!("SELECT * FROM (\n{}\n)", inner(sql));
        for (i, filter) in self.filters.iter().enumerate() {
            wrapped.push_str(if i == 0 { " WHERE " } else { " AND " });
            wrapped.push_str(&condition(filter, i, &mut params));
        }
        for (i, sort) in self.sort.iter().enumerate() {
            wrapped.push_str(if i == 0 { " ORDER BY " } else { ", " });
            wrapped.push_str(&quote(&sort.column));
            wrapped.push_str(if sort.order == Order::Descending {
                " DESC NULLS LAST"
            } else {
                " ASC NULLS LAST"
            });
        }
        (wrapped, params)
    }
}

impl Database {
    /// Rows `offset..offset + limits.rows_max` of the wrapped statement, with
    /// [`Completeness::More`] if rows follow.
    ///
    /// # Errors
    /// As [`Database::query`].
    pub fn page(
        &self,
        sql: &str,
        params: &Params,
        view: &RowView,
        offset: u64,
        limits: &Limits,
    ) -> Result<Table, QueryError> {
        // Prepared unwrapped first, so that the offset of an error refers to the user's text.
        let columns = self.columns(inner(sql))?;
        let (mut wrapped, mut params) = view.wrap(sql, params);
        let rows = limits.rows_max.min(1 << 32);
        wrapped.push_str(" LIMIT :rheaper_rows OFFSET :rheaper_offset");
        params.set(
            "rheaper_rows",
            Value::Integer(i64::try_from(rows).unwrap_or(i64::MAX).saturating_add(1)),
        );
        params.set("rheaper_offset", Value::Integer(i64::try_from(offset).unwrap_or(i64::MAX)));
        let mut table = self.query(&wrapped, &params, limits)?;
        // SQLite may rename a wrapped `count(*)`; the names of the original are kept.
        table.columns = columns;
        Ok(table)
    }

    /// The number of rows of the wrapped statement, counted up to `most`.
    ///
    /// # Errors
    /// As [`Database::query`].
    pub fn count(
        &self,
        sql: &str,
        params: &Params,
        view: &RowView,
        most: u64,
        limits: &Limits,
    ) -> Result<(u64, Completeness), QueryError> {
        self.columns(inner(sql))?;
        let (wrapped, mut params) = view.wrap(sql, params);
        params.set(
            "rheaper_rows",
            Value::Integer(i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1)),
        );
        let counted = format!("SELECT count(*) FROM ({wrapped} LIMIT :rheaper_rows)");
        let table = self.query(&counted, &params, limits)?;
        let count =
            table.rows.first().and_then(|row| row.first()).and_then(Value::as_i64).unwrap_or(0);
        let count = u64::try_from(count).unwrap_or(0);
        let complete = if count > most { Completeness::More } else { Completeness::All };
        Ok((count.min(most), complete))
    }
}

/// A quoted identifier, whatever characters the name contains.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The first statement of the text, without its semicolon, to be put into parentheses.
fn inner(sql: &str) -> &str {
    crate::database::sql::lexer::statements(sql)
        .first()
        .map_or("", |statement| &sql[statement.range.clone()])
}

fn condition(filter: &Filter, index: usize, params: &mut Params) -> String {
    let column = quote(&filter.column);
    let name = format!("rheaper_filter_{index}");
    let mut bound = |value: &Value| {
        params.set(&name, value.clone());
        format!(":{name}")
    };
    match &filter.condition {
        Condition::Equal(value) => format!("{column} = {}", bound(value)),
        Condition::NotEqual(value) => format!("{column} IS NOT {}", bound(value)),
        Condition::Less(value) => format!("{column} < {}", bound(value)),
        Condition::AtMost(value) => format!("{column} <= {}", bound(value)),
        Condition::More(value) => format!("{column} > {}", bound(value)),
        Condition::AtLeast(value) => format!("{column} >= {}", bound(value)),
        Condition::Between(low, high) => {
            let low = bound(low);
            let high_name = format!("rheaper_filter_{index}_high");
            params.set(&high_name, high.clone());
            format!("{column} BETWEEN {low} AND :{high_name}")
        }
        Condition::Contains(text) => {
            format!("instr(lower({column}), lower({})) > 0", bound(&Value::Text(text.clone())))
        }
        Condition::Matches(pattern) => {
            format!("regexp({}, CAST({column} AS TEXT))", bound(&Value::Text(pattern.clone())))
        }
        Condition::IsNull => format!("{column} IS NULL"),
        Condition::IsNotNull => format!("{column} IS NOT NULL"),
    }
}
