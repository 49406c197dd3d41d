//! The walker for targets without framehop, through the `backtrace` crate and the system's unwinder.
//! `--cfg rheaper_portable_walk` selects it on other targets, so that it is tested.
//!
//! Reads: this thread's stack. Writes: nodes.
//!
//! Invariant: this code does not allocate. The system's unwinder may take a lock, which is why the
//! other walker is preferred.

use std::ptr::NonNull;

use crate::collector::platform::counter::WalkCounters;
use crate::collector::platform::sys;
use crate::collector::unwind::stack_table;
use crate::recording::{Address, NodeId};

/// Highest depth limit, in frames.
pub(crate) const DEPTH_MAX: usize = 1024;

/// Upper bound of the innermost frames that belong to the recorder and to the unwinder.
const OWN_FRAMES: usize = 16;

/// The start of a walk: the system's unwinder captures the registers itself.
#[derive(Clone, Copy)]
pub(crate) struct Start;

/// One thread's walker: memory for the addresses of a stack.
pub(crate) struct Walker {
    frames: NonNull<u64>,
    depth_max: usize,
}

impl Walker {
    /// Bytes of memory that a walker with this depth limit needs.
    pub(crate) const fn bytes(depth_max: usize) -> usize {
        depth_max.saturating_add(OWN_FRAMES).saturating_mul(size_of::<u64>())
    }

    /// A walker for stacks of `depth_max` frames.
    ///
    /// # Safety
    /// `pages` is memory of [`Walker::bytes`] bytes, aligned to 8 bytes, that lives as long as the walker
    /// and is used by nothing else.
    pub(crate) unsafe fn new(pages: NonNull<u8>, depth_max: usize) -> Self {
        Self { frames: pages.cast(), depth_max }
    }

    /// Starts on another stack; does nothing, because nothing is cached between walks.
    pub(crate) fn adopt(&mut self, _stack: (u64, u64)) {}

    /// Gives the memory back to the system; the walker is not used again.
    pub(crate) fn discard(&self, depth_max: usize) {
        // SAFETY: `frames` is the start of the pages that `new` was given, and `bytes` is their length.
        unsafe { sys::discard_pages(self.frames.cast(), Self::bytes(depth_max)) };
    }

    /// Does nothing, because nothing is cached between walks.
    pub(crate) fn enable_fast_entry(&mut self, _is_enabled: bool) {}

    /// `None`, because nothing is cached between walks.
    pub(crate) fn find_last(&self, _start: &Start) -> Option<NodeId> {
        None
    }

    /// [`NodeId::NONE`], because nothing is cached between walks.
    pub(crate) fn find_recent(&self, _start: &Start) -> NodeId {
        NodeId::NONE
    }

    /// The node of the caller's stack. The recorder's frames are included, and readers remove them by name.
    pub(crate) fn walk(&mut self, _start: Start, counters: &WalkCounters) -> NodeId {
        counters.misses.add(1);
        let limit = self.depth_max.saturating_add(OWN_FRAMES);
        let (frames, mut len, mut root) = (self.frames, 0, NodeId::ROOT);
        let visit = |frame: &backtrace::Frame| {
            if len >= limit {
                root = NodeId::TRUNCATED;
                return false;
            }
            // SAFETY: `len` is below `limit`, the number of addresses for which `bytes` has room.
            unsafe { frames.add(len).write(frame.ip() as u64) };
            len = len.wrapping_add(1);
            true
        };
        // SAFETY: the crate requires synchronisation for unwinders that are not thread-safe (dbghelp);
        // the unwinder of Unix systems is.
        unsafe { backtrace::trace_unsynchronized(visit) };
        counters.new_frames.add(len as u64);
        let node = (0..len).rev().fold(root, |parent, at| {
            // SAFETY: `at` is below `len`, and `visit` wrote those addresses.
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
