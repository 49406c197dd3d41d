//! Divides the recording into equal time slices, while its length is still unknown, and keeps the
//! global curve and a curve per site.
//!
//! The slice width starts at the expected length of the recording / [`SLICES_MAX`]. When time
//! passes the last slice, neighbours are merged and the width doubles. When the sites' curves
//! together have too many points, only they are merged, to groups of `2^n` slices.
//!
//! Invariants: sums over all slices are exact, whatever was merged; the points of a curve are
//! sorted.

use crate::loader::model::Nanos;
use crate::loader::totals::sample_weights::Weight;

/// Maximum number of slices: more than a chart in a terminal has columns.
pub(crate) const SLICES_MAX: usize = 512;

/// Limit of the points of all sites' curves: one per [`ALLOCATIONS_PER_POINT`] allocations, within
/// these bounds. They keep the table `site_timeline` small beside `allocations`.
const POINTS_MIN: u64 = 1 << 16;
const POINTS_MAX: u64 = 1 << 20;
const ALLOCATIONS_PER_POINT: u64 = 8;
/// The limit never reduces a site's curve to fewer than `SLICES_MAX >> GROUP_SHIFT_MAX` points.
const GROUP_SHIFT_MAX: u32 = 5;

/// Sums over the events of a slice, or of a group of slices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TimeSlice {
    /// Allocated blocks.
    pub(crate) allocations: u64,
    /// Bytes of the allocated blocks.
    pub(crate) allocated_bytes: u64,
    /// Freed blocks.
    pub(crate) frees: u64,
    /// Bytes of the freed blocks.
    pub(crate) freed_bytes: u64,
    /// Maximum of the live bytes after each event; 0 without events. Global curve only.
    pub(crate) peak_bytes: u64,
    /// Allocated bytes that are live at the end of the recording. Global curve only.
    pub(crate) surviving_bytes: u64,
}

impl TimeSlice {
    fn merge(&mut self, other: &Self) {
        self.allocations += other.allocations;
        self.allocated_bytes = self.allocated_bytes.saturating_add(other.allocated_bytes);
        self.frees += other.frees;
        self.freed_bytes = self.freed_bytes.saturating_add(other.freed_bytes);
        self.peak_bytes = self.peak_bytes.max(other.peak_bytes);
        self.surviving_bytes = self.surviving_bytes.saturating_add(other.surviving_bytes);
    }
}

/// One point of a site's curve: the sums over a group of slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Point {
    /// Index of the group.
    group: u32,
    allocations: u32,
    frees: u32,
    allocated_bytes: u64,
    freed_bytes: u64,
}

/// The group of an unused point.
const NO_GROUP: u32 = u32::MAX;

impl Point {
    const fn new(group: u32) -> Self {
        Self { group, allocations: 0, frees: 0, allocated_bytes: 0, freed_bytes: 0 }
    }

    fn merge(&mut self, other: &Self) {
        self.allocations = self.allocations.saturating_add(other.allocations);
        self.frees = self.frees.saturating_add(other.frees);
        self.allocated_bytes = self.allocated_bytes.saturating_add(other.allocated_bytes);
        self.freed_bytes = self.freed_bytes.saturating_add(other.freed_bytes);
    }

    #[inline]
    fn add(&mut self, change: Change, weight: Weight) {
        let blocks = weight.blocks as u32;
        match change {
            Change::Alloc => {
                self.allocations = self.allocations.saturating_add(blocks);
                self.allocated_bytes = self.allocated_bytes.saturating_add(weight.bytes);
            }
            Change::Free => {
                self.frees = self.frees.saturating_add(blocks);
                self.freed_bytes = self.freed_bytes.saturating_add(weight.bytes);
            }
        }
    }
}

/// A site's curve. The last point is stored inline, so that an event usually finds it in the cache
/// line of the site's sums.
#[derive(Clone, Debug)]
pub(crate) struct Curve {
    last: Point,
    earlier: Vec<Point>,
}

impl Default for Curve {
    fn default() -> Self {
        Self { last: Point::new(NO_GROUP), earlier: Vec::new() }
    }
}

/// Points reserved at once: there are many curves, and most are short.
const POINTS_AT_ONCE: usize = 4;

impl Curve {
    /// The point of a group, and whether it is new.
    #[inline]
    fn point(&mut self, group: u32) -> (&mut Point, bool) {
        if self.last.group == group {
            return (&mut self.last, false);
        }
        self.point_slow(group)
    }

    fn point_slow(&mut self, group: u32) -> (&mut Point, bool) {
        if self.last.group == NO_GROUP || self.last.group < group {
            self.flush_last();
            self.last = Point::new(group);
            return (&mut self.last, true);
        }
        // A late event.
        let index = self.earlier.partition_point(|point| point.group < group);
        let is_new = self.earlier.get(index).is_none_or(|point| point.group != group);
        if is_new {
            self.earlier.insert(index, Point::new(group));
        }
        (&mut self.earlier[index], is_new)
    }

    /// Appends the last point to the earlier ones.
    fn flush_last(&mut self) {
        if self.last.group == NO_GROUP {
            return;
        }
        if self.earlier.len() == self.earlier.capacity() {
            self.earlier.reserve_exact(POINTS_AT_ONCE.max(self.earlier.len() / 4));
        }
        self.earlier.push(self.last);
        self.last = Point::new(NO_GROUP);
    }

    /// Merges pairs of groups; returns the number of points that are left.
    fn halve(&mut self) -> u64 {
        self.flush_last();
        for point in &mut self.earlier {
            point.group /= 2;
        }
        self.earlier.dedup_by(|later, earlier| {
            let same = later.group == earlier.group;
            if same {
                earlier.merge(later);
            }
            same
        });
        let count = self.earlier.len() as u64;
        if let Some(last) = self.earlier.pop() {
            self.last = last;
        }
        self.earlier.shrink_to_fit();
        count
    }

    fn points(&self) -> impl Iterator<Item = &Point> {
        let last = Some(&self.last).filter(|point| point.group != NO_GROUP);
        self.earlier.iter().chain(last)
    }
}

/// What an event did to a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Allocated it.
    Alloc,
    /// Freed it.
    Free,
}

/// The global curve, and the parameters of the sites' curves.
#[derive(Debug)]
pub(crate) struct TimeSlices {
    width_ns: u64,
    list: Vec<TimeSlice>,
    /// A point of a site's curve covers `1 << group_shift` slices.
    group_shift: u32,
    /// Points of all sites' curves.
    points: u64,
    allocations: u64,
    /// The slice of the last event: index, start and end. Saves a division per event.
    recent: (usize, u64, u64),
}

impl TimeSlices {
    /// Slices for a recording of this expected length.
    pub(crate) fn new(duration: Nanos) -> Self {
        let width_ns = duration.0 / SLICES_MAX as u64 + 1;
        Self {
            width_ns,
            list: vec![TimeSlice::default(); SLICES_MAX],
            group_shift: 0,
            points: 0,
            allocations: 0,
            recent: (0, 0, width_ns),
        }
    }

    /// The index of the slice that contains a time. [`TimeSlices::is_beyond`] must be false.
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

    /// Whether a time lies behind the last slice, so that [`TimeSlices::double`] is needed.
    #[inline]
    pub(crate) fn is_beyond(&self, at: Nanos) -> bool {
        at.0 >= self.recent.2 && at.0 / self.width_ns >= SLICES_MAX as u64
    }

    /// Doubles the width of the slices.
    pub(crate) fn double<'a>(&mut self, curves: impl Iterator<Item = &'a mut Curve>) {
        for index in 0..SLICES_MAX / 2 {
            let mut slice = self.list[index * 2];
            slice.merge(&self.list[index * 2 + 1]);
            self.list[index] = slice;
        }
        self.list[SLICES_MAX / 2..].fill(TimeSlice::default());
        self.width_ns = self.width_ns.saturating_mul(2);
        self.recent = (0, 0, self.width_ns);
        if self.group_shift > 0 {
            // Half as many slices of twice the width per group: the groups do not change.
            self.group_shift -= 1;
        } else {
            self.halve(curves);
        }
    }

    /// Whether the curves have too many points, so that [`TimeSlices::coarsen`] is needed.
    #[inline]
    pub(crate) fn has_too_many_points(&self) -> bool {
        self.points > POINTS_MIN
            && self.points > (self.allocations / ALLOCATIONS_PER_POINT).min(POINTS_MAX)
            && self.group_shift < GROUP_SHIFT_MAX
    }

    /// Doubles the slices per point of all curves.
    pub(crate) fn coarsen<'a>(&mut self, curves: impl Iterator<Item = &'a mut Curve>) {
        self.group_shift += 1;
        self.halve(curves);
    }

    fn halve<'a>(&mut self, curves: impl Iterator<Item = &'a mut Curve>) {
        self.points = curves.map(Curve::halve).sum();
    }

    /// Adds an event to the global curve and to its site's; `live_bytes` are those after it.
    #[inline]
    pub(crate) fn add(
        &mut self,
        change: Change,
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
        point.add(change, weight);
        self.points += u64::from(is_new);
        match change {
            Change::Alloc => {
                self.allocations += 1;
                slice.allocations += weight.blocks;
                slice.allocated_bytes = slice.allocated_bytes.saturating_add(weight.bytes);
            }
            Change::Free => {
                slice.frees += weight.blocks;
                slice.freed_bytes = slice.freed_bytes.saturating_add(weight.bytes);
            }
        }
    }

    /// Adds aggregated blocks, spread evenly over a time span: single times are not recorded.
    pub(crate) fn add_aggregated(
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
            self.points += u64::from(is_new);
        }
        self.allocations = self.allocations.saturating_add(blocks);
    }

    /// A block that was allocated at this time is live at the end.
    pub(crate) fn on_survivor(&mut self, size: u64, allocated: Nanos) {
        let index = self.index(allocated);
        let slice = &mut self.list[index];
        slice.surviving_bytes = slice.surviving_bytes.saturating_add(size);
    }

    /// The slices up to the end of the recording.
    pub(crate) fn used(&self, duration: Nanos) -> &[TimeSlice] {
        let used = (duration.0 / self.width_ns + 1).min(SLICES_MAX as u64);
        &self.list[..used as usize]
    }

    /// Width of a slice in nanoseconds.
    pub(crate) fn width_ns(&self) -> u64 {
        self.width_ns
    }

    /// Slices per point of a site's curve.
    pub(crate) fn slices_per_point(&self) -> u64 {
        1 << self.group_shift
    }

    /// The points of a site's curve, each with the index of the last slice that it covers.
    pub(crate) fn points<'a>(
        &self,
        curve: &'a Curve,
        slices: usize,
    ) -> impl Iterator<Item = (usize, TimeSlice)> + use<'a> {
        let shift = self.group_shift;
        curve.points().map(move |point| {
            let last = ((point.group as usize + 1) << shift) - 1;
            let slice = TimeSlice {
                allocations: u64::from(point.allocations),
                allocated_bytes: point.allocated_bytes,
                frees: u64::from(point.frees),
                freed_bytes: point.freed_bytes,
                ..TimeSlice::default()
            };
            (last.min(slices - 1), slice)
        })
    }
}
