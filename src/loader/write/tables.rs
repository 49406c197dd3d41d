//! Writes the totals: sites, timelines, threads, sizes, failures and the zone map.
//!
//! Invariant: rows are inserted by ascending key, so that SQLite appends them to full pages.

use std::collections::BTreeMap;

use rusqlite::{Connection, Result};

use crate::database::schema::FUNCTIONS;
use crate::loader::model::{FailedAlloc, MissingColumns, Nanos, Site, Thread};
use crate::loader::passes::metadata_pass::RecordingMetadata;
use crate::loader::totals::time_slices::TimeSlice;
use crate::loader::totals::{END_SHARE, ThreadTotals, Totals};
use crate::loader::write::insert::insert;
use crate::loader::write::row_writer::integer;
use crate::loader::write::zone_map::Zone;
use crate::recording::{AggregationStep, StepReason};

/// Recomputes `freed_at_end_*` from the rows. The event pass needs the end of the recording to
/// compute them; the metadata of a recording that was cut off names an earlier one.
pub(crate) fn recompute_freed_at_end(
    connection: &Connection,
    totals: &mut Totals,
    duration: Nanos,
) -> Result<()> {
    let share = duration.0 / END_SHARE;
    // `total()` is exact up to 2⁵³ and can't overflow, whatever sizes a damaged recording has.
    let (sums, from) = match totals.sampling {
        None => ("total(1), total(size)", "allocations"),
        Some(_) => ("total(blocks), total(bytes)", "allocations JOIN sample_weights USING (size)"),
    };
    let mut sums = connection.prepare(&format!(
        "SELECT ifnull(bt, 0), {sums} FROM {from}
         WHERE dealloc_after >= ?1 AND dealloc_after - alloc_after >= ?2 GROUP BY bt"
    ))?;
    for site in &mut totals.sites {
        (site.freed_at_end_blocks, site.freed_at_end_bytes) = (0, 0);
    }
    let from = integer(duration.0.saturating_sub(share));
    let mut rows = sums.query([from, integer(share)])?;
    while let Some(row) = rows.next()? {
        let site = &mut totals.sites[row.get::<_, u32>(0)? as usize];
        site.freed_at_end_blocks = row.get::<_, f64>(1)?.round() as u64;
        site.freed_at_end_bytes = row.get::<_, f64>(2)?.round() as u64;
    }
    Ok(())
}

/// The columns of a site's row that depend on names.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SiteNames {
    /// Row of the frame that names it.
    pub(crate) frame: Option<u32>,
    /// Row of the function of a dependency that this frame calls.
    pub(crate) through: Option<u32>,
    /// Row of the next outer frame of the same kind with another function.
    pub(crate) caller: Option<u32>,
    /// Row of its suspect.
    pub(crate) suspect: Option<u32>,
    /// Row of its innermost frame in the call tree.
    pub(crate) tree: Option<u32>,
    /// Number of frames.
    pub(crate) depth: u32,
    /// Blocks live before the shutdown, else at the end.
    pub(crate) judged_blocks: u64,
    /// Their bytes.
    pub(crate) judged_bytes: u64,
}

/// Writes `sites`: those that have an allocation. `names` and `stacks` (whether a stack is
/// complete) start with site 1.
pub(crate) fn write_sites(
    connection: &Connection,
    totals: &Totals,
    names: &[SiteNames],
    stacks: &[&str],
    missing_columns: MissingColumns,
) -> Result<()> {
    let by_thread = |value: u64| (!missing_columns.threads).then(|| integer(value));
    let sites = totals.sites.iter().enumerate().skip(1).filter(|(_, site)| site.allocations > 0);
    let rows = sites.map(|(bt, site)| {
        // Lifetimes are NULL without a free.
        let of_freed = |value: u64| (site.frees > 0).then(|| integer(value));
        let mean = site.lifetime_sum / u128::from(site.frees.max(1));
        let mean = of_freed(u64::try_from(mean).unwrap_or(u64::MAX));
        let shares = [(1, 2), (9, 10), (99, 100)];
        let histogram = totals.lifetimes.of(bt);
        let quantiles = histogram.map_or([0; 3], |lives| lives.quantiles(shares, site.frees));
        // The middle of a bucket may lie outside the range of its lifetimes.
        let (min, max) = (site.lifetime_min, site.lifetime_max.max(site.lifetime_min));
        let quantiles = quantiles.map(|value| of_freed(value.clamp(min, max)));
        let extremes = [site.lifetime_min, site.lifetime_max].map(of_freed);
        (bt as i64, site, &names[bt - 1], stacks[bt - 1], (extremes, mean, quantiles))
    });
    insert!(connection, "sites", rows, |(bt, site, names, stack, ([min, max], mean, [p50, p90, p99]))| {
        bt: bt,
        frame: names.frame,
        through: names.through,
        caller: names.caller,
        suspect: names.suspect,
        tree: names.tree,
        stack: stack,
        depth: names.depth,
        allocations: integer(site.allocations),
        bytes: integer(site.bytes),
        frees: integer(site.frees),
        live_blocks: integer(site.live_blocks),
        live_bytes: integer(site.live_bytes),
        peak_bytes: integer(site.peak_bytes),
        peak_ns: integer(site.peak_ns.0),
        at_peak_blocks: integer(site.at_peak_blocks),
        at_peak_bytes: integer(site.at_peak_bytes),
        temporary: integer(site.temporary),
        temporary_bytes: integer(site.temporary_bytes),
        size_min: integer(site.size_min),
        size_max: integer(site.size_max),
        lifetime_min_ns: min,
        lifetime_avg_ns: mean,
        lifetime_p50_ns: p50,
        lifetime_p90_ns: p90,
        lifetime_p99_ns: p99,
        lifetime_max_ns: max,
        first_ns: integer(site.first_ns.0),
        last_ns: integer(site.last_ns.0),
        last_free_ns: site.last_free_ns.map(|at| integer(at.0)),
        threads: by_thread(site.threads()),
        cross_thread_frees: by_thread(site.cross_thread_frees),
        freed_at_end_blocks: integer(site.freed_at_end_blocks),
        freed_at_end_bytes: integer(site.freed_at_end_bytes),
        reallocs: integer(site.reallocs),
        reallocs_moved: integer(site.reallocs_moved),
        judged_blocks: integer(names.judged_blocks),
        judged_bytes: integer(names.judged_bytes),
    });
    Ok(())
}

/// Live bytes and blocks, accumulated slice by slice.
#[derive(Clone, Copy, Debug, Default)]
struct LiveCurve {
    bytes: u64,
    blocks: u64,
}

impl LiveCurve {
    fn advance(&mut self, slice: &TimeSlice) -> Self {
        self.bytes =
            self.bytes.saturating_add(slice.allocated_bytes).saturating_sub(slice.freed_bytes);
        self.blocks = self.blocks.saturating_add(slice.allocations).saturating_sub(slice.frees);
        *self
    }
}

/// Writes `functions`, from `sites` and `frames`.
pub(crate) fn write_functions(connection: &Connection) -> Result<()> {
    connection.execute_batch(FUNCTIONS)
}

/// Writes `timeline` and `site_timeline`.
pub(crate) fn write_timelines(
    connection: &Connection,
    totals: &Totals,
    duration: Nanos,
) -> Result<()> {
    let width = totals.slices.width_ns();
    let slices = totals.slices.used(duration);
    let (mut live, mut surviving) = (LiveCurve::default(), 0_u64);
    let rows = (0_u64..).zip(slices).map(|(index, slice)| {
        let peak_bytes = slice.peak_bytes.max(live.bytes);
        surviving = surviving.saturating_add(slice.surviving_bytes);
        (index, slice, live.advance(slice), peak_bytes, surviving)
    });
    insert!(connection, "timeline", rows, |(index, slice, live, peak_bytes, surviving)| {
        slice: integer(index),
        from_ns: integer(index * width),
        to_ns: integer(((index + 1) * width).min(duration.0 + 1)),
        live_bytes: integer(live.bytes),
        live_blocks: integer(live.blocks),
        peak_bytes: integer(peak_bytes),
        allocations: integer(slice.allocations),
        allocated_bytes: integer(slice.allocated_bytes),
        frees: integer(slice.frees),
        freed_bytes: integer(slice.freed_bytes),
        never_freed_bytes: integer(surviving),
    });
    let rows = totals.sites.iter().enumerate().skip(1).flat_map(|(site, sums)| {
        let mut live = LiveCurve::default();
        let points = totals.slices.points(&sums.curve, slices.len());
        points.map(move |(index, point)| (site, index, point, live.advance(&point)))
    });
    insert!(connection, "site_timeline", rows, |(site, index, point, live)| {
        bt: site as i64,
        slice: index as i64,
        live_bytes: integer(live.bytes),
        live_blocks: integer(live.blocks),
        allocations: integer(point.allocations),
        allocated_bytes: integer(point.allocated_bytes),
        frees: integer(point.frees),
        freed_bytes: integer(point.freed_bytes),
    });
    Ok(())
}

/// The value of a `bt` column; NULL: no backtrace was captured.
pub(crate) fn bt(site: Site) -> Option<u32> {
    (site != Site::NONE).then_some(site.0)
}

/// Writes `unusual_layouts` and `failures`.
pub(crate) fn write_requests(
    connection: &Connection,
    totals: &Totals,
    failures: &[FailedAlloc],
) -> Result<()> {
    insert!(connection, "unusual_layouts", &totals.layouts, |((site, zeroed, align), (blocks, bytes))| {
        bt: bt(*site),
        zeroed: *zeroed,
        align: integer(*align),
        allocations: integer(*blocks),
        bytes: integer(*bytes),
    });
    insert!(connection, "failures", failures, |failure| {
        at_ns: integer(failure.at.0),
        bt: bt(failure.site),
        size: integer(failure.size),
        thread: failure.thread.0,
    });
    Ok(())
}

/// Writes `threads`: those with an event, and those that only have a name.
pub(crate) fn write_threads(
    connection: &Connection,
    totals: &Totals,
    metadata: &RecordingMetadata,
) -> Result<()> {
    if metadata.missing_columns().threads {
        return Ok(());
    }
    let mut rows: BTreeMap<u32, _> =
        totals.threads().map(|(Thread(id), sums)| (id, sums)).collect();
    let nothing = ThreadTotals::default();
    for id in metadata.threads.keys() {
        rows.entry(*id).or_insert(&nothing);
    }
    let rows = rows.iter().map(|(id, sums)| (*id, sums, metadata.threads.get(id)));
    insert!(connection, "threads", rows, |(id, sums, named)| {
        id: id,
        os_id: named.map_or(0, |thread| integer(thread.os_id)),
        name: named.map_or("", |thread| thread.name.as_str()),
        first_ns: sums.span.map(|(first, _)| integer(first.0)),
        last_ns: sums.span.map(|(_, last)| integer(last.0)),
        allocations: integer(sums.blocks.allocations),
        bytes: integer(sums.blocks.bytes),
        frees: integer(sums.frees),
        live_blocks: integer(sums.blocks.live_blocks),
        live_bytes: integer(sums.blocks.live_bytes),
    });
    Ok(())
}

/// Writes `sizes`, `site_sizes` and `thread_pairs`.
pub(crate) fn write_sizes_and_pairs(
    connection: &Connection,
    totals: &Totals,
    missing_columns: MissingColumns,
) -> Result<()> {
    insert!(connection, "sizes", totals.sizes.iter(), |(size, sums)| {
        size: integer(size),
        allocations: integer(sums.allocations),
        bytes: integer(sums.bytes),
        live_blocks: integer(sums.live_blocks),
        live_bytes: integer(sums.live_bytes),
    });
    let sites = (0_i64..).zip(&totals.sites).skip(1).filter(|(_, site)| site.allocations > 0);
    let rows = sites.flat_map(|(bt, site)| site.sizes().map(move |(size, sums)| (bt, size, sums)));
    insert!(connection, "site_sizes", rows, |(bt, size, sums)| {
        bt: bt,
        up_to_bytes: integer(size),
        allocations: integer(sums.allocations),
        bytes: integer(sums.bytes),
        live_blocks: integer(sums.live_blocks),
        live_bytes: integer(sums.live_bytes),
    });
    if missing_columns.threads {
        return Ok(());
    }
    insert!(connection, "thread_pairs", totals.thread_pairs(), |((alloc, free), sums)| {
        alloc_thread: alloc.0,
        dealloc_thread: free.0,
        blocks: integer(sums.blocks),
        bytes: integer(sums.bytes),
    });
    Ok(())
}

/// Writes `zone_map`.
pub(crate) fn write_zone_map(connection: &Connection, zones: &[Zone]) -> Result<()> {
    insert!(connection, "zone_map", zones, |zone| {
        first_row: integer(zone.first),
        last_row: integer(zone.last),
        alloc_from: integer(zone.alloc_from.0),
        dealloc_from: integer(zone.free_from.0),
        dealloc_to: integer(zone.free_to.0),
    });
    Ok(())
}

/// Writes `aggregation_steps`.
pub(crate) fn write_aggregation_steps(
    connection: &Connection,
    steps: &[(Nanos, AggregationStep)],
) -> Result<()> {
    insert!(connection, "aggregation_steps", steps, |(at, step)| {
        at_ns: integer(at.0),
        aggregate_below_ns: integer(step.aggregate_below_ns),
        written_bytes: integer(step.written_bytes),
        reason: match step.reason {
            StepReason::Asked => "asked",
            StepReason::Quota => "quota",
        },
    });
    Ok(())
}
