//! The stack table: interns call paths as nodes, (parent, return address) ↔ [`NodeId`], for the whole
//! process.
//!
//! Reads: frames, outermost first, from the [walker](crate::collector::unwind::walker). Writes: an
//! append-only array of nodes, which the flusher copies to the file, and a hash table of their ids.
//!
//! Invariants:
//! - No lock and no allocation: a node is written, published by its address, and its id is then
//!   stored in a vacant slot by compare-and-swap. The thread that loses the race uses the winner's id;
//!   its own node stays as a second definition of the same call path, which the format allows.
//! - A parent's id is smaller than its child's.
//! - A node is published before [`intern`] returns its id.
//! - Memory is bounded: [`NODES_MAX`] nodes, then [`NodeId::OVERFLOW`], which is counted.
//!
//! Nodes live as long as the process: a later recording writes all of them again.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use crate::collector::platform::sys;
use crate::recording::{Address, NodeId};

/// Maximum number of nodes. A full table takes 48 MiB: 16 bytes per node and two 4-byte slots.
pub(crate) const NODES_MAX: u32 = 1 << 21;

/// Two slots per node, so that probes are short even when the table is full.
const SLOTS: usize = (NODES_MAX as usize) * 2;

/// Shifts a 64-bit hash to the index of a slot.
const SLOT_SHIFT: u32 = 64 - SLOTS.trailing_zeros();

/// Slots after which a search gives up. In a table that is at most half full, a run of 128 other nodes
/// practically does not occur.
const PROBES_MAX: usize = 128;

const ENTRY_BYTES: usize = size_of::<Entry>();

/// A node. It is published when `address` is not zero.
struct Entry {
    address: AtomicU64,
    parent: AtomicU32,
}

static ENTRIES: AtomicPtr<Entry> = AtomicPtr::new(std::ptr::null_mut());
static SLOT_TABLE: AtomicPtr<AtomicU32> = AtomicPtr::new(std::ptr::null_mut());
static NEXT: AtomicU32 = AtomicU32::new(NodeId::FIRST.0);

/// Maps the tables unless they are mapped, and returns whether they are. Called while enabling.
pub(crate) fn prepare() -> bool {
    let entries = map_once(&ENTRIES, (NODES_MAX as usize).wrapping_mul(ENTRY_BYTES));
    let slots = map_once(&SLOT_TABLE, SLOTS.wrapping_mul(size_of::<AtomicU32>()));
    entries && slots
}

fn map_once<T>(place: &AtomicPtr<T>, bytes: usize) -> bool {
    if !place.load(Ordering::Acquire).is_null() {
        return true;
    }
    let Some(pages) = sys::map_pages(bytes) else {
        return false;
    };
    // Zeroed pages are valid: a zero entry is not published, a zero slot is vacant.
    place.store(pages.as_ptr().cast(), Ordering::Release);
    true
}

/// The id of the call path of `parent` followed by `address`; [`NodeId::OVERFLOW`] when the table is full.
#[inline]
pub(crate) fn intern(parent: NodeId, address: Address) -> NodeId {
    if parent == NodeId::OVERFLOW {
        return NodeId::OVERFLOW;
    }
    let mut at = slot_of(parent, address);
    for _ in 0..PROBES_MAX {
        let Some(slot) = slot(at) else {
            return NodeId::OVERFLOW;
        };
        let found = slot.load(Ordering::Acquire);
        if found == 0 {
            return insert(slot, at, parent, address);
        }
        if is(NodeId(found), parent, address) {
            return NodeId(found);
        }
        at = at.wrapping_add(1) & (SLOTS - 1);
    }
    NodeId::OVERFLOW
}

#[cold]
fn insert(mut slot: &AtomicU32, mut at: usize, parent: NodeId, address: Address) -> NodeId {
    // Checked first, so that `NEXT` does not overflow once the table is full.
    if NEXT.load(Ordering::Relaxed) >= NODES_MAX {
        return NodeId::OVERFLOW;
    }
    let id = NodeId(NEXT.fetch_add(1, Ordering::Relaxed));
    let Some(entry) = entry(id) else {
        return NodeId::OVERFLOW;
    };
    entry.parent.store(parent.0, Ordering::Relaxed);
    entry.address.store(address.0, Ordering::Release);
    for _ in 0..PROBES_MAX {
        match slot.compare_exchange(0, id.0, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return id,
            Err(winner) if is(NodeId(winner), parent, address) => return NodeId(winner),
            Err(_) => {}
        }
        at = at.wrapping_add(1) & (SLOTS - 1);
        let Some(next) = self::slot(at) else {
            return id;
        };
        slot = next;
    }
    // No slot has this id, so it is not found again; the node is defined and the id is valid.
    id
}

/// The first id that is not allocated; reserved ids are below it, too.
pub(crate) fn end() -> NodeId {
    NodeId(NEXT.load(Ordering::Acquire).min(NODES_MAX))
}

/// The parent and return address of `id`; `None` while another thread still writes them.
pub(crate) fn definition(id: NodeId) -> Option<(NodeId, Address)> {
    let entry = entry(id)?;
    let address = entry.address.load(Ordering::Acquire);
    (address != 0).then(|| (NodeId(entry.parent.load(Ordering::Relaxed)), Address(address)))
}

/// Estimate of the resident memory of the tables, in bytes: the published nodes, and one page per node of
/// the table of slots, whose hash scatters them.
pub(crate) fn used_bytes() -> u64 {
    let nodes = u64::from(end().0);
    let slot_pages = nodes.min((SLOTS as u64).wrapping_mul(4) / 4096);
    nodes.wrapping_mul(ENTRY_BYTES as u64).wrapping_add(slot_pages.wrapping_mul(4096))
}

fn is(id: NodeId, parent: NodeId, address: Address) -> bool {
    definition(id) == Some((parent, address))
}

fn slot_of(parent: NodeId, address: Address) -> usize {
    // Fibonacci hashing; the product's high bits are the well-mixed ones.
    let key = address.0 ^ u64::from(parent.0).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (key ^ (key >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed >> SLOT_SHIFT) as usize
}

fn slot(at: usize) -> Option<&'static AtomicU32> {
    let table = NonNull::new(SLOT_TABLE.load(Ordering::Acquire))?;
    // SAFETY: the mapping holds SLOTS atomics and lives as long as the process; `at` is checked to be
    // below SLOTS.
    (at < SLOTS).then(|| unsafe { table.add(at).as_ref() })
}

fn entry(id: NodeId) -> Option<&'static Entry> {
    let table = NonNull::new(ENTRIES.load(Ordering::Acquire))?;
    // SAFETY: the mapping holds NODES_MAX entries and lives as long as the process; the id is checked to
    // be below NODES_MAX.
    (id.0 < NODES_MAX).then(|| unsafe { table.add(id.0 as usize).as_ref() })
}

const _: () = assert!(SLOTS.is_power_of_two());
