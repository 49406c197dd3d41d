//! The time axis: the moments at which all sums are precomputed.
//!
//! Reads: rows of `timeline`. Writes: edges, and the number of blocks freed before each.
//!
//! Invariants:
//! - Edge 0 is the start, the last edge is after the end; edges increase.
//! - A point of a site's curve covers the time between two edges, so that sums over `site_timeline`
//!   from edge to edge are exact.
//! - Rows of `allocations` are in the order of frees: the blocks freed before an edge are the first
//!   [`Axis::ended_before`] rows, except for at most [`Axis::late`] of them.

/// A row of `timeline`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the columns of `timeline`, documented in docs/reference/SCHEMA.md"
)]
pub struct Slice {
    pub from_ns: i64,
    pub to_ns: i64,
    pub live_bytes: i64,
    pub live_blocks: i64,
    pub allocations: i64,
    pub allocated_bytes: i64,
    pub frees: i64,
    pub freed_bytes: i64,
    pub never_freed_bytes: i64,
}

/// The meaning of a row of `allocations`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RowKind {
    /// A block.
    #[default]
    Blocks,
    /// A sample, which stands for several blocks.
    Samples,
}

impl RowKind {
    /// SQL: the bytes of a row of `table`.
    pub fn bytes(self, table: &str) -> String {
        match self {
            Self::Blocks => "size".into(),
            Self::Samples => {
                format!("(SELECT bytes FROM sample_weights AS w WHERE w.size = {table}.size)")
            }
        }
    }

    /// SQL: the blocks of a row of `table`, not always an integer.
    fn blocks(self, table: &str) -> String {
        match self {
            Self::Blocks => "1".into(),
            Self::Samples => {
                format!("(SELECT blocks FROM sample_weights AS w WHERE w.size = {table}.size)")
            }
        }
    }

    /// SQL: the number of blocks, as an integer.
    pub fn count(self, table: &str) -> String {
        match self {
            Self::Blocks => "count(*)".into(),
            Self::Samples => format!("CAST(round(sum({})) AS INTEGER)", self.blocks(table)),
        }
    }

    /// SQL: the number of blocks for which a condition holds.
    pub fn count_of(self, table: &str, condition: &str) -> String {
        match self {
            Self::Blocks => format!("sum({condition})"),
            Self::Samples => {
                format!("CAST(round(sum(iif({condition}, {}, 0))) AS INTEGER)", self.blocks(table))
            }
        }
    }

    /// SQL: additional columns with the weight of a row of `table`.
    pub fn columns(self, table: &str) -> String {
        match self {
            Self::Blocks => String::new(),
            Self::Samples => {
                format!(",\n  {} AS blocks, {} AS bytes", self.blocks(table), self.bytes(table))
            }
        }
    }
}

/// The time axis.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Axis {
    /// End of the recording, ns since the start.
    pub end_ns: i64,
    /// Time of the peak, ns since the start.
    pub peak_ns: i64,
    /// Upper bound of rows that are behind rows of later frees.
    pub late: i64,
    /// Number of backtraces with allocations.
    pub sites: i64,
    /// The meaning of a row of `allocations`.
    pub rows: RowKind,
    /// The slices.
    pub slices: Vec<Slice>,
    edges: Vec<i64>,
    last_slices: Vec<usize>,
    ended: Vec<i64>,
}

impl Axis {
    /// Builds the axis from slices; a point of a site's curve covers `slices_per_point` of them.
    pub fn new(slices: Vec<Slice>, slices_per_point: usize, end_ns: i64, peak_ns: i64) -> Self {
        let mut axis = Self { end_ns, peak_ns, edges: vec![0], ..Self::default() };
        axis.last_slices.push(0);
        axis.ended.push(0);
        let mut frees = 0;
        for (at, slice) in slices.iter().enumerate() {
            frees += slice.frees;
            let is_last = at + 1 == slices.len();
            if (at + 1) % slices_per_point.max(1) != 0 && !is_last {
                continue;
            }
            let end = if is_last { slice.to_ns.max(end_ns + 1) } else { slice.to_ns };
            axis.edges.push(end);
            axis.last_slices.push(at);
            axis.ended.push(frees);
        }
        axis.slices = slices;
        axis
    }

    /// Number of points, which is the index of the last edge.
    pub fn points(&self) -> usize {
        self.edges.len().saturating_sub(1)
    }

    /// The time of an edge. Events before it are included, events at it are not.
    pub fn edge(&self, number: usize) -> i64 {
        self.edges.get(number).or(self.edges.last()).copied().unwrap_or(0)
    }

    /// The edge nearest to a moment.
    pub fn nearest(&self, at_ns: i64) -> usize {
        let above = self.edges.partition_point(|edge| *edge < at_ns);
        let distance = |number: usize| self.edge(number).abs_diff(at_ns);
        match above.checked_sub(1) {
            Some(below) if above > self.points() || distance(below) < distance(above) => below,
            _ => above.min(self.points()),
        }
    }

    /// The edge at exactly this moment.
    pub fn edge_at(&self, at_ns: i64) -> Option<usize> {
        self.edges.binary_search(&at_ns).ok()
    }

    /// The slice that ends at an edge; `None` at the start.
    pub fn slice_before(&self, number: usize) -> Option<usize> {
        match number {
            0 => None,
            number => self.last_slices.get(number).copied(),
        }
    }

    /// The point of a slice: it lies between the edge of this index and the next.
    pub fn point_of(&self, slice: usize) -> usize {
        let ends = self.last_slices.get(1..).unwrap_or_default();
        ends.partition_point(|last| *last < slice).min(self.points().saturating_sub(1))
    }

    /// Number of blocks freed before an edge.
    pub fn ended_before(&self, number: usize) -> i64 {
        self.ended.get(number).copied().unwrap_or(0)
    }

    /// Number of first rows of `allocations` that were certainly freed before an edge.
    pub fn min_ended_before(&self, number: usize) -> i64 {
        self.ended_before(number).saturating_sub(self.late).max(0)
    }

    /// Number of all frees.
    pub fn frees(&self) -> i64 {
        self.ended.last().copied().unwrap_or(0)
    }
}
