//! Sums of one site by powers of two of the requested size.
//!
//! Most sites allocate sizes of one power only. Therefore the power of a site's first block, the
//! *primary* one, is not summed: it is the difference between the site's sums and the other powers.
//!
//! Invariant: every sum is exact.

use crate::loader::totals::block_sums::BlockSums;

/// The sums of one site for all powers except the primary one.
#[derive(Clone, Debug, Default)]
pub(crate) struct SizeHistogram {
    /// Power and sums, sorted by power.
    others: Vec<(u8, BlockSums)>,
}

/// Entries reserved at once: there are many histograms, and most have few entries.
const ENTRIES_AT_ONCE: usize = 2;

impl SizeHistogram {
    /// The sums of a power that is not the primary one.
    pub(crate) fn entry(&mut self, power: u8) -> &mut BlockSums {
        let index = match self.others.binary_search_by_key(&power, |(power, _)| *power) {
            Ok(index) => index,
            Err(index) => {
                if self.others.len() == self.others.capacity() {
                    self.others.reserve_exact(ENTRIES_AT_ONCE);
                }
                self.others.insert(index, (power, BlockSums::default()));
                index
            }
        };
        &mut self.others[index].1
    }

    /// All powers with their sums, ascending. `all` are the site's sums.
    pub(crate) fn with_primary(
        &self,
        primary: u8,
        all: BlockSums,
    ) -> impl Iterator<Item = (u8, BlockSums)> {
        let rest = self.others.iter().fold(all, |rest, (_, other)| rest.without(other));
        let index = self.others.partition_point(|(power, _)| *power < primary);
        let (below, above) = self.others.split_at(index);
        below.iter().copied().chain([(primary, rest)]).chain(above.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use crate::loader::totals::block_sums::BlockSums;
    use crate::loader::totals::size_histogram::SizeHistogram;
    use crate::recording::{size_power as power_of, size_power_max as largest_of};

    #[test]
    fn a_size_counts_as_the_next_power_of_two() {
        for size in [0, 1, 2, 3, 4, 5, 8, 9, 65_536, 65_537, 1 << 62] {
            assert_eq!(largest_of(power_of(size)), size.next_power_of_two(), "{size}");
        }
        assert_eq!(power_of(u64::MAX), 62);
    }

    #[test]
    fn the_primary_power_is_the_difference() {
        let sums = |blocks: u64, size: u64| BlockSums {
            allocations: blocks,
            bytes: blocks * size,
            live_blocks: blocks / 2,
            live_bytes: blocks / 2 * size,
        };
        let mut powers = SizeHistogram::default();
        *powers.entry(7) = sums(4, 100);
        *powers.entry(3) = sums(10, 8);
        let all = BlockSums { allocations: 20, bytes: 672, live_blocks: 10, live_bytes: 336 };
        let rows: Vec<_> = powers.with_primary(5, all).collect();
        assert_eq!(rows, [(3, sums(10, 8)), (5, sums(6, 32)), (7, sums(4, 100))]);
    }
}
