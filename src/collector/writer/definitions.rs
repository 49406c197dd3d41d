//! Writes definitions (modules, threads, nodes, scopes) and marks that are not yet in the file.
//!
//! Invariant: each definition is written once, and before any event that refers to it, provided
//! that [`Definitions::write`] runs after the committed lengths of the rings were read.

use crate::collector::aggregate::PayloadSink;
use crate::collector::event_path::marks;
use crate::collector::event_path::scope_table;
use crate::collector::event_path::threads::{self, PENDING_MAX, PendingThread};
use crate::collector::platform::inline_str::INLINE_STR_BYTES_MAX;
use crate::collector::unwind::module_registry;
use crate::collector::unwind::stack_table;
use crate::recording::{
    Address, BlockKind, MarkDef, NodeId, NodesHead, ScopeDef, ScopeId, ThreadDef,
};

/// Maximum nodes per block: at most 15 bytes each, so that a block fits in the buffer.
const NODES_PER_BLOCK: u32 = 32 << 10;

/// Maximum scopes and marks per block.
const SCOPES_PER_BLOCK: u32 = 1024;
const MARKS_PER_BLOCK: usize = 128;

/// Maximum number of nodes whose id is taken but whose definition its thread has not written yet:
/// one per thread that was interrupted inside the recorder.
const HOLES_MAX: usize = 256;

/// A sink that can be full because of the quota.
pub(crate) trait QuotaSink: PayloadSink {
    /// Whether a payload fits in the quota, with space for the end of the recording.
    fn has_quota_for(&mut self, bytes: usize) -> bool;
}

/// The definitions written so far.
#[derive(Default)]
pub(crate) struct Definitions {
    nodes_end: NodeId,
    holes: Vec<NodeId>,
    holes_len: usize,
    modules_written: usize,
    scopes_written: u32,
    pending: Vec<Option<PendingThread>>,
}

impl Definitions {
    /// No definitions written. Allocates all needed memory.
    pub(crate) fn new() -> Self {
        Self {
            nodes_end: NodeId::FIRST,
            holes: vec![NodeId::NONE; HOLES_MAX],
            holes_len: 0,
            modules_written: 0,
            scopes_written: 0,
            pending: vec![None; PENDING_MAX],
        }
    }

    /// Writes all missing definitions.
    pub(crate) fn write(&mut self, out: &mut impl QuotaSink) {
        self.modules(out);
        self.threads(out);
        self.nodes(out);
        self.scopes(out);
        marks(out);
    }

    /// Writes new and renamed threads.
    pub(crate) fn threads(&mut self, out: &mut impl QuotaSink) {
        loop {
            let len = threads::take_pending(&mut self.pending);
            if len == 0 {
                return;
            }
            // A definition has at most 37 bytes.
            let pending = &self.pending;
            out.payload(BlockKind::Threads, len.saturating_mul(40), &mut |out| {
                for thread in pending.iter().take(len).flatten() {
                    let name = thread.name.as_bytes();
                    ThreadDef { id: thread.id, os_id: thread.os_thread, at: thread.at, name }
                        .write(out);
                }
            });
        }
    }

    fn modules(&mut self, out: &mut impl QuotaSink) {
        while let Some(bytes) = module_registry::definition_bytes(self.modules_written) {
            let index = self.modules_written;
            out.payload(BlockKind::Modules, bytes, &mut |out| {
                module_registry::write_definition(index, out);
            });
            self.modules_written = self.modules_written.saturating_add(1);
        }
    }

    /// Writes the nodes after the last written one. A node whose thread is still writing it becomes
    /// a hole, which is written later, before any event can refer to it.
    fn nodes(&mut self, out: &mut impl QuotaSink) {
        let end = stack_table::end();
        self.fill_holes(out);
        while self.nodes_end < end {
            let first = self.nodes_end;
            let stop = NodeId(end.0.min(first.0.saturating_add(NODES_PER_BLOCK)));
            let count = (first.0..stop.0)
                .take_while(|id| stack_table::definition(NodeId(*id)).is_some())
                .count() as u32;
            node_block(out, first, count);
            self.nodes_end = NodeId(first.0.saturating_add(count));
            if self.nodes_end < stop {
                let Some(place) = self.holes.get_mut(self.holes_len) else {
                    return;
                };
                *place = self.nodes_end;
                self.holes_len = self.holes_len.saturating_add(1);
                self.nodes_end = NodeId(self.nodes_end.0.saturating_add(1));
            }
        }
    }

    fn fill_holes(&mut self, out: &mut impl QuotaSink) {
        let mut at = 0;
        while let Some(hole) = self.holes.get(at).copied().filter(|_| at < self.holes_len) {
            if stack_table::definition(hole).is_none() {
                at = at.saturating_add(1);
                continue;
            }
            node_block(out, hole, 1);
            self.holes_len = self.holes_len.saturating_sub(1);
            self.holes.copy_within(at.saturating_add(1)..=self.holes_len, at);
        }
    }

    /// Writes the scopes after the last written one.
    fn scopes(&mut self, out: &mut impl QuotaSink) {
        let end = scope_table::count();
        while self.scopes_written < end {
            let first = self.scopes_written.saturating_add(1);
            let last = end.min(self.scopes_written.saturating_add(SCOPES_PER_BLOCK));
            let bytes = ScopeDef::HEAD_BYTES.saturating_add(INLINE_STR_BYTES_MAX);
            let bytes = (SCOPES_PER_BLOCK as usize).saturating_mul(bytes);
            out.payload(BlockKind::Scopes, bytes, &mut |out| {
                for id in (first..=last).map(ScopeId) {
                    if let Some((parent, label)) = scope_table::definition(id) {
                        let name = &mut [0; INLINE_STR_BYTES_MAX];
                        ScopeDef { id, parent, name: label.bytes(name) }.write(out);
                    }
                }
            });
            self.scopes_written = last;
        }
    }
}

fn marks(out: &mut impl QuotaSink) {
    let mut waiting = [const { None }; MARKS_PER_BLOCK];
    loop {
        let len = marks::take(&mut waiting);
        if len == 0 {
            return;
        }
        let bytes = MarkDef::HEAD_BYTES.saturating_add(INLINE_STR_BYTES_MAX);
        out.payload(BlockKind::Marks, len.saturating_mul(bytes), &mut |out| {
            for mark in waiting.iter().take(len).flatten() {
                let name = &mut [0; INLINE_STR_BYTES_MAX];
                let (at, thread, value) = (mark.at, mark.thread, mark.value);
                MarkDef { at, thread, value, name: mark.name.bytes(name) }.write(out);
            }
        });
    }
}

fn node_block(out: &mut impl QuotaSink, first: NodeId, count: u32) {
    if count == 0 {
        return;
    }
    let bytes = (count as usize).saturating_mul(15).saturating_add(NodesHead::BYTES);
    if !out.has_quota_for(bytes) {
        return;
    }
    out.payload(BlockKind::Nodes, bytes, &mut |out| {
        NodesHead { first, count }.write(out);
        let mut previous = Address(0);
        for id in first.0..first.0.saturating_add(count) {
            let Some((parent, address)) = stack_table::definition(NodeId(id)) else {
                return;
            };
            NodesHead::write_node(out, NodeId(id), parent, address, previous);
            previous = address;
        }
    });
}
