//! Events, and what the two sides of a stream remember of it.
//!
//! Reads and writes: nothing; [`encode`](crate::recording::encode) and
//! [`decode`](crate::recording::decode) do. The layout is drawn in docs/FORMAT.md.
//!
//! Invariants:
//! - Encoder and decoder hold the same [`Model`] and change it only through its methods, so
//!   that what one predicts the other predicts.
//! - A keyframe resets the model, so that decoding may begin at any keyframe.

use crate::recording::ids::{Address, Bytes, NodeId, Ticks};

/// Entries of each prediction table; indexed by the low bits of a node id.
const TABLE: usize = 256;

/// The time nibble that says: the delta follows in two bytes.
pub(crate) const TIME_ESCAPE: u64 = 15;

/// Address codes 0 to 4 are that many bytes of delta.
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

/// What happened, on the thread that the decoder names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A block was handed out; stamped after the inner allocator returned.
    Alloc {
        /// When.
        at: Ticks,
        /// Where.
        address: Address,
        /// How big, as asked for.
        size: Bytes,
        /// From where.
        node: NodeId,
        /// Base-2 logarithm of the alignment where it is above 16 bytes, else 0.
        align_log2: u8,
        /// Whether zeroed memory was asked for.
        zeroed: bool,
    },
    /// A block was given back; stamped before the inner allocator was called.
    Free {
        /// When.
        at: Ticks,
        /// Where.
        address: Address,
    },
    /// A block changed its size and possibly its place.
    Realloc {
        /// Before the inner allocator was called: when the old block ended.
        began: Ticks,
        /// After it returned: when the new block began.
        at: Ticks,
        /// The old place.
        old: Address,
        /// The new place, possibly the same.
        new: Address,
        /// The new size.
        size: Bytes,
        /// From where.
        node: NodeId,
        /// As in `Alloc`.
        align_log2: u8,
    },
    /// A block ended because it grew or shrank; stamped before the inner allocator was called.
    ReallocEnd {
        /// When.
        at: Ticks,
        /// Where.
        address: Address,
    },
    /// A block was made by growing or shrinking another one, which ended before.
    ReallocBegin {
        /// When.
        at: Ticks,
        /// Where.
        address: Address,
        /// How big, as asked for.
        size: Bytes,
        /// From where.
        node: NodeId,
        /// As in `Alloc`.
        align_log2: u8,
        /// Whether the address changed.
        moved: bool,
        /// Whether the other one is the thread's last `ReallocEnd`; else it was aggregated away.
        linked: bool,
    },
    /// The thread made blocks since its event before this one that were aggregated away.
    SkippedAllocs {
        /// Not later than the next event.
        at: Ticks,
        /// How many.
        allocations: u64,
    },
    /// The inner allocator answered null; nothing changed.
    Failed {
        /// When.
        at: Ticks,
        /// The size asked for.
        size: Bytes,
        /// From where.
        node: NodeId,
    },
}

impl Event {
    /// When it happened; for a realloc, when it was done.
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

/// What both sides remember of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) ticks: u64,
    /// The address of the last event.
    pub(crate) near: u64,
    /// The last address before the stream jumped far away.
    pub(crate) far: u64,
    pub(crate) node: u32,
    /// By node: the size it last allocated.
    sizes: [u32; TABLE],
    /// By node: the node that last came after it.
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

    /// The stream moved to an address that is not near the last one.
    #[inline(always)]
    pub(crate) fn jump(&mut self, address: u64) {
        self.far = self.near;
        self.near = address;
    }
}
