//! The kept stack: a thread's last one, frame by frame, and the words that it depends on.
//!
//! Reads: this thread's stack at the words' addresses; the fresh frames of a walk. Writes: its own
//! two arrays, and nodes through [`nodes`].
//!
//! Invariants:
//! - The words of a frame are a prefix of all words: those of the frames outside it, and behind
//!   them its own. A frame holds as long as all of them do.
//! - Words are compared only after the frames below the present sp were dropped
//!   ([`CachedStack::pop_returned_frames`]), or for a frame that lies outwards of it: every address that is
//!   read is mapped.
//! - Every index that is passed in stays below the number of frames that are kept.

use std::ptr::NonNull;

use crate::collector::unwind::rules::Registers;
use crate::collector::unwind::stack_table;
use crate::collector::unwind::walker::step::{Fresh, NewFrames, read_word};
use crate::recording::{Address, NodeId};

/// Addresses have 48 bits; above them stands the module of code that may be unloaded.
const MODULE_SHIFT: u32 = 48;

/// A frame of the last stack.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct CachedFrame {
    pub(crate) registers: Registers,
    /// The stack from here outwards.
    pub(crate) node: NodeId,
    /// The caller's stack; with the pc it is what `node` was interned from.
    parent: NodeId,
    /// Words that this frame and all outside it depend on: a prefix of the words.
    pub(crate) words: u32,
    pub(crate) fp_matters: bool,
    pub(crate) barrier: bool,
    /// What the pc is tagged with in its node.
    module_tag: u16,
    /// No other frame that was ever kept here has this number.
    pub(crate) version: u64,
}

/// A stack word that unwinding read.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Word {
    at: u64,
    value: u64,
}

/// How a run of fresh frames ended.
pub(crate) enum Outcome {
    /// At the kept frame with this index, all of whose words hold.
    Met(usize),
    /// With a stack of its own.
    Root(NodeId),
}

/// One thread's last stack, outermost frame first.
pub(crate) struct CachedStack {
    usual: Usual,
    keeps_usual: bool,
    frames: NonNull<CachedFrame>,
    len: usize,
    /// The last kept frame's number.
    version: u64,
    words: NonNull<Word>,
    /// How the stack ends.
    root: NodeId,
    depth_max: usize,
}

impl CachedStack {
    /// Frames that may be kept: twice the limit, the recorder's own, and one to spare.
    pub(crate) const fn frames_max(depth_max: usize) -> usize {
        depth_max.saturating_mul(2).saturating_add(2)
    }

    /// An empty one for stacks of `depth_max` frames.
    ///
    /// # Safety
    /// There is zeroed room for [`CachedStack::frames_max`] frames and for twice as many words, that
    /// nobody else uses, for ever.
    pub(crate) unsafe fn new(
        frames: NonNull<CachedFrame>,
        words: NonNull<Word>,
        depth_max: usize,
    ) -> Self {
        Self {
            usual: Usual::NONE,
            keeps_usual: false,
            frames,
            len: 0,
            version: 0,
            words,
            root: NodeId::ROOT,
            depth_max,
        }
    }

    /// Drops all frames.
    pub(crate) fn clear(&mut self) {
        self.len = 0;
        self.usual = Usual::NONE;
    }

    /// Frames that are kept.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The innermost frame's index.
    #[inline(always)]
    pub(crate) fn top(&self) -> Option<usize> {
        self.len.checked_sub(1)
    }

    /// How the stack that was kept last ends.
    #[inline(always)]
    pub(crate) fn root(&self) -> NodeId {
        self.root
    }

    /// The frame with this index, which is below [`CachedStack::len`].
    #[inline(always)]
    pub(crate) fn frame(&self, at: usize) -> &CachedFrame {
        debug_assert!(at < Self::frames_max(self.depth_max));
        // SAFETY: every caller stays below `len`, which stays below `frames_max`.
        unsafe { self.frames.add(at).as_ref() }
    }

    /// Whether [`CachedStack::same`] may answer.
    pub(crate) fn commit_fast_entry(&mut self, keeps: bool) {
        self.keeps_usual = keeps;
        self.usual = Usual::NONE;
    }

    /// The last stack, if the present one is the same and has no flaw to be counted.
    #[inline(always)]
    pub(crate) fn same(&self, start: &Registers) -> Option<NodeId> {
        let usual = &self.usual;
        let differs = (usual.registers.sp ^ start.sp)
            | (usual.registers.pc ^ start.pc)
            | ((usual.registers.fp ^ start.fp) & usual.fp_bits);
        let is_same = differs == 0 && self.changed(usual.words) == 0;
        if is_same { Some(usual.node) } else { None }
    }

    /// Makes the innermost frame the one that [`CachedStack::same`] asks about.
    pub(crate) fn update_fast_entry(&mut self) {
        self.usual = match self.top().map(|top| self.frame(top)) {
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

    /// How a tail that stands on this kept frame is found again without asking whether the frame
    /// is still met: by its version; 0 where that is not enough.
    pub(crate) fn version_of(&self, base: usize, node: NodeId) -> u64 {
        let is_usual = self.keeps_usual && self.root == NodeId::ROOT && !node.is_root();
        if is_usual { self.frame(base).version } else { 0 }
    }

    /// Whether a stack of so many kept and fresh frames (the recorder's own among them) may be
    /// kept: not too deep, and deep enough if it has no root.
    #[inline]
    pub(crate) fn depth_fits(&self, kept: usize, fresh: usize) -> bool {
        let depth = kept.wrapping_add(fresh).wrapping_sub(1);
        depth <= self.frames_kept_max()
            && (self.root != NodeId::TRUNCATED || depth >= self.depth_max)
    }

    /// Frames that may stand above the anchor.
    pub(crate) fn frames_kept_max(&self) -> usize {
        self.depth_max.wrapping_mul(2)
    }

    /// Frames that a walk without an anchor goes through at most.
    pub(crate) fn frames_walked_max(&self) -> usize {
        self.depth_max.wrapping_add(self.depth_max / 2)
    }

    /// Drops the frames that lie below `sp`: their functions have returned.
    #[inline]
    pub(crate) fn pop_returned_frames(&mut self, sp: u64) {
        while let Some(top) = self.top()
            && self.frame(top).registers.sp < sp
        {
            self.len = top;
            self.usual.registers.sp = 0;
        }
    }

    /// Drops the frames that depend on a word that has changed.
    pub(crate) fn drop_dependents(&mut self, word: u32) {
        while let Some(top) = self.top()
            && self.frame(top).words > word
        {
            self.len = top;
        }
    }

    /// Whether a fresh frame with these registers is the kept one, as far as it can be told without
    /// its words.
    #[inline(always)]
    pub(crate) fn meets(&self, at: usize, registers: &Registers) -> bool {
        let kept = self.frame(at);
        kept.registers.sp == registers.sp
            && kept.registers.pc == registers.pc
            && !kept.barrier
            && (kept.registers.fp == registers.fp || !kept.fp_matters)
    }

    /// The outermost of the first `len` words that differs from the stack.
    #[inline]
    pub(crate) fn first_changed(&self, len: u32) -> Option<u32> {
        if self.changed(len) == 0 { None } else { self.find_changed(len) }
    }

    /// Zero if the first `len` words are as they were.
    #[inline(always)]
    pub(crate) fn changed(&self, len: u32) -> u64 {
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

    /// Puts the fresh frames on what is kept, outermost first, and answers the innermost's node.
    pub(crate) fn keep(
        &mut self,
        outcome: &Outcome,
        fresh: &NewFrames,
        fresh_len: usize,
    ) -> NodeId {
        let mut below = match outcome {
            Outcome::Met(at) => {
                self.len = at.wrapping_add(1);
                *self.frame(*at)
            }
            Outcome::Root(root) => {
                self.len = 0;
                self.root = *root;
                CachedFrame {
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
            below = self.keep_one(&fresh.get(at), &below, at == 0);
        }
        below.node
    }

    #[inline]
    fn keep_one(&mut self, fresh: &Fresh, below: &CachedFrame, is_own: bool) -> CachedFrame {
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
        let kept = CachedFrame {
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
        // SAFETY: `len` is below `frames_max`: see the check in `depth_fits`.
        unsafe { self.frames.add(self.len).write(kept) };
        self.len = self.len.wrapping_add(1);
        kept
    }

    /// Interns, or finds the answer in what the last stack left at this place: what a node was
    /// interned from never changes.
    #[inline]
    fn node_of(&mut self, fresh: &Fresh, parent: NodeId) -> NodeId {
        // SAFETY: zeroed or written before; `len` is below `frames_max`.
        let stale = unsafe { self.frames.add(self.len).as_ref() };
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
        stack_table::intern(parent, Address(address | tag))
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

    /// The words from one place to behind another: (address, value).
    pub(crate) fn words(&self, first: u32, end: u32) -> impl Iterator<Item = (u64, u64)> + use<> {
        let words = self.words;
        (first..end).map(move |at| {
            // SAFETY: words below the top frame's count are initialised.
            let word = unsafe { words.add(at as usize).read() };
            (word.at, word.value)
        })
    }
}

/// The innermost kept frame as far as [`CachedStack::same`] asks about it. Where the stack has a flaw
/// to be counted, or none is kept, no stack is like it: none has a stack pointer of 0.
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
