//! Decompresses the chunks of a bytehound recording.
//!
//! A chunk is a byte for its kind, four bytes for its length, and an LZ4 block or plain bytes.
//!
//! Invariant: no chunk is longer than [`CHUNK_BYTES_MAX`], decompressed, and no length field
//! reserves more.

use std::io::{self, BufRead, Read};

/// Maximum decompressed length of a chunk.
pub(crate) const CHUNK_BYTES_MAX: usize = 512 * 1024;

/// Maximum compressed length: LZ4 lengthens incompressible bytes by less than this.
const COMPRESSED_BYTES_MAX: usize = CHUNK_BYTES_MAX + CHUNK_BYTES_MAX / 200 + 64;

const LZ4: u8 = 1;
const PLAIN: u8 = 2;

/// Whether bytes are the start of a chunk.
pub(crate) fn is_chunk(start: &[u8]) -> bool {
    let Some((kind, rest)) = start.split_first() else { return false };
    let length = rest.first_chunk().map(|bytes| u32::from_le_bytes(*bytes) as usize);
    matches!(*kind, LZ4 | PLAIN)
        && length.is_some_and(|length| (1..=COMPRESSED_BYTES_MAX).contains(&length))
}

/// A reader of the decompressed chunks of `input`.
pub(crate) struct Chunks<R> {
    pub(crate) input: R,
    compressed: Vec<u8>,
    buffer: Vec<u8>,
    offset: usize,
}

impl<R: BufRead> Chunks<R> {
    /// Starts at the head of a chunk.
    pub(crate) fn new(input: R) -> Self {
        Self { input, compressed: Vec::new(), buffer: Vec::new(), offset: 0 }
    }

    /// Whether all chunks have been read.
    pub(crate) fn is_at_end(&mut self) -> io::Result<bool> {
        Ok(self.offset == self.buffer.len() && self.input.fill_buf()?.is_empty())
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let mut head = [0; 5];
        self.input.read_exact(&mut head)?;
        let [kind, length @ ..] = head;
        let length = u32::from_le_bytes(length) as usize;
        if !matches!(kind, LZ4 | PLAIN) || length > COMPRESSED_BYTES_MAX {
            return Err(io::Error::other("no chunk of data where one must start"));
        }
        self.compressed.resize(length, 0);
        self.input.read_exact(&mut self.compressed)?;
        self.offset = 0;
        if kind == PLAIN {
            std::mem::swap(&mut self.compressed, &mut self.buffer);
            return Ok(());
        }
        self.buffer.resize(CHUNK_BYTES_MAX, 0);
        let decompressed = lz4_flex::block::decompress_into(&self.compressed, &mut self.buffer);
        let bytes = decompressed.inspect_err(|_| self.buffer.clear()).map_err(io::Error::other)?;
        self.buffer.truncate(bytes);
        Ok(())
    }
}

impl<R: BufRead> Read for Chunks<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.offset == self.buffer.len() {
            if self.input.fill_buf()?.is_empty() {
                return Ok(0);
            }
            self.next_chunk()?;
        }
        let rest = &self.buffer[self.offset..];
        let taken = rest.len().min(into.len());
        into[..taken].copy_from_slice(&rest[..taken]);
        self.offset += taken;
        Ok(taken)
    }
}
