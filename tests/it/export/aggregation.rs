//! Exports of a recording that folded short-lived blocks: sums by site are whole, and what is
//! counted by rows says that it is not.

use std::path::Path;

use crate::recorder::aggregate::{record, remove};
use crate::support::programs::{number, rheaper};

/// Exports, and where each says that folded blocks are missing.
const SAID: &[(&[&str], Option<&str>)] = &[
    (&["-f", "folded"], None),
    (&["-f", "folded", "-m", "allocated"], None),
    (&["-f", "svg", "-m", "peak"], Some("in the peak")),
    (&["-f", "speedscope"], Some("in the peak")),
    (&["-f", "firefox"], Some("in the peak")),
    (&["-f", "pprof"], Some("in the peak")),
    (&["-f", "pprof", "--from", "1ms"], Some("counted here")),
    (&["-f", "dhat"], Some("in the peak")),
    (&["-f", "folded", "-m", "allocated", "--from", "1ms"], Some("counted here")),
    (&["-f", "folded", "--to", "1s"], Some("counted here")),
    (&["-f", "folded", "-m", "leaked", "--to", "1s"], None),
    (&["-f", "folded", "--from", "1ms"], None),
    (
        &["-f", "folded", "-m", "allocated", "--sql", "SELECT * FROM allocations"],
        Some("counted here"),
    ),
    (&["-f", "folded", "--sql", "SELECT bt FROM sites"], None),
    (&["-f", "folded", "--sql", "SELECT bt, frees FROM sites", "--weight", "frees"], None),
    (
        &["-f", "folded", "--sql", "SELECT bt, size AS w FROM allocations", "--weight", "w"],
        Some("counted here"),
    ),
    (&["-f", "csv", "--table", "sites"], None),
    (&["-f", "csv", "--table", "allocations"], Some("among the rows")),
    (&["-f", "csv", "--sql", "SELECT count(*) FROM allocations"], Some("among the rows")),
    (
        &["-f", "csv", "--sql", "WITH a AS (SELECT * FROM allocations) SELECT * FROM a AS b;"],
        Some("among the rows"),
    ),
    (&["-f", "csv", "--sql", "SELECT 'allocations' FROM sites"], None),
    (&["-f", "csv", "--sql", "EXPLAIN SELECT * FROM allocations"], None),
];

/// What an export of the database wrote to stdout and said on stderr.
fn export(database: &Path, args: &[&str]) -> (String, String) {
    let name = database.file_name().unwrap().to_str().unwrap();
    let mut all = vec!["export", name];
    all.extend(args);
    let ran = rheaper(&all, database.parent().unwrap());
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(ran.status.success(), "{args:?}: {said}");
    (String::from_utf8_lossy(&ran.stdout).into_owned(), said)
}

fn total(folded: &str) -> f64 {
    folded.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
}

#[test]
fn sums_are_whole_and_what_has_no_rows_is_said() {
    let (database, _) = record(20_000, 2, 60, 4);
    let meta =
        |key: &str| number(&database, &format!("SELECT value FROM meta WHERE key = '{key}'"));
    let gone = meta("aggregated_blocks");
    assert!(gone > 100.0 && meta("rows") > 100.0, "{gone}");
    for (measure, blocks, bytes) in [
        ("allocated", "allocations", "bytes"),
        ("live", "live_blocks", "live_bytes"),
        ("leaked", "live_blocks", "live_bytes"),
        ("peak", "peak_blocks", "peak_bytes"),
    ] {
        let (folded, _) = export(&database, &["-f", "folded", "-m", measure]);
        assert_eq!(total(&folded), meta(bytes), "{measure}");
        let (folded, _) = export(&database, &["-f", "folded", "-m", measure, "--blocks"]);
        assert_eq!(total(&folded), meta(blocks), "{measure}");
    }
    let (dhat, _) = export(&database, &["-f", "dhat"]);
    let dhat: serde_json::Value = serde_json::from_str(&dhat).unwrap();
    let points = dhat["pps"].as_array().unwrap();
    let made: f64 = points.iter().map(|point| point["tbk"].as_f64().unwrap()).sum();
    assert_eq!(made, meta("allocations"));

    for (args, place) in SAID {
        let (_, said) = export(&database, args);
        let Some(place) = place else {
            assert_eq!(said, "", "{args:?}");
            continue;
        };
        let begins = format!("not {place}: ");
        let ends = "which have no rows; they lived shorter than 20.0 ms\n";
        assert!(said.starts_with(&begins) && said.ends_with(ends), "{args:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
        let counted = said[begins.len()..].split(' ').next().unwrap().replace(',', "");
        assert_eq!(counted, gone.to_string(), "{args:?}: {said}");
    }
    let report = rheaper(&["report", database.to_str().unwrap()], database.parent().unwrap());
    let report = String::from_utf8(report.stdout).unwrap();
    let report = report.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(report.contains("that lived shorter than 20.0 ms are in the totals"), "{report}");
    remove(&database);

    let (whole, _) = record(0, 2, 60, 4);
    for args in [&["-f", "csv", "--table", "allocations"][..], &["-f", "dhat"], &["-f", "pprof"]] {
        assert_eq!(export(&whole, args).1, "", "{args:?}");
    }
    remove(&whole);
}
