//! Records of aggregated blocks: totals of short-lived allocations, and the aggregation steps.
//!
//! An `Aggregated` payload covers a time interval and is a sequence of records. A block is counted
//! in the payload whose interval contains its free. An `AggregationStep` payload is one change of
//! the aggregation threshold.
//!
//! Invariant: the totals over all payloads count each aggregated block exactly once.

use crate::recording::bytes::{ByteReader, ByteWriter};
use crate::recording::error::FormatError;
use crate::recording::ids::{NodeId, ThreadId, Ticks};
use crate::recording::size_classes::{
    DURATION_CLASS_BITS, FIRST_WIDE_CLASS, SIZE_CLASSES, size_class_max, size_power,
};

const TAG_SITE: u8 = 1;
const TAG_PAIR: u8 = 2;
const TAG_SIZE: u8 = 3;

/// Upper bounds for validation: a recording would need years to reach them.
const AGGREGATED_BLOCKS_MAX: u64 = 1 << 48;
const AGGREGATED_BYTES_MAX: u64 = 1 << 60;

/// Maximum length of a site record without its lifetimes and size powers.
pub const AGGREGATED_SITE_BYTES_MAX: usize = 200;
/// Maximum length of one lifetime class, or of one size power, in a site record.
pub const AGGREGATED_ENTRY_BYTES_MAX: usize = 22;
/// Maximum length of a pair record or a size record.
pub const AGGREGATED_SMALL_BYTES_MAX: usize = 64;

/// The head of an `Aggregated` payload: its time interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AggregatedHead {
    /// Start of the interval.
    pub from: Ticks,
    /// End of the interval.
    pub to: Ticks,
}

impl AggregatedHead {
    /// Bytes of a head.
    pub const BYTES: usize = 16;

    /// Appends the head.
    pub fn write(&self, out: &mut ByteWriter<'_>) {
        out.u64(self.from.0);
        out.u64(self.to.0);
    }
}

/// Totals of the aggregated blocks of one call path and kind of request. All times are in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AggregatedSite {
    /// The call path.
    pub node: NodeId,
    /// Whether zeroed memory was asked for.
    pub zeroed: bool,
    /// Base-2 logarithm of the alignment where it is above 16 bytes, else 0.
    pub align_log2: u8,
    /// Number of blocks.
    pub blocks: u64,
    /// Sum of their sizes.
    pub bytes: u64,
    /// Smallest size, in bytes.
    pub size_min: u64,
    /// Largest size, in bytes.
    pub size_max: u64,
    /// Sum of all lifetimes.
    pub lifetime_sum: u64,
    /// Shortest lifetime.
    pub lifetime_min: u64,
    /// Longest lifetime.
    pub lifetime_max: u64,
    /// Blocks freed by the allocating thread with at most one allocation of that thread in between.
    pub temporary: u64,
    /// Sum of the sizes of `temporary` blocks.
    pub temporary_bytes: u64,
    /// Blocks freed by another thread.
    pub cross_thread_frees: u64,
    /// Blocks that a realloc allocated.
    pub reallocs: u64,
    /// Those of `reallocs` whose address changed.
    pub reallocs_moved: u64,
    /// Time of the first allocation.
    pub first_alloc: Ticks,
    /// Time of the last allocation.
    pub last_alloc: Ticks,
    /// Time of the last free.
    pub last_free: Ticks,
    /// Bit n: thread n allocated at least one block. Threads from 64 on have no bit.
    pub threads: u64,
}

impl AggregatedSite {
    /// Appends a record. `lifetimes` yields duration classes (ascending) with their counts,
    /// `powers` the blocks per power of two of their sizes (ascending).
    pub fn write(
        &self,
        head: &AggregatedHead,
        out: &mut ByteWriter<'_>,
        lifetimes: impl ExactSizeIterator<Item = (u32, u64)>,
        powers: impl ExactSizeIterator<Item = SizePower>,
    ) {
        out.u8(TAG_SITE);
        out.varint(u64::from(self.node.0));
        out.varint(u64::from(self.zeroed) | (u64::from(self.align_log2) << 1));
        for value in [
            self.blocks,
            self.bytes,
            self.size_min,
            self.size_max.wrapping_sub(self.size_min),
            self.lifetime_sum,
            self.lifetime_min,
            self.lifetime_max.wrapping_sub(self.lifetime_min),
            self.temporary,
            self.temporary_bytes,
            self.cross_thread_frees,
            self.reallocs,
            self.reallocs_moved,
        ] {
            out.varint(value);
        }
        for at in [self.first_alloc, self.last_alloc, self.last_free] {
            out.zigzag(at.0.wrapping_sub(head.from.0).cast_signed());
        }
        out.varint(self.threads);
        out.varint(lifetimes.len() as u64);
        let mut previous = 0;
        for (class, count) in lifetimes {
            out.varint(u64::from(class.wrapping_sub(previous)));
            out.varint(count);
            previous = class;
        }
        out.varint(powers.len() as u64);
        for power in powers {
            out.u8(power.power);
            out.varint(power.blocks);
            out.varint(power.bytes);
        }
    }

    fn read(head: &AggregatedHead, input: &mut ByteReader<'_>) -> Result<Self, FormatError> {
        let node = u32::try_from(input.varint()?)
            .map_err(|_| FormatError::Invalid("an aggregated site's stack"))?;
        let flags = input.varint()?;
        if flags >> 1 > 63 {
            return Err(FormatError::Invalid("an aggregated site's alignment"));
        }
        let (blocks, bytes) = (input.varint()?, input.varint()?);
        if blocks >= AGGREGATED_BLOCKS_MAX || bytes >= AGGREGATED_BYTES_MAX {
            return Err(FormatError::Invalid("an aggregated site's blocks"));
        }
        let size_min = input.varint()?;
        let size_max = size_min.saturating_add(input.varint()?);
        let lifetime_sum = input.varint()?;
        let lifetime_min = input.varint()?;
        let lifetime_max = lifetime_min.saturating_add(input.varint()?);
        let ticks = |input: &mut ByteReader<'_>| -> Result<Ticks, FormatError> {
            Ok(Ticks(head.from.0.wrapping_add(input.zigzag()?.cast_unsigned())))
        };
        Ok(Self {
            node: NodeId(node),
            zeroed: flags & 1 == 1,
            align_log2: (flags >> 1) as u8,
            blocks,
            bytes,
            size_min,
            size_max,
            lifetime_sum,
            lifetime_min,
            lifetime_max,
            temporary: input.varint()?,
            temporary_bytes: input.varint()?,
            cross_thread_frees: input.varint()?,
            reallocs: input.varint()?,
            reallocs_moved: input.varint()?,
            first_alloc: ticks(input)?,
            last_alloc: ticks(input)?,
            last_free: ticks(input)?,
            threads: input.varint()?,
        })
    }
}

/// Totals of the aggregated blocks of one pair of allocating and freeing threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AggregatedPair {
    /// The allocating thread.
    pub allocated_by: ThreadId,
    /// The freeing thread.
    pub freed_by: ThreadId,
    /// Number of blocks.
    pub blocks: u64,
    /// Sum of their sizes.
    pub bytes: u64,
    /// Time of the first allocation.
    pub first_alloc: Ticks,
    /// Time of the last allocation.
    pub last_alloc: Ticks,
    /// Time of the first free.
    pub first_freed: Ticks,
    /// Time of the last free.
    pub last_free: Ticks,
}

impl AggregatedPair {
    /// Appends a record.
    pub fn write(&self, head: &AggregatedHead, out: &mut ByteWriter<'_>) {
        out.u8(TAG_PAIR);
        out.varint(u64::from(self.allocated_by.0));
        out.varint(u64::from(self.freed_by.0));
        out.varint(self.blocks);
        out.varint(self.bytes);
        for at in [self.first_alloc, self.last_alloc, self.first_freed, self.last_free] {
            out.zigzag(at.0.wrapping_sub(head.from.0).cast_signed());
        }
    }

    fn read(head: &AggregatedHead, input: &mut ByteReader<'_>) -> Result<Self, FormatError> {
        let thread = |value: u64| {
            u32::try_from(value).map(ThreadId).map_err(|_| FormatError::Invalid("a thread's id"))
        };
        let ticks = |value: i64| Ticks(head.from.0.wrapping_add(value.cast_unsigned()));
        Ok(Self {
            allocated_by: thread(input.varint()?)?,
            freed_by: thread(input.varint()?)?,
            blocks: input.varint()?,
            bytes: input.varint()?,
            first_alloc: ticks(input.zigzag()?),
            last_alloc: ticks(input.zigzag()?),
            first_freed: ticks(input.zigzag()?),
            last_free: ticks(input.zigzag()?),
        })
    }
}

/// Totals of the aggregated blocks of one size class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AggregatedSize {
    /// The class, below [`SIZE_CLASSES`].
    pub class: usize,
    /// Number of blocks.
    pub blocks: u64,
    /// Sum of their sizes.
    pub bytes: u64,
}

impl AggregatedSize {
    /// Appends a record. For a class of one exact size, the sum of sizes is not written because it
    /// is `blocks` times the size.
    pub fn write(&self, out: &mut ByteWriter<'_>) {
        out.u8(TAG_SIZE);
        out.varint(self.class as u64);
        out.varint(self.blocks);
        if self.class >= FIRST_WIDE_CLASS {
            out.varint(self.bytes);
        }
    }

    fn read(input: &mut ByteReader<'_>) -> Result<Self, FormatError> {
        let class = usize::try_from(input.varint()?)
            .ok()
            .filter(|class| *class < SIZE_CLASSES)
            .ok_or(FormatError::Invalid("a class of sizes"))?;
        let blocks = input.varint()?;
        let bytes = if class >= FIRST_WIDE_CLASS {
            input.varint()?
        } else {
            blocks.saturating_mul(size_class_max(class))
        };
        Ok(Self { class, blocks, bytes })
    }
}

/// One record of an `Aggregated` payload.
#[derive(Clone, Debug)]
pub enum Aggregated<'a> {
    /// Totals of a site.
    Site(AggregatedSite, Lifetimes<'a>, SizePowers<'a>),
    /// Totals of a pair of threads.
    Pair(AggregatedPair),
    /// Totals of a size class.
    Size(AggregatedSize),
}

/// Iterator over the lifetimes of a site: duration classes in ticks, with their counts.
#[derive(Clone, Debug)]
pub struct Lifetimes<'a> {
    input: ByteReader<'a>,
    remaining: u64,
    class: u64,
}

impl Lifetimes<'_> {
    fn read(&mut self) -> Result<(u32, u64), FormatError> {
        self.class = self.class.saturating_add(self.input.varint()?);
        if self.class >= 1 << DURATION_CLASS_BITS {
            return Err(FormatError::Invalid("a class of lifetimes"));
        }
        Ok((self.class as u32, self.input.varint()?))
    }
}

impl Iterator for Lifetimes<'_> {
    type Item = (u32, u64);

    fn next(&mut self) -> Option<Self::Item> {
        self.remaining = self.remaining.checked_sub(1)?;
        // Never fails: `AggregatedRecords::take` has validated all entries.
        self.read().ok()
    }
}

/// The blocks of a site whose sizes share a power of two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SizePower {
    /// The exponent: sizes in `2^(power - 1) + 1 ..= 2^power`.
    pub power: u8,
    /// Number of blocks.
    pub blocks: u64,
    /// Sum of their sizes.
    pub bytes: u64,
}

/// Iterator over the blocks of a site per power of two of their sizes.
#[derive(Clone, Debug)]
pub struct SizePowers<'a> {
    input: ByteReader<'a>,
    remaining: u64,
}

impl SizePowers<'_> {
    fn read(&mut self) -> Result<SizePower, FormatError> {
        let power = self.input.u8()?;
        if power > size_power(u64::MAX) {
            return Err(FormatError::Invalid("a power of sizes"));
        }
        Ok(SizePower { power, blocks: self.input.varint()?, bytes: self.input.varint()? })
    }
}

impl Iterator for SizePowers<'_> {
    type Item = SizePower;

    fn next(&mut self) -> Option<Self::Item> {
        self.remaining = self.remaining.checked_sub(1)?;
        // Never fails: `AggregatedRecords::take` has validated all entries.
        self.read().ok()
    }
}

/// Reads an `Aggregated` payload record by record.
#[derive(Clone, Debug)]
pub struct AggregatedRecords<'a> {
    head: AggregatedHead,
    input: ByteReader<'a>,
}

impl<'a> AggregatedRecords<'a> {
    /// Reads the head.
    ///
    /// # Errors
    /// When the payload is shorter than a head.
    pub fn new(payload: &'a [u8]) -> Result<Self, FormatError> {
        let mut input = ByteReader::new(payload, "a block of aggregated sums");
        let head = AggregatedHead { from: Ticks(input.u64()?), to: Ticks(input.u64()?) };
        Ok(Self { head, input })
    }

    /// The time interval of the payload.
    pub fn head(&self) -> AggregatedHead {
        self.head
    }

    /// When the bytes are not a record; the rest of the payload cannot be read.
    pub fn take(&mut self) -> Result<Option<Aggregated<'a>>, FormatError> {
        if self.input.is_empty() {
            return Ok(None);
        }
        let record = match self.input.u8()? {
            TAG_SITE => {
                let site = AggregatedSite::read(&self.head, &mut self.input)?;
                let remaining = self.input.varint()?;
                let lifetimes = Lifetimes { input: self.input.clone(), remaining, class: 0 };
                let mut validated = lifetimes.clone();
                for _ in 0..remaining {
                    validated.read()?;
                }
                let remaining = validated.input.varint()?;
                let powers = SizePowers { input: validated.input, remaining };
                let mut validated = powers.clone();
                for _ in 0..remaining {
                    validated.read()?;
                }
                self.input = validated.input;
                Aggregated::Site(site, lifetimes, powers)
            }
            TAG_PAIR => Aggregated::Pair(AggregatedPair::read(&self.head, &mut self.input)?),
            TAG_SIZE => Aggregated::Size(AggregatedSize::read(&mut self.input)?),
            _ => return Err(FormatError::Invalid("an aggregated record's kind")),
        };
        Ok(Some(record))
    }
}

/// Why the aggregation threshold changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepReason {
    /// The program configured it.
    Asked,
    /// The recording approached its quota.
    Quota,
}

/// A change of the aggregation threshold: blocks with a shorter lifetime are aggregated from `at`
/// on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AggregationStep {
    /// Time of the change.
    pub at: Ticks,
    /// The threshold in nanoseconds.
    pub aggregate_below_ns: u64,
    /// Length of the recording at that time, in bytes.
    pub written_bytes: u64,
    /// Cause of the change.
    pub reason: StepReason,
}

impl AggregationStep {
    /// Appends the step.
    pub fn write(&self, out: &mut ByteWriter<'_>) {
        out.u64(self.at.0);
        out.u64(self.aggregate_below_ns);
        out.u64(self.written_bytes);
        out.u8(match self.reason {
            StepReason::Asked => 1,
            StepReason::Quota => 2,
        });
    }

    /// Reads an `AggregationStep` payload.
    pub fn read(payload: &[u8]) -> Result<Self, FormatError> {
        let mut input = ByteReader::new(payload, "an aggregation step");
        Ok(Self {
            at: Ticks(input.u64()?),
            aggregate_below_ns: input.u64()?,
            written_bytes: input.u64()?,
            reason: match input.u8()? {
                1 => StepReason::Asked,
                2 => StepReason::Quota,
                _ => return Err(FormatError::Invalid("an aggregation step's reason")),
            },
        })
    }
}
