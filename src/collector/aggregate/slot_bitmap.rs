//! Which slots are free: two levels of bits.
//!
//! Reads and writes: its own pages. A row of slots is used up before another one is, and then the
//! first row that has a free slot.
//!
//! Invariant: a row's bit in the upper level is set exactly if the row has a free slot and is not the
//! present one.

use crate::collector::platform::mmap_vec::MmapVec;

/// Slots in a row.
pub(crate) const ROW: usize = u64::BITS as usize;

/// Slots that two levels can tell apart.
pub(crate) const SLOTS_MAX: usize = ROW * ROW * ROW;

/// The free slots.
pub(crate) struct Rows {
    /// Of each row but the present one, its free slots.
    rows: MmapVec<u64>,
    upper: [u64; ROW],
    present: usize,
    /// The present row's free slots.
    bits: u64,
}

impl Rows {
    /// So many slots, a whole number of rows, all free; `None`: no memory.
    pub(crate) fn new(slots: usize) -> Option<Self> {
        let mut rows = MmapVec::new(slots / ROW)?;
        rows.as_mut_slice().fill(u64::MAX);
        let mut new = Self { rows, upper: [0; ROW], present: 0, bits: u64::MAX };
        (1..slots / ROW).for_each(|row| new.note(row));
        Some(new)
    }

    /// Takes a free slot; `None`: there is none.
    #[inline(always)]
    pub(crate) fn take(&mut self) -> Option<usize> {
        if self.bits == 0 {
            self.turn()?;
        }
        let bit = self.bits.trailing_zeros() as usize;
        self.bits &= self.bits.wrapping_sub(1);
        Some(self.present.wrapping_mul(ROW) | bit)
    }

    /// Frees a slot that was taken.
    #[inline(always)]
    pub(crate) fn give(&mut self, slot: usize) {
        let (row, bit) = (slot / ROW, 1_u64 << (slot % ROW));
        if row == self.present {
            self.bits |= bit;
        } else if let Some(bits) = self.rows.get_mut(row) {
            let was_full = *bits == 0;
            *bits |= bit;
            if was_full {
                self.note(row);
            }
        }
    }

    /// Whether no slot of a row is taken.
    pub(crate) fn is_empty(&self, row: usize) -> bool {
        let bits = if row == self.present { Some(&self.bits) } else { self.rows.get(row) };
        bits == Some(&u64::MAX)
    }

    /// Turns to the first row that has a free slot; the present one has none.
    #[cold]
    #[inline(never)]
    fn turn(&mut self) -> Option<()> {
        let (at, word) = self.upper.iter_mut().enumerate().find(|(_, word)| **word != 0)?;
        let row = at.wrapping_mul(ROW) | word.trailing_zeros() as usize;
        *word &= word.wrapping_sub(1);
        *self.rows.get_mut(self.present)? = 0;
        (self.present, self.bits) = (row, *self.rows.get(row)?);
        Some(())
    }

    fn note(&mut self, row: usize) {
        if let Some(word) = self.upper.get_mut(row / ROW) {
            *word |= 1 << (row % ROW);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use crate::collector::aggregate::slot_bitmap::Rows;

    #[test]
    fn every_slot_is_taken_once_until_it_is_given_back() {
        const SLOTS: usize = 64 * 70;
        let mut rows = Rows::new(SLOTS).unwrap();
        let mut taken = HashSet::new();
        let mut state = 1_u64;
        // Fuller and fuller, until none is left; then emptier and emptier.
        for step in 0..60_000_usize {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            let wanted = SLOTS.min(step / 4).min((60_000 - step) / 4);
            if (state >> 33).is_multiple_of(4) || taken.len() < wanted {
                match rows.take() {
                    Some(slot) => assert!(slot < SLOTS && taken.insert(slot), "{slot} twice"),
                    None => assert_eq!(taken.len(), SLOTS),
                }
            } else if let Some(slot) = taken.iter().next().copied() {
                taken.remove(&slot);
                rows.give(slot);
            }
        }
    }

    #[test]
    fn a_slot_that_was_given_back_is_the_next_one() {
        let mut rows = Rows::new(64 * 3).unwrap();
        let first: Vec<_> = (0..100).map(|_| rows.take().unwrap()).collect();
        assert_eq!(first, (0..100).collect::<Vec<_>>());
        rows.give(70);
        assert_eq!(rows.take(), Some(70));
        assert_eq!([0, 1, 2].map(|row| rows.is_empty(row)), [false, false, true]);
        // Another row is turned to when this one is used up, and then the first one.
        rows.give(5);
        rows.give(3);
        assert_eq!((0..28).filter_map(|_| rows.take()).last(), Some(127));
        assert_eq!([rows.take(), rows.take(), rows.take()], [Some(3), Some(5), Some(128)]);
    }
}
