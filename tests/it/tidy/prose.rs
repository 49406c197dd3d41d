//! The wording of comments, documents and messages: habits that are no technical English stay out.
//!
//! A list of words, not a grammar: each entry says what to write instead.

use std::path::Path;

use regex::Regex;

use crate::tidy::layout::{none, sources};

/// Pattern and remedy. Patterns are matched against lines of prose, with code in backticks left out.
const HABITS: &[(&str, &str)] = &[
    (r"\b(nobody|somebody|whoever|whomever)\b", "name the caller, the thread, the user"),
    (
        r"\b(ns|bytes|KiB|MiB|GiB|MB|GB|instructions|events|frames|times|blocks|requests|rows|%|\d) an? (event|hour|second|minute|day|thread|block|frame|backtrace|row|request|line|site|session|call)\b",
        "write `per`",
    ),
    (
        r"\b(is|are|was|were|be|been) (had|said|told|heeded)\b",
        "use a verb with a subject: returns, reports, prints",
    ),
    (
        r"\b(so many|so old|so much|so long) (that )?(is|are|as|blocks|bytes|frames|of)\b",
        "name the number: `count`, `age`",
    ),
    (r"^(What|Who|Whose) [a-z' ]+ .*[^?]$", "begin with a noun"),
    (r"\b(canned|lens|lenses)\b", "`built-in query`, `view`"),
    (r"\bas (above|below)\b", "repeat the fact"),
];

/// Doc comments of one such word say nothing; the unit, the zero value or the writer would.
const EMPTY_DOC: &str = r"^\s*///\s+(When|Where|How|What|Who|Ours|Everything|Themselves|None)\.$";

/// Text between backticks is code, and a quoted sentence is somebody's.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join(" ")
}

fn prose_of(path: &str, text: &str) -> Vec<(usize, String)> {
    let is_document = path.ends_with(".md");
    let mut is_code = false;
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        if is_document {
            if trimmed.starts_with("```") {
                is_code = !is_code;
            } else if !is_code {
                lines.push((number + 1, without_code(trimmed)));
            }
        } else if let Some(comment) = trimmed.strip_prefix("//") {
            lines.push((number + 1, without_code(comment.trim_start_matches(['/', '!', ' ']))));
        }
    }
    lines
}

fn documents() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in [".", "docs", "docs/guide", "docs/reference", "docs/internals"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            // A changelog speaks of its own time.
            let is_document = path.extension().is_some_and(|end| end == "md");
            if is_document && !path.ends_with("CHANGELOG.md") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root).unwrap().display().to_string(), text));
            }
        }
    }
    found
}

#[test]
fn comments_and_documents_keep_to_plain_technical_english() {
    let habits: Vec<(Regex, &str)> =
        HABITS.iter().map(|(pattern, remedy)| (Regex::new(pattern).unwrap(), *remedy)).collect();
    let empty = Regex::new(EMPTY_DOC).unwrap();
    let mut errors = Vec::new();
    for (path, text) in sources("src").into_iter().chain(documents()) {
        for (number, line) in prose_of(&path, &text) {
            for (habit, remedy) in &habits {
                if let Some(found) = habit.find(&line) {
                    errors
                        .push(format!("{path}:{number}: \"{}\": {remedy}", found.as_str().trim()));
                }
            }
        }
        let mut before = "";
        for (number, line) in text.lines().enumerate() {
            if empty.is_match(line) && !before.trim_start().starts_with("///") {
                errors.push(format!("{path}:{}: {}: says nothing", number + 1, line.trim()));
            }
            before = line;
        }
    }
    none(&errors);
}

#[test]
fn the_habits_are_found_and_their_neighbours_are_not() {
    let finds = |text: &str| {
        let lines = prose_of("x.rs", text);
        HABITS.iter().any(|(pattern, _)| {
            let habit = Regex::new(pattern).unwrap();
            lines.iter().any(|(_, line)| habit.is_match(line))
        })
    };
    for text in [
        "/// 24 ns an event.",
        "// nobody frees it",
        "/// What is used of a region.",
        "// it is said",
    ] {
        assert!(finds(text), "{text}");
    }
    for text in [
        "/// 24 ns per event.",
        "// `nobody` is a user of Debian",
        "let nobody = 1;",
        "/// An event of a thread.",
    ] {
        assert!(!finds(text), "{text}");
    }
}
