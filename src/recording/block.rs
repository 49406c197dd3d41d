//! Block framing: every payload after the file header has a kind, a length and a checksum.
//!
//! ```text
//!  file     | header, 128 bytes | block | block | block | ...
//!
//! block      0       4      5       8               12         16
//! +-------+------+-------+---------------+----------+--------------------+ | sync  | kind | 0 0 0
//! | payload bytes | CRC-32   | payload            |
//! +-------+------+-------+---------------+----------+--------------------+ |<---- covered by the
//! CRC ---->|          |<- also covered --->| ```
//!
//! A reader that finds a damaged block searches for the next sync bytes ([`Block::resync`]).
//!
//! Invariant: a payload is read only after its checksum was verified, and no memory is reserved
//! because of an unverified length.

use crate::recording::bytes::{ByteReader, ByteWriter};
use crate::recording::error::FormatError;
use crate::safeguards::{self, Safeguard};

/// The first bytes of every block; a reader searches for them after damage.
pub const SYNC: [u8; 4] = *b"\x8eBLK";

/// Length of a block header.
pub const BLOCK_HEADER_BYTES: usize = 16;

/// Maximum payload length; a larger length field means damage.
pub const PAYLOAD_BYTES_MAX: usize = 16 << 20;

/// Content of a payload. Readers skip unknown kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BlockKind {
    /// Modules that were loaded or unloaded: [`ModuleDef`](crate::recording::ModuleDef)s.
    Modules,
    /// Threads at their first event and after each change of name:
    /// [`ThreadDef`](crate::recording::ThreadDef)s.
    Threads,
    /// Nodes of the stack table: [`NodeDefs`](crate::recording::NodeDefs).
    Nodes,
    /// Events of one stream: [`EventsHead`](crate::recording::EventsHead), then events.
    Events,
    /// One [`ClockPair`](crate::recording::ClockPair).
    Clock,
    /// Cumulative [`Counters`](crate::recording::Counters); the last block of a file counts.
    Counters,
    /// End of the recording and its reason: [`Seal`](crate::recording::Seal).
    Seal,
    /// Totals of aggregated blocks: [`AggregatedRecords`](crate::recording::AggregatedRecords).
    Aggregated,
    /// A change of the aggregation threshold:
    /// [`AggregationStep`](crate::recording::AggregationStep).
    AggregationStep,
    /// Memory of the process: [`MemoryReadingDef`](crate::recording::MemoryReadingDef)s.
    MemoryReadings,
    /// Marks of the program: [`MarkDef`](crate::recording::MarkDef)s.
    Marks,
    /// Scopes of the program: [`ScopeDef`](crate::recording::ScopeDef)s.
    Scopes,
    /// A kind that this version does not know.
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

/// A block header, 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    /// Content of the payload.
    pub kind: BlockKind,
    /// Length of the payload in bytes.
    pub payload_bytes: u32,
    checksum: u32,
}

impl BlockHeader {
    /// The header for a payload in one or two slices; a ring buffer yields two where it wraps.
    pub fn for_payload(kind: BlockKind, first: &[u8], second: &[u8]) -> Self {
        let payload_bytes = (first.len() + second.len()) as u32;
        let mut header = Self { kind, payload_bytes, checksum: 0 };
        header.checksum = header.checksum_of(first, second);
        header
    }

    /// The bytes of the header in the file.
    pub fn to_bytes(&self) -> [u8; BLOCK_HEADER_BYTES] {
        let mut bytes = [0; BLOCK_HEADER_BYTES];
        let mut out = ByteWriter::new(&mut bytes);
        out.bytes(&SYNC);
        out.bytes(&self.prefix());
        out.u32(self.checksum);
        bytes
    }

    /// Parses a header without reading the payload.
    ///
    /// # Errors
    /// [`FormatError::Truncated`] when fewer than 16 bytes are left (a torn tail), and
    /// [`FormatError::Invalid`] when the bytes are not a block header.
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

    /// Whether the length and the checksum of `payload` match this header.
    pub fn matches(&self, payload: &[u8]) -> bool {
        payload.len() == self.payload_bytes as usize
            && (self.checksum_of(payload, &[]) == self.checksum
                || safeguards::is_disabled(Safeguard::BlockChecksum))
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

/// A complete block at the start of a byte slice.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// Content of the payload.
    pub kind: BlockKind,
    /// The payload; its checksum was verified.
    pub payload: &'a [u8],
}

impl<'a> Block<'a> {
    /// Parses the block at the start of `bytes` and returns it with its length; `Ok(None)` when
    /// `bytes` is empty.
    ///
    /// # Errors
    /// [`FormatError::Truncated`] when the block extends past the end of `bytes`, and
    /// [`FormatError::Invalid`] when it is damaged; find the next one with [`Block::resync`].
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

    /// Number of bytes to skip, at least one, to reach the next sync bytes; the whole length if
    /// there are none.
    pub fn resync(bytes: &[u8]) -> usize {
        let rest = bytes.get(1..).unwrap_or_default();
        match rest.windows(SYNC.len()).position(|window| window == SYNC) {
            Some(at) => at + 1,
            None => bytes.len(),
        }
    }
}
