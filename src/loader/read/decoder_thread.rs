//! Decodes event blocks on a thread of its own, and sends the merged events in batches.
//!
//! Invariants: batches hold the events in the order of the merge, so that a load does not depend
//! on the scheduling of the two threads; at most [`BATCHES_WAITING`] batches wait in the channel.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::loader::read::merge::Merge;
use crate::loader::read::reader::Blocks;
use crate::loader::read::stream::TimedEvent;
use crate::recording::BlockKind;

/// Events per batch: few enough that a batch is still cached when it is received.
const BATCH_EVENTS: usize = 1 << 11;

/// Batches in the channel: enough that a short pause of one thread does not stop the other.
const BATCHES_WAITING: usize = 4;

/// Events in order, and the aggregate block that precedes them.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Payload of an aggregate block that precedes the events; empty: none.
    pub(crate) aggregated: Vec<u8>,
    /// The events.
    pub(crate) events: Vec<TimedEvent>,
    /// Events of the file decoded so far.
    pub(crate) events_decoded: u64,
    /// Share of the file that is decoded, 0 to 1.
    pub(crate) share: f64,
}

/// The sending end, to be run on the decoder thread.
pub(crate) struct DecoderThread {
    batch: Batch,
    batches: SyncSender<Batch>,
    spares: Receiver<Batch>,
}

/// The receiving end. Decoding stops when it is dropped.
pub(crate) struct BatchReceiver {
    batches: Receiver<Batch>,
    spares: SyncSender<Batch>,
}

/// The two ends of a channel.
pub(crate) fn channel() -> (DecoderThread, BatchReceiver) {
    let (batches, incoming) = sync_channel(BATCHES_WAITING);
    let (back, spares) = sync_channel(BATCHES_WAITING + 2);
    let batch = Batch { events: Vec::with_capacity(BATCH_EVENTS), ..Batch::default() };
    (DecoderThread { batch, batches, spares }, BatchReceiver { batches: incoming, spares: back })
}

impl BatchReceiver {
    /// The next batch; `None` at the end.
    pub(crate) fn next(&self) -> Option<Batch> {
        self.batches.recv().ok()
    }

    /// Returns a batch to the decoder, which reuses its memory.
    pub(crate) fn recycle(&self, batch: Batch) {
        // If the channel of spares is full, this one is not needed.
        let _ = self.spares.try_send(batch);
    }
}

/// The receiver was dropped.
struct Disconnected;

impl DecoderThread {
    /// Decodes all event blocks of a file that has `bytes` bytes.
    pub(crate) fn run<R: Read>(
        mut self,
        merge: &mut Merge,
        blocks: &mut Blocks<R>,
        bytes: u64,
    ) -> io::Result<()> {
        while let Some(block) = blocks.next()? {
            let sent = match block.kind {
                BlockKind::Events => {
                    // The metadata pass has counted blocks with an invalid head.
                    let _ = merge.push(block.payload);
                    self.drain(merge)
                }
                BlockKind::Aggregated => self.send_aggregated(block.payload, merge.events()),
                _ => continue,
            };
            if let Err(Disconnected) = sent {
                return Ok(());
            }
            self.batch.share = blocks.position() as f64 / bytes.max(1) as f64;
        }
        merge.finish();
        if let Ok(()) = self.drain(merge) {
            let _ = self.send(merge.events());
        }
        merge.free_buffers();
        Ok(())
    }

    /// Starts a new batch with an aggregate block, so that it keeps its place between the events.
    fn send_aggregated(&mut self, payload: &[u8], events: u64) -> Result<(), Disconnected> {
        self.send(events)?;
        self.batch.aggregated.extend_from_slice(payload);
        Ok(())
    }

    fn drain(&mut self, merge: &mut Merge) -> Result<(), Disconnected> {
        while let Some(event) = merge.next() {
            self.batch.events.push(event);
            if self.batch.events.len() == BATCH_EVENTS {
                self.send(merge.events())?;
            }
        }
        Ok(())
    }

    #[inline(never)]
    fn send(&mut self, events: u64) -> Result<(), Disconnected> {
        let mut next = self.spares.try_recv().unwrap_or_default();
        next.aggregated.clear();
        next.events.clear();
        next.events.reserve(BATCH_EVENTS);
        next.share = self.batch.share;
        let mut full = std::mem::replace(&mut self.batch, next);
        full.events_decoded = events;
        self.batches.send(full).map_err(|_| Disconnected)
    }
}
