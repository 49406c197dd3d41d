//! Replaces characters of names that an export format can't represent.
//!
//! Invariant: the results are sanitized. The JSON formats escape all characters instead.

use std::borrow::Cow;

use crate::database::text::sanitize;

/// The replacement of an empty name.
const EMPTY: &str = "[empty name]";

/// A sanitized name that is not empty.
pub(crate) fn plain(name: &str) -> Cow<'_, str> {
    match sanitize::line(name) {
        shown if shown.trim().is_empty() => Cow::Borrowed(EMPTY),
        shown => shown,
    }
}

/// A frame of a folded stack. The format has no escaping: `;`, which ends a frame, becomes `:` as in
/// `stackcollapse-perf`; a leading `#`, which begins a comment, becomes `♯`; and the blank before a
/// trailing number, which would be read as a weight, becomes `_`.
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

/// As [`folded`], without the characters that are invalid in XML even if escaped.
pub(crate) fn folded_xml(name: &str) -> String {
    xml(&folded(name))
}

/// Replaces the characters that are invalid in XML even if escaped.
pub(crate) fn xml(text: &str) -> String {
    text.replace(|c| matches!(u32::from(c) & 0xfffe, 0xfffe), "\u{fffd}")
}
