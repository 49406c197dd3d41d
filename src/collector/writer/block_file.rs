//! The recording file: buffers blocks, appends them, and places the last blocks after a failed
//! write.
//!
//! Invariants:
//! - The file up to [`BlockFile::written`] consists of complete blocks.
//! - The buffer contains only complete blocks.

use std::io;

use crate::collector::writer::create::{ProgramDescriptor, RecordingFile};
use crate::recording::{BLOCK_HEADER_BYTES, BlockHeader, BlockKind, ByteWriter, HEADER_BYTES};

/// Size of the block buffer; twice the largest ring.
pub(crate) const BUFFER_BYTES: usize = 2 << 20;

/// Maximum size of the blocks that report a failure: counters and seal.
const TRAILER_BYTES: u64 = 1024;

/// A recording file and the blocks that are not yet written.
pub(crate) struct BlockFile {
    file: RecordingFile,
    buffer: Vec<u8>,
    used: usize,
    written: u64,
    /// Start positions of two earlier writes: the first is far enough back to have space for the
    /// failure trailer behind it, and the second will become the first.
    written_before: (u64, u64),
    /// Position and length of the failure trailer.
    trailer: Option<(u64, usize)>,
}

impl BlockFile {
    /// Takes a file that has its header. Allocates the buffer.
    pub(crate) fn new(file: RecordingFile) -> Self {
        Self {
            file,
            buffer: vec![0; BUFFER_BYTES],
            used: 0,
            written: HEADER_BYTES as u64,
            written_before: (HEADER_BYTES as u64, HEADER_BYTES as u64),
            trailer: None,
        }
    }

    /// Same as [`RecordingFile::unshare_descriptors`].
    pub(crate) fn unshare_descriptors(&self) -> Option<ProgramDescriptor> {
        self.file.unshare_descriptors()
    }

    /// Buffered bytes.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Length of the recording, including buffered bytes.
    pub(crate) fn length(&self) -> u64 {
        self.written.saturating_add(self.used as u64)
    }

    /// Whether a payload of `bytes` fits in the buffer.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        let wanted = bytes.saturating_add(BLOCK_HEADER_BYTES);
        self.buffer.len().saturating_sub(self.used) >= wanted
    }

    /// Appends a block to the buffer. A block that does not fit is dropped.
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

    /// Discards the buffered blocks.
    pub(crate) fn discard(&mut self) {
        self.used = 0;
    }

    /// Writes the buffered blocks. The buffer is empty afterwards, also after an error.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        let used = std::mem::take(&mut self.used);
        let Some(bytes) = self.buffer.get(..used) else {
            return Ok(());
        };
        self.file.write_all(bytes)?;
        self.written = self.written.saturating_add(used as u64);
        let (_, later) = self.written_before;
        if self.written.saturating_sub(later) >= TRAILER_BYTES {
            self.written_before = (later, self.written);
        }
        Ok(())
    }

    /// Ends the file with the buffered blocks, which report the failure. A full disk still has the
    /// rest of the last page; if that is too small, the trailer replaces the last blocks, whose
    /// space is allocated.
    pub(crate) fn write_failure_trailer(&mut self) {
        let used = std::mem::take(&mut self.used);
        let Some(bytes) = self.buffer.get(..used) else {
            return;
        };
        let positions = match self.trailer {
            // A second time at the end, with the final counters.
            Some((at, len)) if len == used => [at, at],
            Some(_) => return,
            None => [self.written, self.written_before.0],
        };
        for position in positions {
            if self.file.end_with(bytes, position).is_ok() {
                self.trailer = Some((position, used));
                return;
            }
        }
    }
}
