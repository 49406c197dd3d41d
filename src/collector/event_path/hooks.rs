//! What happens at an event: enter, stamp, walk, encode, leave.
//!
//! Reads: an operation's facts (addresses, size, alignment) from a front such as
//! [`Allocator`](crate::collector::Allocator). Writes: the thread's region.
//!
//! Invariants:
//! - A free is stamped before the inner allocator gets the block back, an allocation after the
//!   inner allocator handed it out, a reallocation at both ends: the loader's rule that an
//!   address alternates between allocated and freed then holds.
//! - Nothing here allocates, locks, unwinds or touches `errno` on the usual path.

use crate::collector::event_path::thread_guard::{self, RecorderGuard};
use crate::collector::platform::clock;
use crate::recording::{Address, Bytes, NodeId, Ticks};

use crate::collector::unwind::walker::Start;

/// Alignments up to this are every allocator's own; larger ones are recorded.
const ALIGN_NATURAL: usize = 16;

/// The place that a walk starts from: this function's own pc, sp and fp.
#[cfg(walks_with_framehop)]
macro_rules! here {
    () => {{
        let (pc, sp, fp): (u64, u64, u64);
        // SAFETY: reads three registers and changes nothing.
        unsafe {
            std::arch::asm!(
                "lea {pc}, [rip]",
                "mov {sp}, rsp",
                "mov {fp}, rbp",
                pc = out(reg) pc,
                sp = out(reg) sp,
                fp = out(reg) fp,
                options(nomem, nostack, preserves_flags),
            );
        }
        Start { pc, sp, fp }
    }};
}

#[cfg(not(walks_with_framehop))]
macro_rules! here {
    () => {
        Start
    };
}

pub(crate) use here;

/// What memory was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contents {
    Any,
    Zeroed,
}

/// The inner allocator has answered a request for `size` bytes with `address`, 0 for failure.
#[inline(always)]
pub(crate) fn allocated(address: usize, size: usize, align: usize, contents: Contents) {
    let start = here!();
    let Some(mut entered) = thread_guard::try_enter_fast() else {
        return record_alloc_slow(start, Request { address, size, align, contents });
    };
    let at = clock::usual_now();
    let is_plain = address != 0 && align <= ALIGN_NATURAL && contents == Contents::Any;
    if !is_plain || !is_recorded_as_usual(&mut entered, &start, at, address, size) {
        allocated_otherwise(entered, start, at, Request { address, size, align, contents });
    }
}

/// Records an allocation from where a recent one came; `false`: nothing was done, for it is not.
/// Where the last one came from there, no call is made.
#[inline(always)]
fn is_recorded_as_usual(
    entered: &mut RecorderGuard,
    start: &Start,
    at: Ticks,
    address: usize,
    size: usize,
) -> bool {
    let tracker = entered.tracker();
    let local = entered.local();
    if local.region.needs_slow_path() {
        return false;
    }
    let (node, tally) = match local.same_stack(start) {
        Some(node) => (node, &tracker.tallies.usual_allocations),
        None => (local.recalled_stack(start), &tracker.tallies.recalled_allocations),
    };
    if node == NodeId::NONE {
        return false;
    }
    #[cfg(rheaper_testing)]
    crate::collector::testing::compare(node, local.depth_max());
    let (address, size) = (Address(address as u64), Bytes(size as u64));
    let encoder = &mut local.encoder;
    let Some(len) = encoder.alloc_short(local.region.slot(), at, address, size, node) else {
        return false;
    };
    local.region.commit_fast(&tracker.shared, len);
    tally.add(1);
    true
}

/// What was asked for and what came of it.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    /// 0: the inner allocator refused.
    pub(crate) address: usize,
    pub(crate) size: usize,
    pub(crate) align: usize,
    pub(crate) contents: Contents,
}

#[cold]
#[inline(never)]
fn record_alloc_slow(start: Start, request: Request) {
    if let Some(entered) = thread_guard::enter() {
        allocated_otherwise(entered, start, clock::now(), request);
    }
}

#[inline(never)]
fn allocated_otherwise(mut entered: RecorderGuard, start: Start, at: Ticks, request: Request) {
    let node = capture_stack(&mut entered, start);
    let size = Bytes(request.size as u64);
    if request.address == 0 {
        return failed(&mut entered, at, size, node);
    }
    let tracker = entered.tracker();
    let local = entered.local();
    if local.region.needs_slow_path() && !local.make_room(tracker) {
        return tracker.tallies.dropped_full.add(1);
    }
    let address = Address(request.address as u64);
    let slot = local.region.slot();
    let is_zeroed = request.contents == Contents::Zeroed;
    let len = if request.align <= ALIGN_NATURAL && !is_zeroed {
        local.encoder.alloc(slot, at, address, size, node)
    } else {
        let align_log2 = align_log2(request.align);
        local.encoder.alloc_long(slot, at, address, size, node, align_log2, is_zeroed)
    };
    local.region.commit(&tracker.shared, len);
    tracker.tallies.other_allocations.add(1);
}

/// The block at `address` is about to be given back to the inner allocator. `false`: nothing was
/// done, and [`freeing`] records it. No call is in here.
#[inline(always)]
pub(crate) fn try_record_free_fast(address: usize) -> bool {
    let Some(mut entered) = thread_guard::try_enter_fast() else { return false };
    let at = clock::usual_now();
    let tracker = entered.tracker();
    let local = entered.local();
    if local.region.needs_slow_path() {
        return false;
    }
    let encoder = &mut local.encoder;
    let Some(len) = encoder.free_short(local.region.slot(), at, Address(address as u64)) else {
        return false;
    };
    local.region.commit_fast(&tracker.shared, len);
    tracker.tallies.frees.add(1);
    true
}

/// The block at `address` is about to be given back to the inner allocator.
#[inline(never)]
pub(crate) fn freeing(address: usize) {
    let Some(mut entered) = thread_guard::enter() else {
        return;
    };
    let at = clock::now();
    let tracker = entered.tracker();
    let local = entered.local();
    if local.region.needs_slow_path() && !local.make_room(tracker) {
        return tracker.tallies.dropped_full.add(1);
    }
    let encoder = &mut local.encoder;
    let len = encoder.free(local.region.slot(), at, Address(address as u64));
    local.region.commit(&tracker.shared, len);
    tracker.tallies.frees.add(1);
}

/// The moment before the inner allocator's `realloc`.
#[inline]
pub(crate) fn reallocating() -> Ticks {
    clock::now()
}

/// The inner allocator has moved the block at `old` to `new`, 0 for failure, since `began`.
#[inline(always)]
pub(crate) fn reallocated(began: Ticks, old: usize, new: usize, size: usize, align: usize) {
    let start = here!();
    let Some(mut entered) = thread_guard::enter() else {
        return;
    };
    let at = clock::now();
    let node = stack(&mut entered, start);
    let size = Bytes(size as u64);
    if new == 0 {
        return failed(&mut entered, at, size, node);
    }
    let (old, new) = (Address(old as u64), Address(new as u64));
    let tracker = entered.tracker();
    let local = entered.local();
    if local.region.needs_slow_path() && !local.make_room(tracker) {
        return tracker.tallies.dropped_full.add(1);
    }
    let encoder = &mut local.encoder;
    let align_log2 = align_log2(align);
    let len = encoder.realloc(local.region.slot(), began, at, old, new, size, node, align_log2);
    local.region.commit(&tracker.shared, len);
    tracker.tallies.reallocations.add(1);
}

#[cold]
fn failed(entered: &mut RecorderGuard, at: Ticks, size: Bytes, node: NodeId) {
    let tracker = entered.tracker();
    let local = entered.local();
    if local.region.needs_slow_path() && !local.make_room(tracker) {
        return tracker.tallies.dropped_full.add(1);
    }
    let encoder = &mut local.encoder;
    let len = encoder.failed(local.region.slot(), at, size, node);
    local.region.commit(&tracker.shared, len);
    tracker.tallies.failed.add(1);
}

/// The node of the present stack.
#[inline(never)]
pub(crate) fn stack(entered: &mut RecorderGuard, start: Start) -> NodeId {
    capture_stack(entered, start)
}

/// The same without a call, for where most walks begin.
#[inline(always)]
fn capture_stack(entered: &mut RecorderGuard, start: Start) -> NodeId {
    let tallies = &entered.tracker().tallies;
    let local = entered.local();
    if local.is_sampled() {
        let node = local.walker.walk(start, &tallies.walk);
        #[cfg(rheaper_testing)]
        crate::collector::testing::compare(node, local.depth_max());
        node
    } else {
        tallies.not_sampled.add(1);
        NodeId::NONE
    }
}

pub(crate) fn align_log2(align: usize) -> u8 {
    if align <= ALIGN_NATURAL { 0 } else { align.trailing_zeros() as u8 }
}
