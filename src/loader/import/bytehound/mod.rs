//! Reads bytehound recordings: each event has its thread and its time in microseconds, frames are
//! addresses, and the headers of the executables are embedded.
//!
//! bytehound collects events in a queue per thread, so the file is somewhat out of order; events
//! are sorted by time before they are paired.

mod metadata;
mod chunks;
mod event;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;

use crate::loader::api::progress::Progress;
use crate::loader::fast_hash::FastHash;
use crate::loader::import::bytehound::chunks::Chunks;
use crate::loader::import::bytehound::event::{Block, Event};
use crate::loader::import::input::Input;
use crate::loader::passes::event_pass::{EventPass, Outcome};
use crate::loader::passes::pairing::RowSink;
use crate::loader::read::stream::{AllocInfo, AllocKind, EventKind, TimedEvent};
use crate::recording::{NodeId, ScopeId, StreamId, ThreadId, Ticks};

pub(crate) use chunks::is_chunk;
pub(crate) use metadata::read_metadata;

const NS_PER_US: u64 = 1_000;

/// Maximum time by which an event may be late in the file and still be sorted.
const DISORDER_US_MAX: u64 = 1_000_000;

/// Maximum number of events that are buffered for sorting, which bounds memory.
const BUFFERED_MAX: usize = 1 << 18;

/// Results of the metadata pass that the event pass needs.
#[derive(Debug, Default)]
pub(crate) struct Backtraces {
    /// By the file's id of a backtrace.
    pub(crate) nodes: HashMap<u64, NodeId, FastHash>,
    /// Time of the file that becomes time 0.
    pub(crate) initial_us: u64,
}

/// Reads all events of a file.
struct Events<'a> {
    chunks: Chunks<&'a mut Input>,
}

impl<'a> Events<'a> {
    fn new(input: &'a mut Input) -> Self {
        Self { chunks: Chunks::new(input) }
    }

    /// The next event; `None` at the end. An incomplete last event is dropped.
    fn next(&mut self) -> io::Result<Option<Event>> {
        match self.chunks.is_at_end() {
            Ok(false) => {}
            Ok(true) => return Ok(None),
            Err(error) => return self.torn(error),
        }
        match Event::read(&mut self.chunks) {
            Ok(event) => Ok(Some(event)),
            Err(error) => self.torn(error),
        }
    }

    fn torn(&mut self, error: io::Error) -> io::Result<Option<Event>> {
        if error.kind() != io::ErrorKind::UnexpectedEof {
            return Err(error);
        }
        self.chunks.input.set_torn();
        Ok(None)
    }
}

/// Numbers the threads by first appearance.
#[derive(Default)]
struct Threads {
    /// By the operating system's id.
    numbers: HashMap<u32, u32, FastHash>,
}

impl Threads {
    /// The number of a thread, and whether it is new.
    fn number(&mut self, os_id: u32) -> (u32, bool) {
        let next = self.numbers.len() as u32;
        let number = *self.numbers.entry(os_id).or_insert(next);
        (number, number == next)
    }
}

/// Time, thread and kind of an event that concerns a block.
fn block_event(event: &Event) -> Option<(u64, u32, BlockEvent)> {
    match *event {
        Event::Alloc(block) => Some((block.at_us, block.thread, BlockEvent::Alloc(block))),
        Event::Realloc { old: 0, block } => {
            Some((block.at_us, block.thread, BlockEvent::Alloc(block)))
        }
        Event::Realloc { old, block } if block.address == 0 => {
            Some((block.at_us, block.thread, BlockEvent::Free(old)))
        }
        Event::Realloc { old, block } => {
            Some((block.at_us, block.thread, BlockEvent::Realloc(old, block)))
        }
        Event::Free { at_us, address, thread } => Some((at_us, thread, BlockEvent::Free(address))),
        _ => None,
    }
}

/// An event that concerns a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum BlockEvent {
    Alloc(Block),
    Realloc(u64, Block),
    Free(u64),
}

impl BlockEvent {
    /// The event for pairing; two for a realloc.
    fn event_kinds(&self, backtraces: &Backtraces) -> [Option<EventKind>; 2] {
        let alloc = |block: &Block, kind| {
            let node = backtraces.nodes.get(&block.backtrace).copied().unwrap_or(NodeId::FAILED);
            let (address, size) = (block.address, block.size);
            Some(EventKind::Alloc(AllocInfo {
                address,
                size,
                node,
                align_log2: 0,
                scope: ScopeId::NONE,
                kind,
            }))
        };
        match self {
            Self::Free(address) => [Some(EventKind::Free { address: *address }), None],
            Self::Alloc(block) => [
                alloc(block, if block.is_zeroed { AllocKind::Zeroed } else { AllocKind::Alloc }),
                None,
            ],
            Self::Realloc(old, block) => [
                Some(EventKind::ReallocEnd { address: *old }),
                alloc(block, AllocKind::Realloc { old: *old }),
            ],
        }
    }
}

/// A buffered event, with its time, its index in the file and its thread.
type Buffered = Reverse<(u64, u64, u32, BlockEvent)>;

/// Runs the event pass.
pub(crate) fn read_events<S: RowSink>(
    input: &mut Input,
    backtraces: &Backtraces,
    pass: &mut EventPass,
    sink: &mut S,
    progress: &mut dyn Progress,
) -> io::Result<Outcome> {
    let mut events = Events::new(input);
    let mut threads = Threads::default();
    let mut buffered: BinaryHeap<Buffered> = BinaryHeap::new();
    let (mut latest, mut index) = (0_u64, 0_u64);
    loop {
        let event = events.next()?;
        let is_at_end = event.is_none();
        if let Some((at_us, thread, what)) = event.as_ref().and_then(block_event) {
            let (thread, _) = threads.number(thread);
            latest = latest.max(at_us);
            index += 1;
            buffered.push(Reverse((at_us, index, thread, what)));
        }
        let due_before = latest.saturating_sub(DISORDER_US_MAX);
        let is_due = |next: &Buffered| is_at_end || next.0.0 < due_before;
        while buffered.peek().is_some_and(is_due) || buffered.len() > BUFFERED_MAX {
            let Some(Reverse((at_us, _, thread, what))) = buffered.pop() else { break };
            let at = Ticks(at_us.saturating_sub(backtraces.initial_us).saturating_mul(NS_PER_US));
            for kind in what.event_kinds(backtraces).into_iter().flatten() {
                let event =
                    TimedEvent { at, stream: StreamId(thread), thread: ThreadId(thread), kind };
                let input = &events.chunks.input;
                if pass.push(&event, || input.share(), sink, progress) == Outcome::Stopped {
                    return Ok(Outcome::Stopped);
                }
            }
        }
        if is_at_end {
            pass.finish(sink);
            return Ok(Outcome::Complete);
        }
    }
}
