//! Events that are held back until it is known whether they can be folded: in the order of time,
//! and found by address.
//!
//! Reads and writes: its own pages. A block that is folded leaves at once, so memory is that of
//! what is really in doubt; slots are used again in last-in-first-out order, so that a temporary
//! block's slot is in the cache.
//!
//! Invariants: the list's stamps ascend; an address is found at most once.

use crate::collector::pages::{Pages, Zeroed};

/// Events that can be held at once.
pub(in crate::collector) const HELD_MAX: usize = 1 << 18;

/// Twice the events, so that a search is short.
const PLACES: usize = HELD_MAX * 2;

/// Blocks begin at multiples of 16 bytes.
const GRAIN_SHIFT: u32 = 4;
/// What all places cover at that grain.
const REGION_SHIFT: u32 = GRAIN_SHIFT + PLACES.trailing_zeros();

/// No event.
const NOBODY: u32 = 0;

/// What is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::collector) enum Kind {
    /// A block began.
    Alloc = 0,
    /// The same with zeroed memory.
    Zeroed,
    /// A block began that continues another one.
    Realloc,
    /// A block ended that is written or not known.
    Free,
    /// The same, to grow or shrink.
    Regrown,
    /// The allocator refused.
    Failed,
}

/// One event. Times are in ticks.
#[derive(Clone, Copy)]
#[repr(C)]
pub(in crate::collector) struct Held {
    pub(in crate::collector) at: u64,
    pub(in crate::collector) address: u64,
    pub(in crate::collector) size: u64,
    pub(in crate::collector) node: u32,
    pub(in crate::collector) thread: u32,
    pub(in crate::collector) stream: u32,
    pub(in crate::collector) scope: u32,
    /// Blocks that the thread had made by then, this one included.
    pub(in crate::collector) made: u32,
    pub(in crate::collector) kind: Kind,
    pub(in crate::collector) align_log2: u8,
    /// Realloc: whether the address changed.
    pub(in crate::collector) moved: bool,
    /// Realloc: whether what it continues is written or not known, and not folded.
    pub(in crate::collector) linked: bool,
}

/// An event and its place in the list.
#[derive(Clone, Copy)]
#[repr(C)]
struct Link {
    held: Held,
    before: u32,
    after: u32,
    /// Whether it can be found by its address.
    is_known: bool,
}

// SAFETY: numbers, a bool, and an enum of bytes whose first is zero.
unsafe impl Zeroed for Link {}

impl Held {
    /// Whether it is a block's beginning.
    pub(in crate::collector) fn is_block(&self) -> bool {
        matches!(self.kind, Kind::Alloc | Kind::Zeroed | Kind::Realloc)
    }

    /// An event without a block's particulars.
    pub(in crate::collector) const fn new(kind: Kind, at: u64, address: u64) -> Self {
        Self {
            at,
            address,
            size: 0,
            node: 0,
            thread: 0,
            stream: 0,
            scope: 0,
            made: 0,
            kind,
            align_log2: 0,
            moved: false,
            linked: false,
        }
    }
}

/// A held event's slot.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::collector) struct Slot(u32);

/// All held events.
pub(in crate::collector) struct Pending {
    /// Slot 0 is nobody's.
    slots: Pages<Link>,
    /// Upper half: the upper half of the address's hash; lower half: its slot.
    places: Pages<u64>,
    /// Slots from here on were never used.
    fresh: u32,
    /// First of the slots that are free again.
    free: u32,
    oldest: u32,
    newest: u32,
}

impl Pending {
    pub(in crate::collector) fn new() -> Option<Self> {
        Some(Self {
            slots: Pages::new(HELD_MAX.checked_add(1)?)?,
            places: Pages::new(PLACES)?,
            fresh: 1,
            free: NOBODY,
            oldest: NOBODY,
            newest: NOBODY,
        })
    }

    /// Whether another event fits.
    #[inline]
    pub(in crate::collector) fn has_room(&self) -> bool {
        self.free != NOBODY || self.fresh as usize <= HELD_MAX
    }

    /// Puts an event into its place, which is nearly always behind all others. There must be
    /// room.
    #[inline]
    pub(in crate::collector) fn push(&mut self, held: Held) -> Option<Slot> {
        let slot = if self.free != NOBODY {
            let slot = self.free;
            self.free = self.slots.get(slot as usize)?.after;
            slot
        } else {
            let slot = self.fresh;
            self.fresh = slot.wrapping_add(1);
            slot
        };
        let before = self.newest_until(held.at);
        let after = match self.slots.get(before as usize) {
            Some(link) if before != NOBODY => link.after,
            _ => self.oldest,
        };
        *self.slots.get_mut(slot as usize)? = Link { held, before, after, is_known: false };
        match self.slots.get_mut(before as usize) {
            Some(link) if before != NOBODY => link.after = slot,
            _ => self.oldest = slot,
        }
        match self.slots.get_mut(after as usize) {
            Some(link) if after != NOBODY => link.before = slot,
            _ => self.newest = slot,
        }
        Some(Slot(slot))
    }

    /// The newest event that is not later than a moment.
    #[inline]
    fn newest_until(&self, at: u64) -> u32 {
        let mut slot = self.newest;
        while slot != NOBODY
            && let Some(link) = self.slots.get(slot as usize)
            && link.held.at > at
        {
            slot = link.before;
        }
        slot
    }

    /// Makes the block of a pushed event known by its address, which is not known yet.
    #[inline]
    pub(in crate::collector) fn know(&mut self, slot: Slot) {
        let Some(link) = self.slots.get_mut(slot.0 as usize) else { return };
        link.is_known = true;
        let tag = tag_of(link.held.address);
        let places = self.places.as_mut_slice();
        let mut place = home_of(tag);
        loop {
            match places.get_mut(place) {
                Some(free) if *free == 0 => {
                    *free = (u64::from(tag) << 32) | u64::from(slot.0);
                    return;
                }
                Some(_) => place = place.wrapping_add(1) & (PLACES - 1),
                None => return,
            }
        }
    }

    /// The event that began the block at an address.
    #[inline]
    pub(in crate::collector) fn find(&self, address: u64) -> Option<(Slot, &Held)> {
        let tag = tag_of(address);
        let mut place = home_of(tag);
        loop {
            let entry = *self.places.get(place)?;
            if entry == 0 {
                return None;
            }
            if (entry >> 32) as u32 == tag {
                let slot = entry as u32;
                let held = &self.slots.get(slot as usize)?.held;
                if held.address == address {
                    return Some((Slot(slot), held));
                }
            }
            place = place.wrapping_add(1) & (PLACES - 1);
        }
    }

    /// The oldest event.
    #[inline]
    pub(in crate::collector) fn oldest(&self) -> Option<(Slot, &Held)> {
        if self.oldest == NOBODY {
            return None;
        }
        Some((Slot(self.oldest), &self.slots.get(self.oldest as usize)?.held))
    }

    /// Forgets the address of an event, which stays where it is.
    #[inline]
    pub(in crate::collector) fn forget(&mut self, slot: Slot) {
        let Some(link) = self.slots.get_mut(slot.0 as usize) else { return };
        if !std::mem::take(&mut link.is_known) {
            return;
        }
        let tag = tag_of(link.held.address);
        let places = self.places.as_mut_slice();
        let wanted = (u64::from(tag) << 32) | u64::from(slot.0);
        let mut hole = home_of(tag);
        while places.get(hole).is_some_and(|entry| *entry != wanted && *entry != 0) {
            hole = hole.wrapping_add(1) & (PLACES - 1);
        }
        // What stands behind may have been pushed on by this one: closes the hole so that every
        // search still passes no empty place.
        let mut at = hole;
        loop {
            at = at.wrapping_add(1) & (PLACES - 1);
            let Some(entry) = places.get(at).copied().filter(|entry| *entry != 0) else { break };
            let home = home_of((entry >> 32) as u32);
            let from_home = at.wrapping_sub(home) & (PLACES - 1);
            let from_hole = at.wrapping_sub(hole) & (PLACES - 1);
            if from_home >= from_hole {
                if let Some(place) = places.get_mut(hole) {
                    *place = entry;
                }
                hole = at;
            }
        }
        if let Some(place) = places.get_mut(hole) {
            *place = 0;
        }
    }

    /// Takes an event out.
    #[inline]
    pub(in crate::collector) fn remove(&mut self, slot: Slot) -> Option<Held> {
        self.forget(slot);
        let Link { held, before, after, .. } = *self.slots.get(slot.0 as usize)?;
        match self.slots.get_mut(before as usize) {
            Some(link) if before != NOBODY => link.after = after,
            _ => self.oldest = after,
        }
        match self.slots.get_mut(after as usize) {
            Some(link) if after != NOBODY => link.before = before,
            _ => self.newest = before,
        }
        self.slots.get_mut(slot.0 as usize)?.after = self.free;
        self.free = slot.0;
        Some(held)
    }

    /// Memory that was touched, in bytes.
    pub(in crate::collector) fn used_bytes(&self) -> u64 {
        let slots = u64::from(self.fresh).saturating_mul(size_of::<Link>() as u64);
        // Places are all over the table.
        slots.saturating_add(((PLACES * 8) as u64).min(u64::from(self.fresh).saturating_mul(4096)))
    }
}

/// What of an address is kept in a place. Neighbours in the heap are neighbours here, so that what is
/// hot there is hot here: with a scattering hash the cache misses were nine tenths of folding. Each
/// region of the heap begins at a place of its own, for allocators align theirs.
#[inline]
fn tag_of(address: u64) -> u32 {
    let region = (address >> REGION_SHIFT).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    ((address >> GRAIN_SHIFT) as u32).wrapping_add(region as u32)
}

fn home_of(tag: u32) -> usize {
    tag as usize & (PLACES - 1)
}
