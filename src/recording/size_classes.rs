//! Size classes and duration classes: logarithmic buckets for histograms.
//!
//! Invariants: a class is an interval, and classes are ascending; no size class spans a power of
//! two; the midpoint of a duration class differs from its values by at most 1/32.

/// Sizes up to this limit have a class each.
const EXACT_SIZE_MAX: u64 = 1 << EXACT_BITS;
const EXACT_BITS: u32 = 16;
/// Number of classes per power of two above `EXACT_SIZE_MAX`.
const PARTS: usize = 1 << PART_BITS;
const PART_BITS: u32 = 4;
/// The first class of more than one size.
pub const FIRST_WIDE_CLASS: usize = EXACT_SIZE_MAX as usize + 1;
/// SQLite integers are signed, so that larger sizes share the last class.
const SIZE_MAX: u64 = i64::MAX as u64;
/// Number of size classes.
pub const SIZE_CLASSES: usize = FIRST_WIDE_CLASS + (63 - EXACT_BITS as usize) * PARTS;

/// The greatest power of two in a signed SQLite integer.
const POWER_MAX: u8 = 62;

/// Base-2 logarithm of the number of duration classes per octave.
const SUB_BITS: u32 = 4;
/// Bits of a duration class number.
pub const DURATION_CLASS_BITS: u32 = 10;

/// The class of a size.
#[inline]
pub const fn size_class(size: u64) -> usize {
    if size <= EXACT_SIZE_MAX {
        size as usize
    } else {
        wide_class(if size < SIZE_MAX { size } else { SIZE_MAX })
    }
}

/// The class of a size above [`EXACT_SIZE_MAX`]. A power of two is the last size of its class,
/// hence the logarithm of the size minus one.
const fn wide_class(size: u64) -> usize {
    let before = size - 1;
    let power = before.ilog2();
    let part = (before >> (power - PART_BITS)) as usize % PARTS;
    FIRST_WIDE_CLASS + (power - EXACT_BITS) as usize * PARTS + part
}

/// The largest size of a class below [`SIZE_CLASSES`].
pub const fn size_class_max(class: usize) -> u64 {
    let Some(wide) = class.checked_sub(FIRST_WIDE_CLASS) else {
        return class as u64;
    };
    let power = EXACT_BITS + (wide / PARTS) as u32;
    let parts = (PARTS + wide % PARTS + 1) as u64;
    let largest = parts << (power - PART_BITS);
    if largest < SIZE_MAX { largest } else { SIZE_MAX }
}

/// The smallest `power` with `2^power >= size`, at most 62.
#[inline]
pub const fn size_power(size: u64) -> u8 {
    let bits = 64 - size.saturating_sub(1).leading_zeros();
    if bits < POWER_MAX as u32 { bits as u8 } else { POWER_MAX }
}

/// The largest size with this [`size_power`].
pub const fn size_power_max(power: u8) -> u64 {
    1 << if power < POWER_MAX { power } else { POWER_MAX }
}

/// The class of a duration: durations below 16 have a class each, longer ones 16 classes per
/// octave.
#[inline]
pub const fn duration_class(value: u64) -> u32 {
    if value < 1 << SUB_BITS {
        return value as u32;
    }
    let octave = value.ilog2() - SUB_BITS;
    let sub = (value >> octave) as u32 - (1 << SUB_BITS);
    ((octave + 1) << SUB_BITS) + sub
}

/// The midpoint of a duration class; `u64::MAX` for a class number out of range.
pub const fn duration_class_midpoint(class: u32) -> u64 {
    if class < 1 << SUB_BITS {
        return class as u64;
    }
    let octave = (class >> SUB_BITS) - 1;
    if octave >= 60 {
        return u64::MAX;
    }
    let sub = (class & ((1 << SUB_BITS) - 1)) as u64;
    let from = ((1 << SUB_BITS) + sub) << octave;
    from + (1_u64 << octave) / 2
}

#[cfg(test)]
mod tests {
    use crate::recording::size_classes::{
        EXACT_SIZE_MAX, SIZE_CLASSES, SIZE_MAX, duration_class, duration_class_midpoint,
        size_class, size_class_max,
    };

    #[test]
    fn size_classes_are_contiguous_ascending_and_within_powers_of_two() {
        for class in 0..SIZE_CLASSES {
            let largest = size_class_max(class);
            assert_eq!(size_class(largest), class, "{largest}");
            if largest < SIZE_MAX {
                assert_eq!(size_class(largest + 1), class + 1, "{largest}");
            }
            if class > 0 {
                let smallest = size_class_max(class - 1) + 1;
                let is_exact = largest <= EXACT_SIZE_MAX;
                assert!(smallest <= largest && is_exact == (class as u64 <= EXACT_SIZE_MAX));
                assert_eq!(smallest.next_power_of_two(), largest.next_power_of_two());
            }
        }
        assert_eq!(size_class_max(SIZE_CLASSES - 1), SIZE_MAX);
        assert_eq!(size_class(u64::MAX), SIZE_CLASSES - 1);
    }

    #[test]
    fn the_midpoint_of_a_duration_class_is_in_it() {
        for class in 0..976 {
            assert_eq!(duration_class(duration_class_midpoint(class)), class);
        }
        assert_eq!(duration_class(u64::MAX), 975);
    }
}
