//! A histogram of durations in little memory: a site may have one, and there are many sites.
//!
//! A bucket is one of the recording's classes of durations, whose middle is at most 1/32 (3.1 %) off.
//! Only buckets in use are kept.
//!
//! Invariant: entries are sorted by bucket, each bucket has at most one.

use crate::loader::rows::Site;
use crate::recording::{DURATION_CLASS_BITS, duration_class, duration_class_midpoint};

/// Bits that a bucket's number needs.
const BUCKET_BITS: u32 = DURATION_CLASS_BITS;

/// Bits of a packed entry that count; the ten bits above are the bucket.
const COUNT_BITS: u32 = 22;
const COUNT_MAX: u32 = (1 << COUNT_BITS) - 1;

/// Buckets that a histogram makes room for at once: many are kept, most are small.
const BUCKETS_AT_ONCE: usize = 8;

/// Durations of different sites that wait to be counted.
const WAITING_MAX: usize = 1 << 20;

/// Sites from this on do not fit a waiting entry.
const SITE_MAX: u32 = 1 << 22;

/// The histograms of all sites.
///
/// A histogram is some cache misses away, and with many sites every block's end would pay them.
/// So durations are gathered, sorted by site, and counted a million at a time.
#[derive(Debug, Default)]
pub(crate) struct Histograms {
    by_site: Vec<Histogram>,
    /// Site and bucket in one word.
    waiting: Vec<u32>,
}

impl Histograms {
    /// Counts one duration.
    #[inline]
    pub(crate) fn add(&mut self, site: Site, value: u64) {
        let bucket = duration_class(value);
        if site.0 >= SITE_MAX {
            self.count(site.0 as usize, bucket, 1);
            return;
        }
        self.waiting.push((site.0 << BUCKET_BITS) | bucket);
        if self.waiting.len() == WAITING_MAX {
            self.settle();
        }
    }

    /// Counts what waits.
    pub(crate) fn settle(&mut self) {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.sort_unstable();
        for entry in &waiting {
            let (site, bucket) = (entry >> BUCKET_BITS, entry & ((1 << BUCKET_BITS) - 1));
            self.count(site as usize, bucket, 1);
        }
        waiting.clear();
        self.waiting = waiting;
    }

    /// Counts a duration many times.
    pub(crate) fn add_many(&mut self, site: Site, value: u64, count: u64) {
        self.count(site.0 as usize, duration_class(value), count);
    }

    fn count(&mut self, site: usize, bucket: u32, count: u64) {
        if self.by_site.len() <= site {
            self.by_site.resize_with(site + 1, Histogram::default);
        }
        self.by_site[site].add(bucket, count);
    }

    /// A site's histogram, if any duration was counted for it; settle first.
    pub(crate) fn of(&self, site: usize) -> Option<&Histogram> {
        self.by_site.get(site)
    }
}

/// Counts durations.
#[derive(Clone, Debug)]
pub(crate) enum Histogram {
    /// Bucket and count in one word, until a count grows too big.
    Packed(Vec<u32>),
    /// Bucket, count.
    Wide(Vec<(u32, u64)>),
}

impl Default for Histogram {
    fn default() -> Self {
        Self::Packed(Vec::new())
    }
}

impl Histogram {
    /// Counts one duration, given as its class.
    fn add(&mut self, bucket: u32, count: u64) {
        if let Self::Packed(entries) = self {
            let place = entries.partition_point(|entry| entry >> COUNT_BITS < bucket);
            let known = entries.get_mut(place).filter(|entry| **entry >> COUNT_BITS == bucket);
            let room = COUNT_MAX - known.as_ref().map_or(0, |entry| **entry & COUNT_MAX);
            if let Ok(count) = u32::try_from(count)
                && count <= room
            {
                if let Some(entry) = known {
                    *entry += count;
                    return;
                }
                if entries.len() == entries.capacity() {
                    entries.reserve_exact(BUCKETS_AT_ONCE.max(entries.len() / 4));
                }
                entries.insert(place, (bucket << COUNT_BITS) | count);
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
            let place = entries.partition_point(|entry| entry.0 < bucket);
            match entries.get_mut(place) {
                Some(entry) if entry.0 == bucket => entry.1 = entry.1.saturating_add(count),
                _ => entries.insert(place, (bucket, count)),
            }
        }
    }

    /// The durations that these shares (ascending, of `total`) of all are not longer than.
    pub(crate) fn quantiles<const N: usize>(
        &self,
        shares: [(u64, u64); N],
        total: u64,
    ) -> [u64; N] {
        let mut wanted = shares
            .iter()
            .map(|(part, whole)| {
                (u128::from(total) * u128::from(*part)).div_ceil(u128::from(*whole))
            })
            .enumerate()
            .peekable();
        let mut answers = [0; N];
        let mut seen = 0_u128;
        self.each(|bucket, count| {
            seen += u128::from(count);
            while let Some((index, _)) = wanted.next_if(|(_, rank)| *rank <= seen) {
                answers[index] = duration_class_midpoint(bucket);
            }
        });
        answers
    }

    fn each(&self, mut with: impl FnMut(u32, u64)) {
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
