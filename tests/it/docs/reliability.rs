//! docs/internals/RELIABILITY.md stays true: each test that it names exists, each promise and figure has one.

use std::collections::BTreeSet;
use std::path::Path;

const PROMISES: [&str; 20] = [
    "R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R9", "L1", "L2", "L3", "L4", "L5", "L6", "T1",
    "T2", "T3", "T4", "T5",
];

/// `module::function` of every test of this binary.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (path, text) in crate::tidy::layout::sources("tests/it") {
        let module = path["tests/it/".len()..path.len() - ".rs".len()].replace('/', "::");
        for piece in text.split("#[test]").skip(1) {
            let behind = piece.split("fn ").nth(1).unwrap_or_default();
            let name = behind.split('(').next().unwrap_or_default();
            found.insert(format!("{module}::{name}"));
        }
    }
    found
}

#[test]
fn every_promise_has_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/internals/RELIABILITY.md")).unwrap();
    let tests = tests();
    let mut promises = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let promise = cells[0].split(' ').next().unwrap();
        if !PROMISES.contains(&promise) {
            continue;
        }
        promises.push(promise.to_owned());
        let named: Vec<&str> = cells[2].split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "{promise} has no test");
        for name in named {
            assert!(tests.contains(name), "{promise}: there is no test {name}");
        }
    }
    assert_eq!(promises, PROMISES);
    let figures = text.split("## Figures").nth(1).unwrap();
    let figures = figures.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    for line in figures {
        let name = line.trim_end_matches("` |").rsplit('`').next().unwrap();
        assert!(tests.contains(name), "a figure of {name}, which is no test: {line}");
    }
    for (safeguard, test) in crate::tidy::safeguards::SAFEGUARDS {
        assert!(tests.contains(test), "{safeguard:?}: there is no test {test}");
    }
}
