//! Payloads of definitions: modules, threads, stack nodes, clock pairs, and the seal.
//!
//! Invariant: a definition precedes the first event that refers to it in the file.

use crate::recording::bytes::{ByteReader, ByteWriter, unzigzag, zigzag};
use crate::recording::error::FormatError;
use crate::recording::ids::{Address, ModuleId, NodeId, StreamId, ThreadId, Ticks};

/// Whether a module was loaded or unloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleStatus {
    /// Mapped from this time on.
    Loaded,
    /// No longer mapped; only `id` and `at` are meaningful.
    Unloaded,
}

/// An executable or shared library at the time it was found. One entry of a `Modules` payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleDef<'a> {
    /// Loaded or unloaded.
    pub status: ModuleStatus,
    /// Its id in this recording.
    pub id: ModuleId,
    /// Time at which the recorder found the change.
    pub at: Ticks,
    /// Address in the process minus address in the file ("load bias").
    pub bias: u64,
    /// First executable address.
    pub start: Address,
    /// End of the executable addresses (exclusive).
    pub end: Address,
    /// Whether this is the main executable.
    pub main: bool,
    /// The linker's build id; empty if there is none.
    pub build_id: &'a [u8],
    /// The path as the dynamic loader reports it; bytes, not necessarily UTF-8.
    pub path: &'a [u8],
}

impl<'a> ModuleDef<'a> {
    /// Appends this entry.
    pub fn write(&self, out: &mut ByteWriter<'_>) {
        out.u8(match self.status {
            ModuleStatus::Loaded => 1,
            ModuleStatus::Unloaded => 2,
        });
        out.u32(self.id.0);
        out.u64(self.at.0);
        out.u64(self.bias);
        out.u64(self.start.0);
        out.u64(self.end.0);
        out.u8(u8::from(self.main));
        out.text(self.build_id);
        out.text(self.path);
    }

    /// Takes one entry; `Ok(None)` at the end of the payload.
    pub fn read(input: &mut ByteReader<'a>) -> Result<Option<Self>, FormatError> {
        if input.is_empty() {
            return Ok(None);
        }
        let status = match input.u8()? {
            1 => ModuleStatus::Loaded,
            2 => ModuleStatus::Unloaded,
            _ => return Err(FormatError::Invalid("a module's status")),
        };
        Ok(Some(Self {
            status,
            id: ModuleId(input.u32()?),
            at: Ticks(input.u64()?),
            bias: input.u64()?,
            start: Address(input.u64()?),
            end: Address(input.u64()?),
            main: input.u8()? & 1 == 1,
            build_id: input.text()?,
            path: input.text()?,
        }))
    }
}

/// A thread at its first event or after a change of name. One entry of a `Threads` payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadDef<'a> {
    /// Its id in this recording.
    pub id: ThreadId,
    /// Its id in the operating system.
    pub os_id: u64,
    /// Time of the first event or of the change.
    pub at: Ticks,
    /// Its name; bytes, not necessarily UTF-8, possibly empty.
    pub name: &'a [u8],
}

impl<'a> ThreadDef<'a> {
    /// Appends this entry.
    pub fn write(&self, out: &mut ByteWriter<'_>) {
        out.u32(self.id.0);
        out.u64(self.os_id);
        out.u64(self.at.0);
        out.text(self.name);
    }

    /// Takes one entry; `Ok(None)` at the end of the payload.
    pub fn read(input: &mut ByteReader<'a>) -> Result<Option<Self>, FormatError> {
        if input.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            id: ThreadId(input.u32()?),
            os_id: input.u64()?,
            at: Ticks(input.u64()?),
            name: input.text()?,
        }))
    }
}

/// The head of a `Nodes` payload: `count` nodes follow, with consecutive ids from `first` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodesHead {
    /// The id of the first node.
    pub first: NodeId,
    /// Number of nodes.
    pub count: u32,
}

impl NodesHead {
    /// Bytes of a head.
    pub const BYTES: usize = 8;

    /// Appends the head.
    pub fn write(&self, out: &mut ByteWriter<'_>) {
        out.u32(self.first.0);
        out.u32(self.count);
    }

    /// Appends a node after the head. `previous` is the address of the preceding node of this
    /// payload, 0 for the first. `parent` must be smaller than `id`.
    pub fn write_node(
        out: &mut ByteWriter<'_>,
        id: NodeId,
        parent: NodeId,
        address: Address,
        previous: Address,
    ) {
        out.varint(u64::from(id.0.wrapping_sub(parent.0)));
        out.varint(zigzag(address.0.wrapping_sub(previous.0) as i64));
    }
}

/// Reads a `Nodes` payload: an iterator of (id, parent, return address).
#[derive(Clone, Debug)]
pub struct NodeDefs<'a> {
    input: ByteReader<'a>,
    next: u32,
    remaining: u32,
    previous: u64,
}

impl<'a> NodeDefs<'a> {
    /// When the payload is shorter than a head, or the ids would exceed `u32::MAX`.
    pub fn new(payload: &'a [u8]) -> Result<Self, FormatError> {
        let mut input = ByteReader::new(payload, "a block of stack nodes");
        let (first, count) = (input.u32()?, input.u32()?);
        if first < NodeId::FIRST.0 || first.checked_add(count).is_none() {
            return Err(FormatError::Invalid("a stack node's id"));
        }
        Ok(Self { input, next: first, remaining: count, previous: 0 })
    }

    fn read(&mut self) -> Result<(NodeId, NodeId, Address), FormatError> {
        let id = self.next;
        let distance = self.input.varint()?;
        let parent = u64::from(id)
            .checked_sub(distance)
            .filter(|parent| *parent < u64::from(id))
            .ok_or(FormatError::Invalid("a stack node's parent"))?;
        let address = self.previous.wrapping_add(unzigzag(self.input.varint()?) as u64);
        self.previous = address;
        self.next += 1;
        self.remaining -= 1;
        Ok((NodeId(id), NodeId(parent as u32), Address(address)))
    }
}

impl Iterator for NodeDefs<'_> {
    type Item = Result<(NodeId, NodeId, Address), FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.remaining == 0 {
            return None;
        }
        let node = self.read();
        if node.is_err() {
            self.remaining = 0;
        }
        Some(node)
    }
}

/// The head of an `Events` payload; the events follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventsHead {
    /// The stream of these events.
    pub stream: StreamId,
    /// Bytes of this stream before these events. A gap means that a block is missing.
    pub offset: u64,
    /// Offset of a keyframe in these events, if there is one: decoding resumes there after a gap.
    pub keyframe: Option<u32>,
}

impl EventsHead {
    /// Bytes of a head.
    pub const BYTES: usize = 16;

    /// Appends the head.
    pub fn write(&self, out: &mut ByteWriter<'_>) {
        out.u32(self.stream.0);
        out.u64(self.offset);
        out.u32(self.keyframe.unwrap_or(u32::MAX));
    }

    /// Splits a payload into its head and the events.
    pub fn read(payload: &[u8]) -> Result<(Self, &[u8]), FormatError> {
        let mut input = ByteReader::new(payload, "a block of events");
        let head = Self {
            stream: StreamId(input.u32()?),
            offset: input.u64()?,
            keyframe: Some(input.u32()?).filter(|at| *at != u32::MAX),
        };
        let events = input.rest();
        if head.keyframe.is_some_and(|at| at as usize >= events.len()) {
            return Err(FormatError::Invalid("a keyframe's place"));
        }
        Ok((head, events))
    }
}

/// Simultaneous readings of all clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockPair {
    /// Reading of the recording's clock.
    pub ticks: Ticks,
    /// Reading of `CLOCK_MONOTONIC`, in nanoseconds.
    pub monotonic_ns: u64,
    /// Nanoseconds since the Unix epoch.
    pub unix_ns: u64,
}

impl ClockPair {
    /// Appends the pair.
    pub fn write(&self, out: &mut ByteWriter<'_>) {
        out.u64(self.ticks.0);
        out.u64(self.monotonic_ns);
        out.u64(self.unix_ns);
    }

    /// Reads a `Clock` payload.
    pub fn read(payload: &[u8]) -> Result<Self, FormatError> {
        let mut input = ByteReader::new(payload, "a clock pair");
        Ok(Self { ticks: Ticks(input.u64()?), monotonic_ns: input.u64()?, unix_ns: input.u64()? })
    }
}

/// Why a recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealReason {
    /// `disable_tracking` was called.
    Disabled,
    /// Writing failed; `os_error` says why.
    WriteFailed,
    /// The recording reached its quota.
    Quota,
}

/// The last block of a recording that ended in an orderly way. A recording without a seal was cut
/// off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Time of the end.
    pub at: Ticks,
    /// Reason of the end.
    pub reason: SealReason,
    /// `errno` of the failed write, else 0.
    pub os_error: i32,
}

impl Seal {
    /// Appends the seal.
    pub fn write(&self, out: &mut ByteWriter<'_>) {
        out.u64(self.at.0);
        out.u8(match self.reason {
            SealReason::Disabled => 1,
            SealReason::WriteFailed => 2,
            SealReason::Quota => 3,
        });
        out.u32(self.os_error.cast_unsigned());
    }

    /// Reads a `Seal` payload.
    pub fn read(payload: &[u8]) -> Result<Self, FormatError> {
        let mut input = ByteReader::new(payload, "the seal");
        let at = Ticks(input.u64()?);
        let reason = match input.u8()? {
            1 => SealReason::Disabled,
            2 => SealReason::WriteFailed,
            3 => SealReason::Quota,
            _ => return Err(FormatError::Invalid("the seal's reason")),
        };
        Ok(Self { at, reason, os_error: input.u32()?.cast_signed() })
    }
}
