//! How far the sums of a sampled recording may be off.
//!
//! Reads: what was sampled of sites, and groups of them. Writes: `sample_weights` and `estimates`.
//!
//! Invariant: both tables stay empty where every block was recorded.

use rusqlite::{Connection, Result};

use crate::database::estimate::{Rate, SampleSum};
use crate::loader::analyze::site_summary::SiteSummary;
use crate::loader::totals::Global;
use crate::loader::totals::sample_weights::{Sampled, Sampling};
use crate::loader::write::row_writer::integer;
use crate::loader::write::tables::fill;

/// Whose sums they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// All blocks.
    Total,
    /// A backtrace.
    Site,
    /// A backtrace, with what was alive when leaks are judged.
    SiteJudged,
    /// A group of them.
    Suspect,
    /// A node of the call tree.
    Tree,
    /// A node of the inverted one.
    TreeInverted,
}

impl Of {
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

/// The estimates of something, and the samples behind them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Estimated {
    /// Its number.
    pub(crate) id: u64,
    /// Bytes made.
    pub(crate) bytes: u64,
    /// Bytes alive at the end.
    pub(crate) live_bytes: u64,
    /// What they stand on.
    pub(crate) sampled: Sampled,
}

/// `sample_weights`.
pub(crate) fn write_weights(connection: &Connection, sampling: &Sampling) -> Result<()> {
    let rate = sampling.rate();
    let weights =
        sampling.sizes().map(|size| (integer(size), rate.blocks(size), integer(rate.bytes(size))));
    fill(connection, "sample_weights", 3, weights)
}

/// The rows of `estimates` that don't depend on names.
pub(crate) fn write(
    connection: &Connection,
    sampling: &Sampling,
    global: &Global,
    briefs: &[SiteSummary],
) -> Result<()> {
    let rate = sampling.rate();
    let (bytes, live_bytes) = (global.bytes, global.live_bytes);
    let total = Estimated { id: 0, bytes, live_bytes, sampled: sampling.all() };
    rows(connection, Of::Total, rate, [total].into_iter())?;
    let sites = briefs.iter().map(|brief| Estimated {
        id: u64::from(brief.site.0),
        bytes: brief.bytes,
        live_bytes: brief.live_bytes,
        sampled: brief.sampled(),
    });
    rows(connection, Of::Site, rate, sites)?;
    let judged = briefs.iter().filter(|brief| brief.judged_samples.is_some());
    let judged = judged.map(|brief| Estimated {
        id: u64::from(brief.site.0),
        bytes: brief.bytes,
        live_bytes: brief.judged_bytes,
        sampled: brief.sampled_when_judged(),
    });
    rows(connection, Of::SiteJudged, rate, judged)
}

/// Rows of `estimates`.
pub(crate) fn rows(
    connection: &Connection,
    of: Of,
    rate: Rate,
    all: impl Iterator<Item = Estimated>,
) -> Result<()> {
    let sums = |seen: &SampleSum, estimate: u64| {
        let interval = seen.interval(estimate, rate);
        (
            [
                integer(seen.blocks),
                integer(seen.bytes),
                integer(interval.low),
                integer(interval.high),
            ],
            seen.variance,
            interval.relative_error(estimate),
        )
    };
    let rows = all.map(|one| {
        let (made, made_variance, made_error) = sums(&one.sampled.made, one.bytes);
        let (live, live_variance, live_error) = sums(&one.sampled.live, one.live_bytes);
        (
            (of.word(), integer(one.id)),
            (made, made_variance, made_error),
            (live, live_variance, live_error),
        )
    });
    let marks = vec!["?"; 14].join(", ");
    let mut insert = connection.prepare(&format!("INSERT INTO estimates VALUES ({marks})"))?;
    for ((of, id), (made, made_variance, made_error), (live, live_variance, live_error)) in rows {
        insert.execute((
            of,
            id,
            made[0],
            made[1],
            made_variance,
            made[2],
            made[3],
            made_error,
            live[0],
            live[1],
            live_variance,
            live[2],
            live[3],
            live_error,
        ))?;
    }
    Ok(())
}
