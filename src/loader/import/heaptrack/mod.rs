//! Reads heaptrack recordings: raw ones, as the profiled process writes them (addresses and modules),
//! and those of `heaptrack_interpret` (names, but no addresses of blocks).
//!
//! In an interpreted file, a free names only the stack and the size of its block. Live blocks of
//! one stack and size are equal in every sum; the youngest one is taken, because most programs free
//! in that order.

mod metadata;
mod line;

use std::io::{self, BufRead};

use crate::loader::api::progress::Progress;
use crate::loader::import::heaptrack::line::{BadLine, Line, Texts};
use crate::loader::import::input::Input;
use crate::loader::passes::event_pass::{EventPass, Outcome};
use crate::loader::passes::pairing::RowSink;
use crate::loader::read::stream::{AllocInfo, AllocKind, EventKind, TimedEvent};
use crate::recording::{NodeId, ScopeId, StreamId, ThreadId, Ticks};

pub(crate) use metadata::read_metadata;

/// Maximum length of a line: the longest are names of C++ functions.
const LINE_BYTES_MAX: usize = 1 << 20;

/// The newest supported version of the file format.
const VERSION_MAX: u64 = 3;

const NS_PER_MS: u64 = 1_000_000;

/// Reads the lines of a file.
struct Lines<'a> {
    input: &'a mut Input,
    line: Vec<u8>,
    texts: Texts,
    version: u64,
    /// Lines that could not be parsed.
    bad: u64,
}

impl<'a> Lines<'a> {
    fn new(input: &'a mut Input) -> Self {
        Self { input, line: Vec::new(), texts: Texts::Bare, version: 0, bad: 0 }
    }

    /// The next line; `None` at the end. An incomplete last line is dropped.
    fn next(&mut self) -> io::Result<Option<Result<Line<'_>, BadLine>>> {
        self.line.clear();
        let mut is_too_long = false;
        loop {
            let available = self.input.fill_buf()?;
            if available.is_empty() {
                if !self.line.is_empty() || is_too_long {
                    self.input.set_torn();
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

    /// The letter of the line that [`Lines::next`] returned last.
    fn letter(&self) -> u8 {
        self.line.first().copied().unwrap_or(b'#')
    }
}

/// Maps the file's stacks to nodes.
#[derive(Default)]
struct Nodes {
    by_stack: Vec<NodeId>,
}

impl Nodes {
    /// Adds the next stack; returns its node, `None` for an `ip` of 0, which is the root.
    fn define(&mut self, ip: u64) -> Option<NodeId> {
        let number = u32::try_from(self.by_stack.len()).ok();
        let id = number.and_then(|number| number.checked_add(NodeId::FIRST.0)).map(NodeId);
        let node = id.filter(|_| ip != 0);
        self.by_stack.push(node.unwrap_or(NodeId::ROOT));
        node
    }

    /// The node of a stack; `FAILED` if it is not defined yet, which only damage explains.
    fn get(&self, stack: u64) -> NodeId {
        let Some(index) = stack.checked_sub(1) else { return NodeId::ROOT };
        let known = usize::try_from(index).ok().and_then(|index| self.by_stack.get(index));
        known.copied().unwrap_or(NodeId::FAILED)
    }
}

/// An allocation info of the file: a combination of size and stack.
struct Info {
    size: u64,
    node: NodeId,
    /// Live blocks with this info.
    live: u32,
}

/// Converts lines to events.
#[derive(Default)]
struct Events {
    nodes: Nodes,
    infos: Vec<Info>,
    now: Ticks,
}

impl Events {
    /// The event of a line. A block without an address gets one that no live block has.
    fn event(&mut self, line: &Line<'_>, is_interpreted: bool) -> Option<EventKind> {
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
                self.now = self.now.max(Ticks(ms.saturating_mul(NS_PER_MS)));
                None
            }
            Line::Alloc { info: index } => {
                let info = self.infos.get_mut(usize::try_from(index).ok()?)?;
                let address = synthetic_address(index, info.live);
                info.live = info.live.saturating_add(1);
                Some(alloc_event(info.size, info.node, address))
            }
            Line::AllocAt { size, stack, address } => {
                Some(alloc_event(size, self.nodes.get(stack), address))
            }
            Line::Free(address) if !is_interpreted => Some(EventKind::Free { address }),
            Line::Free(index) => {
                let info = usize::try_from(index).ok().and_then(|at| self.infos.get_mut(at));
                let youngest = info.and_then(|info| {
                    info.live = info.live.checked_sub(1)?;
                    Some(info.live)
                });
                Some(EventKind::Free {
                    address: synthetic_address(index, youngest.unwrap_or(u32::MAX)),
                })
            }
            _ => None,
        }
    }
}

/// The made-up address of the `nth` live block with an allocation info.
fn synthetic_address(info: u64, nth: u32) -> u64 {
    info << 32 | u64::from(nth)
}

fn alloc_event(size: u64, node: NodeId, address: u64) -> EventKind {
    let scope = ScopeId::NONE;
    EventKind::Alloc(AllocInfo {
        address,
        size,
        node,
        align_log2: 0,
        scope,
        kind: AllocKind::Alloc,
    })
}

/// Runs the event pass.
pub(crate) fn read_events<S: RowSink>(
    input: &mut Input,
    pass: &mut EventPass,
    sink: &mut S,
    progress: &mut dyn Progress,
) -> io::Result<Outcome> {
    let mut lines = Lines::new(input);
    let mut events = Events::default();
    loop {
        let is_interpreted = lines.version >= 1 && !events.infos.is_empty();
        let (kind, letter) = match lines.next()? {
            None => break,
            Some(Ok(line)) => (events.event(&line, is_interpreted), b'#'),
            Some(Err(BadLine)) => (None, lines.letter()),
        };
        match letter {
            // A damaged definition takes its number, so that those after it keep theirs.
            b't' => drop(events.nodes.define(0)),
            b'a' => events.infos.push(Info { size: 0, node: NodeId::FAILED, live: 0 }),
            _ => {}
        }
        let Some(kind) = kind else { continue };
        let event = TimedEvent { at: events.now, stream: StreamId(0), thread: ThreadId(0), kind };
        let input = &lines.input;
        if pass.push(&event, || input.share(), sink, progress) == Outcome::Stopped {
            return Ok(Outcome::Stopped);
        }
    }
    pass.finish(sink);
    Ok(Outcome::Complete)
}
