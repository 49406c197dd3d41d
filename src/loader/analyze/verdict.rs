//! The label and the score of a suspect.
//!
//! They are computed from the sums and the live curve of a group of sites up to [`Run::judged_ns`]. The
//! score is `live bytes × steadiness × recency × straightness × kind`. A live block is not
//! necessarily leaked; growth is what counts:
//! - steadiness: the share of slices since the first allocation in which live bytes rose; flat
//!   slices count half;
//! - recency: 1 if there was an allocation in the last tenth of the recording, else the time of the
//!   last one as a share of the first nine tenths;
//! - straightness: 0.1 + 0.9 × the fit of a line to the live bytes of the second half: a saw-tooth
//!   that happens to end high must not rank above a straight climb;
//! - kind: 0.1 if the label says that it is no leak (bounded, a constant, freed at shutdown, quiet),
//!   else 1: a full cache must not rank above a small leak.
//!
//! Invariant: events after [`Run::judged_ns`] do not change a verdict, except for `freed at shutdown`.

use crate::database::estimate::trend;
use crate::loader::analyze::site_summary::{Run, SiteSummary};

/// All allocations of a start-up constant are in this share of the recording.
const START_SHARE: f64 = 0.05;
/// A steady leak keeps at least this share of its blocks; a partial one at least the other.
const STEADY_KEPT: f64 = 0.9;
const PARTIAL_KEPT: f64 = 0.05;
/// Live bytes rise if they exceed the maximum of the first half by this share of themselves …
const RISING_GROWTH: f64 = 0.05;
/// … and are near their maximum …
const RISING_OF_PEAK: f64 = 0.9;
/// … and their minimum rises too, by less because it lags behind …
const RISING_FLOOR: f64 = RISING_GROWTH / 4.0;
/// … in at least this many steps in the second half, each at least this share: one or two steps, as
/// of a hash table that is resized, may be the last ones.
const RISING_STEPS_MIN: usize = 4;
const RISING_STEP: f64 = RISING_GROWTH / 8.0;
/// Fewer live blocks are no leak: blocks that are allocated once and kept (the buffer of standard
/// output, the handle of a thread) look the same, whenever they were first needed.
const BLOCKS_MIN: u64 = 4;
/// Below `PARTIAL_KEPT`, only a straight line is a leak.
const STRAIGHT_FIT: f64 = 0.9;
/// A suspect is bounded if its live bytes are at least this share of their maximum.
const BOUNDED_OF_PEAK: f64 = 0.25;
/// All allocations of a burst are within this share of the run.
const BURST_SHARE: f64 = 0.25;
/// Limit on the blocks of a container: there may be one per thread or shard.
const CONTAINER_BLOCKS_MAX: u64 = 4;
/// It has grown by at least this factor …
const CONTAINER_GROWTH: u64 = 2;
/// … in steps that about double it; a copy frees the old block, this often per doubling …
const CONTAINER_COPIES: u64 = 2;
/// … and was allocated again at least this often.
const CONTAINER_STEPS_MIN: u64 = 3;

/// The kind of a suspect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    StartUpConstant,
    Constant,
    SteadyLeak,
    FreedAtShutdown,
    GrowingContainer,
    PartialLeak,
    Bounded,
    Burst,
    Quiet,
}

impl Label {
    /// The text in `suspects.label`.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::StartUpConstant => "start-up constant",
            Self::Constant => "constant",
            Self::SteadyLeak => "steady leak",
            Self::FreedAtShutdown => "freed at shutdown",
            Self::GrowingContainer => "growing container",
            Self::PartialLeak => "partial leak",
            Self::Bounded => "bounded",
            Self::Burst => "burst",
            Self::Quiet => "quiet",
        }
    }

    /// Whether it is a leak.
    pub(crate) const fn is_leak(self) -> bool {
        matches!(self, Self::SteadyLeak | Self::GrowingContainer | Self::PartialLeak)
    }

    /// The factor of the score.
    const fn weight(self) -> f64 {
        match self {
            Self::SteadyLeak | Self::GrowingContainer | Self::PartialLeak | Self::Burst => 1.0,
            Self::StartUpConstant
            | Self::Constant
            | Self::FreedAtShutdown
            | Self::Bounded
            | Self::Quiet => 0.1,
        }
    }
}

/// Label and score, with the factors of the score.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "columns of `suspects`, documented in schema.sql")]
pub(crate) struct Verdict {
    pub(crate) label: Label,
    pub(crate) score: f64,
    pub(crate) steadiness: f64,
    pub(crate) recency: f64,
    pub(crate) slope_bytes_per_s: f64,
    pub(crate) fit: f64,
}

/// Judges a group by its sums and its curve, live bytes at the end of every slice until
/// [`Run::judged_ns`].
pub(crate) fn judge(sums: &SiteSummary, curve: &[f64], run: &Run) -> Verdict {
    let half = &curve[curve.len() / 2..];
    let seconds = run.slice_ns as f64 / 1e9;
    let points = half.iter().enumerate().map(|(slice, live)| (slice as f64 * seconds, *live));
    let trend = trend::through(points).unwrap_or_default();
    let steadiness = steadiness(curve, sums.first_ns, run);
    // Allocations of the shutdown do not count.
    let recency = recency(sums.last_ns.min(run.judged_ns), run.judged_ns);
    let label = label(sums, curve, run, trend.fit);
    let straightness = 0.1 + 0.9 * trend.fit;
    Verdict {
        label,
        score: sums.judged_bytes as f64 * steadiness * recency * straightness * label.weight(),
        steadiness,
        recency,
        slope_bytes_per_s: trend.slope,
        fit: trend.fit,
    }
}

/// The slice of the curve that contains a time.
fn slice_of(at: u64, curve: &[f64], run: &Run) -> usize {
    ((at / run.slice_ns) as usize).min(curve.len() - 1)
}

fn steadiness(curve: &[f64], first_ns: u64, run: &Run) -> f64 {
    let first = slice_of(first_ns, curve, run);
    let before = first.checked_sub(1).map_or(0.0, |index| curve[index]);
    let mut last = before;
    let mut points = 0.0;
    // A point of a site's curve may cover several slices: only its end says something.
    let step = run.slices_per_point;
    let ends: Vec<_> = curve[first..].chunks(step).filter_map(|chunk| chunk.last()).collect();
    for live in &ends {
        points += if **live > last {
            1.0
        } else if **live < last {
            0.0
        } else {
            0.5
        };
        last = **live;
    }
    points / ends.len() as f64
}

fn recency(last_ns: u64, duration: u64) -> f64 {
    (last_ns as f64 / (duration.max(1) as f64 * 0.9)).min(1.0)
}

fn label(sums: &SiteSummary, curve: &[f64], run: &Run, fit: f64) -> Label {
    let duration = run.judged_ns.max(1) as f64;
    let peak = curve.iter().copied().fold(0.0, f64::max);
    let end = sums.judged_bytes as f64;
    let is_live = sums.judged_blocks > 0;
    // A realloc ends a block and begins the next: only the first allocation is a new block.
    let new_blocks = sums.allocations.saturating_sub(sums.reallocs).max(sums.judged_blocks).max(1);
    let kept = sums.judged_blocks as f64 / new_blocks as f64;
    let last_ns = sums.last_ns.min(run.judged_ns);
    let at_start = last_ns as f64 <= duration * START_SHARE;
    let is_brief = last_ns.saturating_sub(sums.first_ns) as f64 <= duration * BURST_SHARE;
    if is_live && at_start {
        Label::StartUpConstant
    } else if is_container(sums, curve, peak, run) {
        Label::GrowingContainer
    } else if is_live && sums.judged_blocks < BLOCKS_MIN && sums.frees == 0 {
        Label::Constant
    } else if is_live && is_rising(sums, curve, peak, run) {
        if kept >= STEADY_KEPT {
            Label::SteadyLeak
        } else if kept >= PARTIAL_KEPT || fit >= STRAIGHT_FIT {
            Label::PartialLeak
        } else {
            Label::Bounded
        }
    } else if !is_live
        && sums.freed_at_end_bytes > 0
        && sums.freed_at_end_bytes as f64 >= peak * 0.5
    {
        Label::FreedAtShutdown
    } else if is_live && end >= peak * BOUNDED_OF_PEAK {
        Label::Bounded
    } else if is_brief {
        Label::Burst
    } else {
        Label::Quiet
    }
}

/// Whether live bytes keep growing, apart from blocks that come and go.
fn is_rising(sums: &SiteSummary, curve: &[f64], peak: f64, run: &Run) -> bool {
    let end = sums.judged_bytes as f64;
    let highest = |part: &[f64]| part.iter().copied().fold(0.0, f64::max);
    let lowest = |part: &[f64]| part.iter().copied().fold(f64::INFINITY, f64::min);
    let half = curve.len() / 2;
    let first = slice_of(sums.first_ns, curve, run);
    let second_half = &curve[half.max(first)..];
    let (early, late) = second_half.split_at(second_half.len() / 2);
    let floor_rises = lowest(late) - lowest(early) >= end * RISING_FLOOR;
    let before = highest(&curve[..half]);
    let mut reached = before;
    let mut steps = 0;
    for live in second_half.iter().filter(|live| **live > 0.0) {
        if *live >= reached + end * RISING_STEP {
            steps += 1;
            reached = *live;
        }
    }
    sums.judged_blocks >= BLOCKS_MIN
        && steps >= RISING_STEPS_MIN
        && end >= peak * RISING_OF_PEAK
        && end - before >= end * RISING_GROWTH
        && floor_rises
}

/// Whether it is one block at a time that is allocated again and again, ever larger, and is always
/// live. The time of its last growth does not tell whether it is being filled.
fn is_container(sums: &SiteSummary, curve: &[f64], peak: f64, run: &Run) -> bool {
    let end = sums.judged_bytes as f64;
    let since = &curve[slice_of(sums.first_ns, curve, run)..];
    let is_always_there = since.iter().all(|live| *live > 0.0);
    // Blocks that ended without a realloc: tables that were copied into larger ones.
    let ended = sums.allocations.saturating_sub(sums.judged_blocks).saturating_sub(sums.reallocs);
    let doublings = u64::from((sums.size_max / sums.size_min.max(1)).max(1).ilog2());
    (1..=CONTAINER_BLOCKS_MAX).contains(&sums.judged_blocks)
        && sums.allocations >= sums.judged_blocks.saturating_add(CONTAINER_STEPS_MIN)
        && sums.size_max / CONTAINER_GROWTH >= sums.size_min.max(1)
        && end >= sums.size_max as f64 * 0.5
        && end >= peak * RISING_OF_PEAK
        && ended <= CONTAINER_COPIES * doublings
        && is_always_there
}
