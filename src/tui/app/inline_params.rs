//! Replaces parameters in SQL by their values, so that any SQLite shell can run it.

use crate::database::query::Params;
use crate::database::sql::lexer::{self, TokenKind};
use crate::database::table::Value;
use crate::database::text::mark_ref::MarkName;
use crate::tui::data::filter::quote;

/// The statement with its parameters replaced by their values.
pub fn with_values(sql: &str, params: &Params) -> String {
    let mut text = String::with_capacity(sql.len());
    for token in lexer::tokens(sql) {
        let word = token.text(sql);
        let name = word.get(1..).filter(|_| token.kind == TokenKind::Parameter);
        let mark = name.and_then(|name| params.mark(name)).map(MarkName::sql);
        let value = name.and_then(|name| params.get(name)).map(literal);
        match mark.or(value) {
            Some(value) => text.push_str(&value),
            None => text.push_str(word),
        }
    }
    text
}

fn literal(value: &Value) -> String {
    match value {
        Value::Null => "NULL".into(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => format!("{number:?}"),
        Value::Text(text) => quote(text),
        Value::Blob(_) => format!("x'{}'", crate::database::text::units::raw(value)),
    }
}
