//! The weights of sampled blocks, and the sums that confidence intervals are computed from.
//!
//! A block of `size` bytes is sampled with probability `p = 1 − exp(−size / n)`, where `n` is
//! `sample_bytes`. It represents `1 / p` blocks and `size / p` bytes (Horvitz and Thompson, 1952),
//! which makes sums unbiased for any distribution of sizes. All sums stay integers: bytes are
//! rounded to the nearest one, which is at least `n`, and the fraction of a block that rounding
//! drops is carried over to the site's next block, so that its number of blocks is less than one off.
//!
//! Invariants: a block is subtracted from a sum with the weight it was added with; the same blocks
//! in the same order give the same sums.

use std::collections::BTreeSet;

use crate::database::estimate::{SampleSum, SamplingRate};
use crate::loader::model::Site;

/// The blocks and bytes that one recorded block adds to a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Weight {
    /// Blocks that it represents.
    pub(crate) blocks: u64,
    /// Bytes that it represents.
    pub(crate) bytes: u64,
}

impl Weight {
    /// The weight of a block in a recording of every block.
    #[inline]
    pub(crate) const fn one(size: u64) -> Self {
        Self { blocks: 1, bytes: size }
    }
}

/// The samples that the estimates of a set of blocks are based on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct SampleSums {
    /// Samples of all allocated blocks.
    pub(crate) allocated: SampleSum,
    /// Samples of the blocks that are live at the end.
    pub(crate) live: SampleSum,
}

impl SampleSums {
    /// Adds the samples of a disjoint set.
    pub(crate) fn join(&mut self, other: &Self) {
        self.allocated.merge(&other.allocated);
        self.live.merge(&other.live);
    }
}

/// The samples of one site.
#[derive(Clone, Copy, Debug, Default)]
struct SampledSite {
    /// Fraction of a block that rounding has dropped so far.
    carry: f64,
    sampled: SampleSums,
}

/// The samples of a recording.
#[derive(Debug)]
pub(crate) struct SampleWeights {
    rate: SamplingRate,
    /// By site; the first is for blocks without a captured backtrace.
    sites: Vec<SampledSite>,
    /// Distinct sizes of samples.
    sizes: BTreeSet<u64>,
}

impl SampleWeights {
    /// No samples yet.
    pub(crate) fn new(rate: SamplingRate) -> Self {
        Self { rate, sites: Vec::new(), sizes: BTreeSet::new() }
    }

    /// The sampling rate.
    pub(crate) fn rate(&self) -> SamplingRate {
        self.rate
    }

    /// Determines the weight of a newly allocated block.
    pub(crate) fn weigh(&mut self, site: Site, size: u64) -> Weight {
        self.sizes.insert(size);
        let (rate, sums) = (self.rate, self.site(site));
        sums.sampled.allocated.add(rate, size);
        sums.carry += rate.blocks(size);
        let whole = sums.carry.floor();
        sums.carry -= whole;
        // `BlockTag` holds this number in 32 bits.
        let blocks = (whole as u64).clamp(1, u64::from(u32::MAX));
        Weight { blocks, bytes: rate.bytes(size) }
    }

    /// The weight of a block that [`SampleWeights::weigh`] has given this number of blocks.
    #[inline]
    pub(crate) fn weight(&self, blocks: u64, size: u64) -> Weight {
        Weight { blocks, bytes: self.rate.bytes(size) }
    }

    /// A block is live at the end.
    pub(crate) fn on_survivor(&mut self, site: Site, size: u64) {
        let rate = self.rate;
        self.site(site).sampled.live.add(rate, size);
    }

    /// The samples of a site.
    pub(crate) fn of(&self, site: Site) -> SampleSums {
        self.sites.get(site.0 as usize).map(|site| site.sampled).unwrap_or_default()
    }

    /// The samples of all sites.
    pub(crate) fn all(&self) -> SampleSums {
        let mut all = SampleSums::default();
        for site in &self.sites {
            all.join(&site.sampled);
        }
        all
    }

    /// The distinct sizes of samples, ascending.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = u64> + '_ {
        self.sizes.iter().copied()
    }

    fn site(&mut self, site: Site) -> &mut SampledSite {
        let index = site.0 as usize;
        for number in self.sites.len()..=index {
            // A random first carry: else many sites of one block each would all be rounded down.
            let carry = unit(number as u64);
            self.sites.push(SampledSite { carry, ..SampledSite::default() });
        }
        &mut self.sites[index]
    }
}

/// A pseudo-random number in 0..1 (SplitMix64).
fn unit(number: u64) -> f64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use crate::database::estimate::SamplingRate;
    use crate::loader::model::Site;
    use crate::loader::totals::sample_weights::SampleWeights;

    #[test]
    fn a_site_is_never_off_by_a_block() {
        let rate = SamplingRate::new(4096).unwrap();
        let mut sampling = SampleWeights::new(rate);
        let (mut exact, mut whole) = ([0.0; 5], [0_u64; 5]);
        for index in 0..10_000_u64 {
            let (site, size) = ((index * 7 % 5) as usize, 1 + index * 2_654_435_761 % 20_000);
            let weight = sampling.weigh(Site(site as u32), size);
            exact[site] += rate.blocks(size);
            whole[site] += weight.blocks;
            assert_eq!(weight, sampling.weight(weight.blocks, size));
            assert!((exact[site] - whole[site] as f64).abs() <= 1.0, "{index}");
        }
    }
}
