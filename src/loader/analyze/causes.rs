//! Groups call sites into causes: the sites that one suspect consists of.
//!
//! Reads: sites' briefs, frames and live curves. Writes: [`Cause`]s.
//!
//! 1. Sites with the same named frame, the same functions outwards and the same functions of
//!    dependencies inwards are one *part*. Cycles are removed: where a path comes back to a
//!    function, what is in between is cut.
//! 2. Parts with the same functions outwards are one cause, whatever path of a library they come
//!    from, unless a large one takes another course. Other lines of the same function join it if
//!    they have the same label and a similar live curve.
//! 3. Leaks that one function makes together, as many blocks of each, are one cause of that caller.

use std::collections::{BTreeMap, HashMap};

use crate::loader::analyze::site_summary::{Run, SiteSummary};
use crate::loader::analyze::suspects::{self, Cause, Label};
use crate::loader::symbols::frame_names::{FrameRow, Names};
use crate::loader::symbols::{Kind, Symbols};

/// Points at which live curves are compared.
const CURVE_POINTS: usize = 16;
/// Curves that are scaled to a peak of 1 are similar within this distance …
const CURVE_DISTANCE: f64 = 0.2;
/// … and leaks are made together within this one.
const TOGETHER_DISTANCE: f64 = 0.1;
/// Leaks made together have numbers of blocks that differ by this share at most …
const TOGETHER_BLOCKS: f64 = 0.02;
/// … and at least so many of them: small numbers are equal by chance.
const TOGETHER_BLOCKS_MIN: u64 = 16;
/// Parts of one path are of one cause if their curves differ less than this …
const PATH_DISTANCE: f64 = 0.5;
/// … or if one of them has at most this share of the other's peak.
const PATH_SMALL: f64 = 0.1;
/// Causes of one function that a part is compared with.
const COMPARED_MAX: usize = 32;

/// Some sites with what decides whether others are of the same cause.
struct Group<'a> {
    sites: Vec<&'a SiteSummary>,
    frame: Option<FrameRow>,
    /// The named frame and the functions outwards, of the heaviest part.
    path: Vec<FrameRow>,
    label: Label,
    /// Live bytes at [`CURVE_POINTS`] moments, scaled to a peak of 1.
    shape: [f64; CURVE_POINTS],
    peak: f64,
    allocations: u64,
    bytes: u64,
    course: Course,
}

/// What a part does, roughly.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Course {
    Grows,
    Holds,
    /// Nothing of it is alive at the end.
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
        let curve = suspects::curve(&sites, run.slices);
        let sums = suspects::sum(&sites);
        let (_, fit) = suspects::line(&curve, run);
        let peak = curve.iter().copied().fold(0.0, f64::max);
        let mut shape = [0.0; CURVE_POINTS];
        for (point, value) in shape.iter_mut().enumerate() {
            let at = ((point + 1) * curve.len() / CURVE_POINTS).saturating_sub(1);
            *value = if peak > 0.0 { curve[at] / peak } else { 0.0 };
        }
        let label = suspects::label(&sums, &curve, run, fit);
        Self {
            sites,
            frame,
            path,
            label,
            shape,
            peak,
            allocations: sums.allocations,
            bytes: sums.bytes,
            course: Course::of(label, sums.live_blocks),
        }
    }

    /// A step more or less of a few blocks is no difference.
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

    /// Whether both are leaks that are made one for one.
    fn is_made_with(&self, other: &Self) -> bool {
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

/// All sites that made a block, grouped; in the order of their first sites.
pub(crate) fn group<'a>(
    briefs: &'a [SiteSummary],
    names: &Names,
    symbols: &Symbols,
    functions: &[FrameRow],
    run: &Run,
) -> Vec<Cause<'a>> {
    let function = |row: FrameRow| functions[row.0 as usize - 1];
    let mut by_function: BTreeMap<Option<FrameRow>, Vec<Group<'a>>> = BTreeMap::new();
    for (frame, path, sites) in parts(briefs, names, symbols, functions) {
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
    let mut causes: Vec<_> = of_callers(groups, names, functions, run)
        .into_iter()
        .map(|group| Cause { sites: group.sites, frame: group.frame })
        .collect();
    let first = |cause: &Cause<'_>| cause.sites.iter().map(|brief| brief.site).min();
    causes.sort_by_key(first);
    causes
}

/// Named frame, path outwards, sites.
type Part<'a> = (Option<FrameRow>, Vec<FrameRow>, Vec<&'a SiteSummary>);

/// Sites by their named frame and the paths from it, in the order of their first sites.
fn parts<'a>(
    briefs: &'a [SiteSummary],
    names: &Names,
    symbols: &Symbols,
    functions: &[FrameRow],
) -> Vec<Part<'a>> {
    let places = names.places(symbols);
    let mut known: HashMap<Vec<FrameRow>, usize> = HashMap::new();
    let mut parts: Vec<Part<'a>> = Vec::new();
    for brief in briefs {
        let site = brief.site.0 as usize - 1;
        let named = names.named(site);
        let mut key: Vec<_> = named.map(|it| places[it.frame.0 as usize - 1]).into_iter().collect();
        let mut path = Vec::new();
        if let Some(named) = named {
            let kind = names.frame(named.frame, symbols).kind;
            let counts = |row: &&FrameRow| {
                let other = names.frame(**row, symbols).kind;
                other == kind || kind != Kind::Own && other != Kind::Std && other != Kind::Runtime
            };
            let outwards = names.frames(site)[named.index..].iter().filter(counts);
            key.extend(collapse_cycles(outwards.map(|row| functions[row.0 as usize - 1])));
            let is_dependency =
                |row: &&FrameRow| names.frame(**row, symbols).kind == Kind::Dependency;
            let inwards = names.frames(site)[..named.index].iter().rev().filter(is_dependency);
            path = key.clone();
            key.push(FrameRow::default());
            key.extend(collapse_cycles(inwards.map(|row| functions[row.0 as usize - 1])));
        }
        let index = *known.entry(key).or_insert_with(|| {
            parts.push((named.map(|it| it.frame), path, Vec::new()));
            parts.len() - 1
        });
        parts[index].2.push(brief);
    }
    parts
}

/// The path without its cycles: where it comes back to a function, what is in between is cut.
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

/// Joins each group with the first one before it that it is like, those of its path first.
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

/// Gives leaks that one function makes together to that function.
fn of_callers<'a>(
    groups: Vec<Group<'a>>,
    names: &Names,
    functions: &[FrameRow],
    run: &Run,
) -> Vec<Group<'a>> {
    let mut by_caller: BTreeMap<FrameRow, Vec<Group<'a>>> = BTreeMap::new();
    let mut rest = Vec::new();
    for group in groups {
        let caller = if group.label.is_leak() { caller(&group, names, functions) } else { None };
        match caller {
            Some(caller) => by_caller.entry(caller).or_default().push(group),
            None => rest.push(group),
        }
    }
    for groups in by_caller.into_values() {
        for mut group in merge(groups, run, Group::is_made_with) {
            let frames =
                group.sites.iter().filter_map(|brief| named_function(brief, names, functions));
            let mut frames: Vec<_> = frames.collect();
            frames.sort_unstable();
            frames.dedup();
            if frames.len() > 1 {
                let heaviest = group.sites.iter().max_by_key(|brief| brief.live_bytes);
                let named = heaviest.and_then(|brief| names.named(brief.site.0 as usize - 1));
                group.frame = named.and_then(|named| named.caller).or(group.frame);
            }
            rest.push(group);
        }
    }
    rest
}

fn named_function(brief: &SiteSummary, names: &Names, functions: &[FrameRow]) -> Option<FrameRow> {
    names.named(brief.site.0 as usize - 1).map(|named| functions[named.frame.0 as usize - 1])
}

/// The one function that calls the named one in all sites.
fn caller(group: &Group<'_>, names: &Names, functions: &[FrameRow]) -> Option<FrameRow> {
    let mut callers = group.sites.iter().map(|brief| {
        let named = names.named(brief.site.0 as usize - 1)?;
        named.caller.map(|row| functions[row.0 as usize - 1])
    });
    let first = callers.next()??;
    callers.all(|caller| caller == Some(first)).then_some(first)
}

#[cfg(test)]
mod tests {
    use crate::loader::analyze::causes::collapse_cycles;
    use crate::loader::symbols::frame_names::FrameRow;

    #[test]
    fn a_path_loses_its_cycles() {
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
