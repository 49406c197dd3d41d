//! Names of functions: the full name without hashes, and a short one for display.

use crate::database::text::sanitize as safe;
use crate::loader::sanitize;
use crate::loader::symbols::language::{Language, Words};

/// A word of a short name is not shown longer than this.
const WORD_CHARS_MAX: usize = 120;

/// A function's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// Demangled, without hash; two functions have two.
    pub(crate) full: String,
    /// Without generic arguments and leading path.
    pub(crate) short: String,
    /// Whether it is a name of Rust.
    pub(crate) is_rust: bool,
}

impl Name {
    /// Demangles and shortens a symbol; `beside` is the language that its source file or debug
    /// information points to.
    pub(crate) fn of(symbol: &str, beside: Option<Language>) -> Self {
        let Words { language, whole, identity, short } = Words::of(symbol, beside);
        let is_rust = language == Language::Rust;
        Self {
            full: sanitize::name(&whole, identity.as_deref()),
            short: fit(&safe::line(&short)),
            is_rust,
        }
    }
}

/// The name with the middle of each word left out that no screen has room for. What is between
/// words stays, so that no bracket is lost.
fn fit(short: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut fitted = String::with_capacity(short.len().min(256));
    let mut rest = short;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let chars = word.chars().count();
        if chars > WORD_CHARS_MAX {
            let kept = WORD_CHARS_MAX / 2;
            fitted.extend(word.chars().take(kept));
            fitted.push('…');
            fitted.extend(word.chars().skip(chars - kept));
        } else {
            fitted.push_str(word);
        }
        let between = after.find(is_word).unwrap_or(after.len());
        fitted.push_str(&after[..between]);
        rest = &after[between..];
    }
    fitted
}
