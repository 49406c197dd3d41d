//! Sanitizes text from recordings and symbol files before it goes into the database.

use crate::database::text::sanitize;

/// Maximum length of a text: longer than a screen can show.
const TEXT_CHARS_MAX: usize = 4096;

/// Replaces every unsafe character by a visible one; truncates a long text with `…`.
pub(crate) fn text(input: &str) -> String {
    match input.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", sanitize::line(&input[..end])),
        None => sanitize::line(input).into_owned(),
    }
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
