//! A zone map over the rows of freed blocks: the range of their times per *zone*, a range of rows,
//! so that a query for the blocks live at one time skips most rows of `allocations`.
//!
//! Rows are in the order of their frees. A zone can hold a block that is live at time T only if
//! its latest free is after T and its earliest allocation before T. Nearly every zone has a few
//! blocks that are far older than the others (evicted from a cache, for example), with which the
//! second condition would nearly always hold. These *outliers* are listed one by one in
//! `zone_outliers`, and a zone's earliest allocation leaves them out.
//!
//! Invariants:
//! - A row of a zone is an outlier if and only if it was allocated before the zone's `alloc_from`.
//! - At most [`OUTLIERS_MAX`] rows of a zone are outliers.

use std::collections::VecDeque;

use crate::loader::model::{AllocationRow, Nanos};

/// Outliers per zone: one in 32 rows of a full batch.
const OUTLIERS_MAX: usize = 512;

/// An outlier was allocated before the end of the zone this many zones back. A query that reads
/// these few zones finds younger blocks without the list.
const ZONES_OUTLIVED: usize = 4;

/// A range of rows of freed blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Zone {
    /// First row.
    pub(crate) first: u64,
    /// Last row.
    pub(crate) last: u64,
    /// Earliest allocation, outliers left out.
    pub(crate) alloc_from: Nanos,
    /// Earliest free.
    pub(crate) free_from: Nanos,
    /// Latest free.
    pub(crate) free_to: Nanos,
}

/// All zones so far.
#[derive(Debug, Default)]
pub(crate) struct ZoneMap {
    list: Vec<Zone>,
    /// Latest frees of the last [`ZONES_OUTLIVED`] zones.
    recent: VecDeque<Nanos>,
    /// Allocation times of the candidates for outliers; a field so that its memory is reused.
    old: Vec<Nanos>,
}

impl ZoneMap {
    /// Adds a zone of rows, numbered from `first`. Live blocks, whose rows come last, are ignored.
    /// Returns the zone's `alloc_from`: freed blocks allocated earlier are its outliers.
    pub(crate) fn push(&mut self, first: u64, rows: &[AllocationRow]) -> Nanos {
        let freed_rows = || rows.iter().filter_map(|row| Some((row.allocated, row.freed?)));
        let horizon = match self.recent.front() {
            Some(end) if self.recent.len() == ZONES_OUTLIVED => *end,
            _ => Nanos(0),
        };
        let (mut count, mut alloc_from) = (0_u64, None::<Nanos>);
        let (mut free_from, mut free_to) = (Nanos(u64::MAX), Nanos(0));
        self.old.clear();
        for (allocated, freed) in freed_rows() {
            count += 1;
            free_from = free_from.min(freed);
            free_to = free_to.max(freed);
            if allocated < horizon {
                self.old.push(allocated);
            } else {
                alloc_from = Some(alloc_from.map_or(allocated, |from| from.min(allocated)));
            }
        }
        if count == 0 {
            return Nanos(0);
        }
        let alloc_from = if self.old.len() > OUTLIERS_MAX {
            *self.old.select_nth_unstable(OUTLIERS_MAX).1
        } else {
            // If all blocks are old, none is an outlier.
            alloc_from.or(self.old.iter().min().copied()).unwrap_or_default()
        };
        self.list.push(Zone { first, last: first + count - 1, alloc_from, free_from, free_to });
        if self.recent.len() == ZONES_OUTLIVED {
            self.recent.pop_front();
        }
        self.recent.push_back(free_to);
        alloc_from
    }

    /// All zones.
    pub(crate) fn into_list(self) -> Vec<Zone> {
        self.list
    }
}

#[cfg(test)]
mod tests {
    use crate::loader::model::{AllocationRow, Nanos};
    use crate::loader::write::zone_map::{OUTLIERS_MAX, ZoneMap};

    fn row(allocated: u64, freed: Option<u64>) -> AllocationRow {
        AllocationRow {
            allocated: Nanos(allocated),
            freed: freed.map(Nanos),
            ..AllocationRow::default()
        }
    }

    #[test]
    fn outliers_are_few_and_the_other_rows_are_young() {
        for share in [0, 1, 100, 3] {
            let mut zones = ZoneMap::default();
            let mut outliers = 0;
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
                let in_zone = rows.iter().filter(|row| row.allocated < cut).count();
                assert!(in_zone <= OUTLIERS_MAX, "one in {share}: {in_zone}");
                outliers += in_zone;
            }
            let list = zones.into_list();
            let young = list.iter().skip(4).all(|zone| zone.alloc_from.0 + 50 >= zone.free_from.0);
            // One in a hundred is old: all of these are outliers, and the other rows are young.
            assert_eq!((young, outliers > 0), (share == 0 || share == 100, share == 100));
            assert!(list.windows(2).all(|pair| pair[0].last + 1 == pair[1].first));
        }
    }

    #[test]
    fn live_blocks_are_in_no_zone() {
        let mut zones = ZoneMap::default();
        zones.push(1, &[row(5, Some(9)), row(2, Some(8)), row(1, None), row(3, None)]);
        zones.push(5, &[row(4, None)]);
        let list = zones.into_list();
        assert_eq!(list.len(), 1);
        let zone = list[0];
        assert_eq!((zone.first, zone.last, zone.alloc_from), (1, 2, Nanos(2)));
        assert_eq!((zone.free_from, zone.free_to), (Nanos(8), Nanos(9)));
    }
}
