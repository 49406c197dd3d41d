//! The event path of a sampled session: blocks are chosen by their size ([`sampler`]) and
//! remembered by their address ([`table`]).
//!
//! Invariants:
//! - An unsampled block costs no clock reading, no stack walk and no thread recorder: one
//!   thread-local countdown when it is allocated, one look-up in a small filter when it is freed.
//! - Every recorded end belongs to a recorded allocation. A block leaves the table when its end is
//!   written, before the inner allocator gets it back; if the end cannot be written, the block
//!   stays.
//! - While the inner allocator may move a block, its slot is locked: its old address may be reused.
//! - Timestamps are taken as in [`hooks`](crate::collector::event_path::hooks).

pub(crate) mod countdown;
pub(crate) mod live_samples;
pub(crate) mod sampler;

use std::sync::atomic::{AtomicU64, Ordering};

use crate::collector::event_path::hooks::{
    Contents, Request, align_log2, capture_registers, capture_stack,
};
use crate::collector::event_path::sampling::live_samples::{LockedSlot, TABLE};
use crate::collector::event_path::session_word::{SESSION, SessionWord};
use crate::collector::event_path::thread_guard::{self, RecorderGuard};
use crate::collector::platform::clock;
use crate::collector::unwind::walker::Start;
use crate::recording::{Address, Bytes, NodeId, Ticks};

/// Chosen blocks that did not fit the table, in this session.
pub(crate) static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Prepares a session with a mean distance of `sample_bytes`; 0: no sampling. Nothing is recorded
/// now.
pub(crate) fn prepare(session: SessionWord, sample_bytes: u64) {
    DROPPED.store(0, Ordering::Relaxed);
    if sample_bytes == 0 {
        return;
    }
    countdown::prepare(sample_bytes, seed());
    TABLE.begin(session.bits());
}

/// Returns the table's memory to the system. Nothing is recorded now.
pub(crate) fn discard() {
    TABLE.discard();
}

/// Memory of a session for sampling, in bytes.
pub(crate) fn used_bytes(session: SessionWord) -> u64 {
    if session.is_sampled() { TABLE.used_bytes() } else { 0 }
}

fn seed() -> u64 {
    #[cfg(rheaper_testing)]
    if let Some(seed) = crate::collector::testing::sample_seed() {
        return seed;
    }
    let mut seed = clock::now().0.to_ne_bytes();
    // SAFETY: writes at most 8 bytes into the array. If it fails, the time is the seed.
    unsafe { libc::getrandom(seed.as_mut_ptr().cast(), seed.len(), libc::GRND_NONBLOCK) };
    u64::from_ne_bytes(seed)
}

/// The state of the thread's countdown after a block that may be chosen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remaining(i64);

/// Takes a block of `size` bytes off the countdown; the inner allocator is about to allocate it, or
/// has just reallocated it. `None`: not chosen, and nothing is to be recorded unless the inner
/// allocator fails.
#[inline(always)]
pub(crate) fn count_down(size: usize, session: SessionWord) -> Option<Remaining> {
    let left = countdown::take(size, session);
    (left <= 0).then_some(Remaining(left))
}

/// Records the result of a request for which [`count_down`] returned `left`, if the block is chosen.
#[inline(always)]
pub(crate) fn record_alloc(
    left: Remaining,
    address: usize,
    size: usize,
    align: usize,
    contents: Contents,
) {
    record_alloc_slow(capture_registers!(), left, Request { address, size, align, contents });
}

#[cold]
#[inline(never)]
fn record_alloc_slow(start: Start, Remaining(left): Remaining, request: Request) {
    if request.address == 0 {
        countdown::undo(request.size, left);
        write_failure(start, request.size);
    } else if countdown::is_chosen(request.size, left) {
        write_chosen(start, request);
    }
}

/// Records a failed request of `size` bytes that [`count_down`] did not choose.
#[cold]
#[inline(never)]
pub(crate) fn record_failure(size: usize) {
    countdown::undo(size, 0);
    write_failure(capture_registers!(), size);
}

/// Records the allocation of a chosen block.
fn write_chosen(start: Start, request: Request) {
    let Some(mut guard) = thread_guard::enter_sampled() else { return };
    let at = clock::now();
    let node = capture_stack(&mut guard, start);
    if !has_room(&mut guard) {
        return;
    }
    if !TABLE.insert(request.address) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
        return;
    }
    write_alloc(&mut guard, at, node, request);
}

/// Whether the block at `address` may be in the sample. `false` is certain.
#[inline(always)]
pub(crate) fn may_be_sampled(address: usize) -> bool {
    TABLE.may_contain(address)
}

/// Records the free of a block if it is in the sample.
pub(crate) fn record_free(address: usize) {
    if !TABLE.contains(address) {
        return;
    }
    let Some(mut guard) = thread_guard::enter_sampled() else { return };
    if has_room(&mut guard) && TABLE.remove(address) {
        write_free(&mut guard, clock::now(), address);
    }
}

/// A sampled block that is being reallocated, and the time at which the call started.
#[derive(Debug)]
#[must_use = "the slot stays locked until the result is recorded"]
pub(crate) struct PendingRealloc {
    locked: LockedSlot,
    began: Ticks,
}

/// Starts the reallocation of a block; `None`: it is not in the sample.
pub(crate) fn begin_realloc(address: usize) -> Option<PendingRealloc> {
    if !TABLE.contains(address) {
        return None;
    }
    let _entered = thread_guard::enter_sampled()?;
    let locked = TABLE.lock_slot(address)?;
    Some(PendingRealloc { locked, began: clock::now() })
}

/// Records that the inner allocator reallocated a sampled block; `new` is 0 if it failed.
#[inline(always)]
pub(crate) fn record_realloc(
    pending: PendingRealloc,
    old: usize,
    new: usize,
    size: usize,
    align: usize,
) {
    let request = Request { address: new, size, align, contents: Contents::Any };
    record_realloc_slow(capture_registers!(), pending, old, request);
}

#[cold]
#[inline(never)]
fn record_realloc_slow(start: Start, pending: PendingRealloc, old: usize, request: Request) {
    let PendingRealloc { locked, began } = pending;
    if request.address == 0 {
        TABLE.unlock(locked);
        return write_failure(start, request.size);
    }
    let session = SESSION.load(Ordering::Relaxed);
    let left = countdown::take(request.size, session);
    let is_chosen = left <= 0 && countdown::is_chosen(request.size, left);
    let Some(mut guard) = thread_guard::enter_sampled() else {
        return TABLE.remove_locked(locked);
    };
    if !is_chosen {
        if has_room(&mut guard) {
            write_free(&mut guard, began, old);
        }
        return TABLE.remove_locked(locked);
    }
    let at = clock::now();
    let node = capture_stack(&mut guard, start);
    if !has_room(&mut guard) {
        return TABLE.remove_locked(locked);
    }
    if request.address == old {
        TABLE.unlock(locked);
    } else {
        let is_in = TABLE.insert(request.address);
        TABLE.remove_locked(locked);
        if !is_in {
            DROPPED.fetch_add(1, Ordering::Relaxed);
            return write_free(&mut guard, began, old);
        }
    }
    write_realloc(&mut guard, (began, at), old, node, request);
}

/// Records a failed request. Failures are rare and always recorded.
fn write_failure(start: Start, size: usize) {
    let Some(mut guard) = thread_guard::enter_sampled() else { return };
    let at = clock::now();
    let node = capture_stack(&mut guard, start);
    if !has_room(&mut guard) {
        return;
    }
    let recorder = guard.recorder();
    let local = guard.local();
    let slot = local.ring.slot();
    let len = local.encoder.failed(slot, at, Bytes(size as u64), node);
    local.ring.commit(&recorder.shared, len);
    recorder.counters.failed.add(1);
}

/// Ensures space for an event and schedules a change of scope; counts the event as lost without
/// space.
fn has_room(guard: &mut RecorderGuard) -> bool {
    let recorder = guard.recorder();
    let local = guard.local();
    local.check_scope();
    let has_room = !local.ring.needs_slow_path() || local.ensure_space(recorder);
    if !has_room {
        recorder.counters.dropped_full.add(1);
    }
    has_room
}

fn write_alloc(guard: &mut RecorderGuard, at: Ticks, node: NodeId, request: Request) {
    let recorder = guard.recorder();
    let local = guard.local();
    let (address, size) = (Address(request.address as u64), Bytes(request.size as u64));
    let is_zeroed = request.contents == Contents::Zeroed;
    let align_log2 = align_log2(request.align);
    let slot = local.ring.slot();
    let len = if align_log2 == 0 && !is_zeroed {
        local.encoder.alloc(slot, at, address, size, node)
    } else {
        local.encoder.alloc_long(slot, at, address, size, node, align_log2, is_zeroed)
    };
    local.ring.commit(&recorder.shared, len);
    recorder.counters.full_path_allocations.add(1);
}

fn write_free(guard: &mut RecorderGuard, at: Ticks, address: usize) {
    let recorder = guard.recorder();
    let local = guard.local();
    let slot = local.ring.slot();
    let len = local.encoder.free(slot, at, Address(address as u64));
    local.ring.commit(&recorder.shared, len);
    recorder.counters.frees.add(1);
}

fn write_realloc(
    guard: &mut RecorderGuard,
    (began, at): (Ticks, Ticks),
    old: usize,
    node: NodeId,
    request: Request,
) {
    let recorder = guard.recorder();
    let local = guard.local();
    let slot = local.ring.slot();
    let len = local.encoder.realloc(
        slot,
        began,
        at,
        Address(old as u64),
        Address(request.address as u64),
        Bytes(request.size as u64),
        node,
        align_log2(request.align),
    );
    local.ring.commit(&recorder.shared, len);
    recorder.counters.reallocations.add(1);
}
