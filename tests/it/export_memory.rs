//! What an export takes in memory, over more blocks than it may hold.

use std::process::{Command, Stdio};

use rusqlite::Connection;

use crate::cli::Place;

/// Blocks. As rows of values in memory they would take three times the limit.
const BLOCKS: i64 = 400_000;
/// The most memory at once. Measured over ten million blocks: 23 MiB, 48 of Parquet.
const MEMORY_MAX_KIB: i64 = 60 << 10;

/// The most memory that a run of ours took at once.
fn memory_kib(place: &Place, args: &[&str]) -> i64 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rheaper"));
    command.args(["export", "heap.db", "-o", "out", "--force"]).args(args);
    command.current_dir(place.directory.path()).stderr(Stdio::null());
    #[allow(clippy::zombie_processes, reason = "wait4 waits for it, and says what it took")]
    let child = command.spawn().unwrap();
    let id = child.id().cast_signed();
    let (mut status, mut usage) = (0, std::mem::MaybeUninit::<libc::rusage>::zeroed());
    // SAFETY: the pointers are to variables of the types that the call fills; the child is ours
    // and is waited for nowhere else.
    let waited = unsafe { libc::wait4(id, &raw mut status, 0, usage.as_mut_ptr()) };
    assert_eq!((waited, status), (id, 0), "{args:?}");
    // SAFETY: all zeroes is a value of the type, whatever the call wrote of it.
    unsafe { usage.assume_init() }.ru_maxrss
}

#[test]
fn memory_does_not_grow_with_allocations() {
    let place = Place::new(3);
    let database = Connection::open(place.path("heap.db")).unwrap();
    let sql = "INSERT INTO allocations \
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) \
        SELECT i, i + 50, 1, 64, i * 64, 0, 0 FROM n";
    database.execute(sql, [BLOCKS]).unwrap();
    drop(database);
    let mut wanted = vec![
        vec!["-f", "folded", "--from", "1ns", "-m", "allocated"],
        vec!["-f", "svg", "--sql", "SELECT * FROM allocations WHERE size = 64", "-m", "allocated"],
        vec!["-f", "dhat"],
        vec!["-f", "csv", "--table", "allocations"],
    ];
    if cfg!(feature = "parquet") {
        wanted.push(vec!["-f", "parquet", "--table", "allocations", "--label", "host=a"]);
    }
    for args in wanted {
        let kib = memory_kib(&place, &args);
        assert!(kib < MEMORY_MAX_KIB, "{args:?}: {} MiB", kib >> 10);
    }
}
