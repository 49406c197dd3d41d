//! The frame around everything after the header: a kind, a length, a checksum.
//!
//! Reads: bytes at a block's place. Writes: the 16 bytes before a payload.
//!
//! Invariant: a payload is looked at only after its checksum agreed, and never reserved for
//! on the word of its length.

use crate::recording::bytes::{ByteReader, ByteWriter};
use crate::recording::error::FormatError;
use crate::safeguards;

/// The first bytes of every block, so that a reader finds the next one behind damage.
pub const SYNC: [u8; 4] = *b"\x8eBLK";

/// Bytes before a payload.
pub const BLOCK_HEADER_BYTES: usize = 16;

/// No payload is longer; a length above this is damage, not data.
pub const PAYLOAD_BYTES_MAX: usize = 16 << 20;

/// What a payload holds. Unknown kinds are skipped by their length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BlockKind {
    /// Loaded and unloaded objects: [`ModuleDef`](crate::recording::ModuleDef)s.
    Modules,
    /// Threads at their first event, and again when their name changed.
    Threads,
    /// Stack nodes: [`NodeDefs`](crate::recording::NodeDefs).
    Nodes,
    /// A piece of one stream: [`EventsHead`](crate::recording::EventsHead), then events.
    Events,
    /// One [`ClockPair`](crate::recording::ClockPair).
    Clock,
    /// [`Counters`](crate::recording::Counters) so far; the last one in a file holds.
    Counters,
    /// The recording was ended, and why: [`Seal`](crate::recording::Seal).
    Seal,
    /// Sums of blocks that lived too short to be written:
    /// [`AggregatedRecords`](crate::recording::AggregatedRecords).
    Aggregated,
    /// A step of aggregation: [`AggregationStep`](crate::recording::AggregationStep).
    AggregationStep,
    /// Memory of the process now and then: [`MemoryReadingDef`](crate::recording::MemoryReadingDef)s.
    MemoryReadings,
    /// What the program said: [`MarkDef`](crate::recording::MarkDef)s.
    Marks,
    /// Scopes that the program named: [`ScopeDef`](crate::recording::ScopeDef)s.
    Scopes,
    /// Something that this version does not know.
    Unknown(u8),
}

impl BlockKind {
    fn code(self) -> u8 {
        match self {
            Self::Modules => 1,
            Self::Threads => 2,
            Self::Nodes => 3,
            Self::Events => 4,
            Self::Clock => 5,
            Self::Counters => 6,
            Self::Seal => 7,
            Self::Aggregated => 8,
            Self::AggregationStep => 9,
            Self::MemoryReadings => 10,
            Self::Marks => 11,
            Self::Scopes => 12,
            Self::Unknown(code) => code,
        }
    }

    fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Modules,
            2 => Self::Threads,
            3 => Self::Nodes,
            4 => Self::Events,
            5 => Self::Clock,
            6 => Self::Counters,
            7 => Self::Seal,
            8 => Self::Aggregated,
            9 => Self::AggregationStep,
            10 => Self::MemoryReadings,
            11 => Self::Marks,
            12 => Self::Scopes,
            other => Self::Unknown(other),
        }
    }
}

/// The 16 bytes before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    /// What the payload holds.
    pub kind: BlockKind,
    /// The payload's length.
    pub payload_bytes: u32,
    checksum: u32,
}

impl BlockHeader {
    /// The header for a payload that is given in one or two pieces, as a ring buffer gives it.
    pub fn for_payload(kind: BlockKind, first: &[u8], second: &[u8]) -> Self {
        let payload_bytes = (first.len() + second.len()) as u32;
        let mut header = Self { kind, payload_bytes, checksum: 0 };
        header.checksum = header.checksum_of(first, second);
        header
    }

    /// As it stands in the file.
    pub fn to_bytes(&self) -> [u8; BLOCK_HEADER_BYTES] {
        let mut bytes = [0; BLOCK_HEADER_BYTES];
        let mut out = ByteWriter::new(&mut bytes);
        out.bytes(&SYNC);
        out.bytes(&self.prefix());
        out.u32(self.checksum);
        bytes
    }

    /// Reads a header; the payload is not looked at.
    ///
    /// # Errors
    /// [`FormatError::Truncated`] when fewer than 16 bytes are left (a torn tail),
    /// [`FormatError::Invalid`] when these are no block's first bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut input = ByteReader::new(bytes, "a block's header");
        if input.bytes(SYNC.len())? != SYNC {
            return Err(FormatError::Invalid("a block's first bytes"));
        }
        let kind = BlockKind::from_code(input.u8()?);
        if input.bytes(3)? != [0; 3] {
            return Err(FormatError::Invalid("a block's reserved bytes"));
        }
        let payload_bytes = input.u32()?;
        let checksum = input.u32()?;
        if payload_bytes as usize > PAYLOAD_BYTES_MAX {
            return Err(FormatError::Invalid("a block's length"));
        }
        Ok(Self { kind, payload_bytes, checksum })
    }

    /// Whether `payload` is the one that this header was written for.
    pub fn matches(&self, payload: &[u8]) -> bool {
        payload.len() == self.payload_bytes as usize
            && (self.checksum_of(payload, &[]) == self.checksum
                || safeguards::without("block checksum"))
    }

    fn prefix(&self) -> [u8; 8] {
        let length = self.payload_bytes.to_le_bytes();
        [self.kind.code(), 0, 0, 0, length[0], length[1], length[2], length[3]]
    }

    fn checksum_of(&self, first: &[u8], second: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.prefix());
        hasher.update(first);
        hasher.update(second);
        hasher.finalize()
    }
}

/// A whole block at the front of `bytes`.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// What the payload holds.
    pub kind: BlockKind,
    /// The checked payload.
    pub payload: &'a [u8],
}

impl<'a> Block<'a> {
    /// Takes the block at the front of `bytes`; `Ok(None)` at the end of the bytes.
    ///
    /// # Errors
    /// [`FormatError::Truncated`] when the block goes on behind the end, [`FormatError::Invalid`]
    /// when it is damaged; find the next one with [`Block::resync`].
    pub fn parse(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, FormatError> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let header = BlockHeader::parse(bytes)?;
        let end = BLOCK_HEADER_BYTES + header.payload_bytes as usize;
        let payload =
            bytes.get(BLOCK_HEADER_BYTES..end).ok_or(FormatError::Truncated("a block"))?;
        if !header.matches(payload) {
            return Err(FormatError::Invalid("a block's checksum"));
        }
        Ok(Some((Self { kind: header.kind, payload }, end)))
    }

    /// How many bytes of `bytes` to skip, at least one, to stand before something that begins
    /// like a block; all of them if nothing does.
    pub fn resync(bytes: &[u8]) -> usize {
        let behind = bytes.get(1..).unwrap_or_default();
        match behind.windows(SYNC.len()).position(|window| window == SYNC) {
            Some(at) => at + 1,
            None => bytes.len(),
        }
    }
}
