//! Aggregation against the recording of the same run without it: everything but the rows is equal, and
//! the rows that are there are those of blocks that lived long enough.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::support::programs::{
    RELEASE, Variant, build, lines, load, number, run, run_with, scaled, sqlite3,
};

const TESTING: Variant = Variant {
    name: "testing",
    arguments: &["--release"],
    rustflags: "--cfg rheaper_testing",
    folder: "release",
};

/// A site by the text of its stack; sites of equal text are told apart by all their numbers.
const SITES: &str = "SELECT (SELECT group_concat(sym || ':' || ifnull(line, ''), ' < ')
            FROM (SELECT * FROM backtraces WHERE id = sites.bt ORDER BY frame_no)),
        allocations, bytes, frees, live_blocks, live_bytes, temporary, temporary_bytes,
        size_min, size_max, lifetime_min_ns, lifetime_avg_ns, lifetime_p50_ns, lifetime_p90_ns,
        lifetime_p99_ns, lifetime_max_ns, first_ns, last_ns, last_free_ns, threads,
        cross_thread_frees, reallocs, reallocs_moved
    FROM sites";

/// Everything else that must not depend on aggregation.
const TOTALS: [&str; 8] = [
    "SELECT up_to_bytes, sum(allocations), sum(bytes), sum(live_blocks), sum(live_bytes)
        FROM site_sizes GROUP BY up_to_bytes",
    "SELECT * FROM sizes",
    "SELECT id, first_ns, last_ns, allocations, bytes, frees, live_blocks, live_bytes
        FROM threads",
    "SELECT * FROM thread_pairs",
    "SELECT zeroed, align, sum(allocations), sum(bytes) FROM unusual_layouts GROUP BY 1, 2",
    "SELECT key, value FROM meta WHERE key IN ('allocations', 'bytes', 'frees', 'live_blocks',
        'live_bytes', 'sites', 'duration_ns', 'threads')",
    "SELECT sum(allocations), sum(allocated_bytes), sum(frees), sum(freed_bytes) FROM timeline",
    "SELECT sum(allocations), sum(allocated_bytes), sum(frees), sum(freed_bytes)
        FROM site_timeline",
];

pub(crate) fn record(aggregate_us: u64, threads: u64, rounds: u64, seed: u64) -> (PathBuf, u64) {
    let program = build("programs", "aggregates", TESTING);
    let directory = tempfile::tempdir().unwrap().keep();
    let arguments = [aggregate_us, threads, rounds, seed].map(|number| number.to_string());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let recording = PathBuf::from(&lines(&run(&program, &arguments, &directory))[0]);
    let bytes = std::fs::metadata(&recording).unwrap().len();
    (load(&recording), bytes)
}

fn sites(database: &Path) -> Vec<String> {
    let mut sites = sqlite3(database, SITES);
    sites.sort();
    sites
}

pub(crate) fn remove(database: &Path) {
    std::fs::remove_dir_all(database.parent().unwrap()).unwrap();
}

/// What rows there are of blocks that lived at least so long, or are alive.
fn rows(database: &Path, aggregate_us: u64) -> BTreeSet<String> {
    let columns = "alloc_after, dealloc_after, size, alloc_thread, dealloc_thread";
    sqlite3(
        database,
        &format!(
            "SELECT {columns} FROM allocations
             WHERE dealloc_after IS NULL OR dealloc_after - alloc_after >= {}",
            aggregate_us * 1_000
        ),
    )
    .into_iter()
    .collect()
}

fn check_equal(threads: u64, rounds: u64, seed: u64) {
    let (plain, plain_bytes) = record(0, threads, rounds, seed);
    let expected = sites(&plain);
    // More where the compiler copies a call.
    assert!(expected.len() >= 8, "{expected:#?}");
    for aggregate_us in [1, 100, 20_000, 10_000_000] {
        let label = format!("{threads} threads, seed {seed}, aggregated below {aggregate_us} us");
        let (aggregated, bytes) = record(aggregate_us, threads, rounds, seed);
        let lost = sqlite3(&aggregated, "SELECT name, count FROM losses WHERE count > 0");
        assert!(lost.is_empty(), "{label}: {lost:?}");
        let found = sites(&aggregated);
        let first = expected.iter().zip(&found).find(|(a, b)| a != b);
        assert_eq!((expected.len(), first), (found.len(), None), "{label}");
        for sql in TOTALS {
            assert_eq!(sqlite3(&plain, sql), sqlite3(&aggregated, sql), "{label}: {sql}");
        }
        let kept = rows(&plain, aggregate_us);
        assert_eq!(kept, rows(&aggregated, aggregate_us), "{label}");
        let count = number(&aggregated, "SELECT count(*) FROM allocations");
        assert_eq!(
            count,
            number(&aggregated, "SELECT value FROM meta WHERE key = 'rows'"),
            "{label}"
        );
        let all = number(&aggregated, "SELECT value FROM meta WHERE key = 'allocations'");
        let gone = number(&aggregated, "SELECT value FROM meta WHERE key = 'aggregated_blocks'");
        assert_eq!(count + gone, all, "{label}");
        // The last flush may find blocks that live on its clock, which stands still, too long.
        assert!(count as usize >= kept.len() && gone > 0.0, "{label}: {gone} aggregated");
        if aggregate_us >= 20_000 {
            assert!(bytes < plain_bytes, "{label}: {bytes} bytes of {plain_bytes}");
            let missing = count - kept.len() as f64;
            assert_eq!(missing, 0.0, "{label}: rows that should have been aggregated");
        }
        remove(&aggregated);
    }
    remove(&plain);
}

#[test]
fn aggregated_sums_are_those_of_the_unfolded_run() {
    check_equal(1, 400, 1);
    check_equal(4, 150, 2);
    check_equal(9, 60, 3);
}

#[test]
fn aggregation_a_busy_program_loses_nothing() {
    let program = build("programs", "truth", RELEASE);
    for aggregate_us in ["50", "5000", "100000000"] {
        let directory = tempfile::tempdir().unwrap();
        let environment = [("AGGREGATE_US", aggregate_us)];
        let said = lines(&run_with(&program, &["8", "20000"], directory.path(), &environment));
        let counted: Vec<f64> = said[1].split(' ').map(|count| count.parse().unwrap()).collect();
        let database = load(Path::new(&said[0]));
        // On a busy machine a thread may stand for long between an event's stamp and its commit;
        // such an event is written in the place that is left.
        let lost = sqlite3(
            &database,
            "SELECT name, count FROM losses WHERE count > 0
                AND name NOT IN ('clock_steps_back', 'late_events', 'reordered_pairs')",
        );
        assert!(lost.is_empty(), "{aggregate_us}: {lost:?}");
        for (sql, expected) in [
            ("SELECT sum(allocations) FROM sites", counted[0]),
            ("SELECT sum(bytes) FROM sites", counted[1]),
            ("SELECT sum(frees) FROM sites", counted[2]),
            ("SELECT sum(bytes - live_bytes) FROM sites", counted[3]),
            ("SELECT max(size_max) FROM sites", counted[4]),
            ("SELECT sum(reallocs) FROM sites", counted[5]),
            ("SELECT sum(allocations) FROM threads", counted[0]),
            ("SELECT sum(frees) FROM threads", counted[2]),
            ("SELECT sum(blocks) FROM thread_pairs", counted[2]),
            ("SELECT sum(allocations) FROM sizes", counted[0]),
            ("SELECT sum(bytes) FROM sizes", counted[1]),
            ("SELECT sum(allocated_bytes) FROM site_timeline", counted[1]),
        ] {
            assert_eq!(number(&database, sql), expected, "{aggregate_us}: {sql}");
        }
        let rows = number(&database, "SELECT count(*) FROM allocations");
        assert!(rows < counted[0], "{aggregate_us}: nothing was aggregated");
        // A pair at each waking would be most of a recording of little else.
        let info = rheaper::loader::info(Path::new(&said[0])).unwrap();
        let pairs = info.blocks.iter().find(|count| count.kind == "clock pairs").unwrap().blocks;
        let most = info.duration_ns / 25_000_000 + 3;
        assert!(pairs <= most, "{aggregate_us}: {pairs} pairs in {} ns", info.duration_ns);
    }
}

/// A recording below `bytes` of a program that makes more than fits: each step of aggregation comes
/// when it is due, and the file is never a byte longer. Answers how it ended.
fn check_quota(bytes: u64, threads: u64, rounds: u64) -> String {
    let program = build("programs", "truth", RELEASE);
    let directory = tempfile::tempdir().unwrap();
    let label = format!("{bytes} bytes, {threads} threads, {rounds} rounds");
    let longest = || {
        let files = std::fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap());
        files.map(|file| file.metadata().unwrap().len()).max().unwrap_or(0)
    };
    let output = std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            let arguments = [threads, rounds].map(|number| number.to_string());
            let arguments = arguments.each_ref().map(String::as_str);
            let environment = [("QUOTA_BYTES", &*bytes.to_string())];
            run_with(&program, &arguments, directory.path(), &environment)
        });
        while !running.is_finished() {
            assert!(longest() <= bytes, "{label}: {} bytes", longest());
            std::thread::yield_now();
        }
        running.join().unwrap()
    });
    let length = longest();
    assert!(length <= bytes, "{label}: {length} bytes");
    let said = lines(&output);
    let made: f64 = said[1].split(' ').next().unwrap().parse().unwrap();
    let database = load(Path::new(&said[0]));
    let ending = sqlite3(&database, "SELECT value FROM meta WHERE key = 'ending'").remove(0);
    // Eighths of the quota at which what lives shorter than so many ns is aggregated.
    let steps = [(2, 10_000_000), (3, 100_000_000), (4, 1_000_000_000_u64)];
    let steps = steps.into_iter().chain([(5, 10_000_000_000), (6, 100_000_000_000)]);
    let sql =
        "SELECT aggregate_below_ns, written_bytes, reason FROM aggregation_steps ORDER BY at_ns, 1";
    let told = sqlite3(&database, sql);
    let mut before = 0;
    for line in &told {
        let fields: Vec<&str> = line.split('|').collect();
        let (limit, written): (u64, u64) = (fields[0].parse().unwrap(), fields[1].parse().unwrap());
        let due = steps.clone().find(|step| step.1 == limit).unwrap_or_else(|| panic!("{line}"));
        assert!(limit > before && fields[2] == "quota", "{label}: {told:?}");
        assert!((bytes / 8 * due.0..=bytes).contains(&written), "{label}: {told:?}");
        before = limit;
    }
    let sum = number(&database, "SELECT sum(allocations) FROM sites");
    let rows = number(&database, "SELECT count(*) FROM allocations");
    println!("{label}: {ending}, {length} bytes, {sum} of {made}, {rows} rows, {told:?}");
    assert!(rows <= sum && sum <= made, "{label}: {rows} rows, {sum} of {made}");
    // One pass may write what all trackers buffer, and so leave steps out; here not all of them.
    assert!(bytes < 4 << 20 || !told.is_empty(), "{label}: nothing was aggregated");
    match &*ending {
        "sealed" => {
            let dropped = "SELECT coalesce(sum(count), 0) FROM losses WHERE name LIKE 'dropped%'";
            assert!(sum + number(&database, dropped) >= made, "{label}");
        }
        "quota" => {}
        _ => panic!("{label}: {ending}"),
    }
    ending
}

#[test]
fn a_quota_is_never_exceeded_by_a_byte() {
    assert_eq!(check_quota(1 << 20, 2, 200), "sealed");
    for bytes in [1 << 20, (1 << 20) + 4_097, 2 << 20, 4 << 20] {
        check_quota(bytes, 8, scaled(20_000).min(200_000));
    }
}
