//! What was summed → tables.
//!
//! Reads: totals, names, the survey. Writes: all tables except those that were filled while the events passed.
//!
//! Invariant: rows go in by ascending key, so that every table is packed.

use std::collections::BTreeMap;

use rusqlite::{Connection, Params, Result};

use crate::database::schema::FUNCTIONS;
use crate::loader::passes::metadata_pass::Survey;
use crate::loader::passes::stacks::{Sites, Stacks};
use crate::loader::read::modules::Module;
use crate::loader::rows::{Failure, MissingColumns, Nanos, Site, Thread};
use crate::loader::sanitize::{self, hex};
use crate::loader::symbols::frame_names::Names;
use crate::loader::symbols::{Call, ModuleSymbols, Symbols};
use crate::loader::totals::lifetime_histogram::Histogram;
use crate::loader::totals::sizes::SizeTotals;
use crate::loader::totals::{END_SHARE, SiteTotals, ThreadTotals, Totals};
use crate::loader::write::row_writer::integer;
use crate::loader::write::zone_map::Zone;
use crate::recording::{Note, StepReason};

/// Inserts all rows into a table with so many columns.
pub(crate) fn fill<P: Params>(
    connection: &Connection,
    table: &str,
    columns: usize,
    rows: impl Iterator<Item = P>,
) -> Result<()> {
    let marks = vec!["?"; columns].join(", ");
    let mut insert = connection.prepare(&format!("INSERT INTO {table} VALUES ({marks})"))?;
    for row in rows {
        insert.execute(row)?;
    }
    Ok(())
}

/// Tables whose size the query planner should know; counting them costs little.
const SMALL_TABLES: [&str; 17] = [
    "frames",
    "backtrace_frames",
    "sites",
    "site_sizes",
    "zone_map",
    "timeline",
    "site_timeline",
    "suspects",
    "functions",
    "tree",
    "tree_inverted",
    "threads",
    "modules",
    "memory_readings",
    "marks",
    "scopes",
    "scope_sites",
];

/// Tells the query planner how big the tables are, so that it begins a join with the small ones.
/// The big tables are not counted again: their sizes are known.
pub(crate) fn write_statistics(connection: &Connection) -> Result<()> {
    for table in SMALL_TABLES {
        connection.execute_batch(&format!("ANALYZE {table}"))?;
    }
    connection.execute_batch(
        "DELETE FROM sqlite_stat1 WHERE tbl IN ('allocations', 'reallocs');
         INSERT INTO sqlite_stat1
             SELECT 'allocations', NULL, value || '' FROM meta WHERE key = 'rows';
         INSERT INTO sqlite_stat1
             SELECT 'allocations', 'allocations_live', max(max(iif(key = 'rows', value, 0))
                 - max(iif(key = 'ended_rows', value, 0)), 1) || ' 1'
             FROM meta WHERE key IN ('rows', 'ended_rows');
         INSERT INTO sqlite_stat1
             SELECT 'reallocs', NULL, ifnull(max(new_row), 0) || '' FROM reallocs;",
    )
}

/// `frames` and `backtrace_frames`.
pub(crate) fn write_names(connection: &Connection, names: &Names, symbols: &Symbols) -> Result<()> {
    let frames = names.rows(symbols).map(|(row, frame, offset)| {
        (
            row.0,
            frame.file.as_deref(),
            frame.line,
            &frame.sym,
            &frame.function,
            frame.krate.as_deref(),
            frame.kind.label(),
            frame.inlined,
            frame.module,
            offset.cast_signed(),
        )
    });
    fill(connection, "frames", 10, frames)?;
    let shown = (0..names.sites()).flat_map(|site| {
        let frames = names.frames(site).iter().enumerate();
        frames.map(move |(number, row)| (site as i64 + 1, number as i64, row.0))
    });
    fill(connection, "backtrace_frames", 3, shown)
}

/// `return_addresses`, `stacks` and `backtrace_stacks`: what symbols can be resolved from again.
pub(crate) fn write_stacks(
    connection: &Connection,
    sites: &Sites,
    stacks: &Stacks,
    calls: &[Call],
) -> Result<()> {
    // Only what sites use, numbered by first appearance; `call_ids` and `stack_ids` say how.
    let mut call_ids = vec![0_u32; calls.len()];
    let mut used_calls = Vec::new();
    let mut stack_ids: Vec<u32> = Vec::new();
    let mut used_stacks: Vec<(Option<u32>, u32)> = Vec::new();
    let mut of_sites = Vec::with_capacity(sites.stacks().len());
    for stack in sites.stacks() {
        let mut missing = Vec::new();
        let mut at = *stack;
        let mut parent = None;
        while let Some((below, location)) = stacks.split(at) {
            match stack_ids.get(at.0 as usize) {
                Some(id) if *id != 0 => {
                    parent = Some(*id);
                    break;
                }
                _ => missing.push((at, location)),
            }
            at = below;
        }
        for (at, location) in missing.into_iter().rev() {
            let call = &mut call_ids[location.0 as usize];
            if *call == 0 {
                used_calls.push(calls[location.0 as usize]);
                *call = used_calls.len() as u32;
            }
            used_stacks.push((parent, *call));
            let index = at.0 as usize;
            if stack_ids.len() <= index {
                stack_ids.resize(index + 1, 0);
            }
            stack_ids[index] = used_stacks.len() as u32;
            parent = Some(stack_ids[index]);
        }
        of_sites.push(parent);
    }
    let numbered = (1_u32..).zip(used_calls);
    let rows = numbered.map(|(id, call)| (id, call.module, call.offset.cast_signed()));
    fill(connection, "return_addresses", 3, rows)?;
    let rows = (1_u32..).zip(used_stacks);
    fill(connection, "stacks", 3, rows.map(|(id, (parent, call))| (id, parent, call)))?;
    fill(connection, "backtrace_stacks", 2, (1_u32..).zip(of_sites))
}

/// What was freed at the end of a run whose end nobody knew while its events passed: one look at
/// all rows, needed only where a recording was cut off.
pub(crate) fn count_freed_at_end(
    connection: &Connection,
    totals: &mut Totals,
    duration: Nanos,
) -> Result<()> {
    let share = duration.0 / END_SHARE;
    // `total`, which is exact up to 2⁵³ and has no overflow: a damaged recording has any sizes.
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

/// What a site's row needs beside its totals.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SiteNames {
    /// The frame that names it.
    pub(crate) frame: Option<u32>,
    /// The dependency's function that the named one calls.
    pub(crate) through: Option<u32>,
    /// The next frame outwards of the same kind that is another function.
    pub(crate) caller: Option<u32>,
    /// The group that it is ranked in.
    pub(crate) suspect: Option<u32>,
    /// Leaf of its stack in the tree.
    pub(crate) tree: Option<u32>,
    /// Frames.
    pub(crate) depth: u32,
}

/// `sites`, for the sites that made a block.
pub(crate) fn write_sites(
    connection: &Connection,
    totals: &Totals,
    names: &[SiteNames],
    outermost: &[&str],
    lacks: MissingColumns,
) -> Result<()> {
    let marks = vec!["?"; 36].join(", ");
    let mut insert = connection.prepare(&format!("INSERT INTO sites VALUES ({marks})"))?;
    for (index, site) in totals.sites.iter().enumerate().skip(1) {
        if site.allocations == 0 {
            continue;
        }
        let named = names[index - 1];
        insert.raw_bind_parameter(1, index as i64)?;
        insert.raw_bind_parameter(2, named.frame)?;
        insert.raw_bind_parameter(3, named.through)?;
        insert.raw_bind_parameter(4, named.caller)?;
        insert.raw_bind_parameter(5, named.suspect)?;
        insert.raw_bind_parameter(6, named.tree)?;
        insert.raw_bind_parameter(7, outermost[index - 1])?;
        for (column, value) in
            (8..).zip(site_numbers(site, totals.lifetimes.of(index), named.depth, lacks))
        {
            insert.raw_bind_parameter(column, value)?;
        }
        insert.raw_execute()?;
    }
    Ok(())
}

/// The columns of `sites` from `depth` on, in order.
fn site_numbers(
    site: &SiteTotals,
    lifetimes: Option<&Histogram>,
    depth: u32,
    lacks: MissingColumns,
) -> [Option<i64>; 29] {
    let of_threads = |value: u64| (!lacks.threads).then(|| integer(value));
    let some = |value: u64| Some(integer(value));
    let freed = |value: u64| (site.frees > 0).then(|| integer(value));
    let mean = site.lifetime_sum / u128::from(site.frees.max(1));
    let shares = [(1, 2), (9, 10), (99, 100)];
    let quantiles = lifetimes.map_or([0; 3], |lives| lives.quantiles(shares, site.frees));
    // A bucket's middle may lie outside of what there was.
    let [p50, p90, p99] = quantiles
        .map(|value| value.clamp(site.lifetime_min, site.lifetime_max.max(site.lifetime_min)));
    [
        Some(i64::from(depth)),
        some(site.allocations),
        some(site.bytes),
        some(site.frees),
        some(site.live_blocks),
        some(site.live_bytes),
        some(site.peak_bytes),
        some(site.peak_ns.0),
        some(site.at_peak_blocks),
        some(site.at_peak_bytes),
        some(site.temporary),
        some(site.temporary_bytes),
        some(site.size_min),
        some(site.size_max),
        freed(site.lifetime_min),
        freed(u64::try_from(mean).unwrap_or(u64::MAX)),
        freed(p50),
        freed(p90),
        freed(p99),
        freed(site.lifetime_max),
        some(site.first_ns.0),
        some(site.last_ns.0),
        site.last_free_ns.map(|at| integer(at.0)),
        of_threads(site.threads()),
        of_threads(site.cross_thread_frees),
        some(site.freed_at_end_blocks),
        some(site.freed_at_end_bytes),
        some(site.reallocs),
        some(site.reallocs_moved),
    ]
}

/// `functions`, from `sites` and `frames`.
pub(crate) fn write_functions(connection: &Connection) -> Result<()> {
    connection.execute_batch(FUNCTIONS)
}

/// `timeline` and `site_timeline`.
pub(crate) fn write_timelines(
    connection: &Connection,
    totals: &Totals,
    duration: Nanos,
) -> Result<()> {
    let width = totals.slices.width_ns();
    let slices = totals.slices.finish(duration);
    let (mut live_bytes, mut live_blocks, mut staying) = (0_u64, 0_u64, 0_u64);
    let rows = (0_u64..).zip(slices).map(|(index, slice)| {
        let peak = slice.peak_bytes.max(live_bytes);
        live_bytes =
            live_bytes.saturating_add(slice.allocated_bytes).saturating_sub(slice.freed_bytes);
        live_blocks = live_blocks.saturating_add(slice.allocations).saturating_sub(slice.frees);
        staying = staying.saturating_add(slice.staying_bytes);
        [
            index,
            index * width,
            ((index + 1) * width).min(duration.0 + 1),
            live_bytes,
            live_blocks,
            peak,
            slice.allocations,
            slice.allocated_bytes,
            slice.frees,
            slice.freed_bytes,
            staying,
        ]
        .map(integer)
    });
    fill(connection, "timeline", 11, rows)?;

    let sites = totals.sites.iter().enumerate().skip(1);
    let rows = sites.flat_map(|(site, sums)| {
        let (mut live_bytes, mut live_blocks) = (0_u64, 0_u64);
        let points = totals.slices.points(&sums.curve, slices.len());
        points.map(move |(slice, point)| {
            live_bytes =
                live_bytes.saturating_add(point.allocated_bytes).saturating_sub(point.freed_bytes);
            live_blocks = live_blocks.saturating_add(point.allocations).saturating_sub(point.frees);
            [
                site as u64,
                slice as u64,
                live_bytes,
                live_blocks,
                point.allocations,
                point.allocated_bytes,
                point.frees,
                point.freed_bytes,
            ]
            .map(integer)
        })
    });
    fill(connection, "site_timeline", 8, rows)
}

/// `unusual_layouts` and `failures`.
pub(crate) fn write_requests(
    connection: &Connection,
    totals: &Totals,
    failures: &[Failure],
) -> Result<()> {
    let probed = |site: Site| (site != Site::NONE).then_some(site.0);
    let layouts = totals.layouts.iter().map(|((site, zeroed, align), sums)| {
        let (blocks, bytes) = (integer(sums.0), integer(sums.1));
        (probed(*site), *zeroed, integer(*align), blocks, bytes)
    });
    fill(connection, "unusual_layouts", 5, layouts)?;
    let failures = failures.iter().map(|failure| {
        let at = integer(failure.at.0);
        (at, probed(failure.site), integer(failure.size), failure.thread.0)
    });
    fill(connection, "failures", 4, failures)
}

/// `threads`: those that did something, and those that only have a name.
pub(crate) fn write_threads(
    connection: &Connection,
    totals: &Totals,
    survey: &Survey,
) -> Result<()> {
    if survey.lacks().threads {
        return Ok(());
    }
    let mut known: BTreeMap<u32, _> =
        totals.threads().map(|(Thread(id), sums)| (id, sums)).collect();
    let nothing = ThreadTotals::default();
    for id in survey.threads.keys() {
        known.entry(*id).or_insert(&nothing);
    }
    let rows = known.iter().map(|(id, sums)| {
        let named = survey.threads.get(id);
        (
            *id,
            named.map_or(0, |thread| integer(thread.os_id)),
            named.map_or("", |thread| thread.name.as_str()),
            sums.span.map(|span| integer(span.0.0)),
            sums.span.map(|span| integer(span.1.0)),
            integer(sums.allocations),
            integer(sums.bytes),
            integer(sums.frees),
            integer(sums.live_blocks),
            integer(sums.live_bytes),
        )
    });
    fill(connection, "threads", 10, rows)
}

/// `sizes`, `site_sizes` and `thread_pairs`.
pub(crate) fn write_sizes_and_pairs(
    connection: &Connection,
    totals: &Totals,
    lacks: MissingColumns,
) -> Result<()> {
    let sizes = totals.sizes.iter().map(|(size, sums)| {
        [size, sums.allocations, sums.bytes, sums.live_blocks, sums.live_bytes].map(integer)
    });
    fill(connection, "sizes", 5, sizes)?;
    let sites = (0_u64..).zip(&totals.sites).skip(1).filter(|(_, site)| site.allocations > 0);
    let rows = sites.flat_map(|(bt, site)| {
        site.sizes().map(move |(up_to, sums)| {
            let SizeTotals { allocations, bytes, live_blocks, live_bytes } = sums;
            [bt, up_to, allocations, bytes, live_blocks, live_bytes].map(integer)
        })
    });
    fill(connection, "site_sizes", 6, rows)?;
    if lacks.threads {
        return Ok(());
    }
    let pairs = totals.thread_pairs().into_iter();
    let pairs = pairs
        .map(|((made, freed), sums)| (made.0, freed.0, integer(sums.blocks), integer(sums.bytes)));
    fill(connection, "thread_pairs", 4, pairs)
}

/// `zone_map`; `zone_outliers` were written with the rows.
pub(crate) fn write_zones(connection: &Connection, zones: &[Zone]) -> Result<()> {
    let rows = zones.iter().map(|zone| {
        [zone.first, zone.last, zone.made_from.0, zone.ended_from.0, zone.ended_to.0].map(integer)
    });
    fill(connection, "zone_map", 5, rows)
}

/// `aggregation_steps`: the steps by which it became coarser.
pub(crate) fn write_aggregation(connection: &Connection, notes: &[(Nanos, Note)]) -> Result<()> {
    let rows = notes.iter().map(|(at, note)| {
        let reason = match note.reason {
            StepReason::Asked => "asked",
            StepReason::Quota => "quota",
        };
        (integer(at.0), integer(note.aggregate_below_ns), integer(note.written_bytes), reason)
    });
    fill(connection, "aggregation_steps", 4, rows)
}

/// `modules`, with when they came and went.
pub(crate) fn write_modules(
    connection: &Connection,
    modules: &[Module],
    symbols: &[ModuleSymbols],
    spans: &[(Nanos, Option<Nanos>)],
) -> Result<()> {
    let rows = (0_u32..).zip(modules).zip(symbols.iter().zip(spans)).map(
        |((id, module), (symbols, (loaded, unloaded)))| {
            let build_id = Some(hex(&module.build_id)).filter(|id| !id.is_empty());
            let file = symbols.file.as_ref().map(|file| {
                let shown = file.to_string_lossy();
                sanitize::text(&shown)
            });
            (
                id,
                &module.shown,
                build_id,
                module.main,
                module.start.cast_signed(),
                module.end.cast_signed(),
                module.bias.cast_signed(),
                integer(loaded.0),
                unloaded.map(|at| integer(at.0)),
                symbols.state.label(),
                file,
            )
        },
    );
    fill(connection, "modules", 11, rows)
}
