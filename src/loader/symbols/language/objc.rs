//! Objective-C: `-[NSString initWithFormat:]` is its own short name.

use crate::loader::symbols::language::brackets::{Rules, group_end};

/// Whether a name is that of a method.
pub(crate) fn is_method(text: &str) -> bool {
    method(text).is_some()
}

/// The method, and what the compiler wrote behind it.
fn method(text: &str) -> Option<(&str, &str)> {
    // A block's function is numbered by the length of its method's name: `__29-[Foo bar]_block_…`.
    let start = text.trim_start_matches('_').trim_start_matches(|c: char| c.is_ascii_digit());
    if !(start.starts_with("-[") || start.starts_with("+[")) {
        return None;
    }
    let end = 1 + group_end(&start[1..], 0, Rules::D);
    if !start[..end].ends_with(']') {
        return None;
    }
    start[..end].contains(' ').then(|| start.split_at(end))
}

/// The method; a block is named by the method that it is in.
pub(crate) fn short(text: &str) -> String {
    match method(text) {
        Some((method, rest)) if rest.starts_with("_block_invoke") => format!("{method}::{{block}}"),
        Some((method, _)) => method.to_owned(),
        None => text.to_owned(),
    }
}
