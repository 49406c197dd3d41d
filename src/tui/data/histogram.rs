//! Histograms of sizes, lifetimes and ages with logarithmic bins.
//!
//! Reads: one row per block, in one pass. Writes: [`Histograms`].
//!
//! Invariants:
//! - Every selected block is in one bin of the sizes, and in one bin of the lifetimes (freed) or of the
//!   ages (live).
//! - The bounds of a bin are included; bins have no gaps and don't overlap.

use std::collections::HashMap;
use std::ops::ControlFlow;

use crate::database::cancel::CancelToken;
use crate::database::connection::Database;
use crate::database::error::QueryError;
use crate::database::query::{Limits, Params};
use crate::database::table::Value;
use crate::tui::data::filter::FilterSet;
use crate::tui::data::time_axis::{Axis, RowKind};

/// Sites listed per bin.
pub const SITES_MAX: usize = 20;

/// Maximum number of pairs of site and bin; further sites are counted but not listed.
const SITE_BINS_MAX: usize = 1 << 20;

/// The kinds of histograms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Requested bytes.
    #[default]
    Sizes,
    /// From allocation to free, for freed blocks.
    Lifetimes,
    /// From allocation to the end of the recording, for live blocks.
    Ages,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Sizes, Self::Lifetimes, Self::Ages];

    /// The next variant; the first follows the last.
    pub fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % Self::ALL.len()]
    }

    /// The bin of a value.
    fn bin(self, value: i64) -> usize {
        match self {
            Self::Sizes if value <= 1 => 0,
            Self::Sizes => (64 - (value - 1).leading_zeros()) as usize,
            Self::Lifetimes | Self::Ages => TIMES.partition_point(|bound| *bound < value),
        }
    }

    /// The largest value of a bin.
    fn bound(self, bin: usize) -> i64 {
        match self {
            Self::Sizes if bin >= 63 => i64::MAX,
            Self::Sizes => 1 << bin,
            Self::Lifetimes | Self::Ages => TIMES.get(bin).copied().unwrap_or(i64::MAX),
        }
    }
}

/// Bounds of time bins: half decades from 100 ns to about ten months.
const TIMES: [i64; 24] = {
    let mut bounds = [0; 24];
    let mut decade = 100;
    let mut at = 0;
    while at < bounds.len() {
        bounds[at] = decade;
        bounds[at + 1] = decade * 3;
        decade *= 10;
        at += 2;
    }
    // The last bound is beyond every recording and far from overflow.
    bounds
};

/// A backtrace, if the blocks have one, with its part of a bin.
pub type SiteShare = (Option<i64>, Sum);

/// Blocks and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Blocks.
    pub blocks: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Sum {
    fn add(&mut self, more: Self) {
        self.blocks = self.blocks.saturating_add(more.blocks);
        self.bytes = self.bytes.saturating_add(more.bytes);
    }
}

/// A bin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bin {
    /// The smallest value.
    pub low: i64,
    /// The largest value.
    pub high: i64,
    /// Its blocks and bytes.
    pub sum: Sum,
    /// The backtraces with the most bytes in the bin; `None`: blocks without a backtrace.
    pub sites: Vec<SiteShare>,
}

/// All histograms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histograms {
    kinds: [Vec<Bin>; 3],
}

impl Histograms {
    /// The bins of a kind, without empty ones at the ends.
    pub fn bins(&self, kind: Kind) -> &[Bin] {
        &self.kinds[kind as usize]
    }

    /// The total of a kind.
    pub fn total(&self, kind: Kind) -> Sum {
        let mut total = Sum::default();
        for bin in self.bins(kind) {
            total.blocks += bin.sum.blocks;
            total.bytes = total.bytes.saturating_add(bin.sum.bytes);
        }
        total
    }
}

/// The statement that [`read`] takes: the selected blocks, one per row.
pub fn blocks(filters: &FilterSet, axis: &Axis) -> String {
    let condition =
        filters.row_condition(axis).map(|it| format!("\nWHERE {it}")).unwrap_or_default();
    let more = axis.rows.columns("allocations");
    format!("SELECT bt, size, alloc_after, dealloc_after{more} FROM allocations{condition}")
}

/// The statement of a histogram for the SQL view.
pub fn query(filters: &FilterSet, axis: &Axis, kind: Kind) -> String {
    let blocks = blocks(filters, axis);
    let end = axis.end_ns;
    let sums = match axis.rows {
        RowKind::Blocks => "count(*) AS blocks, sum(size) AS bytes",
        RowKind::Samples => "CAST(round(sum(blocks)) AS INTEGER) AS blocks, sum(bytes) AS bytes",
    };
    let (value, which) = match kind {
        Kind::Sizes => ("size".into(), ""),
        Kind::Lifetimes => ("dealloc_after - alloc_after".into(), "\nWHERE dealloc_after NOT NULL"),
        Kind::Ages => (format!("{end} - alloc_after"), "\nWHERE dealloc_after IS NULL"),
    };
    format!(
        "-- powers of two; the view bins times in half decades\nSELECT hist_bucket({value}) AS up_to, {sums}\nFROM ({blocks}){which}\nGROUP BY 1 ORDER BY 1"
    )
}

/// Reads the histograms of the blocks of a statement with the columns of [`blocks`].
///
/// # Errors
/// As [`Database::query`].
pub fn read(
    database: &Database,
    sql: &str,
    end_ns: i64,
    token: &CancelToken,
) -> Result<Histograms, QueryError> {
    let mut builder = HistogramBuilder::default();
    let limits = Limits::none().cancelled_by(token);
    database.stream(sql, &Params::none(), &limits, |row| {
        if let [bt, size, allocated_at, freed_at, weight @ ..] = row {
            let integer = |value: &Value| value.as_i64();
            let (size, allocated_at) =
                (integer(size).unwrap_or(0), integer(allocated_at).unwrap_or(0));
            let sum = match weight {
                [blocks, bytes] => {
                    builder.parts = PARTS_PER_BLOCK;
                    let blocks = blocks.as_f64().unwrap_or(0.0) * PARTS_PER_BLOCK as f64;
                    let bytes = u64::try_from(integer(bytes).unwrap_or(0)).unwrap_or(0);
                    Sum { blocks: blocks.round() as u64, bytes }
                }
                _ => Sum { blocks: 1, bytes: u64::try_from(size).unwrap_or(0) },
            };
            builder.add(integer(bt), Kind::Sizes, size, sum);
            match integer(freed_at) {
                Some(freed_at) => {
                    builder.add(integer(bt), Kind::Lifetimes, freed_at - allocated_at, sum);
                }
                None => builder.add(integer(bt), Kind::Ages, end_ns - allocated_at, sum),
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok(builder.finish())
}

/// Samples stand for fractional numbers of blocks, which are counted in this fixed-point unit.
const PARTS_PER_BLOCK: u64 = 1 << 12;

struct HistogramBuilder {
    /// Parts per block: 1 without samples.
    parts: u64,
    sums: [Vec<Sum>; 3],
    sites: HashMap<(Option<i64>, Kind, usize), Sum>,
}

impl Default for HistogramBuilder {
    fn default() -> Self {
        Self { parts: 1, sums: Default::default(), sites: HashMap::new() }
    }
}

impl HistogramBuilder {
    fn add(&mut self, bt: Option<i64>, kind: Kind, value: i64, more: Sum) {
        let bin = kind.bin(value);
        let sums = &mut self.sums[kind as usize];
        if sums.len() <= bin {
            sums.resize(bin + 1, Sum::default());
        }
        if let Some(sum) = sums.get_mut(bin) {
            sum.add(more);
        }
        let key = (bt, kind, bin);
        let has_room = self.sites.len() < SITE_BINS_MAX;
        match self.sites.get_mut(&key) {
            Some(sum) => sum.add(more),
            None if has_room => {
                self.sites.insert(key, more);
            }
            None => {}
        }
    }

    fn finish(mut self) -> Histograms {
        let parts = self.parts;
        let whole = |sum: &mut Sum| sum.blocks = (sum.blocks + parts / 2) / parts;
        self.sums.iter_mut().flatten().for_each(whole);
        self.sites.values_mut().for_each(whole);
        let mut by_bin: HashMap<(Kind, usize), Vec<SiteShare>> = HashMap::new();
        for ((bt, kind, bin), sum) in self.sites {
            by_bin.entry((kind, bin)).or_default().push((bt, sum));
        }
        let mut histograms = Histograms::default();
        for kind in Kind::ALL {
            let sums = &self.sums[kind as usize];
            let first = sums.iter().position(|sum| sum.blocks > 0).unwrap_or(sums.len());
            for (at, sum) in sums.iter().enumerate().skip(first) {
                let mut sites = by_bin.remove(&(kind, at)).unwrap_or_default();
                sites.sort_by_key(|(bt, sum)| (std::cmp::Reverse(sum.bytes), *bt));
                sites.truncate(SITES_MAX);
                histograms.kinds[kind as usize].push(Bin {
                    low: if at == 0 { 0 } else { kind.bound(at - 1) + 1 },
                    high: kind.bound(at),
                    sum: *sum,
                    sites,
                });
            }
        }
        histograms
    }
}
