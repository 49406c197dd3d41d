//! Estimates of sums from a sampled recording, and their confidence intervals. docs/guide/SAMPLING.md
//! derives the formulas.
//!
//! Invariants:
//! - The lower bound is at least the bytes of the sampled blocks.
//! - Where every block is sampled with certainty, estimate and lower bound are exact.

pub mod trend;

use statrs::function::gamma::{gamma_lr, ln_gamma};

/// The least probability that the true sum is inside the interval.
pub const CONFIDENCE: f64 = 0.95;

/// The two-sided quantile of the normal distribution for [`CONFIDENCE`].
const NORMAL_QUANTILE: f64 = 1.959_963_984_540_054;

/// From this shape on, the Wilson–Hilferty approximation is accurate to six digits.
const WIDE_SHAPE: f64 = 500.0;

/// Limit on Newton steps; it usually converges within ten.
const STEPS_MAX: usize = 200;

/// The sampling rate: one sample per this many bytes, on average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplingRate(f64);

impl SamplingRate {
    /// One sample per `sample_bytes`; `None` for 0, which means no sampling.
    pub fn new(sample_bytes: u64) -> Option<Self> {
        (sample_bytes > 0).then_some(Self(sample_bytes as f64))
    }

    /// Mean bytes between two samples.
    pub fn sample_bytes(self) -> f64 {
        self.0
    }

    /// The probability that a block of this size is sampled. Size 0, which `Layout` forbids for
    /// allocators, counts as 1.
    pub fn probability(self, size: u64) -> f64 {
        -(-(size.max(1) as f64) / self.0).exp_m1()
    }

    /// The number of blocks that a sampled block of this size stands for; at least 1.
    pub fn blocks(self, size: u64) -> f64 {
        1.0 / self.probability(size)
    }

    /// The bytes that a sampled block of this size stands for.
    pub fn bytes(self, size: u64) -> u64 {
        (size as f64 / self.probability(size)).round() as u64
    }

    /// Its contribution to the variance of a sum of bytes: `size² (1 − p) / p²`.
    pub fn variance(self, size: u64) -> f64 {
        let p = self.probability(size);
        (size as f64 / p).powi(2) * (1.0 - p)
    }
}

/// The sampled blocks behind a sum.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SampleSum {
    /// Number of sampled blocks.
    pub blocks: u64,
    /// Their own bytes, without weights.
    pub bytes: u64,
    /// The variance of the estimate, in bytes².
    pub variance: f64,
}

impl SampleSum {
    /// Adds a sampled block.
    pub fn add(&mut self, rate: SamplingRate, size: u64) {
        self.blocks += 1;
        self.bytes = self.bytes.saturating_add(size);
        self.variance += rate.variance(size);
    }

    /// Adds the blocks of a disjoint sum.
    pub fn merge(&mut self, other: &Self) {
        self.blocks = self.blocks.saturating_add(other.blocks);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.variance += other.variance;
    }

    /// The confidence interval of the true sum of bytes; `estimate` is the weighted sum of these
    /// blocks.
    ///
    /// The bytes of unsampled blocks are taken as gamma-distributed with the mean and variance of the
    /// estimate; for the upper bound with one more small block (Fay and Feuer, 1997, for weighted
    /// sums of Poisson counts).
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

/// A confidence interval of a sum of bytes, of level [`CONFIDENCE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    /// The lower bound.
    pub low: u64,
    /// The upper bound.
    pub high: u64,
}

impl Interval {
    /// Half the width relative to the estimate; `None` if the estimate is 0.
    pub fn relative_error(&self, estimate: u64) -> Option<f64> {
        let half = (self.high.saturating_sub(self.low)) as f64 / 2.0;
        (estimate > 0).then(|| half / estimate as f64)
    }
}

/// A quantile of the gamma distribution of this mean and variance; the mean if the variance is 0.
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

/// The same for scale 1: Newton's method on a logarithmic axis, bracketed by known bounds.
fn standard_quantile(shape: f64, share: f64) -> f64 {
    let (mut below, mut above) = (-700.0, (shape + 20.0 * shape.sqrt() + 50.0).ln());
    // The exact solution near 0, where the distribution is a power of x.
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
    fn quantiles_match_published_tables() {
        // Half the chi-square quantile for twice the degrees of freedom.
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
        // At the switch between the two methods.
        for share in [0.025, 0.975] {
            let (below, above) = (499.999, 500.001);
            let ratio = gamma_quantile(below, below, share) / gamma_quantile(above, above, share);
            assert!((ratio - 1.0).abs() < 1e-5, "{ratio}");
        }
    }

    #[test]
    fn certain_samples_have_exact_bounds() {
        let rate = SamplingRate::new(1).unwrap();
        let mut seen = SampleSum::default();
        seen.add(rate, 1 << 30);
        assert_eq!((rate.bytes(1 << 30), rate.blocks(1 << 30)), (1 << 30, 1.0));
        let interval = seen.interval(1 << 30, rate);
        assert_eq!(interval.low, 1 << 30);
        assert!(interval.high <= (1 << 30) + 4);
        // No samples: 3.7 times the rate, as for zero events of a Poisson process.
        let rate = SamplingRate::new(1 << 19).unwrap();
        let interval = SampleSum::default().interval(0, rate);
        let high = interval.high as f64 / f64::from(1 << 19);
        assert!(interval.low == 0 && (high - 3.688_88).abs() < 1e-4, "{high}");
        assert_eq!(interval.relative_error(0), None);
    }
}
