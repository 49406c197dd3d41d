//! Formats an SQL error with the line of SQL and a caret below the position.

use unicode_width::UnicodeWidthStr;

use crate::database::sql::lexer;
use crate::database::text::sanitize;
use crate::database::{QueryError, QueryErrorKind};

/// Limit on the shown columns of SQL.
const WINDOW: usize = 78;

/// The error message, and below it the position, if SQLite knows it.
pub(crate) fn explain(error: &QueryError, sql: &str) -> String {
    let mut text = sanitize::line(&error.message).into_owned();
    let shown = error.kind == QueryErrorKind::Sql;
    if let Some(offset) = error.offset.filter(|offset| shown && sql.is_char_boundary(*offset)) {
        let line_start = sql[..offset].rfind('\n').map_or(0, |at| at + 1);
        let line_end = sql[offset..].find('\n').map_or(sql.len(), |at| offset + at);
        let fits = sql[line_start..line_end].width() <= WINDOW;
        let cut = if fits { 0 } else { window_start(&sql[line_start..offset]) };
        let start = line_start + cut;
        let window = &sql[start..line_end];
        let before = sanitize::line(&sql[start..offset]).width();
        let token =
            lexer::tokens(&sql[offset..line_end]).first().map_or(1, |token| token.range.len());
        let marked = sql.get(offset..offset + token).map_or(1, |token| token.width().max(1));
        let visible =
            crate::present::table_printer::cut(&sanitize::line(window), WINDOW).into_owned();
        let marked = marked.min(WINDOW.saturating_sub(before)).max(1);
        text.push_str(&format!(
            "\n  {visible}\n  {}^{}",
            " ".repeat(before),
            "~".repeat(marked - 1)
        ));
    }
    text
}

/// The start of a window that has the end of the text in its first two thirds.
fn window_start(before: &str) -> usize {
    let excess = before.width().saturating_sub(WINDOW * 2 / 3);
    before.char_indices().nth(excess).map_or(0, |(at, _)| at)
}
