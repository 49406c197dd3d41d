//! The loader against damaged input, foreign output, and clocks that disagree.

use std::fs;
use std::path::{Path, PathBuf};

use rheaper::loader::{Ending, LoadErrorKind, LoadOptions, Phase, Progress, dry_run, info, load};
use rheaper::recording::{Event, HEADER_BYTES, NodeId, Ticks};

use crate::loader::end_to_end::{load_bytes, write};
use crate::synthetic::naive;
use crate::synthetic::random::{Random, Shape, history};
use crate::synthetic::writer::{Writer, plain_header};

const SMALL: Shape = Shape {
    events: 60,
    streams: 3,
    addresses: 20,
    nodes: 5,
    gap: 50,
    realloc_one_in: 8,
    lost_one_in: 0,
};

fn small_recording() -> Vec<u8> {
    write(&history(&mut Random(1), &SMALL), SMALL.nodes, 10)
}

/// A directory with a recording in it, and where its database would go.
fn prepare(bytes: &[u8]) -> (tempfile::TempDir, PathBuf, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let (recording, output) = (directory.path().join("rip-1"), directory.path().join("db"));
    fs::write(&recording, bytes).unwrap();
    (directory, recording, output)
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_recording_cut_at_any_byte_gives_what_stands_before() {
    let bytes = small_recording();
    let (_directory, recording, _) = prepare(&bytes);
    let mut last = 0;
    for len in 0..bytes.len() {
        fs::write(&recording, &bytes[..len]).unwrap();
        match dry_run(&recording, &mut ()) {
            Ok(summary) => {
                assert!(len >= HEADER_BYTES);
                assert!(summary.events >= last, "cut at {len}");
                assert_eq!(summary.ending, Ending::CutOff);
                last = summary.events;
            }
            Err(error) => {
                assert!(len < HEADER_BYTES, "cut at {len}: {error}");
                assert_eq!(error.kind(), LoadErrorKind::Recording);
            }
        }
    }
    let cut = info(&recording).unwrap();
    assert!(cut.torn_bytes > 0 && cut.damaged_places == 0);
    assert!(last < SMALL.events && last > 0);
}

#[test]
fn any_changed_byte_gives_an_answer() {
    let bytes = small_recording();
    let (_directory, recording, _) = prepare(&bytes);
    for at in HEADER_BYTES..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x55;
        fs::write(&recording, &damaged).unwrap();
        let summary = dry_run(&recording, &mut ()).unwrap();
        let info = info(&recording).unwrap();
        let skipped = info.damaged_bytes + info.torn_bytes;
        assert!(skipped > 0, "byte {at}");
        assert!(summary.events < SMALL.events || info.nodes == 0, "byte {at}");
    }
}

#[test]
fn random_bytes_behind_a_header_give_an_answer() {
    let mut random = Random(11);
    let (_directory, recording, _) = prepare(b"");
    for _ in 0..300 {
        let mut bytes = plain_header().to_bytes().to_vec();
        let whole = small_recording();
        for _ in 0..random.below(12) {
            let from = random.below(whole.len() as u64) as usize;
            let len = random.below(200) as usize;
            bytes.extend_from_slice(&whole[from..(from + len).min(whole.len())]);
            bytes.extend((0..random.below(40)).map(|_| random.next() as u8));
        }
        fs::write(&recording, &bytes).unwrap();
        dry_run(&recording, &mut ()).unwrap();
    }
}

#[test]
fn what_is_no_recording_is_named_in_one_sentence() {
    let (directory, recording, output) = prepare(b"");
    let fifo = directory.path().join("fifo");
    let path = std::ffi::CString::new(fifo.to_str().unwrap()).unwrap();
    // SAFETY: `path` is a C string that lives through the call.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    let with = |bytes: &[u8]| {
        fs::write(&recording, bytes).unwrap();
        recording.clone()
    };
    let mut newer = small_recording();
    newer[8] = 9;
    let mut damaged = small_recording();
    damaged[50] ^= 1;
    let cases: [(PathBuf, &str); 8] = [
        (directory.path().join("nothing"), "no such recording"),
        (directory.path().to_owned(), "is a directory"),
        (fifo, "is a pipe"),
        (with(b""), "is empty"),
        (with(b"hello, world\n"), "is not a rheaper recording"),
        (with(&small_recording()[..90]), "ends inside the recording's header"),
        (with(&newer), "recording format 9"),
        (with(&damaged), "damaged header"),
    ];
    let contents: [&[u8]; 5] = [b"", b"hello, world\n", &small_recording()[..90], &newer, &damaged];
    for (index, (path, says)) in cases.iter().enumerate() {
        if let Some(bytes) = index.checked_sub(3).map(|index| contents[index]) {
            fs::write(&recording, bytes).unwrap();
        }
        let error = load(path, &output, &LoadOptions::default(), &mut ()).unwrap_err();
        assert_eq!(error.kind(), LoadErrorKind::Recording);
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert!(!error.to_string().contains('\n'));
        assert!(!output.exists());
    }
}

#[test]
fn what_is_not_ours_is_never_touched() {
    let (directory, recording, output) = prepare(&small_recording());
    let target = directory.path().join("target");
    fs::write(&target, "mine").unwrap();
    let foreign = rusqlite::Connection::open(&output).unwrap();
    foreign.execute_batch("CREATE TABLE t (x)").unwrap();
    foreign.close().unwrap();
    let foreign = fs::read(&output).unwrap();
    fs::remove_file(&output).unwrap();
    for force in [false, true] {
        let options = LoadOptions { force, ..LoadOptions::default() };
        let refused = |says: &str| {
            let before = names_in(directory.path());
            let error = load(&recording, &output, &options, &mut ()).unwrap_err();
            assert_eq!(error.kind(), LoadErrorKind::Output);
            assert!(error.to_string().contains(says), "{error}");
            assert_eq!(names_in(directory.path()), before);
        };
        for bytes in [&b"some text"[..], b"", &foreign] {
            fs::write(&output, bytes).unwrap();
            refused("not a rheaper database");
            assert_eq!(fs::read(&output).unwrap(), bytes);
            fs::remove_file(&output).unwrap();
        }
        fs::create_dir(&output).unwrap();
        refused("a directory");
        fs::remove_dir(&output).unwrap();
        std::os::unix::fs::symlink(&target, &output).unwrap();
        refused("a symbolic link");
        assert_eq!(fs::read(&target).unwrap(), b"mine");
        fs::remove_file(&output).unwrap();
    }
}

#[test]
fn ours_is_replaced_as_a_whole() {
    let (directory, recording, output) = prepare(&small_recording());
    let plain = LoadOptions::default();
    load(&recording, &output, &plain, &mut ()).unwrap();
    let first = fs::read(&output).unwrap();
    // A loader that was killed may have left this.
    fs::write(directory.path().join(".db.4194305.loading"), "rest").unwrap();
    load(&recording, &output, &plain, &mut ()).unwrap();
    assert_eq!(fs::read(&output).unwrap(), first, "the same recording gives the same bytes");
    assert_eq!(names_in(directory.path()), ["db", "rip-1"]);

    let mut header = plain_header();
    header.recording_id = [7; 16];
    fs::write(&recording, Writer::new(Vec::new(), &header).finish()).unwrap();
    let error = load(&recording, &output, &plain, &mut ()).unwrap_err();
    assert!(error.to_string().contains("--force"), "{error}");
    assert_eq!(fs::read(&output).unwrap(), first);
    let force = LoadOptions { force: true, ..LoadOptions::default() };
    load(&recording, &output, &force, &mut ()).unwrap();
    assert_ne!(fs::read(&output).unwrap(), first);
}

/// Wants to stop in a phase.
struct Stop(Phase, bool);

impl Progress for Stop {
    fn begin(&mut self, phase: Phase) {
        self.1 |= phase == self.0;
    }

    fn should_stop(&mut self) -> bool {
        self.1
    }
}

#[test]
fn an_interrupted_load_leaves_nothing() {
    let mut random = Random(5);
    let shape = Shape { events: 300_000, addresses: 1_000, gap: 10, ..SMALL };
    let bytes = write(&history(&mut random, &shape), shape.nodes, 1_000);
    let (directory, recording, output) = prepare(&bytes);
    let stop = &mut Stop(Phase::Events, false);
    let error = load(&recording, &output, &LoadOptions::default(), stop).unwrap_err();
    assert_eq!(error.kind(), LoadErrorKind::Interrupted);
    assert_eq!(names_in(directory.path()), ["rip-1"]);
}

/// Sets every stream's clock off by its own constant.
fn skew(events: &[(u32, u32, Event)], random: &mut Random, by: u64) -> Vec<(u32, u32, Event)> {
    let offsets: Vec<u64> = (0..16).map(|_| random.below(by + 1)).collect();
    let shift = |stream: u32, at: Ticks| Ticks(at.0 + offsets[stream as usize]);
    let skewed = events.iter().map(|(stream, thread, event)| {
        let mut event = *event;
        match &mut event {
            Event::Alloc { at, .. }
            | Event::Free { at, .. }
            | Event::ReallocEnd { at, .. }
            | Event::ReallocBegin { at, .. }
            | Event::SkippedAllocs { at, .. }
            | Event::Failed { at, .. } => *at = shift(*stream, *at),
            Event::Realloc { began, at, .. } => {
                *began = shift(*stream, *began);
                *at = shift(*stream, *at);
            }
        }
        (*stream, *thread, event)
    });
    skewed.collect()
}

#[test]
fn skewed_clocks_change_no_pair() {
    for seed in 0..150 {
        let mut random = Random(seed + 1_000);
        // An address rests for longer than the skew before it is used again, or is used at once.
        let shape = Shape {
            events: 400,
            streams: 4,
            addresses: 400,
            nodes: 6,
            gap: 20_000,
            realloc_one_in: 1_000_000,
            lost_one_in: 0,
        };
        let events = history(&mut random, &shape);
        let truth = naive::load(&events);
        let skewed = skew(&events, &mut random, 10_000);
        let loaded = load_bytes(&write(&skewed, shape.nodes, 50));
        let key = |row: &naive::Row| (row.address, row.size, row.node, row.thread, row.freed_by);
        let mut expected: Vec<_> = truth.iter().map(key).collect();
        let mut got: Vec<_> = loaded.rows().iter().map(key).collect();
        expected.sort();
        got.sort();
        assert_eq!(got, expected, "seed {seed}");
        assert_eq!(loaded.loss("unknown_frees") + loaded.loss("missed_frees"), 0, "seed {seed}");
        assert!(loaded.rows().iter().all(|row| row.freed.is_none_or(|at| at >= row.made)));
    }
}

#[test]
fn a_full_disk_leaves_no_output() {
    // RLIMIT_FSIZE stands in for a full disk; it holds for a whole process, so for a child.
    let shape = Shape { events: 50_000, addresses: 3_000, ..SMALL };
    let bytes = write(&history(&mut Random(2), &shape), shape.nodes, 1_000);
    let (directory, recording, output) = prepare(&bytes);
    let script = format!(
        "ulimit -f 64; trap '' XFSZ; {} load {} -o {}",
        env!("CARGO_BIN_EXE_rheaper"),
        recording.display(),
        output.display()
    );
    let done = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();
    assert!(!done.status.success());
    assert!(String::from_utf8_lossy(&done.stderr).contains("can't write"), "{done:?}");
    assert_eq!(names_in(directory.path()), ["rip-1"]);
}

#[test]
fn a_killed_loader_leaves_no_output_and_no_harm() {
    let shape = Shape { events: 200_000, addresses: 3_000, ..SMALL };
    let bytes = write(&history(&mut Random(2), &shape), shape.nodes, 1_000);
    let (directory, recording, output) = prepare(&bytes);
    let mut random = Random(4);
    for _ in 0..20 {
        let mut loader = std::process::Command::new(env!("CARGO_BIN_EXE_rheaper"));
        loader.args(["load", "-o"]).args([&output, &recording]);
        loader.stderr(std::process::Stdio::null());
        let mut loader = loader.spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_micros(random.below(200_000)));
        loader.kill().unwrap();
        loader.wait().unwrap();
        if output.exists() {
            let connection = rusqlite::Connection::open(&output).unwrap();
            let check: String =
                connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
            assert_eq!(check, "ok");
            fs::remove_file(&output).unwrap();
        }
    }
    load(&recording, &output, &LoadOptions::default(), &mut ()).unwrap();
    assert_eq!(names_in(directory.path()), ["db", "rip-1"]);
}

#[test]
fn an_end_stamped_before_its_beginning_is_paired() {
    let mut writer = Writer::new(Vec::new(), &plain_header());
    let node = writer.stack(NodeId::ROOT, &[0x100_0000]);
    // Thread 1's clock is 500 µs late: it frees before the block is made.
    writer.free((1, 1), 1_000_000, 0x7000);
    writer.alloc((0, 0), 1_500_000, 0x7000, 64, node);
    // And it takes an address before the other one has freed it.
    writer.alloc((0, 0), 2_000_000, 0x8000, 32, node);
    writer.alloc((1, 1), 2_500_000, 0x8000, 48, node);
    writer.free((0, 0), 3_000_000, 0x8000);
    let loaded = load_bytes(&writer.finish());
    let rows = loaded.rows();
    let story: Vec<_> =
        rows.iter().map(|row| (row.size, row.made, row.freed, row.freed_by)).collect();
    let expected = [
        (64, 1_500_000, Some(1_500_000), Some(1)),
        (32, 2_000_000, Some(2_500_000), Some(0)),
        (48, 2_500_000, None, None),
    ];
    assert_eq!(story, expected);
    assert_eq!(loaded.loss("reordered_pairs"), 2);
    assert_eq!(loaded.loss("unknown_frees") + loaded.loss("missed_frees"), 0);
}

#[test]
fn a_growing_recording_loads_as_partial() {
    let bytes = small_recording();
    let (_directory, recording, output) = prepare(&bytes[..bytes.len() / 2]);
    let first = load(&recording, &output, &LoadOptions::default(), &mut ()).unwrap();
    assert!(first.ending.is_partial());
    fs::write(&recording, &bytes).unwrap();
    let second = load(&recording, &output, &LoadOptions::default(), &mut ()).unwrap();
    assert!(second.events > first.events);
}

#[test]
fn deep_stacks_are_cut_and_equal_ones_merged() {
    let mut header = plain_header();
    header.max_stack_depth = 3;
    let mut writer = Writer::new(Vec::new(), &header);
    let frames = [0x100, 0x200, 0x300, 0x400, 0x500];
    let deep = writer.stack(NodeId::ROOT, &frames);
    let other = writer.stack(NodeId::ROOT, &[0x100, 0x200, 0x300, 0x900]);
    let cut = writer.stack(NodeId::TRUNCATED, &frames[..3]);
    let whole = writer.stack(NodeId::ROOT, &frames[..3]);
    let again = writer.stack(NodeId::ROOT, &frames[..3]);
    let failed = writer.stack(NodeId::FAILED, &frames[..2]);
    let nodes =
        [deep, other, cut, whole, again, failed, NodeId::OVERFLOW, NodeId::NONE, NodeId(999)];
    for (index, node) in (0..).zip(nodes) {
        writer.alloc((0, 0), 10 + index, 0x7000 + index * 16, 8, node);
    }
    let loaded = load_bytes(&writer.finish());
    let sites: Vec<(i64, String, i64, i64)> = loaded
        .connection
        .prepare("SELECT bt, stack, depth, allocations FROM sites ORDER BY bt")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let expected = [
        (1, "truncated", 3, 3),
        (2, "whole", 3, 2),
        (3, "failed", 2, 1),
        (4, "other", 0, 1),
        (5, "failed", 0, 1),
    ];
    let expected = expected.map(|(bt, stack, depth, count)| (bt, stack.to_owned(), depth, count));
    assert_eq!(sites, expected);
    assert_eq!(loaded.one("SELECT count(*) FROM allocations WHERE bt IS NULL"), 1);
    assert_eq!(loaded.one("SELECT count(*) FROM allocations WHERE bt = '1'"), 3);
    assert_eq!(loaded.loss("missing_stacks"), 1);
}
