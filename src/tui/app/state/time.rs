//! State of the Time view: curves over the time axis, two cursors, marks.
//!
//! Invariants:
//! - Cursors are indices of edges of the axis, so that every sum between them is exact.
//! - A curve has one value per point; a point lies between two edges.

use crate::database::error::QueryError;
use crate::tui::data::filter::FilterSet;
use crate::tui::data::time_axis::Axis;

/// Number of sites that are stacked; all others are one band.
pub const STACKED: usize = 7;

/// Events of a point, and live blocks at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "as the columns of `timeline`")]
pub struct Point {
    pub live_bytes: i64,
    pub live_blocks: i64,
    pub allocations: i64,
    pub allocated_bytes: i64,
    pub frees: i64,
    pub freed_bytes: i64,
    /// Bytes allocated up to its end that are live at the end of the run.
    pub never_freed_bytes: i64,
}

/// The live bytes of a group of sites over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteCurve {
    /// The group, `suspects.id`.
    pub suspect: i64,
    /// The function that names it.
    pub name: String,
    /// Bytes live at the end of each point.
    pub live_bytes: Vec<i64>,
}

/// A named moment of the program.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mark {
    /// Nanoseconds since the start.
    pub at_ns: i64,
    /// The name.
    pub name: String,
    /// The value given with it.
    pub value: Option<f64>,
}

/// Whether the curve is divided into its largest sites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stacking {
    /// The total only.
    #[default]
    Sum,
    /// The largest sites and all others.
    Sites,
}

/// State of the view.
#[derive(Clone, Debug, Default)]
pub struct TimeState {
    /// The two cursors, as indices of edges.
    pub cursors: [usize; 2],
    /// Index of the cursor that moves.
    pub active: usize,
    /// Whether the curve is stacked.
    pub stacking: Stacking,
    /// The points of the selected sites; empty before they are read.
    pub points: Vec<Point>,
    /// The largest selected sites, largest first.
    pub sites: Vec<SiteCurve>,
    /// The filter set of the requested curves.
    pub requested_for: Option<FilterSet>,
    /// Memory readings: nanoseconds, resident bytes.
    pub rss: Vec<(i64, i64)>,
    /// Marks by time.
    pub marks: Vec<Mark>,
    /// The error of the last request, if it failed.
    pub error: Option<QueryError>,
}

impl TimeState {
    /// The edge of the active cursor.
    pub fn cursor(&self) -> usize {
        self.cursors.get(self.active).copied().unwrap_or(0)
    }

    /// The edges of the range, the earlier first.
    pub fn range(&self) -> (usize, usize) {
        let [one, other] = self.cursors;
        (one.min(other), one.max(other))
    }

    /// Moves the active cursor.
    pub fn step(&mut self, by: i64, points: usize) {
        self.move_to(self.cursor().saturating_add_signed(by as isize), points);
    }

    /// Moves the active cursor to an edge.
    pub fn move_to(&mut self, edge: usize, points: usize) {
        if let Some(cursor) = self.cursors.get_mut(self.active) {
            *cursor = edge.min(points);
        }
    }

    /// Moves the cursors onto the axis.
    pub fn clamp(&mut self, points: usize) {
        self.cursors = self.cursors.map(|edge| edge.min(points));
        self.active = self.active.min(1);
    }

    /// The point before an edge: what is live at it.
    pub fn live_at(&self, edge: usize) -> Point {
        let before = edge.checked_sub(1);
        before.and_then(|at| self.points.get(at)).copied().unwrap_or_default()
    }

    /// Sums of events from edge to edge; live values are those at the later edge.
    pub fn between(&self, from: usize, to: usize) -> Point {
        let mut sum = self.live_at(to);
        let points = self.points.get(from..to).unwrap_or_default();
        let add = |of: fn(&Point) -> i64| points.iter().map(of).sum();
        sum.allocations = add(|it| it.allocations);
        sum.allocated_bytes = add(|it| it.allocated_bytes);
        sum.frees = add(|it| it.frees);
        sum.freed_bytes = add(|it| it.freed_bytes);
        sum.never_freed_bytes -= self.live_at(from).never_freed_bytes;
        sum
    }

    /// Sets the curve of the whole run from the slices.
    pub fn set_whole_run(&mut self, axis: &Axis) {
        self.points = (0..axis.points()).map(|point| sum_slices(axis, point)).collect();
    }

    /// Sets the curve from rows of slice, allocated blocks and bytes, freed blocks and bytes.
    pub fn set_changes(&mut self, axis: &Axis, changes: &[[i64; 5]]) {
        let mut points = vec![Point::default(); axis.points()];
        for [slice, allocations, allocated, frees, freed] in changes {
            if let Some(point) = usize::try_from(*slice)
                .ok()
                .map(|it| axis.point_of(it))
                .and_then(|at| points.get_mut(at))
            {
                point.allocations += allocations;
                point.allocated_bytes += allocated;
                point.frees += frees;
                point.freed_bytes += freed;
            }
        }
        let (mut bytes, mut blocks) = (0, 0);
        for point in &mut points {
            bytes += point.allocated_bytes - point.freed_bytes;
            blocks += point.allocations - point.frees;
            (point.live_bytes, point.live_blocks) = (bytes, blocks);
        }
        self.points = points;
    }

    /// Sets the largest groups from their names by rank and rows of group, slice and change.
    pub fn set_sites(&mut self, axis: &Axis, names: &[(i64, String)], changes: &[[i64; 3]]) {
        self.sites = names
            .iter()
            .map(|(suspect, name)| {
                let mut live = vec![0; axis.points()];
                for [_, slice, change] in changes.iter().filter(|row| row[0] == *suspect) {
                    if let Some(at) = usize::try_from(*slice)
                        .ok()
                        .map(|it| axis.point_of(it))
                        .and_then(|at| live.get_mut(at))
                    {
                        *at += change;
                    }
                }
                let mut level = 0;
                for value in &mut live {
                    level += *value;
                    *value = level;
                }
                SiteCurve { suspect: *suspect, name: name.clone(), live_bytes: live }
            })
            .collect();
    }

    /// The edge of the next mark after or before the cursor.
    pub fn next_mark(&self, axis: &Axis, forward: bool) -> Option<usize> {
        let here = self.cursor();
        let edges = self.marks.iter().map(|mark| axis.nearest(mark.at_ns));
        match forward {
            true => edges.filter(|edge| *edge > here).min(),
            false => edges.filter(|edge| *edge < here).max(),
        }
    }
}

fn sum_slices(axis: &Axis, point: usize) -> Point {
    let from = axis.slice_before(point).map_or(0, |slice| slice + 1);
    let to = axis.slice_before(point + 1).unwrap_or(from);
    let mut sum = Point::default();
    for slice in axis.slices.get(from..=to).unwrap_or_default() {
        sum.allocations += slice.allocations;
        sum.allocated_bytes += slice.allocated_bytes;
        sum.frees += slice.frees;
        sum.freed_bytes += slice.freed_bytes;
        sum.live_bytes = slice.live_bytes;
        sum.live_blocks = slice.live_blocks;
        sum.never_freed_bytes = slice.never_freed_bytes;
    }
    sum
}
