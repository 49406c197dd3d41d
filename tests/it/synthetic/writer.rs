//! Writes recordings through the real encoder, without a recorded process.
//!
//! Reads: what a test or a bench says happened. Writes: a recording, to anything that can be
//! written to, one flush at a time, so that it may be bigger than memory.

use std::io::Write;

use rheaper::recording::{
    Address, BlockHeader, BlockKind, ByteWriter, Bytes, ClockPair, Counters, EVENT_BYTES_MAX,
    Encoder, Event, EventsHead, Header, MarkDef, MemoryReadingDef, ModuleDef, NodeId, NodesHead,
    ScopeDef, ScopeId, Seal, SealReason, StreamId, ThreadDef, ThreadId, Ticks,
};

/// Events between two keyframes of a stream.
const EVENTS_A_KEYFRAME: u32 = 4096;

struct Stream {
    encoder: Encoder,
    thread: Option<ThreadId>,
    bytes: Vec<u8>,
    keyframe: Option<u32>,
    scope: ScopeId,
    written: u64,
    events: u32,
}

/// A recording being written.
pub struct Writer<W> {
    out: W,
    streams: Vec<Stream>,
    nodes: Vec<(NodeId, NodeId, Address)>,
    next_node: u32,
    /// The scope of what comes next, whatever stream it is on.
    scope: ScopeId,
}

/// A header as tests want it: a tick is a nanosecond.
pub fn plain_header() -> Header {
    Header {
        recording_id: *b"0123456789abcdef",
        pid: 4242,
        max_stack_depth: 50,
        started_unix_ns: 1_700_000_000_000_000_000,
        ticks_per_second: 1e9,
        sample_rate: 1.0,
        trackers_max: 50,
        ring_bytes: 8192,
        ..Header::default()
    }
}

impl<W: Write> Writer<W> {
    pub fn new(mut out: W, header: &Header) -> Self {
        out.write_all(&header.to_bytes()).unwrap();
        Self {
            out,
            streams: Vec::new(),
            nodes: Vec::new(),
            next_node: NodeId::FIRST.0,
            scope: ScopeId::NONE,
        }
    }

    pub fn block(&mut self, kind: BlockKind, payload: &[u8]) {
        let header = BlockHeader::for_payload(kind, payload, &[]);
        self.out.write_all(&header.to_bytes()).unwrap();
        self.out.write_all(payload).unwrap();
    }

    fn small_block(&mut self, kind: BlockKind, write: impl FnOnce(&mut ByteWriter<'_>)) {
        let mut buffer = vec![0; 1 << 16];
        let mut out = ByteWriter::new(&mut buffer);
        write(&mut out);
        let len = out.finish().unwrap();
        self.block(kind, &buffer[..len]);
    }

    pub fn module(&mut self, module: &ModuleDef<'_>) {
        self.small_block(BlockKind::Modules, |out| module.write(out));
    }

    pub fn thread(&mut self, id: u32, os_id: u64, name: &str) {
        let thread = ThreadDef { id: ThreadId(id), os_id, at: Ticks(0), name: name.as_bytes() };
        self.small_block(BlockKind::Threads, |out| thread.write(out));
    }

    pub fn clock(&mut self, ticks: u64, monotonic_ns: u64) {
        let pair = ClockPair {
            ticks: Ticks(ticks),
            monotonic_ns,
            unix_ns: 1_700_000_000_000_000_000 + monotonic_ns,
        };
        self.small_block(BlockKind::Clock, |out| pair.write(out));
    }

    pub fn counters(&mut self, counters: &Counters) {
        self.small_block(BlockKind::Counters, |out| counters.write(out));
    }

    /// Resident bytes, those of the control group, and its limit.
    pub fn sample(&mut self, at: u64, [rss, cgroup, limit]: [Option<u64>; 3]) {
        let bytes = |value: Option<u64>| value.map(Bytes);
        let (rss, cgroup, cgroup_limit) = (bytes(rss), bytes(cgroup), bytes(limit));
        let sample = MemoryReadingDef { at: Ticks(at), rss, cgroup, cgroup_limit };
        self.small_block(BlockKind::MemoryReadings, |out| sample.write(out));
    }

    pub fn mark(&mut self, at: u64, thread: u32, name: &str, value: i64) {
        let name = name.as_bytes();
        let mark = MarkDef { at: Ticks(at), thread: ThreadId(thread), value, name };
        self.small_block(BlockKind::Marks, |out| mark.write(out));
    }

    pub fn scope(&mut self, id: u32, parent: u32, name: &str) {
        let scope = ScopeDef { id: ScopeId(id), parent: ScopeId(parent), name: name.as_bytes() };
        self.small_block(BlockKind::Scopes, |out| scope.write(out));
    }

    /// What follows happens in a scope; 0: in none.
    pub fn enter(&mut self, scope: u32) {
        self.scope = ScopeId(scope);
    }

    pub fn seal(&mut self, at: u64) {
        let seal = Seal { at: Ticks(at), reason: SealReason::Disabled, os_error: 0 };
        self.small_block(BlockKind::Seal, |out| seal.write(out));
    }

    /// Defines a node; it is written with the next flush.
    pub fn node(&mut self, parent: NodeId, address: u64) -> NodeId {
        let id = NodeId(self.next_node);
        self.next_node += 1;
        self.nodes.push((id, parent, Address(address)));
        id
    }

    /// A stack of these return addresses, innermost first, on this root.
    pub fn stack(&mut self, root: NodeId, addresses: &[u64]) -> NodeId {
        addresses.iter().rev().fold(root, |parent, address| self.node(parent, *address))
    }

    /// Something happened on a stream, by a thread.
    pub fn event(&mut self, stream: u32, thread: u32, event: &Event) {
        while self.streams.len() <= stream as usize {
            self.streams.push(Stream {
                encoder: Encoder::new(),
                thread: None,
                bytes: Vec::new(),
                keyframe: None,
                scope: ScopeId::NONE,
                written: 0,
                events: 0,
            });
        }
        let stream = &mut self.streams[stream as usize];
        let mut out = [0; EVENT_BYTES_MAX];
        let at = match *event {
            Event::Realloc { began, .. } => began,
            _ => event.at(),
        };
        let thread = ThreadId(thread);
        if stream.thread.is_none() || stream.events.is_multiple_of(EVENTS_A_KEYFRAME) {
            stream.keyframe.get_or_insert(stream.bytes.len() as u32);
            let len = stream.encoder.keyframe(&mut out, at, thread);
            stream.bytes.extend_from_slice(&out[..len]);
            stream.scope = ScopeId::NONE;
        } else if stream.thread != Some(thread) {
            let len = stream.encoder.thread(&mut out, at, thread);
            stream.bytes.extend_from_slice(&out[..len]);
        }
        stream.thread = Some(thread);
        if stream.scope != self.scope {
            stream.scope = self.scope;
            let len = stream.encoder.scope(&mut out, self.scope);
            stream.bytes.extend_from_slice(&out[..len]);
        }
        stream.events += 1;
        let len = encode(&mut stream.encoder, &mut out, event);
        stream.bytes.extend_from_slice(&out[..len]);
    }

    pub fn alloc(&mut self, by: (u32, u32), at: u64, address: u64, size: u64, node: NodeId) {
        let event = Event::Alloc {
            at: Ticks(at),
            address: Address(address),
            size: Bytes(size),
            node,
            align_log2: 0,
            zeroed: false,
        };
        self.event(by.0, by.1, &event);
    }

    pub fn free(&mut self, by: (u32, u32), at: u64, address: u64) {
        let event = Event::Free { at: Ticks(at), address: Address(address) };
        self.event(by.0, by.1, &event);
    }

    pub fn realloc(
        &mut self,
        by: (u32, u32),
        (began, at): (u64, u64),
        (old, new): (u64, u64),
        size: u64,
        node: NodeId,
    ) {
        let event = Event::Realloc {
            began: Ticks(began),
            at: Ticks(at),
            old: Address(old),
            new: Address(new),
            size: Bytes(size),
            node,
            align_log2: 0,
        };
        self.event(by.0, by.1, &event);
    }

    /// Bytes that wait for a flush.
    pub fn pending(&self) -> usize {
        self.streams.iter().map(|stream| stream.bytes.len()).sum()
    }

    /// Writes definitions, then what every stream has gathered.
    pub fn flush(&mut self) {
        let nodes = std::mem::take(&mut self.nodes);
        for chunk in nodes.chunks(4096) {
            let mut buffer = vec![0; 1 << 17];
            let mut out = ByteWriter::new(&mut buffer);
            let head = NodesHead { first: chunk[0].0, count: chunk.len() as u32 };
            head.write(&mut out);
            let mut previous = Address(0);
            for (id, parent, address) in chunk {
                NodesHead::write_node(&mut out, *id, *parent, *address, previous);
                previous = *address;
            }
            let len = out.finish().unwrap();
            self.block(BlockKind::Nodes, &buffer[..len]);
        }
        for index in 0..self.streams.len() {
            let stream = &mut self.streams[index];
            if stream.bytes.is_empty() {
                continue;
            }
            let head = EventsHead {
                stream: StreamId(index as u32),
                offset: stream.written,
                keyframe: stream.keyframe.take(),
            };
            stream.written += stream.bytes.len() as u64;
            let mut payload = vec![0; EventsHead::BYTES];
            head.write(&mut ByteWriter::new(&mut payload));
            payload.extend_from_slice(&std::mem::take(&mut stream.bytes));
            self.block(BlockKind::Events, &payload);
        }
    }

    pub fn finish(mut self) -> W {
        self.flush();
        self.out
    }
}

fn encode(encoder: &mut Encoder, out: &mut [u8; EVENT_BYTES_MAX], event: &Event) -> usize {
    match *event {
        Event::Alloc { at, address, size, node, align_log2: 0, zeroed: false } => {
            encoder.alloc(out, at, address, size, node)
        }
        Event::Alloc { at, address, size, node, align_log2, zeroed } => {
            encoder.alloc_long(out, at, address, size, node, align_log2, zeroed)
        }
        Event::Free { at, address } => encoder.free(out, at, address),
        Event::Realloc { began, at, old, new, size, node, align_log2 } => {
            encoder.realloc(out, began, at, old, new, size, node, align_log2)
        }
        Event::Failed { at, size, node } => encoder.failed(out, at, size, node),
        Event::ReallocBegin { at, address, size, node, align_log2, moved, linked } => {
            encoder.realloc_begin(out, at, address, size, node, align_log2, moved, linked)
        }
        Event::ReallocEnd { at, address } => encoder.realloc_end(out, at, address),
        Event::SkippedAllocs { at, allocations } => encoder.skipped_allocs(out, at, allocations),
    }
}
