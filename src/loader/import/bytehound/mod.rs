//! bytehound's recordings: every event with its thread and microsecond, addresses of frames, and
//! the executables that they are in.
//!
//! Reads: events. Writes: a survey; events.
//!
//! bytehound gathers the events of its threads in queues, so that they stand in the file somewhat
//! out of order; they are put in the order of their times before they are paired.

mod chunks;
mod event;
mod metadata;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;

use crate::loader::fast_hash::FastHash;
use crate::loader::import::bytehound::chunks::Chunks;
use crate::loader::import::bytehound::event::{Block, Event};
use crate::loader::import::input::Input;
use crate::loader::passes::event_pass::{EventPass, Outcome};
use crate::loader::passes::pairing::RowSink;
use crate::loader::progress::Progress;
use crate::loader::read::stream::{AllocInfo, AllocKind, EventKind, TimedEvent};
use crate::recording::{NodeId, ScopeId, StreamId, ThreadId, Ticks};

pub(crate) use chunks::is_chunk;
pub(crate) use metadata::{Known, read_metadata};

const NS_A_US: u64 = 1_000;

/// How far behind the latest event of the file an event may stand and still be put in its place.
const DISORDER_US_MAX: u64 = 1_000_000;

/// Events that are kept back for that at most.
const KEPT_BACK_MAX: usize = 1 << 18;

/// Nodes by the file's numbers of backtraces.
pub(crate) type Backtraces = HashMap<u64, NodeId, FastHash>;

/// Events, one after the other.
struct Events<'a> {
    chunks: Chunks<&'a mut Input>,
}

impl<'a> Events<'a> {
    fn new(input: &'a mut Input) -> Self {
        Self { chunks: Chunks::new(input) }
    }

    /// The next event; `None` at the end. A last event that is not whole is left out.
    fn next(&mut self) -> io::Result<Option<Event>> {
        match self.chunks.is_over() {
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
        self.chunks.input.tear();
        Ok(None)
    }
}

/// Numbers of threads by those of the system, by first appearance.
#[derive(Default)]
struct Threads {
    numbers: HashMap<u32, u32, FastHash>,
}

impl Threads {
    /// A thread's number, and whether it is new.
    fn number(&mut self, system: u32) -> (u32, bool) {
        let next = self.numbers.len() as u32;
        let number = *self.numbers.entry(system).or_insert(next);
        (number, number == next)
    }
}

/// What happens to blocks, with its time in the file.
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum BlockEvent {
    Alloc(Block),
    Realloc(u64, Block),
    Free(u64),
}

impl BlockEvent {
    /// What that is for pairing: one event, or two for a realloc.
    fn event_kinds(&self, backtraces: &Backtraces) -> [Option<EventKind>; 2] {
        let made = |block: &Block, kind| {
            let node = backtraces.get(&block.backtrace).copied().unwrap_or(NodeId::FAILED);
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
                made(block, if block.is_zeroed { AllocKind::Zeroed } else { AllocKind::Alloc }),
                None,
            ],
            Self::Realloc(old, block) => [
                Some(EventKind::ReallocEnd { address: *old }),
                made(block, AllocKind::Realloc { old: *old }),
            ],
        }
    }
}

/// An event that waits for earlier ones: its time, its place in the file, its thread.
type Waiting = Reverse<(u64, u64, u32, BlockEvent)>;

/// The second pass.
pub(crate) fn read_events<S: RowSink>(
    input: &mut Input,
    known: &Known,
    pass: &mut EventPass,
    sink: &mut S,
    progress: &mut dyn Progress,
) -> io::Result<Outcome> {
    let mut events = Events::new(input);
    let mut threads = Threads::default();
    let mut waiting: BinaryHeap<Waiting> = BinaryHeap::new();
    let (mut latest, mut place) = (0_u64, 0_u64);
    loop {
        let event = events.next()?;
        let is_over = event.is_none();
        if let Some((at_us, thread, what)) = event.as_ref().and_then(block_event) {
            let (thread, _) = threads.number(thread);
            latest = latest.max(at_us);
            place += 1;
            waiting.push(Reverse((at_us, place, thread, what)));
        }
        let due = latest.saturating_sub(DISORDER_US_MAX);
        let is_due = |next: &Waiting| is_over || next.0.0 < due;
        while waiting.peek().is_some_and(is_due) || waiting.len() > KEPT_BACK_MAX {
            let Some(Reverse((at_us, _, thread, what))) = waiting.pop() else { break };
            let at = Ticks(at_us.saturating_sub(known.initial_us).saturating_mul(NS_A_US));
            for kind in what.event_kinds(&known.backtraces).into_iter().flatten() {
                let event =
                    TimedEvent { at, stream: StreamId(thread), thread: ThreadId(thread), kind };
                let input = &events.chunks.input;
                if pass.push(&event, || input.share(), sink, progress) == Outcome::Stopped {
                    return Ok(Outcome::Stopped);
                }
            }
        }
        if is_over {
            pass.finish(sink);
            return Ok(Outcome::Complete);
        }
    }
}
