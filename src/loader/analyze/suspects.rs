//! Ranks the sites that may leak, and explains each in a sentence.
//!
//! Sites whose stacks are equal from the first own frame outwards form one suspect: the path of a
//! library from there to the allocator does not matter. A suspect's score is
//! `live bytes × steadiness × recency × straightness × kind`. A block that is live at the end is
//! not necessarily leaked; growth is what counts:
//! - steadiness: the share of slices since the first allocation in which live bytes rose; flat
//!   slices count half;
//! - recency: 1 if there was an allocation in the last tenth of the recording, else the time of the
//!   last one as a share of the first nine tenths;
//! - straightness: 0.1 + 0.9 × the fit of a line to the live bytes of the second half: a saw-tooth
//!   that happens to end high must not rank above a straight climb;
//! - kind: 0.1 if the label says that it is no leak (bounded, start-up constant, freed at shutdown,
//!   quiet), else 1: a full cache must not rank above a small leak.

use std::collections::HashMap;

use crate::database::text::units;
use crate::loader::analyze::site_summary::{Run, SiteSummary};
use crate::loader::totals::sample_weights::SampleSums;

use crate::loader::model::Site;
use crate::loader::symbols::site_frames::{FrameRow, SiteFrames};

/// All allocations of a start-up constant are in this share of the recording.
const START_SHARE: f64 = 0.05;
/// A steady leak keeps at least this share of its blocks; a partial one at least the other.
const STEADY_KEPT: f64 = 0.9;
const PARTIAL_KEPT: f64 = 0.05;
/// A suspect rises if at least this share of its live bytes at the end came in the second half …
const RISING_GROWTH: f64 = 0.05;
/// … and its live bytes at the end are at least this share of its peak.
const RISING_OF_PEAK: f64 = 0.9;
/// Below `PARTIAL_KEPT`, only a straight line is a leak.
const STRAIGHT_FIT: f64 = 0.9;

/// The kind of a suspect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Label {
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

    /// The factor of this kind in the score.
    const fn weight(self) -> f64 {
        match self {
            Self::SteadyLeak | Self::GrowingContainer | Self::PartialLeak | Self::Burst => 1.0,
            Self::StartUpConstant | Self::FreedAtShutdown | Self::Bounded | Self::Quiet => 0.1,
        }
    }
}

/// A row of `suspects`, without its rank.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "columns of `suspects`, documented in schema.sql")]
pub(crate) struct Suspect {
    pub(crate) label: &'static str,
    pub(crate) sentence: String,
    pub(crate) score: f64,
    pub(crate) frame: Option<FrameRow>,
    /// The members; the first one has the most live bytes.
    pub(crate) sites: Vec<Site>,
    pub(crate) sums: SiteSummary,
    /// The samples on which the sums of a sampled recording are based.
    pub(crate) sampled: SampleSums,
    pub(crate) live_share: f64,
    pub(crate) steadiness: f64,
    pub(crate) recency: f64,
    pub(crate) slope_bytes_per_s: f64,
    pub(crate) fit: f64,
}

/// All suspects, the first one to look at first. `function` names a frame.
pub(crate) fn rank<'a>(
    briefs: &[SiteSummary],
    names: &SiteFrames,
    run: &Run,
    function: impl Fn(FrameRow) -> &'a str,
) -> Vec<Suspect> {
    let mut groups: Vec<Vec<&SiteSummary>> = Vec::new();
    let mut known: HashMap<&[FrameRow], usize> = HashMap::new();
    for brief in briefs {
        let site = brief.site.0 as usize - 1;
        let from = names.own(site).map_or(0, |(index, _)| index);
        let key = &names.frames(site)[from..];
        let group = *known.entry(key).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[group].push(brief);
    }
    let mut suspects: Vec<_> =
        groups.into_iter().map(|group| judge(group, names, run, &function)).collect();
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

fn judge<'a>(
    mut group: Vec<&SiteSummary>,
    names: &SiteFrames,
    run: &Run,
    function: &impl Fn(FrameRow) -> &'a str,
) -> Suspect {
    group.sort_by_key(|brief| (std::cmp::Reverse(brief.live_bytes), brief.site));
    let sums = sum(&group);
    let curve = curve(&group, run.slices);
    let (slope_bytes_per_s, fit) = line(&curve, run);
    let steadiness = steadiness(&curve, sums.first_ns, run);
    let recency = recency(sums.last_ns, run.duration_ns);
    let label = label(&sums, &curve, run, fit);
    let frame = names.own(group[0].site.0 as usize - 1).map(|(_, row)| row);
    let live_share = sums.live_bytes as f64 / run.live_bytes.max(1) as f64;
    let name = frame.map_or("an unknown place", function);
    let mut sampled = SampleSums::default();
    group.iter().for_each(|brief| sampled.join(&brief.sampled()));
    let about = if run.rate.is_some() { "about " } else { "" };
    Suspect {
        sentence: sentence(label, name, &sums, live_share, slope_bytes_per_s, about),
        label: label.text(),
        score: sums.live_bytes as f64 * steadiness * recency * (0.1 + 0.9 * fit) * label.weight(),
        frame,
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

fn sum(group: &[&SiteSummary]) -> SiteSummary {
    let mut sums = SiteSummary {
        site: group[0].site,
        size_min: u64::MAX,
        first_ns: u64::MAX,
        ..SiteSummary::default()
    };
    for brief in group {
        sums += brief;
    }
    sums
}

/// Live bytes at the end of every slice.
fn curve(group: &[&SiteSummary], slices: usize) -> Vec<f64> {
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

/// Slope in bytes per second and R² of a straight line through the second half.
fn line(curve: &[f64], run: &Run) -> (f64, f64) {
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
    let duration = run.duration_ns.max(1) as f64;
    let peak = curve.iter().copied().fold(0.0, f64::max);
    let end = sums.live_bytes as f64;
    let kept = sums.live_blocks as f64 / sums.allocations.max(1) as f64;
    let half = curve[curve.len() / 2];
    let rising = end > 0.0 && end - half >= end * RISING_GROWTH && end >= peak * RISING_OF_PEAK;
    let at_start = sums.last_ns as f64 <= duration * START_SHARE;
    // A few live blocks at a time, mostly allocated by `realloc` of a smaller one.
    let container = sums.reallocs * 2 >= sums.allocations
        && sums.size_max / 4 > sums.size_min
        && sums.live_blocks > 0
        && sums.live_blocks <= 4
        && end >= sums.size_max as f64 * 0.5;
    if at_start && sums.live_blocks > 0 {
        Label::StartUpConstant
    } else if rising && kept >= STEADY_KEPT && !container {
        Label::SteadyLeak
    } else if sums.freed_at_end_bytes as f64 >= peak * 0.5
        && sums.freed_at_end_bytes > 0
        // What is replaced all the time is freed at the end too, and as much is alive.
        && end < peak * 0.5
    {
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

/// Estimates are prefixed with `about`.
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
            "{}: {about}{} in {about}{blocks} blocks from `{name}`, first at {first}, all freed{at_end}.",
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
         `{name}`, first at {first}{trend}.",
        label.text(),
        share * 100.0
    )
}

/// `+41.0 KiB`, `-3 B`.
fn signed_bytes(value: f64) -> String {
    let sign = if value < 0.0 { '-' } else { '+' };
    format!("{sign}{}", units::bytes(value.abs().round()))
}
