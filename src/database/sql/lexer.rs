//! SQLite's tokens, for highlighting, for splitting text into statements, for completion and for
//! finding parameters.
//!
//! Reads: any text, also unfinished. Writes: tokens that cover it without a gap.
//!
//! Invariants:
//! - The tokens' ranges follow each other, begin at 0, end at the text's length and lie on
//!   character boundaries.
//! - Whether SQL is right is SQLite's to say: nothing here rejects anything.

use std::ops::Range;

/// A piece of SQL text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Its bytes in the text.
    pub range: Range<usize>,
    /// Whether the text ended before it did: an open string, quoted name or comment.
    pub ending: Ending,
}

/// Whether a token has its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is whole.
    Finished,
    /// The text ends inside it.
    Open,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// White space.
    Space,
    /// `-- …` or `/* … */`.
    Comment,
    /// A word that SQLite reserves or knows.
    Keyword,
    /// Any other word.
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
    /// Nothing that SQLite knows.
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
    /// From its first to its last token, without the semicolon and blanks around it.
    pub range: Range<usize>,
    /// Whether a semicolon ends it.
    pub ending: Ending,
}

/// All tokens of the text.
pub fn tokens(sql: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < sql.len() {
        let (kind, len, ending) = next(&sql[at..]);
        // A stand-still would hang whoever waits for the end, so every token has a byte at least.
        let len = len.max(1);
        tokens.push(Token { kind, range: at..at + len, ending });
        at += len;
    }
    tokens
}

/// The statements of the text, empty ones left out.
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

/// The statement that the cursor stands in or behind: the last one that begins at or before it.
pub fn statement_at(sql: &str, cursor: usize) -> Option<Statement> {
    let all = statements(sql);
    let at = all.iter().rposition(|statement| statement.range.start <= cursor).unwrap_or(0);
    all.into_iter().nth(at)
}

/// Whether a prompt may run this: something is there, nothing is open, a semicolon ends it.
pub fn is_complete(sql: &str) -> bool {
    let tokens = tokens(sql);
    if tokens.last().is_some_and(|token| token.ending == Ending::Open) {
        return false;
    }
    statements(sql).last().is_none_or(|statement| statement.ending == Ending::Finished)
}

/// The named parameters, as written (`:age`), each once, in order.
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

/// What of a trigger's definition has been seen: its body holds semicolons of its own.
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

/// The token that the text begins with: kind, length, ending.
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
        // A byte order mark at the beginning is white space to SQLite, though its bytes could be a name's.
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

/// `'it''s'`: the quote is written twice inside. `open` is the length up to and with the quote.
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

/// The end of the run of bytes from `start` on that `belongs` accepts. Runs of names end on a
/// character boundary, as every byte of a longer character belongs to a name.
fn run(bytes: &[u8], start: usize, belongs: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(start..).unwrap_or(&[]);
    start + rest.iter().position(|byte| !belongs(*byte)).unwrap_or(rest.len())
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\x0c' | b'\r')
}

/// As SQLite has it: everything beyond ASCII belongs to names.
fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

/// Whether the word is one of [`KEYWORDS`], in any case.
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
