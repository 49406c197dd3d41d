//! Sums of one site by powers of two of the size that was asked for.
//!
//! Reads: sizes of blocks that begin and end. Writes: totals, one for each power in use.
//!
//! Most sites make blocks of one power only. So that of a site's first block, its *home*, is
//! never summed: it is what the site's own sums leave.
//!
//! Invariant: every sum is exact.

use crate::loader::totals::sizes::SizeTotals;

/// The sums of one site for all powers but its home.
#[derive(Clone, Debug, Default)]
pub(crate) struct Powers {
    /// Sorted by power.
    others: Vec<(u8, SizeTotals)>,
}

/// Powers that a site makes room for at once: many sites are kept, most have few.
const POWERS_AT_ONCE: usize = 2;

impl Powers {
    /// The sums of a power that is not the home.
    pub(crate) fn of(&mut self, power: u8) -> &mut SizeTotals {
        let place = match self.others.binary_search_by_key(&power, |(power, _)| *power) {
            Ok(place) => place,
            Err(place) => {
                if self.others.len() == self.others.capacity() {
                    self.others.reserve_exact(POWERS_AT_ONCE);
                }
                self.others.insert(place, (power, SizeTotals::default()));
                place
            }
        };
        &mut self.others[place].1
    }

    /// All powers with their sums, ascending. `all` is the whole site's.
    pub(crate) fn with_home(
        &self,
        home: u8,
        all: SizeTotals,
    ) -> impl Iterator<Item = (u8, SizeTotals)> {
        let rest = self.others.iter().fold(all, |rest, (_, other)| rest.without(other));
        let place = self.others.partition_point(|(power, _)| *power < home);
        let (below, above) = self.others.split_at(place);
        below.iter().copied().chain([(home, rest)]).chain(above.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use crate::loader::totals::size_histogram::Powers;
    use crate::loader::totals::sizes::SizeTotals;
    use crate::recording::{size_power as power_of, size_power_max as largest_of};

    #[test]
    fn powers_are_the_next_ones() {
        for size in [0, 1, 2, 3, 4, 5, 8, 9, 65_536, 65_537, 1 << 62] {
            assert_eq!(largest_of(power_of(size)), size.next_power_of_two(), "{size}");
        }
        assert_eq!(power_of(u64::MAX), 62);
    }

    #[test]
    fn home_is_what_is_left() {
        let sums = |blocks: u64, size: u64| SizeTotals {
            allocations: blocks,
            bytes: blocks * size,
            live_blocks: blocks / 2,
            live_bytes: blocks / 2 * size,
        };
        let mut powers = Powers::default();
        *powers.of(7) = sums(4, 100);
        *powers.of(3) = sums(10, 8);
        let all = SizeTotals { allocations: 20, bytes: 672, live_blocks: 10, live_bytes: 336 };
        let rows: Vec<_> = powers.with_home(5, all).collect();
        assert_eq!(rows, [(3, sums(10, 8)), (5, sums(6, 32)), (7, sums(4, 100))]);
    }
}
