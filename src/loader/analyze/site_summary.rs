//! The sums of a site that ranking and call tree need.
//!
//! They come from the totals at the end of a load, or from the database in `rheaper symbolize`.
//!
//! Invariant: both sources give equal summaries, so that symbolizing later gives the same tables.

use std::ops::AddAssign;

use rusqlite::{Connection, OptionalExtension, Row};

use crate::database::estimate::{SampleSum, SamplingRate};
use crate::loader::analyze::shutdown::{LiveSum, Shutdown};
use crate::loader::model::{Nanos, Site};
use crate::loader::totals::Totals;
use crate::loader::totals::sample_weights::{SampleSums, SampleWeights};

/// The sums of a site, or of several.
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
    /// Live at [`Run::judged_ns`].
    pub(crate) judged_blocks: u64,
    pub(crate) judged_bytes: u64,
    /// Index of a slice and live bytes at its end, for slices in which they changed.
    pub(crate) curve: Vec<(usize, u64)>,
    /// The samples that the sums are based on; boxed because most recordings are not sampled.
    pub(crate) samples: Option<Box<SampleSums>>,
    /// The samples that were live at [`Run::judged_ns`], if that is not the end.
    pub(crate) judged_samples: Option<Box<SampleSum>>,
}

/// The recording's parameters for ranking.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Run {
    /// Length of the recording.
    pub(crate) duration_ns: u64,
    /// The time for which leaks are judged: the beginning of the shutdown, else the end.
    pub(crate) judged_ns: u64,
    /// Whether there was a shutdown.
    pub(crate) has_shutdown: bool,
    /// Bytes live at that time, with and without a backtrace.
    pub(crate) judged_bytes: u64,
    /// Number of time slices.
    pub(crate) slices: usize,
    /// Width of a slice.
    pub(crate) slice_ns: u64,
    /// Slices per point of a site's curve.
    pub(crate) slices_per_point: usize,
    /// The sampling rate; `None`: every block was recorded.
    pub(crate) rate: Option<SamplingRate>,
}

impl Run {
    /// From the totals of a load.
    pub(crate) fn of(totals: &Totals, duration: Nanos, shutdown: Option<&Shutdown>) -> Self {
        Self {
            duration_ns: duration.0,
            slices: totals.slices.used(duration).len(),
            slice_ns: totals.slices.width_ns(),
            slices_per_point: totals.slices.slices_per_point() as usize,
            judged_ns: shutdown.map_or(duration, |shutdown| shutdown.at).0,
            has_shutdown: shutdown.is_some(),
            judged_bytes: shutdown.map_or(totals.global.live_bytes, |shutdown| shutdown.live.bytes),
            rate: totals.sampling.as_ref().map(SampleWeights::rate),
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
        // A database of an older version knows only the end.
        let judged_bytes = match known("judged_bytes")? {
            Some(bytes) => bytes,
            None => get("live_bytes")?,
        };
        Ok(Self {
            judged_ns: shutdown.map_or_else(|| get("duration_ns"), Ok)?,
            has_shutdown: shutdown.is_some(),
            judged_bytes,
            duration_ns: get("duration_ns")?,
            slices: get("slices")?.max(1) as usize,
            slice_ns: get("slice_ns")?.max(1),
            slices_per_point: get("slices_per_point")?.max(1) as usize,
            rate: SamplingRate::new(known("sample_bytes")?.unwrap_or(0)),
        })
    }

    /// The last slice of the first half at which a point of the sites' curves ends; `None` if there
    /// are too few slices.
    pub(crate) fn half_slice(&self) -> Option<usize> {
        let half = self.slices / 2 / self.slices_per_point * self.slices_per_point;
        half.checked_sub(1)
    }
}

impl AddAssign<&SiteSummary> for SiteSummary {
    /// Adds another site's sums; `site`, `curve` and `samples` stay as they are.
    fn add_assign(&mut self, other: &Self) {
        self.allocations = self.allocations.saturating_add(other.allocations);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.frees = self.frees.saturating_add(other.frees);
        self.live_blocks = self.live_blocks.saturating_add(other.live_blocks);
        self.live_bytes = self.live_bytes.saturating_add(other.live_bytes);
        self.at_peak_bytes = self.at_peak_bytes.saturating_add(other.at_peak_bytes);
        self.temporary = self.temporary.saturating_add(other.temporary);
        self.judged_blocks = self.judged_blocks.saturating_add(other.judged_blocks);
        self.judged_bytes = self.judged_bytes.saturating_add(other.judged_bytes);
        self.freed_at_end_bytes = self.freed_at_end_bytes.saturating_add(other.freed_at_end_bytes);
        self.reallocs = self.reallocs.saturating_add(other.reallocs);
        self.size_min = self.size_min.min(other.size_min);
        self.size_max = self.size_max.max(other.size_max);
        self.first_ns = self.first_ns.min(other.first_ns);
        self.last_ns = self.last_ns.max(other.last_ns);
    }
}

impl SiteSummary {
    /// Live bytes at the end of a slice; 0 for `None`.
    pub(crate) fn live_at(&self, slice: Option<usize>) -> u64 {
        let Some(slice) = slice else { return 0 };
        let next = self.curve.partition_point(|point| point.0 <= slice);
        next.checked_sub(1).map_or(0, |index| self.curve[index].1)
    }

    /// The samples that the sums are based on; empty if the sums are exact.
    pub(crate) fn sampled(&self) -> SampleSums {
        self.samples.as_deref().copied().unwrap_or_default()
    }

    /// [`Self::sampled`] with the samples that are live at [`Run::judged_ns`].
    pub(crate) fn sampled_when_judged(&self) -> SampleSums {
        let sampled = self.sampled();
        let live = self.judged_samples.as_deref().copied().unwrap_or(sampled.live);
        SampleSums { live, ..sampled }
    }

    /// All sites that have an allocation, from the totals of a load.
    pub(crate) fn of(totals: &Totals, run: &Run, shutdown: Option<&Shutdown>) -> Vec<Self> {
        let sites = totals.sites.iter().enumerate().skip(1);
        sites
            .filter(|(_, site)| site.allocations > 0)
            .map(|(index, site)| {
                let judged = shutdown.map_or(LiveSum::at_end(site), |it| it.of(Site(index as u32)));
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
                    judged_blocks: judged.blocks,
                    judged_bytes: judged.bytes,
                    curve: curve.collect(),
                    samples: totals
                        .sampling
                        .as_ref()
                        .map(|sampling| Box::new(sampling.of(Site(index as u32)))),
                    judged_samples: shutdown
                        .and_then(|it| it.samples.get(index))
                        .map(|samples| Box::new(*samples)),
                }
            })
            .collect()
    }

    /// All sites that have an allocation, from a database.
    pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Vec<Self>> {
        // A database of an older version knows only the end.
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
                samples: samples(row, 14)?
                    .zip(samples(row, 17)?)
                    .map(|(allocated, live)| Box::new(SampleSums { allocated, live })),
                judged_samples: samples(row, 20)?.map(Box::new),
            })
        })?;
        rows.map(|summary| {
            let mut summary = summary?;
            let points = curves.query_map([summary.site.0], |row| {
                let slice: i64 = row.get(0)?;
                let live: i64 = row.get(1)?;
                Ok((slice.max(0) as usize, live.cast_unsigned()))
            })?;
            summary.curve = points.collect::<rusqlite::Result<_>>()?;
            Ok(summary)
        })
        .collect()
    }
}

/// Three columns about samples, if the site has any.
fn samples(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<SampleSum>> {
    let Some(blocks) = row.get::<_, Option<i64>>(first)? else {
        return Ok(None);
    };
    let bytes = row.get::<_, i64>(first + 1)?.cast_unsigned();
    Ok(Some(SampleSum { blocks: blocks.cast_unsigned(), bytes, variance: row.get(first + 2)? }))
}
