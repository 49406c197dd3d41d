//! The walk and the tails of recent stacks: a stack that ends on a kept frame as one did before.
//!
//! Reads: tails, the kept stack, and through both this thread's stack. Writes: tails, and nodes
//! through [`nodes`] where the same frames stand on other callers.
//!
//! Invariant: a stack is recalled only if the tail's words and all words of the kept frame that it
//! stands on are as they were, which is the walk's own argument.

use crate::collector::unwind::recent_stacks::{self, RecentStacks, StackSuffix};
use crate::collector::unwind::rules::Registers;
use crate::collector::unwind::stack_table;
use crate::collector::unwind::walker::cached_frame::CachedStack;
use crate::collector::unwind::walker::step::Fresh;
use crate::recording::{Address, NodeId};

/// The present stack where the kept frame that its innermost frames met is still the one that it
/// was, and no flaw is to be counted; else [`NodeId::NONE`].
#[inline(always)]
pub(crate) fn unchanged(
    tails: &RecentStacks,
    kept: &CachedStack,
    start: &Registers,
    stack_end: u64,
) -> NodeId {
    tails
        .candidates(tails.set_of(start, stack_end))
        .iter()
        .find(|tail| matches_cached(kept, tail, start))
        .map_or(NodeId::NONE, |tail| tail.node)
}

/// The node of the present stack, if its innermost frames are those of a recent one: whatever
/// became of the kept frame since, as long as it is still met.
#[inline(never)]
pub(crate) fn recall(
    tails: &mut RecentStacks,
    kept: &CachedStack,
    start: &Registers,
    stack_end: u64,
) -> Option<NodeId> {
    let set = tails.set_of(start, stack_end);
    let candidates = tails.candidates(set);
    let way = candidates.iter().position(|tail| matches_live_stack(kept, tail, start))?;
    let tail = candidates.get(way)?;
    let base = tail.base as usize;
    let base_node = kept.frame(base).node;
    // The same frames on another stack: nothing to unwind, but other nodes.
    let node = if tail.base_node == base_node {
        tail.node
    } else {
        tail.callers()
            .fold(base_node, |parent, address| stack_table::intern(parent, Address(address)))
    };
    let base_version = kept.version_of(base, node);
    let tail = tails.candidate(set, way);
    (tail.base_node, tail.node, tail.base_version) = (base_node, node, base_version);
    Some(node)
}

/// Leaves the fresh frames of a walk that met the kept frame at `base` as a tail. There is at least
/// one: the innermost.
pub(crate) fn remember(
    tails: &mut RecentStacks,
    kept: &CachedStack,
    (base, fresh_len): (usize, usize),
    innermost: &Fresh,
    stack_end: u64,
) {
    let Some(top_at) = kept.top() else {
        return;
    };
    let (first, end) = (kept.frame(base).words, kept.frame(top_at).words);
    let len = end.wrapping_sub(first) as usize;
    let (top, below) = (*kept.frame(top_at), *kept.frame(base));
    let reach = below.registers.sp.wrapping_sub(top.registers.sp);
    if top.barrier || len > recent_stacks::WORDS_MAX || reach > u64::from(u32::MAX) {
        return;
    }
    // Each frame's first word is the address that it returns to.
    let returns = (base..top_at).fold(0_u16, |returns, outer| {
        returns | 1_u16.wrapping_shl(kept.frame(outer).words.wrapping_sub(first))
    });
    let base_version = kept.version_of(base, top.node);
    let distance = innermost.return_at.wrapping_sub(top.registers.sp);
    let tail = tails.place(&top.registers, distance, stack_end);
    tail.base = base as u32;
    tail.frames = fresh_len as u32;
    tail.base_registers = below.registers;
    tail.base_node = below.node;
    tail.node = top.node;
    tail.fp_bits = if top.fp_matters { u64::MAX } else { 0 };
    tail.base_version = base_version;
    let words =
        kept.words(first, end).map(|(at, value)| (at.wrapping_sub(top.registers.sp) as u32, value));
    tail.set_words(words, returns);
}

/// Whether the present stack is the tail's, and the kept frame that it names is as it was.
#[inline(always)]
fn matches_cached(kept: &CachedStack, tail: &StackSuffix, start: &Registers) -> bool {
    let base = tail.base as usize;
    tail.begins_at(start)
        && base < kept.len()
        && kept.frame(base).version == tail.base_version
        && tail.holds()
        && kept.changed(kept.frame(base).words) == 0
}

#[inline]
fn matches_live_stack(kept: &CachedStack, tail: &StackSuffix, start: &Registers) -> bool {
    let base = tail.base as usize;
    base < kept.len()
        && kept.meets(base, &tail.base_registers)
        && tail.begins_at(start)
        && tail.holds()
        && kept.first_changed(kept.frame(base).words).is_none()
        && kept.depth_fits(base.wrapping_add(1), tail.frames as usize)
}
