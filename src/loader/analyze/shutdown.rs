//! Whether a run ended with a shutdown, in which nearly everything is freed, and since when.
//!
//! Reads: where live bytes began to decline, the slices, and the rows of what was freed since then.
//! Writes: a [`Shutdown`], with what every site held before it; or that there was none.
//!
//! A leak is judged by what it held while the program worked: a server that puts everything back
//! when it is told to end holds nothing at the end, and leaked all the same. A program that goes on
//! after it has freed much (a cache is cleared, the next batch begins) is still at work, so several
//! signs that don't depend on each other must say that it was not:
//! - most of what was alive is freed, by two of three measures: bytes, blocks, and sites of which
//!   everything is freed; by all three where the recording was cut off;
//! - what was made since then is little of it, and hardly anything of that stays;
//! - no work goes on: there are no stretches in which it allocates as before and nothing falls;
//! - live bytes did not fall as deep before, or not repeatedly: that is how a saw-tooth works, and what
//!   it frees below that is the shutdown.
//!
//! How long it took is no sign: dropping a map takes microseconds, or seconds where destructors work.
//!
//! Invariant: costs nothing where less than half is freed; else one look at the rows that ended
//! since then.

use rusqlite::types::Value;
use rusqlite::{Connection, Result};

use crate::database::estimate::SampleSum;
use crate::loader::rows::{Nanos, Site};
use crate::loader::totals::decline::{Moment, Precedents};
use crate::loader::totals::sample_weights::Sampling;
use crate::loader::totals::time_buckets::Slice;
use crate::loader::totals::{Global, SiteTotals, Totals};
use crate::loader::write::row_writer::integer;
use crate::loader::write::zone_map::Zone;

/// "Nearly everything": this share of the bytes, blocks or sites that were alive.
const FREED_SHARE: f64 = 0.8;
/// Below this share of bytes and of blocks nothing else is asked.
const PLAUSIBLE_SHARE: f64 = 0.5;
/// What rose again while it fell, of all that fell: more than this is work.
const REGROWN_SHARE: f64 = 0.25;
/// What is alive later may be this share more than before the shutdown; above, it is work.
const EXCEEDED_SHARE: f64 = 0.125;
/// Allocations for each block that was freed: putting things away takes a few, work goes on for ever.
const ALLOCATIONS_A_BLOCK: f64 = 4.0;
/// … not counting so many, as for a line that is printed.
const ALLOCATIONS_FEW: u64 = 64;
/// What is made during the fall and stays, of what was freed.
const STAYING_SHARE: f64 = 0.1;
/// A slice in which what is alive does not fall, and more than this share of the allocations of a slice
/// before are made, is one of work …
const WORKING_RATE_SHARE: f64 = 0.25;
/// … if there are so many: fewer are no stretch to take a rate of.
const WORKING_SLICES_MIN: usize = 3;
/// So many falls as deep as the last one make it one of many.
const PRECEDENTS_MIN: u64 = 2;

/// What a site held before the shutdown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// Blocks.
    pub(crate) blocks: u64,
    /// Bytes of them.
    pub(crate) bytes: u64,
}

impl Held {
    /// What a site holds at the end.
    pub(crate) const fn at_end(site: &SiteTotals) -> Self {
        Self { blocks: site.live_blocks, bytes: site.live_bytes }
    }
}

/// A shutdown.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Shutdown {
    /// When it began: more was alive than at any moment since.
    pub(crate) at: Nanos,
    /// Alive then, of all sites.
    pub(crate) held: Held,
    /// Alive then, by site; the first is for blocks whose backtrace was not probed.
    pub(crate) sites: Vec<Held>,
    /// The samples that these stand on, by site; empty where every block was recorded.
    pub(crate) seen: Vec<SampleSum>,
}

/// What is known of the run beside its moments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended<'a> {
    /// Its length.
    pub(crate) duration: Nanos,
    /// Whether the recording says so itself; it was cut off otherwise.
    pub(crate) sealed: bool,
    /// Deep falls that did not end it.
    pub(crate) precedents: Precedents,
    /// Stretches of rows, by when they ended.
    pub(crate) zones: &'a [Zone],
    /// Rows of blocks that ended.
    pub(crate) ended_rows: u64,
}

/// The shutdown that a run ended with; the earliest moment that can be one.
pub(crate) fn find(
    connection: &Connection,
    totals: &Totals,
    moments: &[Moment],
    ended: &Ended<'_>,
) -> Result<Option<Shutdown>> {
    let slices = Curve::of(totals.slices.finish(ended.duration), totals.slices.width_ns());
    for moment in moments {
        if is_one_of_many(&ended.precedents, moment) || slices.exceeds(moment) {
            continue;
        }
        let moment = slices.last_work(moment).unwrap_or(*moment);
        if !is_plausible(&moment, &totals.global) {
            continue;
        }
        let shutdown = held_at(connection, totals, moment.at, ended)?;
        if is_shutdown(&shutdown, totals, ended.sealed) {
            return Ok(Some(shutdown));
        }
    }
    Ok(None)
}

/// The run at the end of every slice, and what happened in it.
struct Curve {
    ends: Vec<(Moment, Slice)>,
    width_ns: u64,
}

impl Curve {
    fn of(slices: &[Slice], width_ns: u64) -> Self {
        let mut now = Moment::default();
        let ends = slices.iter().map(|slice| {
            now.at = Nanos(now.at.0 + width_ns);
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

    /// The first slice that lies behind a moment.
    fn behind(&self, moment: &Moment) -> usize {
        (moment.at.0 / self.width_ns + 1).min(self.ends.len() as u64) as usize
    }

    /// Whether more was alive later, in bytes or in blocks, than what a shutdown needs on its way.
    fn exceeds(&self, moment: &Moment) -> bool {
        let is_more = |live: u64, before: u64| live as f64 > before as f64 * (1.0 + EXCEEDED_SHARE);
        self.ends[self.behind(moment)..].iter().any(|(end, slice)| {
            is_more(slice.peak_bytes, moment.live_bytes)
                || is_more(end.live_blocks, moment.live_blocks)
        })
    }

    /// When the program last worked, if it went on after a moment: it allocated as before, and what
    /// was alive did not fall.
    fn last_work(&self, moment: &Moment) -> Option<Moment> {
        let behind = self.behind(moment);
        let before = &self.ends[..behind.saturating_sub(1)];
        let made = before.last().map_or(0, |(end, _)| end.allocations);
        let rate = made as f64 / before.len().max(1) as f64;
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

/// Whether enough was freed since then, and little made.
fn is_plausible(moment: &Moment, end: &Global) -> bool {
    let share =
        |before: u64, after: u64| before.saturating_sub(after) as f64 / before.max(1) as f64;
    let bytes = share(moment.live_bytes, end.live_bytes);
    let blocks = share(moment.live_blocks, end.live_blocks);
    let freed = moment.live_blocks.saturating_sub(end.live_blocks) as f64;
    let made = end.allocations.saturating_sub(moment.allocations);
    bytes.max(blocks) >= PLAUSIBLE_SHARE
        && moment.regrown as f64 <= moment.fallen as f64 * REGROWN_SHARE
        && made.saturating_sub(ALLOCATIONS_FEW) as f64 <= freed * ALLOCATIONS_A_BLOCK
}

/// Whether it fell as deep before, again and again, and went on. What follows behind the bottom of
/// these falls is not one of them.
fn is_one_of_many(precedents: &Precedents, moment: &Moment) -> bool {
    !moment.is_bottom
        && precedents.count >= PRECEDENTS_MIN
        && precedents.high_bytes >= moment.live_bytes / 2
}

/// What was alive at a moment, from the rows that ended since then and those alive at the end.
fn held_at(
    connection: &Connection,
    totals: &Totals,
    at: Nanos,
    ended: &Ended<'_>,
) -> Result<Shutdown> {
    let rate = totals.sampling.as_ref().map(Sampling::rate);
    let mut blocks = vec![0.0; totals.sites.len()];
    let mut shutdown = Shutdown { at, ..Shutdown::default() };
    shutdown.sites.resize(totals.sites.len(), Held::default());
    shutdown.seen.resize(rate.map_or(0, |_| totals.sites.len()), SampleSum::default());
    let mut alive = connection.prepare(
        "SELECT ifnull(bt, 0), size FROM allocations WHERE rowid BETWEEN ?1 AND ?2
         AND alloc_after <= ?3 AND (dealloc_after IS NULL OR dealloc_after > ?3)",
    )?;
    let ended_since = ended.zones.iter().filter(|zone| zone.ended_to > at);
    let stretches = ended_since.map(|zone| (zone.first, zone.last));
    for (first, last) in stretches.chain([(ended.ended_rows + 1, u64::MAX)]) {
        let mut rows = alive.query([first, last, at.0].map(integer))?;
        while let Some(row) = rows.next()? {
            let (site, size): (u32, i64) = (row.get(0)?, row.get(1)?);
            let site = site as usize;
            let size = size.max(0).unsigned_abs();
            let Some(held) = shutdown.sites.get_mut(site) else { continue };
            let (count, bytes) =
                rate.map_or((1.0, size), |rate| (rate.blocks(size), rate.bytes(size)));
            held.bytes = held.bytes.saturating_add(bytes);
            blocks[site] += count;
            if let Some((seen, rate)) = shutdown.seen.get_mut(site).zip(rate) {
                seen.add(rate, size);
            }
        }
    }
    for (held, blocks) in shutdown.sites.iter_mut().zip(blocks) {
        held.blocks = f64::round(blocks) as u64;
        shutdown.held.blocks = shutdown.held.blocks.saturating_add(held.blocks);
        shutdown.held.bytes = shutdown.held.bytes.saturating_add(held.bytes);
    }
    Ok(shutdown)
}

/// Whether nearly everything that was alive is freed, and next to nothing new stays.
fn is_shutdown(shutdown: &Shutdown, totals: &Totals, sealed: bool) -> bool {
    let (mut freed, mut staying) = (Held::default(), Held::default());
    let (mut alive, mut emptied) = (0_u64, 0_u64);
    for (held, site) in shutdown.sites.iter().zip(&totals.sites) {
        freed.blocks += held.blocks.saturating_sub(site.live_blocks);
        freed.bytes = freed.bytes.saturating_add(held.bytes.saturating_sub(site.live_bytes));
        staying.bytes = staying.bytes.saturating_add(site.live_bytes.saturating_sub(held.bytes));
        alive += u64::from(held.blocks > 0);
        emptied += u64::from(held.blocks > 0 && site.live_blocks == 0);
    }
    let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
    let signs = [
        share(freed.bytes, shutdown.held.bytes),
        share(freed.blocks, shutdown.held.blocks),
        share(emptied, alive),
    ];
    let said = signs.into_iter().filter(|share| *share >= FREED_SHARE).count();
    let needed = if sealed { 2 } else { 3 };
    said >= needed && share(staying.bytes, freed.bytes) <= STAYING_SHARE
}

impl Shutdown {
    /// What a site held.
    pub(crate) fn of(&self, site: Site) -> Held {
        self.sites.get(site.0 as usize).copied().unwrap_or_default()
    }
}

/// What `meta` says of the moment at which leaks are judged.
pub(crate) fn meta(shutdown: Option<&Shutdown>, end: &Global) -> Vec<(String, Value)> {
    let at_end = Held { blocks: end.live_blocks, bytes: end.live_bytes };
    let held = shutdown.map_or(at_end, |shutdown| shutdown.held);
    let number = |key: &str, number: u64| (key.to_owned(), Value::Integer(integer(number)));
    let mut rows = vec![number("judged_blocks", held.blocks), number("judged_bytes", held.bytes)];
    rows.extend(shutdown.map(|shutdown| number("shutdown_ns", shutdown.at.0)));
    rows
}
