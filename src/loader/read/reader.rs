//! Splits a recording into blocks, and skips damaged bytes.
//!
//! Reads the file up to the length that it had when it was opened, so that both passes over a
//! recording that is still being written see the same bytes.
//!
//! Invariants:
//! - Only blocks with a valid checksum are returned.
//! - Every byte behind the header is in a block, in [`Damage::bytes`] or in [`Damage::torn_bytes`].
//! - A length field in the file reserves at most the maximum length of a block.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::loader::api::error::LoadError;
use crate::recording::{BLOCK_HEADER_BYTES, Block, BlockHeader, HEADER_BYTES, Header};

/// Bytes per read.
const CHUNK_BYTES: usize = 1 << 20;

/// An open recording.
#[derive(Debug)]
pub(crate) struct Recording {
    path: PathBuf,
    file: File,
    header: Header,
    file_bytes: u64,
}

impl Recording {
    /// Opens a file and checks its header. Never blocks: a FIFO is refused.
    pub(crate) fn open(path: &Path) -> Result<Self, LoadError> {
        let failed = |error| LoadError::reading(path, error);
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open(path)
            .map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(LoadError::not_a_file(path, metadata.file_type()));
        }
        if metadata.len() == 0 {
            return Err(LoadError::empty(path));
        }
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        (&mut file).take(HEADER_BYTES as u64).read_to_end(&mut bytes).map_err(failed)?;
        let header = Header::parse(&bytes).map_err(|error| LoadError::header(path, error))?;
        Ok(Self { path: path.to_owned(), file, header, file_bytes: metadata.len() })
    }

    /// The file header.
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// The path it was opened by.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file's length when it was opened.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// A new iteration over all blocks.
    pub(crate) fn blocks(&self) -> Blocks<FileAt<'_>> {
        let offset = HEADER_BYTES as u64;
        let source = FileAt { file: &self.file, offset };
        Blocks::new(source, offset, self.file_bytes)
    }
}

/// A reader with an offset of its own: the file's offset is shared by both passes.
#[derive(Debug)]
pub(crate) struct FileAt<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for FileAt<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let taken = self.file.read_at(into, self.offset)?;
        self.offset += taken as u64;
        Ok(taken)
    }
}

/// Bytes that are not part of any valid block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Ranges of bytes that were skipped to find the next block.
    pub(crate) places: u64,
    /// Bytes in these ranges.
    pub(crate) bytes: u64,
    /// Bytes of an incomplete block at the end of the file.
    pub(crate) torn_bytes: u64,
}

/// Iterates over the blocks of a source.
#[derive(Debug)]
pub(crate) struct Blocks<R> {
    source: R,
    buffer: Vec<u8>,
    /// Offset of the next block in the buffer.
    front: usize,
    /// Offset of the next block in the source.
    position: u64,
    /// End of the source.
    limit: u64,
    /// Offset in the source at which the current damage began.
    damaged_from: Option<u64>,
    damage: Damage,
}

impl<R: Read> Blocks<R> {
    /// Reads `source`, whose offset is `position`, up to offset `limit`.
    pub(crate) fn new(source: R, position: u64, limit: u64) -> Self {
        Self {
            source,
            buffer: Vec::new(),
            front: 0,
            position,
            limit,
            damaged_from: None,
            damage: Damage::default(),
        }
    }

    /// Offset of the next block in the source.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Bytes skipped so far; final once [`Blocks::next`] has returned `None`.
    pub(crate) fn damage(&self) -> Damage {
        self.damage
    }

    /// The next valid block; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Block<'_>>> {
        loop {
            let available = self.fill(BLOCK_HEADER_BYTES)?;
            if available == 0 {
                self.finish();
                return Ok(None);
            }
            let Ok(header) = BlockHeader::parse(&self.buffer[self.front..]) else {
                self.skip_damage();
                continue;
            };
            let len = BLOCK_HEADER_BYTES + header.payload_bytes as usize;
            self.fill(len)?;
            let payload = self.front + BLOCK_HEADER_BYTES..self.front + len;
            let is_valid =
                self.buffer.get(payload.clone()).is_some_and(|payload| header.matches(payload));
            if !is_valid {
                self.skip_damage();
                continue;
            }
            self.end_damage();
            self.advance(len);
            return Ok(Some(Block { kind: header.kind, payload: &self.buffer[payload] }));
        }
    }

    /// Reads until `wanted` bytes or the rest of the source are in the buffer; returns their number.
    fn fill(&mut self, wanted: usize) -> io::Result<usize> {
        if self.buffer.len() - self.front < wanted {
            self.buffer.drain(..self.front);
            self.front = 0;
            while self.buffer.len() < wanted {
                let end = self.position + self.buffer.len() as u64;
                let room = self.limit.saturating_sub(end).min(CHUNK_BYTES as u64);
                let taken = (&mut self.source).take(room).read_to_end(&mut self.buffer)?;
                if taken == 0 {
                    break;
                }
            }
        }
        Ok(self.buffer.len() - self.front)
    }

    fn advance(&mut self, len: usize) {
        self.front += len;
        self.position += len as u64;
    }

    /// Skips to the next sync bytes, where a block may begin.
    fn skip_damage(&mut self) {
        self.damaged_from.get_or_insert(self.position);
        let rest = &self.buffer[self.front..];
        let mut skip = Block::resync(rest);
        if skip == rest.len() {
            // Sync bytes may straddle the buffer's end.
            skip = rest.len().saturating_sub(3).max(1);
        }
        self.advance(skip);
    }

    fn end_damage(&mut self) {
        if let Some(from) = self.damaged_from.take() {
            self.damage.places += 1;
            self.damage.bytes += self.position - from;
        }
    }

    /// Skipped bytes that no valid block follows are a torn end, not damage.
    fn finish(&mut self) {
        if let Some(from) = self.damaged_from.take() {
            self.damage.torn_bytes += self.position - from;
        }
    }
}
