//! Statistics of backtraces: trend, ages, sampling error.

use crate::database::estimate::{Interval, SampleSum, SamplingRate};
use crate::tui::flame::measure::Measure;

/// Number of values in a trend.
pub const TREND: usize = 12;

/// Statistics of a backtrace, or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SiteStats {
    /// Live bytes over the run, each at the end of its part.
    pub trend: [u64; TREND],
    /// Sum of the ages of blocks live at the end, in ns.
    pub age_sum_ns: f64,
    /// Number of these blocks; estimated from samples.
    pub live_blocks: f64,
    /// Sample sums of allocated bytes, for error bounds.
    pub allocated: SampleSum,
    /// Sample sums of bytes live at the end, for error bounds.
    pub live: SampleSum,
}

impl SiteStats {
    /// Mean age of blocks live at the end.
    pub fn age_ns(&self) -> Option<f64> {
        (self.live_blocks > 0.0).then(|| self.age_sum_ns / self.live_blocks)
    }

    /// The error bounds of a value, if known for the measure.
    pub fn interval(&self, measure: Measure, value: u64, rate: SamplingRate) -> Option<Interval> {
        match measure {
            Measure::LiveAtEnd => Some(self.live.interval(value, rate)),
            Measure::Allocated => Some(self.allocated.interval(value, rate)),
            _ => None,
        }
    }

    /// Adds the statistics of another backtrace.
    pub fn add(&mut self, other: &Self) {
        for (sum, value) in self.trend.iter_mut().zip(other.trend) {
            *sum = sum.saturating_add(value);
        }
        self.age_sum_ns += other.age_sum_ns;
        self.live_blocks += other.live_blocks;
        self.allocated.merge(&other.allocated);
        self.live.merge(&other.live);
    }
}
