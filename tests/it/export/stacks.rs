//! What exports say, against sums by the stock way and decoders that are not ours.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;

use crate::cli::commands::Place;
use crate::support::tools;

/// The measures, and which rows of `allocations` each of them counts; `{to}` is the end that
/// "alive" means.
const MEASURES: [(&str, &str); 4] = [
    ("live", "alloc_after <= {to} AND (dealloc_after IS NULL OR dealloc_after > {to})"),
    ("leaked", "dealloc_after IS NULL"),
    ("allocated", "1"),
    (
        "peak",
        "alloc_after <= (SELECT value FROM meta WHERE key = 'peak_ns') AND (dealloc_after IS NULL \
         OR dealloc_after > (SELECT value FROM meta WHERE key = 'peak_ns'))",
    ),
];

/// Runs an export that has to succeed, into a file; answers the file.
pub(crate) fn export(place: &Place, name: &str, args: &[&str]) -> PathBuf {
    let file = place.path(name);
    let mut all = vec!["export", "heap.db", "--force", "-o", name];
    all.extend(args);
    let ran = place.run(&all);
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{args:?}: {}", ran.err);
    assert!(ran.err.starts_with(&format!("{name}: ")), "{args:?}: {}", ran.err);
    file
}

/// Weights by stack, of folded lines.
fn folded(text: &str) -> BTreeMap<String, i64> {
    let mut sums = BTreeMap::new();
    for line in text.lines() {
        let (stack, weight) = line.rsplit_once(' ').unwrap();
        *sums.entry(stack.to_owned()).or_insert(0) += weight.parse::<i64>().unwrap();
    }
    sums
}

/// The same, asked of `allocations` itself.
fn asked(database: &Path, unit: &str, condition: &str) -> BTreeMap<String, i64> {
    let database = Connection::open(database).unwrap();
    let sum = if unit == "bytes" { "sum(size)" } else { "count(*)" };
    let sql = format!(
        "SELECT coalesce((SELECT group_concat(sym, ';') FROM (SELECT sym FROM backtraces \
         WHERE id = bt ORDER BY frame_no DESC)), '[backtrace not recorded]'), {sum} \
         FROM allocations WHERE {condition} GROUP BY bt"
    );
    let mut statement = database.prepare(&sql).unwrap();
    let mut sums = BTreeMap::new();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    for (stack, weight) in rows.map(Result::<(String, i64), _>::unwrap) {
        *sums.entry(stack).or_insert(0) += weight;
    }
    sums
}

/// The same without innermost frames of the standard library and the runtime, unless a stack has no
/// others: pprof files begin at the program's own functions.
fn without_library(database: &Path, sums: BTreeMap<String, i64>) -> BTreeMap<String, i64> {
    let database = Connection::open(database).unwrap();
    let sql = "SELECT sym FROM frames WHERE kind IN ('std', 'runtime')";
    let mut statement = database.prepare(sql).unwrap();
    let library = statement.query_map([], |row| row.get(0)).unwrap();
    let library: Vec<String> = library.map(Result::unwrap).collect();
    let is_library = |name: &&str| library.iter().any(|sym| sym == name);
    let mut trimmed = BTreeMap::new();
    for (stack, weight) in sums {
        let names: Vec<&str> = stack.split(';').collect();
        let kept =
            names.iter().rposition(|name| !is_library(name)).map_or(names.len(), |at| at + 1);
        *trimmed.entry(names[..kept].join(";")).or_insert(0) += weight;
    }
    trimmed
}

#[test]
fn folded_lines_are_the_sums_of_allocations() {
    for seed in 0..4 {
        let place = Place::new(seed);
        let database = place.path("heap.db");
        for (measure, counts) in MEASURES {
            for unit in ["bytes", "blocks"] {
                for (window, to, condition) in [
                    (&[][..], i64::MAX - 1, "1"),
                    (&["--from", "100us"][..], i64::MAX - 1, "alloc_after >= 100000"),
                    (&["--to", "200us"][..], 200_000, "alloc_after <= 200000"),
                    (
                        &["--from", "50us", "--to", "300us"][..],
                        300_000,
                        "alloc_after BETWEEN 50000 AND 300000",
                    ),
                    (
                        &["--sql", "SELECT bt FROM sites WHERE bt <= 2 ;"][..],
                        i64::MAX - 1,
                        "bt <= 2",
                    ),
                    (
                        &["--sql", "SELECT bt FROM sites WHERE bt <= 2 -- two", "--to", "1ms"][..],
                        1_000_000,
                        "bt <= 2 AND alloc_after <= 1000000",
                    ),
                    (
                        &["--sql", "SELECT * FROM allocations WHERE size > 100"][..],
                        i64::MAX - 1,
                        "size > 100",
                    ),
                ] {
                    let mut args = vec!["export", "heap.db", "-f", "folded", "-m", measure];
                    args.extend((unit == "blocks").then_some("--blocks"));
                    args.extend(window);
                    let ran = place.run(&args);
                    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}");
                    let counts = counts.replace("{to}", &to.to_string());
                    let asked = asked(&database, unit, &format!("{condition} AND {counts}"));
                    assert_eq!(folded(&ran.out), asked, "seed {seed}, {args:?}");
                }
            }
        }
    }
}

#[test]
fn any_column_of_any_result_can_be_the_weight() {
    let place = Place::new(3);
    let sql =
        "SELECT bt, CASE bt % 2 WHEN 0 THEN bytes ELSE -1 END AS \"odd \"\"weight\" FROM sites";
    let ran =
        place.run(&["export", "heap.db", "-f", "folded", "--sql", sql, "--weight", "odd \"weight"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let database = Connection::open(place.path("heap.db")).unwrap();
    let sum = "SELECT sum(bytes) FILTER (WHERE bt % 2 = 0), count(*) FILTER (WHERE bt % 2 = 1) \
               FROM sites";
    let (sum, negative): (Option<i64>, i64) =
        database.query_row(sum, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(folded(&ran.out).values().sum::<i64>(), sum.unwrap_or(0));
    assert!(negative > 0, "the seed has to show one");
    let said = format!("left out: {negative} backtraces whose weight is negative\n");
    assert_eq!(ran.err, said);
}

#[test]
fn builtin_queries_scope_an_export() {
    let place = Place::new(3);
    let args = ["export", "heap.db", "-f", "folded", "--query", "never_freed", "-p", "limit=1"];
    let one = folded(&place.run(&args).out);
    let database = Connection::open(place.path("heap.db")).unwrap();
    let most: i64 =
        database.query_row("SELECT max(live_bytes) FROM sites", [], |row| row.get(0)).unwrap();
    assert_eq!(one.values().copied().collect::<Vec<_>>(), [most]);
}

#[test]
fn what_makes_no_sense_is_said_before_anything_is_written() {
    let place = Place::new(3);
    std::fs::write(place.path("mine.txt"), "mine").unwrap();
    std::os::unix::fs::symlink("mine.txt", place.path("link.txt")).unwrap();
    for (args, code, says) in [
        (vec!["--format", "jpeg"], 2, "invalid value 'jpeg'"),
        (vec!["-f", "folded", "--from", "2s", "--to", "1s"], 2, "--from is later than --to"),
        (vec!["-f", "folded", "--from", "soon"], 2, "--from: "),
        (
            vec!["-f", "folded", "--sql", "SELECT 1 AS x"],
            2,
            "a column `bt` is needed, there are: x",
        ),
        (vec!["-f", "folded", "--sql", "SELEC 1"], 1, "syntax error"),
        (vec!["-f", "folded", "--sql", "DELETE FROM meta"], 1, "only read"),
        (vec!["-f", "folded", "--query", "never_fred"], 2, "did you mean `never_freed`?"),
        (vec!["-f", "folded", "--weight", "bytes"], 2, "needs one"),
        (
            vec!["-f", "folded", "--sql", "SELECT bt FROM sites", "--weight", "x"],
            2,
            "no column `x`, only: bt",
        ),
        (
            vec!["-f", "folded", "--sql", "SELECT bt, stack FROM sites", "--weight", "stack"],
            2,
            "column `stack` has text",
        ),
        (vec!["-f", "svg", "--sql", "SELECT bt FROM sites WHERE 0"], 2, "nothing to draw"),
        (vec!["-f", "svg", "-o", "mine.txt"], 3, "mine.txt: not overwritten: it exists (--force"),
        (vec!["-f", "svg", "-o", "link.txt", "--force"], 3, "it is a symbolic link"),
        (vec!["-f", "svg", "-o", ".", "--force"], 3, "a directory"),
        (
            vec!["-f", "svg", "-o", "heap.db", "--force"],
            3,
            "heap.db: not overwritten: it is a data",
        ),
        (vec!["-f", "svg", "-o", "absent/x.svg"], 3, "absent/x.svg: can't be written"),
    ] {
        let mut all = vec!["export", "heap.db"];
        all.extend(&args);
        let ran = place.run(&all);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{args:?}: {}", ran.err);
        assert!(ran.err.contains(says), "{args:?}: {}", ran.err);
    }
    assert_eq!(std::fs::read_to_string(place.path("mine.txt")).unwrap(), "mine");
    let left: Vec<_> = std::fs::read_dir(place.directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("exporting"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    let forced = place.run(&["export", "heap.db", "-f", "folded", "-o", "mine.txt", "--force"]);
    assert_eq!(forced.code, 0, "{}", forced.err);
    assert_ne!(std::fs::read_to_string(place.path("mine.txt")).unwrap(), "mine");
}

#[test]
fn the_same_database_gives_the_same_bytes() {
    let place = Place::new(3);
    for format in ["folded", "svg", "pprof"] {
        let once = std::fs::read(export(&place, "once", &["-f", format])).unwrap();
        let twice = std::fs::read(export(&place, "twice", &["-f", format])).unwrap();
        assert!(!once.is_empty() && once == twice, "{format}");
    }
}

/// A tool's answer; a test without the tool has to say so, not to pass.
pub(crate) fn tool(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| {
        panic!("these tests run {command:?}, see .ci/run for what to install: {error}")
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// `go tool pprof -raw`: the sums of its columns, by name.
fn pprof_raw(file: &Path) -> (BTreeMap<String, i64>, String) {
    let raw = tool(Command::new("go").args(["tool", "pprof", "-raw"]).arg(file));
    let mut lines = raw.lines().skip_while(|line| *line != "Samples:").skip(1);
    let names: Vec<String> = lines
        .next()
        .unwrap()
        .split_whitespace()
        .map(|name| name.split('/').next().unwrap().to_owned())
        .collect();
    let mut sums = vec![0; names.len()];
    for line in lines.take_while(|line| *line != "Locations") {
        let numbers = line.split(':').next().unwrap().split_whitespace();
        numbers.zip(&mut sums).for_each(|(number, sum)| *sum += number.parse::<i64>().unwrap());
    }
    (names.into_iter().zip(sums).collect(), raw)
}

#[test]
fn pprof_reads_what_was_written() {
    if !tools::has(&["go"]) {
        return;
    }
    for seed in 0..4 {
        let place = Place::new(seed);
        let file = export(&place, "heap.pb.gz", &["-f", "pprof"]);
        let (sums, raw) = pprof_raw(&file);
        let database = place.path("heap.db");
        for (name, measure) in [("alloc", 2), ("inuse", 0), ("peak", 3)] {
            let condition = MEASURES[measure].1.replace("{to}", "9e18");
            for (column, unit) in [("objects", "blocks"), ("space", "bytes")] {
                let asked: i64 = asked(&database, unit, &condition).values().sum();
                assert_eq!(sums[&format!("{name}_{column}")], asked, "{raw}");
            }
        }
        assert!(raw.contains("inuse_space/bytes[dflt]"), "{raw}");
        let args = ["-f", "pprof", "-m", "allocated", "--blocks"];
        let (_, raw) = pprof_raw(&export(&place, "other.pb.gz", &args));
        assert!(raw.contains("alloc_objects/count[dflt]"), "{raw}");
        let top = tool(Command::new("go").args(["tool", "pprof", "-top"]).arg(&file));
        assert!(top.contains("Type: inuse_space"), "{top}");
    }
}

/// Beside Go's reader, protobuf's own runtime with the published schema: the sums, and each stack.
#[test]
fn protobuf_reads_what_was_written() {
    for seed in 0..4 {
        let place = Place::new(seed);
        let file = export(&place, "heap.pb.gz", &["-f", "pprof"]);
        let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/profile.proto");
        let Some(read) = tools::python("read_pprof.py", &[&schema, &file]) else { return };
        let read: serde_json::Value = serde_json::from_str(&read).unwrap();
        let database = place.path("heap.db");
        assert_eq!(read["default"], "inuse_space");
        for (name, measure) in [("alloc", 2), ("inuse", 0), ("peak", 3)] {
            let condition = MEASURES[measure].1.replace("{to}", "9e18");
            for (column, unit) in [("objects/count", "blocks"), ("space/bytes", "bytes")] {
                let kind = format!("{name}_{column}");
                let asked = without_library(&database, asked(&database, unit, &condition));
                assert!(!asked.is_empty(), "seed {seed}, {kind}");
                assert_eq!(read["sums"][&kind], asked.values().sum::<i64>(), "seed {seed}, {kind}");
                assert_eq!(read["stacks"][&kind], serde_json::json!(asked), "seed {seed}, {kind}");
            }
        }
        assert_eq!(read["sums"].as_object().unwrap().len(), 6, "{read}");
    }
}

#[test]
fn a_flamegraph_names_what_is_wide_and_has_the_total() {
    let place = Place::new(3);
    let drawn = export(&place, "heap.svg", &["-f", "svg", "-m", "allocated"]);
    let drawn = std::fs::read_to_string(drawn).unwrap();
    let sums = asked(&place.path("heap.db"), "bytes", "1");
    let total: i64 = sums.values().sum();
    assert!(drawn.contains(&format!("total_samples=\"{total}\"")), "{drawn}");
    // Every frame is as wide as what goes through its place in the stack.
    let mut widths: BTreeMap<String, i64> = BTreeMap::new();
    for (stack, weight) in &sums {
        for end in stack.match_indices(';').map(|(at, _)| at).chain([stack.len()]) {
            *widths.entry(stack[..end].to_owned()).or_insert(0) += weight;
        }
    }
    let mut wanted: Vec<(String, i64)> = widths
        .into_iter()
        .map(|(path, width)| (path.rsplit(';').next().unwrap().to_owned(), width))
        .filter(|(_, width)| *width as f64 >= total as f64 * 0.000_25)
        .collect();
    wanted.push(("all".to_owned(), total));
    wanted.sort();
    let mut found: Vec<(String, i64)> = drawn
        .split("<title>")
        .skip(1)
        .map(|rest| {
            let title = rest.split("</title>").next().unwrap();
            let (name, counted) = title.rsplit_once(" (").unwrap();
            let bytes = counted.split(' ').next().unwrap().replace(',', "");
            let name = name.replace("&lt;", "<").replace("&gt;", ">");
            (name, bytes.parse().unwrap())
        })
        .collect();
    found.retain(|(name, _)| name != "[too narrow to be drawn]");
    found.sort();
    assert_eq!(found, wanted);
}
