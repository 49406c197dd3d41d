//! The loader end to end: recordings written by hand, and what the database then says.
#![allow(unreachable_pub, reason = "the other tests of the loader use it")]

use std::path::Path;

use rheaper::loader::{LoadOptions, Summary, load};
use rheaper::recording::{Event, NodeId};
use rusqlite::Connection;

use crate::synthetic::naive;
use crate::synthetic::random::{Random, Shape, history};
use crate::synthetic::writer::{Writer, plain_header};

/// A loaded recording.
pub struct Loaded {
    _directory: tempfile::TempDir,
    pub connection: Connection,
    pub summary: Summary,
}

pub fn load_bytes(bytes: &[u8]) -> Loaded {
    let directory = tempfile::tempdir().unwrap();
    let recording = directory.path().join("rip-1");
    let database = directory.path().join("analyzed");
    std::fs::write(&recording, bytes).unwrap();
    let summary = load(&recording, &database, &LoadOptions::default(), &mut ()).unwrap();
    Loaded { connection: open(&database), summary, _directory: directory }
}

fn open(path: &Path) -> Connection {
    Connection::open(path).unwrap()
}

impl Loaded {
    pub fn one(&self, sql: &str) -> i64 {
        self.connection
            .query_row(sql, [], |row| row.get(0))
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    pub fn loss(&self, name: &str) -> i64 {
        self.one(&format!("SELECT count FROM losses WHERE name = '{name}'"))
    }

    /// The rows, each with the address of its innermost frame in place of the backtrace.
    pub fn rows(&self) -> Vec<naive::Row> {
        let mut query = self
            .connection
            .prepare(
                "SELECT alloc_after, dealloc_after, offset, size, addr, alloc_thread, dealloc_thread
                 FROM allocations LEFT JOIN backtrace_frames
                 ON backtrace_frames.bt = allocations.bt AND frame_no = 0
                 LEFT JOIN frames ON frames.id = frame",
            )
            .unwrap();
        let rows = query.query_map([], |row| {
            Ok(naive::Row {
                made: row.get::<_, i64>(0)? as u64,
                freed: row.get::<_, Option<i64>>(1)?.map(|at| at as u64),
                node: NodeId(row.get::<_, i64>(2)? as u32 + 1 - NODE_BASE as u32),
                size: row.get::<_, i64>(3)? as u64,
                address: row.get::<_, i64>(4)? as u64,
                thread: row.get(5)?,
                freed_by: row.get(6)?,
            })
        });
        let mut rows: Vec<_> = rows.unwrap().map(Result::unwrap).collect();
        rows.sort();
        rows
    }
}

/// Node n is a stack of one frame at this plus n.
const NODE_BASE: u64 = 0x10_0000;

pub fn write(events: &[(u32, u32, Event)], nodes: u32, flush_every: usize) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &plain_header());
    for index in 0..nodes {
        let id = NodeId::FIRST.0 + index;
        assert_eq!(writer.node(NodeId::ROOT, NODE_BASE + u64::from(id)).0, id);
    }
    for (index, (stream, thread, event)) in events.iter().enumerate() {
        writer.event(*stream, *thread, event);
        if index % flush_every == flush_every - 1 {
            writer.flush();
        }
    }
    writer.finish()
}

#[test]
fn the_naive_loader_and_the_real_one_agree() {
    // `LOAD_SEEDS=5000` looks longer.
    let seeds = std::env::var("LOAD_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    for seed in 0..seeds.unwrap_or(200) {
        let mut random = Random(seed);
        // What was lost and what was skewed looks alike, so only one stream may lose.
        let streams = 1 + random.below(4) as u32;
        let shape = Shape {
            events: 1 + random.below(400),
            streams,
            addresses: 1 + random.below(60),
            nodes: 1 + random.below(12) as u32,
            gap: [50, 50, 10_000_000][random.below(3) as usize],
            realloc_one_in: 2 + random.below(20),
            lost_one_in: if streams == 1 { 10 } else { 0 },
        };
        let events = history(&mut random, &shape);
        let bytes = write(&events, shape.nodes, 1 + random.below(100) as usize);
        let loaded = load_bytes(&bytes);
        assert_eq!(loaded.rows(), naive::load(&events), "seed {seed}, {shape:?}");
        assert_eq!(loaded.summary.events, events.len() as u64);
        assert_eq!(loaded.loss("late_events"), 0);
    }
}
