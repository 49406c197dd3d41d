//! The names of C++'s operators.
//!
//! Invariant: an operator's name ends before its template arguments and parameters.

/// Longest first where one begins with another.
const SYMBOLS: [&str; 39] = [
    "->*", "<=>", "<<=", ">>=", "()", "[]", "->", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||",
    "++", "--", "+=", "-=", "*=", "/=", "%=", "^=", "&=", "|=", "<", ">", "+", "-", "*", "/", "%",
    "^", "&", "|", "~", "!", "=", ",",
];

/// The length of `operator` with the symbol behind it; `None` if this is no such operator.
pub(crate) fn symbol_length(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("operator")?;
    let symbol = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol))?;
    Some("operator".len() + symbol.len())
}

/// The name of the operator that `text` begins with, and what follows it; `None` if it begins
/// with none.
pub(crate) fn split(text: &str) -> Option<(&str, &str)> {
    if let Some(length) = symbol_length(text) {
        return Some(text.split_at(length));
    }
    let rest = text.strip_prefix("operator")?;
    if let Some(literal) = rest.trim_start().strip_prefix("\"\"") {
        let word = literal.trim_start();
        let end = word.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(word.len());
        return Some(text.split_at(text.len() - word.len() + end));
    }
    let word = rest.strip_prefix(' ')?;
    for name in ["new[]", "delete[]", "new", "delete", "co_await"] {
        let Some(after) = word.strip_prefix(name) else { continue };
        if !after.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
            return Some(text.split_at(text.len() - after.len()));
        }
    }
    Some(text.split_at("operator ".len()))
}
