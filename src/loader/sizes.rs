//! Sums by the size that was asked for.
//!
//! Reads: sizes of blocks that begin and end. Writes: totals, one for each size or class of sizes.
//!
//! Sizes up to [`EXACT_MAX`] are kept each for itself; above, each power of two is cut into
//! [`PARTS`] classes. So one array of fixed size holds them all, however many sizes there are,
//! and a block costs one look into it.
//!
//! Invariants: every sum is exact; no class reaches over a power of two, so that what is summed
//! by powers of two is exact too.

/// Sizes up to this are kept each for itself.
const EXACT_MAX: u64 = 1 << EXACT_BITS;
const EXACT_BITS: u32 = 16;
/// Classes in each power of two above.
const PARTS: usize = 1 << PART_BITS;
const PART_BITS: u32 = 4;
/// The first class behind the exact sizes.
const FIRST_CLASS: usize = EXACT_MAX as usize + 1;
/// The database's numbers are signed, so nothing larger has a class of its own.
const SIZE_MAX: u64 = i64::MAX as u64;
const COUNT: usize = FIRST_CLASS + (63 - EXACT_BITS as usize) * PARTS;

/// Everything that is summed for a size. Names and meanings are those of the table `sizes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the columns of `sizes`, documented in schema.sql")]
pub(in crate::loader) struct SizeTotals {
    pub(in crate::loader) allocations: u64,
    pub(in crate::loader) bytes: u64,
    pub(in crate::loader) live_blocks: u64,
    pub(in crate::loader) live_bytes: u64,
}

impl SizeTotals {
    /// A block was made.
    #[inline]
    pub(in crate::loader) fn made(&mut self, size: u64) {
        self.allocations += 1;
        self.bytes = self.bytes.saturating_add(size);
        self.live_blocks += 1;
        self.live_bytes = self.live_bytes.saturating_add(size);
    }

    /// A block is not alive any more.
    #[inline]
    pub(in crate::loader) fn left(&mut self, size: u64) {
        self.live_blocks -= 1;
        self.live_bytes = self.live_bytes.saturating_sub(size);
    }

    /// These without a part of them.
    pub(in crate::loader) fn without(self, part: &Self) -> Self {
        Self {
            allocations: self.allocations - part.allocations,
            bytes: self.bytes.saturating_sub(part.bytes),
            live_blocks: self.live_blocks - part.live_blocks,
            live_bytes: self.live_bytes.saturating_sub(part.live_bytes),
        }
    }
}

/// The sums of all sizes.
#[derive(Debug)]
pub(in crate::loader) struct Sizes {
    totals: Vec<SizeTotals>,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { totals: vec![SizeTotals::default(); COUNT] }
    }
}

impl Sizes {
    /// A block was made.
    #[inline]
    pub(in crate::loader) fn made(&mut self, size: u64) {
        self.totals[class_of(size)].made(size);
    }

    /// A block is not alive any more.
    #[inline]
    pub(in crate::loader) fn left(&mut self, size: u64) {
        self.totals[class_of(size)].left(size);
    }

    /// Sizes, or the largest ones of their classes, of which there was a block; ascending.
    pub(in crate::loader) fn iter(&self) -> impl Iterator<Item = (u64, &SizeTotals)> {
        let all = self.totals.iter().enumerate();
        all.filter(|(_, totals)| totals.allocations > 0)
            .map(|(class, totals)| (largest_of(class), totals))
    }
}

/// The class that a size is in.
#[inline]
fn class_of(size: u64) -> usize {
    if size <= EXACT_MAX { size as usize } else { wide_class_of(size.min(SIZE_MAX)) }
}

/// The same above [`EXACT_MAX`]. A power of two is the last size of its classes, so the bits are
/// those of the size before.
fn wide_class_of(size: u64) -> usize {
    let before = size - 1;
    let power = before.ilog2();
    let part = (before >> (power - PART_BITS)) as usize % PARTS;
    FIRST_CLASS + (power - EXACT_BITS) as usize * PARTS + part
}

/// The largest size of a class.
fn largest_of(class: usize) -> u64 {
    let Some(wide) = class.checked_sub(FIRST_CLASS) else {
        return class as u64;
    };
    let power = EXACT_BITS + (wide / PARTS) as u32;
    let parts = (PARTS + wide % PARTS + 1) as u64;
    (parts << (power - PART_BITS)).min(SIZE_MAX)
}

#[cfg(test)]
mod tests {
    use crate::loader::sizes::{COUNT, EXACT_MAX, SIZE_MAX, class_of, largest_of};

    #[test]
    fn classes_are_whole_ascending_and_within_powers_of_two() {
        for class in 0..COUNT {
            let largest = largest_of(class);
            assert_eq!(class_of(largest), class, "{largest}");
            if largest < SIZE_MAX {
                assert_eq!(class_of(largest + 1), class + 1, "{largest}");
            }
            if class > 0 {
                let smallest = largest_of(class - 1) + 1;
                assert!(
                    smallest <= largest && (largest <= EXACT_MAX) == (class as u64 <= EXACT_MAX)
                );
                assert_eq!(smallest.next_power_of_two(), largest.next_power_of_two());
            }
        }
        assert_eq!(largest_of(COUNT - 1), SIZE_MAX);
        assert_eq!(class_of(u64::MAX), COUNT - 1);
    }
}
