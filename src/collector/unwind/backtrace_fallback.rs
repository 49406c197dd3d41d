//! Stacks by the `backtrace` crate: for targets without a framehop path, and, on Linux, when the
//! build asks for it, so that this way is tested too.
//!
//! Reads: this thread's stack, through the system's own unwinder. Writes: nodes.
//!
//! Invariant: no allocation of ours; whether the system's unwinder takes a lock is its affair,
//! which is why this is not the way where there is another.

use std::ptr::NonNull;

use crate::collector::platform::counter::WalkCounters;
use crate::collector::platform::sys;
use crate::collector::unwind::stack_table;
use crate::recording::{Address, NodeId};

/// Highest limit of frames that is honoured.
pub(crate) const DEPTH_MAX: usize = 1024;

/// Frames on top of a backtrace that are the recorder's own and the unwinder's.
const OWN_FRAMES: usize = 16;

/// Where a walk starts from: the system's unwinder knows on its own.
#[derive(Clone, Copy)]
pub(crate) struct Start;

/// One thread's walker: room for the addresses of a stack.
pub(crate) struct Walker {
    frames: NonNull<u64>,
    depth_max: usize,
}

impl Walker {
    /// Bytes of memory that a walker with this limit needs.
    pub(crate) const fn bytes(depth_max: usize) -> usize {
        depth_max.saturating_add(OWN_FRAMES).saturating_mul(size_of::<u64>())
    }

    /// A walker for stacks of `depth_max` frames.
    ///
    /// # Safety
    /// `pages` is memory of [`Walker::bytes`] bytes, 8-byte aligned, that nobody else uses.
    pub(crate) unsafe fn new(pages: NonNull<u8>, depth_max: usize) -> Self {
        Self { frames: pages.cast(), depth_max }
    }

    /// Another thread, or another recording: nothing is kept between walks.
    pub(crate) fn adopt(&mut self, _stack: (u64, u64)) {}

    /// Gives the memory back to the system; the walker is not used again.
    pub(crate) fn discard(&self, depth_max: usize) {
        // SAFETY: the pages that `new` was given.
        unsafe { sys::discard_pages(self.frames.cast(), Self::bytes(depth_max)) };
    }

    /// Nothing is kept between walks.
    pub(crate) fn commit_fast_entry(&mut self, _keeps: bool) {}

    /// As above.
    pub(crate) fn same(&self, _start: &Start) -> Option<NodeId> {
        None
    }

    /// As above.
    pub(crate) fn recalled(&self, _start: &Start) -> NodeId {
        NodeId::NONE
    }

    /// The stack of the caller, the recorder's own frames included; readers know their names.
    pub(crate) fn walk(&mut self, _start: Start, counters: &WalkCounters) -> NodeId {
        counters.misses.add(1);
        let limit = self.depth_max.saturating_add(OWN_FRAMES);
        let (frames, mut len, mut root) = (self.frames, 0, NodeId::ROOT);
        let visit = |frame: &backtrace::Frame| {
            if len >= limit {
                root = NodeId::TRUNCATED;
                return false;
            }
            // SAFETY: `len` is below what `bytes` made room for.
            unsafe { frames.add(len).write(frame.ip() as u64) };
            len = len.wrapping_add(1);
            true
        };
        // SAFETY: the crate asks that nobody else traces at the same time only where the
        // system's unwinder can't bear it (dbghelp); this one is per thread.
        unsafe { backtrace::trace_unsynchronized(visit) };
        counters.new_frames.add(len as u64);
        let node = (0..len).rev().fold(root, |parent, at| {
            // SAFETY: written above.
            let address = unsafe { self.frames.add(at).read() };
            if address == 0 { parent } else { stack_table::intern(parent, Address(address)) }
        });
        match (node, root) {
            (NodeId::OVERFLOW, _) => counters.overflow.add(1),
            (_, NodeId::TRUNCATED) => counters.truncated.add(1),
            _ => {}
        }
        node
    }
}
