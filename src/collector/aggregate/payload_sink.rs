//! The interface through which aggregation writes payloads and reports its counters.

use crate::recording::{BlockKind, ByteWriter};

/// Counters of aggregation in one recording.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AggregationCounters {
    /// Heap blocks that were added to totals instead of being written.
    pub(crate) blocks: u64,
    /// Events that were written early because the hold queue was full; it defers events until it is known
    /// whether their block is freed soon.
    pub(crate) evicted_early: u64,
    /// Bytes that could not be decoded: always 0 unless the recorder has a bug.
    pub(crate) undecoded_bytes: u64,
}

/// Receives the payloads of blocks of the recording. The flusher implements it.
pub(crate) trait PayloadSink {
    /// Stores the counters that hold before the next payload.
    fn note(&mut self, counters: AggregationCounters);

    /// Writes one payload of at most `bytes` bytes.
    fn payload(
        &mut self,
        kind: BlockKind,
        bytes: usize,
        write: &mut dyn FnMut(&mut ByteWriter<'_>),
    );
}
