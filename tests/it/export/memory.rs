//! What an export takes in memory, over more blocks than it may hold.

use std::process::{Command, Stdio};

use rusqlite::Connection;

use crate::cli::commands::Place;

/// Blocks. As rows of values in memory they would take three times the limit.
const BLOCKS: i64 = 400_000;
/// The most memory at once. Measured over ten million blocks: 23 MiB, 48 of Parquet.
const MEMORY_MAX_KIB: u64 = 60 << 10;

/// The most memory that a run of ours took at once.
fn memory_kib(place: &Place, args: &[&str]) -> u64 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rheaper"));
    command.args(["export", "heap.db", "-o", "out", "--force"]).args(args);
    command.current_dir(place.directory.path()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    // Not what the system says at its end: that has the memory of who started it in it.
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        most = most.max(kib.unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{args:?}");
            assert!(most > 0, "{args:?}: it was over before it was looked at");
            return most;
        }
    }
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
