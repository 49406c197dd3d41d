//! Recordings of other profilers: what comes of them, and of damaged ones.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use rheaper::loader::{
    Ending, LoadErrorKind, LoadOptions, Summary, dry_run_import, import, symbolize,
};
use rusqlite::Connection;

use crate::cli::commands::Place;
use crate::synthetic::random::Random;

/// `grep -c memory FILE`, recorded by heaptrack 1.4 and interpreted.
const GREP: &[u8] = include_bytes!("../../data/heaptrack.grep.zst");

/// `env A=1 true`, recorded by heaptrack 1.4, raw.
const ENV: &[u8] = include_bytes!("../../data/heaptrack.env.raw.zst");

/// What `heaptrack_print` says of it.
const GREP_TOTALS: [u64; 3] = [302, 198_743, 126_039];

fn unpacked(packed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut decoder = ruzstd::decoding::StreamingDecoder::new(packed).unwrap();
    decoder.read_to_end(&mut bytes).unwrap();
    bytes
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::read::GzEncoder::new(bytes, flate2::Compression::default());
    let mut packed = Vec::new();
    encoder.read_to_end(&mut packed).unwrap();
    packed
}

/// A directory with this recording in it, and where its database would go.
fn prepare(bytes: &[u8]) -> (tempfile::TempDir, PathBuf, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let (recording, output) = (directory.path().join("recording"), directory.path().join("db"));
    fs::write(&recording, bytes).unwrap();
    (directory, recording, output)
}

fn imported(bytes: &[u8]) -> (tempfile::TempDir, Connection, Summary) {
    let (directory, recording, output) = prepare(bytes);
    let summary = import(&recording, &output, &LoadOptions::default(), &mut ()).unwrap();
    (directory, Connection::open(output).unwrap(), summary)
}

fn one<T: rusqlite::types::FromSql>(connection: &Connection, sql: &str) -> T {
    connection.query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Lines of a recording, `v` and all.
fn lines(body: &str) -> Vec<u8> {
    let body: Vec<&str> = body.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    format!("v 10400 3\n{}\n", body.join("\n")).into_bytes()
}

#[test]
fn a_kept_recording_has_the_totals_that_were_printed_of_it() {
    let plain = unpacked(GREP);
    for bytes in [GREP.to_vec(), gzipped(&plain), plain] {
        let (_directory, database, summary) = imported(&bytes);
        let totals = [summary.allocations, summary.peak_bytes, summary.live_bytes];
        assert_eq!(totals, GREP_TOTALS);
        assert_eq!(summary.ending, Ending::Sealed);
        let from: String = one(&database, "SELECT value FROM meta WHERE key = 'imported_from'");
        assert_eq!(from, "heaptrack 1.4.0");
        let command: String = one(&database, "SELECT value FROM meta WHERE key = 'command'");
        assert!(command.starts_with("grep -c memory"), "{command}");
        let main: String = one(&database, "SELECT path FROM modules WHERE main");
        assert_eq!(main, "/usr/bin/grep");
    }
}

#[test]
fn what_heaptrack_does_not_record_is_null_and_said() {
    let (_directory, database, summary) = imported(GREP);
    for (table, column) in [
        ("allocations", "addr"),
        ("allocations", "alloc_thread"),
        ("allocations", "dealloc_thread"),
        ("sites", "threads"),
        ("sites", "cross_thread_frees"),
    ] {
        let sql = format!("SELECT count({column}) FROM {table}");
        assert_eq!(one::<i64>(&database, &sql), 0, "{table}.{column}");
    }
    assert_eq!(one::<i64>(&database, "SELECT count(*) FROM threads"), 0);
    assert_eq!(one::<i64>(&database, "SELECT count(*) FROM thread_pairs"), 0);
    let threads: Option<i64> = one(&database, "SELECT value FROM meta WHERE key = 'threads'");
    assert_eq!(threads, None);
    assert!(summary.losses.is_empty(), "{:?}", summary.losses);
    let said = |word: &str| summary.not_recorded.iter().any(|sentence| sentence.contains(word));
    assert!(said("10 ms") && said("threads") && said("addresses") && said("realloc"));
    let kept = "SELECT count(*) FROM meta WHERE key LIKE 'not_recorded_%' AND value <> ''";
    assert_eq!(one::<i64>(&database, kept), 4);
    let (_directory, database, summary) = imported(ENV);
    assert_eq!(summary.not_recorded.len(), 3);
    let without = one::<i64>(&database, "SELECT count(*) FROM allocations WHERE addr IS NULL");
    assert_eq!(without, 0);
}

#[test]
fn a_free_is_that_of_the_youngest_block_of_its_kind() {
    let bytes = lines(
        "s 4 /bin\ns 4 make\ns 3 a.c\ns 4 main\ni 1000 1 2 3 7 4 3 2a\nt 1 0\na 10 1
         + 0\nc a\n+ 0\nc 14\n- 0\nc 1e",
    );
    let (_directory, database, summary) = imported(&bytes);
    // Two of 16 bytes, at 0 and 10 ms; the one of 10 ms is freed at 20 ms, the run ends at 30.
    assert_eq!((summary.allocations, summary.duration_ns), (2, 30_000_000));
    assert_eq!((summary.peak_bytes, summary.live_bytes), (32, 16));
    let rows: String = one(
        &database,
        "SELECT group_concat(alloc_after || '-' || ifnull(dealloc_after, ''), ' ') FROM allocations",
    );
    assert_eq!(rows, "10000000-20000000 0-");
    let frames: String = one(
        &database,
        "SELECT group_concat(sym || ' ' || file || ':' || line || ' ' || inlined || ' ' || kind, ', ')
         FROM backtrace_frames JOIN frames ON frames.id = frame ORDER BY frame_no",
    );
    assert_eq!(frames, "make a.c:7 1 own, main a.c:42 0 own");
}

#[test]
fn rust_names_lose_what_a_cpp_demangler_left_of_them() {
    let name =
        "_$LT$alloc..vec..Vec$LT$T$GT$$u20$as$u20$core..clone..Clone$GT$::clone::h0123456789abcdef";
    let body = format!("s 4 /bin\ns {:x} {name}\ni 1000 1 2\nt 1 0\na 8 1\n+ 0", name.len());
    let (_directory, database, _) = imported(&lines(&body));
    let sym: String = one(&database, "SELECT sym || ', ' || crate || ', ' || kind FROM frames");
    assert_eq!(sym, "<alloc::vec::Vec<T> as core::clone::Clone>::clone, alloc, std");
}

#[test]
fn modules_come_and_go_in_a_raw_recording() {
    // The same address in two libraries, one after the other.
    let bytes = lines(
        "x 4 /bin\nm 1 -\nm 1 x 1000 0 100\nm 2 /a 5000 0 100\nt 5010 0\n+ 8 1 10
         m 1 -\nm 1 x 1000 0 100\nm 2 /b 5000 0 100\nt 5020 0\nt 1010 2\n+ 8 2 20\n+ 8 3 30\n- 20\n- 99",
    );
    let (_directory, database, summary) = imported(&bytes);
    assert_eq!((summary.allocations, summary.frees, summary.live_bytes), (3, 1, 16));
    let losses: Vec<_> =
        summary.losses.iter().map(|loss| (loss.name.as_str(), loss.count)).collect();
    assert!(losses.contains(&("unknown_frees", 1)), "{losses:?}");
    let frames: String = one(
        &database,
        "SELECT group_concat(bt || ' ' || sym, ', ')
         FROM (SELECT * FROM backtrace_frames ORDER BY bt, frame_no)
         JOIN frames ON frames.id = frame",
    );
    assert_eq!(frames, "1 a+0x10, 2 b+0x20, 3 bin+0x10, 3 b+0x20");
    let unloaded: String =
        one(&database, "SELECT group_concat(path, ' ') FROM modules WHERE unloaded_ns IS NOT NULL");
    assert_eq!(unloaded, "/a");
}

#[test]
fn names_that_came_along_are_not_given_up() {
    let (_directory, recording, output) = prepare(GREP);
    import(&recording, &output, &LoadOptions::default(), &mut ()).unwrap();
    let before = fs::read(&output).unwrap();
    let error = symbolize(&output, &[], &mut ()).unwrap_err();
    assert_eq!(error.kind(), LoadErrorKind::Database);
    assert!(error.to_string().contains("--raw"), "{error}");
    assert!(fs::read(&output).unwrap() == before);
}

/// Runs the loader over a file that may be anything; says whether it gave a summary.
fn survives(recording: &Path, bytes: &[u8]) -> bool {
    fs::write(recording, bytes).unwrap();
    match dry_run_import(recording, &mut ()) {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), LoadErrorKind::Recording, "{error}");
            let sentence = error.to_string();
            assert!(!sentence.contains('\n') && sentence.len() < 600, "{sentence}");
            false
        }
    }
}

#[test]
fn any_bytes_give_a_value_or_a_sentence() {
    let (_directory, recording, _) = prepare(GREP);
    let mut random = Random(7);
    for sample in [unpacked(GREP), unpacked(ENV), GREP.to_vec(), ENV.to_vec(), gzipped(GREP)] {
        let mut read = 0;
        for _ in 0..150 {
            let mut bytes = sample.clone();
            for _ in 0..=random.below(4) {
                let at = random.below(bytes.len() as u64) as usize;
                match random.below(4) {
                    0 => bytes[at] = random.below(256) as u8,
                    1 => drop(bytes.drain(at..(at + 9).min(bytes.len()))),
                    2 => bytes.splice(at..at, *b"ffffffff").for_each(drop),
                    _ => bytes.truncate(at.max(1)),
                }
                if bytes.is_empty() {
                    bytes = vec![b'v'];
                }
            }
            read += u64::from(survives(&recording, &bytes));
        }
        println!("{read} of 150 were read");
    }
}

#[test]
fn a_recording_that_was_cut_off_gives_what_stands_before() {
    let (_directory, recording, _) = prepare(GREP);
    let plain = unpacked(GREP);
    let (one, other) = plain.split_at(plain.len() / 2);
    let frame = |bytes| {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    };
    let frames = [frame(one), frame(other)].concat();
    fs::write(&recording, &frames).unwrap();
    assert_eq!(dry_run_import(&recording, &mut ()).unwrap().allocations, GREP_TOTALS[0]);
    for (sample, cuts) in [(&frames, [3, 20]), (&gzipped(&plain), [3, 700]), (&plain, [1, 3])] {
        for cut in cuts {
            fs::write(&recording, &sample[..sample.len() - cut]).unwrap();
            let summary = dry_run_import(&recording, &mut ()).unwrap();
            assert_eq!(summary.ending, Ending::CutOff, "{cut}");
            assert!(summary.allocations > 50, "{cut}");
        }
    }
    // The first block is not whole: nothing can be unpacked.
    assert!(!survives(&recording, &GREP[..GREP.len() - 1]));
}

#[test]
fn what_is_no_recording_of_theirs_is_one_sentence() {
    let place = Place::new(5);
    fs::write(place.path("text"), "hello\n").unwrap();
    fs::write(place.path("new"), "v 20000 9\n").unwrap();
    fs::write(place.path("empty"), "").unwrap();
    fs::write(place.path("own"), b"\x89RIP\r\n\x1a\n").unwrap();
    for (file, part) in [
        ("text", "is no recording of heaptrack or bytehound"),
        ("new", "version 9 of heaptrack's format"),
        ("empty", "is empty"),
        ("absent", "no such recording"),
        ("own", "`rheaper load` reads it"),
        ("heap.db", "is no recording of heaptrack or bytehound"),
        (".", "is a directory"),
    ] {
        let ran = place.run(&["import", file, "-o", "out.db"]);
        assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{file}: {}", ran.err);
        assert!(ran.err.contains(part) && ran.err.lines().count() == 1, "{file}: {}", ran.err);
        assert!(!place.path("out.db").exists());
    }
}

#[test]
fn an_imported_database_answers_all_that_others_do() {
    let place = Place::new(5);
    fs::write(place.path("heaptrack.grep.zst"), GREP).unwrap();
    let ran = place.run(&["import", "heaptrack.grep.zst"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("not recorded: heaptrack does not record threads"), "{}", ran.err);
    let database = "heaptrack.grep.zst.db";
    let report = place.run(&["report", database]);
    assert_eq!(report.code, 0, "{}", report.err);
    assert!(!report.out.contains(" threads;"), "{}", report.out);
    let words = report.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("heaptrack does not record threads"), "{}", report.out);
    assert!(report.out.contains("recorded by  heaptrack 1.4.0"), "{}", report.out);
    let list = place.run(&["query", database]).out;
    let names: Vec<&str> = list
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .collect();
    assert!(names.len() > 30, "{list}");
    for name in names {
        let ran = place.run(&["query", database, name, "--format", "json"]);
        let needs_more = ran.code == 2 && ran.err.contains("must be given");
        assert!(ran.code == 0 || needs_more, "{name}: {}", ran.err);
    }
}

/// Whatever command is tried on another profiler's recording, it names the one that reads it.
#[test]
fn every_command_sends_a_foreign_recording_to_import() {
    let place = Place::new(1);
    std::fs::write(place.path("theirs.zst"), GREP).unwrap();
    for args in [
        &["load", "theirs.zst"][..],
        &["info", "theirs.zst"],
        &["tui", "theirs.zst"],
        &["sql", "theirs.zst", "-c", "SELECT 1"],
        &["report", "theirs.zst"],
        &["query", "theirs.zst", "overview"],
        &["export", "theirs.zst", "-f", "folded"],
        &["diff", "heap.db", "theirs.zst"],
        &["theirs.zst", "new.db"],
    ] {
        let ran = place.run(args);
        assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{args:?}: {}", ran.err);
        let says = "theirs.zst: a recording of another profiler; first: rheaper import theirs.zst";
        assert!(ran.err.contains(says), "{args:?}: {}", ran.err);
    }
}

#[test]
fn a_database_is_not_loaded_and_the_next_step_is_said() {
    let place = Place::new(1);
    for args in [&["load", "heap.db"][..], &["info", "heap.db"], &["heap.db", "new.db"]] {
        let ran = place.run(args);
        assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{args:?}: {}", ran.err);
        let says = "error: heap.db: a database, not a recording; next: rheaper tui heap.db\n";
        assert_eq!(ran.err, says, "{args:?}");
    }
}
