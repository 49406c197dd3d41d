//! heaptrack's recordings, compared with what heaptrack's own printer says of them.
//!
//! The oracle is `heaptrack_print`: for each stack its allocations, bytes at the peak of all and
//! bytes never freed, as it writes them for flamegraphs. The names of that output are made here
//! from the database by its rules.

use crate::support::tools;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rheaper::loader::{LoadOptions, import};
use rusqlite::Connection;

/// Where heaptrack's printer ends a stack.
const OUTERMOST: [&str; 3] =
    ["main", "__libc_start_main", "__static_initialization_and_destruction_0"];

/// Stacks with allocations, bytes at the peak and bytes never freed.
type Totals = BTreeMap<String, [i64; 3]>;

fn tool(name: &str, args: &[&str], directory: &Path) -> String {
    let output = Command::new(name).args(args).current_dir(directory).output();
    let output = output.unwrap_or_else(|error| panic!("{name} (apt install heaptrack): {error}"));
    assert!(output.status.success(), "{name} {args:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a program under heaptrack; gives the recording.
fn record(directory: &Path, options: &[&str], program: &[&str]) -> PathBuf {
    let args: Vec<&str> =
        options.iter().chain(&["-o", "recorded"]).chain(program).copied().collect();
    tool("heaptrack", &args, directory);
    let mut files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.to_string_lossy().contains("/recorded.")).unwrap()
}

/// What heaptrack says.
fn printed(recording: &Path) -> Totals {
    let mut totals = Totals::new();
    let directory = recording.parent().unwrap();
    for (column, cost) in ["allocations", "peak", "leaked"].into_iter().enumerate() {
        let file = recording.to_str().unwrap();
        let args = [
            "-f",
            file,
            "-F",
            "stacks.txt",
            "--flamegraph-cost-type",
            cost,
            "--disable-builtin-suppressions",
            "--disable-embedded-suppressions",
            "-t",
            "0",
        ];
        tool("heaptrack_print", &args, directory);
        for line in fs::read_to_string(directory.join("stacks.txt")).unwrap().lines() {
            let (stack, number) = line.rsplit_once(' ').unwrap();
            let number: i64 = number.parse().unwrap();
            totals.entry(stack.to_owned()).or_default()[column] += number;
        }
    }
    totals
}

/// The same from a database.
fn loaded(database: &Connection) -> Totals {
    let mut sites = database
        .prepare("SELECT bt, allocations, at_peak_bytes, live_bytes FROM sites ORDER BY bt")
        .unwrap();
    let rows = sites
        .query_map([], |row| Ok((row.get(0)?, [row.get(1)?, row.get(2)?, row.get(3)?])))
        .unwrap();
    let mut totals = Totals::new();
    for row in rows {
        let (bt, numbers): (i64, [i64; 3]) = row.unwrap();
        let sums = totals.entry(stack(database, bt)).or_default();
        for (sum, number) in sums.iter_mut().zip(numbers) {
            *sum += number;
        }
    }
    totals
}

/// A backtrace as the printer writes it: the outermost call first, but what is inlined into a call
/// from the innermost outwards; files only where there is one.
fn stack(database: &Connection, bt: i64) -> String {
    let mut frames = database
        .prepare(
            "SELECT sym, file, inlined, kind FROM backtrace_frames
             JOIN frames ON frames.id = frame WHERE bt = ?1 ORDER BY frame_no",
        )
        .unwrap();
    let rows = frames
        .query_map([bt], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .unwrap();
    let mut calls: Vec<String> = Vec::new();
    let mut is_new_call = true;
    let mut is_outermost = false;
    for row in rows {
        let (sym, file, inlined, kind): (String, Option<String>, bool, String) = row.unwrap();
        if is_new_call && is_outermost {
            break;
        }
        is_outermost |= is_new_call && OUTERMOST.contains(&sym.as_str());
        let name = if kind == "unknown" { sym.rsplit('@').next().unwrap() } else { &sym };
        let file = file.map(|file| format!(" ({})", file.rsplit('/').next().unwrap()));
        let shown = format!("{name}{};", file.unwrap_or_default());
        if is_new_call {
            calls.push(shown);
        } else {
            calls.last_mut().unwrap().push_str(&shown);
        }
        is_new_call = !inlined;
    }
    calls.reverse();
    calls.concat()
}

fn check(program: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let recording = record(directory.path(), &[], program);
    let output = directory.path().join("heap.db");
    let summary = import(&recording, &output, &LoadOptions::default(), &mut ()).unwrap();
    let expected = printed(&recording);
    let found = loaded(&Connection::open(&output).unwrap());
    for (stack, numbers) in &expected {
        assert_eq!(found.get(stack), Some(numbers), "{stack}");
    }
    assert_eq!(found.len(), expected.len());
    assert!(expected.len() > 20, "{} stacks are not much of a program", expected.len());
    let sum = |column: usize| expected.values().map(|numbers| numbers[column]).sum::<i64>();
    let totals = [summary.allocations, summary.peak_bytes, summary.live_bytes];
    assert_eq!(totals.map(|total| total as i64), [sum(0), sum(1), sum(2)]);
    println!("{}: {} stacks, {totals:?}", program[0], expected.len());
}

#[test]
fn sqlite3_has_the_totals_that_heaptrack_prints() {
    if !tools::has(&["heaptrack", "heaptrack_print", "sqlite3"]) {
        return;
    }
    let sql = "CREATE TABLE t (a);
        WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 3000)
            INSERT INTO t SELECT hex(randomblob(20)) FROM c;
        SELECT count(*), a FROM t GROUP BY substr(a, 1, 2) ORDER BY a;";
    check(&["sqlite3", ":memory:", sql]);
}

#[test]
fn perl_has_the_totals_that_heaptrack_prints() {
    if !tools::has(&["heaptrack", "heaptrack_print", "perl"]) {
        return;
    }
    let script = "my %h; push @{$h{$_ % 97}}, 'x' x $_ for 1..3000; delete $h{$_} for 1..50;";
    check(&["perl", "-e", script]);
}

#[test]
fn grep_has_the_totals_that_heaptrack_prints() {
    if !tools::has(&["heaptrack", "heaptrack_print"]) {
        return;
    }
    check(&["grep", "-cE", "(a|b)+c", concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")]);
}

/// A raw recording and what heaptrack interprets of it have the same sums; the raw one has
/// addresses too, and names by rheaper's own lookup.
#[test]
fn a_raw_recording_has_the_same_totals() {
    if !tools::has(&["heaptrack", "zstd"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let program = ["grep", "-c", "a", concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")];
    let raw = record(directory.path(), &["--raw"], &program);
    let interpreted = directory.path().join("interpreted");
    let pipe = format!(
        "set -e; zstd -dc '{0}' > raw || gzip -dc '{0}' > raw
         interpret=$(ls /usr/lib/heaptrack/libexec/heaptrack_interpret \
             /usr/lib/*/heaptrack/libexec/heaptrack_interpret 2> /dev/null | head -n 1)
         \"$interpret\" < raw > interpreted",
        raw.display()
    );
    tool("sh", &["-c", &pipe], directory.path());
    let mut sums = Vec::new();
    for (file, database) in [(&raw, "raw.db"), (&interpreted, "interpreted.db")] {
        let output = directory.path().join(database);
        import(file, &output, &LoadOptions::default(), &mut ()).unwrap();
        let connection = Connection::open(&output).unwrap();
        let sql = "SELECT group_concat(line, ' ') FROM (
                SELECT allocations || ':' || bytes || ':' || at_peak_bytes || ':' || live_bytes AS line
                FROM sites ORDER BY bt)";
        sums.push(connection.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap());
        let addresses: i64 = connection
            .query_row("SELECT count(addr) FROM allocations", [], |row| row.get(0))
            .unwrap();
        assert_eq!(addresses > 0, file == &raw, "{addresses}");
        let named = "SELECT count(*) FROM frames WHERE function LIKE '%main%'";
        let named: i64 = connection.query_row(named, [], |row| row.get(0)).unwrap();
        assert!(named > 0, "{database}");
    }
    assert_eq!(sums[0], sums[1]);
}
