//! A hash for keys that nobody chose to collide: node ids, addresses, pairs of small numbers.
//!
//! Std's default costs more than all the rest of pairing an event. One multiplication aggregated to
//! 64 bits spreads addresses, whose low bits are zero, well over the table. A recording that was
//! made to collide only makes its own load slow.

use std::hash::{BuildHasherDefault, Hasher};

/// Builds [`FastHasher`]s.
pub(crate) type FastHash = BuildHasherDefault<FastHasher>;

/// Hashes whole words.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FastHasher(u64);

/// 2⁶⁴ divided by the golden ratio, made odd.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for FastHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    #[inline]
    fn write_u64(&mut self, value: u64) {
        let product = u128::from(self.0.rotate_left(32) ^ value) * u128::from(MULTIPLIER);
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }
}
