//! What was aggregated away: the sums of blocks that lived too short to be written one by one, and the
//! steps by which aggregation became coarser.
//!
//! A `Aggregated` payload covers a stretch of time and is a run of records; blocks are counted in the
//! payload in whose stretch they were freed. A `AggregationStep` payload is one step.
//!
//! Invariant: sums of all payloads are the sums of all aggregated blocks, each counted once.

use crate::recording::bytes::{ByteReader, ByteWriter};
use crate::recording::error::FormatError;
use crate::recording::ids::{NodeId, ThreadId, Ticks};
use crate::recording::size_classes::{
    DURATION_CLASS_BITS, FIRST_WIDE_CLASS, SIZE_CLASSES, size_class_max, size_power,
};

const TAG_SITE: u8 = 1;
const TAG_PAIR: u8 = 2;
const TAG_SIZE: u8 = 3;

/// More than a recording could aggregate in years.
const AGGREGATED_BLOCKS_MAX: u64 = 1 << 48;
const AGGREGATED_BYTES_MAX: u64 = 1 << 60;

/// No site record without its lifetimes is longer than this.
pub const AGGREGATED_SITE_BYTES_MAX: usize = 200;
/// Bytes of one class of lifetimes, or of one power of sizes, in a site record, at most.
pub const AGGREGATED_ENTRY_BYTES_MAX: usize = 22;
/// No pair or size record is longer than this.
pub const AGGREGATED_SMALL_BYTES_MAX: usize = 64;

/// The head of a `Aggregated` payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AggregatedHead {
    /// Where the stretch begins.
    pub from: Ticks,
    /// Where it ends.
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

/// Sums over the aggregated blocks of one stack and kind of request. Times are in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AggregatedSite {
    /// From where.
    pub node: NodeId,
    /// Whether zeroed memory was asked for.
    pub zeroed: bool,
    /// Base-2 logarithm of the alignment where it is above 16 bytes, else 0.
    pub align_log2: u8,
    /// Blocks.
    pub blocks: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// The smallest.
    pub size_min: u64,
    /// The largest.
    pub size_max: u64,
    /// All lifetimes together.
    pub lifetime_sum: u64,
    /// The shortest.
    pub lifetime_min: u64,
    /// The longest.
    pub lifetime_max: u64,
    /// Blocks freed by their own thread with at most one allocation of it in between.
    pub temporary: u64,
    /// Bytes of them.
    pub temporary_bytes: u64,
    /// Blocks freed by another thread.
    pub cross_thread_frees: u64,
    /// Blocks made by growing or shrinking another one.
    pub reallocs: u64,
    /// Of these, the ones that changed their place.
    pub reallocs_moved: u64,
    /// When the first was made.
    pub first_alloc: Ticks,
    /// When the last was made.
    pub last_alloc: Ticks,
    /// When the last was freed.
    pub last_free: Ticks,
    /// Bit n: thread n made some. Threads from 64 on are not told.
    pub threads: u64,
}

impl AggregatedSite {
    /// Appends a record; `lifetimes` are classes of durations (ascending) with their counts,
    /// `powers` the blocks by powers of two of their sizes (ascending).
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
        let mut before = 0;
        for (class, count) in lifetimes {
            out.varint(u64::from(class.wrapping_sub(before)));
            out.varint(count);
            before = class;
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
        let moment = |input: &mut ByteReader<'_>| -> Result<Ticks, FormatError> {
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
            first_alloc: moment(input)?,
            last_alloc: moment(input)?,
            last_free: moment(input)?,
            threads: input.varint()?,
        })
    }
}

/// Aggregated blocks by who made and who freed them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AggregatedPair {
    /// Who made them.
    pub allocated_by: ThreadId,
    /// Who freed them.
    pub freed_by: ThreadId,
    /// Blocks.
    pub blocks: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// When the first was made.
    pub first_alloc: Ticks,
    /// When the last was made.
    pub last_alloc: Ticks,
    /// When the first was freed.
    pub first_freed: Ticks,
    /// When the last was freed.
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
        let moment = |value: i64| Ticks(head.from.0.wrapping_add(value.cast_unsigned()));
        Ok(Self {
            allocated_by: thread(input.varint()?)?,
            freed_by: thread(input.varint()?)?,
            blocks: input.varint()?,
            bytes: input.varint()?,
            first_alloc: moment(input.zigzag()?),
            last_alloc: moment(input.zigzag()?),
            first_freed: moment(input.zigzag()?),
            last_free: moment(input.zigzag()?),
        })
    }
}

/// Aggregated blocks of one class of sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AggregatedSize {
    /// The class, below [`SIZE_CLASSES`].
    pub class: usize,
    /// Blocks.
    pub blocks: u64,
    /// Bytes of them.
    pub bytes: u64,
}

impl AggregatedSize {
    /// Appends a record. The bytes of an exact size are not written: they follow.
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

/// One record of a `Aggregated` payload.
#[derive(Clone, Debug)]
pub enum Aggregated<'a> {
    /// A site's sums.
    Site(AggregatedSite, Lifetimes<'a>, SizePowers<'a>),
    /// A pair of threads.
    Pair(AggregatedPair),
    /// A class of sizes.
    Size(AggregatedSize),
}

/// An aggregated site's lifetimes: classes of durations in ticks, with their counts.
#[derive(Clone, Debug)]
pub struct Lifetimes<'a> {
    input: ByteReader<'a>,
    left: u64,
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
        self.left = self.left.checked_sub(1)?;
        // The reader of the payload has been through them already.
        self.read().ok()
    }
}

/// An aggregated site's blocks of one power of two of sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SizePower {
    /// The power.
    pub power: u8,
    /// Blocks.
    pub blocks: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// An aggregated site's blocks by powers of two of their sizes.
#[derive(Clone, Debug)]
pub struct SizePowers<'a> {
    input: ByteReader<'a>,
    left: u64,
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
        self.left = self.left.checked_sub(1)?;
        // As above.
        self.read().ok()
    }
}

/// Reads a `Aggregated` payload record by record.
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

    /// The stretch of time.
    pub fn head(&self) -> AggregatedHead {
        self.head
    }

    /// The next record; `Ok(None)` at the end.
    ///
    /// # Errors
    /// When the bytes are no record; nothing after them can be read.
    pub fn take(&mut self) -> Result<Option<Aggregated<'a>>, FormatError> {
        if self.input.is_empty() {
            return Ok(None);
        }
        let record = match self.input.u8()? {
            TAG_SITE => {
                let site = AggregatedSite::read(&self.head, &mut self.input)?;
                let left = self.input.varint()?;
                let lifetimes = Lifetimes { input: self.input.clone(), left, class: 0 };
                let mut passed = lifetimes.clone();
                for _ in 0..left {
                    passed.read()?;
                }
                let left = passed.input.varint()?;
                let powers = SizePowers { input: passed.input, left };
                let mut passed = powers.clone();
                for _ in 0..left {
                    passed.read()?;
                }
                self.input = passed.input;
                Aggregated::Site(site, lifetimes, powers)
            }
            TAG_PAIR => Aggregated::Pair(AggregatedPair::read(&self.head, &mut self.input)?),
            TAG_SIZE => Aggregated::Size(AggregatedSize::read(&mut self.input)?),
            _ => return Err(FormatError::Invalid("an aggregated record's kind")),
        };
        Ok(Some(record))
    }
}

/// Why aggregation changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepReason {
    /// As the program asked for.
    Asked,
    /// The recording grew towards its quota.
    Quota,
}

/// From this moment on blocks that live shorter than `aggregate_below_ns` are aggregated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AggregationStep {
    /// When.
    pub at: Ticks,
    /// The limit.
    pub aggregate_below_ns: u64,
    /// The recording's length then, in bytes.
    pub written_bytes: u64,
    /// Why.
    pub reason: StepReason,
}

impl AggregationStep {
    /// Appends the note.
    pub fn write(&self, out: &mut ByteWriter<'_>) {
        out.u64(self.at.0);
        out.u64(self.aggregate_below_ns);
        out.u64(self.written_bytes);
        out.u8(match self.reason {
            StepReason::Asked => 1,
            StepReason::Quota => 2,
        });
    }

    /// Reads a `AggregationStep` payload.
    pub fn read(payload: &[u8]) -> Result<Self, FormatError> {
        let mut input = ByteReader::new(payload, "a note");
        Ok(Self {
            at: Ticks(input.u64()?),
            aggregate_below_ns: input.u64()?,
            written_bytes: input.u64()?,
            reason: match input.u8()? {
                1 => StepReason::Asked,
                2 => StepReason::Quota,
                _ => return Err(FormatError::Invalid("a note's reason")),
            },
        })
    }
}
