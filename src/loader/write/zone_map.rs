//! Stretches of rows with the times that are in them, so that a query about a moment can pass
//! over most rows of `allocations`.
//!
//! Reads: rows in the order in which blocks ended. Writes: a [`Zone`] a stretch, and its zone_outliers.
//!
//! A stretch is read for a moment only if something in it ended after that moment and something
//! in it was made before. Nearly every stretch has a few blocks that are far older than the rest
//! (what a cache lets go of), which would make that last question useless; so these few, the
//! *zone_outliers*, are named one by one and left out of the stretch's times.
//!
//! Invariants:
//! - A row of a zone is an elder if and only if it was made before the zone's `made_from`.
//! - At most [`ELDERS_MAX`] of a batch's rows are zone_outliers.

use std::collections::VecDeque;

use crate::loader::model::{AllocationRow, Nanos};

/// One in 32 rows of a full batch.
const ELDERS_MAX: usize = 512;

/// ZoneMap that a block has to outlive to be an elder: what is younger is near in `allocations`.
const ZONES_OUTLIVED: usize = 4;

/// A stretch of rows of blocks that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Zone {
    /// First row.
    pub(crate) first: u64,
    /// Last row.
    pub(crate) last: u64,
    /// Earliest allocation of those that are no zone_outliers.
    pub(crate) made_from: Nanos,
    /// Earliest end.
    pub(crate) ended_from: Nanos,
    /// Latest end.
    pub(crate) ended_to: Nanos,
}

/// All zones so far.
#[derive(Debug, Default)]
pub(crate) struct ZoneMap {
    list: Vec<Zone>,
    /// Latest ends of the last few zones.
    recent: VecDeque<Nanos>,
    /// Kept for its room.
    old: Vec<Nanos>,
}

impl ZoneMap {
    /// Takes in rows, the first of which has this number. Blocks that did not end are passed
    /// over; they stand behind all others. Says before when a row was made if it is an elder.
    pub(crate) fn push(&mut self, first: u64, rows: &[AllocationRow]) -> Nanos {
        let ended = || rows.iter().filter_map(|row| Some((row.made, row.freed?)));
        let horizon = match self.recent.front() {
            Some(end) if self.recent.len() == ZONES_OUTLIVED => *end,
            _ => Nanos(0),
        };
        let (mut count, mut made_from) = (0_u64, None::<Nanos>);
        let (mut ended_from, mut ended_to) = (Nanos(u64::MAX), Nanos(0));
        self.old.clear();
        for (made, freed) in ended() {
            count += 1;
            ended_from = ended_from.min(freed);
            ended_to = ended_to.max(freed);
            if made < horizon {
                self.old.push(made);
            } else {
                made_from = Some(made_from.map_or(made, |from| from.min(made)));
            }
        }
        if count == 0 {
            return Nanos(0);
        }
        let cut = if self.old.len() > ELDERS_MAX {
            *self.old.select_nth_unstable(ELDERS_MAX).1
        } else {
            // Where all are old, none is.
            made_from.or(self.old.iter().min().copied()).unwrap_or_default()
        };
        self.list.push(Zone {
            first,
            last: first + count - 1,
            made_from: cut,
            ended_from,
            ended_to,
        });
        if self.recent.len() == ZONES_OUTLIVED {
            self.recent.pop_front();
        }
        self.recent.push_back(ended_to);
        cut
    }

    /// All of them.
    pub(crate) fn into_list(self) -> Vec<Zone> {
        self.list
    }
}

#[cfg(test)]
mod tests {
    use crate::loader::model::{AllocationRow, Nanos};
    use crate::loader::write::zone_map::{ELDERS_MAX, ZoneMap};

    fn row(made: u64, freed: Option<u64>) -> AllocationRow {
        AllocationRow { made: Nanos(made), freed: freed.map(Nanos), ..AllocationRow::default() }
    }

    #[test]
    fn elders_are_few_and_what_is_left_is_young() {
        for share in [0, 1, 100, 3] {
            let mut zones = ZoneMap::default();
            let mut zone_outliers = 0;
            for zone in 0..20_u64 {
                let now = zone * 10_000;
                let rows: Vec<_> = (0..10_000)
                    .map(|index| {
                        let is_old = share > 0 && index % share == 0;
                        let age = if is_old { now + index } else { index % 50 };
                        row(now + index - age.min(now + index), Some(now + index))
                    })
                    .collect();
                let cut = zones.push(1 + zone * 10_000, &rows);
                let in_zone = rows.iter().filter(|row| row.made < cut).count();
                assert!(in_zone <= ELDERS_MAX, "one in {share}: {in_zone}");
                zone_outliers += in_zone;
            }
            let list = zones.into_list();
            let young = list.iter().skip(4).all(|zone| zone.made_from.0 + 50 >= zone.ended_from.0);
            // One in a hundred is old: all of these are named, and the rest is young.
            assert_eq!((young, zone_outliers > 0), (share == 0 || share == 100, share == 100));
            assert!(list.windows(2).all(|pair| pair[0].last + 1 == pair[1].first));
        }
    }

    #[test]
    fn blocks_that_are_alive_are_in_no_zone() {
        let mut zones = ZoneMap::default();
        zones.push(1, &[row(5, Some(9)), row(2, Some(8)), row(1, None), row(3, None)]);
        zones.push(5, &[row(4, None)]);
        let list = zones.into_list();
        assert_eq!(list.len(), 1);
        let zone = list[0];
        assert_eq!((zone.first, zone.last, zone.made_from), (1, 2, Nanos(2)));
        assert_eq!((zone.ended_from, zone.ended_to), (Nanos(8), Nanos(9)));
    }
}
