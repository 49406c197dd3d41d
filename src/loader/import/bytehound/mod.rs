//! bytehound's recordings: every event with its thread and microsecond, addresses of frames, and
//! the executables that they are in.
//!
//! Reads: events. Writes: a survey; steps.
//!
//! bytehound gathers the events of its threads in queues, so that they stand in the file somewhat
//! out of order; they are put in the order of their times before they are paired.

mod chunks;
mod survey;
mod event;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;

use crate::loader::fast_hash::FastHash;
use crate::loader::import::bytehound::chunks::Chunks;
use crate::loader::import::bytehound::event::{Block, Event};
use crate::loader::import::input::Input;
use crate::loader::passes::event_pass::{Outcome, Replay};
use crate::loader::passes::pairing::Sink;
use crate::loader::progress::Progress;
use crate::loader::read::stream::{How, Made, Step, What};
use crate::recording::{NodeId, ScopeId, StreamId, ThreadId, Ticks};

pub(crate) use chunks::is_chunk;
pub(crate) use survey::{Known, survey};

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
fn happening(event: &Event) -> Option<(u64, u32, Happening)> {
    match *event {
        Event::Made(block) => Some((block.at_us, block.thread, Happening::Made(block))),
        Event::ReallocEnd { old: 0, block } => {
            Some((block.at_us, block.thread, Happening::Made(block)))
        }
        Event::ReallocEnd { old, block } if block.address == 0 => {
            Some((block.at_us, block.thread, Happening::Freed(old)))
        }
        Event::ReallocEnd { old, block } => {
            Some((block.at_us, block.thread, Happening::ReallocEnd(old, block)))
        }
        Event::Freed { at_us, address, thread } => Some((at_us, thread, Happening::Freed(address))),
        _ => None,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Made(Block),
    ReallocEnd(u64, Block),
    Freed(u64),
}

impl Happening {
    /// What that is for pairing: one step, or two for a realloc.
    fn steps(&self, backtraces: &Backtraces) -> [Option<What>; 2] {
        let made = |block: &Block, how| {
            let node = backtraces.get(&block.backtrace).copied().unwrap_or(NodeId::FAILED);
            let (address, size) = (block.address, block.size);
            Some(What::Made(Made { address, size, node, align_log2: 0, scope: ScopeId::NONE, how }))
        };
        match self {
            Self::Freed(address) => [Some(What::Freed { address: *address }), None],
            Self::Made(block) => {
                [made(block, if block.is_zeroed { How::Zeroed } else { How::Alloc }), None]
            }
            Self::ReallocEnd(old, block) => {
                [Some(What::ReallocEnd { address: *old }), made(block, How::Realloc { old: *old })]
            }
        }
    }
}

/// An event that waits for earlier ones: its time, its place in the file, its thread.
type Waiting = Reverse<(u64, u64, u32, Happening)>;

/// The second pass.
pub(crate) fn replay<S: Sink>(
    input: &mut Input,
    known: &Known,
    replay: &mut Replay,
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
        if let Some((at_us, thread, what)) = event.as_ref().and_then(happening) {
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
            for what in what.steps(&known.backtraces).into_iter().flatten() {
                let step = Step { at, stream: StreamId(thread), thread: ThreadId(thread), what };
                let input = &events.chunks.input;
                if replay.feed(&step, || input.share(), sink, progress) == Outcome::Stopped {
                    return Ok(Outcome::Stopped);
                }
            }
        }
        if is_over {
            replay.finish(sink);
            return Ok(Outcome::Whole);
        }
    }
}
