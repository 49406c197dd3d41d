//! Sanitizes untrusted text for terminals: a symbol, path or thread name must not move the cursor,
//! set the clipboard, reorder text or be invisible.
//!
//! Applied whenever text is printed, because a database can come from an untrusted source.
//!
//! Invariant: the results contain no C0 or C1 control, no DEL, no bidirectional control and no
//! invisible character, except that [`block`] keeps line ends and tabs.

use std::borrow::Cow;

use crate::safeguards::{self, Safeguard};

/// Replaces every unsafe character, including line ends, by a visible one.
pub fn line(text: &str) -> Cow<'_, str> {
    replace(text, is_unsafe)
}

/// As [`line()`], but keeps line ends and tabs: for source code and SQL.
pub fn block(text: &str) -> Cow<'_, str> {
    replace(text, |c| is_unsafe(c) && c != '\n' && c != '\t')
}

/// Escapes the unsafe characters that JSON itself permits unescaped in a string.
pub fn json(string: &str) -> Cow<'_, str> {
    if !string.chars().any(is_unsafe) {
        return Cow::Borrowed(string);
    }
    let mut escaped = String::with_capacity(string.len());
    for c in string.chars() {
        if is_unsafe(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// Whether the character can affect a terminal or mislead a reader.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' // soft hyphen: invisible
            | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' // zero width, left-to-right and right-to-left marks
            | '\u{2028}'..='\u{202e}' // line and paragraph separators, embeddings, overrides
            | '\u{2060}'..='\u{206f}' // joiners, isolates
            | '\u{3164}' | '\u{ffa0}'
            | '\u{fe00}'..='\u{fe0f}' // variation selectors
            | '\u{feff}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}') // tags and more variation selectors
}

fn replace(text: &str, bad: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&bad) || safeguards::is_disabled(Safeguard::Sanitizer) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if bad(c) { visible(c) } else { c }).collect())
}

/// Unicode has pictures of C0 controls (`␛` for ESC), which keep an attack readable.
fn visible(c: char) -> char {
    match u32::from(c) {
        code @ 0..=0x1f => char::from_u32(0x2400 + code).unwrap_or('\u{fffd}'),
        0x7f => '\u{2421}',
        _ => '\u{fffd}',
    }
}
