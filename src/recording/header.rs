//! The first 128 bytes of a recording: what it is, by whom, and on which clock.
//!
//! Invariant: a [`Header`] that came out of [`Header::parse`] has passed its checksum and
//! every range check, so that later arithmetic may trust it.

use crate::recording::bytes::{ByteReader, ByteWriter};
use crate::recording::error::FormatError;
use crate::recording::ids::Ticks;

/// PNG's trick: a byte that is not ASCII, the name, and line ends that a text transfer
/// would change.
pub const MAGIC: [u8; 8] = *b"\x89RIP\r\n\x1a\n";

/// The format that this code writes, and the newest that it reads.
pub const VERSION: u16 = 1;

/// Bytes before the first block.
pub const HEADER_BYTES: usize = 128;

const CHECKSUM_OFFSET: usize = HEADER_BYTES - 4;

/// Where the recording's stamps come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClockKind {
    /// `CLOCK_MONOTONIC` in nanoseconds.
    #[default]
    Monotonic,
    /// The processor's invariant time stamp counter.
    Tsc,
    /// A process-wide counter of events: an order, but no times.
    Counter,
}

impl ClockKind {
    const ALL: [(Self, u8); 3] = [(Self::Monotonic, 0), (Self::Tsc, 1), (Self::Counter, 2)];

    fn code(self) -> u8 {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or(0, |(_, code)| *code)
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == code).map(|(kind, _)| *kind)
    }
}

/// What stands in front of the blocks. Byte offsets are in docs/FORMAT.md.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Header {
    /// Where stamps come from.
    pub clock: ClockKind,
    /// Stamps are raw clock readings shifted right by this many bits.
    pub tick_shift: u8,
    /// Random; tells this recording from any other.
    pub recording_id: [u8; 16],
    /// The recorded process.
    pub pid: u32,
    /// The depth limit of a backtrace, in frames that were really called (not inlined ones).
    /// Stacks may reach deeper in the file; readers cut them to the innermost this many.
    pub max_stack_depth: u32,
    /// Nanoseconds since the Unix epoch when recording began.
    pub started_unix_ns: u64,
    /// The clock at the same moment: time zero of all answers.
    pub started_ticks: Ticks,
    /// `CLOCK_MONOTONIC` at the same moment.
    pub started_monotonic_ns: u64,
    /// Ticks a second as known at the start; the clock pairs in the file refine it.
    pub ticks_per_second: f64,
    /// Share of allocations whose backtrace was probed.
    pub sample_rate: f64,
    /// How many threads could be recorded at once.
    pub trackers_max: u32,
    /// Size of a tracker's buffer.
    pub ring_bytes: u32,
    /// Blocks that live shorter are aggregated, in nanoseconds; 0: none is. Notes say what changed.
    pub aggregate_below_ns: u64,
    /// The recording's quota in bytes; 0: none.
    pub quota_bytes: u64,
    /// One byte of so many is sampled, on average; 0: every allocation is recorded.
    pub sample_bytes: u64,
}

impl Header {
    /// The header as it stands in the file.
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut out = ByteWriter::new(&mut bytes);
        out.bytes(&MAGIC);
        out.u16(VERSION);
        out.u16(HEADER_BYTES as u16);
        out.u8(8);
        out.u8(self.clock.code());
        out.u8(self.tick_shift);
        out.u8(0);
        out.bytes(&self.recording_id);
        out.u32(self.pid);
        out.u32(self.max_stack_depth);
        out.u64(self.started_unix_ns);
        out.u64(self.started_ticks.0);
        out.u64(self.started_monotonic_ns);
        out.u64(self.ticks_per_second.to_bits());
        out.u64(self.sample_rate.to_bits());
        out.u32(self.trackers_max);
        out.u32(self.ring_bytes);
        out.u64(self.aggregate_below_ns);
        out.u64(self.quota_bytes);
        out.u64(self.sample_bytes);
        let checksum = crc32fast::hash(&bytes[..CHECKSUM_OFFSET]);
        bytes[CHECKSUM_OFFSET..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads the first [`HEADER_BYTES`] of a file.
    ///
    /// # Errors
    /// [`FormatError::NotARecording`] when the magic differs, [`FormatError::Truncated`] when
    /// there are fewer bytes, and what is wrong with them otherwise.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let shared = bytes.len().min(MAGIC.len());
        if bytes[..shared] != MAGIC[..shared] || bytes.is_empty() {
            return Err(FormatError::NotARecording);
        }
        let bytes: &[u8; HEADER_BYTES] =
            bytes.first_chunk().ok_or(FormatError::Truncated("the header"))?;
        let mut input = ByteReader::new(&bytes[MAGIC.len()..], "the header");
        let version = input.u16()?;
        if version > VERSION || version == 0 {
            return Err(FormatError::Version(version));
        }
        let (fields, checksum) = bytes.split_at(CHECKSUM_OFFSET);
        if crc32fast::hash(fields).to_le_bytes() != checksum {
            return Err(FormatError::HeaderDamaged);
        }
        if usize::from(input.u16()?) != HEADER_BYTES {
            return Err(FormatError::Invalid("the header's length"));
        }
        if input.u8()? != 8 {
            return Err(FormatError::Invalid("the pointer width"));
        }
        Self::parse_fields(&mut input)
    }

    fn parse_fields(input: &mut ByteReader<'_>) -> Result<Self, FormatError> {
        let clock =
            ClockKind::from_code(input.u8()?).ok_or(FormatError::Invalid("the clock's kind"))?;
        let tick_shift = input.u8()?;
        if tick_shift > 32 {
            return Err(FormatError::Invalid("the clock's shift"));
        }
        input.u8()?;
        let mut recording_id = [0; 16];
        recording_id.copy_from_slice(input.bytes(16)?);
        let header = Self {
            clock,
            tick_shift,
            recording_id,
            pid: input.u32()?,
            max_stack_depth: input.u32()?,
            started_unix_ns: input.u64()?,
            started_ticks: Ticks(input.u64()?),
            started_monotonic_ns: input.u64()?,
            ticks_per_second: f64::from_bits(input.u64()?),
            sample_rate: f64::from_bits(input.u64()?),
            trackers_max: input.u32()?,
            ring_bytes: input.u32()?,
            aggregate_below_ns: input.u64()?,
            quota_bytes: input.u64()?,
            sample_bytes: input.u64()?,
        };
        if !(header.ticks_per_second.is_finite() && header.ticks_per_second >= 0.0) {
            return Err(FormatError::Invalid("the clock's rate"));
        }
        if !(0.0..=1.0).contains(&header.sample_rate) {
            return Err(FormatError::Invalid("the sample rate"));
        }
        Ok(header)
    }
}
