//! Recordings of a sample, against what the recorded programs really made.
//!
//! What is seeded is the same in every run; the bounds of the rest are so wide that one run in ten
//! million is beyond them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rheaper::loader::{Ending, LoadOptions, load};
use rheaper::recording::{
    Block, BlockKind, Counter, Decoder, Event, EventsHead, HEADER_BYTES, Header,
};
use rusqlite::Connection;

use crate::recorder::fault_injection::{Loaded, Scene};
use crate::support::programs::{RELEASE, Variant, build, lines, run, run_with, scaled};

const TESTING: Variant = Variant {
    name: "testing",
    arguments: &["--release"],
    rustflags: "--cfg rheaper_testing",
    folder: "release",
};

/// As in the program `samples`.
const CLASSES: [(u64, u64); 8] = [
    (24, 900),
    (200, 300),
    (600, 300),
    (1_000, 200),
    (3_000, 200),
    (7_000, 60),
    (20_000, 30),
    (100_000, 6),
];

/// Standard deviations that one in ten million samples of a normal distribution is beyond.
const SIGMAS: f64 = 5.4;

fn p(size: u64, sample_bytes: u64) -> f64 {
    -(-(size as f64) / sample_bytes as f64).exp_m1()
}

fn play(words: &[&str]) -> (Vec<PathBuf>, Vec<String>, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let told = lines(&run(&build("programs", "samples", TESTING), words, directory.path()));
    let is_path = |line: &&String| line.starts_with('/');
    let paths = told.iter().filter(is_path).map(PathBuf::from).collect();
    let rest = told.iter().filter(|line| !is_path(line)).cloned().collect();
    (paths, rest, directory)
}

/// What a recording has of each size, the blocks that were made and the blocks that ended. Each
/// end must be that of a block that is there.
fn read(recording: &Path, sample_bytes: u64) -> HashMap<u64, [u64; 2]> {
    let bytes = std::fs::read(recording).unwrap();
    assert_eq!(Header::parse(&bytes).unwrap().sample_bytes, sample_bytes);
    let mut rest = &bytes[HEADER_BYTES..];
    let mut decoder = Decoder::new();
    let mut live = HashMap::new();
    let mut counts: HashMap<u64, [u64; 2]> = HashMap::new();
    let mut ended = Vec::new();
    while let Some((block, len)) = Block::parse(rest).unwrap() {
        rest = &rest[len..];
        if block.kind != BlockKind::Events {
            continue;
        }
        // One thread, one stream.
        let (_, mut events) = EventsHead::read(block.payload).unwrap();
        while let Some(event) = decoder.next(&mut events).unwrap() {
            let made = match event {
                Event::Alloc { address, size, .. } => (address, size),
                Event::Free { address, .. } => {
                    ended.push(live.remove(&address).expect("a recorded block"));
                    continue;
                }
                Event::Realloc { old, new, size, .. } => {
                    ended.push(live.remove(&old).expect("a recorded block"));
                    (new, size)
                }
                other => panic!("{other:?}"),
            };
            assert_eq!(live.insert(made.0, made.1.0), None, "{event:?}");
            counts.entry(made.1.0).or_default()[0] += 1;
        }
    }
    ended.iter().for_each(|size| counts.entry(*size).or_default()[1] += 1);
    counts
}

#[test]
fn sums_are_estimated_without_bias_and_each_size_with_its_probability() {
    const SAMPLE_BYTES: u64 = 4_096;
    let recordings = scaled(60).min(3_000);
    let words = ["known", "4096", "1000", &recordings.to_string()].map(str::to_owned);
    let (paths, _, _kept) = play(&words.each_ref().map(String::as_str));
    assert_eq!(paths.len() as u64, recordings);
    let truth: f64 = CLASSES.iter().map(|class| (class.0 * class.1) as f64).sum();
    let variance: f64 = CLASSES
        .iter()
        .map(|&(size, count)| {
            let p = p(size, SAMPLE_BYTES);
            count as f64 * (size as f64).powi(2) * (1.0 - p) / p
        })
        .sum();
    let (mut sum, mut squares) = (0.0, 0.0);
    let mut pooled = [0_u64; CLASSES.len()];
    for path in &paths {
        let counts = read(path, SAMPLE_BYTES);
        let mut estimate = 0.0;
        for (&(size, all), pooled) in CLASSES.iter().zip(&mut pooled) {
            let [made, ended] = counts.get(&size).copied().unwrap_or_default();
            assert!(made <= all && ended <= made, "{made} blocks of {all}");
            *pooled += made;
            estimate += (made * size) as f64 / p(size, SAMPLE_BYTES);
        }
        let strangers: Vec<_> =
            counts.keys().filter(|size| CLASSES.iter().all(|class| class.0 != **size)).collect();
        assert!(strangers.is_empty(), "{strangers:?}");
        let z = (estimate - truth) / variance.sqrt();
        sum += z;
        squares += z * z;
    }
    let mut chi2 = 0.0;
    for (&(size, count), chosen) in CLASSES.iter().zip(pooled) {
        let (p, all) = (p(size, SAMPLE_BYTES), (count * recordings) as f64);
        let variance = all * p * (1.0 - p);
        let difference = chosen as f64 - all * p;
        if variance < 1.0 {
            assert!(difference.abs() < 12.0, "{size}: {chosen} of {all}");
        } else {
            chi2 += difference * difference / variance;
        }
    }
    let recordings = recordings as f64;
    println!("{chi2} {} {}", sum / recordings.sqrt(), squares / recordings);
    // Of eight degrees of freedom one in ten million is above 48.
    assert!(chi2 < 48.0, "{chi2}: {pooled:?}");
    assert!((sum / recordings.sqrt()).abs() < SIGMAS, "bias of {} errors", sum / recordings);
    let spread = (squares - recordings) / (2.0 * recordings).sqrt();
    assert!(spread.abs() < SIGMAS, "{} as wide as said", (squares / recordings).sqrt());
}

#[test]
fn the_same_seed_gives_the_same_sample_and_another_one_another() {
    let (paths, _, _kept) = play(&["known", "4096", "5", "2"]);
    let (again, _, _kept_too) = play(&["known", "4096", "5", "1"]);
    let [first, second] = [&paths[0], &paths[1]].map(|path| read(path, 4_096));
    assert_eq!(first, read(&again[0], 4_096));
    assert_ne!(first, second);
}

/// Losses that a recording tells of.
fn losses(connection: &Connection) -> Vec<(String, i64)> {
    let mut query = connection.prepare("SELECT name, count FROM losses WHERE count > 0").unwrap();
    let losses = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    losses.map(Result::unwrap).collect()
}

fn loaded(recording: &Path) -> Connection {
    let database = recording.with_extension("db");
    let summary = load(recording, &database, &LoadOptions::default(), &mut ()).unwrap();
    assert_eq!(summary.ending, Ending::Sealed);
    Connection::open(&database).unwrap()
}

/// Threads that free each other's blocks: whatever the sample has is whole, and what it says of
/// all of them is true within its error.
#[test]
fn threads_may_free_each_other_s_sampled_blocks() {
    let program = build("programs", "truth", RELEASE);
    for sample_bytes in [1_u64, 700, 20_000] {
        let directory = tempfile::tempdir().unwrap();
        let environment = [("SAMPLE_BYTES", &*sample_bytes.to_string())];
        let said = lines(&run_with(&program, &["8", "10000"], directory.path(), &environment));
        let counted: Vec<f64> = said[1].split(' ').map(|count| count.parse().unwrap()).collect();
        let connection = loaded(Path::new(&said[0]));
        // Where threads stand still for long, the recorder's own among them, pairs may have to be
        // put in order, and an event may find its buffer full.
        let busy = ["dropped_buffer_full", "missed_frees", "late_events", "reordered_pairs"];
        let lost = losses(&connection);
        let lost = lost.iter().filter(|it| it.0 != "clock_steps_back" && !busy.contains(&&*it.0));
        assert_eq!(lost.collect::<Vec<_>>(), Vec::<&(String, i64)>::new(), "{sample_bytes}");
        let rows = "SELECT size, dealloc_after IS NULL, alloc_thread IS NOT dealloc_thread
                    FROM allocations";
        let mut query = connection.prepare(rows).unwrap();
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        let (mut blocks, mut bytes, mut live) = ([0.0; 2], [0.0; 2], [0.0; 2]);
        let mut crossed = 0;
        for row in rows {
            let (size, is_live, is_crossed): (i64, bool, bool) = row.unwrap();
            let (size, p) = (size as f64, p(size as u64, sample_bytes));
            let add = |sums: &mut [f64; 2], weight: f64| {
                sums[0] += weight / p;
                sums[1] += weight * weight * (1.0 - p) / (p * p);
            };
            add(&mut blocks, 1.0);
            add(&mut bytes, size);
            if is_live {
                add(&mut live, size);
            }
            crossed += i64::from(!is_live && is_crossed);
        }
        assert!(crossed > 0, "{sample_bytes}: no block was freed by another thread");
        for (what, [estimate, variance], truth) in [
            ("blocks", blocks, counted[0]),
            ("bytes", bytes, counted[1]),
            ("live bytes", live, counted[1] - counted[3]),
        ] {
            let off = (estimate - truth).abs() / variance.max(1.0).sqrt();
            println!("{sample_bytes} {what}: {estimate:.0} of {truth}, {off:.2} errors off");
            // What frees of before the recording ended is not live, and not in it.
            let slack = if what == "live bytes" { 20_000.0 } else { 0.0 };
            let bound = variance.sqrt() * SIGMAS + slack + 20.0;
            assert!((estimate - truth).abs() <= bound, "{sample_bytes} {what}: {off} errors off");
        }
    }
}

fn sampled(program: &str, words: &[&str], sample_bytes: &str) -> (Scene, Loaded) {
    let scene = Scene::play_with(program, words, &[("SAMPLE_BYTES", sample_bytes)]);
    let loaded = scene.load(&scene.recording());
    assert_eq!(loaded.summary.ending, Ending::Sealed, "{words:?}");
    (scene, loaded)
}

/// In place, refused, moved: what grows is the end of one block and the beginning of another, each
/// with its own probability.
#[test]
fn growing_blocks_are_chosen_anew() {
    let rounds = scaled(2_000) as f64;
    let words = ["growth", &rounds.to_string()];
    let (scene, loaded) = sampled("contract", &words, "2000");
    let mut chi2 = 0.0;
    for size in [1_000, 2_000, 3_000, 1_500] {
        let p = p(size, 2_000);
        let made = loaded.one(&format!("SELECT count(*) FROM allocations WHERE size = {size}"));
        chi2 += (made as f64 - rounds * p).powi(2) / (rounds * p * (1.0 - p));
    }
    assert!(chi2 < 39.0, "of four degrees of freedom one in ten million is above 38.5: {chi2}");
    let both = [(1_000, 2_000), (2_000, 3_000), (3_000, 1_500)];
    let both: f64 = both.iter().map(|pair| p(pair.0, 2_000) * p(pair.1, 2_000)).sum();
    let linked = loaded.one("SELECT count(*) FROM reallocs") as f64;
    assert!((linked - rounds * both).abs() < SIGMAS * (3.0 * rounds / 4.0).sqrt(), "{linked}");
    for never in [
        "SELECT count(*) FROM allocations WHERE size IN (9999, 777, 5000)",
        "SELECT count(*) FROM allocations
             WHERE size IN (1000, 2000, 3000, 1500) AND dealloc_after IS NULL",
        "SELECT coalesce(sum(count), 0) FROM losses",
    ] {
        assert_eq!(loaded.one(never), 0, "{never}");
    }
    // What is refused is always recorded.
    let info = rheaper::loader::info(&scene.recording()).unwrap();
    assert_eq!(info.counters.unwrap().get(Counter::Failed) as f64, 3.0 * rounds);
}

/// While a block is freed or moved its address goes to another thread, which keeps it for longer.
#[test]
fn an_address_that_is_handed_on_belongs_to_its_next_block() {
    let count = scaled(500) as i64;
    for (words, sample_bytes) in [
        (&["reuse", &*count.to_string()][..], "1"),
        // Both sizes are recorded; then only the first one is, as a rule.
        (&["regrow", &count.to_string(), "2000"], "1"),
        (&["regrow", &count.to_string(), "8"], "24"),
    ] {
        let (_, loaded) = sampled("contract", words, sample_bytes);
        assert_eq!((loaded.marked(), loaded.live()), (2 * count, 0), "{words:?}");
        let lost = "SELECT coalesce(sum(count), 0) FROM losses
                    WHERE name NOT IN ('clock_steps_back', 'late_events', 'reordered_pairs')";
        assert_eq!(loaded.one(lost), 0, "{words:?}");
        let live = "SELECT count(*) FROM allocations
                    WHERE size IN (8, 2000) AND dealloc_after IS NULL";
        assert_eq!(loaded.one(live), 0, "{words:?}");
    }
}

#[test]
fn what_one_recording_sampled_is_unknown_to_the_next() {
    let (paths, _, _kept) = play(&["twice"]);
    for (nth, path) in paths.iter().enumerate() {
        let connection = loaded(path);
        assert_eq!(losses(&connection), [], "{nth}");
        for (sql, expected) in [
            ("SELECT count(*) FROM allocations WHERE size = 777", 5_000),
            ("SELECT count(*) FROM allocations WHERE size = 777 AND dealloc_after IS NULL", 2_500),
        ] {
            let found: i64 = connection.query_row(sql, [], |row| row.get(0)).unwrap();
            assert_eq!(found, expected, "{nth} {sql}");
        }
    }
}

#[test]
fn samples_that_have_no_place_are_counted() {
    let (paths, told, _kept) = play(&["overflow"]);
    let made: i64 = told[0].parse().unwrap();
    let connection = loaded(&paths[0]);
    let one = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let recorded = one("SELECT count(*) FROM allocations WHERE size = 777");
    let lost = losses(&connection);
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert_eq!((&*lost[0].0, recorded + lost[0].1), ("dropped_samples", made));
    // Nearly all of the 32,768 places are used, twice, and all are left in the end.
    assert!((2 * 30_000..=2 * 32_768).contains(&recorded), "{recorded}");
    let live = "SELECT count(*) FROM allocations WHERE size = 777 AND dealloc_after IS NULL";
    assert_eq!(one(live), 0);
}

/// One byte in one: everything is in the sample, so that what holds of whole recordings holds of
/// this, too.
#[test]
fn a_sample_keeps_the_promises_of_whole_recordings() {
    let milliseconds = (300 * scaled(1).min(10)).to_string();
    for (program, words) in [
        ("processes", &["handler", &*milliseconds][..]),
        ("processes", &["forks", "10"]),
        ("processes", &["panics", "200"]),
        ("threads", &["short", "300"]),
    ] {
        let (scene, loaded) = sampled(program, words, "1");
        let numbers = scene.numbers(1);
        let made = if program == "threads" { numbers[4] } else { numbers[0] };
        loaded.has_all(made);
        let unknown = "SELECT coalesce(sum(count), 0) FROM losses WHERE name LIKE 'unknown%'";
        assert_eq!(loaded.one(unknown), 0, "{words:?}");
    }
    // What it checks it checks itself.
    sampled("contract", &["errno", "20000"], "1");
    let (_, loaded) = sampled("threads", &["destructors", "50"], "1");
    assert_eq!(loaded.dropped(), 0);
    let scene = Scene::play_with("processes", &["preforks", "4"], &[("SAMPLE_BYTES", "1")]);
    let told = scene.lines();
    for child in &told[1..told.len() - 1] {
        assert_eq!(scene.load(Path::new(child)).marked(), 1_001, "{child}");
    }
}

#[test]
fn a_quota_of_a_sample_has_no_steps() {
    let environment = [("SAMPLE_BYTES", "1"), ("QUOTA_BYTES", "1048576")];
    let scene = Scene::play_with("truth", &["4", "20000"], &environment);
    let loaded = scene.load(&scene.recording());
    assert_eq!(loaded.summary.ending, Ending::Quota);
    assert_eq!(loaded.one("SELECT count(*) FROM aggregation_steps"), 0);
    assert!(std::fs::metadata(scene.recording()).unwrap().len() <= 1 << 20);
}

#[test]
fn a_sample_is_not_aggregated() {
    let directory = tempfile::tempdir().unwrap();
    let config = rheaper::TrackerConfig {
        max_stack_depth: 8,
        max_trackers: 8,
        tracker_event_buffer_size: 8_192,
        sample_rate: 1.0,
        profile_dir: directory.path().to_owned(),
    };
    let options = rheaper::Options::new(config).sample_bytes(512 << 10);
    let refused = options.aggregate_shorter_than(Duration::from_secs(1)).enable().unwrap_err();
    assert_eq!(
        refused.to_string(),
        "options exclude each other: sampled blocks are not aggregated: use either sample_bytes or \
         aggregate_shorter_than"
    );
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}
