//! Decoding on a thread of its own: batches of events in the order of their stamps.
//!
//! Reads: event blocks, through a merge. Writes: [`Batch`]es, to whoever pairs them.
//!
//! Invariants: events come in the order in which the merge gives them, so nothing depends on how
//! long either thread waits; no more than [`BATCHES_WAITING`] batches wait.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::loader::read::merge::Merge;
use crate::loader::read::reader::Blocks;
use crate::loader::read::stream::TimedEvent;
use crate::recording::BlockKind;

/// Steps in a batch: few enough that it is still in a cache when it is taken.
const BATCH_EVENTS: usize = 1 << 11;

/// Batches between the two threads.
const BATCHES_WAITING: usize = 4;

/// Some events, in order.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The sums of aggregated blocks that come before the events; empty: none.
    pub(crate) aggregated: Vec<u8>,
    /// The events.
    pub(crate) events: Vec<TimedEvent>,
    /// Events that were decoded so far.
    pub(crate) events_decoded: u64,
    /// The share of the file that is decoded.
    pub(crate) share: f64,
}

/// The decoding end.
pub(crate) struct DecoderThread {
    batch: Batch,
    batches: SyncSender<Batch>,
    spares: Receiver<Batch>,
}

/// The taking end. Decoding ends when it goes.
pub(crate) struct Feed {
    batches: Receiver<Batch>,
    spares: SyncSender<Batch>,
}

/// Both ends.
pub(crate) fn channel() -> (DecoderThread, Feed) {
    let (batches, incoming) = sync_channel(BATCHES_WAITING);
    let (back, spares) = sync_channel(BATCHES_WAITING + 2);
    let batch = Batch { events: Vec::with_capacity(BATCH_EVENTS), ..Batch::default() };
    (DecoderThread { batch, batches, spares }, Feed { batches: incoming, spares: back })
}

impl Feed {
    /// The next batch; `None` at the end.
    pub(crate) fn next(&self) -> Option<Batch> {
        self.batches.recv().ok()
    }

    /// Gives back a batch that is done with.
    pub(crate) fn recycle(&self, batch: Batch) {
        // A full channel of spares only means that this one is not needed.
        let _ = self.spares.try_send(batch);
    }
}

/// The other end has gone: there is nothing left to do.
struct Gone;

impl DecoderThread {
    /// Decodes all event blocks of a file with so many bytes.
    pub(crate) fn run<R: Read>(
        mut self,
        merge: &mut Merge,
        blocks: &mut Blocks<R>,
        bytes: u64,
    ) -> io::Result<()> {
        while let Some(block) = blocks.next()? {
            let fed = match block.kind {
                BlockKind::Events => {
                    // What is wrong with a block's head was counted by the survey.
                    let _ = merge.push(block.payload);
                    self.drain(merge)
                }
                BlockKind::Aggregated => self.aggregate(block.payload, merge.events()),
                _ => continue,
            };
            if let Err(Gone) = fed {
                return Ok(());
            }
            self.batch.share = blocks.position() as f64 / bytes.max(1) as f64;
        }
        merge.finish();
        if let Ok(()) = self.drain(merge) {
            let _ = self.send(merge.events());
        }
        merge.forget_buffers();
        Ok(())
    }

    /// Hands aggregated sums on in their place between the events.
    fn aggregate(&mut self, payload: &[u8], events: u64) -> Result<(), Gone> {
        self.send(events)?;
        self.batch.aggregated.extend_from_slice(payload);
        Ok(())
    }

    fn drain(&mut self, merge: &mut Merge) -> Result<(), Gone> {
        while let Some(event) = merge.next() {
            self.batch.events.push(event);
            if self.batch.events.len() == BATCH_EVENTS {
                self.send(merge.events())?;
            }
        }
        Ok(())
    }

    #[inline(never)]
    fn send(&mut self, events: u64) -> Result<(), Gone> {
        let mut next = self.spares.try_recv().unwrap_or_default();
        next.aggregated.clear();
        next.events.clear();
        next.events.reserve(BATCH_EVENTS);
        next.share = self.batch.share;
        let mut full = std::mem::replace(&mut self.batch, next);
        full.events_decoded = events;
        self.batches.send(full).map_err(|_| Gone)
    }
}
