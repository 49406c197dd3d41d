//! Symbols of real programs.
//!
//! `tests/data/symbols.txt.gz` holds a few thousand by lot: C++ of Debian's LLVM, Qt, RocksDB, ICU,
//! poppler, protobuf, Boost and libstdc++ and of small programs that g++ 12 compiled, and D that gdc
//! compiled; each mangled and as `c++filt` writes it. Beside it come all functions of this test
//! binary and of this machine's libstdc++.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use object::{Object, ObjectSymbol, SymbolKind};

use crate::loader::symbols::language::{Language, Words};
use crate::loader::symbols::name::Name;

/// Symbols, each with what `c++filt` makes of it.
fn sample() -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/symbols.txt.gz");
    let packed = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = String::new();
    flate2::read::GzDecoder::new(&*packed).read_to_string(&mut text).unwrap();
    let pairs = text.lines().filter_map(|line| line.split_once('\t'));
    pairs.map(|(symbol, text)| (symbol.to_owned(), text.to_owned())).collect()
}

/// The names of all functions in a file.
fn functions(path: &Path) -> BTreeSet<String> {
    let bytes = fs::read(path).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let symbols = file.symbols().chain(file.dynamic_symbols());
    symbols
        .filter(|symbol| symbol.kind() == SymbolKind::Text)
        .filter_map(|symbol| symbol.name().ok().map(str::to_owned))
        .filter(|name| !name.is_empty())
        .collect()
}

/// The text without its groups of brackets; `None` if they don't match.
fn outside(text: &str) -> Option<String> {
    let mut left = String::new();
    let mut open = Vec::new();
    for c in text.chars() {
        match c {
            '(' => open.push(')'),
            '[' => open.push(']'),
            '{' => open.push('}'),
            ')' | ']' | '}' if open.pop() != Some(c) => return None,
            c if open.is_empty() => left.push(c),
            _ => {}
        }
    }
    open.is_empty().then_some(left)
}

/// The fault of a short name, if it has one.
fn fault(short: &str) -> Option<&'static str> {
    let Some(outside) = outside(short) else { return Some("ends inside a bracket") };
    let operator = outside.find("operator");
    let is_closed = operator.is_some() || !outside.contains(['<', '>']);
    if short.is_empty() {
        Some("is empty")
    } else if !outside.contains(|c: char| c.is_alphanumeric()) {
        Some("has no name")
    } else if !is_closed {
        Some("ends inside a bracket")
    } else if operator.is_none() && outside.contains([',', ' ', '&', '*']) && outside != "D main" {
        Some("has parameters or a type in it")
    } else {
        None
    }
}

fn check(symbols: impl Iterator<Item = String>) -> usize {
    let mut wrong = Vec::new();
    let mut stored: BTreeMap<String, String> = BTreeMap::new();
    let mut count = 0;
    for symbol in symbols {
        count += 1;
        let (name, words) = (Name::of(&symbol, None), Words::of(&symbol, None));
        if let Some(fault) = fault(&name.short) {
            wrong.push(format!("{fault}: {} <= {symbol}", name.short));
        }
        let whole = words.identity.unwrap_or(words.whole);
        let other = stored.entry(name.full.clone()).or_insert_with(|| whole.clone());
        if *other != whole {
            wrong.push(format!("two are stored as {}: {other} and {whole}", name.full));
        }
    }
    assert!(wrong.is_empty(), "{} of {count}\n{}", wrong.len(), wrong.join("\n"));
    count
}

#[test]
fn mangled_and_demangled_symbols_have_one_short_name() {
    let mut wrong = Vec::new();
    let sample = sample();
    for (symbol, text) in &sample {
        // Names that the demanglers write in two ways: `std::string`, `~this`, tables.
        let is_alike =
            ["std::basic_", "~this", "initializer for ", "vtable for ", "ModuleInfo", "ClassInfo"]
                .iter()
                .any(|word| text.contains(word));
        let (one, other) = (Words::of(symbol, None), Words::of(text, None));
        if one.short != other.short && !is_alike {
            wrong.push(format!("{} | {} <= {text}", one.short, other.short));
        }
    }
    assert!(sample.len() > 3_000);
    assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), sample.len(), wrong.join("\n"));
}

#[test]
fn no_short_name_is_empty_or_cut_or_a_list_of_types() {
    let sample = sample();
    let sampled = check(sample.into_iter().flat_map(|(symbol, text)| [symbol, text]));
    let own = check(functions(&std::env::current_exe().unwrap()).into_iter());
    assert!(own > 10_000, "{own}");
    let places =
        ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
    let library = places.iter().map(|it| PathBuf::from(it).join("libstdc++.so.6"));
    match library.into_iter().find(|path| path.exists()) {
        Some(library) => {
            let count = check(functions(&library).into_iter());
            println!("{sampled} of the sample, {own} of this binary, {count} of libstdc++");
        }
        None => {
            println!("SKIPPED: this machine has no libstdc++.so.6; {sampled} + {own} are checked");
        }
    }
}

/// Prints names by lot, to be read: `cargo test --lib by_lot -- --nocapture`.
#[test]
fn names_by_lot() {
    let own = functions(&std::env::current_exe().unwrap());
    let sample = sample();
    let symbols: Vec<&String> =
        sample.iter().flat_map(|(symbol, text)| [symbol, text]).chain(&own).collect();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut languages = BTreeMap::new();
    for _ in 0..200 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Half of the lots are the sample's.
        let among = if state >> 63 == 0 { sample.len() * 2 } else { symbols.len() };
        let symbol = symbols[(state >> 32) as usize % among];
        let words = Words::of(symbol, None);
        let whole: String = words.whole.chars().take(240).collect();
        println!("{:?}\t{}\t{whole}", words.language, words.short);
        *languages.entry(format!("{:?}", words.language)).or_insert(0) += 1;
    }
    assert!(languages.contains_key(&format!("{:?}", Language::Cpp)), "{languages:?}");
}
