//! How numbers are put into classes where there are too many to keep each: sizes and durations.
//!
//! Invariants: a class is an interval, classes ascend with what they hold; no class of sizes
//! reaches over a power of two; the middle of a class of durations is at most 1/32 off.

/// Sizes up to this have a class each.
const EXACT_SIZE_MAX: u64 = 1 << EXACT_BITS;
const EXACT_BITS: u32 = 16;
/// Classes in each power of two above.
const PARTS: usize = 1 << PART_BITS;
const PART_BITS: u32 = 4;
/// The first class behind the exact sizes.
pub const FIRST_WIDE_CLASS: usize = EXACT_SIZE_MAX as usize + 1;
/// A database's numbers are signed, so nothing larger has a class of its own.
const SIZE_MAX: u64 = i64::MAX as u64;
/// How many classes of sizes there are.
pub const SIZE_CLASSES: usize = FIRST_WIDE_CLASS + (63 - EXACT_BITS as usize) * PARTS;

/// The greatest power of two that a database's signed numbers hold.
const POWER_MAX: u8 = 62;

/// Classes of durations in an octave, as a power of two.
const SUB_BITS: u32 = 4;
/// Bits that the number of a class of durations needs.
pub const DURATION_CLASS_BITS: u32 = 10;

/// The class that a size is in.
#[inline]
pub const fn size_class(size: u64) -> usize {
    if size <= EXACT_SIZE_MAX {
        size as usize
    } else {
        wide_class(if size < SIZE_MAX { size } else { SIZE_MAX })
    }
}

/// The same above [`EXACT_SIZE_MAX`]. A power of two is the last size of its classes, so the bits
/// are those of the size before.
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

/// The power of two that a size is counted in: the smallest with `2^power >= size`.
#[inline]
pub const fn size_power(size: u64) -> u8 {
    let bits = 64 - size.saturating_sub(1).leading_zeros();
    if bits < POWER_MAX as u32 { bits as u8 } else { POWER_MAX }
}

/// The largest size that is counted in a power of two.
pub const fn size_power_max(power: u8) -> u64 {
    1 << if power < POWER_MAX { power } else { POWER_MAX }
}

/// The class that a duration is in: durations below 16 have one each, longer ones 16 an octave.
#[inline]
pub const fn duration_class(value: u64) -> u32 {
    if value < 1 << SUB_BITS {
        return value as u32;
    }
    let octave = value.ilog2() - SUB_BITS;
    let sub = (value >> octave) as u32 - (1 << SUB_BITS);
    ((octave + 1) << SUB_BITS) + sub
}

/// The middle of a class of durations; the largest number for a class that there is not.
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
    fn classes_of_sizes_are_whole_ascending_and_within_powers_of_two() {
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
    fn the_middle_of_a_class_of_durations_is_in_it() {
        for class in 0..976 {
            assert_eq!(duration_class(duration_class_midpoint(class)), class);
        }
        assert_eq!(duration_class(u64::MAX), 975);
    }
}
