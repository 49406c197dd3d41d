//! Brackets in names: where a group ends, and where a text may be split.
//!
//! Invariant: any text has an answer; what is not closed ends where the text does.

use crate::loader::symbols::language::cpp_operator;

/// The language whose rules apply inside brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    /// Angle brackets, `->`, characters and strings in quotes.
    Rust,
    /// Angle brackets, `->`, and operators that are made of them.
    Cpp,
    /// No angle brackets; strings in quotes.
    D,
}

/// Where the token at `at` ends: one character, or a word, an arrow, a quoted text or an operator
/// whose brackets are none.
fn token_end(text: &str, at: usize, rules: Rules) -> usize {
    let rest = &text[at..];
    let one = rest.chars().next().map_or(0, char::len_utf8);
    let length = match rest.as_bytes().first() {
        Some(b'-') if rest.starts_with("->") && rules != Rules::D => 2,
        Some(b'"' | b'`') if rules == Rules::D => quoted(rest),
        Some(b'"') if rules == Rules::Rust => quoted(rest),
        Some(b'\'') if rules == Rules::Rust => character(rest),
        Some(b'o') if rules == Rules::Cpp && is_word_start(text, at) => {
            cpp_operator::symbol_length(rest).unwrap_or(one)
        }
        _ => one,
    };
    at + length
}

/// Whether no word goes on at `at`.
pub(crate) fn is_word_start(text: &str, at: usize) -> bool {
    let before = text[..at].chars().next_back();
    !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '$'))
}

/// The length of a text in quotes, its quotes included; 1 if it does not end.
fn quoted(rest: &str) -> usize {
    let quote = rest.as_bytes()[0];
    let mut is_escaped = false;
    for (index, byte) in rest.bytes().enumerate().skip(1) {
        if is_escaped {
            is_escaped = false;
        } else if byte == b'\\' {
            is_escaped = true;
        } else if byte == quote {
            return index + 1;
        }
    }
    1
}

/// The length of a character in quotes; 1 for a lifetime.
fn character(rest: &str) -> usize {
    let mut inside = rest[1..].chars();
    match inside.next() {
        Some('\\') => quoted(rest),
        Some(c) if inside.next() == Some('\'') => 2 + c.len_utf8(),
        _ => 1,
    }
}

const fn closer(byte: u8, rules: Rules) -> Option<u8> {
    match byte {
        b'(' => Some(b')'),
        b'[' => Some(b']'),
        b'{' => Some(b'}'),
        b'<' if !matches!(rules, Rules::D) => Some(b'>'),
        _ => None,
    }
}

/// Where the group that opens at `at` ends, its closing bracket included.
pub(crate) fn group_end(text: &str, at: usize, rules: Rules) -> usize {
    let bytes = text.as_bytes();
    let mut open = Open::default();
    let mut index = at;
    while let Some(byte) = bytes.get(index) {
        if closer(*byte, rules).is_some() {
            open.brackets.push(*byte == b'<');
            open.plain += usize::from(*byte != b'<');
        } else if matches!(byte, b')' | b']' | b'}' | b'>') {
            open.close(*byte == b'>');
            if open.brackets.is_empty() {
                return index + 1;
            }
        }
        index = token_end(text, index, rules);
    }
    text.len()
}

/// The brackets that are open.
#[derive(Default)]
struct Open {
    /// Of each whether it is an angle bracket.
    brackets: Vec<bool>,
    /// How many are none.
    plain: usize,
}

impl Open {
    /// Closes a bracket. An angle bracket that is still open in another kind of group was a
    /// comparison, and so is one that closes nothing. Each step but the last takes one away, so
    /// that all of them together take no longer than the text.
    fn close(&mut self, is_angle: bool) {
        if is_angle {
            if self.brackets.last() == Some(&true) {
                self.brackets.pop();
            }
        } else if self.plain > 0 {
            self.plain -= 1;
            while self.brackets.pop() == Some(true) {}
        }
    }
}

/// The inside of the group that `text` begins with, and what follows it; nothing and all of it if
/// it begins with none.
pub(crate) fn split_group(text: &str, rules: Rules) -> (&str, &str) {
    let Some(closer) = text.bytes().next().and_then(|byte| closer(byte, rules)) else {
        return ("", text);
    };
    let end = group_end(text, 0, rules);
    let inside = &text[1..end];
    let inside = inside.strip_suffix(char::from(closer)).unwrap_or(inside);
    (inside, &text[end..])
}

/// Splits at a word that stands outside all brackets.
pub(crate) fn split_once<'a>(
    text: &'a str,
    word: &str,
    rules: Rules,
) -> Option<(&'a str, &'a str)> {
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with(word) {
            return Some((&text[..at], &text[at + word.len()..]));
        }
        at = if closer(text.as_bytes()[at], rules).is_some() {
            group_end(text, at, rules)
        } else {
            token_end(text, at, rules)
        };
    }
    None
}

/// The parts between words that stand outside all brackets.
pub(crate) fn split<'a>(text: &'a str, word: &str, rules: Rules) -> Vec<&'a str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((part, after)) = split_once(rest, word, rules) {
        parts.push(part);
        rest = after;
    }
    parts.push(rest);
    parts
}
