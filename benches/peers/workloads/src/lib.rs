//! What every recorder is measured on: the same workloads, driven the same way, below whichever
//! global allocator the binary that links this library has chosen. Nothing here chooses one.

pub mod driver;
pub mod scale;
pub mod tail;

mod json;
mod search;
mod server;
mod sort;
mod strings;
mod tree;

pub mod clock;

pub use driver::{Counts, Recorder, drive};

/// Does the given number of iterations on inputs that were made when it was prepared.
pub type Work = Box<dyn FnMut(u64) + Send>;

/// One program to record.
pub struct Workload {
    /// How the command line and the tables call it.
    pub name: &'static str,
    /// Iterations done before recording starts, so that the heap and the caches are as in a
    /// program that has been running: what is measured is recording, not page faults.
    pub warm_up: u64,
    /// Makes the inputs, outside of what is timed.
    pub prepare: fn() -> Work,
}

/// All workloads, the artificial ones first.
pub const ALL: &[Workload] = &[
    Workload {
        name: "flat",
        warm_up: 10_000,
        prepare: strings::flat,
    },
    Workload {
        name: "deepvar",
        warm_up: 10_000,
        prepare: strings::deepvar,
    },
    Workload {
        name: "json",
        warm_up: 2,
        prepare: json::parse_records,
    },
    Workload {
        name: "btree",
        warm_up: 2,
        prepare: tree::fill,
    },
    Workload {
        name: "qsort",
        warm_up: 2,
        prepare: sort::through_libc,
    },
    Workload {
        name: "server",
        warm_up: 200,
        prepare: server::requests,
    },
    Workload {
        name: "paced-server",
        warm_up: 200,
        prepare: server::paced_requests,
    },
    Workload {
        name: "leaky-server",
        warm_up: 200,
        prepare: server::leaky_requests,
    },
    Workload {
        name: "search",
        warm_up: 1,
        prepare: search::index_and_query,
    },
];

/// The workload of this name.
pub fn find(name: &str) -> Option<&'static Workload> {
    ALL.iter().find(|workload| workload.name == name)
}

/// A scattered but reproducible sequence (SplitMix64), the source of all inputs: every run of
/// every recorder sees the same bytes.
pub(crate) struct Scatter(u64);

impl Scatter {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`. The slight bias of the remainder does not matter for inputs.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
