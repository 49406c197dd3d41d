//! Events, and the prediction model that encoder and decoder share.
//!
//! docs/reference/FORMAT.md shows the layout.
//!
//! Invariants:
//! - Encoder and decoder hold the same [`Model`] and change it only through its methods, so that
//!   both make the same predictions.
//! - A keyframe resets the model, so that decoding can start at any keyframe.

use crate::recording::ids::{Address, Bytes, NodeId, Ticks};

/// Entries of each prediction table, indexed by the low byte of a node id.
const TABLE: usize = 256;

/// Value of the time nibble for a delta that follows in two bytes.
pub(crate) const TIME_ESCAPE: u64 = 15;

/// Address codes 0 to 4 are the number of delta bytes; code 5 is a delta of four bytes from `far`.
pub(crate) const ADDRESS_FAR: u8 = 5;
pub(crate) const ADDRESS_LONG_FORM: u8 = 7;

pub(crate) const OP_KEYFRAME: u8 = 0;
pub(crate) const OP_SKIP: u8 = 1;
pub(crate) const OP_THREAD: u8 = 2;
pub(crate) const OP_ALLOC: u8 = 3;
pub(crate) const OP_FREE: u8 = 4;
pub(crate) const OP_REALLOC: u8 = 5;
pub(crate) const OP_FAILED: u8 = 6;
pub(crate) const OP_SCOPE: u8 = 7;
pub(crate) const OP_SKIPPED_ALLOCS: u8 = 8;
pub(crate) const OP_REALLOC_BEGIN: u8 = 9;
pub(crate) const OP_REALLOC_END: u8 = 10;

pub(crate) const FLAG_ZEROED: u64 = 1;
pub(crate) const FLAG_MOVED: u64 = 1;
pub(crate) const FLAG_LINKED: u64 = 2;

/// An event; the decoder knows its thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// An allocation; its time is after the inner allocator returned.
    Alloc {
        /// Time of the event.
        at: Ticks,
        /// Address of the block.
        address: Address,
        /// Requested size.
        size: Bytes,
        /// Call path.
        node: NodeId,
        /// Base-2 logarithm of the alignment where it is above 16 bytes, else 0.
        align_log2: u8,
        /// Whether `alloc_zeroed` was called.
        zeroed: bool,
    },
    /// A free; its time is before the inner allocator was called.
    Free {
        /// Time of the event.
        at: Ticks,
        /// Address of the block.
        address: Address,
    },
    /// A reallocation; the address may change.
    Realloc {
        /// Time before the inner allocator was called: end of the old block.
        began: Ticks,
        /// Time after it returned: start of the new block.
        at: Ticks,
        /// Old address.
        old: Address,
        /// New address, possibly the same.
        new: Address,
        /// Requested new size.
        size: Bytes,
        /// Call path.
        node: NodeId,
        /// As in `Alloc`.
        align_log2: u8,
    },
    /// The end of a block that was reallocated; its time is before the inner allocator was called.
    ReallocEnd {
        /// Time of the event.
        at: Ticks,
        /// Address of the block.
        address: Address,
    },
    /// A block that a reallocation allocated from another one, which ended before.
    ReallocBegin {
        /// Time of the event.
        at: Ticks,
        /// Address of the block.
        address: Address,
        /// Requested size.
        size: Bytes,
        /// Call path.
        node: NodeId,
        /// As in `Alloc`.
        align_log2: u8,
        /// Whether the address changed.
        moved: bool,
        /// Whether the old block ended with the thread's last `ReallocEnd`; otherwise it was
        /// aggregated.
        linked: bool,
    },
    /// Allocations of the thread since its preceding event whose blocks were aggregated.
    SkippedAllocs {
        /// Not later than the next event of the thread.
        at: Ticks,
        /// Number of allocations.
        allocations: u64,
    },
    /// The inner allocator returned null; nothing changed.
    Failed {
        /// Time of the event.
        at: Ticks,
        /// Requested size.
        size: Bytes,
        /// Call path.
        node: NodeId,
    },
}

impl Event {
    /// Time of the event; for a reallocation, the time after the inner call.
    #[inline]
    pub const fn at(&self) -> Ticks {
        match *self {
            Self::Alloc { at, .. }
            | Self::Free { at, .. }
            | Self::Realloc { at, .. }
            | Self::ReallocEnd { at, .. }
            | Self::ReallocBegin { at, .. }
            | Self::SkippedAllocs { at, .. }
            | Self::Failed { at, .. } => at,
        }
    }
}

/// The state of a stream that encoder and decoder share.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) ticks: u64,
    /// The address of the last event.
    pub(crate) near: u64,
    /// The last address before the stream moved far away.
    pub(crate) far: u64,
    pub(crate) node: u32,
    /// Last allocated size, by the low byte of the node id.
    sizes: [u32; TABLE],
    /// The node that last followed, by the low byte of the node id.
    successors: [u32; TABLE],
}

impl Model {
    pub(crate) const fn new() -> Self {
        Self { ticks: 0, near: 0, far: 0, node: 0, sizes: [0; TABLE], successors: [0; TABLE] }
    }

    pub(crate) fn reset(&mut self, ticks: u64) {
        *self = Self { ticks, ..Self::new() };
    }

    #[inline(always)]
    pub(crate) fn predicted_node(&self) -> u32 {
        self.successors[usize::from(self.node as u8)]
    }

    #[inline(always)]
    pub(crate) fn observe_node(&mut self, node: u32) {
        self.successors[usize::from(self.node as u8)] = node;
        self.node = node;
    }

    #[inline(always)]
    pub(crate) fn predicted_size(&self, node: u32) -> u32 {
        self.sizes[usize::from(node as u8)]
    }

    #[inline(always)]
    pub(crate) fn observe_size(&mut self, node: u32, size: u32) {
        self.sizes[usize::from(node as u8)] = size;
    }

    /// Moves to an address that is not near the last one.
    #[inline(always)]
    pub(crate) fn jump(&mut self, address: u64) {
        self.far = self.near;
        self.near = address;
    }
}
