//! The commands that take a recording.

use std::fs;

use crate::cli::commands::{Place, Ran};
use crate::synthetic::generate::{Plan, generate_file};

fn place() -> Place {
    let place = Place::new(5);
    let plan = Plan { events: 2_000, ..Plan::default() };
    generate_file(&place.path("rip-1"), &plan);
    place
}

fn lines(ran: &Ran) -> Vec<&str> {
    ran.err.lines().collect()
}

#[test]
fn the_short_form_prints_what_the_published_tool_prints() {
    let place = place();
    let ran = place.run(&["rip-1", "analyzed"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{}", ran.err);
    let lines = lines(&ran);
    assert_eq!((lines[0], lines[2]), ("analyzing backtraces:", "analyzing events:"), "{}", ran.err);
    assert!(lines[1].parse::<u64>().unwrap() > 0, "{}", ran.err);
    assert!(lines[3].parse::<u64>().unwrap() >= 2_000, "{}", ran.err);
    let counted = place.run(&[
        "sql",
        "analyzed",
        "-c",
        "SELECT count(*) > 0 FROM allocations",
        "--format",
        "csv",
    ]);
    assert_eq!(counted.out.lines().last(), Some("1"), "{}", counted.err);
}

#[test]
fn loading_never_overwrites_what_is_not_its_own() {
    let place = place();
    fs::write(place.path("precious.db"), "not yours").unwrap();
    rusqlite::Connection::open(place.path("foreign.db"))
        .unwrap()
        .execute_batch("CREATE TABLE t (a)")
        .unwrap();
    fs::create_dir(place.path("directory.db")).unwrap();
    for output in ["precious.db", "foreign.db", "directory.db", "absent/new.db"] {
        let before = fs::read(place.path(output)).ok();
        let ran = place.run(&["load", "rip-1", "-o", output, "--force"]);
        assert_eq!(ran.code, 3, "{output}: {}", ran.err);
        assert_eq!(
            ran.err.lines().filter(|line| line.starts_with("error: ")).count(),
            1,
            "{}",
            ran.err
        );
        assert_eq!(fs::read(place.path(output)).ok(), before, "{output}");
    }
    fs::write(place.path("empty"), "").unwrap();
    fs::write(place.path("text"), "some words").unwrap();
    for input in ["absent", "empty", "text", ".", "heap.db"] {
        let ran = place.run(&[input, "out.db"]);
        assert_eq!(ran.code, 3, "{input}: {}", ran.err);
        assert!(!place.path("out.db").exists(), "{input}");
    }
}

#[test]
fn a_recording_is_described_and_can_not_be_asked_before_it_is_loaded() {
    let place = place();
    let info = place.run(&["info", "rip-1"]);
    assert_eq!(info.code, 0, "{}", info.err);
    for words in ["recording   rip-1", "duration", "ending", "thread", "lost"] {
        assert!(info.out.contains(words), "{}", info.out);
    }
    assert_eq!(place.run(&["info", "heap.db"]).code, 3);
    for command in ["sql", "query", "report"] {
        let ran = place.run(&[command, "rip-1"]);
        assert_eq!(ran.code, 3, "{command}: {}", ran.err);
        assert!(ran.err.contains("rheaper load rip-1"), "{command}: {}", ran.err);
    }
}

#[test]
fn the_explorer_loads_a_recording_first_and_once() {
    let place = place();
    let first = place.run(&["tui", "rip-1"]);
    assert_eq!(first.code, 0, "{}", first.err);
    assert!(first.err.contains("analyzing events:"), "{}", first.err);
    assert!(first.out.starts_with("rheaper report: rip-1.db"), "{}", first.out);
    let again = place.run(&["tui", "rip-1"]);
    assert_eq!((again.out, again.err.as_str()), (first.out, ""));
}

#[test]
fn every_builtin_query_runs_on_what_the_loader_writes() {
    let place = place();
    assert_eq!(place.run(&["load", "rip-1", "-o", "loaded.db"]).code, 0);
    for query in rheaper::database::Catalog::built_in().iter() {
        let mut args = vec!["query", "loaded.db", query.name.as_str(), "--format", "jsonl"];
        match query.name.as_str() {
            "through" => args.extend(["--pattern", "."]),
            "sites_of_scope" => args.extend(["--scope", "1"]),
            _ => {}
        }
        let ran = place.run(&args);
        let is_page = ran.err.starts_with("the first 50 of ") && ran.err.lines().count() == 1;
        assert!(ran.code == 0 && (ran.err.is_empty() || is_page), "{}: {}", query.name, ran.err);
        for line in ran.out.lines() {
            assert!(
                serde_json::from_str::<serde_json::Value>(line).is_ok(),
                "{}: {line}",
                query.name
            );
        }
    }
}

#[test]
fn the_demo_finds_its_own_leak() {
    let place = place();
    let ran = place.run(&["demo", "--duration", "1s"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("analyzing events:"), "{}", ran.err);
    let suspects = ran.out.split("What grows").nth(1).unwrap();
    assert!(
        suspects.contains("append") && suspects.contains("src/cli/commands/demo.rs"),
        "{}",
        ran.out
    );
}
