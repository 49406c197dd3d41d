//! The cached stack: a thread's last one, frame by frame, with the stack words that it depends on.
//!
//! Reads: this thread's stack at the words' addresses; the new frames of a walk. Writes: its own two
//! arrays, and nodes through [`stack_table`].
//!
//! ```text
//!  frames:  [0] outermost   [1]              [2] innermost
//!           +-------------+ +--------------+ +--------------+
//!           | pc sp fp    | | pc sp fp     | | pc sp fp     |   registers of the frame
//!           | node        | | node         | | node         |   its call path, interned
//!           | words: 1    | | words: 3     | | words: 4     |   length of its prefix
//!           +-------------+ +--------------+ +--------------+
//!                  |                |                |
//!  words:   [ ret ]|[ ret    fp    ]|[ ret ]         |         (address, value) pairs
//!           <------>                |                |
//!           <-----------------------> . . . . . . . .|
//!           <---------------------------------------->
//! ```
//!
//! `ret` is the word of a frame's return address, `fp` the one of its caller's frame pointer, which is
//! left out if no outer frame uses it.
//!
//! Invariants:
//! - A frame's words are a prefix of the array: those of the frames outside it, then its own. A frame
//!   is valid while all words of its prefix have their values on the stack.
//! - Words are compared only after the frames below the current sp were removed
//!   ([`CachedStack::pop_returned_frames`]), or for a frame outside it, so every address is mapped.
//! - Every index that a caller passes is below the number of cached frames.

use std::ptr::NonNull;

use crate::collector::unwind::rules::Registers;
use crate::collector::unwind::stack_table;
use crate::collector::unwind::stack_word::read_stack_word;
use crate::collector::unwind::walker::step::{NewFrame, NewFrames};
use crate::recording::{Address, NodeId};

/// Addresses have 48 bits; the bits above hold the tag of a module that may be unloaded.
const MODULE_SHIFT: u32 = 48;

/// A frame of the last stack.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct CachedFrame {
    pub(crate) registers: Registers,
    /// The call path from the root to this frame.
    pub(crate) node: NodeId,
    /// The caller's node; `node` was interned from it and the pc. NONE for interrupted frames.
    parent: NodeId,
    /// Length of the prefix of words on which this frame depends.
    pub(crate) words: u32,
    /// Whether this frame or one outside it uses fp as it is here.
    pub(crate) fp_matters: bool,
    /// Neither this frame nor one inside it may be reused without unwinding.
    pub(crate) barrier: bool,
    /// The module tag of the pc in its node; 0: none.
    module_tag: u16,
    /// Unique among all frames that this thread ever cached.
    pub(crate) version: u64,
}

/// A stack word that unwinding read.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct StackWord {
    at: u64,
    value: u64,
}

/// How a walk's new frames end.
pub(crate) enum WalkEnd {
    /// At the cached frame with this index, whose words are all unchanged.
    Cached(usize),
    /// At a root, without cached frames.
    Root(NodeId),
}

/// One thread's last stack, outermost frame first.
pub(crate) struct CachedStack {
    fast_entry: FastEntry,
    is_fast_entry_enabled: bool,
    frames: NonNull<CachedFrame>,
    len: usize,
    /// Version of the frame that was cached last.
    version: u64,
    words: NonNull<StackWord>,
    /// The root of the stack.
    root: NodeId,
    depth_max: usize,
}

impl CachedStack {
    /// Capacity in frames: twice the depth limit, the recorder's own frame, and a spare one.
    pub(crate) const fn frames_max(depth_max: usize) -> usize {
        depth_max.saturating_mul(2).saturating_add(2)
    }

    /// An empty stack with a depth limit of `depth_max` frames.
    ///
    /// # Safety
    /// `frames` is zeroed memory for [`CachedStack::frames_max`] frames and `words` for twice as many
    /// words; both live as long as the value and are used by nothing else.
    pub(crate) unsafe fn new(
        frames: NonNull<CachedFrame>,
        words: NonNull<StackWord>,
        depth_max: usize,
    ) -> Self {
        Self {
            fast_entry: FastEntry::NONE,
            is_fast_entry_enabled: false,
            frames,
            len: 0,
            version: 0,
            words,
            root: NodeId::ROOT,
            depth_max,
        }
    }

    /// Removes all frames.
    pub(crate) fn clear(&mut self) {
        self.len = 0;
        self.fast_entry = FastEntry::NONE;
    }

    /// Number of cached frames.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Index of the innermost frame.
    #[inline(always)]
    pub(crate) fn top(&self) -> Option<usize> {
        self.len.checked_sub(1)
    }

    /// The root of the stack that was cached last.
    #[inline(always)]
    pub(crate) fn root(&self) -> NodeId {
        self.root
    }

    /// The frame with this index, which must be below [`CachedStack::len`].
    #[inline(always)]
    pub(crate) fn frame(&self, at: usize) -> &CachedFrame {
        debug_assert!(at < Self::frames_max(self.depth_max));
        // SAFETY: callers pass indices below `len`, which is at most `frames_max`; those frames are
        // initialised.
        unsafe { self.frames.add(at).as_ref() }
    }

    /// Sets whether [`CachedStack::unchanged`] may return a node.
    pub(crate) fn enable_fast_entry(&mut self, is_enabled: bool) {
        self.is_fast_entry_enabled = is_enabled;
        self.fast_entry = FastEntry::NONE;
    }

    /// The last stack's node if the current stack is the same and complete.
    #[inline(always)]
    pub(crate) fn unchanged(&self, start: &Registers) -> Option<NodeId> {
        let entry = &self.fast_entry;
        let differs = (entry.registers.sp ^ start.sp)
            | (entry.registers.pc ^ start.pc)
            | ((entry.registers.fp ^ start.fp) & entry.fp_bits);
        let is_same = differs == 0 && self.difference(entry.words) == 0;
        if is_same { Some(entry.node) } else { None }
    }

    /// Copies the innermost frame to the fast entry, if its stack is complete.
    pub(crate) fn update_fast_entry(&mut self) {
        self.fast_entry = match self.top().map(|top| self.frame(top)) {
            Some(top)
                if self.is_fast_entry_enabled
                    && self.root == NodeId::ROOT
                    && !top.barrier
                    && top.node.0 >= NodeId::FIRST.0 =>
            {
                FastEntry {
                    registers: top.registers,
                    fp_bits: if top.fp_matters { u64::MAX } else { 0 },
                    words: top.words,
                    node: top.node,
                }
            }
            _ => FastEntry::NONE,
        };
    }

    /// The version by which a suffix with this base and node recognises the base; 0 if the base must
    /// be compared in full each time.
    pub(crate) fn version_of(&self, base: usize, node: NodeId) -> u64 {
        let is_complete =
            self.is_fast_entry_enabled && self.root == NodeId::ROOT && !node.is_root();
        if is_complete { self.frame(base).version } else { 0 }
    }

    /// Whether a stack of `cached` and `new` frames, the recorder's own one included, may be cached:
    /// within the capacity, and at least as deep as the limit if it was truncated.
    #[inline]
    pub(crate) fn depth_fits(&self, cached: usize, new: usize) -> bool {
        let depth = cached.wrapping_add(new).wrapping_sub(1);
        depth <= self.depth_cached_max()
            && (self.root != NodeId::TRUNCATED || depth >= self.depth_max)
    }

    /// Maximum depth of the cached stack.
    pub(crate) fn depth_cached_max(&self) -> usize {
        self.depth_max.wrapping_mul(2)
    }

    /// Maximum depth of a walk that starts without cached frames.
    pub(crate) fn depth_walked_max(&self) -> usize {
        self.depth_max.wrapping_add(self.depth_max / 2)
    }

    /// Removes the frames below `sp`: their functions have returned.
    #[inline]
    pub(crate) fn pop_returned_frames(&mut self, sp: u64) {
        while let Some(top) = self.top()
            && self.frame(top).registers.sp < sp
        {
            self.len = top;
            self.fast_entry.registers.sp = 0;
        }
    }

    /// Removes the frames that depend on a changed word.
    pub(crate) fn drop_dependents(&mut self, word: u32) {
        while let Some(top) = self.top()
            && self.frame(top).words > word
        {
            self.len = top;
        }
    }

    /// Whether a frame with these registers equals the cached one. The words are not compared.
    #[inline(always)]
    pub(crate) fn matches_frame(&self, at: usize, registers: &Registers) -> bool {
        let cached = self.frame(at);
        cached.registers.sp == registers.sp
            && cached.registers.pc == registers.pc
            && !cached.barrier
            && (cached.registers.fp == registers.fp || !cached.fp_matters)
    }

    /// Index of the outermost of the first `len` words that differs from the stack.
    #[inline]
    pub(crate) fn first_changed(&self, len: u32) -> Option<u32> {
        if self.difference(len) == 0 { None } else { self.find_changed(len) }
    }

    /// Zero if the first `len` words equal the stack's.
    #[inline(always)]
    pub(crate) fn difference(&self, len: u32) -> u64 {
        let difference = |word: NonNull<StackWord>| {
            // SAFETY: the first `len` words are initialised; each address is aligned and inside
            // this thread's stack above its current sp, because returned frames were removed.
            unsafe { read_stack_word(word.as_ref().at) ^ word.as_ref().value }
        };
        let mut word = self.words;
        let mut sum = 0;
        // Four words per iteration, because the loop's own instructions cost as much as a comparison.
        for _ in 0..len / 4 {
            // SAFETY: `len` is at most the number of initialised words.
            unsafe {
                sum |= difference(word)
                    | difference(word.add(1))
                    | difference(word.add(2))
                    | difference(word.add(3));
                word = word.add(4);
            }
        }
        for _ in 0..len % 4 {
            sum |= difference(word);
            // SAFETY: at most one behind the last initialised word.
            word = unsafe { word.add(1) };
        }
        sum
    }

    #[cold]
    fn find_changed(&self, len: u32) -> Option<u32> {
        (0..len).find(|at| {
            // SAFETY: the first `len` words are initialised; each address is aligned and inside
            // this thread's stack above its current sp, because returned frames were removed.
            unsafe {
                let word = self.words.add(*at as usize).as_ref();
                read_stack_word(word.at) != word.value
            }
        })
    }

    /// Caches the new frames on top of the cached ones, outermost first, and returns the innermost
    /// frame's node.
    pub(crate) fn push_frames(
        &mut self,
        end: &WalkEnd,
        new_frames: &NewFrames,
        new_len: usize,
    ) -> NodeId {
        let mut caller = match end {
            WalkEnd::Cached(at) => {
                self.len = at.wrapping_add(1);
                *self.frame(*at)
            }
            WalkEnd::Root(root) => {
                self.len = 0;
                self.root = *root;
                CachedFrame {
                    registers: Registers::default(),
                    node: *root,
                    parent: NodeId::NONE,
                    words: 0,
                    fp_matters: false,
                    // A frame that could not be unwound may be covered by the next walk.
                    barrier: *root == NodeId::FAILED,
                    module_tag: 0,
                    version: 0,
                }
            }
        };
        for at in (0..new_len).rev() {
            caller = self.push_frame(&new_frames.get(at), &caller, at == 0);
        }
        caller.node
    }

    #[inline]
    fn push_frame(&mut self, new: &NewFrame, caller: &CachedFrame, is_own: bool) -> CachedFrame {
        let mut words = caller.words;
        if new.return_at != 0 {
            words = self.push_word(words, new.return_at);
        }
        if new.fp_at != 0 && caller.fp_matters {
            words = self.push_word(words, new.fp_at);
        }
        // The innermost frame is the recorder's own and not a part of the call path.
        let node = if is_own { caller.node } else { self.node_of(new, caller.node) };
        self.version = self.version.wrapping_add(1);
        let cached = CachedFrame {
            registers: new.registers,
            node,
            // An interrupted frame's node is never the node of another frame with this pc.
            parent: if new.is_interrupted { NodeId::NONE } else { caller.node },
            words,
            fp_matters: new.uses_fp || (new.fp_at == 0 && caller.fp_matters),
            barrier: new.barrier || caller.barrier,
            module_tag: new.module_tag,
            version: self.version,
        };
        // SAFETY: `len` is below `frames_max`, because `depth_fits` bounded the walk.
        unsafe { self.frames.add(self.len).write(cached) };
        self.len = self.len.wrapping_add(1);
        cached
    }

    /// Interns a frame's call path. The removed frame that was here before mostly has the same node,
    /// which saves the look-up: a node never changes.
    #[inline]
    fn node_of(&mut self, new: &NewFrame, parent: NodeId) -> NodeId {
        // SAFETY: `len` is below `frames_max`; the frame was written before or is zeroed, and all-zero
        // is a valid frame.
        let removed = unsafe { self.frames.add(self.len).as_ref() };
        if removed.registers.pc == new.registers.pc
            && !new.is_interrupted
            && removed.parent == parent
            && removed.module_tag == new.module_tag
            && !removed.node.is_root()
            && removed.node != parent
        {
            return removed.node;
        }
        let tag = u64::from(new.module_tag) << MODULE_SHIFT;
        // Nodes have return addresses, and readers look up the byte before them; an interrupted pc is
        // the instruction itself.
        let address = new.registers.pc.wrapping_add(u64::from(new.is_interrupted));
        stack_table::intern(parent, Address(address | tag))
    }

    #[inline(always)]
    fn push_word(&mut self, at: u32, address: u64) -> u32 {
        // SAFETY: a frame has at most two words, and there is room for two per frame. This walk has
        // read `address`, so it is mapped and aligned.
        unsafe {
            let word = StackWord { at: address, value: read_stack_word(address) };
            self.words.add(at as usize).write(word);
        };
        at.wrapping_add(1)
    }

    /// The words with indices from `first` to before `end`, as (address, value).
    pub(crate) fn words(&self, first: u32, end: u32) -> impl Iterator<Item = (u64, u64)> + use<> {
        let words = self.words;
        (first..end).map(move |at| {
            // SAFETY: callers pass an `end` of at most a cached frame's number of words, and all of
            // those are initialised.
            let word = unsafe { words.add(at as usize).read() };
            (word.at, word.value)
        })
    }
}

/// A copy of the innermost cached frame for [`CachedStack::unchanged`]. If there is no frame, or its
/// stack is incomplete, sp is 0, which no stack has.
#[derive(Clone, Copy)]
struct FastEntry {
    registers: Registers,
    /// All bits set if fp must be equal, else 0.
    fp_bits: u64,
    words: u32,
    node: NodeId,
}

impl FastEntry {
    const NONE: Self = Self {
        registers: Registers { pc: 0, sp: 0, fp: 0 },
        fp_bits: 0,
        words: 0,
        node: NodeId::NONE,
    };
}
