//! Histograms of lifetimes, one per site, in little memory: there are many sites.
//!
//! A bucket is one of the recording's duration classes, whose middle is at most 1/32 (3.1 %) off.
//! Only buckets with a count are stored.
//!
//! Invariant: entries are sorted by bucket, with at most one per bucket.

use crate::loader::model::Site;
use crate::recording::{DURATION_CLASS_BITS, duration_class, duration_class_midpoint};

/// Bits of a bucket's index.
const BUCKET_BITS: u32 = DURATION_CLASS_BITS;

/// Bits of the count in a packed entry; the ten bits above are the bucket.
const COUNT_BITS: u32 = 22;
const COUNT_MAX: u32 = (1 << COUNT_BITS) - 1;

/// Entries reserved at once: there are many histograms, and most have few entries.
const BUCKETS_AT_ONCE: usize = 8;

/// Lifetimes that are buffered before they are counted: 4 MiB.
const BUFFERED_MAX: usize = 1 << 20;

/// Sites from this one on do not fit a buffered entry of 32 bits.
const SITE_MAX: u32 = 1 << 22;

/// The histograms of all sites.
///
/// Counting a lifetime costs cache misses in the histogram, which with many sites every free would
/// pay. So lifetimes are buffered, sorted by site, and counted a million at a time.
#[derive(Debug, Default)]
pub(crate) struct LifetimeHistograms {
    by_site: Vec<LifetimeHistogram>,
    /// Site and bucket of buffered lifetimes, packed.
    buffered: Vec<u32>,
}

impl LifetimeHistograms {
    /// Counts one lifetime.
    #[inline]
    pub(crate) fn add(&mut self, site: Site, value: u64) {
        let bucket = duration_class(value);
        if site.0 >= SITE_MAX {
            self.count(site.0 as usize, bucket, 1);
            return;
        }
        self.buffered.push((site.0 << BUCKET_BITS) | bucket);
        if self.buffered.len() == BUFFERED_MAX {
            self.flush();
        }
    }

    /// Counts the buffered lifetimes.
    pub(crate) fn flush(&mut self) {
        let mut buffered = std::mem::take(&mut self.buffered);
        buffered.sort_unstable();
        for entry in &buffered {
            let (site, bucket) = (entry >> BUCKET_BITS, entry & ((1 << BUCKET_BITS) - 1));
            self.count(site as usize, bucket, 1);
        }
        buffered.clear();
        self.buffered = buffered;
    }

    /// Counts a lifetime `count` times.
    pub(crate) fn add_many(&mut self, site: Site, value: u64, count: u64) {
        self.count(site.0 as usize, duration_class(value), count);
    }

    fn count(&mut self, site: usize, bucket: u32, count: u64) {
        if self.by_site.len() <= site {
            self.by_site.resize_with(site + 1, LifetimeHistogram::default);
        }
        self.by_site[site].add(bucket, count);
    }

    /// A site's histogram, if it has counted a lifetime. Call [`LifetimeHistograms::flush`] first.
    pub(crate) fn of(&self, site: usize) -> Option<&LifetimeHistogram> {
        self.by_site.get(site)
    }
}

/// Counts of one site's lifetimes by bucket.
#[derive(Clone, Debug)]
pub(crate) enum LifetimeHistogram {
    /// Bucket and count in one word, while all counts fit.
    Packed(Vec<u32>),
    /// Bucket and count.
    Wide(Vec<(u32, u64)>),
}

impl Default for LifetimeHistogram {
    fn default() -> Self {
        Self::Packed(Vec::new())
    }
}

impl LifetimeHistogram {
    /// Adds to the count of a bucket.
    fn add(&mut self, bucket: u32, count: u64) {
        if let Self::Packed(entries) = self {
            let index = entries.partition_point(|entry| entry >> COUNT_BITS < bucket);
            let entry = entries.get_mut(index).filter(|entry| **entry >> COUNT_BITS == bucket);
            let room = COUNT_MAX - entry.as_ref().map_or(0, |entry| **entry & COUNT_MAX);
            if let Ok(count) = u32::try_from(count)
                && count <= room
            {
                if let Some(entry) = entry {
                    *entry += count;
                    return;
                }
                if entries.len() == entries.capacity() {
                    entries.reserve_exact(BUCKETS_AT_ONCE.max(entries.len() / 4));
                }
                entries.insert(index, (bucket << COUNT_BITS) | count);
                return;
            }
        }
        self.add_wide(bucket, count);
    }

    #[cold]
    fn add_wide(&mut self, bucket: u32, count: u64) {
        if let Self::Packed(entries) = self {
            let unpacked =
                entries.iter().map(|entry| (entry >> COUNT_BITS, u64::from(entry & COUNT_MAX)));
            *self = Self::Wide(unpacked.collect());
        }
        if let Self::Wide(entries) = self {
            let index = entries.partition_point(|entry| entry.0 < bucket);
            match entries.get_mut(index) {
                Some(entry) if entry.0 == bucket => entry.1 = entry.1.saturating_add(count),
                _ => entries.insert(index, (bucket, count)),
            }
        }
    }

    /// Quantiles of `total` lifetimes, for ascending shares given as fractions.
    pub(crate) fn quantiles<const N: usize>(
        &self,
        shares: [(u64, u64); N],
        total: u64,
    ) -> [u64; N] {
        let mut ranks = shares
            .iter()
            .map(|(part, whole)| {
                (u128::from(total) * u128::from(*part)).div_ceil(u128::from(*whole))
            })
            .enumerate()
            .peekable();
        let mut quantiles = [0; N];
        let mut rank_reached = 0_u128;
        self.for_each(|bucket, count| {
            rank_reached += u128::from(count);
            while let Some((index, _)) = ranks.next_if(|(_, rank)| *rank <= rank_reached) {
                quantiles[index] = duration_class_midpoint(bucket);
            }
        });
        quantiles
    }

    fn for_each(&self, mut with: impl FnMut(u32, u64)) {
        match self {
            Self::Packed(entries) => {
                for entry in entries {
                    with(entry >> COUNT_BITS, u64::from(entry & COUNT_MAX));
                }
            }
            Self::Wide(entries) => {
                for (bucket, count) in entries {
                    with(*bucket, *count);
                }
            }
        }
    }
}
