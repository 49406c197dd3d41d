//! The database of a random heap, its sums computed by `heap.rs`.

use std::collections::BTreeMap;
use std::path::Path;

use rheaper::database::schema::{FUNCTIONS, SCHEMA};
use rusqlite::{Connection, params};

use crate::support::random_heap::{Block, FRAMES, Heap, SCOPES, function, scope_of, thread_name};

impl Heap {
    /// Writes the database of this heap.
    pub(crate) fn write(&self, path: &Path) {
        let mut connection = Connection::open(path).unwrap();
        connection.execute_batch(SCHEMA).unwrap();
        let transaction = connection.transaction().unwrap();
        self.write_blocks(&transaction);
        self.write_frames(&transaction);
        self.write_sites(&transaction);
        self.write_timeline(&transaction);
        self.write_rest(&transaction);
        self.write_sizes(&transaction);
        self.write_zones(&transaction);
        self.write_context(&transaction);
        transaction.commit().unwrap();
    }

    /// Writes the database of this heap as if it had been sampled: sums are those of
    /// [`Heap::replicated`], rows those of this heap, and `sample_weights` say so.
    pub(crate) fn write_sampled(&self, path: &Path, times: impl Fn(i64) -> i64) {
        self.replicated(&times).write(path);
        let mut connection = Connection::open(path).unwrap();
        let transaction = connection.transaction().unwrap();
        for table in ["allocations", "reallocs", "zone_map", "zone_outliers"] {
            transaction.execute(&format!("DELETE FROM {table}"), []).unwrap();
        }
        self.write_blocks(&transaction);
        self.write_zones(&transaction);
        for size in self.blocks.iter().map(|block| block.size) {
            let sql = "INSERT OR IGNORE INTO sample_weights VALUES (?1, ?2, ?3)";
            transaction
                .execute(sql, params![size, times(size) as f64, times(size) * size])
                .unwrap();
        }
        let rows = self.blocks.len() as i64;
        let ended = self.blocks.iter().filter(|block| block.freed.is_some()).count() as i64;
        let sql = "UPDATE meta SET value = ?2 WHERE key = ?1";
        transaction.execute(sql, params!["rows", rows]).unwrap();
        transaction.execute(sql, params!["freed_rows", ended]).unwrap();
        insert(&transaction, "meta", params!["sample_bytes", 4096]);
        transaction.commit().unwrap();
    }

    fn write_blocks(&self, db: &Connection) {
        for (row, block) in self.blocks.iter().enumerate() {
            let Block { made, freed, bt, size, addr, maker, freer, .. } = block;
            insert(db, "allocations", params![made, freed, bt, size, addr, maker, freer]);
            if let Some((old, moved)) = block.grown_from {
                let columns = "INSERT INTO reallocs (new_row, old_row, moved) VALUES (?1, ?2, ?3)";
                db.execute(columns, params![row as i64 + 1, old as i64, moved]).unwrap();
            }
        }
    }

    fn write_frames(&self, db: &Connection) {
        for (i, frame) in FRAMES.iter().enumerate() {
            let function = function(frame);
            insert(
                db,
                "frames",
                params![
                    i as i64 + 1,
                    frame.file,
                    frame.line,
                    frame.sym,
                    function,
                    frame.krate,
                    frame.kind,
                    0,
                    1,
                    i as i64
                ],
            );
        }
        for (bt, stack) in &self.stacks {
            for (frame_no, frame) in stack.iter().enumerate() {
                insert(db, "backtrace_frames", params![bt, frame_no as i64, frame]);
            }
        }
    }

    fn write_sites(&self, db: &Connection) {
        let sql = "INSERT INTO sites (bt, frame, stack, depth, allocations, bytes, frees, live_blocks, live_bytes, \
            peak_bytes, peak_ns, at_peak_blocks, at_peak_bytes, temporary, temporary_bytes, size_min, size_max, \
            lifetime_min_ns, lifetime_avg_ns, lifetime_p50_ns, lifetime_p90_ns, lifetime_p99_ns, lifetime_max_ns, \
            first_ns, last_ns, last_free_ns, threads, cross_thread_frees, freed_at_end_blocks, \
            freed_at_end_bytes, reallocs, reallocs_moved, judged_blocks, judged_bytes) VALUES (?1, ?2, 'whole', ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, \
            ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?7, ?8)";
        for s in self.sites() {
            let stack = &self.stacks[&s.bt];
            let own = stack
                .iter()
                .find(|id| FRAMES[**id as usize - 1].kind == "own")
                .unwrap_or(&stack[0]);
            let threads: std::collections::BTreeSet<i64> =
                self.of(s.bt).iter().map(|block| block.maker).collect();
            let mean = s.lifetimes.iter().sum::<i64>().checked_div(s.frees);
            db.execute(
                sql,
                params![
                    s.bt,
                    own,
                    stack.len() as i64,
                    s.allocations,
                    s.bytes,
                    s.frees,
                    s.live_blocks,
                    s.live_bytes,
                    s.peak_bytes,
                    s.peak_ns,
                    s.at_peak_blocks,
                    s.at_peak_bytes,
                    s.temporary,
                    s.temporary_bytes,
                    s.size_min,
                    s.size_max,
                    s.lifetimes.first(),
                    mean,
                    s.lifetime(50),
                    s.lifetime(90),
                    s.lifetime(99),
                    s.lifetimes.last(),
                    s.first,
                    s.last,
                    s.last_free,
                    threads.len() as i64,
                    s.cross,
                    s.end_blocks,
                    s.end_bytes,
                    s.reallocs,
                    s.moved,
                ],
            )
            .unwrap();
            let caller = "UPDATE sites SET caller = ?2 WHERE bt = ?1";
            db.execute(caller, params![s.bt, self.caller(s.bt)]).unwrap();
        }
        db.execute_batch(FUNCTIONS).unwrap();
    }

    fn write_timeline(&self, db: &Connection) {
        let all: Vec<&Block> = self.blocks.iter().collect();
        for slice in 0..self.slices {
            let (made, freed) = self.in_slices(slice, slice, &all);
            let (live_bytes, live_blocks) = self.live_at_end_of(slice, &all);
            let kept =
                all.iter().filter(|block| block.freed.is_none() && self.slice(block.made) <= slice);
            insert(
                db,
                "timeline",
                params![
                    slice,
                    slice * self.width,
                    self.to_ns(slice),
                    live_bytes,
                    live_blocks,
                    self.peak_in(slice),
                    made.0,
                    made.1,
                    freed.0,
                    freed.1,
                    kept.map(|block| block.size).sum::<i64>(),
                ],
            );
        }
        for bt in self.stacks.keys() {
            let own = self.of(*bt);
            for first in (0..self.slices).step_by(self.group as usize) {
                let last = self.group_end(first);
                let (made, freed) = self.in_slices(first, last, &own);
                if made.0 + freed.0 == 0 {
                    continue;
                }
                let (bytes, blocks) = self.live_at_end_of(last, &own);
                insert(
                    db,
                    "site_timeline",
                    params![bt, last, bytes, blocks, made.0, made.1, freed.0, freed.1],
                );
            }
        }
    }

    fn write_rest(&self, db: &Connection) {
        for id in 0..self.threads {
            let made: Vec<&Block> = self.blocks.iter().filter(|block| block.maker == id).collect();
            let live: Vec<&&Block> = made.iter().filter(|block| block.freed.is_none()).collect();
            let frees = self.blocks.iter().filter(|block| block.freer == Some(id)).count();
            insert(
                db,
                "threads",
                params![
                    id,
                    4000 + id,
                    thread_name(id),
                    made.iter().map(|b| b.made).min(),
                    made.iter().map(|b| b.made).max(),
                    made.len() as i64,
                    made.iter().map(|b| b.size).sum::<i64>(),
                    frees as i64,
                    live.len() as i64,
                    live.iter().map(|b| b.size).sum::<i64>(),
                ],
            );
        }
        for (bt, zeroed, align, allocations, bytes) in &self.layouts {
            insert(db, "unusual_layouts", params![bt, zeroed, align, allocations, bytes]);
        }
        for (at, bt, size, thread) in &self.failures {
            insert(db, "failures", params![at, bt, size, thread]);
        }
        for (name, count) in &self.losses {
            insert(db, "losses", params![name, count, "something was lost"]);
        }
        let sum = |counts: &dyn Fn(&Block) -> bool| {
            let blocks: Vec<&Block> = self.blocks.iter().filter(|block| counts(block)).collect();
            (blocks.len() as i64, blocks.iter().map(|block| block.size).sum::<i64>())
        };
        let (all, live) = (sum(&|_| true), sum(&|block| block.freed.is_none()));
        let peak_ns = self.peak().1;
        let peak =
            sum(&|block| block.made <= peak_ns && block.freed.is_none_or(|freed| freed > peak_ns));
        for (key, value) in [
            ("duration_ns", self.duration),
            ("pid", 4711),
            ("started_unix_ns", 1_767_225_600_000_000_000),
            ("peak_ns", peak_ns),
            ("peak_blocks", peak.0),
            ("peak_bytes", peak.1),
            ("allocations", all.0),
            ("bytes", all.1),
            ("rows", all.0),
            ("freed_rows", all.0 - live.0),
            ("live_blocks", live.0),
            ("live_bytes", live.1),
            ("slices", self.slices),
            ("slice_ns", self.width),
            ("slices_per_point", self.group),
        ] {
            insert(db, "meta", params![key, value]);
        }
    }
}

/// Rows of a zone; so few that a heap has some zones.
const ZONE_ROWS: usize = 5;

impl Heap {
    /// In every other zone all but the youngest blocks are zone_outliers.
    fn write_zones(&self, db: &Connection) {
        let ended: Vec<_> =
            (1_i64..).zip(&self.blocks).filter(|(_, block)| block.freed.is_some()).collect();
        for (index, zone) in ended.chunks(ZONE_ROWS).enumerate() {
            let made = || zone.iter().map(|(_, block)| block.made);
            let from = if index % 2 == 0 { made().min() } else { made().max() }.unwrap();
            for (row, block) in zone.iter().filter(|(_, block)| block.made < from) {
                insert(db, "zone_outliers", params![row, block.made]);
            }
            let ends = || zone.iter().filter_map(|(_, block)| block.freed);
            let (first, last) = (zone[0].0, zone[zone.len() - 1].0);
            insert(db, "zone_map", params![first, last, from, ends().min(), ends().max()]);
        }
    }

    fn write_context(&self, db: &Connection) {
        for (at, name, value, thread) in self.marks() {
            insert(db, "marks", params![at, name, value, thread]);
        }
        for (at, rss, cgroup, live) in self.samples() {
            insert(db, "memory_readings", params![at, rss, cgroup, live]);
        }
        for (id, parent, path) in SCOPES {
            let name = path.rsplit(" > ").next();
            insert(db, "scopes", params![id, parent, name, path]);
        }
        let mut sums: BTreeMap<(i64, Option<i64>), [i64; 4]> = BTreeMap::new();
        for (row, block) in self.blocks.iter().enumerate() {
            let Some(scope) = scope_of(row) else { continue };
            insert(db, "allocation_scopes", params![row as i64 + 1, scope]);
            let live = i64::from(block.freed.is_none());
            let more = [1, block.size, live, live * block.size];
            add(sums.entry((scope, block.bt)).or_default(), more);
        }
        for ((scope, bt), [allocations, bytes, live_blocks, live_bytes]) in sums {
            let values = params![scope, bt, allocations, bytes, live_blocks, live_bytes];
            insert(db, "scope_sites", values);
        }
    }

    fn write_sizes(&self, db: &Connection) {
        let mut sizes: BTreeMap<i64, [i64; 4]> = BTreeMap::new();
        let mut pairs: BTreeMap<(i64, i64), [i64; 2]> = BTreeMap::new();
        for block in &self.blocks {
            let live = i64::from(block.freed.is_none());
            let sums = [1, block.size, live, live * block.size];
            add(sizes.entry(size_class(block.size)).or_default(), sums);
            if let Some(freer) = block.freer {
                add(pairs.entry((block.maker, freer)).or_default(), [1, block.size]);
            }
        }
        let mut site_sizes: BTreeMap<(i64, i64), [i64; 4]> = BTreeMap::new();
        for block in &self.blocks {
            if let Some(bt) = block.bt {
                let up_to = block.size.cast_unsigned().next_power_of_two().cast_signed();
                let live = i64::from(block.freed.is_none());
                let sums = [1, block.size, live, live * block.size];
                add(site_sizes.entry((bt, up_to)).or_default(), sums);
            }
        }
        for ((bt, up_to), [allocations, bytes, live_blocks, live_bytes]) in site_sizes {
            insert(
                db,
                "site_sizes",
                params![bt, up_to, allocations, bytes, live_blocks, live_bytes],
            );
        }
        for (size, [allocations, bytes, live_blocks, live_bytes]) in sizes {
            insert(db, "sizes", params![size, allocations, bytes, live_blocks, live_bytes]);
        }
        for ((maker, freer), [blocks, bytes]) in pairs {
            insert(db, "thread_pairs", params![maker, freer, blocks, bytes]);
        }
    }
}

fn add<const N: usize>(sums: &mut [i64; N], more: [i64; N]) {
    sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

/// The row of `sizes` that a size is in.
pub(crate) fn size_class(size: i64) -> i64 {
    let (mut class, mut step) = (1 << 16, 1 << 12);
    if size <= class {
        return size;
    }
    while class < size {
        class += step;
        if class == step * 32 {
            step *= 2;
        }
    }
    class
}

fn insert(db: &Connection, table: &str, values: &[&dyn rusqlite::ToSql]) {
    let marks = vec!["?"; values.len()].join(", ");
    db.execute(&format!("INSERT INTO {table} VALUES ({marks})"), values).unwrap();
}
