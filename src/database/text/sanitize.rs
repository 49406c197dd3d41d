//! Makes text safe to print: no byte of a symbol, a path or a thread's name may move the cursor,
//! set the clipboard, reorder what is read or hide.
//!
//! Used at the last print, whatever the loader did before: a database can be made by anyone.
//!
//! Invariant: [`line()`] and [`block`] give no C0 or C1 control, no DEL, no bidirectional control
//! and no invisible character, except that [`block`] keeps line ends and tabs.

use std::borrow::Cow;

use crate::safeguards::{self, Safeguard};

/// The text with every unsafe character, line ends included, shown as a visible stand-in.
pub fn line(text: &str) -> Cow<'_, str> {
    replace(text, is_unsafe)
}

/// As [`line()`], but line ends and tabs stay: for source and SQL.
pub fn block(text: &str) -> Cow<'_, str> {
    replace(text, |c| is_unsafe(c) && c != '\n' && c != '\t')
}

/// JSON text in which the unsafe characters that JSON itself lets pass are escaped.
pub fn json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if is_unsafe(c) && c != '\n' {
            for unit in c.encode_utf16(&mut [0; 2]) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Whether a terminal or a reader could be misled by this character.
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
    Cow::Owned(text.chars().map(|c| if bad(c) { stand_in(c) } else { c }).collect())
}

/// C0 has pictures of its own (`␛` for ESC), so that an attack stays readable.
fn stand_in(c: char) -> char {
    match u32::from(c) {
        code @ 0..=0x1f => char::from_u32(0x2400 + code).unwrap_or('\u{fffd}'),
        0x7f => '\u{2421}',
        _ => '\u{fffd}',
    }
}
