//! Estimates are called so wherever they are shown, and rows of samples are weighed.

use std::path::{Path, PathBuf};

use rheaper::database::{CancelToken, Database, Limits, Params};
use rheaper::tui::app::view_sql;
use rheaper::tui::data::histogram;
use rheaper::tui::data::time_axis::{Axis, RowKind};

use crate::loader::sampled::{Program, RATE, program};
use crate::support::programs::{load, rheaper};
use crate::tui::driver::Driver;

/// A directory with a sampled recording and one of every block of the same program.
struct Place {
    directory: tempfile::TempDir,
    recording: PathBuf,
    database: PathBuf,
    exact: PathBuf,
}

fn place() -> Place {
    let directory = tempfile::tempdir().unwrap();
    let program: Program = program();
    let recording = directory.path().join("rip-1");
    std::fs::write(&recording, program.record(RATE, 5)).unwrap();
    let whole = directory.path().join("rip-2");
    std::fs::write(&whole, program.record(0, 5)).unwrap();
    let (database, exact) = (load(&recording), load(&whole));
    Place { directory, recording, database, exact }
}

fn run(place: &Place, arguments: &[&str]) -> (String, String) {
    let output = rheaper(arguments, place.directory.path());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{arguments:?}: {err}");
    (out, err)
}

const NOTE: &str = "note: sampled, one block in 4.00 KiB was recorded: sums are estimates";

#[test]
fn every_command_says_that_its_figures_are_estimates() {
    let place = place();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let (database, exact) = (path(&place.database), path(&place.exact));
    for (arguments, is_said) in [
        (&["load", &path(&place.recording), "-o", "again.db"][..], NOTE),
        (&["query", &database, "suspects"], NOTE),
        (&["sql", &database, "-c", "SELECT 1"], NOTE),
        (&["check", &database, "--query", "failures"], NOTE),
        (&["export", &database, "-f", "folded"], NOTE),
        (&["export", &database, "-f", "csv", "--table", "sites"], "sample_weights has"),
        (
            &["diff", &database, &exact],
            "is sampled, one in 4.00 KiB: estimates; rip-2.db is not sampled",
        ),
        (
            &["diff", &database, &database],
            "a difference within the error of an estimate is not significant",
        ),
    ] {
        let (_, said) = run(&place, arguments);
        assert!(said.contains(is_said), "{arguments:?}: {said}");
        assert!(!said.contains("one by one"), "{said}");
    }
    let said = run(&place, &["query", &exact, "suspects"]).1;
    assert_eq!(said, "");
    let (info, _) = run(&place, &["info", &path(&place.recording)]);
    assert!(info.contains("sampled     one block in 4.00 KiB"), "{info}");
    let (report, _) = run(&place, &["report", &database]);
    let report = report.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in
        ["estimates", "at the end about ", ": about ", " ±", "sampled, one block in 4.00 KiB"]
    {
        assert!(report.contains(words), "{words}: {report}");
    }
    let (report, _) = run(&place, &["report", &exact]);
    assert!(!report.contains("about ") && !report.contains('±'), "{report}");
    let json = run(&place, &["report", &database, "--json"]).0;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let interval = json["sampled"]["live_bytes_interval"].as_array().unwrap();
    let live = json["live_bytes"].as_u64().unwrap();
    assert!(interval[0].as_u64().unwrap() <= live && live <= interval[1].as_u64().unwrap());
    for (format, words) in [
        ("svg", "sampled, one in 4.00 KiB: estimates"),
        ("speedscope", "(sampled, one in 4.00 KiB: estimates)"),
        ("firefox", "(sampled, one in 4.00 KiB: estimates)"),
        ("dhat", "(sampled, one in 4.00 KiB: estimates)"),
    ] {
        let (text, _) = run(&place, &["export", &database, "-f", format]);
        assert!(text.contains(words), "{format}");
    }
}

/// Equal but for the last digit, which JSON may round.
fn close(one: Option<f64>, other: Option<f64>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => (one - other).abs() <= 1e-12 * other.abs(),
        (one, other) => one == other,
    }
}

#[test]
fn builtin_query_results_have_the_error_beside_the_estimate() {
    let place = place();
    let database = place.database.to_str().unwrap();
    let rows = |name: &str, database: &str| -> Vec<serde_json::Value> {
        let (out, _) = run(&place, &["query", database, name, "--format", "json"]);
        serde_json::from_str(&out).unwrap()
    };
    let known = Database::open(&place.database).unwrap();
    let one = |sql: String| {
        let table = known.query(&sql, &Params::none(), &Limits::default()).unwrap();
        table.rows[0][0].as_f64()
    };
    let suspects = rows("suspects", database);
    assert!(suspects.len() > 3);
    for (id, row) in (1..).zip(&suspects) {
        assert_eq!(row["rank"], id, "the order stays");
        let sql =
            format!("SELECT live_bytes_error FROM estimates WHERE of = 'suspect' AND id = {id}");
        assert!(close(row["live_bytes_error"].as_f64(), one(sql)), "{row}");
    }
    let most = rows("most_bytes", database);
    for row in &most {
        let bt = &row["bt"];
        let sql = format!("SELECT bytes_error FROM estimates WHERE of = 'site' AND id = {bt}");
        assert!(close(row["bytes_error"].as_f64(), one(sql)), "{row}");
    }
    assert!(most.windows(2).all(|pair| pair[0]["bytes"].as_i64() >= pair[1]["bytes"].as_i64()));
    let overview = rows("overview", database);
    assert!(overview[0]["live_bytes_error"].as_f64().unwrap() > 0.0, "{overview:?}");
    // Of a part of a site nobody knows it.
    let (out, _) = run(
        &place,
        &["query", database, "never_freed_older_than", "--age", "1ms", "--format", "json"],
    );
    let parts: Vec<serde_json::Value> = serde_json::from_str(&out).unwrap();
    assert!(parts.iter().any(|row| row["live_bytes_error"].is_null()), "{out}");
    let exact = rows("suspects", place.exact.to_str().unwrap());
    assert!(exact[0].get("live_bytes_error").is_none(), "{}", exact[0]);
}

#[test]
fn exports_weigh_blocks() {
    let place = place();
    let database = place.database.to_str().unwrap();
    let weigh = |window: &[&str]| -> i64 {
        let arguments =
            [&["export", database, "-f", "folded", "-m", "allocated"][..], window].concat();
        let (out, _) = run(&place, &arguments);
        out.lines().map(|line| line.rsplit(' ').next().unwrap().parse::<i64>().unwrap()).sum()
    };
    let known = Database::open(&place.database).unwrap();
    let sum = |of: &str| {
        let sql = format!(
            "SELECT CAST(round(sum({of})) AS INTEGER) FROM allocations JOIN sample_weights USING (size)"
        );
        known.query(&sql, &Params::none(), &Limits::default()).unwrap().rows[0][0].as_i64().unwrap()
    };
    // By sites, and by rows.
    assert_eq!(weigh(&[]), sum("bytes"));
    assert_eq!(weigh(&["--from", "0s"]), sum("bytes"));
    let blocks = weigh(&["--from", "0s", "--blocks"]);
    assert!((blocks - sum("blocks")).abs() <= 6, "{blocks} {}", sum("blocks"));
}

#[test]
fn what_the_explorer_asks_of_rows_is_weighed() {
    let place = place();
    let database = Database::open(&place.database).unwrap();
    let sum = |sql: &str| -> Vec<i64> {
        let table = database.query(sql, &Params::none(), &Limits::default()).unwrap();
        table.rows[0].iter().map(|value| value.as_f64().unwrap_or(0.0).round() as i64).collect()
    };
    let mut axis = Axis::new(Vec::new(), 1, i64::MAX / 4, 0);
    axis.rows = RowKind::Samples;
    let truth = sum("SELECT sum(bytes), sum(blocks), sum(iif(dealloc_after IS NULL, bytes, 0)),
            sum(iif(dealloc_after IS NULL, blocks, 0))
        FROM allocations JOIN sample_weights USING (size) WHERE alloc_thread = 1");
    let blocks = "SELECT * FROM allocations WHERE alloc_thread = 1";
    let weighed = view_sql::weights_of_blocks(blocks, &axis);
    let found = sum(&format!(
        "SELECT sum(bytes), sum(allocations), sum(live_bytes), sum(live_blocks) FROM ({weighed})"
    ));
    let near = |one: i64, other: i64| (one - other).abs() <= 6;
    assert!(truth.iter().zip(&found).all(|(one, other)| near(*one, *other)), "{truth:?} {found:?}");
    let filters = rheaper::tui::data::filter::FilterSet::default();
    let sql = histogram::blocks(&filters, &axis);
    let bins = histogram::read(&database, &sql, axis.end_ns, &CancelToken::new()).unwrap();
    let all =
        sum("SELECT sum(bytes), sum(blocks) FROM allocations JOIN sample_weights USING (size)");
    let total = bins.total(histogram::Kind::Sizes);
    assert_eq!(total.bytes as i64, all[0]);
    assert!((total.blocks as i64 - all[1]).abs() <= 20, "{total:?} {all:?}");
}

#[test]
fn the_explorer_says_so_at_every_size() {
    let place = place();
    for (size, words) in [
        ((40, 10), &["sampled"][..]),
        ((80, 24), &["sampled 1/4.00 KiB", "±"]),
        ((120, 40), &["sampled", "±"]),
    ] {
        let mut driver = Driver::new(&place.database, size);
        let first = driver.text();
        println!("{first}");
        let line = first.lines().next().unwrap();
        assert!(words.iter().all(|word| line.contains(word)), "{line}");
        assert!(first.contains("about "), "{first}");
        driver.press("2<Up>");
        println!("{}", driver.text());
        if size.0 >= 80 {
            assert!(driver.text().contains(" (±"), "{}", driver.text());
        }
        driver.press("3");
        println!("{}", driver.text());
        driver.press("4");
        println!("{}", driver.text());
        assert!(driver.text().contains("samples") || size.0 < 80, "{}", driver.text());
        driver.press("6");
        println!("{}", driver.text());
        driver.press("1<Enter>");
        println!("{}", driver.text());
        // Through scopes that are answered from rows.
        for scope in ["+live<Enter>", "+size > 1K<Enter>", "+made 0s..1ms<Enter>"] {
            for lens in ["1", "2", "3", "5", "6"] {
                driver.press(scope);
                driver.press(lens);
                assert!(!driver.text().contains("! "), "{scope} {lens}: {}", driver.text());
                driver.press("x");
            }
        }
    }
}
