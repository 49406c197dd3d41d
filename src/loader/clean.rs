//! Makes text from recordings and symbol files safe to print.
//!
//! Reads: any text. Writes: text without control characters, without characters that reorder or
//! hide others, and not longer than a screen can use.

/// No name is kept longer than this.
const TEXT_CHARS_MAX: usize = 4096;

/// The text with every unsafe character replaced by `U+FFFD` and its end cut with `…` where it
/// is too long.
pub(in crate::loader) fn text(input: &str) -> String {
    if input.len() <= TEXT_CHARS_MAX && input.bytes().all(|byte| (b' '..0x7f).contains(&byte)) {
        return input.to_owned();
    }
    let mut output: String = input
        .chars()
        .take(TEXT_CHARS_MAX)
        .map(|c| if is_unsafe(c) { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    if input.chars().nth(TEXT_CHARS_MAX).is_some() {
        output.push('…');
    }
    output
}

/// Lower-case hexadecimal.
pub(in crate::loader) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of a hexadecimal number; none if it is not one.
pub(in crate::loader) fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    bytes.collect::<Option<_>>().unwrap_or_default()
}

/// Control characters (C0, DEL, C1), line and paragraph separators, bidirectional controls,
/// joiners, tags and other characters without a shape of their own.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}'
            | '\u{061c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}
