//! Which blocks are chosen: one byte in so many, on average, at random; whoever has the byte.
//!
//! Reads: sizes. Writes: its own countdown.
//!
//! Invariants:
//! - Between two chosen bytes lie exponentially distributed distances. What is left of one is
//!   distributed like a whole one, so a block of `size` bytes is chosen with the probability
//!   1 − exp(−size / mean), exactly, and whatever became of the blocks before it.
//! - A signal handler may come between any two steps and use the same sampler: what it and the
//!   interrupted block see may then depend on each other, the probability of neither changes.
//! - Plain arithmetic: no call, no allocation, no panic.

use std::cell::Cell;

/// What [`Sampler::take`] answers where nothing was taken, since there is no countdown to take
/// it from.
pub(crate) const STALE: i64 = i64::MIN;

/// Chooses blocks for one thread.
#[derive(Debug)]
pub(crate) struct Sampler {
    /// Bytes up to the end of the block that is chosen next; below 1: not drawn.
    left: Cell<i64>,
    random: Cell<u64>,
}

impl Sampler {
    /// One whose first countdown has not been drawn.
    pub(crate) const fn new() -> Self {
        Self { left: Cell::new(0), random: Cell::new(0) }
    }

    /// Begins anew, with random numbers that only the seed decides.
    pub(crate) fn seed(&self, seed: u64) {
        self.random.set(seed);
        self.left.set(0);
    }

    /// Takes a block off the countdown and answers what is left of it. Above 0 the block is not
    /// chosen; else [`Sampler::is_chosen`] says whether it is.
    #[inline(always)]
    pub(crate) fn take(&self, size: usize) -> i64 {
        let left = self.left.get().wrapping_sub(size as i64);
        self.left.set(left);
        left
    }

    /// Undoes a [`Sampler::take`], for a block that was not had after all.
    pub(crate) fn undo(&self, size: usize) {
        self.left.set(self.left.get().wrapping_add(size as i64));
    }

    /// Whether a block is chosen that [`Sampler::take`] left so little of, or that found no
    /// countdown ([`STALE`]). The next countdown begins behind it.
    pub(crate) fn is_chosen(&self, size: usize, left: i64, mean: f64) -> bool {
        let before = if left == STALE { 0 } else { left.wrapping_add(size as i64) };
        // Not drawn yet, or run out inside a block that a signal handler has interrupted.
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

/// 2⁶⁴ by the golden ratio.
const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64 (Steele, Lea, Flood 2014): passes BigCrush, has one word of state, and any seed is
/// as good as any other.
pub(crate) const fn mix(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

/// Bytes up to and with the next chosen one: a random number as a geometric one, at least 1. The
/// probability that it is at most `size` is 1 − exp(−size / mean) to within 2⁻⁵³.
pub(crate) fn distance(random: u64, mean: f64) -> i64 {
    // Above 0, at most 1, in steps of 2⁻⁵³.
    let uniform = (random >> 11).wrapping_add(1) as f64 * (1.0 / (1_u64 << 53) as f64);
    let bytes = minus_ln(uniform) * mean;
    // Rounded up without a call; more than there can be is the maximum.
    let whole = bytes as i64;
    let whole = if (whole as f64) < bytes { whole.saturating_add(1) } else { whole };
    whole.max(1)
}

const MANTISSA: u64 = (1 << 52) - 1;

/// 1/3, 1/5, …: the area hyperbolic tangent's series, innermost last. With |t| ≤ 0.1716 what is
/// left out is below 2⁻⁵³ of the sum.
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

/// −ln(x) for a normal x, 0 < x ≤ 1; its relative error is below 2⁻⁵⁰. The system's logarithm
/// would be a call into another library from inside an allocator.
pub(crate) fn minus_ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let exponent = (bits >> 52).cast_signed().wrapping_sub(1023);
    let mantissa = f64::from_bits((bits & MANTISSA) | 1.0_f64.to_bits());
    // x = 2^exponent · mantissa, the mantissa around 1.
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
