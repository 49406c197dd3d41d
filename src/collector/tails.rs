//! The innermost pieces of recent stacks, so that sites which take turns need no unwinding.
//!
//! A program that allocates at two places in one loop has two stacks that differ in their
//! innermost frames only. Each walk that unwound anything leaves its fresh frames here as a
//! [`Tail`]: the registers it started from, the words that its frames were left by, and the kept
//! frame that they met. A later walk that starts from the same registers, finds the same words
//! and the same kept frame is at the same node: this is the walk's own argument, with the tail's
//! words put in front of the kept ones.
//!
//! Reads: this thread's stack at the words' addresses. Writes: the thread's table of tails.
//!
//! Invariant: every address that is read is at or above the current sp, and below the address of
//! the kept frame's sp that the tail met: inside this thread's stack.

use std::ptr::NonNull;

use crate::collector::unwind::Registers;
use crate::recording::NodeId;

/// Sets of tails, by start; a power of two.
const SETS: usize = 64;

/// Brings a 64-bit hash to a set.
const SET_SHIFT: u32 = 64 - SETS.trailing_zeros();

/// Tails of one set: sites that allocate at the same depth.
const WAYS: usize = 4;

/// Words of a tail; longer ones are unwound each time.
pub(in crate::collector) const WORDS_MAX: usize = 16;

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
pub(in crate::collector) struct Tail {
    pub(in crate::collector) start: Registers,
    /// The kept frame: its place, its registers and its node.
    pub(in crate::collector) base: u32,
    pub(in crate::collector) frames: u32,
    pub(in crate::collector) base_registers: Registers,
    pub(in crate::collector) base_node: NodeId,
    /// The whole stack.
    pub(in crate::collector) node: NodeId,
    /// Whole groups of words; the last one is filled up with a word that is in it anyway.
    groups: u32,
    /// Which words are return addresses, by bit.
    returns: u16,
    /// Whether the start's fp has to be the same.
    pub(in crate::collector) fp_matters: bool,
    words: [Group; WORDS_MAX / GROUP],
}

impl Tail {
    /// Takes the words (distance from the start's sp, value), at most [`WORDS_MAX`] of them,
    /// outermost first, and which of them are return addresses.
    pub(in crate::collector) fn set_words(
        &mut self,
        words: impl Iterator<Item = (u32, u64)>,
        returns: u16,
    ) {
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

impl Tail {
    /// The pcs of the frames, outermost first: each is what the frame inside it returns to. The
    /// outermost frame's own return address is the kept frame's pc, and not among them.
    pub(in crate::collector) fn callers(&self) -> impl Iterator<Item = u64> + '_ {
        let values = self.words.iter().flat_map(|group| group.values);
        let bits = (0..u16::BITS).map(|bit| self.returns.wrapping_shr(bit) & 1 == 1);
        values.zip(bits).filter(|(_, is_return)| *is_return).map(|(value, _)| value).skip(1)
    }
}

/// One thread's tails.
pub(in crate::collector) struct Tails {
    table: NonNull<Tail>,
    /// The way that is overwritten next, in whichever set.
    victim: usize,
}

impl Tails {
    /// Bytes of the table.
    pub(in crate::collector) const BYTES: usize = SETS * WAYS * size_of::<Tail>();

    /// An empty table.
    ///
    /// # Safety
    /// `pages` is zeroed memory of [`Tails::BYTES`] bytes, 8-byte aligned, that nobody else uses.
    pub(in crate::collector) unsafe fn new(pages: NonNull<u8>) -> Self {
        // Zeroed tails start at sp 0, where no walk does.
        Self { table: pages.cast(), victim: 0 }
    }

    /// Forgets all tails: they speak of one thread's stack.
    pub(in crate::collector) fn clear(&mut self) {
        // SAFETY: the table is ours and has this size; zeros are empty tails.
        unsafe { self.table.write_bytes(0, SETS * WAYS) };
    }

    /// The tails that may begin at `start`.
    #[inline(always)]
    pub(in crate::collector) fn candidates(&self, start: &Registers) -> &[Tail; WAYS] {
        // SAFETY: a set is WAYS tails in a row, inside the table.
        unsafe { self.table.add(set_of(start)).cast::<[Tail; WAYS]>().as_ref() }
    }

    /// Says on which stack the tail with this number now stands.
    pub(in crate::collector) fn moved(
        &mut self,
        start: &Registers,
        way: usize,
        base_node: NodeId,
        node: NodeId,
    ) {
        // SAFETY: a way of the set, inside the table; `self` is borrowed exclusively.
        let tail = unsafe { self.table.add(set_of(start).wrapping_add(way % WAYS)).as_mut() };
        tail.base_node = base_node;
        tail.node = node;
    }

    /// A place for a tail that starts at `start`: what was there is forgotten.
    pub(in crate::collector) fn place(&mut self, start: &Registers) -> &mut Tail {
        self.victim = self.victim.wrapping_add(1) % WAYS;
        // SAFETY: inside the table; `self` is borrowed exclusively.
        unsafe { self.table.add(set_of(start).wrapping_add(self.victim)).as_mut() }
    }
}

/// Whether `tail` is how the stack looks now, from `start` to the kept frame that it names.
#[inline(always)]
pub(in crate::collector) fn holds(tail: &Tail, start: &Registers) -> bool {
    if tail.start.sp != start.sp
        || tail.start.pc != start.pc
        || (tail.fp_matters && tail.start.fp != start.fp)
    {
        return false;
    }
    // The outermost words stand first, and tell apart the callers of what tails share.
    tail.words.iter().take(tail.groups as usize).all(|group| {
        let words = group.values.iter().zip(&group.distances);
        let changed = words.fold(0, |changed, (value, distance)| {
            let at = start.sp.wrapping_add(u64::from(*distance));
            // SAFETY: aligned, and inside this thread's stack above its current sp: it was read
            // there by the walk that left the tail, which started at the same sp.
            changed | (unsafe { *(at as *const u64) } ^ value)
        });
        changed == 0
    })
}

#[inline(always)]
fn set_of(start: &Registers) -> usize {
    // Fibonacci hashing: stack pointers differ in few bits, and not always in the low ones.
    let mixed = (start.sp >> 3).wrapping_add(start.pc).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed >> SET_SHIFT) as usize).wrapping_mul(WAYS)
}

const _: () = assert!(SETS.is_power_of_two() && WORDS_MAX.is_multiple_of(GROUP));
const _: () = assert!(WORDS_MAX <= u16::BITS as usize);
