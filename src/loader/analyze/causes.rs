//! Groups sites into causes; each becomes a suspect.
//!
//! 1. Sites with the same naming frame, the same functions outwards and the same functions of
//!    dependencies inwards form one *part*. Cycles are removed: if a path returns to a function, the
//!    frames in between are dropped.
//! 2. Parts with the same functions outwards form one cause, whatever their path through libraries,
//!    unless a large part has another course. Other lines of the same function join it if they have
//!    the same label and a similar live curve.
//! 3. Leaks that one function allocates together, the same number of blocks of each, form one cause,
//!    which is named by that caller.

use std::collections::{BTreeMap, HashMap};

use crate::loader::analyze::site_summary::{Run, SiteSummary};
use crate::loader::analyze::suspects::{self, Cause};
use crate::loader::analyze::verdict::{self, Label};
use crate::loader::symbols::site_frames::{FrameRow, SiteFrames};
use crate::loader::symbols::{Kind, Symbols};

/// Number of points at which live curves are compared.
const CURVE_POINTS: usize = 16;
/// Live curves, scaled to a peak of 1, are similar within this distance …
const CURVE_DISTANCE: f64 = 0.2;
/// … and leaks are allocated together within this one.
const TOGETHER_DISTANCE: f64 = 0.1;
/// The numbers of blocks of leaks that are allocated together differ by at most this share …
const TOGETHER_BLOCKS: f64 = 0.02;
/// … and are at least this large: small numbers are equal by chance.
const TOGETHER_BLOCKS_MIN: u64 = 16;
/// Parts of one path belong to one cause if their curves differ by less than this …
const PATH_DISTANCE: f64 = 0.5;
/// … or if the peak of one is at most this share of the other's.
const PATH_SMALL: f64 = 0.1;
/// Limit on the causes of one function that a part is compared with.
const COMPARED_MAX: usize = 32;

/// Sites, with the properties by which groups are compared.
struct Group<'a> {
    sites: Vec<&'a SiteSummary>,
    frame: Option<FrameRow>,
    /// The naming frame and the functions outwards, of the heaviest part.
    path: Vec<FrameRow>,
    label: Label,
    /// Live bytes at [`CURVE_POINTS`] times, scaled to a peak of 1.
    shape: [f64; CURVE_POINTS],
    peak: f64,
    allocations: u64,
    bytes: u64,
    course: Course,
}

/// The course of a part, roughly.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Course {
    Grows,
    Holds,
    /// No block is live at the end.
    Passes,
}

impl Course {
    const fn of(label: Label, live_blocks: u64) -> Self {
        match label {
            label if label.is_leak() => Self::Grows,
            Label::FreedAtShutdown => Self::Holds,
            _ if live_blocks == 0 => Self::Passes,
            _ => Self::Holds,
        }
    }
}

impl<'a> Group<'a> {
    fn new(
        sites: Vec<&'a SiteSummary>,
        frame: Option<FrameRow>,
        path: Vec<FrameRow>,
        run: &Run,
    ) -> Self {
        let sums = suspects::sum(&sites);
        let curve = suspects::curve(&sites, &sums, run);
        let peak = curve.iter().copied().fold(0.0, f64::max);
        let mut shape = [0.0; CURVE_POINTS];
        for (point, value) in shape.iter_mut().enumerate() {
            let at = ((point + 1) * curve.len() / CURVE_POINTS).saturating_sub(1);
            *value = if peak > 0.0 { curve[at] / peak } else { 0.0 };
        }
        let label = verdict::judge(&sums, &curve, run).label;
        Self {
            sites,
            frame,
            path,
            label,
            shape,
            peak,
            allocations: sums.allocations,
            bytes: sums.bytes,
            course: Course::of(label, sums.judged_blocks),
        }
    }

    /// Whether both belong to one cause. With few blocks, a step more or less is no difference.
    fn is_similar(&self, other: &Self) -> bool {
        let is_same_path = self.path == other.path;
        let is_small = other.peak <= self.peak * PATH_SMALL;
        if is_same_path && self.course == other.course {
            return self.course == Course::Passes
                || is_small
                || self.distance(other) <= PATH_DISTANCE;
        }
        let blocks = self.allocations.min(other.allocations);
        let distance = CURVE_DISTANCE + 1.0 / (blocks as f64 + 1.0);
        self.label == other.label && self.distance(other) <= distance
    }

    /// Whether both are leaks that are allocated one for one.
    fn is_allocated_with(&self, other: &Self) -> bool {
        let (few, many) =
            (self.allocations.min(other.allocations), self.allocations.max(other.allocations));
        self.label == other.label
            && few >= TOGETHER_BLOCKS_MIN
            && (many - few) as f64 <= many as f64 * TOGETHER_BLOCKS
            && self.distance(other) <= TOGETHER_DISTANCE
    }

    fn distance(&self, other: &Self) -> f64 {
        let pairs = self.shape.iter().zip(&other.shape);
        pairs.map(|(one, other)| (one - other).abs()).fold(0.0, f64::max)
    }
}

/// All sites in groups, in the order of the groups' first sites.
pub(crate) fn group<'a>(
    summaries: &'a [SiteSummary],
    site_frames: &SiteFrames,
    symbols: &Symbols,
    functions: &[FrameRow],
    run: &Run,
) -> Vec<Cause<'a>> {
    let function = |row: FrameRow| functions[row.0 as usize - 1];
    let mut by_function: BTreeMap<Option<FrameRow>, Vec<Group<'a>>> = BTreeMap::new();
    for (frame, path, sites) in parts(summaries, site_frames, symbols, functions) {
        let of_function = by_function.entry(frame.map(function)).or_default();
        of_function.push(Group::new(sites, frame, path, run));
    }
    let mut groups = Vec::new();
    for mut parts in by_function.into_values() {
        parts.sort_by(|one, other| {
            other.peak.total_cmp(&one.peak).then(other.bytes.cmp(&one.bytes))
        });
        groups.extend(merge(parts, run, Group::is_similar));
    }
    let mut causes: Vec<_> = of_callers(groups, site_frames, functions, run)
        .into_iter()
        .map(|group| Cause { sites: group.sites, frame: group.frame })
        .collect();
    let first = |cause: &Cause<'_>| cause.sites.iter().map(|summary| summary.site).min();
    causes.sort_by_key(first);
    causes
}

/// Naming frame, path outwards, sites.
type Part<'a> = (Option<FrameRow>, Vec<FrameRow>, Vec<&'a SiteSummary>);

/// Sites by their naming frame and the paths from it, in the order of their first sites.
fn parts<'a>(
    summaries: &'a [SiteSummary],
    site_frames: &SiteFrames,
    symbols: &Symbols,
    functions: &[FrameRow],
) -> Vec<Part<'a>> {
    let places = site_frames.places(symbols);
    let mut known: HashMap<Vec<FrameRow>, usize> = HashMap::new();
    let mut parts: Vec<Part<'a>> = Vec::new();
    for summary in summaries {
        let site = summary.site.0 as usize - 1;
        let named = site_frames.named(site);
        let mut key: Vec<_> = named.map(|it| places[it.frame.0 as usize - 1]).into_iter().collect();
        let mut path = Vec::new();
        if let Some(named) = named {
            let kind = site_frames.frame(named.frame, symbols).kind;
            let counts = |row: &&FrameRow| {
                let other = site_frames.frame(**row, symbols).kind;
                other == kind || kind != Kind::Own && other != Kind::Std && other != Kind::Runtime
            };
            let outwards = site_frames.frames(site)[named.index..].iter().filter(counts);
            key.extend(collapse_cycles(outwards.map(|row| functions[row.0 as usize - 1])));
            let is_dependency =
                |row: &&FrameRow| site_frames.frame(**row, symbols).kind == Kind::Dependency;
            let inwards =
                site_frames.frames(site)[..named.index].iter().rev().filter(is_dependency);
            path = key.clone();
            key.push(FrameRow::default());
            key.extend(collapse_cycles(inwards.map(|row| functions[row.0 as usize - 1])));
        }
        let index = *known.entry(key).or_insert_with(|| {
            parts.push((named.map(|it| it.frame), path, Vec::new()));
            parts.len() - 1
        });
        parts[index].2.push(summary);
    }
    parts
}

/// The path without cycles: if it returns to a function, the frames in between are removed.
fn collapse_cycles(path: impl Iterator<Item = FrameRow>) -> Vec<FrameRow> {
    let mut collapsed: Vec<FrameRow> = Vec::new();
    for function in path {
        match collapsed.iter().position(|it| *it == function) {
            Some(index) => collapsed.truncate(index + 1),
            None => collapsed.push(function),
        }
    }
    collapsed
}

/// Joins each group with the first earlier one that it is like, beginning with those of its path.
fn merge<'a>(
    groups: Vec<Group<'a>>,
    run: &Run,
    is_like: impl Fn(&Group<'a>, &Group<'a>) -> bool,
) -> Vec<Group<'a>> {
    let mut merged: Vec<(Group<'a>, Vec<&'a SiteSummary>)> = Vec::new();
    let mut by_path: HashMap<Vec<FrameRow>, Vec<usize>> = HashMap::new();
    for group in groups {
        let of_path = by_path.entry(group.path.clone()).or_default();
        let first = of_path.iter().copied().take(COMPARED_MAX);
        let mut compared = first.chain(0..merged.len().min(COMPARED_MAX));
        match compared.find(|index| is_like(&merged[*index].0, &group)) {
            Some(index) => merged[index].1.extend(group.sites),
            None => {
                of_path.push(merged.len());
                merged.push((group, Vec::new()));
            }
        }
    }
    let join = |(first, others): (Group<'a>, Vec<&'a SiteSummary>)| {
        if others.is_empty() {
            return first;
        }
        let sites = first.sites.into_iter().chain(others).collect();
        Group::new(sites, first.frame, first.path, run)
    };
    merged.into_iter().map(join).collect()
}

/// Joins leaks that one function allocates together, and names them by it.
fn of_callers<'a>(
    groups: Vec<Group<'a>>,
    site_frames: &SiteFrames,
    functions: &[FrameRow],
    run: &Run,
) -> Vec<Group<'a>> {
    let mut by_caller: BTreeMap<FrameRow, Vec<Group<'a>>> = BTreeMap::new();
    let mut rest = Vec::new();
    for group in groups {
        let caller =
            if group.label.is_leak() { caller(&group, site_frames, functions) } else { None };
        match caller {
            Some(caller) => by_caller.entry(caller).or_default().push(group),
            None => rest.push(group),
        }
    }
    for groups in by_caller.into_values() {
        for mut group in merge(groups, run, Group::is_allocated_with) {
            let frames = group
                .sites
                .iter()
                .filter_map(|summary| named_function(summary, site_frames, functions));
            let mut frames: Vec<_> = frames.collect();
            frames.sort_unstable();
            frames.dedup();
            if frames.len() > 1 {
                let heaviest = group.sites.iter().max_by_key(|summary| summary.judged_bytes);
                let named =
                    heaviest.and_then(|summary| site_frames.named(summary.site.0 as usize - 1));
                group.frame = named.and_then(|named| named.caller).or(group.frame);
            }
            rest.push(group);
        }
    }
    rest
}

fn named_function(
    summary: &SiteSummary,
    site_frames: &SiteFrames,
    functions: &[FrameRow],
) -> Option<FrameRow> {
    site_frames
        .named(summary.site.0 as usize - 1)
        .map(|named| functions[named.frame.0 as usize - 1])
}

/// The function that calls the naming one, if it is the same in all sites.
fn caller(group: &Group<'_>, site_frames: &SiteFrames, functions: &[FrameRow]) -> Option<FrameRow> {
    let mut callers = group.sites.iter().map(|summary| {
        let named = site_frames.named(summary.site.0 as usize - 1)?;
        named.caller.map(|row| functions[row.0 as usize - 1])
    });
    let first = callers.next()??;
    callers.all(|caller| caller == Some(first)).then_some(first)
}

#[cfg(test)]
mod tests {
    use crate::loader::analyze::causes::collapse_cycles;
    use crate::loader::symbols::site_frames::FrameRow;

    #[test]
    fn cycles_are_removed() {
        let cases: &[(&[u32], &[u32])] = &[
            (&[1, 2, 3], &[1, 2, 3]),
            (&[1, 1, 1, 2], &[1, 2]),
            (&[1, 2, 1, 3, 1, 4], &[1, 4]),
            (&[1, 2, 3, 2, 3, 2, 5], &[1, 2, 5]),
            (&[], &[]),
        ];
        for (path, expected) in cases {
            let collapsed: Vec<_> = collapse_cycles(path.iter().map(|it| FrameRow(*it)))
                .iter()
                .map(|it| it.0)
                .collect();
            assert_eq!(collapsed, *expected, "{path:?}");
        }
    }
}
