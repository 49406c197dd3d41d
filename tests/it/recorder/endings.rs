//! Real programs, each ended in every way: what is said of a leak does not depend on it.

use std::path::{Path, PathBuf};

use crate::support::programs::{RELEASE, build, load, number, run_with, sqlite3};

fn record(arguments: &[&str], directory: &Path) -> (PathBuf, String) {
    let program = build("programs", "endings", RELEASE);
    let into = directory.to_str().unwrap();
    let ran = run_with(&program, arguments, directory, &[("RECORD_INTO", into)]);
    let found = std::fs::read_dir(directory).unwrap();
    let found = found.map(|entry| entry.unwrap().path());
    let recording = found.filter(|path| path.to_string_lossy().contains("rip-")).last();
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    (load(&recording.unwrap_or_else(|| panic!("{said}"))), said)
}

const ENDS: [&str; 6] = ["forgotten", "dropped", "slowly", "busily", "elsewhere", "killed"];

#[test]
fn a_server_that_leaks_is_found_however_it_ends() {
    for end in ENDS {
        let directory = tempfile::tempdir().unwrap();
        let (database, _) = record(&["leaks", end], directory.path());
        let first = "SELECT label, live_blocks >= 900, sym LIKE '%Server::handle%'
            FROM suspects JOIN frames ON frames.id = suspects.frame ORDER BY suspects.id LIMIT 1";
        let all = sqlite3(&database, "SELECT sentence FROM suspects ORDER BY id LIMIT 5");
        assert_eq!(sqlite3(&database, first), ["steady leak|1|1"], "{end}: {all:#?}");
        let shutdown = "SELECT count(*) FROM meta WHERE key = 'shutdown_ns'";
        let expected = match end {
            "killed" => Some(0.0),
            "forgotten" => None,
            _ => Some(1.0),
        };
        assert!(expected.is_none_or(|count| number(&database, shutdown) == count), "{end}");
    }
}

#[test]
fn no_leak_is_claimed_of_a_server_without_one_however_it_ends() {
    for end in ENDS {
        let directory = tempfile::tempdir().unwrap();
        let (database, _) = record(&["clean", end], directory.path());
        let claimed = "SELECT sentence FROM suspects
            WHERE label IN ('steady leak', 'partial leak', 'growing container')";
        assert!(
            sqlite3(&database, claimed).is_empty(),
            "{end}: {:#?}",
            sqlite3(&database, claimed)
        );
    }
}

#[test]
fn a_guard_ends_the_recording_on_every_way_out() {
    for way in ["fails", "panics"] {
        let directory = tempfile::tempdir().unwrap();
        let (database, said) = record(&[way], directory.path());
        assert!(said.contains("recorded ") && !said.contains("not recorded"), "{way}: {said}");
        assert_eq!(sqlite3(&database, "SELECT value FROM meta WHERE key = 'ending'"), ["sealed"]);
        let kept = number(&database, "SELECT count(*) FROM allocations WHERE size = 5000");
        assert_eq!(kept, 1.0, "{way}");
    }
}

#[test]
fn seven_hundred_threads_are_recorded_by_default() {
    let directory = tempfile::tempdir().unwrap();
    let (database, said) = record(&["threads"], directory.path());
    assert!(said.starts_with("recorded ") && !said.contains("not recorded"), "{said}");
    let threads = "SELECT count(*) FROM (SELECT alloc_thread FROM allocations
        WHERE size BETWEEN 100 AND 848 GROUP BY 1 HAVING count(*) >= 50)";
    assert!(number(&database, threads) >= 700.0, "{}", number(&database, threads));
}

#[test]
fn the_most_resident_memory_is_the_kernels() {
    let directory = tempfile::tempdir().unwrap();
    let (database, _) = record(&["peaks"], directory.path());
    let most = number(&database, "SELECT value FROM meta WHERE key = 'rss_max_bytes'");
    assert!(most >= f64::from(64 << 20), "{most}");
}
