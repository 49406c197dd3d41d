//! The innermost pieces of recent stacks, so that sites which take turns need no unwinding.
//!
//! A program that allocates at two places in one loop has two stacks that differ in their
//! innermost frames only. Each walk that unwound anything leaves its fresh frames here as a
//! [`StackSuffix`]: the registers it started from, the words that its frames were left by, and the kept
//! frame that they met. A later walk that starts from the same registers, finds the same words
//! and the same kept frame is at the same node: this is the walk's own argument, with the tail's
//! words put in front of the kept ones.
//!
//! Reads: this thread's stack at the words' addresses. Writes: the thread's table of tails.
//!
//! Invariant: every address that is compared is at or above the current sp, and below the address
//! of the kept frame's sp that the tail met: inside this thread's stack. What chooses a set is read
//! from the frame that the walk starts in, wherever that is.

use std::ptr::NonNull;

use crate::collector::unwind::rules::Registers;
use crate::recording::NodeId;

/// Sets of tails, by start and caller; a power of two.
const SETS: usize = 64;

/// Brings a 64-bit hash to a set.
const SET_SHIFT: u32 = 64 - SETS.trailing_zeros();

/// Tails of one set.
const WAYS: usize = 4;

/// Words of a tail; longer ones are unwound each time.
pub(crate) const WORDS_MAX: usize = 16;

/// Words that are compared before the outcome is looked at.
const GROUP: usize = 4;

/// Words that are compared together, by their distances from the start's sp.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Group {
    values: [u64; GROUP],
    distances: [u32; GROUP],
}

/// The frames of one walk that were inside the kept frame that it met.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct StackSuffix {
    pub(crate) start: Registers,
    /// The bits of the start's fp that matter: all or none.
    pub(crate) fp_bits: u64,
    /// Which version of the kept frame `base_node` and `node` were found with; 0: such as have to be
    /// looked at each time.
    pub(crate) base_version: u64,
    /// The kept frame: its place, its node and its registers.
    pub(crate) base: u32,
    /// Whole groups of words; the last one is filled up with a word that is in it anyway.
    groups: u32,
    /// The whole stack.
    pub(crate) node: NodeId,
    pub(crate) base_node: NodeId,
    words: [Group; WORDS_MAX / GROUP],
    pub(crate) base_registers: Registers,
    pub(crate) frames: u32,
    /// Which words are return addresses, by bit.
    returns: u16,
}

impl StackSuffix {
    /// Takes the words (distance from the start's sp, value), at most [`WORDS_MAX`] of them,
    /// outermost first, and which of them are return addresses.
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
                // The last group is filled up with a word that is in it anyway.
                last = words.next().unwrap_or(last);
                (*distance, *value) = last;
            }
        }
    }
}

impl StackSuffix {
    /// The pcs of the frames, outermost first: each is what the frame inside it returns to. The
    /// outermost frame's own return address is the kept frame's pc, and not among them.
    pub(crate) fn callers(&self) -> impl Iterator<Item = u64> + '_ {
        let values = self.words.iter().flat_map(|group| group.values);
        let bits = (0..u16::BITS).map(|bit| self.returns.wrapping_shr(bit) & 1 == 1);
        values.zip(bits).filter(|(_, is_return)| *is_return).map(|(value, _)| value).skip(1)
    }
}

/// One thread's tails.
pub(crate) struct RecentStacks {
    table: NonNull<StackSuffix>,
    /// The way that is overwritten next, in whichever set.
    victim: usize,
    front: Front,
}

impl RecentStacks {
    /// Bytes of the table.
    pub(crate) const BYTES: usize = SETS * WAYS * size_of::<StackSuffix>();

    /// An empty table.
    ///
    /// # Safety
    /// `pages` is zeroed memory of [`RecentStacks::BYTES`] bytes, 8-byte aligned, that nobody else uses.
    pub(crate) unsafe fn new(pages: NonNull<u8>) -> Self {
        // Zeroed tails start at sp 0, where no walk does.
        Self { table: pages.cast(), victim: 0, front: Front::default() }
    }

    /// Forgets all tails: they speak of one thread's stack.
    pub(crate) fn clear(&mut self) {
        // SAFETY: the table is ours and has this size; zeros are empty tails.
        unsafe { self.table.write_bytes(0, SETS * WAYS) };
        self.front = Front::default();
    }

    /// Where tails that begin at `start` are, by what the innermost frame returns to as well, for
    /// one place on the stack is where many sites allocate. That is told only for the pc that most
    /// walks start from.
    #[inline(always)]
    pub(crate) fn set_of(&self, start: &Registers, stack_end: u64) -> Set {
        let return_at = start.sp.wrapping_add(self.front.return_distance);
        let is_told = self.front.pc == start.pc && return_at < stack_end;
        // SAFETY: the return address of the function that the walk starts in, on whatever stack it
        // runs: its frame is as large each time.
        let caller = if is_told { unsafe { *(return_at as *const u64) } } else { 0 };
        // Fibonacci hashing: stack pointers differ in few bits, and not always in the low ones.
        let key = (start.sp >> 3).wrapping_add(start.pc).wrapping_add(caller);
        let mixed = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Set(((mixed >> SET_SHIFT) as usize).wrapping_mul(WAYS))
    }

    /// The tails of a set.
    #[inline(always)]
    pub(crate) fn candidates(&self, set: Set) -> &[StackSuffix; WAYS] {
        // SAFETY: a set is WAYS tails in a row, inside the table.
        unsafe { self.table.add(set.0).cast::<[StackSuffix; WAYS]>().as_ref() }
    }

    /// The tail with this number among them.
    pub(crate) fn candidate(&mut self, set: Set, way: usize) -> &mut StackSuffix {
        // SAFETY: a way of the set, inside the table; `self` is borrowed exclusively.
        unsafe { self.table.add(set.0.wrapping_add(way % WAYS)).as_mut() }
    }

    /// A place for a tail from `start`, whose innermost frame's return address stood so far from
    /// its sp: what was there is forgotten.
    pub(crate) fn place(
        &mut self,
        start: &Registers,
        return_distance: u64,
        stack_end: u64,
    ) -> &mut StackSuffix {
        self.front.see(start.pc, return_distance);
        self.victim = self.victim.wrapping_add(1) % WAYS;
        let set = self.set_of(start, stack_end);
        let tail = self.candidate(set, self.victim);
        tail.start = *start;
        tail
    }
}

/// The pc that most walks start from, as far as their tails tell: the allocator's front for plain
/// allocations in most programs.
#[derive(Clone, Copy, Debug, Default)]
struct Front {
    pc: u64,
    /// What its frame returns to stands so far from its sp; a multiple of 8.
    return_distance: u64,
    votes: u32,
}

impl Front {
    /// Votes by majority (Boyer and Moore 1981).
    fn see(&mut self, pc: u64, return_distance: u64) {
        if self.pc == pc {
            self.votes = self.votes.saturating_add(1);
        } else if self.votes == 0 && return_distance & 7 == 0 {
            *self = Self { pc, return_distance, votes: 1 };
        } else {
            self.votes = self.votes.saturating_sub(1);
        }
    }
}

/// Tails that are looked through together: the place of the first one. It decides only where to
/// look: what is found is compared.
#[derive(Clone, Copy)]
pub(crate) struct Set(usize);

impl StackSuffix {
    /// Whether a walk from `start` may find it: says nothing about the stack.
    #[inline(always)]
    pub(crate) fn begins_at(&self, start: &Registers) -> bool {
        let differs = (self.start.sp ^ start.sp)
            | (self.start.pc ^ start.pc)
            | ((self.start.fp ^ start.fp) & self.fp_bits);
        differs == 0
    }

    /// Whether the stack looks like it now, from its start to the kept frame that it names. The
    /// present walk starts where it begins.
    #[inline(always)]
    pub(crate) fn holds(&self) -> bool {
        // The outermost words stand first, and tell apart the callers of what tails share.
        self.words.iter().take(self.groups as usize).all(|group| {
            let words = group.values.iter().zip(&group.distances);
            let changed = words.fold(0, |changed, (value, distance)| {
                let at = self.start.sp.wrapping_add(u64::from(*distance));
                // SAFETY: aligned, and inside this thread's stack above its current sp: it was read
                // there by the walk that left the tail, which started at the same sp.
                changed | (unsafe { *(at as *const u64) } ^ value)
            });
            changed == 0
        })
    }
}

const _: () = assert!(SETS.is_power_of_two() && WORDS_MAX.is_multiple_of(GROUP));
const _: () = assert!(WORDS_MAX <= u16::BITS as usize);
