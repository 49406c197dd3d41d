//! Converts timestamps in clock ticks to nanoseconds since tracking was enabled, by linear
//! interpolation between the recording's clock pairs.
//!
//! Invariants: a later timestamp never gives an earlier time; no clock pairs cause a panic. Pairs
//! that go backward on either clock are ignored.

use crate::loader::model::Nanos;
use crate::recording::{ClockPair, Header, Ticks};

/// Fraction bits of a rate: the rounding error stays below 1 ns per 2³² ticks.
const RATE_SHIFT: u32 = 32;

/// The time between two clock pairs, with a constant rate.
#[derive(Clone, Copy, Debug)]
struct Segment {
    from_ticks: u64,
    from_ns: u64,
    /// Start of the next segment: later times are clamped to it.
    to_ns: u64,
    /// Nanoseconds per tick, times 2³².
    rate: u64,
}

/// The latest time, 36 years: timestamps of a damaged recording are clamped to it. Times then fit
/// SQLite's signed integers, and the sum of two does not overflow.
const NANOS_MAX: u64 = 1 << 60;

impl Segment {
    fn convert(&self, ticks: u64) -> u64 {
        let passed = u128::from(ticks.saturating_sub(self.from_ticks));
        let ns = (passed * u128::from(self.rate)) >> RATE_SHIFT;
        let ns = u64::try_from(ns).unwrap_or(u64::MAX);
        self.from_ns.saturating_add(ns).min(self.to_ns)
    }
}

/// Converts ticks to nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    segments: Vec<Segment>,
    /// The segment of the last conversion: timestamps come nearly in order, so the next one is
    /// usually in it too.
    last: usize,
}

impl Clock {
    /// Starts at the header's time zero; sorts the pairs by ticks.
    pub(crate) fn new(header: &Header, pairs: &[ClockPair]) -> Self {
        let nominal =
            if header.ticks_per_second > 0.0 { 1e9 / header.ticks_per_second } else { 1.0 };
        let nominal = (nominal * f64::from(2.0_f32.powi(RATE_SHIFT as i32))) as u64;
        let mut points = vec![(header.started_ticks.0, 0)];
        let mut sorted: Vec<_> = pairs
            .iter()
            .map(|pair| {
                let ns = pair.monotonic_ns.saturating_sub(header.started_monotonic_ns);
                (pair.ticks.0, ns)
            })
            .collect();
        sorted.sort_unstable();
        for (ticks, ns) in sorted {
            if points.last().is_some_and(|last: &(u64, u64)| ticks > last.0 && ns >= last.1) {
                points.push((ticks, ns));
            }
        }
        let mut segments: Vec<_> = points
            .windows(2)
            .map(|ends| Segment {
                from_ticks: ends[0].0,
                from_ns: ends[0].1,
                to_ns: ends[1].1,
                rate: rate(ends[0], ends[1]),
            })
            .collect();
        let end = points.last().copied().unwrap_or_default();
        // Behind the last pair: the average rate of all pairs, or the nominal rate without pairs.
        let whole = (points.len() > 1).then(|| rate(points[0], end));
        segments.push(Segment {
            from_ticks: end.0,
            from_ns: end.1,
            to_ns: u64::MAX,
            rate: whole.unwrap_or(nominal),
        });
        Self { segments, last: 0 }
    }

    /// The nanoseconds of a number of ticks, at the rate that holds at `at`.
    pub(crate) fn duration_ns(&mut self, ticks: u64, at: Ticks) -> u128 {
        self.nanos(at);
        (u128::from(ticks) * u128::from(self.segments[self.last].rate)) >> RATE_SHIFT
    }

    /// The time of a timestamp; 0 if it lies before tracking was enabled.
    #[inline]
    pub(crate) fn nanos(&mut self, at: Ticks) -> Nanos {
        let contains = |index: usize| {
            let next = self.segments.get(index + 1);
            self.segments[index].from_ticks <= at.0
                && next.is_none_or(|next| at.0 < next.from_ticks)
        };
        if !contains(self.last) {
            let next = self.segments.partition_point(|segment| segment.from_ticks <= at.0);
            self.last = next.saturating_sub(1);
        }
        Nanos(self.segments[self.last].convert(at.0).min(NANOS_MAX))
    }
}

fn rate(from: (u64, u64), to: (u64, u64)) -> u64 {
    let ticks = u128::from(to.0 - from.0).max(1);
    let ns = u128::from(to.1 - from.1);
    u64::try_from((ns << RATE_SHIFT) / ticks).unwrap_or(u64::MAX)
}
