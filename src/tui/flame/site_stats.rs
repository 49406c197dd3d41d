//! What is known of a backtrace beside its weight: how it grew, and how old its blocks are.

use crate::database::estimate::{Interval, Rate, SampleSum};
use crate::tui::flame::measure::Measure;

/// Values in a trend.
pub const TREND: usize = 12;

/// Facts of a backtrace, or sums of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SiteStats {
    /// Live bytes over the run, each at the end of its share.
    pub trend: [u64; TREND],
    /// Ages at the end of the blocks alive then, summed, in ns.
    pub age_sum_ns: f64,
    /// How many these are; of samples, what they stand for.
    pub live_blocks: f64,
    /// The samples of what was made, where sums are estimates.
    pub allocated: SampleSum,
    /// The same of what is alive at the end.
    pub live: SampleSum,
}

impl SiteStats {
    /// Mean age of what is alive at the end.
    pub fn age_ns(&self) -> Option<f64> {
        (self.live_blocks > 0.0).then(|| self.age_sum_ns / self.live_blocks)
    }

    /// The bounds of what they sum up to by a measure, if these are known.
    pub fn interval(&self, measure: Measure, value: u64, rate: Rate) -> Option<Interval> {
        match measure {
            Measure::LiveAtEnd => Some(self.live.interval(value, rate)),
            Measure::Allocated => Some(self.allocated.interval(value, rate)),
            _ => None,
        }
    }

    /// Adds those of another backtrace.
    pub fn add(&mut self, other: &Self) {
        for (sum, value) in self.trend.iter_mut().zip(other.trend) {
            *sum = sum.saturating_add(value);
        }
        self.age_sum_ns += other.age_sum_ns;
        self.live_blocks += other.live_blocks;
        self.allocated.join(&other.allocated);
        self.live.join(&other.live);
    }
}
