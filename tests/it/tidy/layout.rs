//! The shape of the files: heads, argued `unsafe`, sizes, words that the collector must not contain.

use std::fs;
use std::path::Path;

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

/// Fails with all errors, one per line.
pub(crate) fn none(errors: &[String]) {
    assert!(errors.is_empty(), "\n{}", errors.join("\n"));
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
            if text.contains("pub(in crate") && folder == "src" {
                errors.push(format!("{path}: `pub(in …)` where `pub(crate)` or nothing is enough"));
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
