//! A reader of names for each language.
//!
//! Reads: symbols, mangled or as another tool demangled them. Writes: [`Words`]: what the function
//! is called in whole, and the short name that a screen has room for.
//!
//! Invariants:
//! - Each language's names are read by that language's rules, never by another's.
//! - The whole name tells two functions apart; the short name is made from the whole one, before
//!   anything is cut.
//! - A reader answers any text; none recurses deeper than a fixed limit.

pub(crate) mod v0;
pub(crate) mod rust;
pub(crate) mod cpp_scan;
pub(crate) mod cpp;
pub(crate) mod d_mangled;
pub(crate) mod d;
pub(crate) mod objc;
pub(crate) mod plain;
pub(crate) mod brackets;
pub(crate) mod cpp_operator;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod laws;

/// The language that a name is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Language {
    /// Rust, legacy or v0.
    Rust,
    /// C++.
    Cpp,
    /// D.
    D,
    /// Objective-C.
    ObjectiveC,
    /// Go.
    Go,
    /// C, and whatever has bare names.
    C,
}

/// The parts of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words {
    /// The language of the name.
    pub(crate) language: Language,
    /// The whole name: two functions have two.
    pub(crate) whole: String,
    /// Text that identifies the function if the whole name is too long to be written out.
    pub(crate) identity: Option<String>,
    /// Type and method, or module and function.
    pub(crate) short: String,
}

impl Words {
    /// Reads a symbol. `beside` is the language of its source file or debug information, which
    /// decides if the name itself does not.
    pub(crate) fn of(symbol: &str, beside: Option<Language>) -> Self {
        let symbol = without_version(symbol);
        let named = mangled(symbol).filter(|words| !words.whole.is_empty());
        let mut words = named.unwrap_or_else(|| text(symbol, beside));
        if words.short.trim().is_empty() {
            words.short.clone_from(&words.whole);
        }
        words
    }
}

/// The language of a source file, by its name.
pub(crate) fn of_file(file: &str) -> Option<Language> {
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    let Some((_, extension)) = name.rsplit_once('.') else {
        // The headers of C++'s own library have no extension.
        return file.contains("/c++/").then_some(Language::Cpp);
    };
    match extension {
        "rs" => Some(Language::Rust),
        "cc" | "cpp" | "cxx" | "c++" | "C" | "hh" | "hpp" | "hxx" | "h++" | "ipp" | "tcc"
        | "inl" | "mm" => Some(Language::Cpp),
        // A header may be of either; its names tell.
        "h" if file.contains("/c++/") => Some(Language::Cpp),
        "d" | "di" => Some(Language::D),
        "m" => Some(Language::ObjectiveC),
        "go" => Some(Language::Go),
        "c" => Some(Language::C),
        _ => None,
    }
}

fn mangled(symbol: &str) -> Option<Words> {
    let unscored = symbol.trim_start_matches('_');
    let scores = symbol.len() - unscored.len();
    // No mangling lets a bracket stand.
    if scores == 0 || symbol.contains(['<', '>', '(', ')', '{', '}', '[', ']', ' ']) {
        return rust::respelled(symbol);
    }
    match unscored.as_bytes().first() {
        Some(b'Z') if scores <= 4 => rust::legacy(symbol)
            .or_else(|| cpp::mangled(symbol))
            .or_else(|| cpp_scan::mangled(symbol))
            .or_else(|| rust::respelled(symbol)),
        Some(b'R') if scores <= 2 => v0::mangled(&symbol[scores - 1..]),
        Some(b'D') if scores <= 2 => d_mangled::mangled(&symbol[scores - 1..]),
        _ => rust::respelled(symbol),
    }
}

fn text(symbol: &str, beside: Option<Language>) -> Words {
    let language = spoken(symbol, beside);
    let short = match language {
        Language::Rust => rust::short(symbol),
        Language::Cpp => cpp::short(symbol),
        Language::D => d::short(symbol),
        Language::ObjectiveC => objc::short(symbol),
        Language::Go => plain::go(symbol),
        Language::C => plain::c(symbol),
    };
    Words { language, whole: symbol.to_owned(), identity: None, short }
}

/// The language of a name that is not mangled: by what only one language writes, then by its
/// source file, then by its shape.
fn spoken(symbol: &str, beside: Option<Language>) -> Language {
    if objc::is_method(symbol) {
        return Language::ObjectiveC;
    }
    if rust::is_certain(symbol) {
        return Language::Rust;
    }
    if cpp::is_certain(symbol) {
        return Language::Cpp;
    }
    if plain::is_go(symbol) {
        return Language::Go;
    }
    match beside {
        Some(Language::Rust) if !symbol.contains('(') => return Language::Rust,
        Some(Language::D) => return Language::D,
        Some(Language::Go) => return Language::Go,
        Some(Language::Cpp) if symbol.contains(['(', ':', '<']) => return Language::Cpp,
        _ => {}
    }
    if d::is_likely(symbol) {
        Language::D
    } else if beside.is_none() && rust::is_path(symbol) {
        // A demangler of C++ gives functions their parameters, one of Rust never does.
        Language::Rust
    } else if symbol.contains("::") || symbol.contains(['(', ' ', '<']) {
        Language::Cpp
    } else {
        Language::C
    }
}

/// The name without the version that a linker wrote behind it (`malloc@@GLIBC_2.2.5`). An `@` in
/// the name itself (`@safe`, `-[NSString init@:]`) is none, nor is `@plt`.
fn without_version(symbol: &str) -> &str {
    let Some((name, version)) = symbol.rsplit_once('@') else { return symbol };
    let is_word = version.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(&byte));
    let default = name.strip_suffix('@');
    let is_numbered = version.bytes().any(|byte| byte.is_ascii_digit());
    let is_shouted =
        version.len() > 1 && !version.bytes().any(|byte| byte.is_ascii_lowercase() || byte == b'.');
    let bare = default.unwrap_or(name);
    // The last character of a name: a letter, or the end of its parameters.
    let ends = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | ')' | ']' | '>');
    if is_word && bare.ends_with(ends) && (default.is_some() || is_numbered || is_shouted) {
        bare
    } else {
        symbol
    }
}
