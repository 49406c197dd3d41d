//! Writes the confidence intervals of a sampled recording's sums: `sample_weights` and `estimates`.
//!
//! Invariant: both tables stay empty if every block was recorded.

use rusqlite::{Connection, Result};

use crate::database::estimate::{Interval, SampleSum, SamplingRate};
use crate::loader::analyze::site_summary::SiteSummary;
use crate::loader::totals::GlobalTotals;
use crate::loader::totals::sample_weights::{SampleSums, SampleWeights};
use crate::loader::write::insert::insert;
use crate::loader::write::row_writer::integer;

/// The kind of object that an estimate is for; the column `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EstimateTarget {
    /// All blocks.
    Total,
    /// A backtrace.
    Site,
    /// A backtrace; the live bytes are those at the time for which leaks are judged.
    SiteJudged,
    /// A suspect.
    Suspect,
    /// A node of the call tree.
    Tree,
    /// A node of the inverted one.
    TreeInverted,
}

impl EstimateTarget {
    const fn word(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Site => "site",
            Self::SiteJudged => "site_judged",
            Self::Suspect => "suspect",
            Self::Tree => "tree",
            Self::TreeInverted => "tree_inverted",
        }
    }
}

/// Estimate bytes, and the samples that they are based on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Estimate {
    /// Id of the object in its table; 0 for the total.
    pub(crate) id: u64,
    /// Allocated bytes.
    pub(crate) bytes: u64,
    /// Bytes that are live at the end.
    pub(crate) live_bytes: u64,
    /// Their samples.
    pub(crate) samples: SampleSums,
}

/// Writes `sample_weights`.
pub(crate) fn write_weights(connection: &Connection, sampling: &SampleWeights) -> Result<()> {
    let rate = sampling.rate();
    insert!(connection, "sample_weights", sampling.sizes(), |size| {
        size: integer(size),
        blocks: rate.blocks(size),
        bytes: integer(rate.bytes(size)),
    });
    Ok(())
}

/// Writes the rows of `estimates` that do not depend on names.
pub(crate) fn write(
    connection: &Connection,
    sampling: &SampleWeights,
    global: &GlobalTotals,
    summaries: &[SiteSummary],
) -> Result<()> {
    let rate = sampling.rate();
    let (bytes, live_bytes) = (global.bytes, global.live_bytes);
    let total = Estimate { id: 0, bytes, live_bytes, samples: sampling.all() };
    write_rows(connection, EstimateTarget::Total, rate, [total].into_iter())?;
    let sites = summaries.iter().map(|summary| Estimate {
        id: u64::from(summary.site.0),
        bytes: summary.bytes,
        live_bytes: summary.live_bytes,
        samples: summary.sampled(),
    });
    write_rows(connection, EstimateTarget::Site, rate, sites)?;
    let judged = summaries.iter().filter(|summary| summary.judged_samples.is_some());
    let judged = judged.map(|summary| Estimate {
        id: u64::from(summary.site.0),
        bytes: summary.bytes,
        live_bytes: summary.judged_bytes,
        samples: summary.sampled_when_judged(),
    });
    write_rows(connection, EstimateTarget::SiteJudged, rate, judged)
}

/// Writes rows of `estimates`.
pub(crate) fn write_rows(
    connection: &Connection,
    target: EstimateTarget,
    rate: SamplingRate,
    rows: impl Iterator<Item = Estimate>,
) -> Result<()> {
    let rows = rows.map(|row| {
        let all = Columns::new(&row.samples.allocated, row.bytes, rate);
        let live = Columns::new(&row.samples.live, row.live_bytes, rate);
        (row.id, all, live)
    });
    insert!(connection, "estimates", rows, |(id, all, live)| {
        of: target.word(),
        id: integer(id),
        sampled_blocks: integer(all.samples.blocks),
        sampled_bytes: integer(all.samples.bytes),
        bytes_variance: all.samples.variance,
        bytes_low: integer(all.interval.low),
        bytes_high: integer(all.interval.high),
        bytes_error: all.error,
        live_sampled_blocks: integer(live.samples.blocks),
        live_sampled_bytes: integer(live.samples.bytes),
        live_bytes_variance: live.samples.variance,
        live_bytes_low: integer(live.interval.low),
        live_bytes_high: integer(live.interval.high),
        live_bytes_error: live.error,
    });
    Ok(())
}

/// One half of a row: the columns for all blocks, or those for live ones.
struct Columns {
    samples: SampleSum,
    interval: Interval,
    error: Option<f64>,
}

impl Columns {
    fn new(samples: &SampleSum, estimate: u64, rate: SamplingRate) -> Self {
        let interval = samples.interval(estimate, rate);
        Self { samples: *samples, interval, error: interval.relative_error(estimate) }
    }
}
