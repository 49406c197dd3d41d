//! The run cut into equal slices, while it is not yet known how long it is.
//!
//! Reads: what happened when. Writes: the global curve, and one for each site.
//!
//! The slice width begins with what the recording's clock pairs promise. When time goes beyond
//! the last slice, neighbours are merged and the width doubles. When the sites' curves become
//! too many entries, they (and only they) are kept for groups of `2^n` slices.
//!
//! Invariants: sums over slices are exact, whatever was merged; a curve's entries are sorted.

use crate::loader::rows::Nanos;
use crate::loader::totals::sample_weights::Weight;

/// Slices at most.
pub(crate) const SLICES_MAX: usize = 512;

/// The sites' curves together may always have this many entries …
const ENTRIES_MIN: u64 = 1 << 16;
/// … and never more than this …
const ENTRIES_MAX: u64 = 1 << 20;
/// … nor more than one for so many allocations.
const ALLOCATIONS_AN_ENTRY: u64 = 8;
/// Sites' curves keep at least `SLICES_MAX >> GROUP_SHIFT_MAX` points.
const GROUP_SHIFT_MAX: u32 = 5;

/// What happened in a slice, or in a group of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slice {
    /// Blocks made.
    pub(crate) allocations: u64,
    /// Bytes of them.
    pub(crate) allocated_bytes: u64,
    /// Blocks freed.
    pub(crate) frees: u64,
    /// Bytes of them.
    pub(crate) freed_bytes: u64,
    /// Most bytes alive after any event in it; 0 if there was none. Global curve only.
    pub(crate) peak_bytes: u64,
    /// Bytes made in it that are alive at the end. Global curve only.
    pub(crate) staying_bytes: u64,
}

impl Slice {
    fn merge(&mut self, other: &Self) {
        self.allocations += other.allocations;
        self.allocated_bytes = self.allocated_bytes.saturating_add(other.allocated_bytes);
        self.frees += other.frees;
        self.freed_bytes = self.freed_bytes.saturating_add(other.freed_bytes);
        self.peak_bytes = self.peak_bytes.max(other.peak_bytes);
        self.staying_bytes = self.staying_bytes.saturating_add(other.staying_bytes);
    }
}

/// One point of a site's curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Point {
    /// Number of the group of slices.
    group: u32,
    allocations: u32,
    frees: u32,
    allocated_bytes: u64,
    freed_bytes: u64,
}

/// The group of a point that is none.
const NO_GROUP: u32 = u32::MAX;

impl Point {
    const fn of(group: u32) -> Self {
        Self { group, allocations: 0, frees: 0, allocated_bytes: 0, freed_bytes: 0 }
    }

    fn merge(&mut self, other: &Self) {
        self.allocations = self.allocations.saturating_add(other.allocations);
        self.frees = self.frees.saturating_add(other.frees);
        self.allocated_bytes = self.allocated_bytes.saturating_add(other.allocated_bytes);
        self.freed_bytes = self.freed_bytes.saturating_add(other.freed_bytes);
    }

    #[inline]
    fn change(&mut self, what: Change, weight: Weight) {
        let blocks = weight.blocks as u32;
        match what {
            Change::Made => {
                self.allocations = self.allocations.saturating_add(blocks);
                self.allocated_bytes = self.allocated_bytes.saturating_add(weight.bytes);
            }
            Change::Freed => {
                self.frees = self.frees.saturating_add(blocks);
                self.freed_bytes = self.freed_bytes.saturating_add(weight.bytes);
            }
        }
    }
}

/// A site's curve. Its last point stands apart, so that a change usually finds it beside the
/// site's sums.
#[derive(Clone, Debug)]
pub(crate) struct Curve {
    last: Point,
    before: Vec<Point>,
}

impl Default for Curve {
    fn default() -> Self {
        Self { last: Point::of(NO_GROUP), before: Vec::new() }
    }
}

/// Points that a curve makes room for at once: many curves are kept, most are short.
const POINTS_AT_ONCE: usize = 4;

impl Curve {
    /// The point of a group; says whether it is a new one.
    #[inline]
    fn point(&mut self, group: u32) -> (&mut Point, bool) {
        if self.last.group == group {
            return (&mut self.last, false);
        }
        self.other_point(group)
    }

    fn other_point(&mut self, group: u32) -> (&mut Point, bool) {
        if self.last.group == NO_GROUP || self.last.group < group {
            self.settle();
            self.last = Point::of(group);
            return (&mut self.last, true);
        }
        // Something came late.
        let place = self.before.partition_point(|point| point.group < group);
        let is_new = self.before.get(place).is_none_or(|point| point.group != group);
        if is_new {
            self.before.insert(place, Point::of(group));
        }
        (&mut self.before[place], is_new)
    }

    /// Puts the last point behind the others.
    fn settle(&mut self) {
        if self.last.group == NO_GROUP {
            return;
        }
        if self.before.len() == self.before.capacity() {
            self.before.reserve_exact(POINTS_AT_ONCE.max(self.before.len() / 4));
        }
        self.before.push(self.last);
        self.last = Point::of(NO_GROUP);
    }

    /// Merges pairs of neighbours; says how many points are left.
    fn halve(&mut self) -> u64 {
        self.settle();
        for point in &mut self.before {
            point.group /= 2;
        }
        self.before.dedup_by(|later, earlier| {
            let same = later.group == earlier.group;
            if same {
                earlier.merge(later);
            }
            same
        });
        let count = self.before.len() as u64;
        if let Some(last) = self.before.pop() {
            self.last = last;
        }
        self.before.shrink_to_fit();
        count
    }

    fn points(&self) -> impl Iterator<Item = &Point> {
        let last = Some(&self.last).filter(|point| point.group != NO_GROUP);
        self.before.iter().chain(last)
    }
}

/// Something that happened to a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It was made.
    Made,
    /// It was freed.
    Freed,
}

/// The slices.
#[derive(Debug)]
pub(crate) struct Slices {
    width_ns: u64,
    list: Vec<Slice>,
    /// Sites' curves hold groups of `1 << group_shift` slices.
    group_shift: u32,
    entries: u64,
    allocations: u64,
    /// The slice that was used last, and when it begins and ends.
    recent: (usize, u64, u64),
}

impl Slices {
    /// For a run that is probably this long.
    pub(crate) fn new(duration: Nanos) -> Self {
        let width_ns = duration.0 / SLICES_MAX as u64 + 1;
        Self {
            width_ns,
            list: vec![Slice::default(); SLICES_MAX],
            group_shift: 0,
            entries: 0,
            allocations: 0,
            recent: (0, 0, width_ns),
        }
    }

    /// Where a moment is, if no doubling is needed for it.
    #[inline]
    fn index(&mut self, at: Nanos) -> usize {
        let (index, from, to) = self.recent;
        if from <= at.0 && at.0 < to {
            return index;
        }
        let index = (at.0 / self.width_ns) as usize;
        let from = index as u64 * self.width_ns;
        self.recent = (index, from, from.saturating_add(self.width_ns));
        index
    }

    /// Whether the slices are too narrow for a moment; then [`Slices::double`].
    #[inline]
    pub(crate) fn is_beyond(&self, at: Nanos) -> bool {
        at.0 >= self.recent.2 && at.0 / self.width_ns >= SLICES_MAX as u64
    }

    /// Doubles the width.
    pub(crate) fn double<'a>(&mut self, curves: impl Iterator<Item = &'a mut Curve>) {
        for index in 0..SLICES_MAX / 2 {
            let mut slice = self.list[index * 2];
            slice.merge(&self.list[index * 2 + 1]);
            self.list[index] = slice;
        }
        self.list[SLICES_MAX / 2..].fill(Slice::default());
        self.width_ns = self.width_ns.saturating_mul(2);
        self.recent = (0, 0, self.width_ns);
        if self.group_shift > 0 {
            // Twice as wide and half as many: the groups stay what they are.
            self.group_shift -= 1;
        } else {
            self.halve(curves);
        }
    }

    /// Whether the curves have grown too many points; then [`Slices::coarsen`].
    #[inline]
    pub(crate) fn is_crowded(&self) -> bool {
        self.entries > ENTRIES_MIN
            && self.entries > (self.allocations / ALLOCATIONS_AN_ENTRY).min(ENTRIES_MAX)
            && self.group_shift < GROUP_SHIFT_MAX
    }

    /// Makes the curves keep twice as many slices in a point.
    pub(crate) fn coarsen<'a>(&mut self, curves: impl Iterator<Item = &'a mut Curve>) {
        self.group_shift += 1;
        self.halve(curves);
    }

    fn halve<'a>(&mut self, curves: impl Iterator<Item = &'a mut Curve>) {
        self.entries = curves.map(Curve::halve).sum();
    }

    /// Takes in a change, and what was alive after it.
    #[inline]
    pub(crate) fn change(
        &mut self,
        what: Change,
        weight: Weight,
        at: Nanos,
        live_bytes: u64,
        curve: &mut Curve,
    ) {
        let index = self.index(at);
        let group = (index >> self.group_shift) as u32;
        let slice = &mut self.list[index];
        slice.peak_bytes = slice.peak_bytes.max(live_bytes);
        let (point, is_new) = curve.point(group);
        point.change(what, weight);
        self.entries += u64::from(is_new);
        match what {
            Change::Made => {
                self.allocations += 1;
                slice.allocations += weight.blocks;
                slice.allocated_bytes = slice.allocated_bytes.saturating_add(weight.bytes);
            }
            Change::Freed => {
                slice.frees += weight.blocks;
                slice.freed_bytes = slice.freed_bytes.saturating_add(weight.bytes);
            }
        }
    }

    /// Blocks came and went somewhere between two moments: evenly, as far as is known.
    pub(crate) fn aggregate(
        &mut self,
        (from, to): (Nanos, Nanos),
        blocks: u64,
        bytes: u64,
        curve: &mut Curve,
    ) {
        let (first, last) = (self.index(from.min(to)), self.index(to));
        let parts = last.saturating_sub(first) as u128 + 1;
        let part = |of: u64, nth: u128| {
            let until = |nth: u128| u128::from(of) * nth / parts;
            (until(nth + 1) - until(nth)) as u64
        };
        for (nth, index) in (0..parts).zip(first..=last) {
            let (blocks, bytes) = (part(blocks, nth), part(bytes, nth));
            if blocks == 0 && bytes == 0 {
                continue;
            }
            let slice = &mut self.list[index];
            slice.allocations = slice.allocations.saturating_add(blocks);
            slice.frees = slice.frees.saturating_add(blocks);
            slice.allocated_bytes = slice.allocated_bytes.saturating_add(bytes);
            slice.freed_bytes = slice.freed_bytes.saturating_add(bytes);
            let (point, is_new) = curve.point((index >> self.group_shift) as u32);
            let count = u32::try_from(blocks).unwrap_or(u32::MAX);
            point.allocations = point.allocations.saturating_add(count);
            point.frees = point.frees.saturating_add(count);
            point.allocated_bytes = point.allocated_bytes.saturating_add(bytes);
            point.freed_bytes = point.freed_bytes.saturating_add(bytes);
            self.entries += u64::from(is_new);
        }
        self.allocations = self.allocations.saturating_add(blocks);
    }

    /// A block made at this moment is alive at the end.
    pub(crate) fn stays(&mut self, size: u64, made: Nanos) {
        let index = self.index(made);
        let slice = &mut self.list[index];
        slice.staying_bytes = slice.staying_bytes.saturating_add(size);
    }

    /// The slices of a run that was this long after all.
    pub(crate) fn finish(&self, duration: Nanos) -> &[Slice] {
        let used = (duration.0 / self.width_ns + 1).min(SLICES_MAX as u64);
        &self.list[..used as usize]
    }

    /// Width of a slice.
    pub(crate) fn width_ns(&self) -> u64 {
        self.width_ns
    }

    /// How many slices a point of a site's curve covers.
    pub(crate) fn slices_per_point(&self) -> u64 {
        1 << self.group_shift
    }

    /// A site's curve, each point at the last slice that it covers.
    pub(crate) fn points<'a>(
        &self,
        curve: &'a Curve,
        slices: usize,
    ) -> impl Iterator<Item = (usize, Slice)> + use<'a> {
        let shift = self.group_shift;
        curve.points().map(move |point| {
            let last = ((point.group as usize + 1) << shift) - 1;
            let slice = Slice {
                allocations: u64::from(point.allocations),
                allocated_bytes: point.allocated_bytes,
                frees: u64::from(point.frees),
                freed_bytes: point.freed_bytes,
                ..Slice::default()
            };
            (last.min(slices - 1), slice)
        })
    }
}
