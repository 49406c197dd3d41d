//! The verified walk: a stack as a node, mostly by proving that it is still the last one.
//!
//! Reads: registers and this thread's stack. Writes: nothing but the kept stack below, and
//! nodes through [`nodes`](crate::collector::unwind::stack_table).
//!
//! # Why the answer is exact
//!
//! Unwinding a frame is a function: of the frame's registers (pc, sp, fp), of the unwind tables
//! for its pc, and of the stack words that it reads. A thread keeps its last stack, outermost
//! frame first, and with each frame (`CachedFrame`) its registers and the words (`Word`: address and
//! value) that were read to get from it to its caller. A new walk unwinds fresh frames until one
//! has the registers of a kept frame ("they meet"). Then all words from that frame outwards are
//! compared with the stack. If they are equal, then by induction over the frames, outwards, each
//! step has the same inputs as it had, so the rest of the stack is the kept one. If a word of
//! frame i differs, nothing is known of what lies outside frame i as seen from i or any frame
//! further in; frames outside i are compared words only, so they may still be met, and the walk
//! goes on. Nothing is guessed, and no return address is ever patched.
//!
//! What is left out of the comparison is what provably does not matter:
//! - fp, and a slot that fp is restored from, while no frame further out uses fp before it is
//!   restored again (`fp_matters`): code without frame pointers keeps loop counters in it;
//! - the tables: frames of modules that stay can't change; frames of other modules, those
//!   that framehop had to unwind itself, and those that a signal interrupted are *barriers*:
//!   neither they nor any frame inside them is ever met, so they are unwound anew each time.
//!
//! Kept frames with an sp below the new one are dead and dropped first, so that every address
//! that is read lies between the current sp and the stack's end: mapped, and this thread's own.
//!
//! # Depth
//!
//! With a limit of L frames a walk that finds no root stops at 1.5 L, and what is kept never
//! grows past 2 L: when a recursion has moved so far that fewer than L or more than 2 L frames
//! stand above the anchor, the stack is walked anew. So a walk costs at most 2 L frames however
//! deep the recursion is, and nodes are not renamed at each step of it. Readers cut every stack
//! to its innermost L frames.

pub(crate) mod foreign_stack;
pub(crate) mod suffix_lookup;
pub(crate) mod cached_frame;
pub(crate) mod step;

use std::ptr::NonNull;

use crate::collector::platform::counter::WalkCounters;
use crate::collector::platform::sys;
use crate::collector::unwind::recent_stacks::RecentStacks;
use crate::collector::unwind::rules::{Registers, Rule};
use crate::collector::unwind::walker::cached_frame::{CachedFrame, CachedStack, Outcome, Word};
use crate::collector::unwind::walker::step::{
    Fresh, Left, NewFrames, Pc, RULES, RULES_BYTES, Rules,
};
use crate::recording::NodeId;

/// What a frame may need: its kept and its fresh form, and the two words that it is left by.
const FRAME_BYTES: usize = size_of::<CachedFrame>() + 2 * size_of::<Word>() + size_of::<Fresh>();

/// Highest limit of frames that is honoured.
pub(crate) const DEPTH_MAX: usize = 1024;

/// Where a walk starts from.
pub(crate) type Start = Registers;

/// One thread's walker. All memory is in the pages that [`Walker::new`] was given.
pub(crate) struct Walker {
    kept: CachedStack,
    fresh: NewFrames,
    rules: Rules,
    tails: RecentStacks,
    /// The stack's addresses: first, and behind the last.
    stack: (u64, u64),
}

impl Walker {
    /// Bytes of memory that a walker with this limit needs.
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
    /// `pages` is zeroed memory of [`Walker::bytes`] bytes, 16-byte aligned, that nobody else
    /// uses, for ever.
    pub(crate) unsafe fn new(pages: NonNull<u8>, depth_max: usize) -> Self {
        let frames = CachedStack::frames_max(depth_max);
        // SAFETY: the five arrays lie one behind the other inside the pages, largest alignment
        // first (all are multiples of eight bytes).
        unsafe {
            let rules = pages.cast::<Rule>();
            let words = rules.add(RULES).cast::<Word>();
            let kept = words.add(frames.wrapping_mul(2)).cast::<CachedFrame>();
            let fresh = kept.add(frames).cast::<Fresh>();
            let tails = RecentStacks::new(fresh.add(frames).cast());
            Self {
                kept: CachedStack::new(kept, words, depth_max),
                fresh: NewFrames::new(fresh, frames),
                rules: Rules::new(rules),
                tails,
                stack: (0, 0),
            }
        }
    }

    /// Forgets the last stack: another thread, or another recording. Rules stay: they are the
    /// process's.
    pub(crate) fn adopt(&mut self, stack: (u64, u64)) {
        self.kept.clear();
        self.stack = stack;
        self.tails.clear();
    }

    /// Gives the memory back to the system; the walker is not used again.
    pub(crate) fn discard(&self, depth_max: usize) {
        // SAFETY: the pages that `new` was given begin with the rules.
        unsafe { sys::discard_pages(self.rules.start(), Self::bytes(depth_max)) };
    }

    /// Whether [`Walker::same`] may answer: where not every stack is to be walked it must not.
    pub(crate) fn commit_fast_entry(&mut self, keeps: bool) {
        self.kept.commit_fast_entry(keeps);
    }

    /// The last stack, if the present one is the same: the whole of most walks. Says nothing
    /// about stacks with a flaw to be counted.
    #[inline(always)]
    pub(crate) fn same(&self, start: &Registers) -> Option<NodeId> {
        self.kept.same(start)
    }

    /// The present stack where its innermost frames are those of a recent one, and the kept frame
    /// that they met is still the one that it was; else [`NodeId::NONE`]. Frames that are dead need
    /// not be dropped first: what is read lies outwards of `sp`, as in a tail.
    ///
    /// Like [`Walker::same`], it says nothing about stacks with a flaw to be counted.
    #[inline(always)]
    pub(crate) fn recalled(&self, start: &Registers) -> NodeId {
        self.recalled_from(start.pc, start.sp, start.fp)
    }

    /// The same: three numbers are passed in registers.
    #[inline(never)]
    fn recalled_from(&self, pc: u64, sp: u64, fp: u64) -> NodeId {
        let start = Registers { pc, sp, fp };
        crate::collector::unwind::walker::suffix_lookup::unchanged(
            &self.tails,
            &self.kept,
            &start,
            self.stack.1,
        )
    }

    /// The stack that begins with the caller of the function that `start` was captured in.
    #[inline(always)]
    pub(crate) fn walk(&mut self, start: Registers, counters: &WalkCounters) -> NodeId {
        if start.sp < self.stack.0 || start.sp >= self.stack.1 {
            return self.walk_foreign(start, counters);
        }
        #[cfg(rheaper_testing)]
        if crate::collector::testing::is_naive() {
            self.kept.clear();
        }
        self.kept.pop_returned_frames(start.sp);
        if let Some(top) = self.kept.top()
            && self.kept.meets(top, &start)
            && self.kept.first_changed(self.kept.frame(top).words).is_none()
            && self.kept.depth_fits(self.kept.len(), 0)
        {
            counters.hits.add(1);
            self.kept.update_fast_entry();
            return self.finish(self.kept.frame(top).node, counters);
        }
        let stack_end = self.stack.1;
        if let Some(node) = crate::collector::unwind::walker::suffix_lookup::recall(
            &mut self.tails,
            &self.kept,
            &start,
            stack_end,
        ) {
            counters.suffix_hits.add(1);
            return self.finish(node, counters);
        }
        let node = self.walk_fresh(start, counters);
        self.kept.update_fast_entry();
        self.finish(node, counters)
    }

    fn finish(&self, node: NodeId, counters: &WalkCounters) -> NodeId {
        let root = self.kept.root();
        if root != NodeId::ROOT || node == NodeId::OVERFLOW {
            match (node, root) {
                (NodeId::OVERFLOW, _) => counters.overflow.add(1),
                (_, NodeId::TRUNCATED) => counters.truncated.add(1),
                _ => counters.failed.add(1),
            }
        }
        node
    }

    fn walk_fresh(&mut self, start: Registers, counters: &WalkCounters) -> NodeId {
        counters.misses.add(1);
        let (mut outcome, mut fresh_len) =
            self.unwind(start, self.kept.frames_kept_max(), counters);
        if let Outcome::Met(at) = outcome
            && !self.kept.depth_fits(at.wrapping_add(1), fresh_len)
        {
            self.kept.clear();
            (outcome, fresh_len) = self.unwind(start, self.kept.frames_walked_max(), counters);
        }
        counters.new_frames.add(fresh_len as u64);
        let node = self.kept.keep(&outcome, &self.fresh, fresh_len);
        if let Outcome::Met(base) = outcome {
            let first = self.fresh.get(0);
            crate::collector::unwind::walker::suffix_lookup::remember(
                &mut self.tails,
                &self.kept,
                (base, fresh_len),
                &first,
                self.stack.1,
            );
        }
        node
    }

    /// Unwinds fresh frames until they meet a kept one or a root; at most `frames_max`.
    fn unwind(
        &mut self,
        start: Registers,
        frames_max: usize,
        counters: &WalkCounters,
    ) -> (Outcome, usize) {
        let mut registers = start;
        let mut pc = Pc::First;
        let mut verified = false;
        let mut fresh_len = 0;
        loop {
            self.kept.pop_returned_frames(registers.sp);
            // The same pc as a return address may be left in another way.
            if pc != Pc::Interrupted
                && let Some(top) = self.kept.top()
                && self.kept.meets(top, &registers)
            {
                if verified {
                    return (Outcome::Met(top), fresh_len);
                }
                verified = true;
                match self.kept.first_changed(self.kept.frame(top).words) {
                    None => return (Outcome::Met(top), fresh_len),
                    Some(word) => self.kept.drop_dependents(word),
                }
            }
            // With nothing kept to meet, a walk stops where slack on both sides is left.
            let limit = match self.kept.top() {
                None => self.kept.frames_walked_max(),
                Some(_) => frames_max,
            };
            if fresh_len > limit {
                return (Outcome::Root(NodeId::TRUNCATED), fresh_len);
            }
            let readable = (start.sp, self.stack.1);
            let (fresh, left) = self.rules.leave(registers, pc, readable, &counters.rules_derived);
            self.fresh.set(fresh_len, fresh);
            fresh_len = fresh_len.wrapping_add(1);
            match left {
                Left::To(caller) => (registers, pc) = (caller, Pc::ReturnAddress),
                Left::ToInterrupted(frame) => (registers, pc) = (frame, Pc::Interrupted),
                Left::Root(root) => return (Outcome::Root(root), fresh_len),
            }
        }
    }

    /// A stack that is not this thread's own: a coroutine's, or a signal's. It is not kept.
    #[cold]
    fn walk_foreign(&mut self, start: Registers, counters: &WalkCounters) -> NodeId {
        counters.misses.add(1);
        let frames_max = self.kept.frames_walked_max();
        let (root, fresh_len) = crate::collector::unwind::walker::foreign_stack::unwind(
            start,
            frames_max,
            &mut self.fresh,
        );
        counters.new_frames.add(fresh_len as u64);
        let node = self.kept.keep(&Outcome::Root(root), &self.fresh, fresh_len);
        self.kept.clear();
        self.finish(node, counters)
    }
}
