//! The recorder against the truth: what the inner allocator counted, what the system's unwinder
//! sees, what was there when the process was killed.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::programs::{
    self, DEBUG, OF_CLOCKS, RELEASE, Variant, build, lines, load, number, run, sqlite3,
};
use crate::support::tools;

const TESTING: Variant = Variant {
    name: "testing",
    arguments: &["--release"],
    rustflags: "--cfg rheaper_testing",
    folder: "release",
};
const TESTING_DEBUG: Variant = Variant { arguments: &[], folder: "debug", ..TESTING };
pub(crate) const TESTING_FRAME_POINTERS: Variant = Variant {
    name: "testing-fp",
    rustflags: "--cfg rheaper_testing -C force-frame-pointers=yes",
    ..TESTING
};
const ALLOCATORS: Variant = Variant {
    name: "allocators",
    arguments: &["--release", "--features", "allocators"],
    ..RELEASE
};
const PORTABLE: Variant =
    Variant { name: "portable", rustflags: "--cfg rheaper_portable_walk", ..RELEASE };

/// What Alpine's programs are built for; static unless they ask otherwise.
const MUSL_TARGET: &str = "x86_64-unknown-linux-musl";
const MUSL: Variant = Variant {
    name: "musl",
    arguments: &["--release", "--target", MUSL_TARGET],
    rustflags: "",
    folder: "x86_64-unknown-linux-musl/release",
};
const TESTING_MUSL: Variant =
    Variant { name: "testing-musl", rustflags: "--cfg rheaper_testing", ..MUSL };

/// Runs `truth` and compares the database with what the allocator inside counted, to the byte.
fn check_truth(variant: Variant, threads: &str, rounds: &str) {
    let directory = tempfile::tempdir().unwrap();
    let program = build("programs", "truth", variant);
    let said = lines(&run(&program, &[threads, rounds], directory.path()));
    let counted: Vec<f64> = said[1].split(' ').map(|count| count.parse().unwrap()).collect();
    let [allocations, bytes, frees, freed_bytes, largest, reallocs] = counted[..] else {
        panic!("{said:?}")
    };
    let database = load(Path::new(&said[0]));
    let ask = |sql: &str| number(&database, sql);
    let label = format!("{variant:?} {threads} threads");
    assert_eq!(ask("SELECT count(*) FROM allocations"), allocations, "{label}");
    assert_eq!(ask("SELECT sum(size) FROM allocations"), bytes, "{label}");
    assert_eq!(ask("SELECT max(size) FROM allocations"), largest, "{label}");
    let freed = "FROM allocations WHERE dealloc_after IS NOT NULL";
    assert_eq!(ask(&format!("SELECT count(*) {freed}")), frees, "{label}");
    assert_eq!(ask(&format!("SELECT sum(size) {freed}")), freed_bytes, "{label}");
    let live = "FROM allocations WHERE dealloc_after IS NULL";
    assert_eq!(ask(&format!("SELECT count(*) {live}")), allocations - frees, "{label}");
    assert_eq!(ask(&format!("SELECT coalesce(sum(size), 0) {live}")), bytes - freed_bytes);
    assert_eq!(ask("SELECT count(*) FROM reallocs"), reallocs, "{label}");
    let lost = sqlite3(&database, "SELECT name FROM losses WHERE count > 0");
    let lost: Vec<_> = lost.iter().filter(|name| !OF_CLOCKS.contains(&&***name)).collect();
    assert!(lost.is_empty(), "{label}: {lost:?}");
    assert_eq!(ask("SELECT count(*) FROM allocations WHERE dealloc_after < alloc_after"), 0.0);
    let ours = "SELECT count(*) FROM backtrace_frames JOIN frames ON frames.id = frame
                WHERE crate = 'backtrace' OR file LIKE '%/src/collector/%'";
    assert_eq!(ask(ours), 0.0, "{label}: the recorder's own frames are in backtraces");
    if threads != "1" {
        let crossed = ask("SELECT count(*) FROM allocations WHERE dealloc_thread <> alloc_thread");
        assert!(crossed > 0.0, "{label}: no block was freed by another thread");
        let named = ask("SELECT count(*) FROM threads WHERE name LIKE 'worker-%'");
        assert_eq!(named.to_string(), threads, "{label}");
    }
}

#[test]
fn counts_bytes_and_live_set_are_the_inner_allocators() {
    check_truth(RELEASE, "1", "20000");
    check_truth(RELEASE, "8", "20000");
    check_truth(DEBUG, "8", "2000");
}

#[test]
fn the_portable_walk_records_the_same() {
    check_truth(PORTABLE, "8", "2000");
}

/// Whether programs can be built for a target here; `false` is said, too.
fn has_target(target: &str) -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or("rustc".into());
    let said = Command::new(rustc).args(["--print", "target-libdir", "--target", target]).output();
    let folder = said.ok().and_then(|said| String::from_utf8(said.stdout).ok());
    let has = folder.is_some_and(|folder| Path::new(folder.trim()).is_dir());
    if !has {
        tools::skip(&format!("rustup target add {target}"));
    }
    has
}

#[test]
fn programs_on_musl_are_recorded_as_well() {
    if has_target(MUSL_TARGET) {
        check_truth(MUSL, "1", "2000");
        check_truth(MUSL, "8", "10000");
        assert!(check_walks(TESTING_MUSL, "64") >= 1_000_000);
    }
}

/// A C library with one function that calls back, built here.
fn library(directory: &Path) -> PathBuf {
    let source = directory.join("twice.c");
    std::fs::write(
        &source,
        "int twice(int (*f)(int), int x) { volatile int a = f(x); return f(a) + 1; }",
    )
    .unwrap();
    let library = directory.join("libtwice.so");
    let compiled = Command::new("cc")
        .args(["-O2", "-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status()
        .unwrap();
    assert!(compiled.success());
    library
}

/// Every walk of the program `walks` must be what the system's unwinder says; answers how many.
fn check_walks(variant: Variant, depth: &str) -> u64 {
    let directory = tempfile::tempdir().unwrap();
    let library = library(directory.path());
    let program = build("programs", "walks", variant);
    let arguments = [depth, library.to_str().unwrap()];
    let said = lines(&run(&program, &arguments, directory.path()));
    let mut compared = 0;
    for line in &said[1..] {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(words.len(), 3, "{variant:?} depth {depth}: {said:#?}");
        assert_eq!(words[2], "0", "{variant:?} depth {depth}: {said:#?}");
        compared = words[1].parse().unwrap();
    }
    assert_eq!(said.len(), 13, "one scene a line: {said:#?}");
    compared
}

#[test]
fn walks_are_the_system_unwinders_in_optimised_code() {
    assert!(check_walks(TESTING, "200") >= 1_000_000);
    assert!(check_walks(TESTING, "12") >= 1_000_000);
}

#[test]
fn walks_are_the_system_unwinders_with_frame_pointers() {
    assert!(check_walks(TESTING_FRAME_POINTERS, "512") >= 1_000_000);
}

#[test]
fn walks_are_the_system_unwinders_in_debug_code() {
    assert!(check_walks(TESTING_DEBUG, "64") >= 1_000_000);
}

/// Everything but what names the run: its id, its process, its wall clock, what it cost.
fn dump(database: &Path) -> Vec<String> {
    let copy = database.with_extension("copy");
    std::fs::copy(database, &copy).unwrap();
    sqlite3(
        &copy,
        "DELETE FROM meta WHERE key LIKE 'recording%' OR key LIKE '%unix%' OR key LIKE 'pid%'
             OR key LIKE 'walk%' OR key LIKE '%monotonic%' OR key LIKE 'recorder%'
             OR key LIKE '%bytes_written%' OR key LIKE 'loaded%' OR key LIKE 'flush%'
             OR key LIKE 'path%' OR key LIKE 'source%' OR key LIKE 'waited%'
             OR key LIKE '%ticks%' OR key LIKE 'duration%' OR key LIKE 'file%'
             OR key LIKE 'rss%' OR key LIKE 'cgroup%';
         DELETE FROM memory_readings; DELETE FROM sqlite_stat1 WHERE tbl = 'samples';
         UPDATE threads SET os_id = 0; UPDATE modules SET loaded_ns = 0;",
    );
    sqlite3(&copy, ".dump")
}

#[test]
fn a_walk_without_reuse_gives_the_same_database() {
    let program = build("programs", "same", TESTING);
    let databases = ["verified", "naive"].map(|way| {
        let directory = tempfile::tempdir().unwrap();
        // Without address randomisation two runs of one program have the same addresses.
        let arguments = ["-R", program.to_str().unwrap(), way];
        let said = lines(&run(Path::new("/usr/bin/setarch"), &arguments, directory.path()));
        let recording = Path::new(&said[0]);
        let database = load(recording);
        let counters = String::from_utf8(
            programs::rheaper(&["info", recording.to_str().unwrap()], directory.path()).stdout,
        );
        (dump(&database), counters.unwrap(), directory)
    });
    let [(verified, _, _kept), (naive, _, _kept_too)] = &databases;
    let first = verified.iter().zip(naive).find(|(a, b)| a != b);
    assert_eq!((verified.len(), first), (naive.len(), None));
    assert!(verified.len() > 20_000, "{} lines", verified.len());
}

#[test]
fn other_allocators_are_recorded_as_well() {
    let program = build("programs", "inner", ALLOCATORS);
    for environment in [&[][..], &[("WITH_JEMALLOC", "1")][..]] {
        let directory = tempfile::tempdir().unwrap();
        let said = lines(&programs::run_with(&program, &[], directory.path(), environment));
        let database = load(Path::new(&said[0]));
        let boxes = number(&database, "SELECT count(*) FROM allocations WHERE size = 100");
        assert_eq!(boxes, 5_000.0 + 4.0 * 2_000.0, "{environment:?}");
        let live = "SELECT count(*) FROM allocations WHERE size = 100 AND dealloc_after IS NULL";
        assert_eq!(number(&database, live), 5_000.0, "{environment:?}");
    }
}

#[test]
fn what_was_flushed_survives_a_kill() {
    let program = build("programs", "endless", RELEASE);
    for wanted_bytes in [1_u64, 200_000, 3_000_000] {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new(&program)
            .env("RECORD_INTO", directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let recording = PathBuf::from(first.trim());
        while std::fs::metadata(&recording).unwrap().len() < wanted_bytes + 128 {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let database = load(&recording);
        let events = number(&database, "SELECT count(*) FROM allocations");
        // Three to six bytes an event, two events a round; the first blocks hold none.
        assert!(events + 1.0 > wanted_bytes as f64 / 20.0, "{events} of {wanted_bytes} bytes");
        let dangling =
            "SELECT count(*) FROM allocations WHERE bt NOT IN (SELECT id FROM backtraces)";
        assert_eq!(number(&database, dangling), 0.0);
        let kept = "SELECT count(*) FROM allocations WHERE dealloc_after IS NULL";
        if events > 1_000.0 {
            assert!((number(&database, kept) / events - 0.1).abs() < 0.01, "a tenth is kept");
        }
    }
}

/// Plays a scene of `lives` and answers what it printed.
fn scene(name: &str, directory: &Path) -> Vec<String> {
    lines(&run(&build("programs", "lives", RELEASE), &[name], directory))
}

/// Blocks of the size that the scenes make.
fn marked(database: &Path) -> f64 {
    number(database, "SELECT count(*) FROM allocations WHERE size = 777")
}

#[test]
fn a_thread_that_lives_through_two_recordings_is_in_both() {
    let directory = tempfile::tempdir().unwrap();
    let said = scene("toggle", directory.path());
    for (recording, expected) in said.iter().zip([100.0, 10.0]) {
        let database = load(Path::new(recording));
        assert_eq!(marked(&database), expected, "{said:?}");
        let thread = "SELECT count(DISTINCT alloc_thread) FROM allocations WHERE size = 777 AND alloc_thread <> 0";
        assert_eq!(number(&database, thread), 1.0);
    }
}

#[test]
fn a_program_that_just_ends_has_its_recording_whole() {
    let directory = tempfile::tempdir().unwrap();
    let said = scene("exit", directory.path());
    assert_eq!(marked(&load(Path::new(&said[0]))), 1_234.0);
}

#[test]
fn a_large_zeroed_block_stays_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let said = scene("zeroed", directory.path());
    let (grown_kib, sum) = said[1].split_once(' ').unwrap();
    assert!(grown_kib.parse::<u64>().unwrap() < 16 << 10, "{grown_kib} KiB became resident");
    assert_eq!(sum, "0");
}

#[test]
fn forked_children_are_not_in_the_recording() {
    let directory = tempfile::tempdir().unwrap();
    let said = scene("fork", directory.path());
    assert_eq!(marked(&load(Path::new(&said[0]))), 500.0);
}

#[test]
fn enabling_twice_is_an_error_and_disabling_twice_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let said = scene("twice", directory.path());
    assert_eq!(said[1], "tracking already enabled");
    load(Path::new(&said[0]));
}

#[test]
fn threads_without_a_tracker_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let said = scene("few", directory.path());
    let database = load(Path::new(&said[0]));
    // The main thread has one tracker, one of four others the second.
    assert_eq!(marked(&database), 100.0);
    let lost = number(&database, "SELECT count FROM losses WHERE name = 'dropped_no_tracker'");
    assert!(lost >= 600.0, "three threads' 200 events each: {lost}");
}

#[test]
fn without_probes_every_event_is_there_and_has_no_backtrace() {
    let directory = tempfile::tempdir().unwrap();
    let said = scene("none", directory.path());
    let database = load(Path::new(&said[0]));
    assert_eq!(marked(&database), 400.0);
    assert_eq!(number(&database, "SELECT count(*) FROM allocations WHERE bt IS NOT NULL"), 0.0);
}

#[test]
fn the_file_is_private_and_another_one_is_never_touched() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    // Names of the coming minutes are taken: by files, and by a link to one.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let target = directory.path().join("target");
    std::fs::write(&target, "not yours").unwrap();
    for second in now..now + 900 {
        std::os::unix::fs::symlink(&target, directory.path().join(format!("rip-{second}")))
            .unwrap();
    }
    let said = scene("exit", directory.path());
    assert!(said[0].ends_with("-2"), "{said:?}");
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "not yours");
    let mode = std::fs::metadata(&said[0]).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
