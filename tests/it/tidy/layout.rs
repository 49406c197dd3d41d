//! The shape of the tree: which folder may import which, file heads, argued `unsafe`, sizes.
//!
//! Reads lines, not syntax: a path through a re-export is not ranked, so inside a folder files
//! name files.

use std::fs;
use std::path::Path;

/// Which folder may import which. Data flows left to right; nothing looks back.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("recording", &[]),
    ("collector", &["recording"]),
    ("database", &[]),
    ("loader", &["recording", "database"]),
    ("tui", &["database"]),
    ("export", &["database"]),
];

/// Lines of a file, tests in it not counted: habitually 500, never more than this.
const LINES_MAX: usize = 900;

/// Bytes of a file that is neither code nor a lock file.
const ASSET_BYTES_MAX: u64 = 200_000;

/// Every `.rs` file below `folder` with its text, by path from the root.
pub(crate) fn sources(folder: &str) -> Vec<(String, String)> {
    files(folder)
        .into_iter()
        .filter(|path| path.ends_with(".rs"))
        .map(|path| {
            let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&path));
            (path, text.unwrap())
        })
        .collect()
}

fn files(folder: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if !entry.file_type().unwrap().is_dir() {
                found.push(path);
            } else if !path.ends_with("/target") {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The `a::b` of each `crate::a::b` in code lines.
fn crate_paths(text: &str) -> Vec<Vec<String>> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| line.split("crate::").skip(1))
        .map(|rest| {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
            rest[..end.unwrap_or(rest.len())].split("::").map(str::to_owned).collect()
        })
        .collect()
}

fn declared_modules(path: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    text.lines()
        .filter_map(|line| {
            let line = line.trim_start_matches("pub ");
            let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
            Some(line.strip_prefix("mod ")?.strip_suffix(';')?.to_owned())
        })
        .collect()
}

fn none(errors: &[String]) {
    assert!(errors.is_empty(), "\n{}", errors.join("\n"));
}

#[test]
fn folders_import_only_downstream_contracts() {
    let mut errors = Vec::new();
    for &(folder, allowed) in MAY_IMPORT {
        for (path, text) in sources(&format!("src/{folder}")) {
            for other in crate_paths(&text).into_iter().map(|mut path| path.swap_remove(0)) {
                let is_folder = MAY_IMPORT.iter().any(|&(name, _)| name == other);
                if is_folder && other != folder && !allowed.contains(&other.as_str()) {
                    errors.push(format!("{path}: {folder} must not import {other}"));
                }
            }
        }
    }
    none(&errors);
}

#[test]
fn files_import_only_siblings_declared_below_them() {
    // Where tests reach into everything.
    const EXCEPTIONS: &[&str] = &["src/collector/testing.rs"];
    let mut errors = Vec::new();
    for &(folder, _) in MAY_IMPORT {
        let directory = format!("src/{folder}");
        let order = declared_modules(&format!("{directory}/mod.rs"));
        let rank = |name: &str| order.iter().position(|module| module == name);
        for (path, text) in sources(&directory) {
            let inner = path[directory.len() + 1..].split('/').next().unwrap();
            let Some(own) = rank(inner.trim_end_matches(".rs")) else { continue };
            if EXCEPTIONS.contains(&path.as_str()) {
                continue;
            }
            for used in crate_paths(&text) {
                let is_back = used.len() > 1
                    && used[0] == folder
                    && used[1] != "testing"
                    && rank(&used[1]).is_some_and(|other| other < own);
                if is_back {
                    errors.push(format!("{path}: looks back at {folder}::{}", used[1]));
                }
            }
        }
    }
    none(&errors);
}

#[test]
fn every_file_says_what_it_is_and_paths_are_whole() {
    let mut errors = Vec::new();
    for folder in ["src", "tests", "benches", "examples"] {
        for (path, text) in sources(folder) {
            if !text.starts_with("//!") {
                errors.push(format!("{path}: does not begin with a line of `//!`"));
            }
            if folder == "src" && text.lines().any(|line| line.contains("super::")) {
                errors.push(format!("{path}: names `super::` instead of the whole path"));
            }
            let lines = text.split("#[cfg(test)]").next().unwrap_or_default().lines().count();
            if lines > LINES_MAX {
                errors.push(format!("{path}: {lines} lines are too many to read"));
            }
            for mark in ["FIX\u{4d}E", "X\u{58}X:"] {
                if text.contains(mark) {
                    errors.push(format!("{path}: says {mark}"));
                }
            }
        }
    }
    none(&errors);
}

#[test]
fn every_unsafe_block_in_the_package_is_argued() {
    let mut errors = Vec::new();
    for (path, text) in sources("src") {
        let count =
            |wanted: &dyn Fn(&str) -> bool| text.lines().filter(|line| wanted(line)).count();
        let code = |line: &str| !line.trim_start().starts_with("//");
        let blocks = count(&|line| {
            code(line) && (line.contains("unsafe {") || line.contains("unsafe impl"))
        });
        let argued = count(&|line| line.contains("SAFETY:"));
        if argued < blocks {
            errors.push(format!("{path}: {blocks} unsafe blocks, {argued} arguments"));
        }
    }
    none(&errors);
}

#[test]
fn the_collector_has_nothing_that_panics_or_prints() {
    const BANNED: &[&str] = &[
        ".unwrap()",
        ".expect(",
        "panic!",
        "unreachable!",
        "assert!(",
        "assert_eq!(",
        "println!",
        "eprintln!",
        "print!(",
        "dbg!(",
    ];
    let mut errors = Vec::new();
    for (path, text) in sources("src/collector") {
        // Tests stand at a file's end and are in no program.
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let is_compile_time =
                code.contains("const _: () = assert!(") || code.contains("const { assert!(");
            let is_debug = code.contains("debug_assert");
            if BANNED.iter().any(|word| code.contains(word)) && !is_compile_time && !is_debug {
                errors.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    none(&errors);
}

#[test]
fn nothing_heavy_is_committed() {
    let mut errors = Vec::new();
    for folder in ["assets", "docs", "queries", "tests"] {
        for path in files(folder).into_iter().filter(|path| !path.ends_with(".lock")) {
            let bytes =
                fs::metadata(Path::new(env!("CARGO_MANIFEST_DIR")).join(&path)).unwrap().len();
            if bytes > ASSET_BYTES_MAX {
                errors.push(format!("{path}: {bytes} bytes"));
            }
        }
    }
    none(&errors);
}

/// Crates that the recorder brings into the program it goes into.
const COLLECTOR_CRATES_MAX: usize = 20;

#[test]
fn the_collector_stays_light() {
    let tree = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--locked", "-e", "normal", "--prefix", "none", "--no-default-features"])
        .args(["--features", "collector"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let mut crates: Vec<String> = String::from_utf8(tree.stdout)
        .unwrap()
        .lines()
        .map(|line| line.trim_end_matches(" (*)").to_owned())
        .collect();
    crates.sort();
    crates.dedup();
    let others = crates.len() - 1;
    assert!(others <= COLLECTOR_CRATES_MAX, "{others}: {crates:#?}");
}
