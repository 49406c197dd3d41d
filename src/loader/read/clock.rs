//! Turns stamps into nanoseconds since tracking was enabled, between the recording's clock pairs.
//!
//! Reads: the header and all clock pairs. Writes: nothing.
//!
//! Invariants: a later stamp never gives an earlier time; any pairs give some times, never a
//! panic. Pairs that event back on either clock are left out.

use crate::loader::model::Nanos;
use crate::recording::{ClockPair, Header, Ticks};

/// Fraction bits of a rate.
const RATE_SHIFT: u32 = 32;

/// A stretch of time with one rate.
#[derive(Clone, Copy, Debug)]
struct Segment {
    from_ticks: u64,
    from_ns: u64,
    /// Where the next segment begins: no time in this one is later.
    to_ns: u64,
    /// Nanoseconds a tick, times 2³².
    rate: u64,
}

/// No moment is later, whatever a damaged stamp says: 36 years. So times fit the database's
/// signed numbers, and sums of two of them are no overflow.
const NANOS_MAX: u64 = 1 << 60;

impl Segment {
    fn convert(&self, ticks: u64) -> u64 {
        let passed = u128::from(ticks.saturating_sub(self.from_ticks));
        let ns = (passed * u128::from(self.rate)) >> RATE_SHIFT;
        let ns = u64::try_from(ns).unwrap_or(u64::MAX);
        self.from_ns.saturating_add(ns).min(self.to_ns)
    }
}

/// Stamps → nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    segments: Vec<Segment>,
    /// The segment that was used last; stamps come nearly in order.
    last: usize,
}

impl Clock {
    /// From the header's moment zero through the pairs, which are taken in the order of stamps.
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
        // Behind the last pair the rate of the whole is the best guess; the nominal one without.
        let whole = (points.len() > 1).then(|| rate(points[0], end));
        segments.push(Segment {
            from_ticks: end.0,
            from_ns: end.1,
            to_ns: u64::MAX,
            rate: whole.unwrap_or(nominal),
        });
        Self { segments, last: 0 }
    }

    /// How long so many ticks are, at the rate of a moment.
    pub(crate) fn length(&mut self, ticks: u64, at: Ticks) -> u128 {
        self.nanos(at);
        (u128::from(ticks) * u128::from(self.segments[self.last].rate)) >> RATE_SHIFT
    }

    /// When that was; 0 for everything before tracking was enabled.
    #[inline]
    pub(crate) fn nanos(&mut self, at: Ticks) -> Nanos {
        let holds = |index: usize| {
            let next = self.segments.get(index + 1);
            self.segments[index].from_ticks <= at.0
                && next.is_none_or(|next| at.0 < next.from_ticks)
        };
        if !holds(self.last) {
            let behind = self.segments.partition_point(|segment| segment.from_ticks <= at.0);
            self.last = behind.saturating_sub(1);
        }
        Nanos(self.segments[self.last].convert(at.0).min(NANOS_MAX))
    }
}

fn rate(from: (u64, u64), to: (u64, u64)) -> u64 {
    let ticks = u128::from(to.0 - from.0).max(1);
    let ns = u128::from(to.1 - from.1);
    u64::try_from((ns << RATE_SHIFT) / ticks).unwrap_or(u64::MAX)
}
