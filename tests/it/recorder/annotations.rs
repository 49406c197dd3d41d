//! Scopes, marks, samples and threads' names of real programs, as their recordings have them.

use std::path::Path;

use crate::support::programs::{RELEASE, build, lines, load, number, run_with, sqlite3};

/// A recording of everything, and a sample that has everything of any size.
const WAYS: [&[(&str, &str)]; 2] = [&[], &[("SAMPLE_BYTES", "1")]];

/// Plays a scene of `context` and answers what it printed, the recording loaded.
fn scene(name: &str, directory: &Path) -> (Vec<String>, std::path::PathBuf) {
    scene_with(name, directory, WAYS[0])
}

fn scene_with(
    name: &str,
    directory: &Path,
    environment: &[(&str, &str)],
) -> (Vec<String>, std::path::PathBuf) {
    let program = build("programs", "context", RELEASE);
    let said = lines(&run_with(&program, &[name], directory, environment));
    let database = load(Path::new(&said[0]));
    (said, database)
}

fn loss(database: &Path, name: &str) -> f64 {
    number(database, &format!("SELECT count FROM losses WHERE name = '{name}'"))
}

#[test]
fn every_block_has_the_scope_of_its_thread() {
    for environment in WAYS {
        check_scopes(environment);
    }
}

fn check_scopes(environment: &[(&str, &str)]) {
    let directory = tempfile::tempdir().unwrap();
    let (said, database) = scene_with("scopes", directory.path(), environment);
    assert_eq!(said[1], "0", "entering a scope allocates");
    let by_size = "SELECT size, coalesce(path, '-'), count(*), count(*) - count(dealloc_after)
        FROM allocations AS a LEFT JOIN allocation_scopes ON allocation = a.rowid
        LEFT JOIN scopes ON scopes.id = scope
        WHERE size BETWEEN 70000 AND 70006 GROUP BY 1, 2 ORDER BY 1";
    let expected = [
        "70000|-|180000|1800",
        "70001|outer|120000|1200",
        "70002|outer > inner|120000|1200",
        "70003|early|1|1",
    ];
    assert_eq!(sqlite3(&database, by_size), expected);
    let sums = "SELECT path, sum(allocations), sum(live_blocks), sum(live_bytes) FROM scope_sites
        JOIN scopes ON scopes.id = scope WHERE path LIKE 'outer%' GROUP BY 1 ORDER BY 1";
    let expected = ["outer|120000|1200|84001200", "outer > inner|120000|1200|84002400"];
    assert_eq!(sqlite3(&database, sums), expected);
    let lost = "SELECT name, count FROM losses WHERE count > 0 AND name LIKE 'dropped%'";
    assert!(sqlite3(&database, lost).is_empty(), "{:?}", sqlite3(&database, lost));
}

#[test]
fn scopes_beyond_the_limit_belong_to_the_one_around_them() {
    let directory = tempfile::tempdir().unwrap();
    let (_, database) = scene("many", directory.path());
    let kept = number(&database, "SELECT count(*) FROM scopes WHERE parent NOT NULL");
    assert_eq!(kept, f64::from((1 << 14) - 1));
    assert_eq!(loss(&database, "dropped_scopes"), 20_000.0 - kept);
    let blocks = "SELECT count(*) FROM allocation_scopes JOIN allocations AS a
        ON a.rowid = allocation JOIN scopes ON scopes.id = scope WHERE size = 70004 AND path";
    assert_eq!(number(&database, &format!("{blocks} = 'outer'")), 20_000.0 - kept);
    assert_eq!(number(&database, &format!("{blocks} LIKE 'outer > scope %'")), kept);
}

#[test]
fn marks_are_kept_or_counted() {
    for environment in WAYS {
        check_marks(environment);
    }
}

fn check_marks(environment: &[(&str, &str)]) {
    let directory = tempfile::tempdir().unwrap();
    let (said, database) = scene_with("marks", directory.path(), environment);
    assert_eq!(said[1], "0", "marking allocates");
    let kept = number(&database, "SELECT count(*) FROM marks WHERE name = 'burst'");
    assert!(kept >= 512.0, "{kept} were kept");
    assert_eq!(kept + loss(&database, "dropped_marks"), 5_000.0);
    let order = "SELECT count(*) FROM (SELECT value, lag(value) OVER (ORDER BY rowid) AS before
        FROM marks WHERE name = 'burst') WHERE before >= value";
    assert_eq!(number(&database, order), 0.0);
    let others = "SELECT name, value, thread > 0 FROM marks WHERE name <> 'burst' ORDER BY at_ns";
    let cut = format!("{}|-7|1", "ä".repeat(32));
    assert_eq!(sqlite3(&database, others), [cut.as_str(), "last|-9223372036854775808|0"]);
}

#[test]
fn a_thread_that_is_renamed_has_both_names() {
    let directory = tempfile::tempdir().unwrap();
    let (_, database) = scene("rename", directory.path());
    let names = "SELECT name FROM thread_names WHERE thread =
            (SELECT alloc_thread FROM allocations WHERE size = 70006) ORDER BY at_ns";
    assert_eq!(sqlite3(&database, names), ["before", "after"]);
    let last = "SELECT count(*) FROM threads WHERE name = 'after'";
    assert_eq!(number(&database, last), 1.0);
    // At the start and at the end, and once a second where the machine lets the recorder run.
    assert!(number(&database, "SELECT count(*) FROM memory_readings") >= 2.0);
    let unknown =
        "SELECT count(*) FROM memory_readings WHERE rss_bytes IS NULL OR rss_bytes < 100000";
    assert_eq!(number(&database, unknown), 0.0);
}
