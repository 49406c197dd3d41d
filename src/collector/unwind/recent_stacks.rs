//! A per-thread cache of recent stack suffixes, so that alternating call sites need no unwinding.
//!
//! Two call sites in one loop have stacks that differ in their innermost frames only. A walk that
//! unwound any frame stores its new frames here as a [`StackSuffix`]: the registers at its start, the
//! stack words that unwinding the frames read, and the cached frame at which the walk ended. A later
//! walk with the same start registers, the same words and the same cached frame has the same call path:
//!
//! ```text
//!  lower addresses                                            higher addresses
//!  sp at the start                          sp of the base
//!  |                                        |
//!  v  new frames, innermost first           v  cached frames, outwards       root
//!  +-------------+-----------+-------------++--------------+-------- - - ---+
//!  |   r2      r1|      r0   |             ||  c2      c1  |          c0    |
//!  +-------------+-----------+-------------++--------------+-------- - - ---+
//!   start registers equal,                   base frame still cached, and its
//!   r0, r1, r2 equal: the suffix             words c0, c1, c2 equal: the cached stack
//! ```
//!
//! Unwinding is a function of registers and words, so equal inputs at each step give equal callers:
//! the suffix' words prove the frames up to the base, and the cached words prove the rest (see
//! [`walker`](crate::collector::unwind::walker)).
//!
//! Reads: this thread's stack at the words' addresses. Writes: the thread's table of suffixes.
//!
//! Invariant: every compared address is at or above the current sp and below the sp of the base. The
//! caller's return address, which only selects a set, is read from the frame in which the walk starts.

use std::ptr::NonNull;

use crate::collector::unwind::rules::Registers;
use crate::collector::unwind::stack_word::read_stack_word;
use crate::recording::NodeId;

/// Sets of suffixes; a power of two. 64 sets of 4 suffixes take 70 KiB per thread. Together they took
/// the added time of `json` in benches/peers from 61 to 26 ns per event, of `qsort` from 100 to 59.
const SETS: usize = 64;

/// Shifts a 64-bit hash to the index of a set.
const SET_SHIFT: u32 = 64 - SETS.trailing_zeros();

/// Suffixes per set: the number of call sites that may alternate below one caller without unwinding.
const WAYS: usize = 4;

/// Maximum number of words of a suffix, two per frame; longer ones are unwound each time.
pub(crate) const WORDS_MAX: usize = 16;

/// Words that are compared before a branch: fewer branches per word, and few words too many.
const GROUP: usize = 4;

/// Words that are compared together, with their distances from the start's sp.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct WordGroup {
    values: [u64; GROUP],
    distances: [u32; GROUP],
}

/// The frames of one walk inside the cached frame at which it ended (the *base*).
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct StackSuffix {
    /// Registers at the start of the walk.
    pub(crate) start: Registers,
    /// All bits set if the start's fp must be equal, else 0.
    pub(crate) fp_bits: u64,
    /// The base's version when `base_node` and `node` were determined; 0: the base is compared in full.
    pub(crate) base_version: u64,
    /// Index of the base in the cached stack.
    pub(crate) base: u32,
    /// Groups in use; the last one repeats a word to be full.
    groups: u32,
    /// Node of the whole stack.
    pub(crate) node: NodeId,
    pub(crate) base_node: NodeId,
    words: [WordGroup; WORDS_MAX / GROUP],
    pub(crate) base_registers: Registers,
    /// Number of frames.
    pub(crate) frames: u32,
    /// Bit set of the words that are return addresses.
    returns: u16,
}

impl StackSuffix {
    /// Stores the words as (distance from the start's sp, value), outermost first and at most
    /// [`WORDS_MAX`], and which of them are return addresses.
    pub(crate) fn set_words(&mut self, words: impl Iterator<Item = (u32, u64)>, returns: u16) {
        self.returns = returns;
        let mut words = words.peekable();
        let mut last = (0, 0);
        self.groups = 0;
        for group in &mut self.words {
            if words.peek().is_none() {
                return;
            }
            self.groups = self.groups.wrapping_add(1);
            for (value, distance) in group.values.iter_mut().zip(&mut group.distances) {
                // The last group is filled up with its last word.
                last = words.next().unwrap_or(last);
                (*distance, *value) = last;
            }
        }
    }

    /// The pcs of the frames, outermost first: each is the return address of the frame inside it. The
    /// outermost frame's own return address is the base's pc and is left out.
    pub(crate) fn callers(&self) -> impl Iterator<Item = u64> + '_ {
        let values = self.words.iter().flat_map(|group| group.values);
        let bits = (0..u16::BITS).map(|bit| self.returns.wrapping_shr(bit) & 1 == 1);
        values.zip(bits).filter(|(_, is_return)| *is_return).map(|(value, _)| value).skip(1)
    }

    /// Whether a walk from `start` may match: the stack is not compared.
    #[inline(always)]
    pub(crate) fn starts_at(&self, start: &Registers) -> bool {
        let differs = (self.start.sp ^ start.sp)
            | (self.start.pc ^ start.pc)
            | ((self.start.fp ^ start.fp) & self.fp_bits);
        differs == 0
    }

    /// Whether the stack has the same words now, from the start to the base. Requires
    /// [`StackSuffix::starts_at`] for the current walk.
    #[inline(always)]
    pub(crate) fn matches_stack(&self) -> bool {
        // Outermost words first: they distinguish the callers of a shared innermost function.
        self.words.iter().take(self.groups as usize).all(|group| {
            let words = group.values.iter().zip(&group.distances);
            let changed = words.fold(0, |changed, (value, distance)| {
                let at = self.start.sp.wrapping_add(u64::from(*distance));
                // SAFETY: aligned, and inside this thread's stack above its current sp: the walk that
                // stored the suffix read this address, and it started at the same sp.
                changed | (unsafe { read_stack_word(at) } ^ value)
            });
            changed == 0
        })
    }
}

/// One thread's suffixes, a set-associative table.
pub(crate) struct RecentStacks {
    table: NonNull<StackSuffix>,
    /// The way that the next insertion overwrites, in any set.
    next_way: usize,
    hot_caller: HotCaller,
}

impl RecentStacks {
    /// Bytes of the table.
    pub(crate) const BYTES: usize = SETS * WAYS * size_of::<StackSuffix>();

    /// An empty table.
    ///
    /// # Safety
    /// `pages` is zeroed memory of [`RecentStacks::BYTES`] bytes, aligned to 8 bytes, that lives as long
    /// as the value and is used by nothing else.
    pub(crate) unsafe fn new(pages: NonNull<u8>) -> Self {
        // A zeroed suffix starts at sp 0, where no walk starts.
        Self { table: pages.cast(), next_way: 0, hot_caller: HotCaller::default() }
    }

    /// Removes all suffixes, because they belong to one thread's stack.
    pub(crate) fn clear(&mut self) {
        // SAFETY: `new` was given memory for SETS * WAYS suffixes; an all-zero suffix is valid.
        unsafe { self.table.write_bytes(0, SETS * WAYS) };
        self.hot_caller = HotCaller::default();
    }

    /// The set for walks from `start`. Many call sites may allocate from one stack address, so the
    /// caller's return address is a part of the hash; its place is known for the hot caller only.
    #[inline(always)]
    pub(crate) fn set_of(&self, start: &Registers, stack_end: u64) -> Set {
        let return_at = start.sp.wrapping_add(self.hot_caller.return_distance);
        let is_hot = self.hot_caller.pc == start.pc && return_at < stack_end;
        let caller = if is_hot {
            // SAFETY: the return address of the function in which the walk starts: every call of it has
            // the same frame size, so the word is mapped on whatever stack it runs, and it is aligned
            // because sp is at this pc and `return_distance` is a multiple of 8.
            unsafe { read_stack_word(return_at) }
        } else {
            0
        };
        // Fibonacci hashing: stack pointers differ in few bits, and not always in the low ones.
        let key = (start.sp >> 3).wrapping_add(start.pc).wrapping_add(caller);
        let mixed = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Set(((mixed >> SET_SHIFT) as usize).wrapping_mul(WAYS))
    }

    /// The suffixes of a set.
    #[inline(always)]
    pub(crate) fn candidates(&self, set: Set) -> &[StackSuffix; WAYS] {
        // SAFETY: `set_of` makes sets, each of WAYS consecutive suffixes inside the table.
        unsafe { self.table.add(set.0).cast::<[StackSuffix; WAYS]>().as_ref() }
    }

    /// The suffix in one way of a set.
    pub(crate) fn candidate(&mut self, set: Set, way: usize) -> &mut StackSuffix {
        // SAFETY: one of the set's WAYS suffixes, inside the table; `self` is borrowed exclusively.
        unsafe { self.table.add(set.0.wrapping_add(way % WAYS)).as_mut() }
    }

    /// Overwrites a suffix of the set for `start` and returns it. `return_distance` is the distance from
    /// the start's sp to the return address of its function.
    pub(crate) fn insert(
        &mut self,
        start: &Registers,
        return_distance: u64,
        stack_end: u64,
    ) -> &mut StackSuffix {
        self.hot_caller.observe(start.pc, return_distance);
        self.next_way = self.next_way.wrapping_add(1) % WAYS;
        let set = self.set_of(start, stack_end);
        let suffix = self.candidate(set, self.next_way);
        suffix.start = *start;
        suffix
    }
}

/// The pc from which most walks start: in most programs, the allocator's method for plain
/// allocations.
#[derive(Clone, Copy, Debug, Default)]
struct HotCaller {
    pc: u64,
    /// Distance from sp to the return address of its function, a multiple of 8.
    return_distance: u64,
    votes: u32,
}

impl HotCaller {
    /// Majority vote (Boyer and Moore 1981).
    fn observe(&mut self, pc: u64, return_distance: u64) {
        if self.pc == pc {
            self.votes = self.votes.saturating_add(1);
        } else if self.votes == 0 && return_distance & 7 == 0 {
            *self = Self { pc, return_distance, votes: 1 };
        } else {
            self.votes = self.votes.saturating_sub(1);
        }
    }
}

/// Index of a set's first suffix. It only selects candidates, which are compared in full.
#[derive(Clone, Copy)]
pub(crate) struct Set(usize);

const _: () = assert!(SETS.is_power_of_two() && WORDS_MAX.is_multiple_of(GROUP));
const _: () = assert!(WORDS_MAX <= u16::BITS as usize);
