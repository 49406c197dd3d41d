//! Recognizes the shutdown at the end of a recording, in which nearly everything is freed, and sums
//! what each site held before it.
//!
//! A leak is judged by the blocks that are live while the program works: a server that frees
//! everything before it exits has no live blocks at the end, but leaked all the same. A program that
//! continues after freeing much (it clears a cache, or starts the next batch) has not shut down.
//! Therefore several independent criteria must hold:
//! - most of the live heap is freed, by two of three measures: bytes, blocks, and sites without any
//!   live block left; by all three if the recording was cut off;
//! - little is allocated meanwhile, and hardly any of it stays live;
//! - the program does not work meanwhile: there are no slices with allocations as before and without
//!   a decline;
//! - live bytes had not declined as far before, or not repeatedly: a program with a saw-tooth curve
//!   does that regularly, and only a decline below its usual minimum is the shutdown.
//!
//! The duration is no criterion: dropping a map takes microseconds, or seconds with slow destructors.
//!
//! Invariant: costs nothing if less than half is freed; else one scan of the rows that ended since.

use rusqlite::types::Value;
use rusqlite::{Connection, Result};

use crate::database::estimate::SampleSum;
use crate::loader::model::{Nanos, Site};
use crate::loader::totals::decline::{Moment, Precedents};
use crate::loader::totals::sample_weights::SampleWeights;
use crate::loader::totals::time_slices::TimeSlice;
use crate::loader::totals::{GlobalTotals, SiteTotals, Totals};
use crate::loader::write::row_writer::integer;
use crate::loader::write::zone_map::Zone;

/// "Nearly everything": this share of the bytes, blocks or sites that were live.
const FREED_SHARE: f64 = 0.8;
/// Below this share of bytes and of blocks there was no shutdown.
const PLAUSIBLE_SHARE: f64 = 0.5;
/// The sum of the rises during the decline, relative to it; above, the program was working.
const REGROWN_SHARE: f64 = 0.25;
/// Live bytes may later exceed those before the shutdown by this share; above, the program was working.
const EXCEEDED_SHARE: f64 = 0.125;
/// Limit on allocations per freed block: freeing takes a few, work goes on.
const ALLOCATIONS_PER_BLOCK: f64 = 4.0;
/// … apart from this many, such as for a printed line.
const ALLOCATIONS_FEW: u64 = 64;
/// Limit on the bytes that are allocated meanwhile and stay live, relative to the freed bytes.
const STAYING_SHARE: f64 = 0.1;
/// The program works in a slice in which live bytes do not decline and there are more than this
/// share of the allocations of an earlier slice …
const WORKING_RATE_SHARE: f64 = 0.25;
/// … if there are at least this many such slices: fewer give no rate.
const WORKING_SLICES_MIN: usize = 3;
/// This many earlier declines as deep as the last one mean that it is a regular one.
const PRECEDENTS_MIN: u64 = 2;

/// Live blocks of a site, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LiveSum {
    /// Their number.
    pub(crate) blocks: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
}

impl LiveSum {
    /// Of a site at the end.
    pub(crate) const fn at_end(site: &SiteTotals) -> Self {
        Self { blocks: site.live_blocks, bytes: site.live_bytes }
    }
}

/// A shutdown.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Shutdown {
    /// Its beginning: more was live than at any time since.
    pub(crate) at: Nanos,
    /// Live at that time.
    pub(crate) live: LiveSum,
    /// By site; the first is for blocks without a captured backtrace.
    pub(crate) sites: Vec<LiveSum>,
    /// Their samples by site; empty if every block was recorded.
    pub(crate) samples: Vec<SampleSum>,
}

/// How the recording ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended<'a> {
    /// Its length.
    pub(crate) duration: Nanos,
    /// Whether the recording is sealed; else it was cut off.
    pub(crate) is_sealed: bool,
    /// Deep declines before the last one.
    pub(crate) precedents: Precedents,
    /// The zone map.
    pub(crate) zones: &'a [Zone],
    /// Rows of freed blocks.
    pub(crate) freed_rows: u64,
}

/// The shutdown at the end of the recording: the earliest of `moments` that meets all criteria.
pub(crate) fn find(
    connection: &Connection,
    totals: &Totals,
    moments: &[Moment],
    ended: &Ended<'_>,
) -> Result<Option<Shutdown>> {
    let slices = Curve::of(totals.slices.used(ended.duration), totals.slices.width_ns());
    for moment in moments {
        if is_regular(&ended.precedents, moment) || slices.exceeds(moment) {
            continue;
        }
        let moment = slices.last_work(moment).unwrap_or(*moment);
        if !is_plausible(&moment, &totals.global) {
            continue;
        }
        let shutdown = live_at(connection, totals, moment.at, ended)?;
        if is_shutdown(&shutdown, totals, ended.is_sealed) {
            return Ok(Some(shutdown));
        }
    }
    Ok(None)
}

/// The heap at the end of every slice, and the slice itself.
struct Curve {
    ends: Vec<(Moment, TimeSlice)>,
    width_ns: u64,
}

impl Curve {
    fn of(slices: &[TimeSlice], width_ns: u64) -> Self {
        let mut now = Moment::default();
        let ends = slices.iter().map(|slice| {
            now.at = Nanos(now.at.0.saturating_add(width_ns));
            now.allocations = now.allocations.saturating_add(slice.allocations);
            now.live_bytes = now
                .live_bytes
                .saturating_add(slice.allocated_bytes)
                .saturating_sub(slice.freed_bytes);
            now.live_blocks =
                now.live_blocks.saturating_add(slice.allocations).saturating_sub(slice.frees);
            (now, *slice)
        });
        Self { ends: ends.collect(), width_ns }
    }

    /// The first slice after a moment.
    fn behind(&self, moment: &Moment) -> usize {
        (moment.at.0 / self.width_ns).saturating_add(1).min(self.ends.len() as u64) as usize
    }

    /// Whether bytes or blocks are later above those of the moment by more than a shutdown needs.
    fn exceeds(&self, moment: &Moment) -> bool {
        let is_more = |live: u64, before: u64| live as f64 > before as f64 * (1.0 + EXCEEDED_SHARE);
        self.ends[self.behind(moment)..].iter().any(|(end, slice)| {
            is_more(slice.peak_bytes, moment.live_bytes)
                || is_more(end.live_blocks, moment.live_blocks)
        })
    }

    /// The last slice in which the program worked after a moment: it allocated as before, and live
    /// bytes did not decline.
    fn last_work(&self, moment: &Moment) -> Option<Moment> {
        let behind = self.behind(moment);
        let before = &self.ends[..behind.saturating_sub(1)];
        let allocations = before.last().map_or(0, |(end, _)| end.allocations);
        let rate = allocations as f64 / before.len().max(1) as f64;
        let last = self.ends.len().saturating_sub(1).max(behind);
        let working = self.ends[..last].windows(2).skip(behind.saturating_sub(1)).filter(|pair| {
            let ((earlier, _), (end, slice)) = (pair[0], pair[1]);
            slice.allocations as f64 > rate * WORKING_RATE_SHARE
                && end.live_bytes >= earlier.live_bytes
        });
        let ends: Vec<Moment> = working.map(|pair| pair[1].0).collect();
        ends.last().copied().filter(|_| ends.len() >= WORKING_SLICES_MIN)
    }
}

/// Whether much was freed since the moment, and little allocated.
fn is_plausible(moment: &Moment, end: &GlobalTotals) -> bool {
    let share =
        |before: u64, after: u64| before.saturating_sub(after) as f64 / before.max(1) as f64;
    let bytes = share(moment.live_bytes, end.live_bytes);
    let blocks = share(moment.live_blocks, end.live_blocks);
    let freed = moment.live_blocks.saturating_sub(end.live_blocks) as f64;
    let allocated = end.allocations.saturating_sub(moment.allocations);
    bytes.max(blocks) >= PLAUSIBLE_SHARE
        && moment.regrown as f64 <= moment.fallen as f64 * REGROWN_SHARE
        && allocated.saturating_sub(ALLOCATIONS_FEW) as f64 <= freed * ALLOCATIONS_PER_BLOCK
}

/// Whether the heap declined as far before, repeatedly. A decline below the usual minimum is not one of
/// these.
fn is_regular(precedents: &Precedents, moment: &Moment) -> bool {
    !moment.is_bottom
        && precedents.count >= PRECEDENTS_MIN
        && precedents.high_bytes >= moment.live_bytes / 2
}

/// The blocks that were live at a moment, from the rows that ended since and those live at the end.
fn live_at(
    connection: &Connection,
    totals: &Totals,
    at: Nanos,
    ended: &Ended<'_>,
) -> Result<Shutdown> {
    let rate = totals.sampling.as_ref().map(SampleWeights::rate);
    let mut blocks = vec![0.0; totals.sites.len()];
    let mut shutdown = Shutdown { at, ..Shutdown::default() };
    shutdown.sites.resize(totals.sites.len(), LiveSum::default());
    shutdown.samples.resize(rate.map_or(0, |_| totals.sites.len()), SampleSum::default());
    let mut live_blocks = connection.prepare(
        "SELECT ifnull(bt, 0), size FROM allocations WHERE rowid BETWEEN ?1 AND ?2
         AND alloc_after <= ?3 AND (dealloc_after IS NULL OR dealloc_after > ?3)",
    )?;
    let zones = ended.zones.iter().filter(|zone| zone.free_to > at);
    let ranges = zones.map(|zone| (zone.first, zone.last));
    for (first, last) in ranges.chain([(ended.freed_rows.saturating_add(1), u64::MAX)]) {
        let mut rows = live_blocks.query([first, last, at.0].map(integer))?;
        while let Some(row) = rows.next()? {
            let (site, size): (u32, i64) = (row.get(0)?, row.get(1)?);
            let site = site as usize;
            let size = size.max(0).unsigned_abs();
            let Some(live) = shutdown.sites.get_mut(site) else { continue };
            let (count, bytes) =
                rate.map_or((1.0, size), |rate| (rate.blocks(size), rate.bytes(size)));
            live.bytes = live.bytes.saturating_add(bytes);
            blocks[site] += count;
            if let Some((samples, rate)) = shutdown.samples.get_mut(site).zip(rate) {
                samples.add(rate, size);
            }
        }
    }
    for (live, blocks) in shutdown.sites.iter_mut().zip(blocks) {
        live.blocks = f64::round(blocks) as u64;
        shutdown.live.blocks = shutdown.live.blocks.saturating_add(live.blocks);
        shutdown.live.bytes = shutdown.live.bytes.saturating_add(live.bytes);
    }
    Ok(shutdown)
}

/// Whether nearly everything was freed, and hardly anything new stays live.
fn is_shutdown(shutdown: &Shutdown, totals: &Totals, is_sealed: bool) -> bool {
    let (mut freed, mut staying) = (LiveSum::default(), LiveSum::default());
    let (mut occupied, mut emptied) = (0_u64, 0_u64);
    for (held, site) in shutdown.sites.iter().zip(&totals.sites) {
        freed.blocks = freed.blocks.saturating_add(held.blocks.saturating_sub(site.live_blocks));
        freed.bytes = freed.bytes.saturating_add(held.bytes.saturating_sub(site.live_bytes));
        staying.bytes = staying.bytes.saturating_add(site.live_bytes.saturating_sub(held.bytes));
        occupied += u64::from(held.blocks > 0);
        emptied += u64::from(held.blocks > 0 && site.live_blocks == 0);
    }
    let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
    let signs = [
        share(freed.bytes, shutdown.live.bytes),
        share(freed.blocks, shutdown.live.blocks),
        share(emptied, occupied),
    ];
    let said = signs.into_iter().filter(|share| *share >= FREED_SHARE).count();
    let needed = if is_sealed { 2 } else { 3 };
    said >= needed && share(staying.bytes, freed.bytes) <= STAYING_SHARE
}

impl Shutdown {
    /// The live blocks of a site.
    pub(crate) fn of(&self, site: Site) -> LiveSum {
        self.sites.get(site.0 as usize).copied().unwrap_or_default()
    }
}

/// The rows of `meta` about the time for which leaks are judged.
pub(crate) fn meta_rows(shutdown: Option<&Shutdown>, end: &GlobalTotals) -> Vec<(String, Value)> {
    let at_end = LiveSum { blocks: end.live_blocks, bytes: end.live_bytes };
    let live = shutdown.map_or(at_end, |shutdown| shutdown.live);
    let number = |key: &str, number: u64| (key.to_owned(), Value::Integer(integer(number)));
    let mut rows = vec![number("judged_blocks", live.blocks), number("judged_bytes", live.bytes)];
    rows.extend(shutdown.map(|shutdown| number("shutdown_ns", shutdown.at.0)));
    rows
}
