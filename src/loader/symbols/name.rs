//! Demangles symbols: the full name without hash, a short name for display, and the crates in it.

use crate::loader::sanitize;

/// A function's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// Demangled, without hash.
    pub(crate) full: String,
    /// Without generic arguments and leading path.
    pub(crate) short: String,
    /// The crates that the name begins with: that of the type, and that of the trait where there
    /// is one.
    pub(crate) crates: Vec<String>,
    /// Whether the symbol was mangled the Rust way.
    pub(crate) is_rust: bool,
}

impl Name {
    /// What a symbol means.
    pub(crate) fn of(symbol: &str) -> Self {
        // Versions of glibc symbols (`malloc@@GLIBC_2.2.5`) are no part of the name.
        let plain = symbol.split_once('@').map_or(symbol, |(name, _)| name);
        let mangled_again = mangle_again(plain);
        let plain = mangled_again.as_deref().unwrap_or(plain);
        let rust = rustc_demangle::try_demangle(plain).ok();
        let is_rust = rust.is_some();
        let full = match rust {
            Some(name) => format!("{name:#}"),
            None => addr2line::demangle(plain, addr2line::gimli::DW_LANG_C_plus_plus)
                .unwrap_or_else(|| plain.to_owned()),
        };
        let full = sanitize::text(&full);
        let stripped = without_generics(&full);
        let short = shorten(&stripped);
        let crates = if is_rust { crates(&stripped) } else { Vec::new() };
        Self { full, short, crates, is_rust }
    }
}

/// A Rust symbol as a C++ demangler leaves it (`core::fmt::Formatter::pad::h0123456789abcdef`) in
/// its mangled form.
fn mangle_again(name: &str) -> Option<String> {
    let (_, hash) = name.rsplit_once("::h")?;
    if hash.len() != 16 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let segments = name.split("::").map(|segment| format!("{}{segment}", segment.len()));
    Some(format!("_ZN{}E", segments.collect::<String>()))
}

/// The name with everything between angle brackets removed that is an argument list, and
/// `<T as Trait>` kept.
fn without_generics(name: &str) -> String {
    let mut output = String::with_capacity(name.len());
    // For each open bracket whether it is being left out.
    let mut open: Vec<bool> = Vec::new();
    let mut previous = ' ';
    for c in name.chars() {
        let hidden = open.iter().any(|hidden| *hidden);
        match c {
            '<' => {
                // An argument list follows a name; `<T as Trait>` stands at the beginning of a
                // path.
                let is_list = previous.is_alphanumeric() || matches!(previous, '_' | ':' | '}');
                open.push(is_list);
                if !hidden && is_list && output.ends_with("::") {
                    output.truncate(output.len() - 2);
                }
                if !hidden && !is_list {
                    output.push(c);
                }
            }
            '>' if previous != '-' => {
                let closes_list = open.pop().unwrap_or(false);
                if !open.iter().any(|hidden| *hidden) && !closes_list {
                    output.push(c);
                }
            }
            _ if !hidden => output.push(c),
            _ => {}
        }
        previous = c;
    }
    output
}

/// `<alloc::vec::Vec as core::clone::Clone>::clone` → `Vec::clone`, `a::b::c::d` → `c::d`; a
/// closure keeps the function that it stands in.
fn shorten(stripped: &str) -> String {
    let (owner, path) = match stripped.strip_prefix('<').and_then(closing) {
        Some((inside, rest)) => {
            let owner = inside.split(" as ").next().unwrap_or(inside);
            // `dyn A + B` is known by its first trait.
            let owner = owner.split(" + ").next().unwrap_or(owner);
            (Some(last_segments(owner, 1)), rest.trim_start_matches("::"))
        }
        None => (None, stripped),
    };
    let own = path
        .split("::")
        .filter(|segment| segment.starts_with("{{") || segment.starts_with("{closure"))
        .count();
    let wanted = own + if owner.is_some() { 1 } else { 2 };
    let path = last_segments(path, wanted);
    match owner {
        Some(owner) if path.is_empty() => owner,
        Some(owner) => format!("{owner}::{path}"),
        None => path,
    }
}

/// Splits `inside>rest` at the bracket that closes.
fn closing(text: &str) -> Option<(&str, &str)> {
    let mut depth = 1;
    let mut previous = ' ';
    for (index, c) in text.char_indices() {
        match c {
            '<' => depth += 1,
            '>' if previous != '-' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((&text[..index], &text[index + 1..]));
        }
        previous = c;
    }
    None
}

fn last_segments(path: &str, count: usize) -> String {
    let segments: Vec<_> = path.split("::").collect();
    segments[segments.len().saturating_sub(count)..].join("::")
}

/// The first path segments of the type and of the trait, or of the plain path.
fn crates(stripped: &str) -> Vec<String> {
    let paths = match stripped.strip_prefix('<').and_then(closing) {
        Some((inside, _)) => inside.splitn(2, " as ").collect(),
        None => vec![stripped],
    };
    paths.into_iter().filter_map(first_segment).collect()
}

/// `&mut [my::T]` → `my`; nothing for a path of one segment.
fn first_segment(path: &str) -> Option<String> {
    let start = path.trim_start_matches(|c: char| !(c.is_alphanumeric() || c == '_'));
    let start = ["mut ", "const ", "dyn "]
        .iter()
        .fold(start, |rest, word| rest.strip_prefix(word).unwrap_or(rest));
    let start = start.trim_start_matches(|c: char| !(c.is_alphanumeric() || c == '_'));
    let (segment, rest) = start.split_at(start.find(|c: char| !(c.is_alphanumeric() || c == '_'))?);
    (rest.starts_with("::") && !segment.is_empty()).then(|| segment.to_owned())
}

#[cfg(test)]
mod tests {
    use crate::loader::symbols::name::Name;

    #[test]
    fn names_are_shortened_and_their_crates_found() {
        let cases: &[(&str, &str, &[&str])] = &[
            ("a::b::c::d", "c::d", &["a"]),
            ("alloc::raw_vec::RawVec<T,A>::with_capacity", "RawVec::with_capacity", &["alloc"]),
            ("<alloc::vec::Vec<T> as core::clone::Clone>::clone", "Vec::clone", &["alloc", "core"]),
            ("<&mut my::Cache<u8> as core::fmt::Debug>::fmt", "Cache::fmt", &["my", "core"]),
            ("<T as my::Trait>::go", "T::go", &["my"]),
            ("my::main::{{closure}}", "my::main::{{closure}}", &["my"]),
            ("my::run::<fn() -> u8>::{closure#0}", "my::run::{closure#0}", &["my"]),
            (
                "<&dyn core::ops::Fn<(), Output = i32> + core::Sync as core::FnOnce<()>>::call_once",
                "Fn::call_once",
                &["core", "core"],
            ),
            ("<my::A>::new", "A::new", &["my"]),
            ("main", "main", &[]),
        ];
        for (full, short, crates) in cases {
            let stripped = crate::loader::symbols::name::without_generics(full);
            assert_eq!(crate::loader::symbols::name::shorten(&stripped), *short, "{full}");
            assert_eq!(crate::loader::symbols::name::crates(&stripped), *crates, "{full}");
        }
        let name = Name::of("_ZN3foo3bar17h0123456789abcdefE");
        assert_eq!((name.full.as_str(), name.is_rust), ("foo::bar", true));
        assert_eq!(Name::of("malloc@@GLIBC_2.2.5").full, "malloc");
        assert!(!Name::of("evil\u{1b}[2J\u{202e}").full.contains(['\u{1b}', '\u{202e}']));
    }
}
