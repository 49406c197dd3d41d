//! The SQL of time filters: sums by site, from slices where possible.
//!
//! Invariants:
//! - Sums from slices equal those over `allocations`: for a moment between two edges of the axis, there
//!   is no statement.
//! - No statement scans all of `allocations`: rows of a range of frees are found by number, and live
//!   blocks are the last rows.

use crate::tui::data::filter::{Filter, FilterSet, FreedFilter};
use crate::tui::data::time_axis::Axis;
use crate::tui::flame::measure::Measure;

/// The slices of the run, and the number of slices per point of a site's curve.
pub const SLICES: &str = "\
SELECT from_ns, to_ns, live_bytes, live_blocks, allocations, allocated_bytes, frees, freed_bytes,
  never_freed_bytes, coalesce((SELECT value FROM meta WHERE key = 'slices_per_point'), 1) AS slices_per_point,
  (SELECT sum(count) FROM losses
    WHERE name IN ('missed_frees', 'reordered_pairs', 'late_events')) AS late,
  (SELECT value FROM meta WHERE key = 'aggregated_blocks') AS aggregated,
  (SELECT value FROM meta WHERE key = 'sample_bytes') AS sample_bytes,
  (SELECT value FROM meta WHERE key = 'sites') AS sites
FROM timeline ORDER BY slice";

/// The condition for rows of live blocks, which are the last ones.
const LIVE_ROWS: &str = "rowid > coalesce(
    (SELECT value FROM meta WHERE key = 'freed_rows'), 0) AND dealloc_after IS NULL";

/// Up to this many sites are looked up one by one: 2 to 3 µs each, whereas a pass over all curves takes
/// 50 ms for ten million allocations.
const LOOKUP_SITES_MAX: i64 = 20_000;

/// A part of a filter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All its blocks.
    All,
    /// Its blocks live at the end.
    Survivors,
}

/// A statement for `bt`, `bytes` and `blocks` of the sites of a time filter, if slices suffice.
pub fn by_site(filters: &FilterSet, axis: &Axis, part: Part) -> Option<String> {
    let (filter, freed) = filters.time_filter()?;
    let condition = filters.site_condition();
    let survivors_only = part == Part::Survivors || freed == FreedFilter::LiveOnly;
    match (filter, survivors_only) {
        (Filter::AtPeak, false) => Some(format!(
            "SELECT bt, at_peak_bytes AS bytes, at_peak_blocks AS blocks FROM sites\n  WHERE at_peak_blocks > 0{}",
            and_condition(condition.as_deref())
        )),
        (Filter::AtPeak, true) => Some(survivors(axis, 0, axis.peak_ns + 1, condition.as_deref())),
        (Filter::AllocatedIn(from, to) | Filter::SurvivingFrom(from, to), true) => {
            Some(survivors(axis, *from, *to, condition.as_deref()))
        }
        (Filter::AliveAt(at) | Filter::AliveThrough(at, _), true) => {
            Some(survivors(axis, 0, at.saturating_add(1), condition.as_deref()))
        }
        (Filter::AllocatedIn(from, to), false) => {
            let (first, last) = (axis.edge_at(*from)?, edge_at(axis, *to)?);
            Some(allocated_between(axis, first, last, condition.as_deref()))
        }
        (Filter::AliveAt(at), false) => {
            let edge = edge_at(axis, at.saturating_add(1))?;
            Some(live_at_edge(axis, edge, condition.as_deref()))
        }
        (Filter::AliveThrough(from, to), false) => {
            let (first, last) =
                (edge_at(axis, from.saturating_add(1))?, edge_at(axis, to.saturating_add(1))?);
            Some(live_at_both_edges(axis, (first, last), *from, condition.as_deref()))
        }
        _ => None,
    }
}

/// The changes per slice of the selected sites.
pub fn changes(filters: &FilterSet) -> String {
    let condition = filters.site_condition().unwrap_or_else(|| "1".into());
    format!(
        "SELECT slice, sum(allocations) AS allocations, sum(allocated_bytes) AS allocated_bytes,\n  sum(frees) AS frees, sum(freed_bytes) AS freed_bytes\nFROM site_timeline WHERE {condition}\nGROUP BY slice ORDER BY slice"
    )
}

/// The changes per slice of the groups of sites with the highest peaks, largest first.
pub fn largest(filters: &FilterSet, limit: usize) -> String {
    let condition = filters.site_condition().unwrap_or_else(|| "1".into());
    format!(
        "WITH chosen AS (SELECT bt, suspect, peak_bytes FROM sites WHERE {condition}),\ntop AS (SELECT suspect, sum(peak_bytes) AS weight FROM chosen\n  WHERE suspect NOT NULL GROUP BY suspect ORDER BY weight DESC, suspect LIMIT {limit})\nSELECT top.suspect, coalesce(frames.function, '?') AS site, slice,\n  sum(allocated_bytes - freed_bytes) AS change\nFROM top JOIN chosen ON chosen.suspect = top.suspect\nJOIN site_timeline ON site_timeline.bt = chosen.bt\nLEFT JOIN suspects ON suspects.id = top.suspect\nLEFT JOIN frames ON frames.id = suspects.frame\nGROUP BY top.suspect, slice ORDER BY weight DESC, top.suspect, slice"
    )
}

/// Memory readings: time, resident bytes.
pub const RSS: &str =
    "SELECT at_ns, rss_bytes FROM memory_readings WHERE rss_bytes NOT NULL ORDER BY at_ns";

/// The marks.
pub const MARKS: &str = "SELECT at_ns, name, value FROM marks ORDER BY at_ns LIMIT 5000";

/// The part of a filter set that a measure needs, if sums by site suffice.
pub fn part_of(measure: Measure) -> Option<Part> {
    match measure {
        Measure::Allocated | Measure::Count => Some(Part::All),
        Measure::LiveAtEnd | Measure::LiveBlocks => Some(Part::Survivors),
        Measure::LiveAtPeak | Measure::Temporary | Measure::Growth => None,
    }
}

/// The measures from sums by site; those of the other part are 0.
pub fn weights(by_site: &str, part: Part) -> String {
    let columns = match part {
        Part::All => {
            "0 AS live_bytes, 0 AS at_peak_bytes, bytes, blocks AS allocations,\n  0 AS temporary, 0 AS growth_bytes, 0 AS live_blocks"
        }
        Part::Survivors => {
            "bytes AS live_bytes, 0 AS at_peak_bytes, 0 AS bytes, 0 AS allocations,\n  0 AS temporary, 0 AS growth_bytes, blocks AS live_blocks"
        }
    };
    format!("SELECT bt, {columns}\nFROM ({by_site})")
}

/// The edge at a moment; the last one for moments after the end.
fn edge_at(axis: &Axis, at: i64) -> Option<usize> {
    match at > axis.end_ns {
        true => Some(axis.points()),
        false => axis.edge_at(at),
    }
}

fn and_condition(condition: Option<&str>) -> String {
    condition.map(|it| format!("\n    AND {it}")).unwrap_or_default()
}

/// Sums of blocks allocated from edge to edge.
fn allocated_between(axis: &Axis, first: usize, last: usize, condition: Option<&str>) -> String {
    let from = axis.slice_before(first).map_or(0, |slice| slice + 1);
    let to = axis.slice_before(last).map_or(-1, |slice| slice as i64);
    format!(
        "SELECT bt, sum(allocated_bytes) AS bytes, sum(allocations) AS blocks FROM site_timeline\n  WHERE slice BETWEEN {from} AND {to}{}\n  GROUP BY bt HAVING blocks > 0",
        and_condition(condition)
    )
}

/// Blocks live at an edge: the last point of each site's curve up to it. Few sites are looked up one by
/// one, many in one pass: for max(), SQLite returns the other columns of the row with the maximum.
fn live_at_edge(axis: &Axis, edge: usize, condition: Option<&str>) -> String {
    if edge == axis.points() {
        return format!(
            "SELECT bt, live_bytes AS bytes, live_blocks AS blocks FROM sites\n  WHERE live_blocks > 0{}",
            and_condition(condition)
        );
    }
    let to = axis.slice_before(edge).map_or(-1, |slice| slice as i64);
    if axis.sites <= LOOKUP_SITES_MAX {
        return format!(
            "SELECT point.bt, point.live_bytes AS bytes, point.live_blocks AS blocks\n  FROM (SELECT bt FROM sites WHERE {}) AS chosen\n  CROSS JOIN site_timeline AS point ON point.bt = chosen.bt AND point.slice =\n    (SELECT max(slice) FROM site_timeline WHERE bt = chosen.bt AND slice <= {to})\n  WHERE point.live_blocks > 0",
            condition.unwrap_or("1")
        );
    }
    format!(
        "SELECT bt, bytes, blocks FROM (\n  SELECT bt, live_bytes AS bytes, live_blocks AS blocks, max(slice) FROM site_timeline\n  WHERE slice <= {to}{}\n  GROUP BY bt)\n  WHERE blocks > 0",
        and_condition(condition)
    )
}

/// Blocks live at both edges: either those live at the first without those freed in between, or those
/// freed later without those allocated later, whichever are fewer rows. The former needs rows in the
/// exact order of frees.
fn live_at_both_edges(
    axis: &Axis,
    edges: (usize, usize),
    from: i64,
    condition: Option<&str>,
) -> String {
    let (before, after) = (axis.ended_before(edges.0), axis.ended_before(edges.1));
    let live = axis.slices.last().map_or(0, |slice| slice.live_blocks);
    let (size, count) = (axis.rows.bytes("allocations"), axis.rows.count("allocations"));
    if axis.late > 0 || after - before > axis.frees() - after + live {
        return format!(
            "SELECT bt, sum({size}) AS bytes, {count} AS blocks FROM allocations\n  WHERE rowid > {} AND alloc_after <= {from}\n    AND (dealloc_after IS NULL OR dealloc_after >= {}){}\n  GROUP BY bt",
            axis.min_ended_before(edges.1),
            axis.edge(edges.1),
            and_condition(condition)
        );
    }
    let then = live_at_edge(axis, edges.0, condition);
    format!(
        "SELECT bt, sum(bytes) AS bytes, sum(blocks) AS blocks FROM (\n  {then}\n  UNION ALL\n  SELECT bt, -sum({size}), -{count} FROM allocations\n  WHERE rowid > {before} AND rowid <= {after} AND alloc_after <= {from}{}\n  GROUP BY bt\n)\nGROUP BY bt HAVING sum(blocks) > 0",
        and_condition(condition)
    )
}

/// Blocks allocated in a range and live at the end.
fn survivors(axis: &Axis, from: i64, to: i64, condition: Option<&str>) -> String {
    let (size, count) = (axis.rows.bytes("allocations"), axis.rows.count("allocations"));
    format!(
        "SELECT bt, sum({size}) AS bytes, {count} AS blocks FROM allocations\n  WHERE {LIVE_ROWS}\n    AND alloc_after >= {from} AND alloc_after < {to}{}\n  GROUP BY bt",
        and_condition(condition)
    )
}
