//! Takes a recording apart into blocks, with plain reads through one buffer.
//!
//! Reads: the file, up to the length that it had when it was opened, so that a recording that is
//! still being written gives one consistent answer. Writes: nothing.
//!
//! Invariants:
//! - Only blocks whose checksum agreed are handed out.
//! - Every byte behind the header is in a block, in [`Damage::bytes`] or in [`Damage::torn_bytes`].
//! - No memory is reserved on the word of a length field beyond one block's greatest length.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::loader::error::LoadError;
use crate::recording::{BLOCK_HEADER_BYTES, Block, BlockHeader, HEADER_BYTES, Header};

/// Bytes that are read at once.
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
    /// Opens a file and checks its header. Never waits: a FIFO is refused, not read.
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

    /// The first 128 bytes.
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file's length when it was opened.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// All blocks from the first on.
    pub(crate) fn blocks(&self) -> Blocks<FileAt<'_>> {
        let offset = HEADER_BYTES as u64;
        let source = FileAt { file: &self.file, offset };
        Blocks::new(source, offset, self.file_bytes)
    }
}

/// A place in a file that moves on by reading, without moving the file's own.
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

/// What could not be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Places where bytes had to be skipped to find the next block.
    pub(crate) places: u64,
    /// Bytes skipped there.
    pub(crate) bytes: u64,
    /// Bytes of a last block that is not whole.
    pub(crate) torn_bytes: u64,
}

/// The blocks of a source, one after the other.
#[derive(Debug)]
pub(crate) struct Blocks<R> {
    source: R,
    buffer: Vec<u8>,
    /// Where in the buffer the next block begins.
    front: usize,
    /// Where in the source the buffer's front stands.
    position: u64,
    /// Where to stop.
    limit: u64,
    /// Where the damage began that is being skipped.
    lost_since: Option<u64>,
    damage: Damage,
}

impl<R: Read> Blocks<R> {
    /// Reads `source`, which stands at `position`, up to `limit`.
    pub(crate) fn new(source: R, position: u64, limit: u64) -> Self {
        Self {
            source,
            buffer: Vec::new(),
            front: 0,
            position,
            limit,
            lost_since: None,
            damage: Damage::default(),
        }
    }

    /// Bytes of the source that are behind us.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// What had to be skipped so far; final when [`Blocks::next`] gave `None`.
    pub(crate) fn damage(&self) -> Damage {
        self.damage
    }

    /// The next whole block; `None` at the end.
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
            let whole =
                self.buffer.get(payload.clone()).is_some_and(|payload| header.matches(payload));
            if !whole {
                self.skip_damage();
                continue;
            }
            self.leave_damage();
            self.advance(len);
            return Ok(Some(Block { kind: header.kind, payload: &self.buffer[payload] }));
        }
    }

    /// Reads until `wanted` bytes are in the buffer or the end is reached; says how many are.
    fn fill(&mut self, wanted: usize) -> io::Result<usize> {
        if self.buffer.len() - self.front < wanted {
            self.buffer.drain(..self.front);
            self.front = 0;
            while self.buffer.len() < wanted {
                let behind = self.position + self.buffer.len() as u64;
                let room = self.limit.saturating_sub(behind).min(CHUNK_BYTES as u64);
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

    /// Goes to the next place that looks like a block's beginning.
    fn skip_damage(&mut self) {
        self.lost_since.get_or_insert(self.position);
        let rest = &self.buffer[self.front..];
        let mut skip = Block::resync(rest);
        if skip == rest.len() {
            // Sync bytes may straddle the buffer's end.
            skip = rest.len().saturating_sub(3).max(1);
        }
        self.advance(skip);
    }

    fn leave_damage(&mut self) {
        if let Some(since) = self.lost_since.take() {
            self.damage.places += 1;
            self.damage.bytes += self.position - since;
        }
    }

    /// What is not followed by any whole block is a torn tail, not damage.
    fn finish(&mut self) {
        if let Some(since) = self.lost_since.take() {
            self.damage.torn_bytes += self.position - since;
        }
    }
}
