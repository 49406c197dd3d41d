//! The published walkthrough, command by command, in the stock `sqlite3` shell.

use std::path::{Path, PathBuf};

use crate::support::programs::{DEBUG, Variant, build, rheaper, run, sqlite3};

const WITH_LINES: Variant = Variant {
    name: "plain",
    arguments: &["--profile", "with-lines"],
    rustflags: "",
    folder: "with-lines",
};

/// The line of the walkthrough's `main.rs` that ends in this comment.
fn line_of(comment: &str) -> usize {
    let source = include_str!("../../walkthrough/src/main.rs");
    1 + source.lines().position(|line| line.ends_with(comment)).unwrap()
}

/// Records, checks what was said and left, loads into `analyzed`.
fn record_and_analyze(variant: Variant, directory: &Path) -> PathBuf {
    let program = build("walkthrough", "walkthrough", variant);
    let output = run(&program, &[], directory);
    let said = String::from_utf8(output.stderr).unwrap();
    let events: i64 = said
        .trim()
        .strip_prefix("recorded ")
        .and_then(|rest| rest.strip_suffix(" allocation events"))
        .and_then(|count| count.parse().ok())
        .unwrap_or_else(|| panic!("{said}"));
    assert!((events - 442_084).abs() <= 20, "{events} events");
    let recordings: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(recordings.len(), 1, "{recordings:?}");
    assert!(recordings[0].starts_with("rip-"), "{recordings:?}");
    let output = rheaper(&[&recordings[0], "analyzed"], directory);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let said = said + &String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("analyzing backtraces:") && said.contains("analyzing events:"), "{said}");
    directory.join("analyzed")
}

fn check(variant: Variant) -> PathBuf {
    let directory = tempfile::tempdir().unwrap().keep();
    let database = record_and_analyze(variant, &directory);
    let tables = sqlite3(&database, "SELECT name FROM sqlite_master").join(" ");
    assert!(tables.contains("allocations") && tables.contains("backtraces"), "{tables}");
    let first = sqlite3(&database, "SELECT * FROM allocations LIMIT 1");
    assert_eq!(first[0].split('|').count(), 7, "{first:?}");
    let columns = sqlite3(&database, "SELECT name FROM pragma_table_info('allocations')");
    let published =
        ["alloc_after", "dealloc_after", "bt", "size", "addr", "alloc_thread", "dealloc_thread"];
    assert_eq!(columns, published);

    let (first_line, second_line) = (line_of("// string 1"), line_of("// string 2"));
    let ids = sqlite3(
        &database,
        &format!(
            "SELECT DISTINCT id FROM backtraces WHERE file LIKE '%main.rs%' AND line = {first_line}"
        ),
    );
    assert_eq!(ids.len(), 1, "{ids:?}");
    let id = &ids[0];
    let trace = sqlite3(
        &database,
        &format!("SELECT sym FROM backtraces WHERE id = '{id}' ORDER BY frame_no"),
    );
    let place = |wanted: &str| {
        trace
            .iter()
            .position(|name| name.contains(wanted))
            .unwrap_or_else(|| panic!("{wanted}: {trace:#?}"))
    };
    assert!(place("RawVec") < place("alloc_random_string_1"), "{trace:#?}");
    assert!(place("alloc_random_string_1") < place("walkthrough::main"), "{trace:#?}");
    assert!(
        !trace.iter().any(|name| name.contains("rheaper")),
        "own frames are trimmed: {trace:#?}"
    );

    let sizes = |filter: &str| -> Vec<f64> {
        let sql = format!("SELECT avg(size), min(size), max(size) FROM allocations WHERE {filter}");
        sqlite3(&database, &sql)[0].split('|').map(|value| value.parse().unwrap()).collect()
    };
    let first = sizes(&format!("bt = '{id}'"));
    assert!((first[0] - 255.5).abs() < 1.0, "{first:?}");
    assert!(first[1] < 120.0 && 400.0 < first[2], "{first:?}");
    let second = sizes(&format!(
        "bt = (SELECT id FROM backtraces WHERE file LIKE '%main%' AND line = {second_line})"
    ));
    assert!((second[0] - 1023.7).abs() < 1.0, "{second:?}");

    let joined = sqlite3(
        &database,
        "SELECT count(*), count(DISTINCT allocations.rowid) FROM allocations
         CROSS JOIN backtraces bt WHERE allocations.bt = bt.id AND bt.sym LIKE '%RawVec%'",
    );
    let (pairs, blocks) = joined[0].split_once('|').unwrap();
    let (pairs, blocks): (u64, u64) = (pairs.parse().unwrap(), blocks.parse().unwrap());
    // Both functions' strings pass through it, each through more than one of its frames.
    assert!((221_042..221_100).contains(&blocks), "{joined:?}");
    assert!(blocks < pairs, "{joined:?}");
    database
}

#[test]
fn the_published_walkthrough_works_in_a_debug_build() {
    let database = check(DEBUG);
    std::fs::remove_dir_all(database.parent().unwrap()).unwrap();
}

#[test]
fn the_published_walkthrough_works_in_a_release_build_with_line_tables() {
    let database = check(WITH_LINES);
    let inlined = sqlite3(
        &database,
        "SELECT count(*) FROM backtraces WHERE sym LIKE '%String::with_capacity%'
             OR sym LIKE '%string::String>::with_capacity%'",
    );
    assert_ne!(inlined, ["0"], "inlined frames are listed");
    std::fs::remove_dir_all(database.parent().unwrap()).unwrap();
}
