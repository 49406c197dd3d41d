//! The file header: identity, clock and configuration of a recording, 128 bytes.
//!
//! Invariant: a [`Header`] that [`Header::parse`] returned has passed its checksum and every range
//! check, so that later arithmetic can rely on it.

use crate::recording::bytes::{ByteReader, ByteWriter};
use crate::recording::error::FormatError;
use crate::recording::ids::Ticks;

/// As in PNG: a non-ASCII byte, the name, and line ends that a text transfer would change.
pub const MAGIC: [u8; 8] = *b"\x89RIP\r\n\x1a\n";

/// The format version that this code writes, and the newest that it reads.
pub const VERSION: u16 = 1;

/// Length of the header.
pub const HEADER_BYTES: usize = 128;

const CHECKSUM_OFFSET: usize = HEADER_BYTES - 4;

/// The clock of the recording's timestamps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClockKind {
    /// `CLOCK_MONOTONIC` in nanoseconds.
    #[default]
    Monotonic,
    /// The invariant time stamp counter of the processor.
    Tsc,
    /// A process-wide event counter: it gives an order but no durations.
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

/// The header. docs/reference/FORMAT.md lists the byte offsets.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Header {
    /// The clock of the timestamps.
    pub clock: ClockKind,
    /// Timestamps are clock readings shifted right by this many bits.
    pub tick_shift: u8,
    /// Random id of the recording.
    pub recording_id: [u8; 16],
    /// Id of the recorded process.
    pub pid: u32,
    /// Depth limit of a backtrace, in physical (not inlined) frames. Call paths in the file may be
    /// deeper; readers keep this many innermost frames.
    pub max_stack_depth: u32,
    /// Start of the recording, in nanoseconds since the Unix epoch.
    pub started_unix_ns: u64,
    /// Start of the recording on its own clock: time zero of the database.
    pub started_ticks: Ticks,
    /// Start of the recording on `CLOCK_MONOTONIC`.
    pub started_monotonic_ns: u64,
    /// Ticks per second as measured at the start; the clock pairs in the file refine it.
    pub ticks_per_second: f64,
    /// Fraction of allocations whose backtrace is captured.
    pub sample_rate: f64,
    /// Maximum number of threads recorded at once.
    pub trackers_max: u32,
    /// Size of a thread's ring buffer, in bytes.
    pub ring_bytes: u32,
    /// Blocks with a shorter lifetime are aggregated from the start, in nanoseconds; 0: none. Each
    /// `AggregationStep` changes the threshold.
    pub aggregate_below_ns: u64,
    /// Quota of the recording in bytes; 0: none.
    pub quota_bytes: u64,
    /// Mean distance between sampled bytes; 0: every allocation is recorded.
    pub sample_bytes: u64,
}

impl Header {
    /// The bytes of the header in the file.
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
    /// [`FormatError::NotARecording`] when the magic differs, [`FormatError::Truncated`] when there
    /// are fewer bytes, [`FormatError::Version`], [`FormatError::HeaderDamaged`] or
    /// [`FormatError::Invalid`].
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let common = bytes.len().min(MAGIC.len());
        if bytes[..common] != MAGIC[..common] || bytes.is_empty() {
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
