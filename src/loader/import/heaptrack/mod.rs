//! heaptrack's recordings, both as the profiled process writes them (raw: addresses and modules)
//! and as `heaptrack_interpret` leaves them (names, and no addresses of blocks).
//!
//! Reads: lines. Writes: a survey; steps.
//!
//! An interpreted file says of a block's end only which stack and size it had. All blocks alive
//! of one stack and size are alike to every sum, so that the youngest is taken: that is what
//! `malloc` and `free` do most of the time.

mod survey;
mod line;

use std::io::{self, BufRead};

use crate::loader::import::heaptrack::line::{BadLine, Line, Texts};
use crate::loader::import::input::Input;
use crate::loader::passes::event_pass::{Outcome, Replay};
use crate::loader::passes::pairing::Sink;
use crate::loader::progress::Progress;
use crate::loader::read::stream::{How, Made, Step, What};
use crate::recording::{NodeId, ScopeId, StreamId, ThreadId, Ticks};

pub(crate) use survey::survey;

/// No line is longer: the longest are names of C++ functions.
const LINE_BYTES_MAX: usize = 1 << 20;

/// The newest file format that is known.
const VERSION_MAX: u64 = 3;

const NS_A_MS: u64 = 1_000_000;

/// Lines, one after the other.
struct Lines<'a> {
    input: &'a mut Input,
    line: Vec<u8>,
    texts: Texts,
    version: u64,
    /// Lines that could not be read.
    bad: u64,
}

impl<'a> Lines<'a> {
    fn new(input: &'a mut Input) -> Self {
        Self { input, line: Vec::new(), texts: Texts::Bare, version: 0, bad: 0 }
    }

    /// The next line; `None` at the end. A last line that is not whole is left out.
    fn next(&mut self) -> io::Result<Option<Result<Line<'_>, BadLine>>> {
        self.line.clear();
        let mut is_too_long = false;
        loop {
            let available = self.input.fill_buf()?;
            if available.is_empty() {
                if !self.line.is_empty() || is_too_long {
                    self.input.tear();
                }
                return Ok(None);
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let part = &available[..end.unwrap_or(available.len())];
            let taken = part.len() + usize::from(end.is_some());
            if self.line.len() + part.len() > LINE_BYTES_MAX {
                is_too_long = true;
            } else {
                self.line.extend_from_slice(part);
            }
            self.input.consume(taken);
            if end.is_some() {
                break;
            }
        }
        let mut line = Line::parse(&self.line, self.texts);
        if is_too_long {
            line = Err(BadLine);
        }
        if let Ok(Line::Version { file, .. }) = line {
            if file > VERSION_MAX {
                return Err(io::Error::other(format!(
                    "it has version {file} of heaptrack's format, the newest known one is \
                     {VERSION_MAX}"
                )));
            }
            self.version = file;
            if file >= 3 {
                self.texts = Texts::Sized;
            }
        }
        self.bad += u64::from(line.is_err());
        Ok(Some(line))
    }

    /// The letter of the line that [`Lines::next`] gave last.
    fn letter(&self) -> u8 {
        self.line.first().copied().unwrap_or(b'#')
    }
}

/// Which node each stack of the file is.
#[derive(Default)]
struct Nodes {
    by_stack: Vec<NodeId>,
}

impl Nodes {
    /// The next stack; gives its node if it is a new one. `ip` 0 is the end of a stack.
    fn define(&mut self, ip: u64) -> Option<NodeId> {
        let number = u32::try_from(self.by_stack.len()).ok();
        let id = number.and_then(|number| number.checked_add(NodeId::FIRST.0)).map(NodeId);
        let node = id.filter(|_| ip != 0);
        self.by_stack.push(node.unwrap_or(NodeId::ROOT));
        node
    }

    /// A stack's node. One that does not come before the others is damage.
    fn get(&self, stack: u64) -> NodeId {
        let Some(index) = stack.checked_sub(1) else { return NodeId::ROOT };
        let known = usize::try_from(index).ok().and_then(|index| self.by_stack.get(index));
        known.copied().unwrap_or(NodeId::FAILED)
    }
}

/// A kind of block, and how many are alive of it.
struct Info {
    size: u64,
    node: NodeId,
    live: u32,
}

/// Events in the order of the file.
#[derive(Default)]
struct Events {
    nodes: Nodes,
    infos: Vec<Info>,
    now: Ticks,
}

impl Events {
    /// What a line means for an address. Blocks without one get a number that is free.
    fn step(&mut self, line: &Line<'_>, is_interpreted: bool) -> Option<What> {
        match *line {
            Line::Stack { ip, .. } => {
                self.nodes.define(ip);
                None
            }
            Line::Info { size, stack } => {
                self.infos.push(Info { size, node: self.nodes.get(stack), live: 0 });
                None
            }
            Line::Time { ms } => {
                self.now = self.now.max(Ticks(ms.saturating_mul(NS_A_MS)));
                None
            }
            Line::Made { info: index } => {
                let info = self.infos.get_mut(usize::try_from(index).ok()?)?;
                let address = place(index, info.live);
                info.live = info.live.saturating_add(1);
                Some(made(info.size, info.node, address))
            }
            Line::MadeAt { size, stack, address } => {
                Some(made(size, self.nodes.get(stack), address))
            }
            Line::Freed(address) if !is_interpreted => Some(What::Freed { address }),
            Line::Freed(index) => {
                let info = usize::try_from(index).ok().and_then(|at| self.infos.get_mut(at));
                let youngest = info.and_then(|info| {
                    info.live = info.live.checked_sub(1)?;
                    Some(info.live)
                });
                Some(What::Freed { address: place(index, youngest.unwrap_or(u32::MAX)) })
            }
            _ => None,
        }
    }
}

/// A number that no other block alive has.
fn place(info: u64, nth: u32) -> u64 {
    info << 32 | u64::from(nth)
}

fn made(size: u64, node: NodeId, address: u64) -> What {
    let scope = ScopeId::NONE;
    What::Made(Made { address, size, node, align_log2: 0, scope, how: How::Alloc })
}

/// The second pass.
pub(crate) fn replay<S: Sink>(
    input: &mut Input,
    replay: &mut Replay,
    sink: &mut S,
    progress: &mut dyn Progress,
) -> io::Result<Outcome> {
    let mut lines = Lines::new(input);
    let mut events = Events::default();
    loop {
        let is_interpreted = lines.version >= 1 && !events.infos.is_empty();
        let (what, letter) = match lines.next()? {
            None => break,
            Some(Ok(line)) => (events.step(&line, is_interpreted), b'#'),
            Some(Err(BadLine)) => (None, lines.letter()),
        };
        match letter {
            // What could not be read is counted on, for the sake of those behind it.
            b't' => drop(events.nodes.define(0)),
            b'a' => events.infos.push(Info { size: 0, node: NodeId::FAILED, live: 0 }),
            _ => {}
        }
        let Some(what) = what else { continue };
        let step = Step { at: events.now, stream: StreamId(0), thread: ThreadId(0), what };
        let input = &lines.input;
        if replay.feed(&step, || input.share(), sink, progress) == Outcome::Stopped {
            return Ok(Outcome::Stopped);
        }
    }
    replay.finish(sink);
    Ok(Outcome::Whole)
}
