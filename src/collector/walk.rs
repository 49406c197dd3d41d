//! The verified walk: a stack as a node, mostly by proving that it is still the last one.
//!
//! Reads: registers and this thread's stack. Writes: nothing but the kept stack below, and
//! nodes through [`nodes`].
//!
//! # Why the answer is exact
//!
//! Unwinding a frame is a function: of the frame's registers (pc, sp, fp), of the unwind tables
//! for its pc, and of the stack words that it reads. A thread keeps its last stack, outermost
//! frame first, and with each frame (`Kept`) its registers and the words (`Word`: address and
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

use std::ptr::NonNull;

use crate::collector::late;
use crate::collector::nodes;
use crate::collector::sys;
use crate::collector::tails::{self, Tail, Tails};
use crate::collector::tally::Tally;
use crate::collector::unwind::{self, LateStep, Registers, Rule, RuleKind, Step};
use crate::recording::{Address, NodeId};

/// Rules a thread remembers, by pc.
const RULES: usize = 2048;

const RULES_BYTES: usize = RULES * size_of::<Rule>();

/// What a frame may need: its kept and its fresh form, and the two words that it is left by.
const FRAME_BYTES: usize = size_of::<Kept>() + 2 * size_of::<Word>() + size_of::<Fresh>();

/// Addresses have 48 bits; above them stands the module of code that may be unloaded.
const MODULE_SHIFT: u32 = 48;

/// Highest limit of frames that is honoured.
pub(in crate::collector) const DEPTH_MAX: usize = 1024;

/// A frame of the last stack.
#[derive(Clone, Copy)]
#[repr(C)]
struct Kept {
    registers: Registers,
    /// The stack from here outwards.
    node: NodeId,
    /// The caller's stack; with the pc it is what `node` was interned from.
    parent: NodeId,
    /// Words that this frame and all outside it depend on: a prefix of the words.
    words: u32,
    fp_matters: bool,
    barrier: bool,
    /// What the pc is tagged with in its node.
    module_tag: u16,
    /// No other frame that was ever kept here has this number.
    version: u64,
}

/// A stack word that unwinding read.
#[derive(Clone, Copy)]
#[repr(C)]
struct Word {
    at: u64,
    value: u64,
}

/// A frame that was unwound in this walk, innermost first.
#[derive(Clone, Copy)]
#[repr(C)]
struct Fresh {
    registers: Registers,
    /// Where the return address was read; 0: the frame was not left.
    return_at: u64,
    /// Where the caller's fp was read; 0: it was not.
    fp_at: u64,
    uses_fp: bool,
    barrier: bool,
    /// A signal interrupted it: its pc is where it goes on, not what it is called back to.
    is_interrupted: bool,
    module_tag: u16,
}

/// Where a walk starts from.
pub(in crate::collector) type Start = Registers;

/// Counts of one thread's walks.
#[derive(Debug, Default)]
pub(in crate::collector) struct WalkTallies {
    pub(in crate::collector) hits: Tally,
    pub(in crate::collector) recalled: Tally,
    pub(in crate::collector) misses: Tally,
    pub(in crate::collector) fresh: Tally,
    pub(in crate::collector) derived: Tally,
    pub(in crate::collector) truncated: Tally,
    pub(in crate::collector) failed: Tally,
    pub(in crate::collector) other: Tally,
}

/// The innermost kept frame as far as [`Walker::same`] asks about it. Where the stack has a flaw to
/// be counted, or none is kept, no stack is like it: none has a stack pointer of 0.
#[derive(Clone, Copy)]
struct Usual {
    registers: Registers,
    /// The bits of fp that matter: all or none.
    fp_bits: u64,
    words: u32,
    node: NodeId,
}

impl Usual {
    const NONE: Self = Self {
        registers: Registers { pc: 0, sp: 0, fp: 0 },
        fp_bits: 0,
        words: 0,
        node: NodeId::NONE,
    };
}

/// One thread's walker. All memory is in the pages that [`Walker::new`] was given.
pub(in crate::collector) struct Walker {
    usual: Usual,
    keeps_usual: bool,
    kept: NonNull<Kept>,
    kept_len: usize,
    /// The last kept frame's number.
    version: u64,
    words: NonNull<Word>,
    fresh: NonNull<Fresh>,
    rules: NonNull<Rule>,
    tails: Tails,
    /// How the kept stack ends.
    root: NodeId,
    depth_max: usize,
    /// The stack's addresses: first, and behind the last.
    stack: (u64, u64),
}

/// How a run of fresh frames ended.
enum Outcome {
    /// At the kept frame with this index, all of whose words hold.
    Met(usize),
    /// With a stack of its own.
    Root(NodeId),
}

/// How one fresh frame was left.
enum Left {
    To(Registers),
    /// To what a signal interrupted.
    ToInterrupted(Registers),
    Root(NodeId),
}

/// What is known of the pc of a frame that is to be left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pc {
    /// The walk's own first one.
    First,
    ReturnAddress,
    /// Where a signal interrupted it.
    Interrupted,
}

impl Walker {
    /// Bytes of memory that a walker with this limit needs.
    pub(in crate::collector) const fn bytes(depth_max: usize) -> usize {
        let frames = Self::frames_max(depth_max);
        frames.saturating_mul(FRAME_BYTES).saturating_add(RULES_BYTES).saturating_add(Tails::BYTES)
    }

    /// Frames that may be kept: twice the limit, the recorder's own, and one to spare.
    const fn frames_max(depth_max: usize) -> usize {
        depth_max.saturating_mul(2).saturating_add(2)
    }

    /// A walker for stacks of `depth_max` frames.
    ///
    /// # Safety
    /// `pages` is zeroed memory of [`Walker::bytes`] bytes, 16-byte aligned, that nobody else
    /// uses, for ever.
    pub(in crate::collector) unsafe fn new(pages: NonNull<u8>, depth_max: usize) -> Self {
        let frames = Self::frames_max(depth_max);
        // SAFETY: the five arrays lie one behind the other inside the pages, largest alignment
        // first (all are multiples of eight bytes).
        unsafe {
            let rules = pages.cast::<Rule>();
            let words = rules.add(RULES).cast::<Word>();
            let kept = words.add(frames.wrapping_mul(2)).cast::<Kept>();
            let fresh = kept.add(frames).cast::<Fresh>();
            let tails = Tails::new(fresh.add(frames).cast());
            for at in 0..RULES {
                rules.add(at).write(Rule::EMPTY);
            }
            Self {
                usual: Usual::NONE,
                keeps_usual: false,
                kept,
                kept_len: 0,
                version: 0,
                words,
                fresh,
                rules,
                tails,
                root: NodeId::ROOT,
                depth_max,
                stack: (0, 0),
            }
        }
    }

    /// Forgets the last stack: another thread, or another recording. Rules stay: they are the
    /// process's.
    pub(in crate::collector) fn adopt(&mut self, stack: (u64, u64)) {
        self.kept_len = 0;
        self.usual = Usual::NONE;
        self.stack = stack;
        self.tails.clear();
    }

    /// Gives the memory back to the system; the walker is not used again.
    pub(in crate::collector) fn discard(&self, depth_max: usize) {
        // SAFETY: the pages that `new` was given begin with the rules.
        unsafe { sys::discard_pages(self.rules.cast(), Self::bytes(depth_max)) };
    }

    /// Whether [`Walker::same`] may answer: where not every stack is to be walked it must not.
    pub(in crate::collector) fn keep_usual(&mut self, keeps: bool) {
        self.keeps_usual = keeps;
        self.usual = Usual::NONE;
    }

    /// The last stack, if the present one is the same: the whole of most walks. Says nothing
    /// about stacks with a flaw to be counted.
    #[inline(always)]
    pub(in crate::collector) fn same(&self, start: &Registers) -> Option<NodeId> {
        let usual = &self.usual;
        let differs = (usual.registers.sp ^ start.sp)
            | (usual.registers.pc ^ start.pc)
            | ((usual.registers.fp ^ start.fp) & usual.fp_bits);
        let is_same = differs == 0 && self.changed(usual.words) == 0;
        if is_same { Some(usual.node) } else { None }
    }

    /// The present stack where its innermost frames are those of a recent one, and the kept frame
    /// that they met is still the one that it was; else [`NodeId::NONE`]. Frames that are dead need
    /// not be dropped first: what is read lies outwards of `sp`, as in [`Tail::holds`].
    ///
    /// Like [`Walker::same`], it says nothing about stacks with a flaw to be counted.
    #[inline(always)]
    pub(in crate::collector) fn recalled(&self, start: &Registers) -> NodeId {
        self.recalled_from(start.pc, start.sp, start.fp)
    }

    /// The same: three numbers are passed in registers.
    #[inline(never)]
    fn recalled_from(&self, pc: u64, sp: u64, fp: u64) -> NodeId {
        let start = Registers { pc, sp, fp };
        self.tails
            .candidates(self.tails.set_of(&start, self.stack.1))
            .iter()
            .find(|tail| self.is_where(tail, &start))
            .map_or(NodeId::NONE, |tail| tail.node)
    }

    /// Whether the present stack is the tail's, and the kept frame that it names is as it was.
    #[inline(always)]
    fn is_where(&self, tail: &Tail, start: &Registers) -> bool {
        let base = tail.base as usize;
        tail.begins_at(start)
            && base < self.kept_len
            && self.kept(base).version == tail.base_version
            && tail.holds()
            && self.changed(self.kept(base).words) == 0
    }

    /// How [`Walker::recalled`] knows a tail that stands on this kept frame.
    fn version_of(&self, base: usize, node: NodeId) -> u64 {
        let is_usual = self.keeps_usual && self.root == NodeId::ROOT && !node.is_root();
        if is_usual { self.kept(base).version } else { 0 }
    }

    fn note_usual(&mut self) {
        self.usual = match self.kept_len.checked_sub(1).map(|top| self.kept(top)) {
            Some(top)
                if self.keeps_usual
                    && self.root == NodeId::ROOT
                    && !top.barrier
                    && top.node.0 >= NodeId::FIRST.0 =>
            {
                Usual {
                    registers: top.registers,
                    fp_bits: if top.fp_matters { u64::MAX } else { 0 },
                    words: top.words,
                    node: top.node,
                }
            }
            _ => Usual::NONE,
        };
    }

    /// The stack that begins with the caller of the function that `start` was captured in.
    #[inline(always)]
    pub(in crate::collector) fn walk(&mut self, start: Registers, tallies: &WalkTallies) -> NodeId {
        if start.sp < self.stack.0 || start.sp >= self.stack.1 {
            return self.walk_foreign(start, tallies);
        }
        #[cfg(rheaper_testing)]
        if crate::collector::testing::is_naive() {
            self.kept_len = 0;
            self.usual = Usual::NONE;
        }
        self.drop_dead(start.sp);
        if let Some(top) = self.kept_len.checked_sub(1)
            && self.meets(top, &start)
            && self.first_changed(self.kept(top).words).is_none()
            && self.depth_fits(self.kept_len, 0)
        {
            tallies.hits.add(1);
            self.note_usual();
            return self.finish(self.kept(top).node, tallies);
        }
        if let Some(node) = self.recall(&start) {
            tallies.recalled.add(1);
            return self.finish(node, tallies);
        }
        let node = self.walk_fresh(start, tallies);
        self.note_usual();
        self.finish(node, tallies)
    }

    fn finish(&self, node: NodeId, tallies: &WalkTallies) -> NodeId {
        if self.root != NodeId::ROOT || node == NodeId::OTHER {
            match (node, self.root) {
                (NodeId::OTHER, _) => tallies.other.add(1),
                (_, NodeId::TRUNCATED) => tallies.truncated.add(1),
                _ => tallies.failed.add(1),
            }
        }
        node
    }

    /// The node of the present stack, if its innermost frames are those of a recent one: whatever
    /// became of the kept frame since, as long as it is still met.
    #[inline(never)]
    fn recall(&mut self, start: &Registers) -> Option<NodeId> {
        let set = self.tails.set_of(start, self.stack.1);
        let candidates = self.tails.candidates(set);
        let way = candidates.iter().position(|tail| self.is_present(tail, start))?;
        let tail = candidates.get(way)?;
        let base = tail.base as usize;
        let base_node = self.kept(base).node;
        // The same frames on another stack: nothing to unwind, but other nodes.
        let node = if tail.base_node == base_node {
            tail.node
        } else {
            tail.callers()
                .fold(base_node, |parent, address| nodes::intern(parent, Address(address)))
        };
        let base_version = self.version_of(base, node);
        let tail = self.tails.candidate(set, way);
        (tail.base_node, tail.node, tail.base_version) = (base_node, node, base_version);
        Some(node)
    }

    #[inline]
    fn is_present(&self, tail: &Tail, start: &Registers) -> bool {
        let base = tail.base as usize;
        base < self.kept_len
            && self.meets(base, &tail.base_registers)
            && tail.begins_at(start)
            && tail.holds()
            && self.first_changed(self.kept(base).words).is_none()
            && self.depth_fits(base.wrapping_add(1), tail.frames as usize)
    }

    /// Leaves the fresh frames of a walk that met the kept frame at `base` as a tail.
    fn remember(&mut self, base: usize, fresh_len: usize) {
        let Some(top) = self.kept_len.checked_sub(1) else {
            return;
        };
        let (first, end) = (self.kept(base).words, self.kept(top).words);
        let len = end.wrapping_sub(first) as usize;
        let (top, below) = (*self.kept(top), *self.kept(base));
        let reach = below.registers.sp.wrapping_sub(top.registers.sp);
        if top.barrier || len > tails::WORDS_MAX || reach > u64::from(u32::MAX) {
            return;
        }
        // Each frame's first word is the address that it returns to.
        let returns = (base..self.kept_len.wrapping_sub(1)).fold(0_u16, |returns, outer| {
            returns | 1_u16.wrapping_shl(self.kept(outer).words.wrapping_sub(first))
        });
        let words = self.words;
        let base_version = self.version_of(base, top.node);
        // SAFETY: a walk that met a kept frame has at least one fresh one.
        let return_at = unsafe { self.fresh.as_ref() }.return_at;
        let distance = return_at.wrapping_sub(top.registers.sp);
        let tail = self.tails.place(&top.registers, distance, self.stack.1);
        tail.base = base as u32;
        tail.frames = fresh_len as u32;
        tail.base_registers = below.registers;
        tail.base_node = below.node;
        tail.node = top.node;
        tail.fp_bits = if top.fp_matters { u64::MAX } else { 0 };
        tail.base_version = base_version;
        let words = (first..end).map(|at| {
            // SAFETY: words below the top frame's count are initialised.
            let kept = unsafe { words.add(at as usize).read() };
            (kept.at.wrapping_sub(top.registers.sp) as u32, kept.value)
        });
        tail.set_words(words, returns);
    }

    fn walk_fresh(&mut self, start: Registers, tallies: &WalkTallies) -> NodeId {
        tallies.misses.add(1);
        let (mut outcome, mut fresh_len) = self.unwind(start, self.frames_kept_max(), tallies);
        if let Outcome::Met(at) = outcome
            && !self.depth_fits(at.wrapping_add(1), fresh_len)
        {
            self.kept_len = 0;
            (outcome, fresh_len) = self.unwind(start, self.frames_walked_max(), tallies);
        }
        tallies.fresh.add(fresh_len as u64);
        let node = self.keep(&outcome, fresh_len);
        if let Outcome::Met(base) = outcome {
            self.remember(base, fresh_len);
        }
        node
    }

    /// Unwinds fresh frames until they meet a kept one or a root; at most `frames_max`.
    fn unwind(
        &mut self,
        start: Registers,
        frames_max: usize,
        tallies: &WalkTallies,
    ) -> (Outcome, usize) {
        let mut registers = start;
        let mut pc = Pc::First;
        let mut verified = false;
        let mut fresh_len = 0;
        loop {
            self.drop_dead(registers.sp);
            // The same pc as a return address may be left in another way.
            if pc != Pc::Interrupted
                && let Some(top) = self.kept_len.checked_sub(1)
                && self.meets(top, &registers)
            {
                if verified {
                    return (Outcome::Met(top), fresh_len);
                }
                verified = true;
                match self.first_changed(self.kept(top).words) {
                    None => return (Outcome::Met(top), fresh_len),
                    Some(word) => self.drop_dependents(word),
                }
            }
            // With nothing kept to meet, a walk stops where slack on both sides is left.
            let limit = if self.kept_len == 0 { self.frames_walked_max() } else { frames_max };
            if fresh_len > limit {
                return (Outcome::Root(NodeId::TRUNCATED), fresh_len);
            }
            let (fresh, left) = self.leave(registers, pc, start.sp, tallies);
            self.set_fresh(fresh_len, fresh);
            fresh_len = fresh_len.wrapping_add(1);
            match left {
                Left::To(caller) => (registers, pc) = (caller, Pc::ReturnAddress),
                Left::ToInterrupted(frame) => (registers, pc) = (frame, Pc::Interrupted),
                Left::Root(root) => return (Outcome::Root(root), fresh_len),
            }
        }
    }

    /// Leaves one frame: what was read, and the caller.
    #[inline]
    fn leave(
        &mut self,
        registers: Registers,
        pc: Pc,
        lowest: u64,
        tallies: &WalkTallies,
    ) -> (Fresh, Left) {
        let is_return_address = pc == Pc::ReturnAddress;
        let key = registers.pc.wrapping_sub(u64::from(is_return_address));
        let mut rule = *self.rule(key);
        if rule.key() != key {
            tallies.derived.add(1);
            rule = self.learn(registers.pc, key, is_return_address);
        }
        let mut fresh = Fresh {
            registers,
            return_at: 0,
            fp_at: 0,
            uses_fp: rule.kind() == RuleKind::FromFp,
            barrier: pc == Pc::Interrupted,
            is_interrupted: pc == Pc::Interrupted,
            module_tag: 0,
        };
        let simple = match rule.kind() {
            RuleKind::FromSp => true,
            // framehop ends the stack there if the code follows frame pointers.
            RuleKind::FromFp => registers.fp != 0,
            RuleKind::End => return (fresh, Left::Root(NodeId::ROOT)),
            _ => false,
        };
        let sp = rule.caller_sp(&registers);
        let fp_at = rule.fp_address(sp);
        let readable = |at: u64| registers.sp <= at && at < self.stack.1 && at & 7 == 0;
        if !simple
            || sp <= registers.sp
            || !readable(sp.wrapping_sub(8))
            || !fp_at.is_none_or(readable)
        {
            return self.leave_slowly(fresh, rule.kind(), is_return_address, lowest);
        }
        fresh.return_at = sp.wrapping_sub(8);
        // SAFETY: aligned and inside this thread's stack, above its current sp: checked above.
        let pc = unsafe { read_word(fresh.return_at) };
        let fp = match fp_at {
            None => registers.fp,
            Some(at) => {
                fresh.fp_at = at;
                // SAFETY: as for the return address.
                unsafe { read_word(at) }
            }
        };
        if pc == 0 {
            return (fresh, Left::Root(NodeId::ROOT));
        }
        (fresh, Left::To(Registers { pc, sp, fp }))
    }

    /// Leaves a frame for which there is no rule: through framehop, as a barrier.
    #[cold]
    fn leave_slowly(
        &mut self,
        mut fresh: Fresh,
        kind: RuleKind,
        is_return_address: bool,
        lowest: u64,
    ) -> (Fresh, Left) {
        fresh.barrier = true;
        let end = self.stack.1;
        let mut read = |at: u64| {
            let readable = at & 7 == 0
                && lowest <= at
                && at.checked_add(8).is_some_and(|behind| behind <= end);
            // SAFETY: inside this thread's stack, above its current sp.
            if readable { Ok(unsafe { read_word(at) }) } else { Err(()) }
        };
        let step = if kind == RuleKind::Late {
            let (tag, step) = leave_late(&fresh.registers, is_return_address, &mut read);
            fresh.module_tag = tag;
            step
        } else if kind == RuleKind::Unknown {
            Step::Failed
        } else if kind == RuleKind::Signal {
            unwind::step_signal(&fresh.registers, &mut read)
        } else {
            unwind::step_exactly(&fresh.registers, is_return_address, &mut read)
        };
        let left = match step {
            // A stack only grows outwards; anything else is a wild walk.
            Step::Caller(caller) if caller.sp > fresh.registers.sp => Left::To(caller),
            Step::Interrupted(frame) if frame.sp > fresh.registers.sp => Left::ToInterrupted(frame),
            Step::End => Left::Root(NodeId::ROOT),
            _ => Left::Root(NodeId::FAILED),
        };
        (fresh, left)
    }

    #[cold]
    fn learn(&mut self, pc: u64, key: u64, is_return_address: bool) -> Rule {
        let rule = unwind::derive(pc, is_return_address);
        if rule.kind() != RuleKind::Unknown {
            // SAFETY: `rule_slot` is below RULES.
            unsafe { self.rules.add(rule_slot(key)).write(rule) };
        }
        rule
    }

    /// Puts the fresh frames on what is kept, outermost first, and answers the innermost's node.
    fn keep(&mut self, outcome: &Outcome, fresh_len: usize) -> NodeId {
        let mut below = match outcome {
            Outcome::Met(at) => {
                self.kept_len = at.wrapping_add(1);
                *self.kept(*at)
            }
            Outcome::Root(root) => {
                self.kept_len = 0;
                self.root = *root;
                Kept {
                    registers: Registers::default(),
                    node: *root,
                    parent: NodeId::NONE,
                    words: 0,
                    fp_matters: false,
                    // What failed once may be known the next time.
                    barrier: *root == NodeId::FAILED,
                    module_tag: 0,
                    version: 0,
                }
            }
        };
        for at in (0..fresh_len).rev() {
            // SAFETY: `unwind` filled the first `fresh_len` entries.
            let fresh = unsafe { self.fresh.add(at).read() };
            below = self.keep_one(&fresh, &below, at == 0);
        }
        below.node
    }

    #[inline]
    fn keep_one(&mut self, fresh: &Fresh, below: &Kept, is_own: bool) -> Kept {
        let mut words = below.words;
        if fresh.return_at != 0 {
            words = self.push_word(words, fresh.return_at);
        }
        if fresh.fp_at != 0 && below.fp_matters {
            words = self.push_word(words, fresh.fp_at);
        }
        // The innermost frame is the recorder's own: not part of the stack that is asked for.
        let node = if is_own { below.node } else { self.node_of(fresh, below.node) };
        self.version = self.version.wrapping_add(1);
        let kept = Kept {
            registers: fresh.registers,
            node,
            // An interrupted frame's node is no other frame's with this pc.
            parent: if fresh.is_interrupted { NodeId::NONE } else { below.node },
            words,
            fp_matters: fresh.uses_fp || (fresh.fp_at == 0 && below.fp_matters),
            barrier: fresh.barrier || below.barrier,
            module_tag: fresh.module_tag,
            version: self.version,
        };
        // SAFETY: `kept_len` is below `frames_max`: see the check in `depth_fits`.
        unsafe { self.kept.add(self.kept_len).write(kept) };
        self.kept_len = self.kept_len.wrapping_add(1);
        kept
    }

    /// Interns, or finds the answer in what the last stack left at this place: what a node was
    /// interned from never changes.
    #[inline]
    fn node_of(&mut self, fresh: &Fresh, parent: NodeId) -> NodeId {
        // SAFETY: zeroed or written before; `kept_len` is below `frames_max`.
        let stale = unsafe { self.kept.add(self.kept_len).as_ref() };
        if stale.registers.pc == fresh.registers.pc
            && !fresh.is_interrupted
            && stale.parent == parent
            && stale.module_tag == fresh.module_tag
            && !stale.node.is_root()
            && stale.node != parent
        {
            return stale.node;
        }
        let tag = u64::from(fresh.module_tag) << MODULE_SHIFT;
        // Nodes have return addresses, which readers look up one byte in front of.
        let address = fresh.registers.pc.wrapping_add(u64::from(fresh.is_interrupted));
        nodes::intern(parent, Address(address | tag))
    }

    /// Whether a stack of so many kept and fresh frames (the recorder's own among them) may be
    /// kept: not too deep, and deep enough if it has no root.
    #[inline]
    fn depth_fits(&self, kept: usize, fresh: usize) -> bool {
        let depth = kept.wrapping_add(fresh).wrapping_sub(1);
        depth <= self.frames_kept_max()
            && (self.root != NodeId::TRUNCATED || depth >= self.depth_max)
    }

    fn frames_kept_max(&self) -> usize {
        self.depth_max.wrapping_mul(2)
    }

    fn frames_walked_max(&self) -> usize {
        self.depth_max.wrapping_add(self.depth_max / 2)
    }

    #[inline]
    fn drop_dead(&mut self, sp: u64) {
        while let Some(top) = self.kept_len.checked_sub(1)
            && self.kept(top).registers.sp < sp
        {
            self.kept_len = top;
            self.usual.registers.sp = 0;
        }
    }

    /// Drops the frames that depend on a word that has changed.
    fn drop_dependents(&mut self, word: u32) {
        while let Some(top) = self.kept_len.checked_sub(1)
            && self.kept(top).words > word
        {
            self.kept_len = top;
        }
    }

    #[inline(always)]
    fn meets(&self, at: usize, registers: &Registers) -> bool {
        let kept = self.kept(at);
        kept.registers.sp == registers.sp
            && kept.registers.pc == registers.pc
            && !kept.barrier
            && (kept.registers.fp == registers.fp || !kept.fp_matters)
    }

    /// The outermost of the first `len` words that differs from the stack.
    #[inline]
    fn first_changed(&self, len: u32) -> Option<u32> {
        if self.changed(len) == 0 { None } else { self.find_changed(len) }
    }

    /// Zero if the first `len` words are as they were.
    #[inline(always)]
    fn changed(&self, len: u32) -> u64 {
        let difference = |word: NonNull<Word>| {
            // SAFETY: the first `len` words are initialised; each address is aligned and inside
            // this thread's stack above its current sp, since frames below it were dropped.
            unsafe { read_word(word.as_ref().at) ^ word.as_ref().value }
        };
        let mut word = self.words;
        let mut changed = 0;
        // Four at a time: the loop's own instructions cost as much as a comparison.
        for _ in 0..len / 4 {
            // SAFETY: inside the array of words.
            unsafe {
                changed |= difference(word)
                    | difference(word.add(1))
                    | difference(word.add(2))
                    | difference(word.add(3));
                word = word.add(4);
            }
        }
        for _ in 0..len % 4 {
            changed |= difference(word);
            // SAFETY: at most one behind the initialised words.
            word = unsafe { word.add(1) };
        }
        changed
    }

    #[cold]
    fn find_changed(&self, len: u32) -> Option<u32> {
        (0..len).find(|at| {
            // SAFETY: as in `first_changed`.
            unsafe {
                let word = self.words.add(*at as usize).as_ref();
                read_word(word.at) != word.value
            }
        })
    }

    #[inline(always)]
    fn push_word(&mut self, at: u32, address: u64) -> u32 {
        // SAFETY: at most two words a kept frame, and there is room for twice the frames. The
        // address was read in this walk.
        unsafe {
            self.words.add(at as usize).write(Word { at: address, value: read_word(address) });
        };
        at.wrapping_add(1)
    }

    #[inline(always)]
    fn kept(&self, at: usize) -> &Kept {
        debug_assert!(at < Self::frames_max(self.depth_max));
        // SAFETY: every caller stays below `kept_len`, which stays below `frames_max`.
        unsafe { self.kept.add(at).as_ref() }
    }

    fn rule(&self, key: u64) -> &Rule {
        // SAFETY: `rule_slot` is below RULES, and all rules are initialised.
        unsafe { self.rules.add(rule_slot(key)).as_ref() }
    }

    fn set_fresh(&mut self, at: usize, fresh: Fresh) {
        debug_assert!(at < Self::frames_max(self.depth_max));
        // SAFETY: `unwind` stops at `frames_kept_max` + 1, which is below `frames_max`.
        unsafe { self.fresh.add(at).write(fresh) };
    }

    /// A stack that is not this thread's own: a coroutine's, or a signal's. Read through the
    /// kernel, for nobody vouches for its bounds, and not kept.
    #[cold]
    fn walk_foreign(&mut self, start: Registers, tallies: &WalkTallies) -> NodeId {
        tallies.misses.add(1);
        let mut window = Window { start: 0, len: 0, bytes: [0; Window::BYTES] };
        let mut read = |at: u64| window.word(at).ok_or(());
        let (mut registers, mut pc) = (start, Pc::First);
        let mut fresh_len = 0;
        let root = loop {
            if fresh_len > self.frames_walked_max() {
                break NodeId::TRUNCATED;
            }
            let is_return_address = pc == Pc::ReturnAddress;
            let (tag, step) = leave_foreign(&registers, is_return_address, &mut read);
            let fresh = Fresh {
                registers,
                return_at: 0,
                fp_at: 0,
                uses_fp: true,
                barrier: true,
                is_interrupted: pc == Pc::Interrupted,
                module_tag: tag,
            };
            self.set_fresh(fresh_len, fresh);
            fresh_len = fresh_len.wrapping_add(1);
            match step {
                Step::Caller(caller) if caller.sp > registers.sp => {
                    (registers, pc) = (caller, Pc::ReturnAddress);
                }
                // From a signal's stack to the one that it interrupted, wherever that is.
                Step::Interrupted(frame) => (registers, pc) = (frame, Pc::Interrupted),
                Step::End => break NodeId::ROOT,
                _ => break NodeId::FAILED,
            }
        };
        tallies.fresh.add(fresh_len as u64);
        let node = self.keep(&Outcome::Root(root), fresh_len);
        self.kept_len = 0;
        self.usual = Usual::NONE;
        self.finish(node, tallies)
    }
}

fn rule_slot(key: u64) -> usize {
    ((key ^ (key >> 11)) as usize) & (RULES - 1)
}

/// A word of this thread's stack.
///
/// # Safety
/// `at` is aligned and inside this thread's stack, above its current sp.
#[inline(always)]
unsafe fn read_word(at: u64) -> u64 {
    // SAFETY: the caller vouches for the address. Volatile, because the compiler knows other
    // owners of this memory.
    unsafe { std::ptr::read_volatile(at as *const u64) }
}

fn leave_late(
    registers: &Registers,
    is_return_address: bool,
    read: &mut dyn FnMut(u64) -> Result<u64, ()>,
) -> (u16, Step) {
    for _ in 0..2 {
        match unwind::step_late(registers, is_return_address, read) {
            LateStep::Stepped(module, step) => {
                // 65,535 modules can be told apart; the rest have no tag and are found by
                // their addresses alone.
                let tag = u16::try_from(module.0.wrapping_add(1)).unwrap_or(0);
                return (tag, step);
            }
            LateStep::Unknown(identity) if late::make_known(&identity) => {}
            LateStep::Unknown(_) | LateStep::Nowhere => break,
        }
    }
    (0, Step::Failed)
}

fn leave_foreign(
    registers: &Registers,
    is_return_address: bool,
    read: &mut dyn FnMut(u64) -> Result<u64, ()>,
) -> (u16, Step) {
    match unwind::derive(registers.pc, is_return_address).kind() {
        RuleKind::Late => leave_late(registers, is_return_address, read),
        RuleKind::End => (0, Step::End),
        RuleKind::Unknown => (0, Step::Failed),
        RuleKind::Signal => (0, unwind::step_signal(registers, read)),
        _ => (0, unwind::step_exactly(registers, is_return_address, read)),
    }
}

/// A piece of some stack, copied by the kernel.
struct Window {
    start: u64,
    len: usize,
    bytes: [u8; Window::BYTES],
}

impl Window {
    const BYTES: usize = 512;

    fn word(&mut self, at: u64) -> Option<u64> {
        let covered = |window: &Self| {
            let from = usize::try_from(at.checked_sub(window.start)?).ok()?;
            let bytes = window.bytes.get(..window.len)?.get(from..)?.first_chunk::<8>()?;
            Some(u64::from_ne_bytes(*bytes))
        };
        covered(self).or_else(|| {
            self.start = at;
            self.len = sys::read_memory(at, &mut self.bytes);
            if self.len == 0 {
                // The window may reach into an unmapped page: the word itself may not.
                self.len = self.bytes.get_mut(..8).map_or(0, |word| sys::read_memory(at, word));
            }
            covered(self)
        })
    }
}
