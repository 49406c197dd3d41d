//! SQL completion for the prompt and the explorer: tables, columns, functions and keywords.
//!
//! Invariant: accepts any text and does not query the database; [`Names`] is read once.

use std::ops::Range;

use crate::database::builtin::Catalog;
use crate::database::connection::Database;
use crate::database::error::QueryError;
use crate::database::query::{Limits, Params};
use crate::database::sql::functions::FUNCTIONS;
use crate::database::sql::lexer::{self, KEYWORDS, Token, TokenKind};
use crate::database::table::Value;

/// Limit on the number of candidates.
const CANDIDATES_MAX: usize = 100;

/// SQLite's own functions that are offered.
const SQLITE_FUNCTIONS: &[&str] = &[
    "abs",
    "avg",
    "cast",
    "coalesce",
    "count",
    "format",
    "group_concat",
    "hex",
    "ifnull",
    "iif",
    "instr",
    "lag",
    "last_value",
    "first_value",
    "lead",
    "length",
    "lower",
    "ltrim",
    "max",
    "min",
    "ntile",
    "nullif",
    "printf",
    "quote",
    "rank",
    "dense_rank",
    "replace",
    "round",
    "row_number",
    "rtrim",
    "sign",
    "substr",
    "sum",
    "total",
    "trim",
    "typeof",
    "upper",
];

/// The names that can be completed.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Tables and views with their columns.
    pub tables: Vec<TableNames>,
    /// Built-in queries, for `.run`.
    pub queries: Vec<String>,
}

/// A table or view.
#[derive(Clone, Debug, Default)]
pub struct TableNames {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub columns: Vec<String>,
}

impl Names {
    /// Reads the names of a database.
    ///
    /// # Errors
    /// If the schema can't be read.
    pub fn of(database: &Database, catalog: &Catalog) -> Result<Self, QueryError> {
        let sql = "SELECT m.name, c.name FROM sqlite_schema m, pragma_table_xinfo(m.name) c \
                   WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
                   ORDER BY m.rowid, c.cid";
        let answer = database.query(sql, &Params::none(), &Limits::rows(100_000))?;
        let mut tables: Vec<TableNames> = Vec::new();
        for row in answer.rows {
            let [Value::Text(table), Value::Text(column)] = row.as_slice() else {
                continue;
            };
            if tables.last().is_none_or(|last| last.name != *table) {
                tables.push(TableNames { name: table.clone(), columns: Vec::new() });
            }
            if let Some(last) = tables.last_mut() {
                last.columns.push(column.clone());
            }
        }
        Ok(Self { tables, queries: catalog.iter().map(|query| query.name.clone()).collect() })
    }

    /// The table or view of a name.
    pub fn table(&self, name: &str) -> Option<&TableNames> {
        self.tables.iter().find(|table| table.name.eq_ignore_ascii_case(name))
    }
}

/// The result of [`complete`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// The bytes that a candidate replaces: the word before the cursor.
    pub range: Range<usize>,
    /// The candidates, best first.
    pub candidates: Vec<Candidate>,
}

/// A possible completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The text to insert.
    pub text: String,
    /// Its kind.
    pub kind: CandidateKind,
    /// A description: the table of a column, the help of a function.
    pub detail: String,
}

/// The kind of a [`Candidate`], in the order in which they are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CandidateKind {
    /// A column of a table in use.
    Column,
    /// A table, a view, or a name given with `WITH` or as an alias.
    Table,
    /// A function.
    Function,
    /// A keyword.
    Keyword,
}

/// Completes the word at byte `cursor` of `sql`.
pub fn complete(sql: &str, cursor: usize, names: &Names) -> Completion {
    let cursor =
        (0..=cursor.min(sql.len())).rev().find(|at| sql.is_char_boundary(*at)).unwrap_or(0);
    let around = statement_around(sql, cursor);
    let tokens: Vec<Token> = lexer::tokens(&sql[around.clone()])
        .into_iter()
        .map(|token| Token {
            range: token.range.start + around.start..token.range.end + around.start,
            ..token
        })
        .collect();
    let Some((word, before)) = word_at(sql, &tokens, cursor) else {
        return Completion { range: cursor..cursor, candidates: Vec::new() };
    };
    let typed = &sql[word.clone()];
    let scope = Scope::of(sql, &tokens, names);
    let mut candidates = match before.as_slice() {
        [.., qualifier, dot] if dot.text(sql) == "." => {
            scope.columns_of(bare(qualifier.text(sql)), names)
        }
        [.., last] if wants_table(last.text(sql)) => scope.tables(names),
        _ if typed.is_empty() && before.is_empty() => Vec::new(),
        _ => scope.everything(typed, names),
    };
    rank(&mut candidates, typed);
    Completion { range: word, candidates }
}

/// The range between the semicolons around the cursor, including blanks.
fn statement_around(sql: &str, cursor: usize) -> Range<usize> {
    let ends = lexer::tokens(sql).into_iter().filter(|token| token.kind == TokenKind::Semicolon);
    let (before, after): (Vec<Token>, Vec<Token>) =
        ends.partition(|token| token.range.end <= cursor);
    let start = before.last().map_or(0, |token| token.range.end);
    start..after.first().map_or(sql.len(), |token| token.range.start)
}

/// The part of the word before the cursor, and the tokens before the word. `None` inside strings and
/// comments.
fn word_at<'a>(
    sql: &str,
    tokens: &'a [Token],
    cursor: usize,
) -> Option<(Range<usize>, Vec<&'a Token>)> {
    let mut before: Vec<&Token> = Vec::new();
    for token in tokens {
        if token.range.end < cursor || (token.range.end == cursor && !is_word(token, sql)) {
            let inside_open = token.range.end == cursor
                && (token.ending == lexer::Ending::Open || token.text(sql).starts_with("--"));
            if inside_open {
                return None;
            }
            if !token.is_blank() {
                before.push(token);
            }
        } else if token.range.start < cursor {
            return match token.kind {
                _ if is_word(token, sql) => Some((token.range.start..cursor, before)),
                TokenKind::Space | TokenKind::Operator => Some((cursor..cursor, before)),
                _ => None,
            };
        }
    }
    Some((cursor..cursor, before))
}

fn is_word(token: &Token, sql: &str) -> bool {
    matches!(token.kind, TokenKind::Name | TokenKind::Keyword)
        || (token.kind == TokenKind::QuotedName
            && token.ending == lexer::Ending::Open
            && token.text(sql).starts_with('"'))
}

fn wants_table(word: &str) -> bool {
    ["FROM", "JOIN", "INTO", "UPDATE", "TABLE"]
        .iter()
        .any(|keyword| keyword.eq_ignore_ascii_case(word))
}

/// A name without its quotes.
fn bare(name: &str) -> &str {
    name.trim_matches(['"', '`', '[', ']'])
}

/// The names that the statement itself introduces: tables in use, their aliases, and `WITH` names.
struct Scope {
    /// The name or alias, and the table if it is one.
    used: Vec<(String, Option<String>)>,
}

impl Scope {
    fn of(sql: &str, tokens: &[Token], names: &Names) -> Self {
        let words: Vec<&Token> = tokens.iter().filter(|token| !token.is_blank()).collect();
        let mut used = Vec::new();
        for (i, token) in words.iter().enumerate() {
            let next = |n: usize| words.get(i + n).map_or("", |token| token.text(sql));
            let is_name = |n: usize| {
                words
                    .get(i + n)
                    .is_some_and(|t| matches!(t.kind, TokenKind::Name | TokenKind::QuotedName))
            };
            let name = bare(token.text(sql));
            if next(1).eq_ignore_ascii_case("as") && next(2) == "(" && is_name(0) {
                used.push((name.to_owned(), None));
            }
            let Some(table) = names.table(name) else {
                continue;
            };
            let after_from =
                i > 0 && (wants_table(words[i - 1].text(sql)) || words[i - 1].text(sql) == ",");
            if !after_from {
                continue;
            }
            let alias = if next(1).eq_ignore_ascii_case("as") && is_name(2) {
                bare(next(2))
            } else if is_name(1) {
                bare(next(1))
            } else {
                name
            };
            used.push((alias.to_owned(), Some(table.name.clone())));
        }
        Self { used }
    }

    fn columns_of(&self, qualifier: &str, names: &Names) -> Vec<Candidate> {
        let aliased = self.used.iter().find(|(name, _)| name.eq_ignore_ascii_case(qualifier));
        let table = aliased.and_then(|(_, table)| table.as_deref()).unwrap_or(qualifier);
        names.table(table).map(columns).unwrap_or_default()
    }

    fn tables(&self, names: &Names) -> Vec<Candidate> {
        let with = self.used.iter().filter(|(_, table)| table.is_none());
        let with = with.map(|(name, _)| candidate(name, CandidateKind::Table, "of this statement"));
        let known =
            names.tables.iter().map(|table| candidate(&table.name, CandidateKind::Table, "table"));
        with.chain(known).collect()
    }

    fn everything(&self, typed: &str, names: &Names) -> Vec<Candidate> {
        let mut all: Vec<Candidate> = Vec::new();
        for (alias, table) in &self.used {
            all.push(candidate(
                alias,
                CandidateKind::Table,
                table.as_deref().unwrap_or("of this statement"),
            ));
            let table = table.as_deref().and_then(|table| names.table(table));
            all.extend(table.map(columns).unwrap_or_default());
        }
        if self.used.is_empty() {
            all.extend(names.tables.iter().flat_map(columns));
        }
        all.extend(self.tables(names));
        for function in FUNCTIONS {
            let name = function.signature.split('(').next().unwrap_or_default();
            all.push(candidate(name, CandidateKind::Function, function.help));
        }
        all.extend(
            SQLITE_FUNCTIONS
                .iter()
                .map(|name| candidate(name, CandidateKind::Function, "function")),
        );
        let upper = !typed.chars().any(|c| c.is_ascii_lowercase());
        all.extend(KEYWORDS.iter().map(|keyword| {
            let text = if upper { (*keyword).to_owned() } else { keyword.to_ascii_lowercase() };
            candidate(&text, CandidateKind::Keyword, "keyword")
        }));
        all
    }
}

fn columns(table: &TableNames) -> Vec<Candidate> {
    table
        .columns
        .iter()
        .map(|column| candidate(column, CandidateKind::Column, &table.name))
        .collect()
}

fn candidate(text: &str, kind: CandidateKind, detail: &str) -> Candidate {
    Candidate { text: text.to_owned(), kind, detail: detail.to_owned() }
}

/// Keeps the candidates that begin with or contain the typed text, in that order, each once.
fn rank(candidates: &mut Vec<Candidate>, typed: &str) {
    let typed = bare(typed).to_ascii_lowercase();
    let place = |text: &str| {
        let text = text.to_ascii_lowercase();
        match text.find(&typed) {
            Some(0) => Some(0),
            Some(_) if typed.len() > 1 => Some(1),
            _ => None,
        }
    };
    // A complete word is only extended: `allocations` must not become `weighted_allocations`.
    let is_complete = candidates.iter().any(|c| c.text.eq_ignore_ascii_case(&typed));
    let mut seen = std::collections::HashSet::new();
    candidates.retain(|c| {
        let matches =
            if is_complete { place(&c.text) == Some(0) } else { place(&c.text).is_some() };
        matches && seen.insert(c.text.to_ascii_lowercase())
    });
    // A complete word is not offered, because Tab would replace it by itself.
    candidates.retain(|c| c.text.to_ascii_lowercase() != typed);
    candidates.sort_by_key(|c| (place(&c.text), c.kind));
    candidates.truncate(CANDIDATES_MAX);
}
