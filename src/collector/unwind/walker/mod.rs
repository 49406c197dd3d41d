//! The verified walk: the node of the current stack, mostly by proving that the cached one is valid.
//!
//! Reads: registers and this thread's stack. Writes: the cached stack and the recent suffixes below,
//! and nodes through [`stack_table`](crate::collector::unwind::stack_table).
//!
//! # Why the answer is exact
//!
//! Unwinding a frame is a function: of the frame's registers (pc, sp, fp), of the unwind tables
//! for its pc, and of the stack words that it reads. A thread caches its last stack, outermost
//! frame first, and with each frame (`CachedFrame`) its registers and the words (`StackWord`: address
//! and value) that were read to get from it to its caller. A new walk unwinds frames until one
//! has the registers of a cached frame. Then all words from that frame outwards are
//! compared with the stack. If they are equal, then by induction over the frames, outwards, each
//! step has the same inputs as it had, so the rest of the stack is the cached one. If a word of
//! frame i differs, the frames outside frame i can't be derived from i or from any frame
//! inside it. The frames outside i do not depend on that word, so the walk goes on and may still
//! reach one of them. Nothing is guessed, and no return address is ever patched.
//!
//! The comparison leaves out the inputs that provably do not matter:
//! - fp, and a slot from which fp is restored, while no frame further out uses fp before it is
//!   restored again (`fp_matters`): code without frame pointers keeps loop counters in it;
//! - the tables: those of modules that are never unloaded don't change. Frames of other modules,
//!   frames that framehop had to unwind itself, and frames that a signal interrupted are *barriers*:
//!   neither they nor any frame inside them is reused, so they are unwound again by each walk.
//!
//! Cached frames with an sp below the new one have returned and are removed first, so every address
//! that is read lies between the current sp and the stack's end: mapped, and this thread's own.
//!
//! # Depth
//!
//! With a limit of L frames, a walk that finds no root stops at 1.5 L, and the cached stack never
//! exceeds 2 L: when a recursion has moved so far that fewer than L or more than 2 L frames
//! are above the anchor, the stack is walked anew. So a walk costs at most 2 L frames however
//! deep the recursion is, and its nodes do not change at each step. Readers cut every stack
//! to its innermost L frames.

pub(crate) mod foreign_stack;
pub(crate) mod suffix_lookup;
pub(crate) mod cached_stack;
pub(crate) mod step;

use std::ptr::NonNull;

use crate::collector::platform::counter::WalkCounters;
use crate::collector::platform::sys::{self, HeldSignals};
use crate::collector::unwind::recent_stacks::RecentStacks;
use crate::collector::unwind::rules::{Registers, Rule};
use crate::collector::unwind::walker::cached_stack::{
    CachedFrame, CachedStack, StackWord, WalkEnd,
};
use crate::collector::unwind::walker::step::{
    NewFrame, NewFrames, PcKind, RULES, RULES_BYTES, Rules, UnwindOutcome,
};
use crate::recording::NodeId;

/// Memory per frame: its cached and its new form, and at most two words.
const FRAME_BYTES: usize =
    size_of::<CachedFrame>() + 2 * size_of::<StackWord>() + size_of::<NewFrame>();

/// Highest depth limit, in frames.
pub(crate) const DEPTH_MAX: usize = 1024;

/// The registers at which a walk starts.
pub(crate) type Start = Registers;

/// One thread's walker. All of its memory is in the pages of [`Walker::new`].
pub(crate) struct Walker {
    cached: CachedStack,
    new_frames: NewFrames,
    rules: Rules,
    recent: RecentStacks,
    /// The thread's stack: its first address, and the one behind its last.
    stack: (u64, u64),
}

impl Walker {
    /// Bytes of memory that a walker with this depth limit needs.
    pub(crate) const fn bytes(depth_max: usize) -> usize {
        let frames = CachedStack::frames_max(depth_max);
        frames
            .saturating_mul(FRAME_BYTES)
            .saturating_add(RULES_BYTES)
            .saturating_add(RecentStacks::BYTES)
    }

    /// A walker for stacks of `depth_max` frames.
    ///
    /// # Safety
    /// `pages` is zeroed memory of [`Walker::bytes`] bytes, aligned to 16 bytes, that lives as long as
    /// the walker and is used by nothing else.
    pub(crate) unsafe fn new(pages: NonNull<u8>, depth_max: usize) -> Self {
        let frames = CachedStack::frames_max(depth_max);
        // SAFETY: `bytes` is the sum of the five arrays' sizes, and each array's size is a multiple of
        // the next one's alignment (8 bytes), so all are aligned and inside the pages.
        unsafe {
            let rules = pages.cast::<Rule>();
            let words = rules.add(RULES).cast::<StackWord>();
            let cached = words.add(frames.wrapping_mul(2)).cast::<CachedFrame>();
            let new_frames = cached.add(frames).cast::<NewFrame>();
            let recent = RecentStacks::new(new_frames.add(frames).cast());
            Self {
                cached: CachedStack::new(cached, words, depth_max),
                new_frames: NewFrames::new(new_frames, frames),
                rules: Rules::new(rules),
                recent,
                stack: (0, 0),
            }
        }
    }

    /// Starts on another stack, for another thread or recording. Rules are valid in the whole process
    /// and stay.
    pub(crate) fn adopt(&mut self, stack: (u64, u64)) {
        self.cached.clear();
        self.stack = stack;
        self.recent.clear();
    }

    /// Gives the memory back to the system; the walker is not used again.
    pub(crate) fn discard(&self, depth_max: usize) {
        // SAFETY: the rules are at the start of the pages that `new` was given, and `bytes` is their
        // length.
        unsafe { sys::discard_pages(self.rules.start(), Self::bytes(depth_max)) };
    }

    /// Sets whether the fast look-ups may return a node. They must not if stacks are sampled, because
    /// then an event may have to record that it has no stack.
    pub(crate) fn enable_fast_entry(&mut self, is_enabled: bool) {
        self.cached.enable_fast_entry(is_enabled);
    }

    /// The last stack's node if the current stack is the same, as it is in most walks. `None` if the
    /// stack is incomplete, because that must be counted.
    #[inline(always)]
    pub(crate) fn find_last(&self, start: &Registers) -> Option<NodeId> {
        self.cached.unchanged(start)
    }

    /// The node of the current stack if a recent suffix matches and its base is unchanged; else, or if
    /// the stack is incomplete, [`NodeId::NONE`]. Frames that have returned need not be removed first:
    /// all words that are compared are above `sp`.
    #[inline(always)]
    pub(crate) fn find_recent(&self, start: &Registers) -> NodeId {
        self.find_recent_at(start.pc, start.sp, start.fp)
    }

    /// Takes three integers, which are passed in registers, in place of a reference to memory.
    #[inline(never)]
    fn find_recent_at(&self, pc: u64, sp: u64, fp: u64) -> NodeId {
        let start = Registers { pc, sp, fp };
        crate::collector::unwind::walker::suffix_lookup::find_unchanged(
            &self.recent,
            &self.cached,
            &start,
            self.stack.1,
        )
    }

    /// The node of the stack whose innermost frame is the caller of the function that captured `start`.
    #[inline(always)]
    pub(crate) fn walk(&mut self, start: Registers, counters: &WalkCounters) -> NodeId {
        if start.sp < self.stack.0 || start.sp >= self.stack.1 {
            return self.walk_foreign(start, counters);
        }
        #[cfg(rheaper_testing)]
        if crate::collector::testing::is_naive() {
            self.cached.clear();
        }
        self.cached.pop_returned_frames(start.sp);
        if let Some(top) = self.cached.top()
            && self.cached.matches_frame(top, &start)
            && self.cached.first_changed(self.cached.frame(top).words).is_none()
            && self.cached.depth_fits(self.cached.len(), 0)
        {
            counters.hits.add(1);
            self.cached.update_fast_entry();
            return self.finish(self.cached.frame(top).node, counters);
        }
        let stack_end = self.stack.1;
        if let Some(node) = crate::collector::unwind::walker::suffix_lookup::find(
            &mut self.recent,
            &self.cached,
            &start,
            stack_end,
        ) {
            counters.suffix_hits.add(1);
            return self.finish(node, counters);
        }
        let node = self.walk_new_frames(start, counters);
        self.cached.update_fast_entry();
        self.finish(node, counters)
    }

    fn finish(&self, node: NodeId, counters: &WalkCounters) -> NodeId {
        let root = self.cached.root();
        if root != NodeId::ROOT || node == NodeId::OVERFLOW {
            match (node, root) {
                (NodeId::OVERFLOW, _) => counters.overflow.add(1),
                (_, NodeId::TRUNCATED) => counters.truncated.add(1),
                _ => counters.failed.add(1),
            }
        }
        node
    }

    fn walk_new_frames(&mut self, start: Registers, counters: &WalkCounters) -> NodeId {
        counters.misses.add(1);
        let (mut end, mut new_len) = self.unwind(start, self.cached.depth_cached_max(), counters);
        if let WalkEnd::Cached(at) = end
            && !self.cached.depth_fits(at.wrapping_add(1), new_len)
        {
            self.cached.clear();
            (end, new_len) = self.unwind(start, self.cached.depth_walked_max(), counters);
        }
        counters.new_frames.add(new_len as u64);
        let node = self.cached.push_frames(&end, &self.new_frames, new_len);
        if let WalkEnd::Cached(base) = end {
            let first = self.new_frames.get(0);
            crate::collector::unwind::walker::suffix_lookup::insert(
                &mut self.recent,
                &self.cached,
                (base, new_len),
                &first,
                self.stack.1,
            );
        }
        node
    }

    /// Unwinds frames until one equals a cached frame or is a root, or until there are `frames_max`.
    fn unwind(
        &mut self,
        start: Registers,
        frames_max: usize,
        counters: &WalkCounters,
    ) -> (WalkEnd, usize) {
        let mut registers = start;
        let mut pc = PcKind::First;
        let mut verified = false;
        let mut new_len = 0;
        let mut signals = HeldSignals::none();
        loop {
            self.cached.pop_returned_frames(registers.sp);
            // An interrupted frame may have another rule than a cached frame that returns to its pc.
            if pc != PcKind::Interrupted
                && let Some(top) = self.cached.top()
                && self.cached.matches_frame(top, &registers)
            {
                if verified {
                    return (WalkEnd::Cached(top), new_len);
                }
                verified = true;
                match self.cached.first_changed(self.cached.frame(top).words) {
                    None => return (WalkEnd::Cached(top), new_len),
                    Some(word) => self.cached.drop_dependents(word),
                }
            }
            // Without cached frames, a walk stops halfway between the limits of the cached stack.
            let limit = match self.cached.top() {
                None => self.cached.depth_walked_max(),
                Some(_) => frames_max,
            };
            if new_len > limit {
                return (WalkEnd::Root(NodeId::TRUNCATED), new_len);
            }
            let readable = (start.sp, self.stack.1);
            let (frame, outcome) = self.rules.unwind_frame(
                registers,
                pc,
                readable,
                (&counters.rules_derived, &mut signals),
            );
            self.new_frames.set(new_len, frame);
            new_len = new_len.wrapping_add(1);
            match outcome {
                UnwindOutcome::Caller(caller) => (registers, pc) = (caller, PcKind::ReturnAddress),
                UnwindOutcome::Interrupted(frame) => {
                    (registers, pc) = (frame, PcKind::Interrupted);
                }
                UnwindOutcome::Root(root) => return (WalkEnd::Root(root), new_len),
            }
        }
    }

    /// Walks a stack that is not the thread's own (a coroutine's, or an alternate signal stack). It is not
    /// cached.
    #[cold]
    fn walk_foreign(&mut self, start: Registers, counters: &WalkCounters) -> NodeId {
        counters.misses.add(1);
        let frames_max = self.cached.depth_walked_max();
        let (root, new_len) = crate::collector::unwind::walker::foreign_stack::unwind(
            start,
            frames_max,
            &mut self.new_frames,
        );
        counters.new_frames.add(new_len as u64);
        let node = self.cached.push_frames(&WalkEnd::Root(root), &self.new_frames, new_len);
        self.cached.clear();
        self.finish(node, counters)
    }
}
