//! What recordings and symbol files say, as it goes into the database.
//!
//! Reads: any text or bytes. Writes: text that is safe to print and not longer than a screen can
//! use; hexadecimal numbers.

use crate::database::text::sanitize;

/// No name is kept longer than this.
const TEXT_CHARS_MAX: usize = 4096;

/// The text with every unsafe character replaced by a visible stand-in, and its end cut with `…`
/// where it is too long.
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

/// The bytes of a hexadecimal number; none if it is not one.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    bytes.collect::<Option<_>>().unwrap_or_default()
}
