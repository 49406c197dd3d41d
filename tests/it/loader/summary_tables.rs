//! Every sum in the database equals a plain `SELECT` over `allocations`.

use std::collections::HashMap;

use crate::loader::end_to_end::{Loaded, load_bytes, write};
use crate::synthetic::random::{Random, Shape, history};

/// A query over rollups, and one over `allocations` that must give the same rows.
const PAIRS: &[(&str, &str, &str)] = &[
    (
        "sites",
        "SELECT bt, allocations, bytes, frees, live_blocks, live_bytes, size_min, size_max,
            lifetime_min_ns, lifetime_avg_ns, lifetime_max_ns, first_ns, last_ns,
            last_free_ns, threads, cross_thread_frees FROM sites ORDER BY bt",
        "SELECT bt, count(*), sum(size), count(dealloc_after),
            count(*) - count(dealloc_after),
            total(CASE WHEN dealloc_after IS NULL THEN size END),
            min(size), max(size), min(dealloc_after - alloc_after),
            CAST(sum(dealloc_after - alloc_after) / count(dealloc_after) AS INTEGER),
            max(dealloc_after - alloc_after), min(alloc_after), max(alloc_after),
            max(dealloc_after), count(DISTINCT alloc_thread),
            count(CASE WHEN dealloc_thread <> alloc_thread THEN 1 END)
         FROM allocations GROUP BY bt ORDER BY bt",
    ),
    (
        "functions",
        "SELECT sym, functions.allocations, functions.bytes, functions.live_blocks,
            functions.live_bytes FROM functions JOIN frames ON frames.id = frame ORDER BY sym",
        "SELECT sym, count(*), total(size), count(*) - count(dealloc_after),
            total(CASE WHEN dealloc_after IS NULL THEN size END)
         FROM allocations JOIN sites USING (bt) JOIN frames ON frames.id = sites.frame
         GROUP BY sym ORDER BY sym",
    ),
    (
        "freed at the end",
        "SELECT bt, freed_at_end_blocks, freed_at_end_bytes FROM sites
         WHERE freed_at_end_blocks > 0 ORDER BY bt",
        "WITH run AS (SELECT value AS t FROM meta WHERE key = 'duration_ns')
         SELECT bt, count(*), sum(size) FROM allocations, run
         WHERE dealloc_after >= t - t / 50 AND dealloc_after - alloc_after >= t / 50
         GROUP BY bt ORDER BY bt",
    ),
    (
        "at the global peak",
        "SELECT bt, at_peak_blocks, at_peak_bytes FROM sites WHERE at_peak_blocks > 0 ORDER BY bt",
        "WITH peak AS (SELECT value AS t FROM meta WHERE key = 'peak_ns')
         SELECT bt, count(*), sum(size) FROM allocations, peak
         WHERE alloc_after <= t AND (dealloc_after IS NULL OR dealloc_after > t)
         GROUP BY bt ORDER BY bt",
    ),
    (
        "the global peak",
        "SELECT value FROM meta WHERE key = 'peak_bytes'",
        "SELECT ifnull(max(live), 0) FROM (SELECT sum(change) OVER (ORDER BY at) AS live FROM (
            SELECT alloc_after AS at, size AS change FROM allocations
            UNION ALL SELECT dealloc_after, -size FROM allocations WHERE dealloc_after NOT NULL))",
    ),
    (
        "each site's own peak",
        "SELECT bt, peak_bytes FROM sites ORDER BY bt",
        "SELECT bt, max(live) FROM (
            SELECT bt, sum(change) OVER (PARTITION BY bt ORDER BY at) AS live FROM (
                SELECT bt, alloc_after AS at, size AS change FROM allocations
                UNION ALL
                SELECT bt, dealloc_after, -size FROM allocations WHERE dealloc_after NOT NULL))
         GROUP BY bt ORDER BY bt",
    ),
    (
        "meta",
        "SELECT (SELECT value FROM meta WHERE key = 'allocations'),
            (SELECT value FROM meta WHERE key = 'bytes'),
            (SELECT value FROM meta WHERE key = 'frees'),
            (SELECT value FROM meta WHERE key = 'live_blocks'),
            (SELECT value FROM meta WHERE key = 'live_bytes'),
            (SELECT value FROM meta WHERE key = 'sites')",
        "SELECT count(*), total(size), count(dealloc_after), count(*) - count(dealloc_after),
            total(CASE WHEN dealloc_after IS NULL THEN size END), count(DISTINCT bt)
         FROM allocations",
    ),
    (
        "timeline",
        "SELECT slice, live_bytes, live_blocks, allocations, allocated_bytes, frees, freed_bytes,
            never_freed_bytes FROM timeline ORDER BY slice",
        "SELECT slice,
            (SELECT total(size) FROM allocations WHERE alloc_after < until
                AND (dealloc_after IS NULL OR dealloc_after >= until)),
            (SELECT count(*) FROM allocations WHERE alloc_after < until
                AND (dealloc_after IS NULL OR dealloc_after >= until)),
            (SELECT count(*) FROM allocations WHERE alloc_after >= since AND alloc_after < until),
            (SELECT total(size) FROM allocations
                WHERE alloc_after >= since AND alloc_after < until),
            (SELECT count(*) FROM allocations
                WHERE dealloc_after >= since AND dealloc_after < until),
            (SELECT total(size) FROM allocations
                WHERE dealloc_after >= since AND dealloc_after < until),
            (SELECT total(size) FROM allocations
                WHERE alloc_after < until AND dealloc_after IS NULL)
         FROM (SELECT slice, from_ns AS since, to_ns AS until FROM timeline)
         ORDER BY slice",
    ),
    // What ended before a slice's end are the first rows, as many as its and all earlier frees, but
    // for those whose end was known late: no row among the first others ended later.
    (
        "order of ends",
        "SELECT slice, 0 FROM timeline ORDER BY slice",
        "WITH late AS (SELECT sum(count) AS rows FROM losses
            WHERE name IN ('missed_frees', 'reordered_pairs', 'late_events')),
            ended AS (SELECT slice, to_ns, sum(frees) OVER (ORDER BY slice) AS rows FROM timeline)
         SELECT slice, (SELECT count(*) FROM allocations
            WHERE allocations.rowid <= ended.rows - late.rows
                AND (dealloc_after IS NULL OR dealloc_after >= to_ns))
         FROM ended, late ORDER BY slice",
    ),
    (
        "site_timeline",
        "SELECT bt, slice, live_bytes, live_blocks, allocations, allocated_bytes, frees,
            freed_bytes FROM site_timeline ORDER BY bt, slice",
        "WITH width AS (SELECT value AS ns FROM meta WHERE key = 'slice_ns'),
            step AS (SELECT value AS slices FROM meta WHERE key = 'slices_per_point'),
            final AS (SELECT value - 1 AS slice FROM meta WHERE key = 'slices'),
            changes AS (
                SELECT bt, alloc_after / ns AS at, 1 AS made, size AS bytes_made,
                    0 AS freed, 0 AS bytes_freed FROM allocations, width
                UNION ALL
                SELECT bt, dealloc_after / ns, 0, 0, 1, size FROM allocations, width
                    WHERE dealloc_after NOT NULL),
            points AS (
                SELECT bt, min((at / slices + 1) * slices - 1, final.slice) AS slice,
                    sum(made) AS made, sum(bytes_made) AS bytes_made, sum(freed) AS freed,
                    sum(bytes_freed) AS bytes_freed
                FROM changes, step, final GROUP BY bt, at / slices)
         SELECT bt, slice, sum(bytes_made - bytes_freed) OVER run, sum(made - freed) OVER run,
            made, bytes_made, freed, bytes_freed
         FROM points WINDOW run AS (PARTITION BY bt ORDER BY slice) ORDER BY bt, slice",
    ),
    (
        "threads",
        "SELECT id, allocations, bytes, frees, live_blocks, live_bytes FROM threads
         WHERE allocations + frees > 0 ORDER BY id",
        "SELECT id,
            (SELECT count(*) FROM allocations WHERE alloc_thread = id),
            (SELECT total(size) FROM allocations WHERE alloc_thread = id),
            (SELECT count(*) FROM allocations WHERE dealloc_thread = id),
            (SELECT count(*) FROM allocations WHERE alloc_thread = id AND dealloc_after IS NULL),
            (SELECT total(size) FROM allocations
                WHERE alloc_thread = id AND dealloc_after IS NULL)
         FROM (SELECT alloc_thread AS id FROM allocations
            UNION SELECT dealloc_thread FROM allocations WHERE dealloc_thread NOT NULL)
         ORDER BY id",
    ),
    (
        "sizes",
        "SELECT size, allocations, bytes, live_blocks, live_bytes FROM sizes ORDER BY size",
        "WITH RECURSIVE edges (edge, step) AS (
            SELECT 65536, 4096
            UNION ALL SELECT edge + step, step * (1 + (edge + step = step * 32)) FROM edges
                WHERE edge < (SELECT max(size) FROM allocations))
         SELECT CASE WHEN size <= 65536 THEN size
                ELSE (SELECT min(edge) FROM edges WHERE edge >= size) END AS class,
            sum(made), sum(size * made), sum(live), sum(size * live)
         FROM (SELECT size, count(*) AS made, count(*) - count(dealloc_after) AS live
            FROM allocations GROUP BY size)
         GROUP BY class ORDER BY class",
    ),
    (
        "site_sizes",
        "SELECT bt, up_to_bytes, allocations, bytes, live_blocks, live_bytes FROM site_sizes
         ORDER BY bt, up_to_bytes",
        "WITH RECURSIVE powers (above, p) AS (
            SELECT -1, 1 UNION ALL SELECT p, p * 2 FROM powers WHERE p < 1 << 40)
         SELECT bt, p, count(*), sum(size), count(*) - count(dealloc_after),
            total(CASE WHEN dealloc_after IS NULL THEN size END)
         FROM allocations JOIN powers ON size > above AND size <= p
         WHERE bt NOT NULL GROUP BY bt, p ORDER BY bt, p",
    ),
    (
        "zone_map",
        "SELECT first_row, last_row, dealloc_from, dealloc_to, alloc_from FROM zone_map
         ORDER BY first_row",
        "SELECT first_row, last_row, min(dealloc_after), max(dealloc_after),
            min(CASE WHEN row IS NULL THEN a.alloc_after END)
         FROM zone_map JOIN allocations AS a ON a.rowid BETWEEN first_row AND last_row
         LEFT JOIN zone_outliers ON row = a.rowid GROUP BY first_row ORDER BY first_row",
    ),
    (
        "zone_outliers",
        "SELECT row, alloc_after FROM zone_outliers ORDER BY row",
        "SELECT a.rowid, a.alloc_after
         FROM zone_map JOIN allocations AS a ON a.rowid BETWEEN first_row AND last_row
         WHERE a.alloc_after < zone_map.alloc_from ORDER BY a.rowid",
    ),
    (
        "rows in zones",
        "SELECT total(last_row - first_row + 1), ifnull(min(first_row), 1) FROM zone_map",
        "SELECT value, 1 FROM meta WHERE key = 'frees'",
    ),
    (
        "thread_pairs",
        "SELECT alloc_thread, dealloc_thread, blocks, bytes FROM thread_pairs ORDER BY 1, 2",
        "SELECT alloc_thread, dealloc_thread, count(*), sum(size) FROM allocations
         WHERE dealloc_thread NOT NULL GROUP BY 1, 2 ORDER BY 1, 2",
    ),
    (
        "tree",
        "SELECT sum(self_bytes), sum(self_live_bytes), sum(CASE WHEN parent IS NULL THEN bytes END),
            sum(CASE WHEN parent IS NULL THEN allocations END),
            sum(CASE WHEN parent IS NULL THEN live_blocks END),
            sum(CASE WHEN parent IS NULL THEN at_peak_bytes END) FROM tree",
        "SELECT sum(bytes), sum(live_bytes), sum(bytes), sum(allocations), sum(live_blocks),
            sum(at_peak_bytes) FROM sites",
    ),
    (
        "a tree node and the sites below it",
        "SELECT id, bytes, live_bytes, temporary FROM tree ORDER BY id",
        "WITH RECURSIVE above (leaf, id) AS (
            SELECT id, id FROM tree
            UNION ALL SELECT leaf, parent FROM above JOIN tree USING (id) WHERE parent NOT NULL)
         SELECT id, sum(bytes), sum(live_bytes), sum(temporary)
         FROM above JOIN sites ON sites.tree = leaf GROUP BY id ORDER BY id",
    ),
    (
        "the inverted tree",
        "SELECT sum(self_bytes), sum(CASE WHEN parent IS NULL THEN live_bytes END)
         FROM tree_inverted",
        "SELECT sum(bytes), sum(live_bytes) FROM sites",
    ),
    (
        "suspects",
        "SELECT id, live_bytes, live_blocks, allocations, bytes, sites, first_ns, last_ns
         FROM suspects ORDER BY id",
        "SELECT suspect, sum(judged_bytes), sum(judged_blocks), sum(allocations), sum(bytes),
            count(*), min(first_ns), max(last_ns) FROM sites GROUP BY suspect ORDER BY suspect",
    ),
    (
        "chains of reallocs",
        "SELECT count(*) FROM reallocs",
        "SELECT count(*) FROM reallocs JOIN allocations AS old ON old.rowid = old_row
         JOIN allocations AS new ON new.rowid = new_row
         WHERE old.dealloc_after <= new.alloc_after AND old.dealloc_thread = new.alloc_thread
            AND moved = (old.addr <> new.addr)",
    ),
    (
        "reallocs of sites",
        "SELECT sum(reallocs) - (SELECT count FROM losses WHERE name = 'unknown_reallocs')
         FROM sites",
        "SELECT count(*) FROM reallocs",
    ),
];

fn rows(loaded: &Loaded, sql: &str) -> Vec<Vec<i64>> {
    let mut query = loaded.connection.prepare(sql).unwrap();
    let columns = query.column_count();
    let rows = query.query_map([], |row| {
        let number = |column| -> rusqlite::Result<i64> {
            Ok(match row.get_ref(column)? {
                rusqlite::types::ValueRef::Real(value) => value as i64,
                rusqlite::types::ValueRef::Integer(value) => value,
                _ => i64::MIN,
            })
        };
        (0..columns).map(number).collect()
    });
    rows.unwrap().map(Result::unwrap).collect()
}

fn check(loaded: &Loaded, what: &str) {
    for (name, rollup, plain) in PAIRS {
        let (rollup, plain) = (rows(loaded, rollup), rows(loaded, plain));
        let differs = rollup.iter().zip(&plain).find(|(one, other)| one != other);
        assert_eq!(differs, None, "{name}, {what}");
        assert_eq!(rollup.len(), plain.len(), "{name}, {what}");
    }
}

#[test]
fn rollups_equal_plain_selects() {
    for seed in 0..60 {
        let mut random = Random(seed * 77 + 5);
        let streams = 1 + random.below(4) as u32;
        let shape = Shape {
            events: 2 + random.below(600),
            streams,
            addresses: 1 + random.below(100),
            nodes: 1 + random.below(30) as u32,
            gap: [3, 50, 10_000_000][random.below(3) as usize],
            realloc_one_in: 2 + random.below(20),
            lost_one_in: if streams == 1 { 10 } else { 0 },
        };
        let events = history(&mut random, &shape);
        let loaded = load_bytes(&write(&events, shape.nodes, 1 + random.below(100) as usize));
        check(&loaded, &format!("seed {seed}, {shape:?}"));
    }
}

#[test]
fn rollups_hold_when_curves_get_coarse() {
    let mut random = Random(3);
    let shape = Shape {
        events: 400_000,
        streams: 2,
        addresses: 3_000,
        nodes: 900,
        gap: 1_000,
        realloc_one_in: 10,
        lost_one_in: 0,
    };
    let events = history(&mut random, &shape);
    let loaded = load_bytes(&write(&events, shape.nodes, 5_000));
    assert!(loaded.one("SELECT value FROM meta WHERE key = 'slices_per_point'") > 1);
    // These twins ask once a slice, which is too slow for so many rows.
    let is_quick = |name: &str| name != "timeline" && name != "order of ends";
    for (name, rollup, plain) in PAIRS.iter().filter(|(name, ..)| is_quick(name)) {
        assert_eq!(rows(&loaded, rollup), rows(&loaded, plain), "{name}");
    }
}

#[test]
fn quantiles_are_close() {
    let mut random = Random(9);
    let shape = Shape {
        events: 60_000,
        streams: 1,
        addresses: 500,
        nodes: 3,
        gap: 100_000,
        realloc_one_in: 1_000_000,
        lost_one_in: 0,
    };
    let loaded = load_bytes(&write(&history(&mut random, &shape), shape.nodes, 1_000));
    let mut lives: HashMap<i64, Vec<i64>> = HashMap::new();
    let sql = "SELECT bt, dealloc_after - alloc_after FROM allocations
               WHERE dealloc_after NOT NULL ORDER BY 2";
    for row in rows(&loaded, sql) {
        lives.entry(row[0]).or_default().push(row[1]);
    }
    let sql = "SELECT bt, lifetime_p50_ns, lifetime_p90_ns, lifetime_p99_ns FROM sites";
    for row in rows(&loaded, sql) {
        let lives = &lives[&row[0]];
        for (share, answer) in [50, 90, 99].into_iter().zip(&row[1..]) {
            let exact = lives[(lives.len() * share).div_ceil(100) - 1] as f64;
            assert!((*answer as f64 - exact).abs() <= exact * 0.04, "p{share}: {answer} {exact}");
        }
    }
}
