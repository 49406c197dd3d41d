//! The set of live sampled blocks, by address. Freeing any other block costs one look-up in a small
//! filter.
//!
//! The filter is static. The table has levels of increasing size; a level is mapped when the
//! smaller ones have no free slot for a block.
//!
//! Invariants:
//! - No lock. Slots change by compare-and-swap. Only the owner of a block inserts or removes its
//!   address, so that no two threads compete for an entry.
//! - The filter counter is above zero for every address in the table: it is incremented before an
//!   insertion and decremented after a removal.
//! - An entry carries the epoch of its session: entries of other sessions are ignored.
//! - Memory is bounded: when all levels are full, [`Table::insert`] fails.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU16, AtomicU64, Ordering};

use crate::collector::platform::sys;
use crate::safeguards::{self, Safeguard};

/// Number of filter counters, one per 4 KiB page of the address modulo 256 MiB; the counters of
/// adjacent pages share a cache line.
const FILTER_COUNTERS: usize = 1 << 16;
const FILTER_SHIFT: u32 = 12;

const SLOTS_PER_BUCKET: usize = 8;

/// Slots of one cache line.
#[repr(align(64))]
struct Bucket([AtomicU64; SLOTS_PER_BUCKET]);

/// Base-2 logarithms of the number of buckets per level: 256 KiB, 1, 4 and 16 MiB; in total 2.8
/// million blocks.
const LEVELS: [u32; 4] = [12, 14, 16, 18];

/// A slot holds the low 48 bits of an address, 15 bits of epoch, and whether the slot is locked
/// because the block is being moved.
const EPOCH_MASK: u64 = 0xfffe;
const LOCKED: u64 = 1;
const EPOCHS: u64 = (1 << 15) - 1;

/// [`LOCKED`], unless a mutation test disables it.
fn locked_bit() -> u64 {
    if safeguards::is_disabled(Safeguard::LockDuringRealloc) { 0 } else { LOCKED }
}

/// A set of sampled blocks.
pub(crate) struct Table {
    filter: [AtomicU16; FILTER_COUNTERS],
    levels: [AtomicPtr<Bucket>; LEVELS.len()],
    /// The epoch of the session, at its position in a slot.
    epoch: AtomicU64,
}

/// The table of the process.
pub(crate) static TABLE: Table = Table::new();

/// A locked slot: the block is being moved, and its address may be reused until then.
#[derive(Debug)]
#[must_use = "the slot stays locked"]
pub(crate) struct LockedSlot {
    slot: &'static AtomicU64,
    entry: u64,
}

impl Table {
    pub(crate) const fn new() -> Self {
        Self {
            filter: [const { AtomicU16::new(0) }; FILTER_COUNTERS],
            levels: [const { AtomicPtr::new(ptr::null_mut()) }; LEVELS.len()],
            epoch: AtomicU64::new(0),
        }
    }

    /// Empties the table for a new session. Nothing is recorded now, and an operation of an earlier
    /// session that is still in progress does no harm.
    pub(crate) fn begin(&self, session: u32) {
        self.discard();
        let session = if safeguards::is_disabled(Safeguard::SampleEpochs) { 0 } else { session };
        let epoch = (u64::from(session) % EPOCHS).wrapping_add(1);
        self.epoch.store(epoch << 1, Ordering::Relaxed);
    }

    /// Returns the table's memory to the system.
    pub(crate) fn discard(&self) {
        let is_used = self.epoch.load(Ordering::Relaxed) != 0;
        if !is_used || safeguards::is_disabled(Safeguard::SampleEpochs) {
            return;
        }
        for place in self.filter.iter().filter(|place| place.load(Ordering::Relaxed) != 0) {
            place.store(0, Ordering::Relaxed);
        }
        for (level, log2) in self.levels.iter().zip(LEVELS) {
            if let Some(pages) = ptr::NonNull::new(level.load(Ordering::Acquire)) {
                // SAFETY: the level is a mapping of this size that the table owns; zeroed slots are
                // empty.
                unsafe { sys::discard_pages(pages.cast(), level_bytes(log2)) };
            }
        }
    }

    /// Mapped memory, in bytes.
    pub(crate) fn used_bytes(&self) -> u64 {
        let mapped = self.levels.iter().zip(LEVELS);
        let mapped = mapped.filter(|(level, _)| !level.load(Ordering::Relaxed).is_null());
        let levels: usize = mapped.map(|(_, log2)| level_bytes(log2)).sum();
        levels.saturating_add(size_of::<Self>()) as u64
    }

    /// Whether the block at an address may be in the table. `false` is certain.
    #[inline(always)]
    pub(crate) fn may_contain(&self, address: usize) -> bool {
        self.filter_counter(address).load(Ordering::Relaxed) != 0
    }

    #[inline(always)]
    fn filter_counter(&self, address: usize) -> &AtomicU16 {
        let index = usize::from((address >> FILTER_SHIFT) as u16);
        // SAFETY: the filter has 2¹⁶ counters, and the index is a `u16`.
        unsafe { self.filter.get_unchecked(index) }
    }

    /// Whether the block at an address is in the table.
    pub(crate) fn contains(&'static self, address: usize) -> bool {
        self.may_contain(address) && self.find(self.entry(address)).is_some()
    }

    /// Inserts a block; `false`: there is no free slot. A block that is already present is one
    /// whose free was not recorded.
    pub(crate) fn insert(&'static self, address: usize) -> bool {
        let entry = self.entry(address);
        if self.contains(address) {
            return true;
        }
        if !self.increment_filter(address) {
            return false;
        }
        let is_in = (0..levels_max()).any(|level| self.insert_at_level(level, entry));
        if !is_in {
            self.decrement_filter(address);
        }
        is_in
    }

    /// Removes a block; `false`: it is not in the table.
    pub(crate) fn remove(&'static self, address: usize) -> bool {
        let entry = self.entry(address);
        let is_out = self.find(entry).is_some_and(|slot| swap(slot, entry, 0));
        if is_out {
            self.decrement_filter(address);
        }
        is_out
    }

    /// Locks the slot of a block that is about to be moved, so that its entry no longer matches:
    /// another block may get the address. `None`: the block is not in the table.
    pub(crate) fn lock_slot(&'static self, address: usize) -> Option<LockedSlot> {
        let entry = self.entry(address);
        let slot = self.find(entry)?;
        swap(slot, entry, entry | locked_bit()).then_some(LockedSlot { slot, entry })
    }

    /// Unlocks the slot of a block that did not move.
    #[expect(clippy::needless_pass_by_value, reason = "consumes the lock")]
    pub(crate) fn unlock(&self, locked: LockedSlot) {
        swap(locked.slot, locked.entry | locked_bit(), locked.entry);
    }

    /// Removes the entry of a block that moved or ended.
    #[expect(clippy::needless_pass_by_value, reason = "consumes the lock")]
    pub(crate) fn remove_locked(&self, locked: LockedSlot) {
        if swap(locked.slot, locked.entry | locked_bit(), 0) {
            self.decrement_filter((locked.entry >> 16) as usize);
        }
    }

    fn entry(&self, address: usize) -> u64 {
        (address as u64) << 16 | self.epoch.load(Ordering::Relaxed)
    }

    fn increment_filter(&self, address: usize) -> bool {
        let incremented = |count: u16| count.checked_add(1);
        let place = self.filter_counter(address);
        place.fetch_update(Ordering::AcqRel, Ordering::Relaxed, incremented).is_ok()
    }

    fn decrement_filter(&self, address: usize) {
        // Already zero if the table was emptied in the meantime.
        let decremented = |count: u16| count.checked_sub(1);
        let place = self.filter_counter(address);
        let _ = place.fetch_update(Ordering::AcqRel, Ordering::Relaxed, decremented);
    }

    fn find(&'static self, entry: u64) -> Option<&'static AtomicU64> {
        let levels = self.levels.iter().zip(LEVELS);
        levels
            .map_while(|(level, log2)| {
                let level = level.load(Ordering::Acquire);
                (!level.is_null()).then_some((level, log2))
            })
            .flat_map(|(level, log2)| slots(level, log2, entry))
            .find(|slot| slot.load(Ordering::Acquire) == entry)
    }

    /// Writes an entry to a free slot of a level.
    fn insert_at_level(&'static self, level: usize, entry: u64) -> bool {
        let (Some(level), Some(log2)) = (self.level(level), LEVELS.get(level).copied()) else {
            return false;
        };
        slots(level, log2, entry).any(|slot| {
            let found = slot.load(Ordering::Relaxed);
            // Empty, or of another session: no epoch is zero.
            let is_free = (found ^ entry) & EPOCH_MASK != 0;
            is_free && swap(slot, found, entry)
        })
    }

    /// The buckets of a level; maps them at the first use.
    fn level(&self, level: usize) -> Option<*mut Bucket> {
        let (place, log2) = (self.levels.get(level)?, LEVELS.get(level)?);
        let found = place.load(Ordering::Acquire);
        if !found.is_null() {
            return Some(found);
        }
        let _errno = sys::PreservedErrno::new();
        let pages = sys::map_pages(level_bytes(*log2))?;
        let mapped = pages.as_ptr().cast::<Bucket>();
        // Zeroed memory is a level of empty buckets.
        match place.compare_exchange(ptr::null_mut(), mapped, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Some(mapped),
            Err(winner) => {
                // SAFETY: this thread's own mapping, which was never shared.
                unsafe { sys::unmap_pages(pages, level_bytes(*log2)) };
                Some(winner)
            }
        }
    }
}

/// The slots of an entry: two buckets of a level.
fn slots(level: *mut Bucket, log2: u32, entry: u64) -> impl Iterator<Item = &'static AtomicU64> {
    // The hash depends only on the address. Multiplicative (Fibonacci) hashing, then another
    // multiplier on the mixed hash for the second bucket.
    let hash = (entry >> 16).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let other = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    [hash, other].into_iter().flat_map(move |hash| {
        let bucket = (hash >> 64_u32.wrapping_sub(log2)) as usize;
        // SAFETY: the level has 2^log2 buckets, the hash is shifted to log2 bits, and levels stay
        // mapped for the life of the process.
        let Bucket(slots) = unsafe { &*level.add(bucket) };
        slots.iter()
    })
}

fn swap(slot: &AtomicU64, from: u64, to: u64) -> bool {
    slot.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
}

const fn level_bytes(log2: u32) -> usize {
    size_of::<Bucket>() << log2
}

fn levels_max() -> usize {
    #[cfg(rheaper_testing)]
    return crate::collector::testing::sample_levels().min(LEVELS.len());
    #[cfg(not(rheaper_testing))]
    LEVELS.len()
}
