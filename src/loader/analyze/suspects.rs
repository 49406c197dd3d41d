//! Ranks the sites that may leak, and explains each in a sentence.
//!
//! A suspect is a cause: a group of sites from [`causes`](crate::loader::analyze::causes).
//! [`verdict`](crate::loader::analyze::verdict) judges each by its live blocks while the program
//! worked: before the shutdown, or at the end if there was none.

use crate::database::estimate::trend;
use crate::database::text::units;
use crate::loader::analyze::site_summary::{Run, SiteSummary};
use crate::loader::analyze::verdict::{self, Label, Verdict};
use crate::loader::model::Site;
use crate::loader::symbols::site_frames::{FrameRow, SiteFrames};
use crate::loader::totals::sample_weights::SampleSums;

/// The sites of one suspect.
#[derive(Clone, Debug)]
pub(crate) struct Cause<'a> {
    /// The sites.
    pub(crate) sites: Vec<&'a SiteSummary>,
    /// The frame that names it.
    pub(crate) frame: Option<FrameRow>,
}

/// A row of `suspects`, without its rank.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "columns of `suspects`, documented in schema.sql")]
pub(crate) struct Suspect {
    pub(crate) sentence: String,
    pub(crate) verdict: Verdict,
    pub(crate) frame: Option<FrameRow>,
    pub(crate) through: Option<FrameRow>,
    /// The members; the first one has the most live bytes.
    pub(crate) sites: Vec<Site>,
    pub(crate) sums: SiteSummary,
    /// The samples on which the sums of a sampled recording are based.
    pub(crate) sampled: SampleSums,
    pub(crate) live_share: f64,
}

/// All suspects, most suspicious first. `name` names one in its sentence, by its frame and the
/// function of a dependency that it calls.
pub(crate) fn rank(
    causes: Vec<Cause<'_>>,
    site_frames: &SiteFrames,
    run: &Run,
    name: impl Fn(FrameRow, Option<FrameRow>) -> String,
) -> Vec<Suspect> {
    let mut suspects: Vec<_> =
        causes.into_iter().map(|cause| judge(cause, site_frames, run, &name)).collect();
    // The sort is stable: equal suspects stay in the order of their first sites.
    suspects.sort_by(|one, other| {
        other
            .verdict
            .score
            .total_cmp(&one.verdict.score)
            .then(other.sums.judged_bytes.cmp(&one.sums.judged_bytes))
            .then(other.sums.bytes.cmp(&one.sums.bytes))
    });
    for (rank, suspect) in (1..).zip(&mut suspects) {
        suspect.sentence = format!("#{rank} {}", suspect.sentence);
    }
    suspects
}

fn judge(
    cause: Cause<'_>,
    site_frames: &SiteFrames,
    run: &Run,
    name: &impl Fn(FrameRow, Option<FrameRow>) -> String,
) -> Suspect {
    let Cause { sites: mut group, frame } = cause;
    group.sort_by_key(|summary| (std::cmp::Reverse(summary.judged_bytes), summary.site));
    let sums = sum(&group);
    let verdict = verdict::judge(&sums, &curve(&group, &sums, run), run);
    let through = site_frames.named(group[0].site.0 as usize - 1).and_then(|named| named.through);
    let live_share = sums.judged_bytes as f64 / run.judged_bytes.max(1) as f64;
    let name = frame.map_or_else(|| "an unknown place".to_owned(), |row| name(row, through));
    let mut sampled = SampleSums::default();
    group.iter().for_each(|summary| sampled.join(&summary.sampled_when_judged()));
    Suspect {
        sentence: sentence(&verdict, &name, &sums, live_share, run),
        verdict,
        frame,
        through,
        sites: group.iter().map(|summary| summary.site).collect(),
        sums,
        sampled,
        live_share,
    }
}

/// The sums of all sites of a group.
pub(crate) fn sum(group: &[&SiteSummary]) -> SiteSummary {
    let mut sums = SiteSummary {
        site: group[0].site,
        size_min: u64::MAX,
        first_ns: u64::MAX,
        ..SiteSummary::default()
    };
    for summary in group {
        sums += summary;
    }
    sums
}

/// Live bytes at the end of every slice up to [`Run::judged_ns`], and at that time.
pub(crate) fn curve(group: &[&SiteSummary], sums: &SiteSummary, run: &Run) -> Vec<f64> {
    let slices = (run.judged_ns / run.slice_ns + 1).min(run.slices as u64) as usize;
    let mut changes = vec![0_i64; slices];
    for summary in group {
        let mut before = 0_i64;
        for (slice, live) in &summary.curve {
            let live = i64::try_from(*live).unwrap_or(i64::MAX);
            let Some(change) = changes.get_mut(*slice) else { break };
            *change = change.saturating_add(live.saturating_sub(before));
            before = live;
        }
    }
    let mut live = 0_i64;
    let mut curve: Vec<f64> = changes
        .iter()
        .map(|change| {
            live = live.saturating_add(*change);
            live as f64
        })
        .collect();
    if let Some(last) = curve.last_mut() {
        *last = sums.judged_bytes as f64;
    }
    curve
}

/// The sentence; estimates are preceded by "about".
fn sentence(verdict: &Verdict, name: &str, sums: &SiteSummary, share: f64, run: &Run) -> String {
    let about = if run.rate.is_some() { "about " } else { "" };
    let label = verdict.label.text();
    let first = units::duration(sums.first_ns as f64);
    let (live, allocated) = (sums.judged_blocks, sums.allocations);
    let block = |count: u64| if count == 1 { "block" } else { "blocks" };
    if live == 0 {
        let at_end = match verdict.label {
            Label::FreedAtShutdown => format!(
                ", {} of it only at the end of the run",
                units::bytes(sums.freed_at_end_bytes as f64)
            ),
            _ => String::new(),
        };
        return format!(
            "{label}: {about}{} in {about}{allocated} {} from {name}, first at {first}, all freed{at_end}.",
            units::bytes(sums.bytes as f64),
            block(allocated),
        );
    }
    let (lived, until) = if run.has_shutdown {
        ("lived before the shutdown", "until then")
    } else {
        ("lives at the end", "to the end")
    };
    let stretch = run.judged_ns - run.judged_ns / 2;
    let is_rate = verdict.label.is_leak() && trend::rate_unit(stretch, verdict.fit).is_some();
    let trend = if is_rate {
        format!(", {}/s {until}", signed_bytes(verdict.slope_bytes_per_s))
    } else {
        format!(", last at {}", units::duration(sums.last_ns.min(run.judged_ns) as f64))
    };
    let bytes = units::bytes(sums.judged_bytes as f64);
    format!(
        "{label}: {about}{bytes} ({:.0} % of what {lived}) in {about}{live} of {allocated} {} from \
         {name}, first at {first}{trend}.",
        share * 100.0,
        block(allocated),
    )
}

/// `+41.0 KiB`, `-3 B`.
fn signed_bytes(value: f64) -> String {
    let sign = if value < 0.0 { '-' } else { '+' };
    format!("{sign}{}", units::bytes(value.abs().round()))
}
