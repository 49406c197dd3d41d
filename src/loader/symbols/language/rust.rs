//! Rust: what `rustc-demangle` and other tools write.
//!
//! Reads: `<my::Cache<K> as core::ops::Drop>::drop`, `my::parsing::<impl Parse for my::Item>::parse`,
//! `my::main::{{closure}}`. Writes: type and method, or module and function, and the crates that
//! the name begins with.

use crate::loader::symbols::language::brackets::{
    Rules, group_end, split, split_group, split_once,
};
use crate::loader::symbols::language::{Language, Words, plain};

/// How deep types in types are looked into.
const DEPTH_MAX: usize = 8;

/// More parts of a tuple than this are not shown.
const PARTS_MAX: usize = 4;

/// The words of a name in legacy mangling; `None` if it is none, as are those of C++, which have
/// no hash.
pub(crate) fn legacy(symbol: &str) -> Option<Words> {
    let mut hashes = symbol.match_indices("17h");
    hashes.find(|(at, _)| {
        let rest = &symbol.as_bytes()[at + 3..];
        rest.len() > 16 && rest[..16].iter().all(u8::is_ascii_hexdigit) && rest[16] == b'E'
    })?;
    let name = rustc_demangle::try_demangle(symbol).ok()?;
    Some(words(format!("{name:#}")))
}

/// The words of a name that is demangled already.
pub(crate) fn words(whole: String) -> Words {
    let short = short(&whole);
    Words { language: Language::Rust, whole, identity: None, short }
}

/// The words of a name in legacy mangling that a demangler of C++ has taken apart
/// (`core::fmt::Formatter::pad::h0123456789abcdef`, `_$LT$my..T$GT$::f`).
pub(crate) fn respelled(text: &str) -> Option<Words> {
    let hash = text.rsplit_once("::h").map(|(_, hash)| hash);
    let is_hashed =
        hash.is_some_and(|it| it.len() == 16 && it.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let is_escaped = ["$LT$", "$GT$", "$u20$", "$RF$", "$u7b$"].iter().any(|it| text.contains(it));
    if !is_hashed && !is_escaped {
        return None;
    }
    let mut spelled = String::from("_ZN");
    for segment in text.split("::") {
        spelled.push_str(&format!("{}{segment}", segment.len()));
    }
    spelled.push_str(if is_hashed { "E" } else { "17h0000000000000000E" });
    legacy(&spelled)
}

/// Whether only Rust writes such a name.
pub(crate) fn is_certain(text: &str) -> bool {
    const MARKS: [&str; 7] =
        ["{{", "{closure", "{impl#", "{shim:", "{async_", "<impl ", "{coroutine"];
    // In debug information of C++: `run()::<lambda(int)>`.
    let is_of_cpp =
        |rest: &str| ["lambda", "unnamed", "anonymous"].iter().any(|word| rest.starts_with(word));
    text.starts_with('<') && text.contains(">::") && !is_of_cpp(&text[1..])
        || text.match_indices("::<").any(|(at, _)| !is_of_cpp(&text[at + 3..]))
        || MARKS.iter().any(|mark| text.contains(mark))
}

/// Whether a name is a path of several plain words and type arguments, without parameters.
pub(crate) fn is_path(text: &str) -> bool {
    let pieces = pieces(text);
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && word.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    let is_cpp = |word: &str| word.starts_with("__gnu") || word.starts_with("__cxx");
    split_once(text, "::", Rules::Rust).is_some()
        && split_once(text, "(", Rules::Rust).is_none()
        && !matches!(pieces.first(), Some(Piece::Word(word)) if is_cpp(word))
        && pieces.iter().all(|piece| match piece {
            Piece::Word(word) => is_word(plain::without_clone(word)),
            _ => true,
        })
}

/// The text between two `::`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'a> {
    /// A module, type or function, without its arguments.
    Word(&'a str),
    /// The inside of `<Type as Trait>` or `<impl Trait for Type>`.
    Owner(&'a str),
    /// The inside of `{closure#0}`.
    Mark(&'a str),
}

/// The pieces of a path.
fn pieces<'a>(text: &'a str) -> Vec<Piece<'a>> {
    let mut pieces = Vec::new();
    let mut at = 0;
    // The word that is being read.
    let mut word: Option<(usize, usize)> = None;
    let end_word = |word: &mut Option<(usize, usize)>, pieces: &mut Vec<Piece<'a>>| {
        if let Some((from, to)) = word.take() {
            pieces.push(Piece::Word(text[from..to].trim()));
        }
    };
    let mut is_start = true;
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b':' if text[at..].starts_with("::") => {
                end_word(&mut word, &mut pieces);
                at += 2;
                is_start = true;
                continue;
            }
            b'<' => {
                let (inside, rest) = split_group(&text[at..], Rules::Rust);
                if is_start && (pieces.is_empty() || inside.starts_with("impl ")) {
                    pieces.push(Piece::Owner(inside));
                }
                at = text.len() - rest.len();
            }
            b'{' => {
                let (inside, rest) = split_group(&text[at..], Rules::Rust);
                // `call_once{{vtable.shim}}` is called by its word.
                if word.is_none() {
                    pieces.push(Piece::Mark(inside));
                }
                at = text.len() - rest.len();
            }
            b'(' | b'[' => at = group_end(text, at, Rules::Rust),
            b')' | b']' | b'}' | b'>' => at += 1,
            _ => {
                let end = at + text[at..].chars().next().map_or(1, char::len_utf8);
                // A word that continues after arguments (`foo<u8>.cold`) is not a new one.
                let goes_on = word.is_none_or(|(_, to)| to == at);
                if goes_on {
                    word = Some((word.map_or(at, |(from, _)| from), end));
                }
                at = end;
            }
        }
        is_start = false;
    }
    end_word(&mut word, &mut pieces);
    pieces
}

/// `Vec::clone` of `<alloc::vec::Vec<T> as core::clone::Clone>::clone`; a closure is named by the
/// function that it is in.
pub(crate) fn short(text: &str) -> String {
    short_at(text, 0)
}

fn short_at(text: &str, depth: usize) -> String {
    let pieces = pieces(text);
    let from = pieces.iter().rposition(|piece| matches!(piece, Piece::Owner(_)));
    let mut names: Vec<String> = Vec::new();
    let mut marks: Vec<String> = Vec::new();
    for piece in &pieces[from.unwrap_or(0)..] {
        match piece {
            Piece::Owner(inside) => names.push(owner(inside, depth + 1)),
            Piece::Word(word) => {
                marks.clear();
                let word = plain::without_clone(word);
                if !word.is_empty() {
                    names.push(word.to_owned());
                }
            }
            Piece::Mark(inside) => marks.extend(mark(inside)),
        }
    }
    names.drain(..names.len().saturating_sub(2));
    names.extend(marks);
    names.join("::")
}

/// How a closure or a block is shown; nothing for what the compiler puts around a function.
fn mark(inside: &str) -> Option<String> {
    let inside = inside.trim_matches(['{', '}']);
    let kind = inside.split(['#', ':', ' ']).next().unwrap_or(inside);
    let kind = kind.strip_suffix("_env").unwrap_or(kind);
    match kind {
        "impl" | "shim" | "reify" | "vtable.shim" | "vtable" | "constructor" | "size"
        | "recursion" | "" => None,
        kind if kind.chars().all(|c| c.is_alphanumeric() || c == '_') => {
            Some(format!("{{{kind}}}"))
        }
        _ => None,
    }
}

/// Type and trait, whichever way an implementation is written.
fn parties(inside: &str) -> (&str, Option<&str>) {
    if let Some(rest) = inside.strip_prefix("impl ") {
        return match split_once(rest, " for ", Rules::Rust) {
            Some((of, owner)) => (owner, Some(of)),
            None => (rest, None),
        };
    }
    match split_once(inside, " as ", Rules::Rust) {
        Some((owner, of)) => (owner, Some(of)),
        None => (inside, None),
    }
}

/// The type that a method belongs to; its trait where the type can be any.
fn owner(inside: &str, depth: usize) -> String {
    let (owner, of) = parties(inside);
    match of {
        Some(of) if is_parameter(owner) => type_name(of, depth),
        _ => type_name(owner, depth),
    }
}

/// Whether a type is a parameter: all others are written with their path, but for the primitive
/// ones.
fn is_parameter(text: &str) -> bool {
    let bare = bare(text);
    let is_word = bare.chars().all(|c| c.is_alphanumeric() || c == '_');
    let is_primitive = bare.starts_with(|c: char| c.is_lowercase());
    is_word && !is_primitive && bare != "Self"
}

/// The type without references, pointers and words about traits.
fn bare(text: &str) -> &str {
    const BEFORE: [&str; 11] =
        ["&", "*const ", "*mut ", "mut ", "const ", "dyn ", "impl ", "unsafe ", "(dyn ", "*", "?"];
    let mut rest = text.trim();
    loop {
        if let Some(after) = BEFORE.iter().find_map(|word| rest.strip_prefix(word)) {
            rest = after.trim_start();
        } else if let Some(after) = rest.strip_prefix('\'') {
            // A lifetime.
            let end = after.find(|c: char| !(c.is_alphanumeric() || c == '_'));
            rest = after[end.unwrap_or(after.len())..].trim_start();
        } else if let Some(after) = rest.strip_prefix("for<") {
            let end = after.find('>').map_or(after.len(), |end| end + 1);
            rest = after[end..].trim_start();
        } else if let Some(after) = rest.strip_prefix("extern \"") {
            rest = after.split_once('"').map_or("", |(_, rest)| rest).trim_start();
        } else {
            return rest;
        }
    }
}

fn type_name(text: &str, depth: usize) -> String {
    if depth > DEPTH_MAX {
        return String::from("_");
    }
    let bare = bare(text);
    let (inside, rest) = split_group(bare, Rules::Rust);
    if bare.starts_with('[') {
        let (element, count) = split_once(inside, "; ", Rules::Rust).unwrap_or((inside, ""));
        let element = type_name(element, depth + 1);
        let is_short = !count.is_empty() && count.chars().all(|c| c.is_alphanumeric() || c == '_');
        return if is_short { format!("[{element}; {count}]") } else { format!("[{element}]") };
    }
    if bare.starts_with('(') && rest.is_empty() {
        let parts = split(inside, ",", Rules::Rust);
        let more = if parts.len() > PARTS_MAX { ", …" } else { "" };
        let shown = parts.iter().take(PARTS_MAX).filter(|part| !part.trim().is_empty());
        let shown: Vec<_> = shown.map(|part| type_name(part, depth + 1)).collect();
        return format!("({}{more})", shown.join(", "));
    }
    if bare.starts_with("fn(") {
        return String::from("fn");
    }
    // `dyn A + B` is known by its first trait.
    let path = split_once(bare, "+", Rules::Rust).map_or(bare, |(first, _)| first.trim_end());
    let pieces = pieces(path);
    match pieces.last() {
        Some(Piece::Word(word)) => (*word).to_owned(),
        Some(Piece::Mark(_)) => short_at(path, depth + 1),
        Some(Piece::Owner(inside)) => owner(inside, depth + 1),
        None => path.to_owned(),
    }
}
