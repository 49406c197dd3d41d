//! The SQL of each view; the user can see and change it (`e`).
//!
//! Reads: the filter set. Writes: statements.
//!
//! Invariant: these statements, run in the SQL view, return what the views show.

use crate::tui::app::message::{Query, TreeSource};
use crate::tui::data::filter::FilterSet;
use crate::tui::data::time_axis::{Axis, RowKind};
use crate::tui::data::time_sql::{self, Part};
use crate::tui::flame::measure::Measure;

/// Maximum number of listed suspects.
pub const SUSPECTS_MAX: usize = 1000;

/// Suspects with a curve, by rank.
pub const TRENDS_MAX: usize = 100;

/// The overview in the header: one row.
pub const OVERVIEW: &str = "\
SELECT (SELECT value FROM meta WHERE key = 'duration_ns') AS duration_ns,
  (SELECT value FROM meta WHERE key = 'peak_ns') AS peak_ns,
  (SELECT max(peak_bytes) FROM timeline) AS peak_bytes,
  (SELECT value FROM meta WHERE key = 'rss_bytes') AS rss_bytes,
  (SELECT value FROM meta WHERE key = 'rss_live_bytes') AS rss_live_bytes,
  (SELECT sum(count) FROM losses WHERE name LIKE 'dropped!_%' ESCAPE '!'
    AND name NOT IN ('dropped_marks', 'dropped_scopes')) AS losses,
  (SELECT value FROM meta WHERE key = 'judged_bytes'
    AND EXISTS (SELECT 1 FROM meta WHERE key = 'shutdown_ns')) AS before_shutdown,
  (SELECT value FROM meta WHERE key = 'imported_from') AS imported_from,
  sum(allocations) AS allocations,
  (SELECT live_blocks FROM timeline ORDER BY slice DESC LIMIT 1) AS live_blocks,
  (SELECT live_bytes FROM timeline ORDER BY slice DESC LIMIT 1) AS live_bytes
FROM timeline";

/// Names of threads.
pub const THREADS: &str = "SELECT id, name FROM threads ORDER BY id LIMIT 5000";

/// The suspects of a filter set, with their selected bytes and blocks.
pub fn suspects(filters: &FilterSet, axis: &Axis) -> String {
    let columns = "suspects.*, frames.sym, frames.function, frames.file, frames.line,\n  libraries.function AS library_function, libraries.crate AS library_crate";
    let frames = "LEFT JOIN frames ON frames.id = suspects.frame\n  LEFT JOIN frames AS libraries ON libraries.id = suspects.through";
    // With filters, the error of the selected part is unknown.
    let (columns, frames) = match (axis.rows, filters.is_unfiltered()) {
        (RowKind::Samples, true) => (
            format!("{columns}, estimates.live_bytes_error"),
            format!(
                "{frames}\n  LEFT JOIN estimates ON of = 'suspect' AND estimates.id = suspects.id"
            ),
        ),
        _ => (columns.to_owned(), frames.to_owned()),
    };
    if filters.is_unfiltered() {
        return format!(
            "SELECT {columns},\n  live_bytes AS filtered_bytes, live_blocks AS filtered_blocks\nFROM suspects {frames}\nORDER BY suspects.id LIMIT {SUSPECTS_MAX}"
        );
    }
    let inside = if let Some(by_site) = time_sql::by_site(filters, axis, Part::All) {
        format!(
            "SELECT sites.suspect, sum(by_bt.bytes) AS filtered_bytes, sum(by_bt.blocks) AS filtered_blocks\n  FROM ({by_site}) AS by_bt\n  JOIN sites ON sites.bt = by_bt.bt\n  GROUP BY sites.suspect"
        )
    } else if filters.is_site_only() || filters.is_live_only() {
        let condition = filters.site_condition().unwrap_or_else(|| "1".into());
        format!(
            "SELECT suspect, sum(live_bytes) AS filtered_bytes, sum(live_blocks) AS filtered_blocks\n  FROM sites WHERE {condition}\n  GROUP BY suspect"
        )
    } else {
        let condition = filters.row_condition(axis).unwrap_or_else(|| "1".into());
        let (size, count) = (axis.rows.bytes("allocations"), axis.rows.count("allocations"));
        format!(
            "SELECT sites.suspect, sum(by_bt.bytes) AS filtered_bytes, sum(by_bt.blocks) AS filtered_blocks\n  FROM (SELECT bt, sum({size}) AS bytes, {count} AS blocks FROM allocations\n    WHERE {condition} GROUP BY bt) AS by_bt\n  JOIN sites ON sites.bt = by_bt.bt\n  GROUP BY sites.suspect"
        )
    };
    format!(
        "SELECT {columns},\n  inside.filtered_bytes, inside.filtered_blocks\nFROM ({inside}) AS inside\nJOIN suspects ON suspects.id = inside.suspect {frames}\nORDER BY inside.filtered_bytes DESC, suspects.id LIMIT {SUSPECTS_MAX}"
    )
}

/// Changes of the live bytes of the first suspects per slice.
pub fn trends() -> String {
    format!(
        "SELECT sites.suspect, site_timeline.slice,\n  sum(site_timeline.allocated_bytes - site_timeline.freed_bytes) AS change\nFROM sites JOIN site_timeline ON site_timeline.bt = sites.bt\nWHERE sites.suspect <= {TRENDS_MAX}\nGROUP BY sites.suspect, site_timeline.slice\nORDER BY site_timeline.slice"
    )
}

/// The blocks of a filter set, one per row.
pub fn rows(filters: &FilterSet, axis: &Axis) -> String {
    let mut sql = String::from(
        "SELECT size, alloc_after, dealloc_after, bt,\n  (SELECT function FROM sites JOIN frames ON frames.id = sites.frame\n    WHERE sites.bt = allocations.bt) AS site,\n  alloc_thread, dealloc_thread, addr\nFROM allocations",
    );
    if let Some(condition) = filters.row_condition(axis) {
        sql.push_str("\nWHERE ");
        sql.push_str(&condition);
    }
    sql
}

/// The frames of a backtrace.
pub fn frames(bt: i64) -> String {
    format!(
        "SELECT frame_no, sym, function, crate, kind, file, line, inlined\nFROM backtrace_frames JOIN frames ON frames.id = backtrace_frames.frame\nWHERE bt = {bt}\nORDER BY frame_no"
    )
}

/// The names of sites: the first own function of each.
pub fn names(bts: &[i64]) -> String {
    let bts: Vec<String> = bts.iter().map(i64::to_string).collect();
    format!(
        "SELECT sites.bt, frames.function FROM sites JOIN frames ON frames.id = sites.frame\nWHERE sites.bt IN ({})",
        bts.join(", ")
    )
}

/// The totals of a backtrace; with error bounds if they are estimates.
pub fn site(bt: i64, rows: RowKind) -> String {
    match rows {
        RowKind::Blocks => format!("SELECT * FROM sites WHERE bt = {bt}"),
        RowKind::Samples => format!(
            "SELECT * FROM sites LEFT JOIN estimates ON of = 'site' AND id = bt\nWHERE bt = {bt}"
        ),
    }
}

/// The source of a filter set's call tree. With a time filter, it has only the given measure and those
/// that cost nothing more.
pub fn tree(filters: &FilterSet, axis: &Axis, measure: Measure) -> TreeSource {
    if filters.is_unfiltered() {
        return TreeSource::Prepared;
    }
    if filters.is_site_only() {
        let condition = filters.site_condition().unwrap_or_else(|| "1".into());
        let sites = weights_of_sites();
        return TreeSource::Weights(Query::plain(format!("{sites}\nWHERE {condition}")));
    }
    if let Some(part) = time_sql::part_of(measure)
        && let Some(by_site) = time_sql::by_site(filters, axis, part)
    {
        return TreeSource::Weights(Query::plain(time_sql::weights(&by_site, part)));
    }
    let condition = filters.row_condition(axis).unwrap_or_else(|| "1".into());
    let over = format!("SELECT * FROM allocations\n  WHERE {condition}");
    TreeSource::Weights(Query::plain(weights_of_blocks(&over, axis)))
}

/// The measures of single blocks, by backtrace. `temporary` is 0, because it is known for sites only.
pub fn weights_of_blocks(blocks: &str, axis: &Axis) -> String {
    let (half, peak) = (axis.end_ns / 2, axis.peak_ns);
    let (size, count) = (axis.rows.bytes("block"), axis.rows.count("block"));
    let live = axis.rows.count_of("block", "dealloc_after IS NULL");
    // Samples look up their weight by `block.size`, which needs a name for the subquery.
    let name = match axis.rows {
        RowKind::Blocks => "",
        RowKind::Samples => " AS block",
    };
    format!(
        "SELECT bt,\n  sum(CASE WHEN dealloc_after IS NULL THEN {size} ELSE 0 END) AS live_bytes,\n  sum(CASE WHEN alloc_after <= {peak} AND (dealloc_after IS NULL OR dealloc_after > {peak})\n    THEN {size} ELSE 0 END) AS at_peak_bytes,\n  sum({size}) AS bytes, {count} AS allocations, 0 AS temporary,\n  sum(CASE WHEN dealloc_after IS NULL THEN {size} ELSE 0 END)\n    - sum(CASE WHEN alloc_after <= {half} AND (dealloc_after IS NULL OR dealloc_after > {half})\n    THEN {size} ELSE 0 END) AS growth_bytes,\n  {live} AS live_blocks\nFROM ({blocks}){name}\nGROUP BY bt"
    )
}

/// The measures of a query result with a column `bt`: from its own columns where their names match,
/// otherwise from `sites`.
pub fn weights_of_result(sql: &str, columns: &[String], axis: &Axis) -> String {
    let has = |name: &str| columns.iter().any(|column| column.eq_ignore_ascii_case(name));
    if has("size") && has("alloc_after") && has("dealloc_after") {
        return weights_of_blocks(sql, axis);
    }
    let sums = MEASURE_COLUMNS.map(|(measure, names)| match names.iter().find(|name| has(name)) {
        Some(name) => (1, format!("sum(\"{name}\") AS {measure}")),
        None if measure == "allocations" => (0, format!("count(*) AS {measure}")),
        None => (0, format!("0 AS {measure}")),
    });
    if sums.iter().any(|(own, _)| *own > 0) {
        let sums = sums.map(|(_, sum)| sum).join(", ");
        return format!("SELECT bt, {sums}\nFROM (\n{sql}\n)\nGROUP BY bt");
    }
    format!("{}\nWHERE bt IN (SELECT bt FROM (\n{sql}\n))", weights_of_sites())
}

/// Column names of a result that are taken for a measure, in the order of the measures.
const MEASURE_COLUMNS: [(&str, &[&str]); 7] = [
    ("live_bytes", &["live_bytes"]),
    ("at_peak_bytes", &["at_peak_bytes"]),
    ("bytes", &["bytes", "size", "total_bytes", "allocated_bytes"]),
    ("allocations", &["allocations", "live_blocks", "blocks"]),
    ("temporary", &["temporary"]),
    ("growth_bytes", &["growth_bytes"]),
    ("live_blocks", &["live_blocks"]),
];

fn weights_of_sites() -> &'static str {
    "SELECT bt, live_bytes, at_peak_bytes, bytes, allocations, temporary,
  live_bytes - coalesce((SELECT site_timeline.live_bytes FROM site_timeline
    WHERE site_timeline.bt = sites.bt AND slice < (SELECT count(*) / 2 FROM timeline)
    ORDER BY slice DESC LIMIT 1), 0) AS growth_bytes,
  live_blocks
FROM sites"
}

/// The content of a flamegraph as a list: functions with their weight.
pub fn flame(source: &TreeSource, measure: Measure) -> String {
    let column = match measure {
        Measure::LiveAtEnd => "live_bytes",
        Measure::LiveAtPeak => "at_peak_bytes",
        Measure::Allocated => "bytes",
        Measure::Count => "allocations",
        Measure::Temporary => "temporary",
        Measure::Growth => "growth_bytes",
        Measure::LiveBlocks => "live_blocks",
    };
    match source {
        TreeSource::Prepared => format!(
            "SELECT tree.id, tree.parent, tree.depth, frames.function, tree.{column}\nFROM tree JOIN frames ON frames.id = tree.frame\nWHERE tree.{column} > 0\nORDER BY tree.{column} DESC"
        ),
        TreeSource::Weights(query) => format!(
            "-- each backtrace with its weight; its frames are in backtrace_frames\nSELECT bt, {column} FROM (\n{}\n)\nWHERE {column} > 0\nORDER BY {column} DESC",
            query.sql
        ),
    }
}
