//! What ranking and tree need to know of a site.
//!
//! Reads: totals, right after the events; or a database, when only names changed. Writes:
//! [`SiteSummary`]s.
//!
//! Invariant: both ways give equal briefs, so that resolving names later gives the same tables.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::database::estimate::{Rate, SampleSum};
use crate::loader::analyze::shutdown::{Held, Shutdown};
use crate::loader::rows::{Nanos, Site};
use crate::loader::totals::Totals;
use crate::loader::totals::sample_weights::{Sampled, Sampling};

/// A site in a few numbers.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "columns of `sites`, documented in schema.sql")]
pub(crate) struct SiteSummary {
    pub(crate) site: Site,
    pub(crate) allocations: u64,
    pub(crate) bytes: u64,
    pub(crate) frees: u64,
    pub(crate) live_blocks: u64,
    pub(crate) live_bytes: u64,
    pub(crate) at_peak_bytes: u64,
    pub(crate) temporary: u64,
    pub(crate) size_min: u64,
    pub(crate) size_max: u64,
    pub(crate) first_ns: u64,
    pub(crate) last_ns: u64,
    pub(crate) freed_at_end_bytes: u64,
    pub(crate) reallocs: u64,
    /// Alive at [`Run::judged_ns`].
    pub(crate) judged_blocks: u64,
    pub(crate) judged_bytes: u64,
    /// Slice and live bytes at its end, where they changed.
    pub(crate) curve: Vec<(usize, u64)>,
    /// The samples that its sums stand on, where they are estimates. Apart: most have none.
    pub(crate) samples: Option<Box<Sampled>>,
    /// The same for what was alive at [`Run::judged_ns`], where that is not the end.
    pub(crate) judged_samples: Option<Box<SampleSum>>,
}

/// The run in a few numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Run {
    /// Its length.
    pub(crate) duration_ns: u64,
    /// When leaks are judged: before the shutdown, else at the end.
    pub(crate) judged_ns: u64,
    /// Whether that is before a shutdown.
    pub(crate) is_shut_down: bool,
    /// Bytes alive then, of sites with and without a backtrace.
    pub(crate) judged_bytes: u64,
    /// Slices.
    pub(crate) slices: usize,
    /// Width of one.
    pub(crate) slice_ns: u64,
    /// Slices in a point of a site's curve.
    pub(crate) slices_a_point: usize,
    /// How samples were taken; `None`: every block was recorded.
    pub(crate) rate: Option<Rate>,
}

impl Run {
    /// From totals.
    pub(crate) fn of(totals: &Totals, duration: Nanos, shutdown: Option<&Shutdown>) -> Self {
        Self {
            duration_ns: duration.0,
            slices: totals.slices.finish(duration).len(),
            slice_ns: totals.slices.width_ns(),
            slices_a_point: totals.slices.slices_a_point() as usize,
            judged_ns: shutdown.map_or(duration, |shutdown| shutdown.at).0,
            is_shut_down: shutdown.is_some(),
            judged_bytes: shutdown.map_or(totals.global.live_bytes, |shutdown| shutdown.held.bytes),
            rate: totals.sampling.as_ref().map(Sampling::rate),
        }
    }

    /// From a database.
    pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let known = |key: &str| -> rusqlite::Result<Option<u64>> {
            let sql = "SELECT value FROM meta WHERE key = ?1";
            let value = connection.query_row(sql, [key], |row| row.get::<_, i64>(0)).optional()?;
            Ok(value.map(|value| value.max(0).unsigned_abs()))
        };
        let get = |key: &str| known(key)?.ok_or(rusqlite::Error::QueryReturnedNoRows);
        let shutdown = known("shutdown_ns")?;
        // A database of an older version has the end only.
        let judged_bytes = match known("judged_bytes")? {
            Some(bytes) => bytes,
            None => get("live_bytes")?,
        };
        Ok(Self {
            judged_ns: shutdown.map_or_else(|| get("duration_ns"), Ok)?,
            is_shut_down: shutdown.is_some(),
            judged_bytes,
            duration_ns: get("duration_ns")?,
            slices: get("slices")?.max(1) as usize,
            slice_ns: get("slice_ns")?.max(1),
            slices_a_point: get("slices_a_point")?.max(1) as usize,
            rate: Rate::new(known("sample_bytes")?.unwrap_or(0)),
        })
    }

    /// The last slice of the first half, if the first half has one: where a point of the sites'
    /// curves ends.
    pub(crate) fn half_slice(&self) -> Option<usize> {
        let half = self.slices / 2 / self.slices_a_point * self.slices_a_point;
        half.checked_sub(1)
    }
}

impl SiteSummary {
    /// Bytes alive at the end of a slice.
    pub(crate) fn live_at(&self, slice: Option<usize>) -> u64 {
        let Some(slice) = slice else { return 0 };
        let behind = self.curve.partition_point(|point| point.0 <= slice);
        behind.checked_sub(1).map_or(0, |index| self.curve[index].1)
    }

    /// The samples that its sums stand on; none where they are exact.
    pub(crate) fn sampled(&self) -> Sampled {
        self.samples.as_deref().copied().unwrap_or_default()
    }

    /// The same, with what was alive when it is judged in place of what is alive at the end.
    pub(crate) fn sampled_when_judged(&self) -> Sampled {
        let sampled = self.sampled();
        Sampled { live: self.judged_samples.as_deref().copied().unwrap_or(sampled.live), ..sampled }
    }

    /// All sites that made a block, from totals.
    pub(crate) fn of(totals: &Totals, run: &Run, shutdown: Option<&Shutdown>) -> Vec<Self> {
        let sites = totals.sites.iter().enumerate().skip(1);
        sites
            .filter(|(_, site)| site.allocations > 0)
            .map(|(index, site)| {
                let held = shutdown.map_or(Held::at_end(site), |it| it.of(Site(index as u32)));
                let mut live = 0_u64;
                let points = totals.slices.points(&site.curve, run.slices);
                let curve = points.map(|(slice, point)| {
                    live = live
                        .saturating_add(point.allocated_bytes)
                        .saturating_sub(point.freed_bytes);
                    (slice, live)
                });
                Self {
                    site: Site(index as u32),
                    allocations: site.allocations,
                    bytes: site.bytes,
                    frees: site.frees,
                    live_blocks: site.live_blocks,
                    live_bytes: site.live_bytes,
                    at_peak_bytes: site.at_peak_bytes,
                    temporary: site.temporary,
                    size_min: site.size_min,
                    size_max: site.size_max,
                    first_ns: site.first_ns.0,
                    last_ns: site.last_ns.0,
                    freed_at_end_bytes: site.freed_at_end_bytes,
                    reallocs: site.reallocs,
                    judged_blocks: held.blocks,
                    judged_bytes: held.bytes,
                    curve: curve.collect(),
                    samples: totals
                        .sampling
                        .as_ref()
                        .map(|sampling| Box::new(sampling.of(Site(index as u32)))),
                    judged_samples: shutdown
                        .and_then(|it| it.seen.get(index))
                        .map(|seen| Box::new(*seen)),
                }
            })
            .collect()
    }

    /// All sites that made a block, from a database.
    pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Vec<Self>> {
        // A database of an older version has the end only.
        let is_known =
            "SELECT count(*) FROM pragma_table_info('sites') WHERE name = 'judged_bytes'";
        let judged = match connection.query_row(is_known, [], |row| row.get::<_, i64>(0))? {
            0 => "live_blocks, live_bytes",
            _ => "judged_blocks, judged_bytes",
        };
        let mut sites = connection.prepare(&format!(
            "SELECT bt, allocations, bytes, frees, live_blocks, live_bytes, at_peak_bytes,
             temporary, size_min, size_max, first_ns, last_ns, freed_at_end_bytes, reallocs,
             all_of.sampled_blocks, all_of.sampled_bytes, all_of.bytes_variance,
             all_of.live_sampled_blocks, all_of.live_sampled_bytes, all_of.live_bytes_variance,
             held.live_sampled_blocks, held.live_sampled_bytes, held.live_bytes_variance,
             {judged} FROM sites
             LEFT JOIN estimates AS all_of ON all_of.of = 'site' AND all_of.id = bt
             LEFT JOIN estimates AS held ON held.of = 'site_judged' AND held.id = bt ORDER BY bt",
        ))?;
        let mut curves = connection
            .prepare("SELECT slice, live_bytes FROM site_timeline WHERE bt = ?1 ORDER BY slice")?;
        let rows = sites.query_map([], |row| {
            let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
            Ok(Self {
                site: Site(row.get(0)?),
                allocations: number(1)?,
                bytes: number(2)?,
                frees: number(3)?,
                live_blocks: number(4)?,
                live_bytes: number(5)?,
                at_peak_bytes: number(6)?,
                temporary: number(7)?,
                size_min: number(8)?,
                size_max: number(9)?,
                first_ns: number(10)?,
                last_ns: number(11)?,
                freed_at_end_bytes: number(12)?,
                reallocs: number(13)?,
                judged_blocks: number(23)?,
                judged_bytes: number(24)?,
                curve: Vec::new(),
                samples: seen(row, 14)?
                    .zip(seen(row, 17)?)
                    .map(|(made, live)| Box::new(Sampled { made, live })),
                judged_samples: seen(row, 20)?.map(Box::new),
            })
        })?;
        rows.map(|brief| {
            let mut brief = brief?;
            let points = curves.query_map([brief.site.0], |row| {
                let slice: i64 = row.get(0)?;
                let live: i64 = row.get(1)?;
                Ok((slice.max(0) as usize, live.cast_unsigned()))
            })?;
            brief.curve = points.collect::<rusqlite::Result<_>>()?;
            Ok(brief)
        })
        .collect()
    }
}

/// Three columns about samples, if they are there.
fn seen(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<SampleSum>> {
    let Some(blocks) = row.get::<_, Option<i64>>(first)? else {
        return Ok(None);
    };
    let bytes = row.get::<_, i64>(first + 1)?.cast_unsigned();
    Ok(Some(SampleSum { blocks: blocks.cast_unsigned(), bytes, variance: row.get(first + 2)? }))
}
