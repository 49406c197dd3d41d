//! What kind of thing a suspect is, and how suspicious.
//!
//! Reads: the sums and the curve of a group of sites, up to the moment at which it is judged. Writes: a
//! [`Verdict`].
//!
//! The score is `live bytes × steadiness × recency × straightness × kind`. Blocks alive are not yet
//! freed, which is no proof; growth is what counts:
//! - steadiness: the share of slices since the first allocation in which live bytes rose, flat
//!   slices counting half;
//! - recency: 1 if something was allocated in the last tenth of the run, else the share of the
//!   first nine tenths at which that ended;
//! - straightness: a tenth, and nine tenths times the fit of a line to the second half's live
//!   bytes: a saw-tooth that happens to end high is not to stand before a straight climb;
//! - kind: 1 for what grows, a tenth for what its label says is no leak (bounded, a constant, freed
//!   at shutdown, quiet): a full cache is not to stand before a small leak.
//!
//! Invariant: nothing that came after the moment of judgement changes a verdict, but for whether
//! what is gone by then was freed at the end.

use crate::database::trend;
use crate::loader::analyze::site_summary::{Run, SiteSummary};

/// All of a start-up constant is made in this share of the run.
const START_SHARE: f64 = 0.05;
/// A steady leak keeps at least this share of its blocks; a partial one at least the other.
const STEADY_KEPT: f64 = 0.9;
const PARTIAL_KEPT: f64 = 0.05;
/// Something rises if this share of what it holds is more than it ever held in the first half …
const RISING_GROWTH: f64 = 0.05;
/// … and it holds nearly as much as it ever did …
const RISING_OF_PEAK: f64 = 0.9;
/// … and what it never falls below rises too: by less, since that lags behind.
const RISING_FLOOR: f64 = RISING_GROWTH / 4.0;
/// … in so many steps of the second half, each at least this share of what it holds: what came in one or
/// two, as a table that is rehashed, may be all that ever comes.
const RISING_STEPS_MIN: usize = 4;
const RISING_STEP: f64 = RISING_GROWTH / 8.0;
/// Fewer blocks alive than this are no leak of blocks: what is made once and kept (the buffer behind
/// standard output, a thread's handle) looks the same, wherever in the run it was first needed.
const BLOCKS_MIN: u64 = 4;
/// Below `PARTIAL_KEPT`, only a straight line is a leak.
const STRAIGHT_FIT: f64 = 0.9;
/// Something is bounded if it holds at least this share of the most that it ever held.
const BOUNDED_OF_PEAK: f64 = 0.25;
/// A burst is over within this share of the run.
const BURST_SHARE: f64 = 0.25;
/// A container lives in a few blocks: one a thread or a shard at times.
const CONTAINER_BLOCKS_MAX: u64 = 4;
/// It has grown to so many times of what it began with, …
const CONTAINER_GROWTH: u64 = 2;
/// … in steps that double, or nearly so; where it is copied, its old self goes: so many a doubling.
const CONTAINER_COPIES: u64 = 2;
/// … by being made anew so often at least.
const CONTAINER_STEPS_MIN: u64 = 3;

/// What kind of thing a suspect is.
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
    /// As `suspects.label` has it.
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

    /// Whether it says that memory is lost, or will be.
    pub(crate) const fn grows(self) -> bool {
        matches!(self, Self::SteadyLeak | Self::GrowingContainer | Self::PartialLeak)
    }

    /// What the kind does to the score.
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

/// What is said of a suspect.
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
    // What a shutdown makes on its way is not what the program did.
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

/// The slice of the curve in which something happened.
fn slice_of(at: u64, curve: &[f64], run: &Run) -> usize {
    ((at / run.slice_ns) as usize).min(curve.len() - 1)
}

fn steadiness(curve: &[f64], first_ns: u64, run: &Run) -> f64 {
    let first = slice_of(first_ns, curve, run);
    let before = first.checked_sub(1).map_or(0.0, |index| curve[index]);
    let mut last = before;
    let mut points = 0.0;
    // A point of a site's curve may cover several slices: only its end says something.
    let step = run.slices_a_point;
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
    let is_alive = sums.judged_blocks > 0;
    // A block that is regrown ends and goes on: only its first self was ever made anew.
    let begun = sums.allocations.saturating_sub(sums.reallocs).max(sums.judged_blocks).max(1);
    let kept = sums.judged_blocks as f64 / begun as f64;
    let last_ns = sums.last_ns.min(run.judged_ns);
    let at_start = last_ns as f64 <= duration * START_SHARE;
    let is_brief = last_ns.saturating_sub(sums.first_ns) as f64 <= duration * BURST_SHARE;
    if is_alive && at_start {
        Label::StartUpConstant
    } else if is_container(sums, curve, peak, run) {
        Label::GrowingContainer
    } else if is_alive && sums.judged_blocks < BLOCKS_MIN && sums.frees == 0 {
        Label::Constant
    } else if is_alive && is_rising(sums, curve, peak, run) {
        if kept >= STEADY_KEPT {
            Label::SteadyLeak
        } else if kept >= PARTIAL_KEPT || fit >= STRAIGHT_FIT {
            Label::PartialLeak
        } else {
            Label::Bounded
        }
    } else if !is_alive
        && sums.freed_at_end_bytes > 0
        && sums.freed_at_end_bytes as f64 >= peak * 0.5
    {
        Label::FreedAtShutdown
    } else if is_alive && end >= peak * BOUNDED_OF_PEAK {
        Label::Bounded
    } else if is_brief {
        Label::Burst
    } else {
        Label::Quiet
    }
}

/// Whether more and more is held, whatever comes and goes on top of it.
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

/// Whether it is one block at a time that is made anew, larger, again and again, and never goes:
/// when it last had to grow says nothing of whether it is being filled.
fn is_container(sums: &SiteSummary, curve: &[f64], peak: f64, run: &Run) -> bool {
    let end = sums.judged_bytes as f64;
    let since = &curve[slice_of(sums.first_ns, curve, run)..];
    let is_always_there = since.iter().all(|live| *live > 0.0);
    // What went without being regrown: the smaller selves of tables that are copied.
    let ended = sums.allocations.saturating_sub(sums.judged_blocks).saturating_sub(sums.reallocs);
    let doublings = u64::from((sums.size_max / sums.size_min.max(1)).max(1).ilog2());
    (1..=CONTAINER_BLOCKS_MAX).contains(&sums.judged_blocks)
        && sums.allocations >= CONTAINER_STEPS_MIN + sums.judged_blocks
        && sums.size_max / CONTAINER_GROWTH >= sums.size_min.max(1)
        && end >= sums.size_max as f64 * 0.5
        && end >= peak * RISING_OF_PEAK
        && ended <= CONTAINER_COPIES * doublings
        && is_always_there
}
