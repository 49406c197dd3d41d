//! Comparing two databases: against obvious loops on random heaps, and as a command.

use std::collections::BTreeMap;
use std::path::Path;

use rheaper::database::compare::{
    Comparison, Measure, Metrics, Moment, Normalization, Row, Side, Window, compare,
};
use rheaper::database::{CancelToken, Database};

use crate::cli::check::{example, recording};
use crate::cli::commands::Place;
use crate::support::programs::run;
use crate::support::random_heap::{Block, FRAMES, Heap};

/// Innermost first.
type Names = Vec<&'static str>;

/// By what a backtrace is known, said once more.
fn own(stack: &[i64]) -> Names {
    let frames: Vec<_> = stack.iter().map(|id| &FRAMES[*id as usize - 1]).collect();
    let of = |kind: &str| -> Names {
        frames.iter().filter(|frame| frame.kind == kind).map(|frame| frame.sym).collect()
    };
    let all = || frames.iter().map(|frame| frame.sym).collect();
    let kinds = [of("own"), of("dependency"), of("unknown"), all()];
    let mut names = kinds.into_iter().find(|it| !it.is_empty()).unwrap();
    // The shortest cycle goes first, until there is none.
    while let Some((from, to)) = (1..names.len())
        .flat_map(|to| (0..to).map(move |from| (from, to)))
        .filter(|(from, to)| names[*from] == names[*to])
        .min_by_key(|(_, to)| *to)
    {
        names.drain(from..to);
    }
    names
}

/// The figures of each stack in a window, by loops over all blocks.
fn naive(heap: &Heap, from: i64, to: i64) -> BTreeMap<Names, Metrics> {
    let mut sums: BTreeMap<Names, Metrics> = BTreeMap::new();
    for Block { made, freed, bt, size, .. } in &heap.blocks {
        if !(from < *made && *made <= to) {
            continue;
        }
        let names = bt.map_or(vec!["(no backtrace)"], |bt| own(&heap.stacks[&bt]));
        let is_live = freed.is_none_or(|freed| freed > to);
        *sums.entry(names).or_default() += Metrics {
            live_bytes: if is_live { *size } else { 0 },
            live_blocks: i64::from(is_live),
            bytes: *size,
            allocations: 1,
        };
    }
    sums
}

fn names(comparison: &Comparison, row: &Row) -> Vec<String> {
    comparison.frames(row).map(|name| name.sym.clone()).collect()
}

fn compared(
    before: &Database,
    after: &Database,
    window: &Window,
    per: &Normalization,
) -> Comparison {
    let side = |database| Side { database, window: window.clone() };
    compare(&side(before), &side(after), per, &CancelToken::new()).unwrap()
}

fn check_sums(comparison: &Comparison, [before, after]: [&BTreeMap<Names, Metrics>; 2]) {
    let mut expected = BTreeMap::new();
    for stack in before.keys().chain(after.keys()) {
        let of = |sums: &BTreeMap<Names, Metrics>| sums.get(stack).copied().unwrap_or_default();
        if of(before) != of(after) {
            let stack: Vec<String> = stack.iter().map(|name| (*name).to_owned()).collect();
            expected.insert(stack, (of(before), of(after)));
        }
    }
    let rows = comparison.rows.iter();
    let found: BTreeMap<_, _> =
        rows.map(|row| (names(comparison, row), (row.before, row.after))).collect();
    assert_eq!(found, expected);
    assert_eq!(found.len(), comparison.rows.len(), "each stack has one row");
}

/// The rows of the exchanged sides say the same with the other sign, in the same order.
fn check_reversed(one: &Comparison, other: &Comparison) {
    for measure in Measure::COMPARED {
        let (rows, reversed) = (one.changed(measure, 1), other.changed(measure, 1));
        assert_eq!(rows.len(), reversed.len());
        for (row, back) in rows.iter().zip(&reversed) {
            assert_eq!(names(one, row), names(other, back));
            assert_eq!((row.before, row.after), (back.after, back.before));
            assert_eq!(row.difference(measure), -back.difference(measure));
            assert_eq!(row.state(measure), back.state(measure).reversed());
            assert_eq!((row.bt_before, row.bt_after), (back.bt_after, back.bt_before));
        }
        let sizes: Vec<u64> =
            rows.iter().map(|row| row.difference(measure).unsigned_abs()).collect();
        assert!(sizes.is_sorted_by(|one, other| one >= other), "{sizes:?}");
        let ((up, down), (back_up, back_down)) = (one.movement(measure), other.movement(measure));
        assert_eq!((up, down), (back_down, back_up));
    }
}

fn write(heap: &Heap, directory: &Path, name: &str) -> Database {
    let path = directory.join(name);
    heap.write(&path);
    Database::open(&path).unwrap()
}

#[test]
fn random_heaps_differ_by_what_loops_find_and_by_its_opposite_when_exchanged() {
    let directory = tempfile::tempdir().unwrap();
    for seed in 0..40 {
        let (one, other) = (Heap::random(seed), Heap::random(seed + 1000));
        let before = write(&one, directory.path(), &format!("{seed}.db"));
        let after = write(&other, directory.path(), &format!("{seed}-2.db"));
        let end = one.duration.min(other.duration);
        let at = |ns: i64| Some(Moment::At(ns));
        let windows = [
            (Window::default(), (-1, one.duration), (-1, other.duration)),
            (Window { from: None, to: at(end / 2) }, (-1, end / 2), (-1, end / 2)),
            (Window { from: at(end / 3), to: at(end) }, (end / 3, end), (end / 3, end)),
        ];
        for (window, first, second) in windows {
            let difference = compared(&before, &after, &window, &Normalization::Whole);
            let sums = [naive(&one, first.0, first.1), naive(&other, second.0, second.1)];
            check_sums(&difference, [&sums[0], &sums[1]]);
            for per in [
                Normalization::Whole,
                Normalization::Time(1_000),
                Normalization::Time(3_600_000_000_000),
            ] {
                let there = compared(&before, &after, &window, &per);
                check_reversed(&there, &compared(&after, &before, &window, &per));
                let same = compared(&before, &before, &window, &per);
                assert_eq!(same.rows, []);
                assert!(same.changed(Measure::AllocatedBytes, 0).is_empty());
            }
        }
    }
}

#[test]
fn marks_bound_a_window_and_divide() {
    let directory = tempfile::tempdir().unwrap();
    let heap = Heap::random(7);
    let before = write(&heap, directory.path(), "before.db");
    let path = directory.path().join("after.db");
    heap.write(&path);
    let writer = rusqlite::Connection::open(&path).unwrap();
    let (first, last) = (heap.duration / 4, heap.duration / 2);
    for at in [first, (first + last) / 2, last] {
        writer.execute("INSERT INTO marks VALUES (?1, 'request', 1, 0)", [at]).unwrap();
    }
    drop(writer);
    let after = Database::open(&path).unwrap();

    let mark = |text: &str| Some(Moment::parse(text).unwrap());
    let window = Window { from: mark("@request#1"), to: mark("@request") };
    let side = Side { database: &after, window: window.clone() };
    let whole = Side::whole(&after);
    let cancel = CancelToken::new();
    let found = compare(&whole, &side, &Normalization::Whole, &cancel).unwrap();
    check_sums(&found, [&naive(&heap, -1, heap.duration), &naive(&heap, first, last)]);

    let per = Normalization::Mark("request".to_owned());
    let divided = compare(&whole, &whole, &per, &cancel).unwrap();
    let rows = divided.unchanged.iter();
    let sum: i64 = rows.map(|row| row.after.allocations).sum();
    let third: i64 = naive(&heap, -1, heap.duration)
        .values()
        .map(|figures| (figures.allocations as f64 / 3.0).round() as i64)
        .sum();
    assert_eq!(sum, third);

    let writer = rusqlite::Connection::open(directory.path().join("before.db")).unwrap();
    writer.execute_batch("DROP TABLE marks").unwrap();
    drop(writer);
    let gone = Side { database: &before, window };
    let error = compare(&gone, &whole, &Normalization::Whole, &cancel).unwrap_err().to_string();
    assert!(error.contains("no mark @request#1 in the recording"), "{error}");
    let per = Normalization::Mark("deploy".to_owned());
    let error = compare(&whole, &whole, &per, &cancel).unwrap_err().to_string();
    assert!(error.contains(", @request"), "{error}");
}

#[test]
fn a_database_does_not_differ_from_itself() {
    let place = Place::new(5);
    for format in ["text", "markdown", "folded"] {
        let ran = place.run(&["diff", "heap.db", "heap.db", "--format", format]);
        assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{format}: {}", ran.err);
        assert!(ran.err.contains("no difference in live bytes"), "{}", ran.err);
    }
    let ran = place.run(&["diff", "heap.db", "heap.db", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(json["rows"], serde_json::json!([]));
    let ran = place.run(&["diff", "heap.db", "heap.db", "--fail-if-grown", "0"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
}

/// Records the leaky server, with the leak and after its fix.
pub(crate) fn leaky_and_fixed(place: &Place) {
    for (arguments, name) in [(&["9000r"][..], "leaky.db"), (&["9000r", "fixed"][..], "fixed.db")] {
        let ran = run(&example("leaky_server"), arguments, place.directory.path());
        assert!(ran.status.success(), "{ran:?}");
        let recording = recording(place);
        let loaded = place.run(&["load", &recording, "-o", name]);
        assert_eq!(loaded.code, 0, "{}", loaded.err);
        std::fs::remove_file(place.path(&recording)).unwrap();
    }
}

#[test]
fn the_fixed_site_of_the_leaky_server_is_named_first() {
    let place = Place::new(5);
    leaky_and_fixed(&place);
    let ran = place.run(&["diff", "leaky.db", "fixed.db", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let first = &json["rows"][0];
    let function = first["function"].as_str().unwrap();
    assert!(function == "note" || function.ends_with("::note"), "{first}");
    assert_eq!(first["state"], "shrunk", "{first}");
    assert!(first["difference"]["live_bytes"].as_i64().unwrap() < -10_000, "{first}");

    // The other way round it is a regression, which CI is to catch, and by its name.
    let failed = ["diff", "fixed.db", "leaky.db", "--fail-if-grown", "10K"];
    let ran = place.run(&failed);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("grown: 1 site by more than 10.0 KiB"), "{}", ran.err);
    assert!(ran.out.contains("note <") && ran.out.contains("leaky_server.rs"), "{}", ran.out);
    let ran = place.run(&["diff", "leaky.db", "fixed.db", "--fail-if-grown", "10K"]);
    assert_eq!(ran.code, 0, "{}", ran.err);

    let folded = ["diff", "leaky.db", "fixed.db", "--format", "folded", "--min", "10K"];
    let ran = place.run(&folded);
    let line = ran.out.lines().next().unwrap();
    let (stack, after) = line.rsplit_once(' ').unwrap();
    let (stack, before) = stack.rsplit_once(' ').unwrap();
    assert!(stack.ends_with("note"), "{line}");
    assert!(after.parse::<i64>().unwrap() < before.parse::<i64>().unwrap(), "{line}");
    let moments = place.run(&["diff", "leaky.db", "--between", "100ms..end", "--limit", "0"]);
    let grown = |line: &str| line.contains("note <") && line.contains('+');
    assert!(moments.out.lines().any(grown), "{}", moments.out);
}

#[test]
fn wrong_usage_gets_a_sentence() {
    let place = Place::new(5);
    for (args, words) in [
        (&["--per", "fortnight"][..], "--per: expected second, minute"),
        (&["--min", "many"], "--min: expected bytes"),
        (&["--fail-if-grown", "-"], "--fail-if-grown: expected bytes"),
        (&["--from", "later"], "--from: expected a time since the start"),
        (&["--measure", "colour"], "invalid value 'colour'"),
    ] {
        let ran = place.run(&[&["diff", "heap.db", "heap.db"], args].concat());
        assert!(ran.code == 2 && ran.err.contains(words), "{args:?}: {} {}", ran.code, ran.err);
    }
    let ran = place.run(&["diff", "heap.db"]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    let ran = place.run(&["diff", "heap.db", "--between", "5m"]);
    assert!(ran.code == 2 && ran.err.contains("expected two moments"), "{}", ran.err);
    let ran = place.run(&["diff", "heap.db", "none.db"]);
    assert_eq!(ran.code, 3, "{}", ran.err);
    let ran = place.run(&["diff", "heap.db", "heap.db", "--from", "@x"]);
    assert!(ran.code == 1 && ran.err.contains("no mark @x"), "{} {}", ran.code, ran.err);
    let ran = place.run(&["diff", "heap.db", "heap.db", "--from", "end"]);
    assert!(ran.code == 1 && ran.err.contains("the window is empty"), "{} {}", ran.code, ran.err);
}

#[test]
fn names_can_not_end_a_line_a_cell_or_a_frame() {
    let place = Place::new(5);
    Heap::random(6).write(&place.path("other.db"));
    let evil = "a;b|c`d<e>\r\n\u{1b}[2J 7 8";
    for name in ["heap.db", "other.db"] {
        let database = rusqlite::Connection::open(place.path(name)).unwrap();
        database
            .execute("UPDATE frames SET function = ?1 || id, sym = ?1 || id, file = ?1", [evil])
            .unwrap();
    }
    for format in ["text", "markdown", "json", "folded"] {
        let ran = place.run(&["diff", "heap.db", "other.db", "--format", format]);
        assert!(ran.code == 0 && !ran.out.is_empty(), "{}", ran.err);
        let bad = ran
            .out
            .chars()
            .find(|c| *c != '\n' && rheaper::database::text::sanitize::is_unsafe(*c));
        assert_eq!(bad, None, "{format}: {:?}", ran.out);
    }
    let folded = place.run(&["diff", "heap.db", "other.db", "--format", "folded"]).out;
    for line in folded.lines() {
        let mut words = line.rsplitn(3, ' ');
        let numbers = [words.next().unwrap(), words.next().unwrap()];
        assert!(numbers.iter().all(|number| number.parse::<i64>().is_ok()), "{line:?}");
        assert!(!words.next().unwrap().contains("a;b"), "{line:?}");
    }
    let markdown = place.run(&["diff", "heap.db", "other.db", "--format", "markdown"]).out;
    let bars = |line: &str| line.replace("\\|", "").matches('|').count();
    let rows: Vec<&str> = markdown.lines().filter(|line| line.contains("a;b")).collect();
    assert!(!rows.is_empty() && rows.iter().all(|line| bars(line) == 8), "{markdown}");
}

/// Two databases of so many sites, all different from each other; a quarter of them differ.
fn many_sites(place: &Place, sites: i64) {
    for (name, shift) in [("many.db", 0), ("many-2.db", 7)] {
        let database = rusqlite::Connection::open(place.path(name)).unwrap();
        database.execute_batch(rheaper::database::schema::SCHEMA).unwrap();
        let sql = format!(
            "BEGIN;
             INSERT INTO meta VALUES ('duration_ns', 1000);
             INSERT INTO frames SELECT value, 'src/a.rs', value, 'own::module_' || (value / 100) || '::function_' || value,
                 'function_' || value, 'own', 'own', 0, NULL, NULL FROM generate_series_ ;
             INSERT INTO backtrace_frames
                 SELECT bt.value, depth.value, 1 + (bt.value * (1 + depth.value * depth.value) + depth.value) % {sites}
                 FROM generate_series_ AS bt, generate_series_ AS depth WHERE depth.value <= 8;
             INSERT INTO sites SELECT value, NULL, NULL, NULL, NULL, NULL, 'whole', 20, 10, 640, 5, 5,
                 320 + CASE WHEN value % 4 = 0 THEN (value * {shift}) % 1000 ELSE 0 END,
                 640, 5, 5, 5, 0, 0, 64, 64, NULL, NULL, NULL, NULL, NULL, NULL, 0, 9, NULL, 1, 0, 0, 0, 0, 0, 5,
                 320 + CASE WHEN value % 4 = 0 THEN (value * {shift}) % 1000 ELSE 0 END
                 FROM generate_series_;
             COMMIT"
        );
        let series = format!(
            "(WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < {sites}) SELECT value FROM n)"
        );
        database.execute_batch(&sql.replace("generate_series_", &series)).unwrap();
    }
}

#[test]
fn a_hundred_thousand_sites_are_compared_in_bounded_memory() {
    const SITES: i64 = 100_000;
    const MEMORY_MAX_KIB: i64 = 384 << 10;
    let place = Place::new(5);
    many_sites(&place, SITES);
    let script = format!(
        "ulimit -v {MEMORY_MAX_KIB}; exec {} diff many.db many-2.db --format folded",
        env!("CARGO_BIN_EXE_rheaper")
    );
    let ran = std::process::Command::new("sh")
        .args(["-c", &script])
        .current_dir(place.directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
    let changed = (1..=SITES).filter(|site| site % 4 == 0 && site * 7 % 1000 != 0).count();
    let lines = String::from_utf8(ran.stdout).unwrap().lines().count();
    assert_eq!(lines, changed);
}
