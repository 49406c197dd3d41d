//! The sampled blocks that are alive, by address: a free of any other block costs one look at a
//! small filter.
//!
//! Reads and writes: the filter, a static; levels of the table, pages that are mapped when the
//! level before has no place left.
//!
//! Invariants:
//! - No lock. A slot changes by compare-and-swap; an address is entered and taken out only by who
//!   owns the block, so nobody else wants its slot.
//! - The filter is above zero for every address in the table: it is raised before and lowered
//!   after.
//! - An entry carries its recording's epoch: what another recording left behind is no entry.
//! - Memory is bounded: the levels below, and then [`Table::insert`] refuses.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU16, AtomicU64, Ordering};

use crate::collector::platform::sys;
use crate::safeguards;

/// MmapVec of addresses that the filter tells apart: neighbours share a cache line, and what lies
/// 256 MiB apart shares a place.
const FILTER_PLACES: usize = 1 << 16;
const FILTER_SHIFT: u32 = 12;

const SLOTS_PER_BUCKET: usize = 8;

/// One cache line.
#[repr(align(64))]
struct Bucket([AtomicU64; SLOTS_PER_BUCKET]);

/// Base-2 logarithms of the levels' buckets: 256 KiB, 1, 4 and 16 MiB; 2.8 million blocks.
const LEVELS: [u32; 4] = [12, 14, 16, 18];

/// A slot: an address's low 48 bits, 15 bits of epoch, and whether the block is being moved.
const EPOCH_MASK: u64 = 0xfffe;
const LOCKED: u64 = 1;
const EPOCHS: u64 = (1 << 15) - 1;

/// [`LOCKED`], but in a test of the tests.
fn locked_bit() -> u64 {
    if safeguards::without("held while moved") { 0 } else { LOCKED }
}

/// What a table is asked by its recordings.
pub(crate) struct Table {
    filter: [AtomicU16; FILTER_PLACES],
    levels: [AtomicPtr<Bucket>; LEVELS.len()],
    /// In its place of a slot.
    epoch: AtomicU64,
}

/// The process's table.
pub(crate) static TABLE: Table = Table::new();

/// A block that is being moved: its address may be anybody's until this is used.
#[derive(Debug)]
#[must_use = "its slot is taken until then"]
pub(crate) struct LockedSlot {
    slot: &'static AtomicU64,
    entry: u64,
}

impl Table {
    pub(crate) const fn new() -> Self {
        Self {
            filter: [const { AtomicU16::new(0) }; FILTER_PLACES],
            levels: [const { AtomicPtr::new(ptr::null_mut()) }; LEVELS.len()],
            epoch: AtomicU64::new(0),
        }
    }

    /// Empties the table for a recording. Nothing is recorded now; a thread that was left behind
    /// in another one does no harm.
    pub(crate) fn begin(&self, session: u32) {
        self.discard();
        let session = if safeguards::without("own samples") { 0 } else { session };
        let epoch = (u64::from(session) % EPOCHS).wrapping_add(1);
        self.epoch.store(epoch << 1, Ordering::Relaxed);
    }

    /// Gives its memory back to the system.
    pub(crate) fn discard(&self) {
        let is_used = self.epoch.load(Ordering::Relaxed) != 0;
        if !is_used || safeguards::without("own samples") {
            return;
        }
        for place in self.filter.iter().filter(|place| place.load(Ordering::Relaxed) != 0) {
            place.store(0, Ordering::Relaxed);
        }
        for (level, log2) in self.levels.iter().zip(LEVELS) {
            if let Some(pages) = ptr::NonNull::new(level.load(Ordering::Acquire)) {
                // SAFETY: our own mapping of this size; zeroes are empty slots.
                unsafe { sys::discard_pages(pages.cast(), level_bytes(log2)) };
            }
        }
    }

    /// Memory that is mapped, in bytes.
    pub(crate) fn used_bytes(&self) -> u64 {
        let mapped = self.levels.iter().zip(LEVELS);
        let mapped = mapped.filter(|(level, _)| !level.load(Ordering::Relaxed).is_null());
        let levels: usize = mapped.map(|(_, log2)| level_bytes(log2)).sum();
        levels.saturating_add(size_of::<Self>()) as u64
    }

    /// Whether the block at an address may be in the table. No is certain.
    #[inline(always)]
    pub(crate) fn may_contain(&self, address: usize) -> bool {
        self.filter_place(address).load(Ordering::Relaxed) != 0
    }

    #[inline(always)]
    fn filter_place(&self, address: usize) -> &AtomicU16 {
        let place = usize::from((address >> FILTER_SHIFT) as u16);
        // SAFETY: the filter has a place for every `u16`.
        unsafe { self.filter.get_unchecked(place) }
    }

    /// Whether the block at an address is in the table.
    pub(crate) fn contains(&'static self, address: usize) -> bool {
        self.may_contain(address) && self.find(self.entry(address)).is_some()
    }

    /// Enters a block; `false`: there is no place. One that is there already is a block whose
    /// free was not seen.
    pub(crate) fn insert(&'static self, address: usize) -> bool {
        let entry = self.entry(address);
        if self.contains(address) {
            return true;
        }
        if !self.raise(address) {
            return false;
        }
        let is_in = (0..levels_max()).any(|level| self.place(level, entry));
        if !is_in {
            self.lower(address);
        }
        is_in
    }

    /// Takes a block out; `false`: it was not in.
    pub(crate) fn remove(&'static self, address: usize) -> bool {
        let entry = self.entry(address);
        let is_out = self.find(entry).is_some_and(|slot| swap(slot, entry, 0));
        if is_out {
            self.lower(address);
        }
        is_out
    }

    /// Makes a block that is about to be moved unknown to others, who may get its address;
    /// `None`: it is not in the table.
    pub(crate) fn lock_slot(&'static self, address: usize) -> Option<LockedSlot> {
        let entry = self.entry(address);
        let slot = self.find(entry)?;
        swap(slot, entry, entry | locked_bit()).then_some(LockedSlot { slot, entry })
    }

    /// The block has not moved.
    #[expect(clippy::needless_pass_by_value, reason = "it is used up")]
    pub(crate) fn unlock(&self, locked: LockedSlot) {
        swap(locked.slot, locked.entry | locked_bit(), locked.entry);
    }

    /// The block has moved, or has ended.
    #[expect(clippy::needless_pass_by_value, reason = "it is used up")]
    pub(crate) fn remove_locked(&self, locked: LockedSlot) {
        if swap(locked.slot, locked.entry | locked_bit(), 0) {
            self.lower((locked.entry >> 16) as usize);
        }
    }

    fn entry(&self, address: usize) -> u64 {
        (address as u64) << 16 | self.epoch.load(Ordering::Relaxed)
    }

    fn raise(&self, address: usize) -> bool {
        let raised = |count: u16| count.checked_add(1);
        let place = self.filter_place(address);
        place.fetch_update(Ordering::AcqRel, Ordering::Relaxed, raised).is_ok()
    }

    fn lower(&self, address: usize) {
        // At zero already: the table was emptied meanwhile.
        let lowered = |count: u16| count.checked_sub(1);
        let place = self.filter_place(address);
        let _ = place.fetch_update(Ordering::AcqRel, Ordering::Relaxed, lowered);
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

    /// Puts an entry into a free slot of a level.
    fn place(&'static self, level: usize, entry: u64) -> bool {
        let (Some(level), Some(log2)) = (self.level(level), LEVELS.get(level).copied()) else {
            return false;
        };
        slots(level, log2, entry).any(|slot| {
            let found = slot.load(Ordering::Relaxed);
            // Of another recording, or empty: no epoch is zero.
            let is_free = (found ^ entry) & EPOCH_MASK != 0;
            is_free && swap(slot, found, entry)
        })
    }

    /// A level's buckets, mapped if they are not yet.
    fn level(&self, level: usize) -> Option<*mut Bucket> {
        let (place, log2) = (self.levels.get(level)?, LEVELS.get(level)?);
        let found = place.load(Ordering::Acquire);
        if !found.is_null() {
            return Some(found);
        }
        let _errno = sys::PreservedErrno::new();
        let pages = sys::map_pages(level_bytes(*log2))?;
        let mapped = pages.as_ptr().cast::<Bucket>();
        // Zeroed pages are empty buckets.
        match place.compare_exchange(ptr::null_mut(), mapped, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Some(mapped),
            Err(winner) => {
                // SAFETY: our own mapping, which nobody else has seen.
                unsafe { sys::unmap_pages(pages, level_bytes(*log2)) };
                Some(winner)
            }
        }
    }
}

/// The slots that an entry may be in: two buckets of a level.
fn slots(level: *mut Bucket, log2: u32, entry: u64) -> impl Iterator<Item = &'static AtomicU64> {
    // The address alone decides.
    let hash = (entry >> 16).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let other = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    [hash, other].into_iter().flat_map(move |hash| {
        let bucket = (hash >> 64_u32.wrapping_sub(log2)) as usize;
        // SAFETY: the level has 2^log2 buckets, and is mapped as long as the process lives.
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
