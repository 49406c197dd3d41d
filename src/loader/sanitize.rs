//! Sanitizes text from recordings and symbol files before it goes into the database.
//!
//! Invariant: two names that differ anywhere still differ when they are truncated or sanitized.

use crate::database::text::sanitize;

/// Maximum length of a text: longer than a screen can show.
const TEXT_CHARS_MAX: usize = 4096;

/// Marks omitted text.
const GAP: char = '…';

/// Replaces every unsafe character by a visible one. In a text that is too long, a hash of the whole
/// replaces the middle.
pub(crate) fn text(input: &str) -> String {
    cut(input, input).unwrap_or_else(|| sanitize::line(input).into_owned())
}

/// Sanitizes a name, so that two names stay two: where that could lose a difference, a hash of
/// `identity` is appended, which is the name itself unless it was not written out.
pub(crate) fn name(input: &str, identity: Option<&str>) -> String {
    let whole = identity.unwrap_or(input);
    if let Some(cut) = cut(input, whole) {
        return cut;
    }
    let shown = sanitize::line(input);
    // Characters that replace several others, or that could be mistaken for a replacement.
    let is_stand_in = |c: char| matches!(c, GAP | '\u{2400}'..='\u{2421}' | '\u{fffd}');
    if identity.is_some() || shown.contains('\u{fffd}') || input.contains(is_stand_in) {
        return format!("{shown}{GAP}{:016x}", hash(whole));
    }
    shown.into_owned()
}

/// Head and tail of a text that is too long.
fn cut(input: &str, identity: &str) -> Option<String> {
    let chars = input.chars().count();
    if chars <= TEXT_CHARS_MAX {
        return None;
    }
    // The room beside two gaps and sixteen digits.
    let kept = TEXT_CHARS_MAX - 18;
    let at = |index: usize| input.char_indices().nth(index).map_or(input.len(), |(at, _)| at);
    let (head, tail) = (&input[..at(kept / 2)], &input[at(chars - (kept - kept / 2))..]);
    let digits = format!("{:016x}", hash(identity));
    Some(format!("{}{GAP}{digits}{GAP}{}", sanitize::line(head), sanitize::line(tail)))
}

/// FNV-1a: the same on every machine, since names are compared between databases.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Decodes hexadecimal bytes; empty if the text is not hexadecimal.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    bytes.collect::<Option<_>>().unwrap_or_default()
}
