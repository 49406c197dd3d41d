//! What the blocks of a sampled recording stand for, and how far their sums may be off.
//!
//! Reads: sites and sizes of sampled blocks. Writes: their weights, and what an interval needs.
//!
//! A block of `size` bytes is in the recording with probability `p = 1 − exp(−size / n)`, so each
//! one that is there stands for `1 / p` blocks and `size / p` bytes (Horvitz and Thompson, 1952):
//! sums of these are right on average, whatever the sizes are. So that all sums stay whole numbers and
//! add up, bytes are rounded to the nearest (they are above `n`), and blocks by what the
//! same site's earlier blocks left over: a site's number of blocks is never off by more than one.
//!
//! Invariants: what a block puts into a sum is what it takes out of it; the same blocks in the same
//! order give the same numbers.

use std::collections::BTreeSet;

use crate::database::estimate::{SampleSum, SamplingRate};
use crate::loader::rows::Site;

/// What a block counts in sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Weight {
    /// Blocks that it stands for.
    pub(crate) blocks: u64,
    /// Bytes of them.
    pub(crate) bytes: u64,
}

impl Weight {
    /// Of a block that stands for itself.
    #[inline]
    pub(crate) const fn one(size: u64) -> Self {
        Self { blocks: 1, bytes: size }
    }
}

/// The samples behind the sums of a site, or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sampled {
    /// Of all blocks.
    pub(crate) made: SampleSum,
    /// Of those alive at the end.
    pub(crate) live: SampleSum,
}

impl Sampled {
    /// Takes in those of other sites.
    pub(crate) fn join(&mut self, other: &Self) {
        self.made.merge(&other.made);
        self.live.merge(&other.live);
    }
}

/// What is kept for a site.
#[derive(Clone, Copy, Debug, Default)]
struct SampledSite {
    /// What rounding has left over, below one block.
    left_over: f64,
    sampled: Sampled,
}

/// The blocks of a sampled recording.
#[derive(Debug)]
pub(crate) struct Sampling {
    rate: SamplingRate,
    /// By site; the first is for blocks whose backtrace was not probed.
    sites: Vec<SampledSite>,
    sizes: BTreeSet<u64>,
}

impl Sampling {
    /// For a recording that takes a sample every so many bytes.
    pub(crate) fn new(rate: SamplingRate) -> Self {
        Self { rate, sites: Vec::new(), sizes: BTreeSet::new() }
    }

    /// One sample in so many bytes.
    pub(crate) fn rate(&self) -> SamplingRate {
        self.rate
    }

    /// A block was made: what it counts from now on.
    pub(crate) fn draw(&mut self, site: Site, size: u64) -> Weight {
        self.sizes.insert(size);
        let (rate, sums) = (self.rate, self.site(site));
        sums.sampled.made.add(rate, size);
        sums.left_over += rate.blocks(size);
        let whole = sums.left_over.floor();
        sums.left_over -= whole;
        // A block keeps this number in 32 bits.
        let blocks = (whole as u64).clamp(1, u64::from(u32::MAX));
        Weight { blocks, bytes: rate.bytes(size) }
    }

    /// What a block counts that was drawn as so many.
    #[inline]
    pub(crate) fn again(&self, blocks: u32, size: u64) -> Weight {
        Weight { blocks: u64::from(blocks), bytes: self.rate.bytes(size) }
    }

    /// A block is alive at the end.
    pub(crate) fn stays(&mut self, site: Site, size: u64) {
        let rate = self.rate;
        self.site(site).sampled.live.add(rate, size);
    }

    /// The samples of a site.
    pub(crate) fn of(&self, site: Site) -> Sampled {
        self.sites.get(site.0 as usize).map(|site| site.sampled).unwrap_or_default()
    }

    /// The samples of all sites.
    pub(crate) fn all(&self) -> Sampled {
        let mut all = Sampled::default();
        for site in &self.sites {
            all.join(&site.sampled);
        }
        all
    }

    /// The sizes that were seen, ascending.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = u64> + '_ {
        self.sizes.iter().copied()
    }

    fn site(&mut self, site: Site) -> &mut SampledSite {
        let index = site.0 as usize;
        for number in self.sites.len()..=index {
            // Sites begin anywhere between two blocks, or many sites of one block each would all
            // be rounded the same way.
            let left_over = unit(number as u64);
            self.sites.push(SampledSite { left_over, ..SampledSite::default() });
        }
        &mut self.sites[index]
    }
}

/// A number from 0 to below 1 that looks random (SplitMix64).
fn unit(number: u64) -> f64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use crate::database::estimate::SamplingRate;
    use crate::loader::rows::Site;
    use crate::loader::totals::sample_weights::Sampling;

    #[test]
    fn a_site_is_never_off_by_a_block() {
        let rate = SamplingRate::new(4096).unwrap();
        let mut sampling = Sampling::new(rate);
        let (mut exact, mut whole) = ([0.0; 5], [0_u64; 5]);
        for index in 0..10_000_u64 {
            let (site, size) = ((index * 7 % 5) as usize, 1 + index * 2_654_435_761 % 20_000);
            let weight = sampling.draw(Site(site as u32), size);
            exact[site] += rate.blocks(size);
            whole[site] += weight.blocks;
            assert_eq!(weight, sampling.again(weight.blocks as u32, size));
            assert!((exact[site] - whole[site] as f64).abs() <= 1.0, "{index}");
        }
    }
}
