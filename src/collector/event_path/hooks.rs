//! The hooks of the event path: enter the recorder, take a timestamp, capture the stack, encode,
//! leave.
//!
//! Invariants:
//! - The time of a free is taken before the inner allocator gets the block, that of an allocation
//!   after the inner allocator returned it, and those of a reallocation at both ends. The loader
//!   relies on the resulting order: an address alternates between allocated and freed.
//! - On the fast path nothing allocates, locks, unwinds or changes `errno`.

use crate::collector::event_path::thread_guard::{self, RecorderGuard};
use crate::collector::platform::clock;
use crate::recording::{Address, Bytes, NodeId, Ticks};

use crate::collector::unwind::walker::Start;

/// Alignment that every allocator guarantees; larger alignments are recorded.
const ALIGN_NATURAL: usize = 16;

/// The registers from which a stack walk starts: pc, sp and fp of the calling function.
#[cfg(walks_with_framehop)]
macro_rules! capture_registers {
    () => {{
        let (pc, sp, fp): (u64, u64, u64);
        // SAFETY: the instructions only read registers; `nomem`, `nostack` and `preserves_flags`
        // hold.
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
macro_rules! capture_registers {
    () => {
        Start
    };
}

pub(crate) use capture_registers;

/// The requested contents of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contents {
    Any,
    Zeroed,
}

/// Records that the inner allocator returned `address` for a request of `size` bytes; 0: it failed.
#[inline(always)]
pub(crate) fn record_alloc(address: usize, size: usize, align: usize, contents: Contents) {
    let start = capture_registers!();
    let Some(mut guard) = thread_guard::try_enter_fast() else {
        return record_alloc_slow(start, Request { address, size, align, contents });
    };
    let at = clock::tsc_now();
    let is_plain = address != 0 && align <= ALIGN_NATURAL && contents == Contents::Any;
    if !is_plain || !try_record_alloc_fast(&mut guard, &start, at, address, size) {
        record_alloc_full(guard, start, at, Request { address, size, align, contents });
    }
}

/// Records an allocation with a recently used call path; `false`: nothing was recorded. If the call
/// path is the last one, no function is called.
#[inline(always)]
fn try_record_alloc_fast(
    guard: &mut RecorderGuard,
    start: &Start,
    at: Ticks,
    address: usize,
    size: usize,
) -> bool {
    let recorder = guard.recorder();
    let local = guard.local();
    if local.ring.needs_slow_path() {
        return false;
    }
    let (node, counter) = match local.same_stack(start) {
        Some(node) => (node, &recorder.counters.same_stack_allocations),
        None => (local.recent_stack(start), &recorder.counters.recent_stack_allocations),
    };
    if node == NodeId::NONE {
        return false;
    }
    #[cfg(rheaper_testing)]
    crate::collector::testing::compare(node, local.depth_max());
    let (address, size) = (Address(address as u64), Bytes(size as u64));
    let encoder = &mut local.encoder;
    let Some(len) = encoder.alloc_short(local.ring.slot(), at, address, size, node) else {
        return false;
    };
    local.ring.commit_fast(&recorder.shared, len);
    counter.add(1);
    true
}

/// A request and its result.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    /// 0: the inner allocator failed.
    pub(crate) address: usize,
    pub(crate) size: usize,
    pub(crate) align: usize,
    pub(crate) contents: Contents,
}

#[cold]
#[inline(never)]
fn record_alloc_slow(start: Start, request: Request) {
    if let Some(guard) = thread_guard::enter() {
        record_alloc_full(guard, start, clock::now(), request);
    }
}

#[inline(never)]
fn record_alloc_full(mut guard: RecorderGuard, start: Start, at: Ticks, request: Request) {
    let node = capture_stack_inline(&mut guard, start);
    let size = Bytes(request.size as u64);
    if request.address == 0 {
        return record_failure(&mut guard, at, size, node);
    }
    let recorder = guard.recorder();
    let local = guard.local();
    if local.ring.needs_slow_path() && !local.ensure_space(recorder) {
        return recorder.counters.dropped_full.add(1);
    }
    let address = Address(request.address as u64);
    let slot = local.ring.slot();
    let is_zeroed = request.contents == Contents::Zeroed;
    let len = if request.align <= ALIGN_NATURAL && !is_zeroed {
        local.encoder.alloc(slot, at, address, size, node)
    } else {
        let align_log2 = align_log2(request.align);
        local.encoder.alloc_long(slot, at, address, size, node, align_log2, is_zeroed)
    };
    local.ring.commit(&recorder.shared, len);
    recorder.counters.full_path_allocations.add(1);
}

/// Records that the block at `address` is about to be freed. `false`: nothing was recorded, and
/// [`record_free`] has to do it. No function is called.
#[inline(always)]
pub(crate) fn try_record_free_fast(address: usize) -> bool {
    let Some(mut guard) = thread_guard::try_enter_fast() else { return false };
    let at = clock::tsc_now();
    let recorder = guard.recorder();
    let local = guard.local();
    if local.ring.needs_slow_path() {
        return false;
    }
    let encoder = &mut local.encoder;
    let Some(len) = encoder.free_short(local.ring.slot(), at, Address(address as u64)) else {
        return false;
    };
    local.ring.commit_fast(&recorder.shared, len);
    recorder.counters.frees.add(1);
    true
}

/// Records that the block at `address` is about to be freed.
#[inline(never)]
pub(crate) fn record_free(address: usize) {
    let Some(mut guard) = thread_guard::enter() else {
        return;
    };
    let at = clock::now();
    let recorder = guard.recorder();
    let local = guard.local();
    if local.ring.needs_slow_path() && !local.ensure_space(recorder) {
        return recorder.counters.dropped_full.add(1);
    }
    let encoder = &mut local.encoder;
    let len = encoder.free(local.ring.slot(), at, Address(address as u64));
    local.ring.commit(&recorder.shared, len);
    recorder.counters.frees.add(1);
}

/// Returns the time before the inner allocator's `realloc`.
#[inline]
pub(crate) fn begin_realloc() -> Ticks {
    clock::now()
}

/// Records that the inner allocator reallocated the block at `old` to `new` since `began`; 0: it
/// failed.
#[inline(always)]
pub(crate) fn record_realloc(began: Ticks, old: usize, new: usize, size: usize, align: usize) {
    let start = capture_registers!();
    let Some(mut guard) = thread_guard::enter() else {
        return;
    };
    let at = clock::now();
    let node = capture_stack(&mut guard, start);
    let size = Bytes(size as u64);
    if new == 0 {
        return record_failure(&mut guard, at, size, node);
    }
    let (old, new) = (Address(old as u64), Address(new as u64));
    let recorder = guard.recorder();
    let local = guard.local();
    if local.ring.needs_slow_path() && !local.ensure_space(recorder) {
        return recorder.counters.dropped_full.add(1);
    }
    let encoder = &mut local.encoder;
    let align_log2 = align_log2(align);
    let len = encoder.realloc(local.ring.slot(), began, at, old, new, size, node, align_log2);
    local.ring.commit(&recorder.shared, len);
    recorder.counters.reallocations.add(1);
}

#[cold]
fn record_failure(guard: &mut RecorderGuard, at: Ticks, size: Bytes, node: NodeId) {
    let recorder = guard.recorder();
    let local = guard.local();
    if local.ring.needs_slow_path() && !local.ensure_space(recorder) {
        return recorder.counters.dropped_full.add(1);
    }
    let encoder = &mut local.encoder;
    let len = encoder.failed(local.ring.slot(), at, size, node);
    local.ring.commit(&recorder.shared, len);
    recorder.counters.failed.add(1);
}

/// Captures the current stack as a node of the stack table.
#[inline(never)]
pub(crate) fn capture_stack(guard: &mut RecorderGuard, start: Start) -> NodeId {
    capture_stack_inline(guard, start)
}

/// [`capture_stack`], inlined into the callers that most walks come from.
#[inline(always)]
fn capture_stack_inline(guard: &mut RecorderGuard, start: Start) -> NodeId {
    let counters = &guard.recorder().counters;
    let local = guard.local();
    if local.is_sampled() {
        let node = local.walker.walk(start, &counters.walk);
        #[cfg(rheaper_testing)]
        crate::collector::testing::compare(node, local.depth_max());
        node
    } else {
        counters.not_sampled.add(1);
        NodeId::NONE
    }
}

pub(crate) fn align_log2(align: usize) -> u8 {
    if align <= ALIGN_NATURAL { 0 } else { align.trailing_zeros() as u8 }
}
