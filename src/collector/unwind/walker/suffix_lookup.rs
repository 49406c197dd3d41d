//! Looks up the current stack in the cache of recent suffixes, and adds to it.
//!
//! Reads: suffixes, the cached stack, and through both this thread's stack. Writes: suffixes, and
//! nodes where the same frames have other callers.
//!
//! Invariant: a suffix matches only if its words and all words of its base are equal to the stack's,
//! which proves the call path; see [`recent_stacks`].

use crate::collector::unwind::recent_stacks::{self, RecentStacks, StackSuffix};
use crate::collector::unwind::rules::Registers;
use crate::collector::unwind::stack_table;
use crate::collector::unwind::walker::cached_stack::CachedStack;
use crate::collector::unwind::walker::step::NewFrame;
use crate::recording::{Address, NodeId};

/// The node of the current stack if a suffix matches and its base is unchanged since, and the stack
/// is complete; else [`NodeId::NONE`].
#[inline(always)]
pub(crate) fn find_unchanged(
    recent: &RecentStacks,
    cached: &CachedStack,
    start: &Registers,
    stack_end: u64,
) -> NodeId {
    recent
        .candidates(recent.set_of(start, stack_end))
        .iter()
        .find(|suffix| matches_cached(cached, suffix, start))
        .map_or(NodeId::NONE, |suffix| suffix.node)
}

/// The node of the current stack if a suffix matches and its base is cached, even if the base was
/// replaced by an equal frame with other callers.
#[inline(never)]
pub(crate) fn find(
    recent: &mut RecentStacks,
    cached: &CachedStack,
    start: &Registers,
    stack_end: u64,
) -> Option<NodeId> {
    let set = recent.set_of(start, stack_end);
    let candidates = recent.candidates(set);
    let way = candidates.iter().position(|suffix| matches_live_stack(cached, suffix, start))?;
    let suffix = candidates.get(way)?;
    let base = suffix.base as usize;
    let base_node = cached.frame(base).node;
    // The same frames with other callers: nothing to unwind, but other nodes.
    let node = if suffix.base_node == base_node {
        suffix.node
    } else {
        suffix
            .callers()
            .fold(base_node, |parent, address| stack_table::intern(parent, Address(address)))
    };
    let base_version = cached.version_of(base, node);
    let suffix = recent.candidate(set, way);
    (suffix.base_node, suffix.node, suffix.base_version) = (base_node, node, base_version);
    Some(node)
}

/// Stores the new frames of a walk that ended at the cached frame `base`. There is at least one new
/// frame, the innermost.
pub(crate) fn insert(
    recent: &mut RecentStacks,
    cached: &CachedStack,
    (base, frames): (usize, usize),
    innermost: &NewFrame,
    stack_end: u64,
) {
    let Some(top_at) = cached.top() else {
        return;
    };
    let (first, end) = (cached.frame(base).words, cached.frame(top_at).words);
    let len = end.wrapping_sub(first) as usize;
    let (top, base_frame) = (*cached.frame(top_at), *cached.frame(base));
    let extent = base_frame.registers.sp.wrapping_sub(top.registers.sp);
    if top.barrier || len > recent_stacks::WORDS_MAX || extent > u64::from(u32::MAX) {
        return;
    }
    // Each frame's first word is its return address.
    let returns = (base..top_at).fold(0_u16, |returns, outer| {
        returns | 1_u16.wrapping_shl(cached.frame(outer).words.wrapping_sub(first))
    });
    let base_version = cached.version_of(base, top.node);
    let distance = innermost.return_at.wrapping_sub(top.registers.sp);
    let suffix = recent.insert(&top.registers, distance, stack_end);
    suffix.base = base as u32;
    suffix.frames = frames as u32;
    suffix.base_registers = base_frame.registers;
    suffix.base_node = base_frame.node;
    suffix.node = top.node;
    suffix.fp_bits = if top.fp_matters { u64::MAX } else { 0 };
    suffix.base_version = base_version;
    let words = cached.words(first, end);
    let words = words.map(|(at, value)| (at.wrapping_sub(top.registers.sp) as u32, value));
    suffix.set_words(words, returns);
}

/// Whether the suffix matches the stack, and its base has not been replaced since.
#[inline(always)]
fn matches_cached(cached: &CachedStack, suffix: &StackSuffix, start: &Registers) -> bool {
    let base = suffix.base as usize;
    suffix.starts_at(start)
        && base < cached.len()
        && cached.frame(base).version == suffix.base_version
        && suffix.matches_stack()
        && cached.difference(cached.frame(base).words) == 0
}

/// Whether the suffix matches the stack, and an equal frame is cached in place of its base.
#[inline]
fn matches_live_stack(cached: &CachedStack, suffix: &StackSuffix, start: &Registers) -> bool {
    let base = suffix.base as usize;
    base < cached.len()
        && cached.matches_frame(base, &suffix.base_registers)
        && suffix.starts_at(start)
        && suffix.matches_stack()
        && cached.first_changed(cached.frame(base).words).is_none()
        && cached.depth_fits(base.wrapping_add(1), suffix.frames as usize)
}
