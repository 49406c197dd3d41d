//! Names that are not mangled: C's, and Go's, which are paths.

use crate::loader::symbols::language::brackets::{Rules, group_end};

/// Suffixes of compilers for a part or a copy of a function, with or without a number.
const CLONES: [&str; 9] =
    ["cold", "constprop", "isra", "part", "lto_priv", "llvm", "localalias", "warm", "specialized"];

/// A function of C, by the name that it is written with.
pub(crate) fn c(symbol: &str) -> String {
    without_clone(symbol).to_owned()
}

/// The name without `.constprop.0`, `.cold` and the like.
pub(crate) fn without_clone(name: &str) -> &str {
    let mut kept = name;
    loop {
        let Some((before, last)) = kept.rsplit_once('.') else { return kept };
        let is_number = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
        let (before, word) = match before.rsplit_once('.') {
            Some((before, word)) if is_number => (before, word),
            _ => (before, last),
        };
        if before.is_empty() || !CLONES.contains(&word) {
            return kept;
        }
        kept = before;
    }
}

/// Whether a name is a path of Go's: `github.com/x/y.(*Cache).Insert`.
pub(crate) fn is_go(text: &str) -> bool {
    let path = text.split(['(', '[', '{']).next().unwrap_or(text);
    text.contains(".(*") || !path.contains([' ', ':']) && path.contains('/') && path.contains('.')
}

/// `y.(*Cache).Insert`, without type arguments.
pub(crate) fn go(text: &str) -> String {
    let mut name = String::new();
    let mut at = 0;
    let mut start = 0;
    while let Some(byte) = text.as_bytes().get(at) {
        if *byte == b'[' {
            at = group_end(text, at, Rules::D);
            continue;
        }
        let c = text[at..].chars().next().unwrap_or(' ');
        name.push(c);
        at += c.len_utf8();
        if c == '/' && !name.contains(['(', '{']) {
            start = name.len();
        }
    }
    let short = name[start..].to_owned();
    if short.is_empty() { text.to_owned() } else { short }
}
