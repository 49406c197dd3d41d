//! The sampler: chooses bytes at random distances, and with them the blocks that contain them.
//!
//! Invariants:
//! - Distances between chosen bytes are exponentially distributed. The rest of a distance has the
//!   same distribution as a whole one, so that a block of `size` bytes is chosen with the
//!   probability 1 − exp(−size / mean), exactly, and independently of the blocks before it.
//! - A signal handler may use the same sampler between any two steps. Its decision and that of the
//!   interrupted block may then be dependent, but the probability of each is unchanged.
//! - Only arithmetic: no call, no allocation, no panic.

use std::cell::Cell;

/// Result of [`Sampler::take`] without a countdown: nothing was taken.
pub(crate) const STALE: i64 = i64::MIN;

/// The sampler of one thread.
#[derive(Debug)]
pub(crate) struct Sampler {
    /// Bytes up to the next chosen byte; below 1: not drawn yet.
    left: Cell<i64>,
    random: Cell<u64>,
}

impl Sampler {
    /// A sampler without a countdown.
    pub(crate) const fn new() -> Self {
        Self { left: Cell::new(0), random: Cell::new(0) }
    }

    /// Restarts with a random sequence that depends only on `seed`.
    pub(crate) fn seed(&self, seed: u64) {
        self.random.set(seed);
        self.left.set(0);
    }

    /// Takes a block off the countdown and returns the rest. Above 0 the block is not chosen;
    /// otherwise [`Sampler::is_chosen`] decides.
    #[inline(always)]
    pub(crate) fn take(&self, size: usize) -> i64 {
        let left = self.left.get().wrapping_sub(size as i64);
        self.left.set(left);
        left
    }

    /// Undoes a [`Sampler::take`] because the allocation failed.
    pub(crate) fn undo(&self, size: usize) {
        self.left.set(self.left.get().wrapping_add(size as i64));
    }

    /// Whether a block is chosen for which [`Sampler::take`] returned `left`, at most 0 or
    /// [`STALE`]. Draws the next countdown.
    pub(crate) fn is_chosen(&self, size: usize, left: i64, mean: f64) -> bool {
        let before = if left == STALE { 0 } else { left.wrapping_add(size as i64) };
        // Not drawn yet, or used up inside a block that a signal handler interrupted.
        let left = if before <= 0 { self.draw(mean).wrapping_sub(size as i64) } else { left };
        self.left.set(if left > 0 { left } else { self.draw(mean) });
        left <= 0
    }

    fn draw(&self, mean: f64) -> i64 {
        let state = self.random.get().wrapping_add(GOLDEN_GAMMA);
        self.random.set(state);
        distance(mix(state), mean)
    }
}

/// 2⁶⁴ divided by the golden ratio: the increment of SplitMix64.
const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64 (Steele, Lea, Flood 2014): passes BigCrush, has one word of state, and accepts any
/// seed.
pub(crate) const fn mix(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

/// Distance to the next chosen byte, at least 1: maps a uniform random number to a geometric one.
/// The probability that it is at most `size` is 1 − exp(−size / mean) to within 2⁻⁵³.
pub(crate) fn distance(random: u64, mean: f64) -> i64 {
    // In (0, 1], in steps of 2⁻⁵³.
    let uniform = (random >> 11).wrapping_add(1) as f64 * (1.0 / (1_u64 << 53) as f64);
    let bytes = minus_ln(uniform) * mean;
    // Rounded up without a call to `ceil`; the cast saturates.
    let whole = bytes as i64;
    let whole = if (whole as f64) < bytes { whole.saturating_add(1) } else { whole };
    whole.max(1)
}

const MANTISSA: u64 = (1 << 52) - 1;

/// Coefficients 1/3, 1/5, … of the series of artanh, highest order first. With |t| ≤ 0.1716 the
/// truncation error is below 2⁻⁵³ of the sum.
const SERIES: [f64; 10] = [
    1.0 / 21.0,
    1.0 / 19.0,
    1.0 / 17.0,
    1.0 / 15.0,
    1.0 / 13.0,
    1.0 / 11.0,
    1.0 / 9.0,
    1.0 / 7.0,
    1.0 / 5.0,
    1.0 / 3.0,
];

/// −ln(x) for a normal x, 0 < x ≤ 1, with a relative error below 2⁻⁵⁰. libm's logarithm would be a
/// call into another library from inside an allocator.
pub(crate) fn minus_ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let exponent = (bits >> 52).cast_signed().wrapping_sub(1023);
    let mantissa = f64::from_bits((bits & MANTISSA) | 1.0_f64.to_bits());
    // x = 2^exponent · mantissa, with the mantissa in (√½, √2].
    let (exponent, mantissa) = if mantissa > std::f64::consts::SQRT_2 {
        (exponent.wrapping_add(1), mantissa * 0.5)
    } else {
        (exponent, mantissa)
    };
    // ln m = 2 artanh((m − 1) / (m + 1)).
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let t2 = t * t;
    let sum = SERIES.iter().fold(0.0, |sum, term| sum * t2 + term);
    let ln_mantissa = 2.0 * (t + t * t2 * sum);
    -(exponent as f64 * std::f64::consts::LN_2 + ln_mantissa)
}
