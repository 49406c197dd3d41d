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

use crate::collector::clock;
use crate::collector::tracker::{self, Entered};
use crate::recording::{Address, Bytes, NodeId, Ticks};

#[cfg(walks_with_framehop)]
use crate::collector::unwind::Registers as Start;

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
#[derive(Clone, Copy)]
struct Start;

#[cfg(not(walks_with_framehop))]
macro_rules! here {
    () => {
        Start
    };
}

/// What memory was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::collector) enum Contents {
    Any,
    Zeroed,
}

/// The inner allocator has answered a request for `size` bytes with `address`, 0 for failure.
#[inline(never)]
pub(in crate::collector) fn allocated(
    address: usize,
    size: usize,
    align: usize,
    contents: Contents,
) {
    let start = here!();
    let Some(mut entered) = tracker::enter() else {
        return;
    };
    let at = clock::now_after();
    let node = stack(&mut entered, start);
    let (address, size) = (Address(address as u64), Bytes(size as u64));
    if address.0 == 0 {
        failed(&mut entered, at, size, node);
    } else if align <= ALIGN_NATURAL && contents == Contents::Any {
        let tracker = entered.tracker();
        let local = entered.local();
        if local.region.must_look() && !local.make_room(tracker) {
            return tracker.tallies.dropped_full.add(1);
        }
        let encoder = &mut local.encoder;
        local.region.append(&tracker.shared, |out| encoder.alloc(out, at, address, size, node));
        tracker.tallies.allocations.add(1);
    } else {
        allocated_specially(&mut entered, at, address, size, node, align, contents);
    }
}

#[cold]
#[expect(clippy::too_many_arguments, reason = "an event's fields")]
fn allocated_specially(
    entered: &mut Entered,
    at: Ticks,
    address: Address,
    size: Bytes,
    node: NodeId,
    align: usize,
    contents: Contents,
) {
    let tracker = entered.tracker();
    let local = entered.local();
    if local.region.must_look() && !local.make_room(tracker) {
        return tracker.tallies.dropped_full.add(1);
    }
    let encoder = &mut local.encoder;
    let zeroed = contents == Contents::Zeroed;
    local.region.append(&tracker.shared, |out| {
        encoder.alloc_long(out, at, address, size, node, align_log2(align), zeroed)
    });
    tracker.tallies.allocations.add(1);
}

/// The block at `address` is about to be given back to the inner allocator.
#[inline(never)]
pub(in crate::collector) fn freeing(address: usize) {
    let Some(mut entered) = tracker::enter() else {
        return;
    };
    let at = clock::now_before();
    let tracker = entered.tracker();
    let local = entered.local();
    if local.region.must_look() && !local.make_room(tracker) {
        return tracker.tallies.dropped_full.add(1);
    }
    let encoder = &mut local.encoder;
    local.region.append(&tracker.shared, |out| encoder.free(out, at, Address(address as u64)));
    tracker.tallies.frees.add(1);
}

/// The moment before the inner allocator's `realloc`.
#[inline]
pub(in crate::collector) fn reallocating() -> Ticks {
    clock::now_before()
}

/// The inner allocator has moved the block at `old` to `new`, 0 for failure, since `began`.
#[inline(never)]
pub(in crate::collector) fn reallocated(
    began: Ticks,
    old: usize,
    new: usize,
    size: usize,
    align: usize,
) {
    let start = here!();
    let Some(mut entered) = tracker::enter() else {
        return;
    };
    let at = clock::now_after();
    let node = stack(&mut entered, start);
    let size = Bytes(size as u64);
    if new == 0 {
        return failed(&mut entered, at, size, node);
    }
    let (old, new) = (Address(old as u64), Address(new as u64));
    let tracker = entered.tracker();
    let local = entered.local();
    if local.region.must_look() && !local.make_room(tracker) {
        return tracker.tallies.dropped_full.add(1);
    }
    let encoder = &mut local.encoder;
    local.region.append(&tracker.shared, |out| {
        encoder.realloc(out, began, at, old, new, size, node, align_log2(align))
    });
    tracker.tallies.reallocations.add(1);
}

#[cold]
fn failed(entered: &mut Entered, at: Ticks, size: Bytes, node: NodeId) {
    let tracker = entered.tracker();
    let local = entered.local();
    if local.region.must_look() && !local.make_room(tracker) {
        return tracker.tallies.dropped_full.add(1);
    }
    let encoder = &mut local.encoder;
    local.region.append(&tracker.shared, |out| encoder.failed(out, at, size, node));
    tracker.tallies.failed.add(1);
}

#[inline(always)]
fn stack(entered: &mut Entered, start: Start) -> NodeId {
    let tallies = &entered.tracker().tallies;
    let local = entered.local();
    if local.is_sampled() {
        let node = local.walker.walk(start, &tallies.walk);
        #[cfg(rheaper_check_walk)]
        crate::collector::check::compare(node, crate::collector::limits::get().depth_max);
        node
    } else {
        tallies.not_sampled.add(1);
        NodeId::NONE
    }
}

fn align_log2(align: usize) -> u8 {
    if align <= ALIGN_NATURAL { 0 } else { align.trailing_zeros() as u8 }
}
