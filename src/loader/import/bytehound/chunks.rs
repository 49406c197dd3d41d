//! The chunks that a bytehound recording is packed in.
//!
//! Reads: chunks: a byte for the kind, four for the length, and an LZ4 block, or bytes as they
//! are. Writes: the bytes in them.
//!
//! Invariant: no chunk is longer than [`CHUNK_BYTES_MAX`], packed or not.

use std::io::{self, BufRead, Read};

/// Bytes that a chunk holds at most.
pub(crate) const CHUNK_BYTES_MAX: usize = 512 * 1024;

/// LZ4 makes what can't be packed longer by less than this share.
const PACKED_BYTES_MAX: usize = CHUNK_BYTES_MAX + CHUNK_BYTES_MAX / 200 + 64;

const PACKED: u8 = 1;
const PLAIN: u8 = 2;

/// Bytes that tell a chunk of this format from other files.
pub(crate) fn is_chunk(begin: &[u8]) -> bool {
    let Some((kind, rest)) = begin.split_first() else { return false };
    let length = rest.first_chunk().map(|bytes| u32::from_le_bytes(*bytes) as usize);
    matches!(*kind, PACKED | PLAIN) && length.is_some_and(|it| (1..=PACKED_BYTES_MAX).contains(&it))
}

/// The bytes in the chunks of `input`.
pub(crate) struct Chunks<R> {
    pub(crate) input: R,
    packed: Vec<u8>,
    buffer: Vec<u8>,
    at: usize,
}

impl<R: BufRead> Chunks<R> {
    /// Begins at a chunk.
    pub(crate) fn new(input: R) -> Self {
        Self { input, packed: Vec::new(), buffer: Vec::new(), at: 0 }
    }

    /// Whether everything is read.
    pub(crate) fn is_over(&mut self) -> io::Result<bool> {
        Ok(self.at == self.buffer.len() && self.input.fill_buf()?.is_empty())
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let mut head = [0; 5];
        self.input.read_exact(&mut head)?;
        let [kind, length @ ..] = head;
        let length = u32::from_le_bytes(length) as usize;
        if !matches!(kind, PACKED | PLAIN) || length > PACKED_BYTES_MAX {
            return Err(io::Error::other("no chunk of data where one has to begin"));
        }
        self.packed.resize(length, 0);
        self.input.read_exact(&mut self.packed)?;
        self.at = 0;
        if kind == PLAIN {
            std::mem::swap(&mut self.packed, &mut self.buffer);
            return Ok(());
        }
        self.buffer.resize(CHUNK_BYTES_MAX, 0);
        let unpacked = lz4_flex::block::decompress_into(&self.packed, &mut self.buffer);
        let bytes = unpacked.inspect_err(|_| self.buffer.clear()).map_err(io::Error::other)?;
        self.buffer.truncate(bytes);
        Ok(())
    }
}

impl<R: BufRead> Read for Chunks<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.buffer.len() {
            if self.input.fill_buf()?.is_empty() {
                return Ok(0);
            }
            self.next_chunk()?;
        }
        let rest = &self.buffer[self.at..];
        let taken = rest.len().min(into.len());
        into[..taken].copy_from_slice(&rest[..taken]);
        self.at += taken;
        Ok(taken)
    }
}
