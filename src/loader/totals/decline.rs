//! Declines of the live heap, tracked during the event pass: the moments at which a shutdown may have
//! begun.
//!
//! The last decline began at the last moment with more live bytes than at any later one, or nearly as
//! many, because live bytes of a working program vary. A working program declines all the time, so a
//! decline is over as soon as a good part of the freed memory is allocated again; smaller rises are
//! part of it, because a shutdown allocates as well. If such rises interrupt a long decline, the
//! moments before them are kept too, and `analyze::shutdown` decides. Bytes and blocks are tracked
//! separately: next to one large block, a thousand small ones do not count in bytes.
//!
//! Invariants:
//! - Moments of one measure are in the order of time, and each had more live than every later one.
//! - There are at most [`MOMENTS_MAX`] of each, whatever the recording.

use crate::loader::model::Nanos;
use crate::loader::totals::GlobalTotals;

/// A decline is over once one in this many of the freed bytes is allocated again.
const RESUMED_ONE_IN: u64 = 4;
/// One in this many live bytes is noise.
const NOISE_ONE_IN: u64 = 64;
/// An earlier moment is kept if it had more live bytes than the next, by one in this many: else it
/// adds nothing to the next one.
const APART_ONE_IN: u64 = 8;
/// Limit on kept moments: they differ by [`APART_ONE_IN`], so that these span a factor of four.
const MOMENTS_MAX: usize = 12;
/// A decline is deep if it leaves at most one in this many live bytes.
const DEEP_ONE_IN: u64 = 5;

/// The live heap at a moment, and the allocations up to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Its time.
    pub(crate) at: Nanos,
    /// Live bytes.
    pub(crate) live_bytes: u64,
    /// Live blocks.
    pub(crate) live_blocks: u64,
    /// Allocations so far.
    pub(crate) allocations: u64,
    /// The fall from here to the end, and the sum of the rises on the way; in bytes or in blocks,
    /// depending on the measure that the moment was found by.
    pub(crate) fallen: u64,
    pub(crate) regrown: u64,
    /// Live bytes had fallen to the level at which earlier deep declines ended.
    pub(crate) is_bottom: bool,
}

impl Moment {
    fn of(at: Nanos, global: &GlobalTotals) -> Self {
        Self {
            at,
            live_bytes: global.live_bytes,
            live_blocks: global.live_blocks,
            allocations: global.allocations,
            ..Self::default()
        }
    }
}

/// Deep declines after which the program continued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Precedents {
    /// Their number.
    pub(crate) count: u64,
    /// Most live bytes before one.
    pub(crate) high_bytes: u64,
    /// Least live bytes after the last one.
    pub(crate) low_bytes: u64,
}

/// The declines so far.
#[derive(Debug, Default)]
pub(crate) struct Declines {
    bytes: Decline,
    blocks: Decline,
}

impl Declines {
    /// A block was allocated.
    #[inline]
    pub(crate) fn on_alloc(&mut self, at: Nanos, global: &GlobalTotals) {
        self.bytes.on_alloc(at, global.live_bytes, global);
        self.blocks.on_alloc(at, global.live_blocks, global);
    }

    /// A block was freed.
    #[inline]
    pub(crate) fn on_free(&mut self, at: Nanos, global: &GlobalTotals) {
        self.blocks.on_free(global.live_blocks);
        if self.bytes.on_free(global.live_bytes) {
            self.bottom(at, global);
        }
    }

    /// Live bytes are at their minimum since the decline began, perhaps at that of earlier declines.
    #[inline]
    fn bottom(&mut self, at: Nanos, global: &GlobalTotals) {
        let low = self.bytes.precedents.low_bytes;
        if self.bytes.bottom.is_none()
            && self.bytes.precedents.count > 0
            && global.live_bytes <= low.saturating_add(low / APART_ONE_IN)
        {
            self.bytes.bottom = Some(Moment {
                is_bottom: true,
                fallen: global.live_bytes,
                ..Moment::of(at, global)
            });
        }
    }

    /// Moments after which the live heap declined up to the end, in the order of time.
    pub(crate) fn moments(&self) -> Vec<Moment> {
        let mut all = self.bytes.moments();
        all.extend(self.bytes.bottom);
        all.extend(self.blocks.moments());
        all.sort_by_key(|moment| moment.at);
        all.dedup_by_key(|moment| moment.at);
        all
    }

    /// Deep declines of live bytes before the last moment.
    pub(crate) fn precedents(&self) -> Precedents {
        self.bytes.precedents
    }
}

/// The declines of one measure.
#[derive(Debug, Default)]
struct Decline {
    latest: Moment,
    /// The measure at the latest moment, and its minimum since then.
    high: u64,
    low: u64,
    /// Above this value the decline is over.
    resumes_above: u64,
    /// Earlier moments, each with the value of the measure.
    earlier: Vec<(u64, Moment)>,
    precedents: Precedents,
    bottom: Option<Moment>,
}

impl Decline {
    #[inline]
    fn on_alloc(&mut self, at: Nanos, live: u64, global: &GlobalTotals) {
        if live > self.resumes_above {
            self.resume(at, live, global);
        }
    }

    /// Returns whether that is the minimum since the decline began.
    #[inline]
    fn on_free(&mut self, live: u64) -> bool {
        let is_least = live < self.low;
        if is_least {
            self.low = live;
            let noise = self.high / NOISE_ONE_IN;
            let back = ((self.high - live) / RESUMED_ONE_IN).max(noise);
            self.resumes_above = live.saturating_add(back).min(self.high - noise);
        }
        is_least
    }

    #[inline]
    fn resume(&mut self, at: Nanos, live: u64, global: &GlobalTotals) {
        let nearly_high = self.high - self.high / NOISE_ONE_IN;
        let is_new_level = live > self.high || live < nearly_high;
        // A heap that is nearly freed and refilled to the same level has shown a precedent.
        if is_new_level || self.low <= self.high / DEEP_ONE_IN {
            if self.low < nearly_high || !self.earlier.is_empty() {
                self.end_decline(live);
            }
            self.high = if is_new_level { live } else { self.high };
        }
        self.latest = Moment::of(at, global);
        self.low = live;
        self.resumes_above = self.high - self.high / NOISE_ONE_IN;
        self.bottom = None;
    }

    /// A decline is over: keeps its moment, and counts it if it was deep.
    fn end_decline(&mut self, live: u64) {
        let high = self.high;
        if self.low <= high / DEEP_ONE_IN {
            let precedents = &mut self.precedents;
            // Declines of a much smaller heap are no precedent.
            if precedents.count == 0 || high / 2 > precedents.high_bytes {
                *precedents = Precedents { count: 0, high_bytes: high, low_bytes: self.low };
            }
            if high >= precedents.high_bytes / 2 {
                precedents.count += 1;
                precedents.high_bytes = precedents.high_bytes.max(high);
                precedents.low_bytes = self.low;
            }
        }
        self.latest.regrown = live.saturating_sub(self.low);
        self.earlier.push((high, self.latest));
        let apart = live.saturating_add(live / APART_ONE_IN);
        while let Some((high, moment)) = self.earlier.pop() {
            if high > apart {
                self.earlier.push((high, moment));
                break;
            }
            // Rises after a dropped moment are rises after the one before.
            if let Some((_, before)) = self.earlier.last_mut() {
                before.regrown = before.regrown.saturating_add(moment.regrown);
            }
        }
        if self.earlier.len() >= MOMENTS_MAX {
            self.earlier.remove(0);
        }
    }

    /// In the order of time, each with the sum of all later rises.
    fn moments(&self) -> Vec<Moment> {
        let mut all: Vec<_> =
            self.earlier.iter().copied().chain([(self.high, self.latest)]).collect();
        let mut regrown = 0_u64;
        for (high, moment) in all.iter_mut().rev() {
            regrown = regrown.saturating_add(moment.regrown);
            moment.regrown = regrown;
            moment.fallen = high.saturating_sub(self.low);
        }
        all.into_iter().map(|(_, moment)| moment).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::loader::model::Nanos;
    use crate::loader::totals::GlobalTotals;
    use crate::loader::totals::decline::{Decline, MOMENTS_MAX};

    /// The decline after events with these live bytes, one per nanosecond.
    fn after(curve: &[u64]) -> Decline {
        let mut decline = Decline::default();
        let mut global = GlobalTotals::default();
        for (at, live) in (0..).zip(curve) {
            let falls = *live < global.live_bytes;
            global.live_bytes = *live;
            if falls {
                decline.on_free(*live);
            } else {
                decline.on_alloc(Nanos(at), *live, &global);
            }
        }
        decline
    }

    fn begins(curve: &[u64]) -> Vec<(u64, u64, u64)> {
        let moments = after(curve).moments();
        moments.iter().map(|it| (it.at.0, it.live_bytes, it.regrown)).collect()
    }

    #[test]
    fn a_decline_begins_where_more_is_live_than_ever_after() {
        // Growth has no decline before its end, and memory that is allocated again is no decline.
        assert_eq!(begins(&[10, 20, 30]), [(2, 30, 0)]);
        assert_eq!(begins(&[10, 100, 0, 100, 0, 100, 0]), [(5, 100, 0)]);
        assert_eq!(begins(&[10, 100, 60, 20, 0]), [(1, 100, 0)]);
        // Small rises are part of it; larger ones begin another.
        assert_eq!(begins(&[100, 60, 65, 20, 30, 0]), [(0, 100, 0)]);
        assert_eq!(begins(&[100, 60, 75, 20, 0]), [(0, 100, 15), (2, 75, 0)]);
        // … but not if they nearly reach its beginning.
        assert_eq!(begins(&[100, 60, 95, 20, 0]), [(2, 95, 0)]);
        assert_eq!(begins(&[100, 60, 75, 20, 90, 0]), [(4, 90, 0)]);
        assert_eq!(begins(&[200, 100, 140, 90, 130, 0]), [(0, 200, 80), (4, 130, 0)]);
    }

    #[test]
    fn deep_declines_that_did_not_end_the_run_are_counted() {
        let count = |curve: &[u64]| {
            let precedents = after(curve).precedents;
            (precedents.count, precedents.high_bytes, precedents.low_bytes)
        };
        assert_eq!(count(&[100, 0]), (0, 0, 0));
        assert_eq!(count(&[100, 90, 100, 0]), (0, 0, 0));
        assert_eq!(count(&[100, 5, 100, 3, 90, 0]), (2, 100, 3));
        // Small declines at the beginning are no precedents of later ones.
        assert_eq!(count(&[10, 0, 10, 0, 10, 100, 5, 100]), (1, 100, 5));
    }

    #[test]
    fn few_moments_are_kept() {
        let falls: Vec<u64> = (0..40).flat_map(|n| [1_u64 << (60 - n), 0, 1 << (59 - n)]).collect();
        let decline = after(&falls);
        assert!(decline.moments().len() <= MOMENTS_MAX + 1);
        assert!(decline.moments().is_sorted_by_key(|moment| moment.at));
        assert!(decline.moments().is_sorted_by(|one, next| one.live_bytes > next.live_bytes));
    }
}
