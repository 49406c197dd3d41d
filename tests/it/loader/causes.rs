//! Causes: which sites are one suspect, by what it is named, and what is printed of it.

use rusqlite::Connection;

use crate::synthetic::scripted::Scripted;

const REGISTRY: &str = "/home/u/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f";

const ALLOC: &str = "alloc::alloc::alloc @ /rustc/abcdef0/library/alloc/src/alloc.rs:1";
const MAIN: &str = "app::main @ src/main.rs:3";

/// Runs for 10 s, and calls back every 10 ms.
fn run(mut step: impl FnMut(&mut Scripted, u64)) -> (tempfile::TempDir, Connection) {
    let mut recording = Scripted::new();
    for tick in 0..1000 {
        step(&mut recording, tick);
        recording.wait(10);
    }
    recording.load(None)
}

/// Function, label and number of sites of each suspect that holds something.
fn suspects(database: &Connection) -> Vec<(String, String, i64)> {
    let sql = "SELECT function, label, sites FROM suspects JOIN frames ON frames.id = frame
               WHERE live_bytes > 0 ORDER BY suspects.id";
    let mut query = database.prepare(sql).unwrap();
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

fn expect(database: &Connection, expected: &[(&str, &str, i64)]) {
    let found = suspects(database);
    let found: Vec<_> =
        found.iter().map(|(name, label, sites)| (name.as_str(), label.as_str(), *sites)).collect();
    assert_eq!(found, expected);
}

/// What is printed of each suspect.
fn printed(database: &Connection) -> Vec<String> {
    let sql = "SELECT group_concat(function || ' ' || ifnull(file || ':' || line, ''), char(10)) FROM (
                   SELECT suspect, function, file, line FROM suspect_frames
                   JOIN suspects ON suspects.id = suspect
                   JOIN backtrace_frames USING (bt, frame_no) JOIN frames ON frames.id = backtrace_frames.frame
                   ORDER BY suspect, frame_no)
               GROUP BY suspect ORDER BY suspect";
    let mut query = database.prepare(sql).unwrap();
    let rows = query.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

fn expect_different(database: &Connection) {
    let mut printed = printed(database);
    let count = printed.len();
    printed.sort();
    printed.dedup();
    assert_eq!(printed.len(), count, "{printed:#?}");
}

fn library(krate: &str, function: &str, line: u32) -> String {
    format!("{krate}::{function} @ {REGISTRY}/{krate}-1.0.0/src/lib.rs:{line}")
}

#[test]
fn a_leak_behind_many_paths_of_a_library_is_one_suspect_of_the_program() {
    let insides: Vec<String> = (0..7).map(|at| library("regex_automata", "fill", at)).collect();
    let build = library("aho_corasick", "Builder::build", 9);
    let (_directory, database) = run(|recording, _| {
        for inside in &insides {
            let own = "app::init_corasick @ src/syntax.rs:103";
            recording.make(&[ALLOC, inside, &build, own, MAIN], 100);
        }
    });
    expect(&database, &[("app::init_corasick", "steady leak", 7)]);
    let sentence: String =
        database.query_row("SELECT sentence FROM suspects", [], |row| row.get(0)).unwrap();
    let wanted = "from `app::init_corasick` (syntax.rs:103) through `aho_corasick::Builder::build`";
    assert!(sentence.contains(wanted), "{sentence}");
}

#[test]
fn recursion_of_any_depth_is_one_suspect() {
    let parse = "app::parse_expr @ src/parse.rs:7";
    let unary = "app::parse_unary @ src/parse.rs:20";
    let (_directory, database) = run(|recording, tick| {
        let mut stack = vec![ALLOC, parse];
        for _ in 0..tick % 12 {
            stack.extend([unary, parse]);
        }
        stack.push(MAIN);
        recording.make(&stack, 64);
    });
    expect(&database, &[("app::parse_expr", "steady leak", 12)]);
}

#[test]
fn lines_of_one_function_are_one_suspect_if_they_grow_alike() {
    let (_directory, database) = run(|recording, tick| {
        for line in [184, 185, 206] {
            let own = format!("app::Db::set @ src/db.rs:{line}");
            recording.make(&[ALLOC, &own, MAIN], 50);
        }
        // Something else of the same function, that is full soon.
        let cache = "app::Db::set @ src/db.rs:300";
        if tick < 300 {
            recording.make(&[ALLOC, cache, MAIN], 70);
        }
    });
    expect(&database, &[("Db::set", "steady leak", 3), ("Db::set", "bounded", 1)]);
    expect_different(&database);
}

#[test]
fn what_a_caller_leaks_together_is_named_by_the_caller() {
    let (_directory, database) = run(|recording, tick| {
        let open = |line: u32| format!("app::open_session @ src/session.rs:{line}");
        recording.make(&[ALLOC, "app::read_name @ src/name.rs:5", &open(10), MAIN], 40);
        recording.make(&[ALLOC, "app::read_rights @ src/rights.rs:5", &open(11), MAIN], 80);
        // Called from the same place, but not each time.
        if tick % 3 == 0 {
            recording.make(&[ALLOC, "app::log @ src/log.rs:5", &open(12), MAIN], 10);
        }
    });
    expect(&database, &[("app::open_session", "steady leak", 2), ("app::log", "steady leak", 1)]);
}

#[test]
fn without_own_frames_a_dependency_names_it_and_never_the_allocator() {
    let finalize = library("crossbeam_epoch", "Local::finalize", 3);
    let boxed = "alloc::boxed::Box::new @ /rustc/abcdef0/library/alloc/src/boxed.rs:1";
    let stdout = "std::io::stdio::stdout @ /rustc/abcdef0/library/std/src/io/stdio.rs:1";
    let thread = "std::thread::local::run_dtors @ /rustc/abcdef0/library/std/src/thread/local.rs:1";
    let clone = "start_thread in /lib/x86_64-linux-gnu/libc.so.6";
    let (_directory, database) = run(|recording, _| {
        recording.make(&[ALLOC, boxed, &finalize, thread, clone], 90);
        recording.make(&[ALLOC, boxed, stdout, clone], 40);
    });
    expect(
        &database,
        &[("Local::finalize", "steady leak", 1), ("stdio::stdout", "steady leak", 1)],
    );
}

#[test]
fn suspects_print_down_to_where_they_differ() {
    let fills: Vec<String> =
        ["read", "write", "grow", "sync"].map(|name| library("redb", name, 1)).to_vec();
    let (_directory, database) = run(|recording, tick| {
        // The same own frames, and four courses.
        for (at, fill) in fills.iter().enumerate() {
            let course = [tick % 2 == 0, tick < 20, tick < 500, (400..600).contains(&tick)];
            if course[at] {
                let own = "app::store @ src/store.rs:8";
                recording.make(&[ALLOC, fill, own, MAIN], 30 + at as u64);
            }
        }
    });
    // Growing alike is one; what is full soon is another.
    expect(&database, &[("app::store", "steady leak", 2), ("app::store", "bounded", 2)]);
    expect_different(&database);
}

#[test]
fn functions_sum_the_sites_that_they_name() {
    let (_directory, database) = run(|recording, tick| {
        let line = 5 + tick % 3;
        let own = format!("app::load @ src/load.rs:{line}");
        recording.make(&[ALLOC, &own, MAIN], 10);
        recording.make(&[ALLOC, MAIN], 1);
        recording.free(&[ALLOC, MAIN], 1);
    });
    let sql = "SELECT function, functions.sites, functions.allocations, functions.live_bytes FROM functions
               JOIN frames ON frames.id = functions.frame ORDER BY functions.live_bytes DESC";
    let mut query = database.prepare(sql).unwrap();
    let rows = query
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .unwrap();
    let rows: Vec<(String, i64, i64, i64)> = rows.map(Result::unwrap).collect();
    let expected =
        [("app::load".to_owned(), 3, 1000, 10_000), ("app::main".to_owned(), 1, 1000, 0)];
    assert_eq!(rows, expected);
}
