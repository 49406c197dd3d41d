//! What folding writes to, and what it says of itself.

use crate::recording::{BlockKind, ByteWriter};

/// What folding counts.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::collector) struct Counted {
    /// Blocks folded so far.
    pub(in crate::collector) blocks: u64,
    /// Events that were written before it was known whether they could be folded.
    pub(in crate::collector) held_short: u64,
    /// Bytes that could not be decoded: a mistake of ours.
    pub(in crate::collector) undecoded_bytes: u64,
}

/// Where payloads go.
pub(in crate::collector) trait Target {
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
