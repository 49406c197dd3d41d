//! A small database for the explorer's tests: what the loader would write for a list of blocks, computed
//! by the most obvious code.
//!
//! Invariant: the same arguments give the same rows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

/// Length of the recording.
pub(crate) const END_NS: i64 = 720_000_000_000;
/// Slices of the timeline.
pub(crate) const SLICES: i64 = 120;

/// A frame: function, file, line, crate, kind, inlined.
pub(crate) type FrameRow = (&'static str, &'static str, i64, &'static str, &'static str, i64);

/// A block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    pub(crate) alloc: i64,
    pub(crate) dealloc: Option<i64>,
    pub(crate) bt: i64,
    pub(crate) size: i64,
    pub(crate) thread: i64,
}

/// Frames by number, stacks (innermost first) by backtrace, blocks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    pub(crate) frames: Vec<FrameRow>,
    pub(crate) stacks: BTreeMap<i64, Vec<usize>>,
    pub(crate) blocks: Vec<Block>,
    /// How many slices a point of a site's curve covers; 0: one.
    pub(crate) slices_per_point: i64,
    /// Rows that are behind rows of later frees.
    pub(crate) late: i64,
}

/// A server with a cache that leaks, a pool that is bounded, churn, a container and a recursion.
pub(crate) fn leaky_server() -> Script {
    let mut script = Script {
        frames: vec![
            ("alloc::alloc::alloc", "/rustc/abc/library/alloc/src/alloc.rs", 95, "alloc", "std", 1),
            (
                "alloc::raw_vec::RawVec<u8>::with_capacity_in",
                "/rustc/abc/library/alloc/src/raw_vec.rs",
                155,
                "alloc",
                "std",
                1,
            ),
            ("server::cache::Cache::insert", "examples/server/cache.rs", 41, "server", "own", 0),
            ("server::session::open", "examples/server/session.rs", 88, "server", "own", 0),
            ("server::handle", "examples/server/main.rs", 120, "server", "own", 0),
            (
                "tokio::runtime::task::raw::poll",
                "/root/.cargo/registry/src/index-1/tokio-1.40.0/src/runtime/task/raw.rs",
                271,
                "tokio",
                "dependency",
                0,
            ),
            ("std::rt::lang_start", "/rustc/abc/library/std/src/rt.rs", 165, "std", "std", 0),
            ("server::main", "examples/server/main.rs", 12, "server", "own", 0),
            ("server::pool::Pool<T>::grow", "examples/server/pool.rs", 27, "server", "own", 0),
            ("server::json::parse", "examples/server/json.rs", 60, "server", "own", 0),
            ("server::json::value", "examples/server/json.rs", 75, "server", "own", 0),
            ("server::index::Index::push", "examples/server/index.rs", 19, "server", "own", 0),
            ("malloc_helper", "", 0, "", "runtime", 0),
            ("server::config::load", "examples/server/config.rs", 9, "server", "own", 0),
            ("libfoo.so.1+0x4a30", "", 0, "", "unknown", 0),
        ],
        ..Script::default()
    };
    let main = [7, 6];
    let task = [4, 5, 7, 6];
    let stack = |inner: &[usize], outer: &[usize]| [inner, outer].concat();
    script.stacks.insert(1, stack(&[0, 1, 2, 3], &task));
    script.stacks.insert(2, stack(&[0, 1, 8], &task));
    script.stacks.insert(3, stack(&[0, 1, 9], &task));
    script.stacks.insert(4, stack(&[0, 1, 10, 10, 10, 9], &task));
    script.stacks.insert(5, stack(&[0, 11], &main));
    script.stacks.insert(6, stack(&[0, 13], &main));
    script.stacks.insert(7, stack(&[12], &main));
    script.stacks.insert(8, vec![14]);
    let second = 1_000_000_000;
    let mut push = |alloc: i64, life: Option<i64>, bt: i64, size: i64, thread: i64| {
        let dealloc = life.map(|life| alloc + life).filter(|at| *at < END_NS);
        script.blocks.push(Block { alloc, dealloc, bt, size, thread });
    };
    for at in 0..700 {
        let now = (at + 1) * second;
        push(now, None, 1, 900 + at % 300, 1 + at % 3);
        push(now + 1000, Some(2000), 3, 128 + at % 64, 1 + at % 3);
        push(now + 5000, Some(second / 2), 4, 64, 1 + at % 3);
        if at < 90 {
            push(now + 9000, None, 2, 4096, 1);
        } else {
            push(now + 9000, Some(30 * second), 2, 4096, 1);
        }
    }
    for step in 0..8 {
        let life = (step < 7).then_some(80 * second);
        push(10 * second + step * 80 * second, life, 5, 1024 << step, 0);
    }
    push(second / 100, None, 6, 20_000, 0);
    push(second / 50, None, 7, 3_000, 0);
    push(second / 40, None, 8, 500, 0);
    script.blocks.sort_by_key(|block| (block.dealloc.unwrap_or(i64::MAX), block.alloc));
    script
}

/// The same server after its fix: the cache evicts, the configuration has grown, the block of the
/// helper is gone, and there is a new audit log.
pub(crate) fn fixed_server() -> Script {
    let mut script = leaky_server();
    script.frames.push(("server::audit::note", "examples/server/audit.rs", 7, "server", "own", 0));
    let note = script.frames.len() - 1;
    script.stacks.insert(9, vec![0, 1, note, 4, 5, 7, 6]);
    script.stacks.remove(&7);
    script.blocks.retain(|block| block.bt != 7);
    for block in &mut script.blocks {
        match block.bt {
            1 => {
                let end = block.alloc + 20_000_000_000;
                block.dealloc = Some(end).filter(|end| *end < END_NS);
            }
            6 => block.size = 30_000,
            _ => {}
        }
    }
    let audit = (0..100).map(|at| Block {
        alloc: (at + 1) * 7_000_000_000,
        dealloc: None,
        bt: 9,
        size: 512,
        thread: 1,
    });
    script.blocks.extend(audit);
    script.blocks.sort_by_key(|block| (block.dealloc.unwrap_or(i64::MAX), block.alloc));
    script
}

/// Writes the databases of the server after and before its fix.
pub(crate) fn databases() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let (directory, after) = database(&fixed_server());
    let before = directory.path().join("before.db");
    write(&leaky_server(), &before);
    (directory, after, before)
}

/// Writes the script's database.
pub(crate) fn write(script: &Script, path: &Path) {
    let mut db = Connection::open(path).unwrap();
    db.execute_batch(include_str!("../../../src/database/schema.sql")).unwrap();
    let tx = db.transaction().unwrap();
    write_frames(&tx, script);
    write_allocations(&tx, script);
    write_sites(&tx, script);
    tx.execute_batch(rheaper::database::schema::FUNCTIONS).unwrap();
    write_timeline(&tx, script);
    write_tree(&tx, script);
    write_meta(&tx, script);
    tx.commit().unwrap();
}

/// The source file with the leak in line 41.
fn cache_rs() -> String {
    let mut lines: Vec<String> = (1..=60).map(|_| String::new()).collect();
    for (at, line) in [
        (30, "impl Cache {"),
        (31, "    /// A session's rendered page, made once."),
        (32, "    pub fn page(&mut self, session: &Session) -> &[u8] {"),
        (33, "        let key = session.id();"),
        (34, "        if !self.map.contains_key(&key) {"),
        (35, "            self.insert(key, render(session));"),
        (36, "        }"),
        (37, "        &self.map[&key]"),
        (38, "    }"),
        (40, "    fn insert(&mut self, key: Key, page: Vec<u8>) {"),
        (41, "        self.map.insert(key, page); // and nobody removes it"),
        (42, "        self.inserted += 1;"),
        (43, "    }"),
        (44, "}"),
    ] {
        lines[at - 1] = line.to_owned();
    }
    lines.join("\n")
}

/// Writes the database and a source file into a new directory, which is removed on drop.
pub(crate) fn database(script: &Script) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.db");
    write(script, &path);
    let source = directory.path().join("examples/server");
    std::fs::create_dir_all(&source).unwrap();
    std::fs::write(source.join("cache.rs"), cache_rs()).unwrap();
    (directory, path)
}

fn live_at(block: &Block, at: i64) -> bool {
    block.alloc <= at && block.dealloc.is_none_or(|dealloc| dealloc > at)
}

fn peak(blocks: &[&Block]) -> (i64, i64) {
    let mut changes: Vec<(i64, i64)> = Vec::new();
    for block in blocks {
        changes.push((block.alloc, block.size));
        if let Some(dealloc) = block.dealloc {
            changes.push((dealloc, -block.size));
        }
    }
    changes.sort_unstable();
    let (mut live, mut best) = (0, (0, 0));
    for (at, change) in changes {
        live += change;
        if live > best.0 {
            best = (live, at);
        }
    }
    best
}

fn all(script: &Script) -> Vec<&Block> {
    script.blocks.iter().collect()
}

fn of(script: &Script, bt: i64) -> Vec<&Block> {
    script.blocks.iter().filter(|block| block.bt == bt).collect()
}

fn function(sym: &str) -> String {
    let plain = sym.replace("<u8>", "").replace("<T>", "");
    let parts: Vec<&str> = plain.rsplit("::").take(2).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join("::")
}

fn first_own(script: &Script, bt: i64) -> usize {
    let stack = &script.stacks[&bt];
    let own = stack.iter().find(|frame| script.frames[**frame].4 == "own");
    *own.unwrap_or(&stack[0])
}

fn write_frames(db: &Connection, script: &Script) {
    for (id, (sym, file, line, krate, kind, inlined)) in script.frames.iter().enumerate() {
        db.execute(
            "INSERT INTO frames VALUES (?1, nullif(?2, ''), nullif(?3, 0), ?4, ?5, nullif(?6, ''), ?7, ?8, 1, 0)",
            params![id as i64, file, line, sym, function(sym), krate, kind, inlined],
        )
        .unwrap();
    }
    for (bt, stack) in &script.stacks {
        for (number, frame) in stack.iter().enumerate() {
            db.execute(
                "INSERT INTO backtrace_frames VALUES (?1, ?2, ?3)",
                params![bt, number as i64, *frame as i64],
            )
            .unwrap();
        }
    }
}

fn write_allocations(db: &Connection, script: &Script) {
    let mut insert =
        db.prepare("INSERT INTO allocations VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)").unwrap();
    for (at, block) in script.blocks.iter().enumerate() {
        let freed_by = block.dealloc.map(|_| block.thread);
        insert
            .execute(params![
                block.alloc,
                block.dealloc,
                block.bt,
                block.size,
                0x7f00_0000_0000i64 + at as i64 * 64,
                block.thread,
                freed_by
            ])
            .unwrap();
    }
}

fn write_sites(db: &Connection, script: &Script) {
    let peak_ns = peak(&all(script)).1;
    let total_live: i64 =
        all(script).iter().filter(|it| it.dealloc.is_none()).map(|it| it.size).sum();
    let mut ranked = Vec::new();
    for bt in script.stacks.keys() {
        let blocks = of(script, *bt);
        let live: Vec<_> = blocks.iter().filter(|it| it.dealloc.is_none()).collect();
        let live_bytes: i64 = live.iter().map(|it| it.size).sum();
        ranked.push((live_bytes, *bt));
    }
    ranked.sort_by_key(|(live, bt)| (-live, *bt));
    for (rank, (live_bytes, bt)) in ranked.iter().enumerate() {
        let blocks = of(script, *bt);
        write_site(db, script, *bt, &blocks, rank as i64 + 1, peak_ns);
        if *live_bytes > 0 {
            write_suspect(db, script, *bt, &blocks, rank as i64 + 1, total_live);
        }
    }
}

fn write_site(
    db: &Connection,
    script: &Script,
    bt: i64,
    blocks: &[&Block],
    suspect: i64,
    peak_ns: i64,
) {
    let sum = |which: &dyn Fn(&Block) -> bool| -> (i64, i64) {
        let chosen: Vec<_> = blocks.iter().filter(|it| which(it)).collect();
        (chosen.len() as i64, chosen.iter().map(|it| it.size).sum())
    };
    let (live_blocks, live_bytes) = sum(&|it| it.dealloc.is_none());
    let (peak_blocks, peak_bytes) = sum(&|it| live_at(it, peak_ns));
    let (made, bytes) = sum(&|_| true);
    let (temporary, temporary_bytes) = sum(&|it| it.dealloc.is_some_and(|at| at - it.alloc < 3000));
    let mut lives: Vec<i64> = blocks.iter().filter_map(|it| Some(it.dealloc? - it.alloc)).collect();
    lives.sort_unstable();
    let life =
        |share: f64| lives.get(((lives.len() as f64 - 1.0) * share).max(0.0) as usize).copied();
    let own_peak = peak(blocks);
    let depth = script.stacks[&bt].len() as i64;
    db.execute(
        "INSERT INTO sites (bt, frame, suspect, stack, depth, allocations, bytes, frees, live_blocks,
         live_bytes, peak_bytes, peak_ns, at_peak_blocks, at_peak_bytes, temporary, temporary_bytes,
         size_min, size_max, lifetime_min_ns, lifetime_avg_ns, lifetime_p50_ns, lifetime_p90_ns,
         lifetime_p99_ns, lifetime_max_ns, first_ns, last_ns, threads, cross_thread_frees,
         freed_at_end_blocks, freed_at_end_bytes, reallocs, reallocs_moved, judged_blocks, judged_bytes)
         VALUES (?1, ?2, ?3, 'whole', ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,
         ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, 0, 0, 0, 0, 0, ?7, ?8)",
        params![
            bt, first_own(script, bt) as i64, suspect, depth, made, bytes, made - live_blocks, live_blocks,
            live_bytes, own_peak.0, own_peak.1, peak_blocks, peak_bytes, temporary, temporary_bytes,
            blocks.iter().map(|it| it.size).min(), blocks.iter().map(|it| it.size).max(),
            life(0.0), life(0.5), life(0.5), life(0.9), life(0.99), life(1.0),
            blocks.iter().map(|it| it.alloc).min(), blocks.iter().map(|it| it.alloc).max(), 3
        ],
    )
    .unwrap();
    let a_point = script.slices_per_point.max(1);
    for first in (0..SLICES).step_by(a_point as usize) {
        let slice = (first + a_point).min(SLICES) - 1;
        let (from, to) = (first * END_NS / SLICES, (slice + 1) * END_NS / SLICES);
        let made = sum(&|it| from <= it.alloc && it.alloc < to);
        let freed = sum(&|it| it.dealloc.is_some_and(|at| from <= at && at < to));
        let live = sum(&|it| live_at(it, to - 1));
        if made.0 + freed.0 > 0 {
            db.execute(
                "INSERT INTO site_timeline VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![bt, slice, live.1, live.0, made.0, made.1, freed.0, freed.1],
            )
            .unwrap();
        }
    }
}

fn write_suspect(
    db: &Connection,
    script: &Script,
    bt: i64,
    blocks: &[&Block],
    id: i64,
    total: i64,
) {
    let live: Vec<_> = blocks.iter().filter(|it| it.dealloc.is_none()).collect();
    let live_bytes: i64 = live.iter().map(|it| it.size).sum();
    let label = match bt {
        1 => "steady leak",
        2 => "bounded",
        5 => "growing container",
        _ => "start-up constant",
    };
    let share = live_bytes as f64 / total as f64;
    let slope = if bt == 1 { 1024.0 } else { 0.0 };
    let sentence = format!(
        "#{id} {label}: {:.1} KiB ({:.0} % of what lives at the end) in {} of {} blocks from `{}`.",
        live_bytes as f64 / 1024.0,
        share * 100.0,
        live.len(),
        blocks.len(),
        function(script.frames[first_own(script, bt)].0),
    );
    db.execute(
        "INSERT INTO suspects VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?8, ?9, ?10, ?11, 0.98, 1.0, ?12, 0.99, ?13, ?14, NULL)",
        params![
            id, label, sentence, live_bytes as f64, first_own(script, bt) as i64, bt, live_bytes,
            live.len() as i64, share, blocks.len() as i64, blocks.iter().map(|it| it.size).sum::<i64>(),
            slope, blocks.iter().map(|it| it.alloc).min(), blocks.iter().map(|it| it.alloc).max()
        ],
    )
    .unwrap();
    let own =
        script.stacks[&bt].iter().enumerate().filter(|(_, id)| script.frames[**id].4 == "own");
    for (frame_no, _) in own.take(5) {
        let sql = "INSERT INTO suspect_frames VALUES (?1, ?2)";
        db.execute(sql, params![id, frame_no as i64]).unwrap();
    }
}

fn write_timeline(db: &Connection, script: &Script) {
    for slice in 0..SLICES {
        let (from, to) = (slice * END_NS / SLICES, (slice + 1) * END_NS / SLICES);
        let live: Vec<_> = script.blocks.iter().filter(|it| live_at(it, to - 1)).collect();
        let bytes: i64 = live.iter().map(|it| it.size).sum();
        let never: i64 = live.iter().filter(|it| it.dealloc.is_none()).map(|it| it.size).sum();
        let sum = |which: &dyn Fn(&Block) -> bool| -> (i64, i64) {
            let chosen: Vec<_> = script.blocks.iter().filter(|it| which(it)).collect();
            (chosen.len() as i64, chosen.iter().map(|it| it.size).sum())
        };
        let made = sum(&|it| from <= it.alloc && it.alloc < to);
        let freed = sum(&|it| it.dealloc.is_some_and(|at| from <= at && at < to));
        db.execute(
            "INSERT INTO timeline VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            params![
                slice,
                from,
                to,
                bytes,
                live.len() as i64,
                bytes,
                made.0,
                made.1,
                freed.0,
                freed.1,
                never
            ],
        )
        .unwrap();
    }
}

#[derive(Default)]
struct Totals {
    numbers: [i64; 7],
    own: [i64; 2],
    children: BTreeMap<usize, Totals>,
}

fn write_tree(db: &Connection, script: &Script) {
    let peak_ns = peak(&all(script)).1;
    let mut root = Totals::default();
    for block in &script.blocks {
        let live = i64::from(block.dealloc.is_none());
        let temporary = i64::from(block.dealloc.is_some_and(|at| at - block.alloc < 3000));
        let half = i64::from(live_at(block, END_NS / 2));
        let numbers = [
            1,
            block.size,
            live,
            live * block.size,
            i64::from(live_at(block, peak_ns)) * block.size,
            temporary,
            (live - half) * block.size,
        ];
        let mut node = &mut root;
        for frame in script.stacks[&block.bt].iter().rev() {
            node = node.children.entry(*frame).or_default();
            node.numbers.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
        }
        node.own[0] += block.size;
        node.own[1] += live * block.size;
    }
    let mut next = 1;
    write_nodes(db, &root, None, 0, &mut next);
    for (bt, stack) in &script.stacks {
        let mut node = None;
        for frame in stack.iter().rev() {
            let sql = "SELECT id FROM tree WHERE parent IS ?1 AND frame = ?2";
            let below = db.query_row(sql, params![node, *frame as i64], |row| row.get::<_, i64>(0));
            node = below.ok();
        }
        db.execute("UPDATE sites SET tree = ?2 WHERE bt = ?1", params![bt, node]).unwrap();
    }
}

fn write_nodes(db: &Connection, above: &Totals, parent: Option<i64>, depth: i64, next: &mut i64) {
    for (frame, node) in &above.children {
        let id = *next;
        *next += 1;
        let [a, b, c, d, e, f, g] = node.numbers;
        db.execute(
            "INSERT INTO tree VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            params![
                id,
                parent,
                *frame as i64,
                depth,
                a,
                b,
                c,
                d,
                e,
                f,
                g,
                node.own[0],
                node.own[1]
            ],
        )
        .unwrap();
        write_nodes(db, node, Some(id), depth + 1, next);
    }
}

fn write_meta(db: &Connection, script: &Script) {
    let (_, peak_ns) = peak(&all(script));
    for (key, value) in [
        ("duration_ns", END_NS),
        ("peak_ns", peak_ns),
        ("allocations", script.blocks.len() as i64),
        ("live_blocks", script.blocks.iter().filter(|it| it.dealloc.is_none()).count() as i64),
        ("sites", script.stacks.len() as i64),
        ("slices", SLICES),
        ("slice_ns", END_NS / SLICES),
        ("slices_per_point", script.slices_per_point.max(1)),
    ] {
        db.execute("INSERT INTO meta VALUES (?1, ?2)", params![key, value]).unwrap();
    }
    write_sizes(db);
    write_context(db, script);
    for (id, name) in ["main", "worker-1", "worker-2", "worker-3"].iter().enumerate() {
        let id = id as i64;
        let made: Vec<_> = script.blocks.iter().filter(|it| it.thread == id).collect();
        let live: Vec<_> = made.iter().filter(|it| it.dealloc.is_none()).collect();
        db.execute(
            "INSERT INTO threads VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                id,
                1000 + id,
                name,
                END_NS,
                made.len() as i64,
                made.iter().map(|it| it.size).sum::<i64>(),
                made.len() as i64 - live.len() as i64,
                live.len() as i64,
                live.iter().map(|it| it.size).sum::<i64>()
            ],
        )
        .unwrap();
    }
    db.execute(
        "INSERT INTO losses VALUES ('missed_frees', ?1, 'blocks whose address was used again')",
        params![script.late],
    )
    .unwrap();
    db.execute("INSERT INTO losses VALUES ('events_dropped', 0, 'events that found no room')", [])
        .unwrap();
    db.execute(
        "INSERT INTO modules VALUES (1, '/opt/server', 'ab12', 1, 1, 2, 0, 0, NULL, 'resolved', '/opt/server')",
        [],
    )
    .unwrap();
}

/// Memory readings every half minute, and marks.
fn write_context(db: &Connection, script: &Script) {
    for at in (0..=END_NS).step_by((END_NS / 24) as usize) {
        let live = script.blocks.iter().filter(|it| live_at(it, at));
        let live: i64 = live.map(|it| it.size).sum();
        db.execute(
            "INSERT INTO memory_readings VALUES (?1, ?2, NULL, ?3)",
            params![at, live * 5 / 4 + 200_000, live],
        )
        .unwrap();
    }
    for (at, name, value) in [(180, "deploy", 42), (480, "config reload", 0)] {
        let at = at * 1_000_000_000_i64;
        db.execute("INSERT INTO marks VALUES (?1, ?2, ?3, 0)", params![at, name, value]).unwrap();
    }
}

/// As the loader writes it: every size here is the largest of its class.
fn write_sizes(db: &Connection) {
    db.execute_batch(
        "INSERT INTO sizes SELECT size, count(*), sum(size), sum(dealloc_after IS NULL),
            sum(CASE WHEN dealloc_after IS NULL THEN size ELSE 0 END) FROM allocations GROUP BY size;
         INSERT INTO thread_pairs SELECT alloc_thread, dealloc_thread, count(*), sum(size)
            FROM allocations WHERE dealloc_thread NOT NULL GROUP BY 1, 2;",
    )
    .unwrap();
}
