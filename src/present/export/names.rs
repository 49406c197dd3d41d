//! Names made fit for a format: what it can't hold is replaced by something that reads alike.
//!
//! Reads and writes nothing.
//!
//! Invariant: a name has no unsafe character ([`clean`]) after any of these; the JSON formats keep
//! every character instead, escaped.

use std::borrow::Cow;

use crate::database::text::sanitize;

/// What stands for a name that is empty.
const EMPTY: &str = "[empty name]";

/// A name that a terminal or a page can show.
pub(crate) fn plain(name: &str) -> Cow<'_, str> {
    match sanitize::line(name) {
        shown if shown.trim().is_empty() => Cow::Borrowed(EMPTY),
        shown => shown,
    }
}

/// A frame of a folded stack. The format has no escaping: `;` ends a frame and becomes `:`, as
/// `stackcollapse-perf` has it; a `#` that would begin a comment gets a twin; a number at the end
/// would be read as a weight, and loses the space before it.
pub(crate) fn folded(name: &str) -> String {
    let plain = plain(name);
    let mut folded = plain.trim().replace(';', ":");
    if folded.starts_with('#') {
        folded.replace_range(..1, "\u{266f}");
    }
    let number = folded.rfind(char::is_whitespace).filter(|at| {
        let word = folded[*at..].trim_start();
        word.chars().all(|c| c.is_ascii_digit() || c == '.')
    });
    if let Some(at) = number {
        let end = at + folded[at..].chars().next().map_or(0, char::len_utf8);
        folded.replace_range(at..end, "_");
    }
    folded
}

/// As [`folded`], without the characters that XML can't hold even when they are escaped.
pub(crate) fn folded_xml(name: &str) -> String {
    xml(&folded(name))
}

/// Without the characters that XML can't hold even when they are escaped.
pub(crate) fn xml(text: &str) -> String {
    text.replace(|c| matches!(u32::from(c) & 0xfffe, 0xfffe), "\u{fffd}")
}
