//! A histogram of durations in little memory: a site may have one, and there are many sites.
//!
//! Durations below 16 have a bucket each, longer ones 16 buckets an octave, so that a bucket's
//! middle is at most 1/32 (3.1 %) off. Only buckets in use are kept.
//!
//! Invariant: entries are sorted by bucket, each bucket has at most one.

/// Bits of a packed entry that count; the ten bits above are the bucket.
const COUNT_BITS: u32 = 22;
const COUNT_MAX: u32 = (1 << COUNT_BITS) - 1;

/// Buckets an octave, as a power of two.
const SUB_BITS: u32 = 4;

/// Counts durations.
#[derive(Clone, Debug)]
pub(in crate::loader) enum Histogram {
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
    /// Counts one duration.
    pub(in crate::loader) fn add(&mut self, value: u64) {
        let bucket = bucket(value);
        if let Self::Packed(entries) = self {
            let place = entries.partition_point(|entry| entry >> COUNT_BITS < bucket);
            match entries.get_mut(place) {
                Some(entry) if *entry >> COUNT_BITS == bucket => {
                    if *entry & COUNT_MAX < COUNT_MAX {
                        *entry += 1;
                        return;
                    }
                }
                _ => {
                    entries.insert(place, (bucket << COUNT_BITS) | 1);
                    return;
                }
            }
        }
        self.add_wide(bucket);
    }

    #[cold]
    fn add_wide(&mut self, bucket: u32) {
        if let Self::Packed(entries) = self {
            let unpacked =
                entries.iter().map(|entry| (entry >> COUNT_BITS, u64::from(entry & COUNT_MAX)));
            *self = Self::Wide(unpacked.collect());
        }
        if let Self::Wide(entries) = self {
            let place = entries.partition_point(|entry| entry.0 < bucket);
            match entries.get_mut(place) {
                Some(entry) if entry.0 == bucket => entry.1 += 1,
                _ => entries.insert(place, (bucket, 1)),
            }
        }
    }

    /// The durations that these shares (ascending, of `total`) of all are not longer than.
    pub(in crate::loader) fn quantiles<const N: usize>(
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
                answers[index] = middle(bucket);
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

fn bucket(value: u64) -> u32 {
    if value < 1 << SUB_BITS {
        return value as u32;
    }
    let octave = value.ilog2() - SUB_BITS;
    let sub = (value >> octave) as u32 - (1 << SUB_BITS);
    ((octave + 1) << SUB_BITS) + sub
}

fn middle(bucket: u32) -> u64 {
    if bucket < 1 << SUB_BITS {
        return u64::from(bucket);
    }
    let octave = (bucket >> SUB_BITS) - 1;
    let sub = u64::from(bucket & ((1 << SUB_BITS) - 1));
    let from = ((1 << SUB_BITS) + sub) << octave;
    from + (1_u64 << octave) / 2
}
