//! Samples, marks and scopes: from the file into the database, the report and the first screen.

use crate::loader::end_to_end::{Loaded, load_bytes};
use crate::synthetic::random::{Random, Shape, history};
use crate::synthetic::writer::{Writer, plain_header};
use crate::tui::driver::Driver;

/// Scopes of the recordings here: 1 is `request`, 2 and 3 are inside it, 4 is not defined.
const SCOPES: u64 = 5;

/// The scope of what happens at a moment.
fn scope_at(at: u64) -> u32 {
    (at / 7 % SCOPES) as u32
}

/// A random history, its samples and marks at any places between the blocks.
fn recording(seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let shape = Shape {
        events: 1 + random.below(300),
        streams: 1 + random.below(3) as u32,
        addresses: 1 + random.below(60),
        nodes: 1 + random.below(6) as u32,
        gap: 50,
        realloc_one_in: 5,
        lost_one_in: 0,
    };
    let mut writer = Writer::new(Vec::new(), &plain_header());
    for index in 0..u64::from(shape.nodes) {
        writer.stack(rheaper::recording::NodeId::ROOT, &[0x1000 + index]);
    }
    for (id, parent, name) in [(1, 0, "request"), (2, 1, "parse"), (3, 1, "\u{1b}[31mred")] {
        writer.scope(id, parent, name);
    }
    for (stream, thread, event) in history(&mut random, &shape) {
        let at = event.at().0;
        writer.enter(scope_at(at));
        writer.event(stream, thread, &event);
        if random.one_in(9) {
            let rss = Some(random.below(1 << 30)).filter(|rss| !rss.is_multiple_of(3));
            writer.sample(at + random.below(60), [rss, Some(at), None]);
            writer.mark(at, thread, "round", at as i64 - 500);
            writer.flush();
        }
    }
    writer.sample(1_000_000, [Some(4 << 20), Some(6 << 20), Some(64 << 20)]);
    writer.flush();
    writer.finish()
}

/// How many rows a query gives.
fn rows(loaded: &Loaded, sql: &str) -> i64 {
    loaded.one(&format!("SELECT count(*) FROM ({sql})"))
}

#[test]
fn live_bytes_of_samples_are_those_of_the_rows() {
    for seed in 0..60 {
        let loaded = load_bytes(&recording(seed));
        let differ = "SELECT * FROM memory_readings WHERE live_bytes <> (
            SELECT coalesce(sum(size), 0) FROM allocations
            WHERE alloc_after <= at_ns AND (dealloc_after IS NULL OR dealloc_after > at_ns))";
        assert_eq!(rows(&loaded, differ), 0, "seed {seed}");
        let marks = "SELECT * FROM marks WHERE name = 'round' AND value = at_ns - 500";
        assert_eq!(rows(&loaded, marks), rows(&loaded, "SELECT * FROM memory_readings") - 1);
        let fact = |key: &str| loaded.one(&format!("SELECT value FROM meta WHERE key = '{key}'"));
        assert_eq!(fact("rss_bytes"), 4 << 20);
        assert_eq!(fact("rss_live_bytes"), fact("live_bytes"));
        assert_eq!(fact("cgroup_limit_bytes"), 64 << 20);
        assert_eq!(fact("rss_max_bytes"), loaded.one("SELECT max(rss_bytes) FROM memory_readings"));
    }
}

#[test]
fn every_block_has_the_scope_that_it_was_made_in() {
    for seed in 0..60 {
        let loaded = load_bytes(&recording(seed));
        let wrong = format!(
            "SELECT * FROM allocations AS a LEFT JOIN allocation_scopes ON allocation = a.rowid
             WHERE coalesce(scope, 0) <> alloc_after / 7 % {SCOPES}"
        );
        assert_eq!(rows(&loaded, &wrong), 0, "seed {seed}");
        let summed =
            "SELECT scope, bt, allocations, bytes, live_blocks, live_bytes FROM scope_sites";
        let counted = "SELECT scope, bt, count(*), sum(size), count(*) - count(dealloc_after),
                coalesce(sum(size) FILTER (WHERE dealloc_after IS NULL), 0)
            FROM allocation_scopes JOIN allocations AS a ON a.rowid = allocation GROUP BY 1, 2";
        for (one, other) in [(summed, counted), (counted, summed)] {
            assert_eq!(rows(&loaded, &format!("{one} EXCEPT {other}")), 0, "seed {seed}");
        }
        let nameless = "SELECT scope FROM allocation_scopes EXCEPT SELECT id FROM scopes";
        assert_eq!(rows(&loaded, nameless), 0, "seed {seed}");
        let paths = "SELECT * FROM scopes WHERE path IN
            ('request', 'request > parse', 'request > \u{241b}[31mred', '(unknown)')";
        assert_eq!(rows(&loaded, paths), rows(&loaded, "SELECT * FROM scopes"), "seed {seed}");
    }
}

#[test]
fn a_mark_that_is_not_there_is_named_with_those_that_are() {
    let loaded = load_bytes(&recording(1));
    let path = loaded.connection.path().unwrap();
    let ask = |mark: &str| {
        let arguments = ["query", path, "retained_in_window", "--from", mark];
        crate::support::programs::rheaper(&arguments, std::path::Path::new("."))
    };
    assert!(ask("@round").status.success() && ask("@round#2").status.success());
    for mark in ["@deploy", "@round#9999", "@it's"] {
        let said = String::from_utf8(ask(mark).stderr).unwrap();
        let expected = format!("no mark {mark} in the recording; it has @round");
        assert!(said.contains(&expected), "{said}");
    }
    let said = String::from_utf8(ask("@").stderr).unwrap();
    assert!(said.contains("`from` can't be `@`"), "{said}");
}

#[test]
fn resident_memory_stands_beside_live_bytes_on_the_first_screen_and_in_the_report() {
    let place = tempfile::tempdir().unwrap();
    let recording_path = place.path().join("rip-1");
    let mut writer = Writer::new(Vec::new(), &plain_header());
    let node = writer.stack(rheaper::recording::NodeId::ROOT, &[0x1000]);
    writer.alloc((0, 0), 10, 0x7000, 1 << 20, node);
    writer.flush();
    writer.sample(1_000, [Some(4 << 20), Some(6 << 20), Some(64 << 20)]);
    std::fs::write(&recording_path, writer.finish()).unwrap();
    let database = crate::support::programs::load(&recording_path);

    let screen = Driver::new(&database, (120, 24)).text();
    let first = screen.lines().next().unwrap();
    assert!(
        first.contains("live 1.00 MiB") && first.contains("rss 4.00 MiB (25.0 % live)"),
        "{first}"
    );

    let report = |format: &[&str]| {
        let arguments = [&["report", database.to_str().unwrap()], format].concat();
        let ran = crate::support::programs::rheaper(&arguments, place.path());
        let page = String::from_utf8(ran.stdout).unwrap();
        page.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let sentence = "RSS 4.00 MiB at the end, 4.00 MiB at most; live blocks are 25.0 % of it";
    for format in [&[][..], &["--markdown"]] {
        assert!(report(format).contains(sentence), "{}", report(format));
        assert!(
            report(format).contains("control group 6.00 MiB of 64.0 MiB"),
            "{}",
            report(format)
        );
    }
    let json: serde_json::Value = serde_json::from_str(&report(&["--json"])).unwrap();
    assert_eq!(json["memory"]["rss_bytes"], 4 << 20);
    assert_eq!(json["memory"]["live_share_of_rss"], 0.25);
    assert_eq!(json["memory"]["cgroup_limit_bytes"], 64 << 20);
}
