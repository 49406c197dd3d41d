//! Sums over a sampled recording: what a sampled block stands for, and between which bounds the
//! true sum lies.
//!
//! Reads and writes: nothing; plain arithmetic. docs/SAMPLING.md derives it.
//!
//! Invariants:
//! - Blocks that were seen existed: no interval begins below their bytes.
//! - Where every block was seen for certain, estimate and lower bound are exact.

use statrs::function::gamma::{gamma_lr, ln_gamma};

/// The share of all cases in which the true sum lies between the bounds, at least.
pub const CONFIDENCE: f64 = 0.95;

/// The quantile of the normal distribution that leaves half of the rest above it.
const NORMAL_QUANTILE: f64 = 1.959_963_984_540_054;

/// From this shape on the normal approximation of the cube root is right to six digits.
const WIDE_SHAPE: f64 = 500.0;

/// Steps until a quantile is found; a handful is usual.
const STEPS_MAX: usize = 200;

/// How often samples are taken: once in so many bytes, on average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplingRate(f64);

impl SamplingRate {
    /// One sample in so many bytes; `None` for 0, which is no sampling.
    pub fn new(sample_bytes: u64) -> Option<Self> {
        (sample_bytes > 0).then_some(Self(sample_bytes as f64))
    }

    /// Bytes between two samples, on average.
    pub fn sample_bytes(self) -> f64 {
        self.0
    }

    /// How probable it is that a block of this size is sampled. Blocks of no bytes, which nobody
    /// may ask for, count as those of one.
    pub fn probability(self, size: u64) -> f64 {
        -(-(size.max(1) as f64) / self.0).exp_m1()
    }

    /// How many blocks a sampled block of this size stands for; 1 or more.
    pub fn blocks(self, size: u64) -> f64 {
        1.0 / self.probability(size)
    }

    /// How many bytes it stands for.
    pub fn bytes(self, size: u64) -> u64 {
        (size as f64 / self.probability(size)).round() as u64
    }

    /// What it adds to the variance of a sum of bytes: `size² (1 − p) / p²`.
    pub fn variance(self, size: u64) -> f64 {
        let p = self.probability(size);
        (size as f64 / p).powi(2) * (1.0 - p)
    }
}

/// The sampled blocks behind a sum.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SampleSum {
    /// How many.
    pub blocks: u64,
    /// Bytes of them: not what they stand for.
    pub bytes: u64,
    /// The variance of the estimate, in bytes².
    pub variance: f64,
}

impl SampleSum {
    /// One more block.
    pub fn add(&mut self, rate: SamplingRate, size: u64) {
        self.blocks += 1;
        self.bytes = self.bytes.saturating_add(size);
        self.variance += rate.variance(size);
    }

    /// The blocks of another sum, which has none of these.
    pub fn join(&mut self, other: &Self) {
        self.blocks = self.blocks.saturating_add(other.blocks);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.variance += other.variance;
    }

    /// Between which bounds the true sum of bytes lies, where `estimate` is what these blocks
    /// stand for.
    ///
    /// What was not seen is taken as gamma-distributed, with the estimate's mean and variance; for
    /// the upper bound with one more small block that was just missed (Fay and Feuer, 1997, for
    /// weighted sums of Poisson counts; the same for what is left of a binomial one).
    pub fn interval(&self, estimate: u64, rate: SamplingRate) -> Interval {
        let unseen = estimate.saturating_sub(self.bytes) as f64;
        let (next, tail) = (rate.sample_bytes(), (1.0 - CONFIDENCE) / 2.0);
        let low = gamma_quantile(unseen, self.variance, tail);
        let high = gamma_quantile(unseen + next, self.variance + next * next, 1.0 - tail);
        Interval {
            low: self.bytes.saturating_add(low.floor() as u64).min(estimate),
            high: self.bytes.saturating_add(high.ceil() as u64).max(estimate),
        }
    }
}

/// Bounds of a sum of bytes, right in [`CONFIDENCE`] of all cases or more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    /// It is this or more.
    pub low: u64,
    /// It is this or less.
    pub high: u64,
}

impl Interval {
    /// Half its width as a share of the estimate; `None` if that is nothing.
    pub fn relative_error(&self, estimate: u64) -> Option<f64> {
        let half = (self.high.saturating_sub(self.low)) as f64 / 2.0;
        (estimate > 0).then(|| half / estimate as f64)
    }
}

/// The quantile of a gamma distribution with this mean and variance; the mean itself if it does
/// not vary.
fn gamma_quantile(mean: f64, variance: f64, share: f64) -> f64 {
    if mean <= 0.0 || variance <= 0.0 {
        return mean.max(0.0);
    }
    let (shape, scale) = (mean * mean / variance, variance / mean);
    if shape >= WIDE_SHAPE {
        // Wilson and Hilferty, 1931.
        let z = if share < 0.5 { -NORMAL_QUANTILE } else { NORMAL_QUANTILE };
        let root = 1.0 - 1.0 / (9.0 * shape) + z / (3.0 * shape.sqrt());
        return shape * scale * root.powi(3);
    }
    scale * standard_quantile(shape, share)
}

/// The same for scale 1: Newton's steps on a logarithmic axis, kept between known bounds.
fn standard_quantile(shape: f64, share: f64) -> f64 {
    let (mut below, mut above) = (-700.0, (shape + 20.0 * shape.sqrt() + 50.0).ln());
    // Right where the distribution is a power, which it is near 0.
    let mut at = ((share.ln() + ln_gamma(shape + 1.0)) / shape).clamp(below, above);
    for _ in 0..STEPS_MAX {
        let x = at.exp();
        let off = gamma_lr(shape, x) - share;
        if off > 0.0 {
            above = at;
        } else {
            below = at;
        }
        let slope = (shape * at - x - ln_gamma(shape)).exp();
        let step = at - off / slope;
        let next = if step > below && step < above { step } else { f64::midpoint(below, above) };
        if (next - at).abs() < 1e-9 {
            return next.exp();
        }
        at = next;
    }
    at.exp()
}

#[cfg(test)]
mod tests {
    use crate::database::estimate::{SampleSum, SamplingRate, gamma_quantile, standard_quantile};

    #[test]
    fn quantiles_are_those_of_the_tables() {
        // Half of a chi-square quantile for twice the degrees of freedom.
        for (degrees, low, high) in [
            (1.0, 0.000_982_069, 5.023_886),
            (2.0, 0.050_635_616, 7.377_759),
            (5.0, 0.831_211_6, 12.832_502),
            (20.0, 9.590_777, 34.169_607),
            (100.0, 74.221_927, 129.561_197),
        ] {
            for (share, known) in [(0.025, low), (0.975, high)] {
                let found = 2.0 * standard_quantile(degrees / 2.0, share);
                assert!((found / known - 1.0).abs() < 1e-6, "{degrees} {share}: {found}");
            }
        }
        assert!(standard_quantile(1e-6, 0.975) < 1e-200);
        // Where both ways of computing it meet.
        for share in [0.025, 0.975] {
            let (below, above) = (499.999, 500.001);
            let ratio = gamma_quantile(below, below, share) / gamma_quantile(above, above, share);
            assert!((ratio - 1.0).abs() < 1e-5, "{ratio}");
        }
    }

    #[test]
    fn what_is_certain_is_exact() {
        let rate = SamplingRate::new(1).unwrap();
        let mut seen = SampleSum::default();
        seen.add(rate, 1 << 30);
        assert_eq!((rate.bytes(1 << 30), rate.blocks(1 << 30)), (1 << 30, 1.0));
        let interval = seen.interval(1 << 30, rate);
        assert_eq!(interval.low, 1 << 30);
        assert!(interval.high <= (1 << 30) + 4);
        // Nothing seen: below 3.7 times the rate, as for no event of a Poisson process.
        let rate = SamplingRate::new(1 << 19).unwrap();
        let interval = SampleSum::default().interval(0, rate);
        let high = interval.high as f64 / f64::from(1 << 19);
        assert!(interval.low == 0 && (high - 3.688_88).abs() < 1e-4, "{high}");
        assert_eq!(interval.relative_error(0), None);
    }
}
