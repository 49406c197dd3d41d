//! Allocates slots from a bitmap of two levels.
//!
//! Reads and writes: its own pages. Slots come from the current word of 64 until it has none left,
//! and then from the first word with a free slot.
//!
//! Invariant: a word's bit in the summary is set exactly if the word has a free slot and is not the
//! current one.

use crate::collector::platform::mmap_vec::MmapVec;

/// Slots per word.
pub(crate) const WORD_SLOTS: usize = u64::BITS as usize;

/// Slots that a summary of 64 words covers.
pub(crate) const SLOTS_MAX: usize = WORD_SLOTS * WORD_SLOTS * WORD_SLOTS;

/// The free slots.
pub(crate) struct SlotBitmap {
    /// Per word, its free slots; out of date for the current word.
    words: MmapVec<u64>,
    summary: [u64; WORD_SLOTS],
    current: usize,
    /// The free slots of the current word.
    bits: u64,
}

impl SlotBitmap {
    /// `slots` free slots, a multiple of [`WORD_SLOTS`]; `None` if memory is refused.
    pub(crate) fn new(slots: usize) -> Option<Self> {
        let mut words = MmapVec::new(slots / WORD_SLOTS)?;
        words.as_mut_slice().fill(u64::MAX);
        let mut new = Self { words, summary: [0; WORD_SLOTS], current: 0, bits: u64::MAX };
        (1..slots / WORD_SLOTS).for_each(|word| new.set_summary(word));
        Some(new)
    }

    /// Allocates a slot; `None` if none is free.
    #[inline(always)]
    pub(crate) fn allocate(&mut self) -> Option<usize> {
        if self.bits == 0 {
            self.next_word()?;
        }
        let bit = self.bits.trailing_zeros() as usize;
        self.bits &= self.bits.wrapping_sub(1);
        Some(self.current.wrapping_mul(WORD_SLOTS) | bit)
    }

    /// Releases an allocated slot.
    #[inline(always)]
    pub(crate) fn release(&mut self, slot: usize) {
        let (word, bit) = (slot / WORD_SLOTS, 1_u64 << (slot % WORD_SLOTS));
        if word == self.current {
            self.bits |= bit;
        } else if let Some(bits) = self.words.get_mut(word) {
            let was_full = *bits == 0;
            *bits |= bit;
            if was_full {
                self.set_summary(word);
            }
        }
    }

    /// Whether all slots of a word are free.
    pub(crate) fn is_word_free(&self, word: usize) -> bool {
        let bits = if word == self.current { Some(&self.bits) } else { self.words.get(word) };
        bits == Some(&u64::MAX)
    }

    /// Makes the first word with a free slot the current one. Requires that the current one has none.
    #[cold]
    #[inline(never)]
    fn next_word(&mut self) -> Option<()> {
        let (at, summary) = self.summary.iter_mut().enumerate().find(|(_, bits)| **bits != 0)?;
        let word = at.wrapping_mul(WORD_SLOTS) | summary.trailing_zeros() as usize;
        *summary &= summary.wrapping_sub(1);
        *self.words.get_mut(self.current)? = 0;
        (self.current, self.bits) = (word, *self.words.get(word)?);
        Some(())
    }

    fn set_summary(&mut self, word: usize) {
        if let Some(bits) = self.summary.get_mut(word / WORD_SLOTS) {
            *bits |= 1 << (word % WORD_SLOTS);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use crate::collector::aggregate::slot_bitmap::SlotBitmap;

    #[test]
    fn a_slot_is_allocated_once_until_it_is_released() {
        const SLOTS: usize = 64 * 70;
        let mut slots = SlotBitmap::new(SLOTS).unwrap();
        let mut allocated = HashSet::new();
        let mut state = 1_u64;
        // The bitmap fills up until no slot is free, and then empties.
        for step in 0..60_000_usize {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            let target = SLOTS.min(step / 4).min((60_000 - step) / 4);
            if (state >> 33).is_multiple_of(4) || allocated.len() < target {
                match slots.allocate() {
                    Some(slot) => assert!(slot < SLOTS && allocated.insert(slot), "{slot} twice"),
                    None => assert_eq!(allocated.len(), SLOTS),
                }
            } else if let Some(slot) = allocated.iter().next().copied() {
                allocated.remove(&slot);
                slots.release(slot);
            }
        }
    }

    #[test]
    fn a_released_slot_is_allocated_next() {
        let mut slots = SlotBitmap::new(64 * 3).unwrap();
        let first: Vec<_> = (0..100).map(|_| slots.allocate().unwrap()).collect();
        assert_eq!(first, (0..100).collect::<Vec<_>>());
        slots.release(70);
        assert_eq!(slots.allocate(), Some(70));
        assert_eq!([0, 1, 2].map(|word| slots.is_word_free(word)), [false, false, true]);
        // When this word is used up, the first word with a free slot follows.
        slots.release(5);
        slots.release(3);
        assert_eq!((0..28).filter_map(|_| slots.allocate()).last(), Some(127));
        assert_eq!(
            [slots.allocate(), slots.allocate(), slots.allocate()],
            [Some(3), Some(5), Some(128)]
        );
    }
}
