//! No SQL can write, reach outside or run for ever.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rheaper::database::schema::SCHEMA_VERSION;
use rheaper::database::{
    CancelToken, Database, Limits, OpenOptions, OpenProblem, Params, QueryErrorKind,
};

use crate::support::random_heap::Heap;

/// Each must be refused, and leave the directory as it was.
pub(crate) const HOSTILE: &[&str] = &[
    "DELETE FROM allocations",
    "delete from allocations where 1",
    "/* harmless */ DELETE FROM allocations",
    "-- harmless\nDELETE FROM allocations",
    "WITH x AS (SELECT 1) DELETE FROM allocations",
    "DELETE FROM allocations RETURNING *",
    "INSERT INTO allocations SELECT * FROM allocations",
    "INSERT OR REPLACE INTO meta VALUES ('a', 1)",
    "REPLACE INTO meta VALUES ('a', 1)",
    "INSERT INTO meta VALUES ('a', 1) ON CONFLICT DO UPDATE SET value = 2",
    "WITH x AS (SELECT 1) INSERT INTO meta SELECT 'a', 1",
    "UPDATE allocations SET size = 0",
    "UPDATE sqlite_schema SET sql = ''",
    "UPDATE OR IGNORE meta SET value = 1",
    "CREATE TABLE t (a)",
    "CREATE TABLE t AS SELECT * FROM allocations",
    "CREATE TABLE IF NOT EXISTS main.t (a)",
    "CREATE TEMP TABLE t (a)",
    "CREATE TEMPORARY TABLE t AS SELECT * FROM allocations",
    "CREATE TABLE temp.t (a)",
    "CREATE VIEW v AS SELECT 1",
    "CREATE TEMP VIEW v AS SELECT 1",
    "CREATE INDEX i ON allocations (size)",
    "CREATE UNIQUE INDEX i ON meta (value)",
    "CREATE TRIGGER t AFTER INSERT ON meta BEGIN SELECT 1; END",
    "CREATE TEMP TRIGGER t AFTER INSERT ON main.meta BEGIN SELECT 1; END",
    "CREATE VIRTUAL TABLE t USING fts5(a)",
    "CREATE VIRTUAL TABLE temp.t USING rtree(a, b, c)",
    "CREATE VIRTUAL TABLE t USING dbstat(main)",
    "DROP TABLE allocations",
    "DROP TABLE IF EXISTS meta",
    "DROP VIEW backtraces",
    "ALTER TABLE meta RENAME TO m",
    "ALTER TABLE meta ADD COLUMN c",
    "ALTER TABLE meta DROP COLUMN value",
    "REINDEX",
    "ANALYZE",
    "ANALYZE allocations",
    "VACUUM",
    "VACUUM INTO 'stolen.db'",
    "VACUUM main INTO 'file:stolen.db?mode=rwc'",
    "ATTACH 'new.db' AS n",
    "ATTACH DATABASE 'file:new.db?mode=rwc' AS n",
    "ATTACH ':memory:' AS n",
    "ATTACH '' AS n",
    "ATTACH 'heap.db' AS again",
    "DETACH main",
    "BEGIN",
    "BEGIN IMMEDIATE",
    "BEGIN EXCLUSIVE",
    "COMMIT",
    "END",
    "ROLLBACK",
    "SAVEPOINT s",
    "RELEASE s",
    "PRAGMA query_only = 0",
    "PRAGMA query_only(0)",
    "PRAGMA writable_schema = 1",
    "PRAGMA main.writable_schema = ON",
    "PRAGMA writable_schema = RESET",
    "PRAGMA journal_mode = WAL",
    "PRAGMA journal_mode(DELETE)",
    "PRAGMA temp_store_directory = '/tmp'",
    "PRAGMA temp_store = FILE",
    "PRAGMA trusted_schema = 1",
    "PRAGMA user_version = 7",
    "PRAGMA application_id = 7",
    "PRAGMA schema_version = 7",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "PRAGMA incremental_vacuum",
    "PRAGMA optimize",
    "PRAGMA shrink_memory",
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA mmap_size = 1000000000",
    "PRAGMA hard_heap_limit = 0",
    "PRAGMA soft_heap_limit = 1",
    "PRAGMA cache_size = 1000000000",
    "PRAGMA secure_delete = 1",
    "PRAGMA encoding = 'UTF-16'",
    "PRAGMA threads = 8",
    "SELECT load_extension('evil.so')",
    "SELECT LOAD_EXTENSION('evil.so', 'init')",
    "SELECT fts3_tokenizer('a')",
    "SELECT writefile('stolen', 'x')",
    "SELECT readfile('/etc/passwd')",
    "SELECT * FROM (SELECT load_extension('evil.so'))",
    "EXPLAIN DELETE FROM allocations",
    "EXPLAIN QUERY PLAN DELETE FROM allocations",
    "EXPLAIN VACUUM INTO 'stolen.db'",
    "SELECT 1; DELETE FROM allocations",
    "SELECT 1; ATTACH 'new.db' AS n",
    "SELECT * FROM pragma_journal_mode('wal'), pragma_query_only(0)",
    "SELECT * FROM other.allocations",
];

/// Each must be answered: a gate that refuses everything would pass the table above.
const HARMLESS: &[&str] = &[
    "SELECT count(*) FROM allocations",
    "SELECT * FROM backtraces WHERE id = '1'",
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 10) SELECT sum(x) FROM c",
    "EXPLAIN SELECT * FROM allocations",
    "EXPLAIN QUERY PLAN SELECT * FROM allocations",
    "PRAGMA table_info(allocations)",
    "PRAGMA user_version",
    "PRAGMA integrity_check",
    "SELECT * FROM pragma_table_info('sites')",
    "SELECT name FROM sqlite_schema",
    "SELECT * FROM json_each('[1, 2]')",
    "VALUES (1), (2)",
    "SELECT human_bytes(sum(size)), median(size), percentile(size, 90) FROM allocations",
    "SELECT 'a' REGEXP 'A|a', log2(8), size_class(100), hist_bucket(100), human_time(1e9)",
];

fn database() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("heap.db");
    Heap::random(5).write(&path);
    (directory, path)
}

/// Names and bytes of every file.
pub(crate) fn snapshot(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.map(|path| (path.to_string_lossy().into_owned(), fs::read(&path).unwrap())).collect();
    files.sort();
    files
}

#[test]
fn hostile_statements_are_refused_and_leave_no_trace() {
    let (directory, path) = database();
    let before = snapshot(directory.path());
    let database = Database::open(&path).unwrap();
    for sql in HOSTILE {
        let answer = database.query(sql, &Params::none(), &Limits::default());
        assert!(answer.is_err(), "was answered: {sql}\n{answer:?}");
        assert_eq!(snapshot(directory.path()), before, "left a trace: {sql}");
    }
    for sql in HARMLESS {
        let answer = database.query(sql, &Params::none(), &Limits::default());
        assert!(answer.is_ok(), "was refused: {sql}\n{answer:?}");
    }
    assert_eq!(snapshot(directory.path()), before);
    assert!(!Path::new("stolen.db").exists() && !Path::new("new.db").exists());
}

#[test]
fn refusals_say_so_in_one_sentence() {
    let (_directory, path) = database();
    let database = Database::open(&path).unwrap();
    let refused = database.query("DELETE FROM allocations", &Params::none(), &Limits::default());
    let error = refused.unwrap_err();
    assert_eq!(error.kind, QueryErrorKind::Denied);
    assert!(error.message.contains("only read"), "{error}");
}

const ENDLESS: &[&str] = &[
    // As good as endless: what it sorts does not fit any cache.
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 1000000000) \
     SELECT x FROM c ORDER BY x * 7919 % 1000003",
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 1000000000) \
     SELECT x % 1000, count(*) FROM c GROUP BY 1",
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c",
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c ORDER BY -x LIMIT 5",
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT length(group_concat(x % 2, '')) FROM c",
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT median(x % 7) FROM c WHERE x % 1000 = 0",
    "SELECT count(*) FROM backtrace_frames a, backtrace_frames b, backtrace_frames c, backtrace_frames d, \
     backtrace_frames e, backtrace_frames f, backtrace_frames g, backtrace_frames h, allocations i, allocations j",
];

#[test]
fn an_endless_query_ends_when_it_is_cancelled() {
    let (_directory, path) = database();
    for sql in ENDLESS {
        let cancel = CancelToken::new();
        let path = path.clone();
        let limits = Limits::none().cancelled_by(&cancel);
        let (done, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let answer = Database::open(&path).unwrap().query(sql, &Params::none(), &limits);
            done.send((answer, Instant::now())).unwrap();
        });
        // It must be under way, or nothing is proven.
        let early = ended.recv_timeout(Duration::from_millis(300));
        assert!(early.is_err(), "ended by itself: {sql} {early:?}");
        let cancelled = Instant::now();
        cancel.cancel();
        let (answer, at) = ended.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!(answer.unwrap_err().kind, QueryErrorKind::Cancelled, "{sql}");
        let took = at.duration_since(cancelled);
        assert!(took <= Duration::from_millis(250), "{took:?} for {sql}");
    }
}

#[test]
fn a_deadline_ends_a_query_and_a_used_token_stops_one_before_it_begins() {
    let (_directory, path) = database();
    let database = Database::open(&path).unwrap();
    let limits = Limits { time_max: Some(Duration::from_millis(50)), ..Limits::default() };
    let error = database.query(ENDLESS[0], &Params::none(), &limits).unwrap_err();
    assert_eq!(error.kind, QueryErrorKind::Deadline);
    let used = CancelToken::new();
    used.cancel();
    let error = database.query("SELECT 1", &Params::none(), &Limits::default().cancelled_by(&used));
    assert_eq!(error.unwrap_err().kind, QueryErrorKind::Cancelled);
    // And the connection is as good as new.
    assert!(database.query("SELECT 1", &Params::none(), &Limits::default()).is_ok());
}

#[test]
fn a_single_call_can_not_make_a_huge_value() {
    let (_directory, path) = database();
    let database = Database::open(&path).unwrap();
    for sql in [
        "SELECT hex(zeroblob(400000000))",
        "SELECT printf('%400000000d', 1)",
        "SELECT length(randomblob(400000000))",
        "SELECT replace(hex(zeroblob(4000000)), '0', hex(zeroblob(4000)))",
    ] {
        let start = Instant::now();
        let error = database.query(sql, &Params::none(), &Limits::default()).unwrap_err();
        assert_eq!(error.kind, QueryErrorKind::TooBig, "{sql}: {error}");
        assert!(start.elapsed() < Duration::from_secs(1), "{sql}");
    }
}

#[test]
fn a_query_that_needs_too_much_memory_fails_with_a_message() {
    let (_directory, path) = database();
    // Of this process as a whole: other tests run with the same limit, which leaves them enough.
    let options = OpenOptions { heap_max_bytes: Some(256 << 20) };
    let database = Database::open_with(&path, &options).unwrap();
    // Values just below their own limit, but forty of them.
    let values: Vec<String> =
        (0..40).map(|i| format!("hex(zeroblob({}))", 7_000_000 + i)).collect();
    let sql = &format!("SELECT {}", values.join(", "));
    let error = database.query(sql, &Params::none(), &Limits::rows(1)).unwrap_err();
    assert_eq!(error.kind, QueryErrorKind::TooBig, "{error}");
    assert!(error.message.contains("memory"), "{error}");
}

#[test]
fn files_that_are_not_ours_get_one_clear_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let good = directory.path().join("good.db");
    Heap::random(1).write(&good);
    let bytes = fs::read(&good).unwrap();
    let changed = |at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        bytes
    };
    let problem = |path: &Path| Database::open(path).map(|_| ()).unwrap_err().problem;
    assert_eq!(problem(&directory.path().join("absent")), OpenProblem::Missing);
    assert_eq!(problem(directory.path()), OpenProblem::NotAFile);
    assert_eq!(problem(&file("empty", b"")), OpenProblem::Empty);
    assert_eq!(problem(&file("text", b"hello, this is not a database")), OpenProblem::NotSqlite);
    assert_eq!(problem(&file("cut", &bytes[..60])), OpenProblem::NotSqlite);
    assert_eq!(problem(&file("foreign", &changed(68, 0))), OpenProblem::Foreign);
    assert!(matches!(problem(&file("newer", &changed(60, 1))), OpenProblem::Newer { .. }));
    assert_eq!(problem(&file("wal", &changed(18, 2))), OpenProblem::WriteAheadLog);
    assert!(matches!(problem(&file("short", &bytes[..4096])), OpenProblem::Damaged(_)));
}

#[test]
fn another_schema_version_is_named_with_both_versions_and_the_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("heap.db");
    Heap::random(1).write(&path);
    let ours = SCHEMA_VERSION;
    for (found, who, remedy) in [
        (ours - 1, "an older", "load the recording again"),
        (ours + 1, "a newer", "update rheaper, or load the recording again"),
    ] {
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.pragma_update(None, "user_version", found).unwrap();
        drop(connection);
        let error = Database::open(&path).map(|_| ()).unwrap_err().to_string();
        let expected = format!(
            "{}: written by {who} rheaper with schema version {found}, and this one reads \
             version {ours}: {remedy}",
            path.display()
        );
        assert_eq!(error, expected);
    }
}

#[test]
fn a_table_of_ours_that_is_none_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    for (i, sql) in [
        "DROP TABLE allocations",
        "DROP TABLE sites; CREATE VIEW sites AS \
         WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c",
        "DROP TABLE frames; CREATE VIRTUAL TABLE frames USING fts5(id, file)",
    ]
    .iter()
    .enumerate()
    {
        let path = directory.path().join(format!("{i}.db"));
        Heap::random(2).write(&path);
        rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let problem = Database::open(&path).map(|_| ()).unwrap_err().problem;
        assert!(matches!(problem, OpenProblem::Table(_)), "{sql}: {problem:?}");
    }
}

#[test]
fn damaged_databases_give_messages() {
    let directory = tempfile::tempdir().unwrap();
    let good = directory.path().join("good.db");
    Heap::random(3).write(&good);
    let bytes = fs::read(&good).unwrap();
    let mut dice = crate::support::random_heap::Dice::new(9);
    let path = directory.path().join("damaged.db");
    for _ in 0..crate::database::builtin_queries::seeds() * 4 {
        let mut bytes = bytes.clone();
        for _ in 0..1 + dice.below(4) {
            let at = dice.below(bytes.len() as u64) as usize;
            bytes[at] = dice.below(256) as u8;
        }
        bytes.truncate(bytes.len() - (dice.below(2) * dice.below(bytes.len() as u64)) as usize);
        fs::write(&path, &bytes).unwrap();
        let Ok(database) = Database::open(&path) else {
            continue;
        };
        let limits = Limits { time_max: Some(Duration::from_secs(2)), ..Limits::default() };
        for sql in [
            "SELECT * FROM allocations",
            "SELECT * FROM backtraces",
            "SELECT * FROM sites ORDER BY live_bytes",
        ] {
            let _ = database.query(sql, &Params::none(), &limits);
        }
    }
}
