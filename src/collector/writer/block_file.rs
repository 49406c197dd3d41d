//! The file that blocks are gathered for, and where its end is put when no more can be written.
//!
//! Reads: nothing. Writes: the file, a buffer at a time; after a failed write its last bytes.
//!
//! Invariants:
//! - What is in the file up to [`BlockFile::written`] is whole blocks.
//! - A block is in the buffer whole or not at all.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use crate::recording::{BLOCK_HEADER_BYTES, BlockHeader, BlockKind, ByteWriter, HEADER_BYTES};

/// The buffer that blocks are gathered in; the largest ring fits twice.
pub(crate) const BUFFER_BYTES: usize = 2 << 20;

/// The reason for a failure is never longer: counters and seal.
const REASON_BYTES: u64 = 1024;

/// A recording's file with the blocks that are not in it yet.
pub(crate) struct BlockFile {
    file: File,
    buffer: Vec<u8>,
    used: usize,
    written: u64,
    /// Where writes began: one with room for the reason behind it, and one that will be it.
    written_before: (u64, u64),
    /// Where the reason for a failure was written, and how many bytes it has.
    reason_at: Option<(u64, usize)>,
}

impl BlockFile {
    /// For a file that has its header. The buffer is allocated here.
    pub(crate) fn new(file: File) -> Self {
        Self {
            file,
            buffer: vec![0; BUFFER_BYTES],
            used: 0,
            written: HEADER_BYTES as u64,
            written_before: (HEADER_BYTES as u64, HEADER_BYTES as u64),
            reason_at: None,
        }
    }

    /// Bytes that are gathered.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// The recording's length, with what is about to be written.
    pub(crate) fn length(&self) -> u64 {
        self.written.saturating_add(self.used as u64)
    }

    /// Whether a payload of `bytes` fits behind what is gathered.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        let wanted = bytes.saturating_add(BLOCK_HEADER_BYTES);
        self.buffer.len().saturating_sub(self.used) >= wanted
    }

    /// Appends a block to the buffer. What does not fit is left out whole.
    pub(crate) fn append(&mut self, kind: BlockKind, payload: impl FnOnce(&mut ByteWriter<'_>)) {
        let Some(room) = self.buffer.get_mut(self.used..) else {
            return;
        };
        let Some((head, body)) = room.split_at_mut_checked(BLOCK_HEADER_BYTES) else {
            return;
        };
        let mut out = ByteWriter::new(body);
        payload(&mut out);
        let Some(len) = out.finish() else { return };
        let Some(written) = body.get(..len) else {
            return;
        };
        head.copy_from_slice(&BlockHeader::for_payload(kind, written, &[]).to_bytes());
        self.used = self.used.saturating_add(BLOCK_HEADER_BYTES).saturating_add(len);
    }

    /// Forgets what is gathered.
    pub(crate) fn discard(&mut self) {
        self.used = 0;
    }

    /// Writes what is gathered. It is gone from the buffer, whatever comes of it.
    ///
    /// # Errors
    /// Those of the write.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        let used = std::mem::take(&mut self.used);
        let Some(bytes) = self.buffer.get(..used) else {
            return Ok(());
        };
        self.file.write_all(bytes)?;
        self.written = self.written.saturating_add(used as u64);
        let (_, later) = self.written_before;
        if self.written.saturating_sub(later) >= REASON_BYTES {
            self.written_before = (later, self.written);
        }
        Ok(())
    }

    /// Ends the file with what is gathered, which says why. A full disk still has what is left of
    /// the last page; where that is too little, the last blocks make room, whose bytes are there.
    pub(crate) fn write_failure_trailer(&mut self) {
        let used = std::mem::take(&mut self.used);
        let Some(bytes) = self.buffer.get(..used) else {
            return;
        };
        let places = match self.reason_at {
            // Once more at the end, with the last counts.
            Some((at, len)) if len == used => [at, at],
            Some(_) => return,
            None => [self.written, self.written_before.0],
        };
        for place in places {
            let end = place.saturating_add(used as u64);
            if self.file.write_all_at(bytes, place).is_ok() && self.file.set_len(end).is_ok() {
                self.reason_at = Some((place, used));
                return;
            }
        }
    }
}
