//! A lexer for SQLite's SQL, for highlighting, completion, splitting into statements and finding
//! parameters.
//!
//! Invariants:
//! - Tokens cover any text, also incomplete SQL, without gaps, on character boundaries.
//! - No text is rejected: validation is left to SQLite.

use std::ops::Range;

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its kind.
    pub kind: TokenKind,
    /// Its bytes in the text.
    pub range: Range<usize>,
    /// Whether the text ends inside it: an open string, quoted name or comment.
    pub ending: Ending,
}

/// Whether a token or statement is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is complete.
    Finished,
    /// The text ends inside it.
    Open,
}

/// The kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// White space.
    Space,
    /// `-- …` or `/* … */`.
    Comment,
    /// A keyword of SQLite.
    Keyword,
    /// Any other identifier.
    Name,
    /// `"…"`, `` `…` `` or `[…]`.
    QuotedName,
    /// `'…'`.
    String,
    /// `x'…'`.
    Blob,
    /// `12`, `0x1f`, `1.5e3`.
    Number,
    /// `?`, `?1`, `:name`, `@name`, `$name`.
    Parameter,
    /// `;`.
    Semicolon,
    /// `,` `.` `(` `)`.
    Punctuation,
    /// `+`, `->>`, `||`, …
    Operator,
    /// Not a token of SQLite.
    Illegal,
}

impl Token {
    /// Whether it is white space or a comment.
    pub fn is_blank(&self) -> bool {
        matches!(self.kind, TokenKind::Space | TokenKind::Comment)
    }

    /// Its text.
    pub fn text<'a>(&self, sql: &'a str) -> &'a str {
        &sql[self.range.clone()]
    }
}

/// A statement of a longer text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// From its first to its last token, without the semicolon and surrounding blanks.
    pub range: Range<usize>,
    /// Whether a semicolon ends it.
    pub ending: Ending,
}

/// Splits a text into tokens.
pub fn tokens(sql: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < sql.len() {
        let (kind, len, ending) = next(&sql[at..]);
        // An empty token would make this loop endless.
        let len = len.max(1);
        tokens.push(Token { kind, range: at..at + len, ending });
        at += len;
    }
    tokens
}

/// Splits a text into statements, without empty ones.
pub fn statements(sql: &str) -> Vec<Statement> {
    let mut statements = Vec::new();
    let mut current: Option<Statement> = None;
    let mut words = Words::default();
    for token in tokens(sql) {
        if token.is_blank() {
            continue;
        }
        if token.kind == TokenKind::Semicolon && !words.in_trigger() {
            if let Some(done) = current.take() {
                statements.push(Statement { ending: Ending::Finished, ..done });
            }
            words = Words::default();
            continue;
        }
        words.push(token.text(sql));
        let start = current.map_or(token.range.start, |statement| statement.range.start);
        current = Some(Statement { range: start..token.range.end, ending: Ending::Open });
    }
    statements.extend(current);
    statements
}

/// The last statement that begins at or before the cursor.
pub fn statement_at(sql: &str, cursor: usize) -> Option<Statement> {
    let all = statements(sql);
    let at = all.iter().rposition(|statement| statement.range.start <= cursor).unwrap_or(0);
    all.into_iter().nth(at)
}

/// Whether a prompt can run this text: no token is open, and a semicolon ends it.
pub fn is_complete(sql: &str) -> bool {
    let tokens = tokens(sql);
    if tokens.last().is_some_and(|token| token.ending == Ending::Open) {
        return false;
    }
    statements(sql).last().is_none_or(|statement| statement.ending == Ending::Finished)
}

/// The parameters as written (`:age`), each once, in order.
pub fn parameters(sql: &str) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for token in tokens(sql) {
        let text = token.text(sql);
        if token.kind == TokenKind::Parameter && !names.contains(&text) {
            names.push(text);
        }
    }
    names
}

/// Tracks a `CREATE TRIGGER` statement, whose body contains semicolons.
#[derive(Default)]
struct Words {
    seen: usize,
    create: bool,
    trigger: bool,
    last_end: bool,
}

impl Words {
    fn push(&mut self, word: &str) {
        self.seen += 1;
        let is = |other: &str| word.eq_ignore_ascii_case(other);
        match self.seen {
            1 => self.create = is("create"),
            2 | 3 => self.trigger |= self.create && is("trigger"),
            _ => {}
        }
        self.last_end = is("end");
    }

    fn in_trigger(&self) -> bool {
        self.trigger && !self.last_end
    }
}

/// The first token of a text: kind, length, ending.
fn next(sql: &str) -> (TokenKind, usize, Ending) {
    use TokenKind::{Blob, Name, Punctuation, QuotedName, Semicolon, Space, String};
    let bytes = sql.as_bytes();
    let second = bytes.get(1).copied();
    match (bytes[0], second) {
        (b' ' | b'\t' | b'\n' | b'\x0c' | b'\r', _) => {
            (Space, run(bytes, 0, is_space), Ending::Finished)
        }
        (b'-', Some(b'-')) => {
            (TokenKind::Comment, sql.find('\n').unwrap_or(sql.len()), Ending::Finished)
        }
        (b'/', Some(b'*')) => delimited(TokenKind::Comment, sql, 2, "*/"),
        (b';', _) => (Semicolon, 1, Ending::Finished),
        (b'\'', _) => quoted(String, bytes, 1),
        (b'"' | b'`', _) => quoted(QuotedName, bytes, 1),
        (b'[', _) => delimited(QuotedName, sql, 1, "]"),
        (b'x' | b'X', Some(b'\'')) => quoted(Blob, bytes, 2),
        (b'0'..=b'9', _) | (b'.', Some(b'0'..=b'9')) => number(bytes),
        (b',' | b'(' | b')' | b'.', _) => (Punctuation, 1, Ending::Finished),
        (b'?' | b':' | b'@' | b'$' | b'#', _) => parameter(bytes),
        // SQLite treats a byte order mark as white space, although its bytes could be part of a name.
        _ if sql.starts_with('\u{feff}') => (Space, 3, Ending::Finished),
        (first, _) if is_name(first) => {
            let len = run(bytes, 0, is_name);
            let kind = if is_keyword(&sql[..len]) { TokenKind::Keyword } else { Name };
            (kind, len, Ending::Finished)
        }
        _ => operator(sql),
    }
}

fn operator(sql: &str) -> (TokenKind, usize, Ending) {
    const OPERATORS: [&str; 19] = [
        "->>", "->", "||", "<<", "<=", "<>", "<", ">>", ">=", ">", "==", "=", "!=", "+", "-", "*",
        "/", "%", "&",
    ];
    let found = OPERATORS.iter().chain(&["|", "~"]).find(|operator| sql.starts_with(**operator));
    match found {
        Some(operator) => (TokenKind::Operator, operator.len(), Ending::Finished),
        None => {
            (TokenKind::Illegal, sql.chars().next().map_or(1, char::len_utf8), Ending::Finished)
        }
    }
}

/// A token such as `'it''s'`. `open` is the length up to and including the opening quote.
fn quoted(kind: TokenKind, bytes: &[u8], open: usize) -> (TokenKind, usize, Ending) {
    let quote = bytes[open - 1];
    let mut at = open;
    while at < bytes.len() {
        if bytes[at] != quote {
            at += 1;
        } else if bytes.get(at + 1) == Some(&quote) {
            at += 2;
        } else {
            return (kind, at + 1, Ending::Finished);
        }
    }
    (kind, bytes.len(), Ending::Open)
}

fn delimited(kind: TokenKind, sql: &str, open: usize, close: &str) -> (TokenKind, usize, Ending) {
    match sql[open..].find(close) {
        Some(at) => (kind, open + at + close.len(), Ending::Finished),
        None => (kind, sql.len(), Ending::Open),
    }
}

fn number(bytes: &[u8]) -> (TokenKind, usize, Ending) {
    let digit = |b: u8| b.is_ascii_digit() || b == b'_';
    let mut len;
    if bytes[0] == b'0' && matches!(bytes.get(1), Some(b'x' | b'X')) {
        len = run(bytes, 2, |b| b.is_ascii_hexdigit() || b == b'_');
    } else {
        len = run(bytes, 0, digit);
        if bytes.get(len) == Some(&b'.') {
            len = run(bytes, len + 1, digit);
        }
        if matches!(bytes.get(len), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(len + 1), Some(b'+' | b'-')));
            if bytes.get(len + 1 + sign).is_some_and(u8::is_ascii_digit) {
                len = run(bytes, len + 1 + sign, digit);
            }
        }
    }
    let whole = run(bytes, len, is_name);
    let kind = if whole > len { TokenKind::Illegal } else { TokenKind::Number };
    (kind, whole, Ending::Finished)
}

fn parameter(bytes: &[u8]) -> (TokenKind, usize, Ending) {
    if bytes[0] == b'?' {
        return (TokenKind::Parameter, run(bytes, 1, |b| b.is_ascii_digit()), Ending::Finished);
    }
    let len = run(bytes, 1, is_name);
    let kind = if len > 1 { TokenKind::Parameter } else { TokenKind::Illegal };
    (kind, len, Ending::Finished)
}

/// The end of the run of bytes from `start` on that `belongs` accepts. A run of name bytes ends on a
/// character boundary, because all bytes of a multi-byte character are name bytes.
fn run(bytes: &[u8], start: usize, belongs: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(start..).unwrap_or(&[]);
    start + rest.iter().position(|byte| !belongs(*byte)).unwrap_or(rest.len())
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\x0c' | b'\r')
}

/// As in SQLite, all non-ASCII bytes are name bytes.
fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

/// Whether the word is one of [`KEYWORDS`], ignoring case.
pub fn is_keyword(word: &str) -> bool {
    if word.len() > 17 {
        return false;
    }
    let upper = word.to_ascii_uppercase();
    KEYWORDS.binary_search(&upper.as_str()).is_ok()
}

/// SQLite's keywords, sorted.
#[rustfmt::skip]
pub const KEYWORDS: &[&str] = &[
    "ABORT", "ACTION", "ADD", "AFTER", "ALL", "ALTER", "ALWAYS", "ANALYZE", "AND", "AS", "ASC", "ATTACH",
    "AUTOINCREMENT", "BEFORE", "BEGIN", "BETWEEN", "BY", "CASCADE", "CASE", "CAST", "CHECK", "COLLATE", "COLUMN",
    "COMMIT", "CONFLICT", "CONSTRAINT", "CREATE", "CROSS", "CURRENT", "CURRENT_DATE", "CURRENT_TIME",
    "CURRENT_TIMESTAMP", "DATABASE", "DEFAULT", "DEFERRABLE", "DEFERRED", "DELETE", "DESC", "DETACH", "DISTINCT", "DO",
    "DROP", "EACH", "ELSE", "END", "ESCAPE", "EXCEPT", "EXCLUDE", "EXCLUSIVE", "EXISTS", "EXPLAIN", "FAIL", "FILTER",
    "FIRST", "FOLLOWING", "FOR", "FOREIGN", "FROM", "FULL", "GENERATED", "GLOB", "GROUP", "GROUPS", "HAVING", "IF",
    "IGNORE", "IMMEDIATE", "IN", "INDEX", "INDEXED", "INITIALLY", "INNER", "INSERT", "INSTEAD", "INTERSECT", "INTO",
    "IS", "ISNULL", "JOIN", "KEY", "LAST", "LEFT", "LIKE", "LIMIT", "MATCH", "MATERIALIZED", "NATURAL", "NO", "NOT",
    "NOTHING", "NOTNULL", "NULL", "NULLS", "OF", "OFFSET", "ON", "OR", "ORDER", "OTHERS", "OUTER", "OVER", "PARTITION",
    "PLAN", "PRAGMA", "PRECEDING", "PRIMARY", "QUERY", "RAISE", "RANGE", "RECURSIVE", "REFERENCES", "REGEXP", "REINDEX",
    "RELEASE", "RENAME", "REPLACE", "RESTRICT", "RETURNING", "RIGHT", "ROLLBACK", "ROW", "ROWS", "SAVEPOINT", "SELECT",
    "SET", "TABLE", "TEMP", "TEMPORARY", "THEN", "TIES", "TO", "TRANSACTION", "TRIGGER", "UNBOUNDED", "UNION", "UNIQUE",
    "UPDATE", "USING", "VACUUM", "VALUES", "VIEW", "VIRTUAL", "WHEN", "WHERE", "WINDOW", "WITH", "WITHIN", "WITHOUT",
];
