//! What aggregation writes to, and what it says of itself.

use crate::recording::{BlockKind, ByteWriter};

/// What aggregation counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    /// Blocks aggregated so far.
    pub(crate) blocks: u64,
    /// Events that were written before it was known whether they could be aggregated.
    pub(crate) evicted_early: u64,
    /// Bytes that could not be decoded: a mistake of ours.
    pub(crate) undecoded_bytes: u64,
}

/// Where payloads go.
pub(crate) trait PayloadSink {
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
