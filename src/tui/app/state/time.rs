//! The run's course: curves over the axis, two cursors, marks.
//!
//! Reads: sums by slice of the filter set's sites, samples and marks as they arrive.
//! Writes: what the cursors are at.
//!
//! Invariants:
//! - Cursors are numbers of edges of the axis, so that every sum between them is exact.
//! - A curve has a value for each point, which is between two edges.

use crate::database::error::QueryError;
use crate::tui::data::axis::Axis;
use crate::tui::data::filter::FilterSet;

/// Sites that are stacked beside the rest.
pub const STACKED: usize = 7;

/// What happened in a point, and what was alive at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "as the columns of `timeline`")]
pub struct Point {
    pub live_bytes: i64,
    pub live_blocks: i64,
    pub allocations: i64,
    pub allocated_bytes: i64,
    pub frees: i64,
    pub freed_bytes: i64,
    /// Of what was made up to its end, the bytes alive at the end of the run.
    pub never_freed_bytes: i64,
}

/// The live bytes of one group of sites over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteCurve {
    /// The group, `suspects.id`.
    pub suspect: i64,
    /// The function that names it.
    pub name: String,
    /// Bytes alive at the end of each point.
    pub live_bytes: Vec<i64>,
}

/// A moment that the program named.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mark {
    /// When.
    pub at_ns: i64,
    /// Its name.
    pub name: String,
    /// A number that came with it.
    pub value: Option<f64>,
}

/// Whether the curve is cut into its largest sites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stack {
    /// Only the sum.
    #[default]
    Sum,
    /// The largest sites, and the rest.
    Sites,
}

/// The view.
#[derive(Clone, Debug, Default)]
pub struct TimeState {
    /// The two cursors, as numbers of edges.
    pub cursors: [usize; 2],
    /// Which one moves.
    pub active: usize,
    /// How the curve is drawn.
    pub stack: Stack,
    /// The points of the filter set's sites; none before the answer.
    pub points: Vec<Point>,
    /// The largest sites of it, largest first.
    pub sites: Vec<SiteCurve>,
    /// The filter set that both were asked for.
    pub asked_for: Option<FilterSet>,
    /// Resident memory of the process: when, bytes.
    pub rss: Vec<(i64, i64)>,
    /// Marks, in the order of time.
    pub marks: Vec<Mark>,
    /// What went wrong.
    pub error: Option<QueryError>,
}

impl TimeState {
    /// The edge at which the moving cursor is.
    pub fn cursor(&self) -> usize {
        self.cursors.get(self.active).copied().unwrap_or(0)
    }

    /// The edges of the range, the earlier one first.
    pub fn range(&self) -> (usize, usize) {
        let [one, other] = self.cursors;
        (one.min(other), one.max(other))
    }

    /// Moves the cursor.
    pub fn step(&mut self, by: i64, points: usize) {
        self.go(self.cursor().saturating_add_signed(by as isize), points);
    }

    /// Puts the cursor at an edge.
    pub fn go(&mut self, edge: usize, points: usize) {
        if let Some(cursor) = self.cursors.get_mut(self.active) {
            *cursor = edge.min(points);
        }
    }

    /// Brings the cursors back onto the axis.
    pub fn fit(&mut self, points: usize) {
        self.cursors = self.cursors.map(|edge| edge.min(points));
        self.active = self.active.min(1);
    }

    /// What was alive at an edge.
    pub fn alive(&self, edge: usize) -> Point {
        let before = edge.checked_sub(1);
        before.and_then(|at| self.points.get(at)).copied().unwrap_or_default()
    }

    /// The sums of what happened from edge to edge; what is alive is that at the later one.
    pub fn between(&self, from: usize, to: usize) -> Point {
        let mut sum = self.alive(to);
        let points = self.points.get(from..to).unwrap_or_default();
        let add = |of: fn(&Point) -> i64| points.iter().map(of).sum();
        sum.allocations = add(|it| it.allocations);
        sum.allocated_bytes = add(|it| it.allocated_bytes);
        sum.frees = add(|it| it.frees);
        sum.freed_bytes = add(|it| it.freed_bytes);
        sum.never_freed_bytes -= self.alive(from).never_freed_bytes;
        sum
    }

    /// The whole run, from the slices.
    pub fn take_all(&mut self, axis: &Axis) {
        self.points = (0..axis.points()).map(|point| from_slices(axis, point)).collect();
    }

    /// The filter set's sites: rows of slice, made blocks and bytes, freed blocks and bytes.
    pub fn take_changes(&mut self, axis: &Axis, changes: &[[i64; 5]]) {
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

    /// The largest groups of sites: rows of group, slice and change, and their names by rank.
    pub fn take_sites(&mut self, axis: &Axis, names: &[(i64, String)], changes: &[[i64; 3]]) {
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

    /// The mark after the cursor, or before it, as an edge.
    pub fn next_mark(&self, axis: &Axis, forward: bool) -> Option<usize> {
        let here = self.cursor();
        let edges = self.marks.iter().map(|mark| axis.nearest(mark.at_ns));
        match forward {
            true => edges.filter(|edge| *edge > here).min(),
            false => edges.filter(|edge| *edge < here).max(),
        }
    }
}

fn from_slices(axis: &Axis, point: usize) -> Point {
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
