//! The run's time axis: the moments at which every sum is known without a look at single blocks.
//!
//! Reads: rows of `timeline`. Writes: edges, and how many blocks had ended at each.
//!
//! Invariants:
//! - Edge 0 is the beginning and the last one is behind the end; edges rise.
//! - Between two edges lies what one point of a site's curve covers, so that sums over
//!   `site_timeline` from edge to edge are exact.
//! - Rows of `allocations` stand in the order in which blocks ended: those that ended before an
//!   edge are the first [`Axis::ended`] ones, but for as many as [`Axis::late`] says.

/// A slice of the run, as the table has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns of `timeline`, documented in docs/SCHEMA.md")]
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

/// What a row of `allocations` counts in sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RowKind {
    /// One block of its size.
    #[default]
    Blocks,
    /// What a sample of its size stands for.
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

    /// SQL: the blocks of a row of `table`, not always a whole number.
    fn blocks(self, table: &str) -> String {
        match self {
            Self::Blocks => "1".into(),
            Self::Samples => {
                format!("(SELECT blocks FROM sample_weights AS w WHERE w.size = {table}.size)")
            }
        }
    }

    /// SQL: a sum of blocks, as a whole number.
    pub fn count(self, table: &str) -> String {
        match self {
            Self::Blocks => "count(*)".into(),
            Self::Samples => format!("CAST(round(sum({})) AS INTEGER)", self.blocks(table)),
        }
    }

    /// SQL: the same of rows of which a condition holds.
    pub fn count_of(self, table: &str, condition: &str) -> String {
        match self {
            Self::Blocks => format!("sum({condition})"),
            Self::Samples => {
                format!("CAST(round(sum(iif({condition}, {}, 0))) AS INTEGER)", self.blocks(table))
            }
        }
    }

    /// SQL: more columns of a row of `table`, for who adds up rows himself.
    pub fn columns(self, table: &str) -> String {
        match self {
            Self::Blocks => String::new(),
            Self::Samples => {
                format!(",\n  {} AS blocks, {} AS bytes", self.blocks(table), self.bytes(table))
            }
        }
    }
}

/// The axis.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Axis {
    /// The end of the recording.
    pub end_ns: i64,
    /// When most was alive.
    pub peak_ns: i64,
    /// Blocks whose end was known late at most, so that their rows stand behind those of later ends.
    pub late: i64,
    /// How many backtraces made a block.
    pub sites: i64,
    /// What a row of `allocations` counts.
    pub rows: RowKind,
    /// The slices.
    pub slices: Vec<Slice>,
    edges: Vec<i64>,
    last_slices: Vec<usize>,
    ended: Vec<i64>,
}

impl Axis {
    /// From the slices, of which each point of a site's curve covers `slices_a_point`.
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
            let behind = if is_last { slice.to_ns.max(end_ns + 1) } else { slice.to_ns };
            axis.edges.push(behind);
            axis.last_slices.push(at);
            axis.ended.push(frees);
        }
        axis.slices = slices;
        axis
    }

    /// Between how many edges the run lies: the last edge's number.
    pub fn points(&self) -> usize {
        self.edges.len().saturating_sub(1)
    }

    /// When an edge is. What happened before it has happened, what happens at it has not.
    pub fn edge(&self, number: usize) -> i64 {
        self.edges.get(number).or(self.edges.last()).copied().unwrap_or(0)
    }

    /// The edge that is nearest to a moment.
    pub fn nearest(&self, at_ns: i64) -> usize {
        let above = self.edges.partition_point(|edge| *edge < at_ns);
        let distance = |number: usize| self.edge(number).abs_diff(at_ns);
        match above.checked_sub(1) {
            Some(below) if above > self.points() || distance(below) < distance(above) => below,
            _ => above.min(self.points()),
        }
    }

    /// The number of the edge that is at this moment exactly.
    pub fn edge_at(&self, at_ns: i64) -> Option<usize> {
        self.edges.binary_search(&at_ns).ok()
    }

    /// The slice that ends at an edge; none at the beginning.
    pub fn slice_before(&self, number: usize) -> Option<usize> {
        match number {
            0 => None,
            number => self.last_slices.get(number).copied(),
        }
    }

    /// The point that a slice is in: it lies between the edges of this number and the next.
    pub fn point_of(&self, slice: usize) -> usize {
        let ends = self.last_slices.get(1..).unwrap_or_default();
        ends.partition_point(|last| *last < slice).min(self.points().saturating_sub(1))
    }

    /// How many blocks had ended before an edge.
    pub fn ended_before(&self, number: usize) -> i64 {
        self.ended.get(number).copied().unwrap_or(0)
    }

    /// So many first rows of `allocations` all ended before an edge.
    pub fn min_ended_before(&self, number: usize) -> i64 {
        self.ended_before(number).saturating_sub(self.late).max(0)
    }

    /// How many blocks ended at all.
    pub fn frees(&self) -> i64 {
        self.ended.last().copied().unwrap_or(0)
    }
}
