//! Ranks what may be a leak, and says why in a sentence.
//!
//! Reads: causes and their sites' briefs. Writes: the rows of `suspects`.
//!
//! A suspect is a cause: the sites that belong together, as `causes` groups them. A suspect's score is
//! `live bytes × steadiness × recency × straightness × kind`. Blocks alive at the end are not yet freed, which is no
//! proof; growth is what counts:
//! - steadiness: the share of slices since the first allocation in which live bytes rose, flat
//!   slices counting half;
//! - recency: 1 if something was allocated in the last tenth of the run, else the share of the
//!   first nine tenths at which that ended;
//! - straightness: a tenth, and nine tenths times the fit of a line to the second half's live
//!   bytes: a saw-tooth that happens to end high is not to stand before a straight climb;
//! - kind: 1 for what grows, a tenth for what its label says is no leak (bounded, start-up
//!   constant, freed at shutdown, quiet): a full cache is not to stand before a small leak.

use crate::database::text::units;
use crate::loader::analyze::site_summary::{Run, SiteSummary};
use crate::loader::totals::sample_weights::Sampled;

use crate::loader::rows::Site;
use crate::loader::symbols::frame_names::{FrameRow, Names};

/// All of a start-up constant is made in this share of the run.
const START_SHARE: f64 = 0.05;
/// A steady leak keeps at least this share of its blocks; a partial one at least the other.
const STEADY_KEPT: f64 = 0.9;
const PARTIAL_KEPT: f64 = 0.05;
/// Something rises if this share of what it holds at the end came in the second half.
const RISING_GROWTH: f64 = 0.05;
/// … and it holds nearly as much as it ever did.
const RISING_OF_PEAK: f64 = 0.9;
/// Below `PARTIAL_KEPT`, only a straight line is a leak.
const STRAIGHT_FIT: f64 = 0.9;

/// What kind of thing a suspect is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    StartUpConstant,
    SteadyLeak,
    FreedAtShutdown,
    GrowingContainer,
    PartialLeak,
    Bounded,
    Burst,
    Quiet,
}

impl Label {
    const fn text(self) -> &'static str {
        match self {
            Self::StartUpConstant => "start-up constant",
            Self::SteadyLeak => "steady leak",
            Self::FreedAtShutdown => "freed at shutdown",
            Self::GrowingContainer => "growing container",
            Self::PartialLeak => "partial leak",
            Self::Bounded => "bounded",
            Self::Burst => "burst",
            Self::Quiet => "quiet",
        }
    }

    /// Whether it is something that grows.
    pub(crate) const fn is_leak(self) -> bool {
        matches!(self, Self::SteadyLeak | Self::GrowingContainer | Self::PartialLeak)
    }

    /// What the kind does to the score.
    const fn weight(self) -> f64 {
        match self {
            Self::SteadyLeak | Self::GrowingContainer | Self::PartialLeak | Self::Burst => 1.0,
            Self::StartUpConstant | Self::FreedAtShutdown | Self::Bounded | Self::Quiet => 0.1,
        }
    }
}

/// Sites that are one suspect.
#[derive(Clone, Debug)]
pub(crate) struct Cause<'a> {
    /// The sites.
    pub(crate) sites: Vec<&'a SiteSummary>,
    /// The frame that it is named by.
    pub(crate) frame: Option<FrameRow>,
}

/// A row of `suspects`, without its rank.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "columns of `suspects`, documented in schema.sql")]
pub(crate) struct Suspect {
    pub(crate) label: &'static str,
    pub(crate) sentence: String,
    pub(crate) score: f64,
    pub(crate) frame: Option<FrameRow>,
    pub(crate) through: Option<FrameRow>,
    /// The members; the first one has the most live bytes.
    pub(crate) sites: Vec<Site>,
    pub(crate) sums: SiteSummary,
    /// What the sums stand on, where they are estimates.
    pub(crate) sampled: Sampled,
    pub(crate) live_share: f64,
    pub(crate) steadiness: f64,
    pub(crate) recency: f64,
    pub(crate) slope_bytes_per_s: f64,
    pub(crate) fit: f64,
}

/// All suspects, the first one to look at first. `name` names a cause in a sentence, by its frame
/// and the library's function that it calls.
pub(crate) fn rank(
    causes: Vec<Cause<'_>>,
    names: &Names,
    run: &Run,
    name: impl Fn(FrameRow, Option<FrameRow>) -> String,
) -> Vec<Suspect> {
    let mut suspects: Vec<_> =
        causes.into_iter().map(|cause| judge(cause, names, run, &name)).collect();
    // The order of first appearance decides between equals.
    suspects.sort_by(|one, other| {
        other
            .score
            .total_cmp(&one.score)
            .then(other.sums.live_bytes.cmp(&one.sums.live_bytes))
            .then(other.sums.bytes.cmp(&one.sums.bytes))
    });
    for (rank, suspect) in (1..).zip(&mut suspects) {
        suspect.sentence = format!("#{rank} {}", suspect.sentence);
    }
    suspects
}

fn judge(
    cause: Cause<'_>,
    names: &Names,
    run: &Run,
    name: &impl Fn(FrameRow, Option<FrameRow>) -> String,
) -> Suspect {
    let Cause { sites: mut group, frame } = cause;
    group.sort_by_key(|brief| (std::cmp::Reverse(brief.live_bytes), brief.site));
    let sums = sum(&group);
    let curve = curve(&group, run.slices);
    let (slope_bytes_per_s, fit) = line(&curve, run);
    let steadiness = steadiness(&curve, sums.first_ns, run);
    let recency = recency(sums.last_ns, run.duration_ns);
    let label = label(&sums, &curve, run, fit);
    let through = names.named(group[0].site.0 as usize - 1).and_then(|named| named.through);
    let live_share = sums.live_bytes as f64 / run.live_bytes.max(1) as f64;
    let name = frame.map_or_else(|| "an unknown place".to_owned(), |row| name(row, through));
    let mut sampled = Sampled::default();
    group.iter().for_each(|brief| sampled.join(&brief.sampled()));
    let about = if run.rate.is_some() { "about " } else { "" };
    Suspect {
        sentence: sentence(label, &name, &sums, live_share, slope_bytes_per_s, about),
        label: label.text(),
        score: sums.live_bytes as f64 * steadiness * recency * (0.1 + 0.9 * fit) * label.weight(),
        frame,
        through,
        sites: group.iter().map(|brief| brief.site).collect(),
        sums,
        sampled,
        live_share,
        steadiness,
        recency,
        slope_bytes_per_s,
        fit,
    }
}

/// The sums of all.
pub(crate) fn sum(group: &[&SiteSummary]) -> SiteSummary {
    let mut sums = SiteSummary {
        site: group[0].site,
        size_min: u64::MAX,
        first_ns: u64::MAX,
        ..SiteSummary::default()
    };
    for brief in group {
        sums.allocations = sums.allocations.saturating_add(brief.allocations);
        sums.bytes = sums.bytes.saturating_add(brief.bytes);
        sums.frees = sums.frees.saturating_add(brief.frees);
        sums.live_blocks = sums.live_blocks.saturating_add(brief.live_blocks);
        sums.live_bytes = sums.live_bytes.saturating_add(brief.live_bytes);
        sums.freed_at_end_bytes = sums.freed_at_end_bytes.saturating_add(brief.freed_at_end_bytes);
        sums.reallocs = sums.reallocs.saturating_add(brief.reallocs);
        sums.size_min = sums.size_min.min(brief.size_min);
        sums.size_max = sums.size_max.max(brief.size_max);
        sums.first_ns = sums.first_ns.min(brief.first_ns);
        sums.last_ns = sums.last_ns.max(brief.last_ns);
    }
    sums
}

/// Live bytes at the end of every slice.
pub(crate) fn curve(group: &[&SiteSummary], slices: usize) -> Vec<f64> {
    let mut changes = vec![0_i64; slices];
    for brief in group {
        let mut before = 0_i64;
        for (slice, live) in &brief.curve {
            let live = i64::try_from(*live).unwrap_or(i64::MAX);
            let change = &mut changes[(*slice).min(slices - 1)];
            *change = change.saturating_add(live.saturating_sub(before));
            before = live;
        }
    }
    let mut live = 0_i64;
    changes
        .iter()
        .map(|change| {
            live = live.saturating_add(*change);
            live as f64
        })
        .collect()
}

/// Slope in bytes a second and R² of a straight line through the second half.
pub(crate) fn line(curve: &[f64], run: &Run) -> (f64, f64) {
    let half = &curve[curve.len() / 2..];
    let count = half.len() as f64;
    if half.len() < 2 {
        return (0.0, 0.0);
    }
    let mean_x = (count - 1.0) / 2.0;
    let mean_y = half.iter().sum::<f64>() / count;
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in half.iter().enumerate() {
        let (x, y) = (x as f64 - mean_x, y - mean_y);
        xy += x * y;
        xx += x * x;
        yy += y * y;
    }
    let slope = xy / xx / (run.slice_ns as f64 / 1e9);
    let fit = if yy > 0.0 { xy * xy / (xx * yy) } else { 0.0 };
    (slope, fit)
}

fn steadiness(curve: &[f64], first_ns: u64, run: &Run) -> f64 {
    let first = ((first_ns / run.slice_ns) as usize).min(curve.len() - 1);
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

/// What kind of thing has these sums and this curve.
pub(crate) fn label(sums: &SiteSummary, curve: &[f64], run: &Run, fit: f64) -> Label {
    let duration = run.duration_ns.max(1) as f64;
    let peak = curve.iter().copied().fold(0.0, f64::max);
    let end = sums.live_bytes as f64;
    let kept = sums.live_blocks as f64 / sums.allocations.max(1) as f64;
    let half = curve[curve.len() / 2];
    let rising = end > 0.0 && end - half >= end * RISING_GROWTH && end >= peak * RISING_OF_PEAK;
    let at_start = sums.last_ns as f64 <= duration * START_SHARE;
    // One block at a time that is mostly made from its smaller self.
    let container = sums.reallocs * 2 >= sums.allocations
        && sums.size_max / 4 > sums.size_min
        && sums.live_blocks > 0
        && sums.live_blocks <= 4
        && end >= sums.size_max as f64 * 0.5;
    if at_start && sums.live_blocks > 0 {
        Label::StartUpConstant
    } else if rising && kept >= STEADY_KEPT && !container {
        Label::SteadyLeak
    } else if sums.freed_at_end_bytes as f64 >= peak * 0.5 && sums.freed_at_end_bytes > 0 {
        Label::FreedAtShutdown
    } else if container {
        Label::GrowingContainer
    } else if rising && (kept >= PARTIAL_KEPT || fit >= STRAIGHT_FIT) {
        Label::PartialLeak
    } else if end > 0.0 && end >= peak * 0.25 {
        Label::Bounded
    } else if (sums.last_ns - sums.first_ns) as f64 <= duration * 0.25 {
        Label::Burst
    } else {
        Label::Quiet
    }
}

/// `about` stands before what is only estimated.
fn sentence(
    label: Label,
    name: &str,
    sums: &SiteSummary,
    share: f64,
    slope: f64,
    about: &str,
) -> String {
    let first = units::duration(sums.first_ns as f64);
    let (live, blocks) = (sums.live_blocks, sums.allocations);
    let bytes = units::bytes(sums.live_bytes as f64);
    if sums.live_blocks == 0 {
        let at_end = match label {
            Label::FreedAtShutdown => format!(
                ", {} of it only at the end of the run",
                units::bytes(sums.freed_at_end_bytes as f64)
            ),
            _ => String::new(),
        };
        return format!(
            "{}: {about}{} in {about}{blocks} blocks from {name}, first at {first}, all freed{at_end}.",
            label.text(),
            units::bytes(sums.bytes as f64)
        );
    }
    let trend = match label {
        Label::SteadyLeak | Label::PartialLeak | Label::GrowingContainer => {
            format!(", {}/s to the end", signed_bytes(slope))
        }
        _ => format!(", last at {}", units::duration(sums.last_ns as f64)),
    };
    format!(
        "{}: {about}{bytes} ({:.0} % of what lives at the end) in {about}{live} of {blocks} blocks from \
         {name}, first at {first}{trend}.",
        label.text(),
        share * 100.0
    )
}

/// `+41.0 KiB`, `-3 B`.
fn signed_bytes(value: f64) -> String {
    let sign = if value < 0.0 { '-' } else { '+' };
    format!("{sign}{}", units::bytes(value.abs().round()))
}
