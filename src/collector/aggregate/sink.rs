//! What folding writes to, and what it says of itself.

use crate::recording::{BlockKind, ByteWriter};

/// What folding counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    /// Blocks folded so far.
    pub(crate) blocks: u64,
    /// Events that were written before it was known whether they could be folded.
    pub(crate) held_short: u64,
    /// Bytes that could not be decoded: a mistake of ours.
    pub(crate) undecoded_bytes: u64,
}

/// Where payloads go.
pub(crate) trait Target {
    /// Takes note of what was counted before the next payload.
    fn note(&mut self, counted: Counted);

    /// Takes a payload of at most `bytes`.
    fn payload(
        &mut self,
        kind: BlockKind,
        bytes: usize,
        write: &mut dyn FnMut(&mut ByteWriter<'_>),
    );
}
