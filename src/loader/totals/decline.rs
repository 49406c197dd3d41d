//! Since when what is alive only declines, noted while events pass: where a shutdown may have begun.
//!
//! Reads: live bytes and blocks after every event. Writes: a few [`Moment`]s, the likely ones among all.
//!
//! The last moment at which more was alive than at any later one (or nearly as much: what is at work
//! comes and goes) is where the last decline began. A program at work declines all the time, so a decline
//! is over as soon as a good part of what it freed has come back; smaller rises are part of it, since
//! a program that puts things away allocates as well. Where such rises interrupt a long decline, the moments before them are kept
//! too, and the reader of them decides. Bytes and blocks are looked at each for itself: beside one
//! large block a thousand small ones are nothing in bytes.
//!
//! Invariants:
//! - Moments of one measure are in the order of time, and each had more alive than every later one.
//! - There are at most [`MOMENTS_MAX`] of each, whatever the run did.

use crate::loader::rows::Nanos;
use crate::loader::totals::Global;

/// A decline is over once this share (one in so many) of what it freed has come back.
const RESUMED_ONE_IN: u64 = 4;
/// One part in so many of what was alive is noise.
const NOISE_ONE_IN: u64 = 64;
/// An earlier moment is kept if it had more alive than the next by one part in so many: else
/// nothing is told by it that the next one does not tell.
const APART_ONE_IN: u64 = 8;
/// Moments kept: they differ by [`APART_ONE_IN`], so that these reach from everything to a quarter.
const MOMENTS_MAX: usize = 12;
/// A fall is deep if it leaves at most one part in so many.
const DEEP_ONE_IN: u64 = 5;

/// What was alive at a moment, and what had been done until then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment {
    /// When.
    pub(crate) at: Nanos,
    /// Bytes alive.
    pub(crate) live_bytes: u64,
    /// Blocks alive.
    pub(crate) live_blocks: u64,
    /// Blocks made until then.
    pub(crate) allocations: u64,
    /// Of what fell and rose again, how much fell in the end, and how much rose again: in bytes or
    /// in blocks, as the moment was found.
    pub(crate) fallen: u64,
    pub(crate) regrown: u64,
    /// Live bytes had then fallen to where deep falls before had ended.
    pub(crate) is_bottom: bool,
}

impl Moment {
    fn of(at: Nanos, global: &Global) -> Self {
        Self {
            at,
            live_bytes: global.live_bytes,
            live_blocks: global.live_blocks,
            allocations: global.allocations,
            ..Self::default()
        }
    }
}

/// A deep fall after which the program went on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Precedents {
    /// How many there were.
    pub(crate) count: u64,
    /// The most that was alive before one.
    pub(crate) high_bytes: u64,
    /// The least that was alive after the last one.
    pub(crate) low_bytes: u64,
}

/// The declines of a run so far.
#[derive(Debug, Default)]
pub(crate) struct Declines {
    bytes: Decline,
    blocks: Decline,
}

impl Declines {
    /// A block was made.
    #[inline]
    pub(crate) fn made(&mut self, at: Nanos, global: &Global) {
        self.bytes.made(at, global.live_bytes, global);
        self.blocks.made(at, global.live_blocks, global);
    }

    /// A block was freed.
    #[inline]
    pub(crate) fn freed(&mut self, at: Nanos, global: &Global) {
        self.blocks.freed(global.live_blocks);
        if self.bytes.freed(global.live_bytes) {
            self.bottom(at, global);
        }
    }

    /// Live bytes are less than ever since a decline began: perhaps as little as after those before.
    #[inline]
    fn bottom(&mut self, at: Nanos, global: &Global) {
        let low = self.bytes.precedents.low_bytes;
        if self.bytes.bottom.is_none()
            && self.bytes.precedents.count > 0
            && global.live_bytes <= low + low / APART_ONE_IN
        {
            self.bytes.bottom = Some(Moment {
                is_bottom: true,
                fallen: global.live_bytes,
                ..Moment::of(at, global)
            });
        }
    }

    /// Moments after which what is alive declined to the end, the earliest first.
    pub(crate) fn moments(&self) -> Vec<Moment> {
        let mut all = self.bytes.moments();
        all.extend(self.bytes.bottom);
        all.extend(self.blocks.moments());
        all.sort_by_key(|moment| moment.at);
        all.dedup_by_key(|moment| moment.at);
        all
    }

    /// Deep falls of live bytes before the last moment.
    pub(crate) fn precedents(&self) -> Precedents {
        self.bytes.precedents
    }
}

/// The declines of one measure.
#[derive(Debug, Default)]
struct Decline {
    latest: Moment,
    /// Alive at the latest moment, and least alive since then.
    high: u64,
    low: u64,
    /// More than this alive means that it is over.
    resumes_above: u64,
    /// With what was alive at each.
    earlier: Vec<(u64, Moment)>,
    precedents: Precedents,
    bottom: Option<Moment>,
}

impl Decline {
    #[inline]
    fn made(&mut self, at: Nanos, live: u64, global: &Global) {
        if live > self.resumes_above {
            self.resume(at, live, global);
        }
    }

    /// Says whether that is the least since the decline began.
    #[inline]
    fn freed(&mut self, live: u64) -> bool {
        let is_least = live < self.low;
        if is_least {
            self.low = live;
            let noise = self.high / NOISE_ONE_IN;
            let back = ((self.high - live) / RESUMED_ONE_IN).max(noise);
            self.resumes_above = (live + back).min(self.high - noise);
        }
        is_least
    }

    #[inline]
    fn resume(&mut self, at: Nanos, live: u64, global: &Global) {
        let nearly_high = self.high - self.high / NOISE_ONE_IN;
        if live > self.high || live < nearly_high {
            if self.low < nearly_high || !self.earlier.is_empty() {
                self.go_on(live);
            }
            self.high = live;
        }
        self.latest = Moment::of(at, global);
        self.low = live;
        self.resumes_above = self.high - self.high / NOISE_ONE_IN;
        self.bottom = None;
    }

    /// A decline is over: what is to be remembered of it?
    fn go_on(&mut self, live: u64) {
        let high = self.high;
        if self.low <= high / DEEP_ONE_IN {
            let precedents = &mut self.precedents;
            // Falls of a small part of what was alive later say nothing of it.
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
        let apart = live + live / APART_ONE_IN;
        while let Some((high, moment)) = self.earlier.pop() {
            if high > apart {
                self.earlier.push((high, moment));
                break;
            }
            // What came back after a moment that is dropped came back after the one before.
            if let Some((_, before)) = self.earlier.last_mut() {
                before.regrown = before.regrown.saturating_add(moment.regrown);
            }
        }
        if self.earlier.len() >= MOMENTS_MAX {
            self.earlier.remove(0);
        }
    }

    /// The earliest first, each with all that came back later.
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
    use crate::loader::rows::Nanos;
    use crate::loader::totals::Global;
    use crate::loader::totals::decline::{Decline, MOMENTS_MAX};

    /// Live bytes after each of some events, one a nanosecond.
    fn after(curve: &[u64]) -> Decline {
        let mut decline = Decline::default();
        let mut global = Global::default();
        for (at, live) in (0..).zip(curve) {
            let falls = *live < global.live_bytes;
            global.live_bytes = *live;
            if falls {
                decline.freed(*live);
            } else {
                decline.made(Nanos(at), *live, &global);
            }
        }
        decline
    }

    fn begins(curve: &[u64]) -> Vec<(u64, u64, u64)> {
        let moments = after(curve).moments();
        moments.iter().map(|it| (it.at.0, it.live_bytes, it.regrown)).collect()
    }

    #[test]
    fn a_decline_begins_where_more_was_alive_than_ever_after() {
        // What grows begins none before its end, and what came back is no decline.
        assert_eq!(begins(&[10, 20, 30]), [(2, 30, 0)]);
        assert_eq!(begins(&[10, 100, 0, 100, 0, 100, 0]), [(5, 100, 0)]);
        assert_eq!(begins(&[10, 100, 60, 20, 0]), [(1, 100, 0)]);
        // Small rises are part of it; larger ones begin another, and are told.
        assert_eq!(begins(&[100, 60, 65, 20, 30, 0]), [(0, 100, 0)]);
        assert_eq!(begins(&[100, 60, 75, 20, 0]), [(0, 100, 15), (2, 75, 0)]);
        // … but not where they come near to where it began.
        assert_eq!(begins(&[100, 60, 95, 20, 0]), [(2, 95, 0)]);
        assert_eq!(begins(&[100, 60, 75, 20, 90, 0]), [(4, 90, 0)]);
        assert_eq!(begins(&[200, 100, 140, 90, 130, 0]), [(0, 200, 80), (4, 130, 0)]);
    }

    #[test]
    fn deep_falls_that_did_not_end_the_run_are_counted() {
        let count = |curve: &[u64]| {
            let precedents = after(curve).precedents;
            (precedents.count, precedents.high_bytes, precedents.low_bytes)
        };
        assert_eq!(count(&[100, 0]), (0, 0, 0));
        assert_eq!(count(&[100, 90, 100, 0]), (0, 0, 0));
        assert_eq!(count(&[100, 5, 100, 3, 90, 0]), (2, 100, 3));
        // The little falls of the beginning are not those of what it became.
        assert_eq!(count(&[10, 0, 10, 0, 10, 100, 5, 100]), (1, 100, 5));
    }

    #[test]
    fn however_it_falls_few_moments_are_kept() {
        let falls: Vec<u64> = (0..40).flat_map(|n| [1_u64 << (60 - n), 0, 1 << (59 - n)]).collect();
        let decline = after(&falls);
        assert!(decline.moments().len() <= MOMENTS_MAX + 1);
        assert!(decline.moments().is_sorted_by_key(|moment| moment.at));
        assert!(decline.moments().is_sorted_by(|one, next| one.live_bytes > next.live_bytes));
    }
}
