//! What happens at an event where only some blocks are recorded: chosen by their bytes, see
//! [`sampler`], and remembered by their addresses, see [`table`].
//!
//! Reads: an operation's facts, as [`record`](crate::collector::event_path::hooks) does. Writes: the
//! thread's region.
//!
//! Invariants:
//! - What is not recorded costs no reading of the clock, no walk, no tracker: a countdown of the
//!   thread's own before it begins, one look at a small filter where it ends.
//! - A recorded end belongs to a recorded beginning. A block leaves the table when its end is
//!   written, before the inner allocator gets it back: where the end can't be written, it stays.
//! - While the inner allocator may move a block it is held: its address is anybody's meanwhile.
//! - Stamps are those of [`record`](crate::collector::event_path::hooks).

pub(crate) mod countdown;
pub(crate) mod table;
pub(crate) mod sampler;

use std::sync::atomic::{AtomicU64, Ordering};

use crate::collector::event_path::hooks::{Contents, Request, align_log2, here, stack};
use crate::collector::event_path::sampling::table::{Held, TABLE};
use crate::collector::event_path::thread_guard::{self, RecorderGuard};
use crate::collector::event_path::thread_recorder::{SAMPLED, SESSION};
use crate::collector::platform::clock;
use crate::collector::unwind::walker::Start;
use crate::recording::{Address, Bytes, NodeId, Ticks};

/// Blocks that were chosen and had no place in the table, in this session.
pub(crate) static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Prepares a recording of one byte in `sample_bytes`; 0: of everything. Nothing is recorded now.
pub(crate) fn prepare(session: u32, sample_bytes: u64) {
    DROPPED.store(0, Ordering::Relaxed);
    if sample_bytes == 0 {
        return;
    }
    crate::collector::event_path::sampling::countdown::prepare(sample_bytes, seed());
    TABLE.begin(session);
}

/// Gives the memory of what was sampled back to the system. Nothing is recorded now.
pub(crate) fn discard() {
    TABLE.discard();
}

/// Memory that a session needs for sampling, in bytes.
pub(crate) fn used_bytes(session: u32) -> u64 {
    if session & SAMPLED == 0 { 0 } else { TABLE.used_bytes() }
}

fn seed() -> u64 {
    #[cfg(rheaper_testing)]
    if let Some(seed) = crate::collector::testing::sample_seed() {
        return seed;
    }
    let mut seed = clock::now().0.to_ne_bytes();
    // SAFETY: writes at most 8 bytes into the array; without randomness the time is the seed.
    unsafe { libc::getrandom(seed.as_mut_ptr().cast(), seed.len(), libc::GRND_NONBLOCK) };
    u64::from_ne_bytes(seed)
}

/// What a countdown says of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Left(i64);

/// Counts a block of `size` bytes, which the inner allocator is about to be asked for, or has just
/// moved; `None`: it is not chosen, and nothing is to be done unless the inner allocator refuses.
#[inline(always)]
pub(crate) fn count(size: usize, session: u32) -> Option<Left> {
    let left = crate::collector::event_path::sampling::countdown::take(size, session);
    (left <= 0).then_some(Left(left))
}

/// The inner allocator has answered a request, of which [`count`] said `left`.
#[inline(always)]
pub(crate) fn allocated(left: Left, address: usize, size: usize, align: usize, contents: Contents) {
    allocated_otherwise(here!(), left, Request { address, size, align, contents });
}

#[cold]
#[inline(never)]
fn allocated_otherwise(start: Start, Left(left): Left, request: Request) {
    if request.address == 0 {
        crate::collector::event_path::sampling::countdown::give_back(request.size, left);
        failed(start, request.size);
    } else if crate::collector::event_path::sampling::countdown::chooses(request.size, left) {
        begin(start, request);
    }
}

/// The inner allocator has refused a block of `size` bytes that [`count`] did not choose.
#[cold]
#[inline(never)]
pub(crate) fn refused(size: usize) {
    crate::collector::event_path::sampling::countdown::give_back(size, 0);
    failed(here!(), size);
}

/// A block that was chosen begins.
fn begin(start: Start, request: Request) {
    let Some(mut entered) = thread_guard::enter_sampled() else { return };
    let at = clock::now();
    let node = stack(&mut entered, start);
    if !has_room(&mut entered) {
        return;
    }
    if !TABLE.insert(request.address) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
        return;
    }
    write_alloc(&mut entered, at, node, request);
}

/// Whether the block at `address` may be one whose end is to be recorded. No is certain.
#[inline(always)]
pub(crate) fn may_be_recorded(address: usize) -> bool {
    TABLE.may_have(address)
}

/// A block that may be a recorded one is about to be given back to the inner allocator.
pub(crate) fn freeing(address: usize) {
    if !TABLE.has(address) {
        return;
    }
    let Some(mut entered) = thread_guard::enter_sampled() else { return };
    if has_room(&mut entered) && TABLE.remove(address) {
        write_free(&mut entered, clock::now(), address);
    }
}

/// A recorded block that the inner allocator is to grow or shrink, and when it ended if so.
#[derive(Debug)]
#[must_use = "the block is held until it is known what became of it"]
pub(crate) struct Moving {
    held: Held,
    began: Ticks,
}

/// A block that may be a recorded one is about to be grown or shrunk. `None`: it is not one.
pub(crate) fn reallocating(address: usize) -> Option<Moving> {
    if !TABLE.has(address) {
        return None;
    }
    let _entered = thread_guard::enter_sampled()?;
    let held = TABLE.hold(address)?;
    Some(Moving { held, began: clock::now() })
}

/// The inner allocator has moved the recorded block at `old` to `new`, 0 for failure.
#[inline(always)]
pub(crate) fn moved(moving: Moving, old: usize, new: usize, size: usize, align: usize) {
    let request = Request { address: new, size, align, contents: Contents::Any };
    moved_otherwise(here!(), moving, old, request);
}

#[cold]
#[inline(never)]
fn moved_otherwise(start: Start, moving: Moving, old: usize, request: Request) {
    let Moving { held, began } = moving;
    if request.address == 0 {
        TABLE.restore(held);
        return failed(start, request.size);
    }
    let session = SESSION.load(Ordering::Relaxed);
    let left = crate::collector::event_path::sampling::countdown::take(request.size, session);
    let is_chosen =
        left <= 0 && crate::collector::event_path::sampling::countdown::chooses(request.size, left);
    let Some(mut entered) = thread_guard::enter_sampled() else {
        return TABLE.release(held);
    };
    if !is_chosen {
        if has_room(&mut entered) {
            write_free(&mut entered, began, old);
        }
        return TABLE.release(held);
    }
    let at = clock::now();
    let node = stack(&mut entered, start);
    if !has_room(&mut entered) {
        return TABLE.release(held);
    }
    if request.address == old {
        TABLE.restore(held);
    } else {
        let is_in = TABLE.insert(request.address);
        TABLE.release(held);
        if !is_in {
            DROPPED.fetch_add(1, Ordering::Relaxed);
            return write_free(&mut entered, began, old);
        }
    }
    write_realloc(&mut entered, (began, at), old, node, request);
}

/// The inner allocator has refused: that is rare, and always recorded.
fn failed(start: Start, size: usize) {
    let Some(mut entered) = thread_guard::enter_sampled() else { return };
    let at = clock::now();
    let node = stack(&mut entered, start);
    if !has_room(&mut entered) {
        return;
    }
    let tracker = entered.tracker();
    let local = entered.local();
    let slot = local.region.slot();
    let len = local.encoder.failed(slot, at, Bytes(size as u64), node);
    local.region.commit(&tracker.shared, len);
    tracker.tallies.failed.add(1);
}

/// Makes sure that an event fits, and that its thread's scope is told before it; else counts it.
fn has_room(entered: &mut RecorderGuard) -> bool {
    let tracker = entered.tracker();
    let local = entered.local();
    local.note_scope();
    let has_room = !local.region.needs_slow_path() || local.make_room(tracker);
    if !has_room {
        tracker.tallies.dropped_full.add(1);
    }
    has_room
}

fn write_alloc(entered: &mut RecorderGuard, at: Ticks, node: NodeId, request: Request) {
    let tracker = entered.tracker();
    let local = entered.local();
    let (address, size) = (Address(request.address as u64), Bytes(request.size as u64));
    let is_zeroed = request.contents == Contents::Zeroed;
    let align_log2 = align_log2(request.align);
    let slot = local.region.slot();
    let len = if align_log2 == 0 && !is_zeroed {
        local.encoder.alloc(slot, at, address, size, node)
    } else {
        local.encoder.alloc_long(slot, at, address, size, node, align_log2, is_zeroed)
    };
    local.region.commit(&tracker.shared, len);
    tracker.tallies.other_allocations.add(1);
}

fn write_free(entered: &mut RecorderGuard, at: Ticks, address: usize) {
    let tracker = entered.tracker();
    let local = entered.local();
    let slot = local.region.slot();
    let len = local.encoder.free(slot, at, Address(address as u64));
    local.region.commit(&tracker.shared, len);
    tracker.tallies.frees.add(1);
}

fn write_realloc(
    entered: &mut RecorderGuard,
    (began, at): (Ticks, Ticks),
    old: usize,
    node: NodeId,
    request: Request,
) {
    let tracker = entered.tracker();
    let local = entered.local();
    let slot = local.region.slot();
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
    local.region.commit(&tracker.shared, len);
    tracker.tallies.reallocations.add(1);
}
