//! Pages, sorts, filters and counts any query by wrapping it, so that a virtual table over ten
//! million rows holds one screenful.
//!
//! Reads: a user's statement. Writes: SQL around it.
//!
//! Invariants:
//! - Names of columns are quoted and values are bound: no text of a cell becomes SQL.
//! - A wrapped query has the columns of the query it wraps.

use crate::database::connection::Database;
use crate::database::error::QueryError;
use crate::database::query::{Limits, Params};
use crate::database::table::{Completeness, Table, Value};

/// A view of a query's result: which rows, in which order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// All must hold.
    pub filters: Vec<Filter>,
    /// The first sorts first.
    pub sort: Vec<Sort>,
}

/// Rows whose column compares so.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// The column's name in the result.
    pub column: String,
    /// How.
    pub comparison: Comparison,
}

/// What a filter asks of a cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Comparison {
    /// The same value.
    Equal(Value),
    /// Another value, or NULL.
    NotEqual(Value),
    /// Less.
    Less(Value),
    /// Less or the same.
    AtMost(Value),
    /// More.
    More(Value),
    /// More or the same.
    AtLeast(Value),
    /// Both ends included.
    Between(Value, Value),
    /// The text has this in it, ignoring the case of ASCII letters.
    Contains(String),
    /// The text matches this pattern.
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
    /// Which way.
    pub order: Order,
}

/// Which way to sort. NULL stands last either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Small first.
    #[default]
    Ascending,
    /// Large first.
    Descending,
}

impl View {
    /// The statement with this view's filters and order, without a trailing semicolon, and the
    /// parameters that it needs beside its own.
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
    /// Rows `offset..offset + limits.rows_max` of the statement seen through the view. Says
    /// [`Completeness::More`] if rows follow.
    ///
    /// # Errors
    /// As [`Database::query`]; offsets count from the wrapped text only if there is no view.
    pub fn page(
        &self,
        sql: &str,
        params: &Params,
        view: &View,
        offset: u64,
        limits: &Limits,
    ) -> Result<Table, QueryError> {
        // Mistakes are reported in the user's own text, before it is wrapped.
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
        // A wrapped `count(*)` may be renamed by SQLite; the user's names stand.
        table.columns = columns;
        Ok(table)
    }

    /// How many rows the statement has through the view, counted up to `most`.
    ///
    /// # Errors
    /// As [`Database::query`].
    pub fn count(
        &self,
        sql: &str,
        params: &Params,
        view: &View,
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

/// A name as SQL, whatever is in it.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The statement without what would end it inside the parentheses.
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
    match &filter.comparison {
        Comparison::Equal(value) => format!("{column} = {}", bound(value)),
        Comparison::NotEqual(value) => format!("{column} IS NOT {}", bound(value)),
        Comparison::Less(value) => format!("{column} < {}", bound(value)),
        Comparison::AtMost(value) => format!("{column} <= {}", bound(value)),
        Comparison::More(value) => format!("{column} > {}", bound(value)),
        Comparison::AtLeast(value) => format!("{column} >= {}", bound(value)),
        Comparison::Between(low, high) => {
            let low = bound(low);
            let high_name = format!("rheaper_filter_{index}_high");
            params.set(&high_name, high.clone());
            format!("{column} BETWEEN {low} AND :{high_name}")
        }
        Comparison::Contains(text) => {
            format!("instr(lower({column}), lower({})) > 0", bound(&Value::Text(text.clone())))
        }
        Comparison::Matches(pattern) => {
            format!("regexp({}, CAST({column} AS TEXT))", bound(&Value::Text(pattern.clone())))
        }
        Comparison::IsNull => format!("{column} IS NULL"),
        Comparison::IsNotNull => format!("{column} IS NOT NULL"),
    }
}
