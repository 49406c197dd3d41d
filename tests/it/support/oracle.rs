//! A recorded program that keeps the truth beside its recording, and the comparison of the two.
//!
//! Reads: the oracle's file, whose layout is `tests/programs/src/oracle.rs`'s; the recording.
//! Writes: a database.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rheaper::loader::{LoadOptions, Summary, load};
use rusqlite::Connection;

use crate::support::programs::{RELEASE, build};

const PAGE: usize = 4096;
const THREADS: usize = 16;
const ENTRIES: usize = 1 << 17;
const LOG_BYTES: usize = PAGE + ENTRIES * 16;

pub(crate) mod state {
    pub(crate) const ENABLED: u64 = 1;
    pub(crate) const REFUSED: u64 = 2;
    pub(crate) const DISABLED: u64 = 4;
}

/// How much of the truth a recording must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    All,
    /// Of each thread the first so many events.
    Prefix,
}

/// How the witness is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Each event as it comes.
    Whole,
    /// About half of the blocks live shorter than what is aggregated.
    Aggregated,
    /// A sample, of which every block is a part: one byte in one.
    Sampled,
}

impl Way {
    /// For what is told: nothing of the usual way.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Whole => "",
            Self::Aggregated => ", aggregated",
            Self::Sampled => ", sampled",
        }
    }
}

/// What a comparison found.
#[derive(Clone, Debug)]
pub(crate) struct Compared {
    /// Allocations and frees in the database, and in the truth.
    pub(crate) recorded: usize,
    pub(crate) happened: usize,
    pub(crate) summary: Summary,
    losses: BTreeMap<String, i64>,
}

impl Compared {
    pub(crate) fn loss(&self, name: &str) -> i64 {
        self.losses.get(name).copied().unwrap_or(0)
    }
}

/// The program `witness` in a directory of its own.
pub(crate) struct Witness {
    directory: tempfile::TempDir,
    oracle: PathBuf,
    /// Where it records to.
    pub(crate) into: PathBuf,
    way: Way,
}

impl Witness {
    pub(crate) fn new() -> Self {
        Self::recorded(Way::Whole)
    }

    pub(crate) fn recorded(way: Way) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (oracle, into) = (directory.path().join("oracle"), directory.path().join("into"));
        fs::create_dir(&into).unwrap();
        let file = fs::File::create(&oracle).unwrap();
        file.set_len((PAGE + THREADS * LOG_BYTES) as u64).unwrap();
        Self { directory, oracle, into, way }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The program with these arguments: threads, rounds, microseconds between rounds.
    pub(crate) fn command(&self, arguments: [u64; 3]) -> Command {
        self.under(&[], arguments)
    }

    /// The same, run by another program.
    pub(crate) fn under(&self, runner: &[&str], arguments: [u64; 3]) -> Command {
        let program = build("programs", "witness", RELEASE);
        let mut words = runner.iter().map(PathBuf::from).chain([program]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).args(arguments.map(|number| number.to_string()));
        command.env("RECORD_INTO", &self.into).env("ORACLE", &self.oracle);
        match self.way {
            Way::Whole => {}
            Way::Aggregated => drop(command.env("AGGREGATE_US", "2000")),
            Way::Sampled => drop(command.env("SAMPLE_BYTES", "1")),
        }
        command.current_dir(self.directory.path());
        command
    }

    fn bytes(&self) -> Vec<u8> {
        use std::os::unix::fs::FileExt;
        // Only what was written: the file is mostly a hole.
        let file = fs::File::open(&self.oracle).unwrap();
        let mut bytes = vec![0; PAGE];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    /// Where the program has got to.
    pub(crate) fn state(&self) -> u64 {
        word(&self.bytes(), 0)
    }

    /// The recording's path, or why there is none.
    pub(crate) fn words(&self) -> String {
        let bytes = self.bytes();
        let len = word(&bytes, 8) as usize;
        String::from_utf8(bytes[16..16 + len].to_vec()).unwrap()
    }

    pub(crate) fn recording(&self) -> PathBuf {
        assert_ne!(self.state(), state::REFUSED, "{}", self.words());
        PathBuf::from(self.words())
    }

    /// What each thread did: (address, size), size 0 for a free.
    fn logs(&self) -> Vec<Vec<(u64, u64)>> {
        use std::os::unix::fs::FileExt;
        let file = fs::File::open(&self.oracle).unwrap();
        let log = |thread: usize| {
            let at = (PAGE + thread * LOG_BYTES) as u64;
            let mut len = [0; 8];
            file.read_exact_at(&mut len, at).unwrap();
            let mut entries = vec![0; u64::from_le_bytes(len) as usize * 16];
            file.read_exact_at(&mut entries, at + PAGE as u64).unwrap();
            entries.chunks(16).map(|entry| (word(entry, 0), word(entry, 8))).collect()
        };
        (0..THREADS).map(log).collect()
    }

    /// Loads the recording and compares each thread's events with what it really did.
    pub(crate) fn check(&self, recording: &Path, expected: Expected) -> Compared {
        let database = self.directory.path().join("db");
        let _ = fs::remove_file(&database);
        let summary = load(recording, &database, &LoadOptions::default(), &mut ()).unwrap();
        let connection = Connection::open(&database).unwrap();
        let (mut recorded, happened) = self.compare_rows(&connection, expected);
        if self.way == Way::Aggregated {
            recorded = sums(&connection);
            assert!(recorded <= happened + THREADS, "{recorded} in sums, {happened} happened");
            if expected == Expected::All {
                assert_eq!(recorded, happened);
            }
        }
        let mut query = connection.prepare("SELECT name, count FROM losses").unwrap();
        let losses = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let losses = losses.map(Result::unwrap).collect();
        Compared { recorded, happened, summary, losses }
    }
    /// How many allocations and frees are rows, and how many happened; all rows are true, and
    /// where none are aggregated they are the first that happened.
    fn compare_rows(&self, connection: &Connection, expected: Expected) -> (usize, usize) {
        let (mut recorded, mut happened) = (0, 0);
        for (thread, log) in self.logs().iter().enumerate().filter(|(_, log)| !log.is_empty()) {
            let allocated = log.iter().copied().filter(|entry| entry.1 > 0);
            let freed = log.iter().copied().filter(|entry| entry.1 == 0);
            for (sql, truth) in [
                (
                    "SELECT addr, size FROM allocations WHERE alloc_thread = ? AND size >= 20000",
                    allocated.collect::<Vec<_>>(),
                ),
                (
                    "SELECT addr, 0 FROM allocations WHERE dealloc_thread = ? AND size >= 20000",
                    freed.collect::<Vec<_>>(),
                ),
            ] {
                let found = rows(connection, sql, thread);
                // One event may be recorded that was not logged yet, since it is logged after it.
                assert!(found.len() <= truth.len() + 1, "{sql} {thread}");
                let beyond = if self.way == Way::Aggregated {
                    missing(&found, &truth)
                } else {
                    let known = found.len().min(truth.len());
                    let lost = missing(&truth[..known], &found);
                    assert!(lost.is_empty(), "{sql} {thread}: {lost:x?} of {known} are missing");
                    if expected == Expected::All {
                        assert_eq!(found.len(), truth.len(), "{sql} {thread}");
                    }
                    missing(&found, &truth[..known])
                };
                assert!(beyond.len() <= 1, "{sql} {thread}: {beyond:x?} never happened");
                recorded += found.len();
                happened += truth.len();
            }
        }
        (recorded, happened)
    }
}

/// What the first list has and the second has not, or not as often.
fn missing(wanted: &[(u64, u64)], all: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut left: BTreeMap<(u64, u64), usize> = BTreeMap::new();
    all.iter().for_each(|entry| *left.entry(*entry).or_default() += 1);
    let mut is_gone = |entry: &&(u64, u64)| match left.get_mut(entry) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    wanted.iter().filter(|entry| is_gone(entry)).copied().collect()
}

/// Allocations and frees of logged sizes, whether they have rows or are aggregated.
fn sums(connection: &Connection) -> usize {
    let sql =
        "SELECT coalesce(sum(2 * allocations - live_blocks), 0) FROM sizes WHERE size >= 20000";
    connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() as usize
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Sorted rows of a thread, which is known by its name.
fn rows(connection: &Connection, sql: &str, thread: usize) -> Vec<(u64, u64)> {
    let name = format!("oracle-{thread}");
    let id =
        connection.query_row("SELECT id FROM threads WHERE name = ?", [name], |row| row.get(0));
    // A thread that was killed before its first flush is not known.
    let Ok::<i64, _>(id) = id else { return Vec::new() };
    let mut query = connection.prepare(sql).unwrap();
    let rows = query
        .query_map([id], |row| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64)))
        .unwrap();
    let mut rows: Vec<_> = rows.map(Result::unwrap).collect();
    rows.sort_unstable();
    rows
}
