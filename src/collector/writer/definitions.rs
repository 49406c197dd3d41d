//! What events refer to: modules, threads, nodes, scopes and marks, as far as they are not written.
//!
//! Reads: the node table, the registry of modules, threads that wait to be defined, scopes, marks.
//! Writes: blocks of definitions through a [`QuotaSink`].
//!
//! Invariant: each definition is written once, and before any event that refers to it if
//! [`Definitions::write`] comes after the regions' committed lengths were read.

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

/// Nodes a block at most: 15 bytes each in the worst case, well inside the buffer.
const NODES_A_BLOCK: u32 = 32 << 10;

/// Scopes and marks a block at most: they fit the buffer easily.
const SCOPES_A_BLOCK: u32 = 1024;
const MARKS_A_BLOCK: usize = 128;

/// Nodes that are claimed but not yet written by their owner; no more than threads that can be
/// inside the recorder at once and were interrupted there.
const HOLES_MAX: usize = 256;

/// Where definitions go.
pub(crate) trait QuotaSink: PayloadSink {
    /// Whether a payload may still be written, the recording's end not counted.
    fn has_quota_for(&mut self, bytes: usize) -> bool;
}

/// What is defined so far.
#[derive(Default)]
pub(crate) struct Definitions {
    nodes_done: NodeId,
    holes: Vec<NodeId>,
    holes_len: usize,
    modules_done: usize,
    scopes_done: u32,
    pending: Vec<Option<PendingThread>>,
}

impl Definitions {
    /// Nothing is defined. Everything that is needed is allocated here.
    pub(crate) fn new() -> Self {
        Self {
            nodes_done: NodeId::FIRST,
            holes: vec![NodeId::NONE; HOLES_MAX],
            holes_len: 0,
            modules_done: 0,
            scopes_done: 0,
            pending: vec![None; PENDING_MAX],
        }
    }

    /// Writes what is not defined yet.
    pub(crate) fn write(&mut self, out: &mut impl QuotaSink) {
        self.modules(out);
        self.threads(out);
        self.nodes(out);
        self.scopes(out);
        marks(out);
    }

    /// Threads that began or were renamed.
    pub(crate) fn threads(&mut self, out: &mut impl QuotaSink) {
        loop {
            let len = threads::take_pending(&mut self.pending);
            if len == 0 {
                return;
            }
            // A definition has 37 bytes at most.
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
        while let Some(bytes) = module_registry::definition_bytes(self.modules_done) {
            let index = self.modules_done;
            out.payload(BlockKind::Modules, bytes, &mut |out| {
                module_registry::write_definition(index, out);
            });
            self.modules_done = self.modules_done.saturating_add(1);
        }
    }

    /// Nodes from the last one written upwards; the ones that their owner is still writing are
    /// remembered and written later, before any event can refer to them.
    fn nodes(&mut self, out: &mut impl QuotaSink) {
        let end = stack_table::end();
        self.fill_holes(out);
        while self.nodes_done < end {
            let first = self.nodes_done;
            let stop = NodeId(end.0.min(first.0.saturating_add(NODES_A_BLOCK)));
            let count = (first.0..stop.0)
                .take_while(|id| stack_table::definition(NodeId(*id)).is_some())
                .count() as u32;
            node_block(out, first, count);
            self.nodes_done = NodeId(first.0.saturating_add(count));
            if self.nodes_done < stop {
                let Some(place) = self.holes.get_mut(self.holes_len) else {
                    return;
                };
                *place = self.nodes_done;
                self.holes_len = self.holes_len.saturating_add(1);
                self.nodes_done = NodeId(self.nodes_done.0.saturating_add(1));
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

    /// Scopes from the last one written upwards.
    fn scopes(&mut self, out: &mut impl QuotaSink) {
        let end = scope_table::count();
        while self.scopes_done < end {
            let first = self.scopes_done.saturating_add(1);
            let last = end.min(self.scopes_done.saturating_add(SCOPES_A_BLOCK));
            let bytes = ScopeDef::HEAD_BYTES.saturating_add(INLINE_STR_BYTES_MAX);
            let bytes = (SCOPES_A_BLOCK as usize).saturating_mul(bytes);
            out.payload(BlockKind::Scopes, bytes, &mut |out| {
                for id in (first..=last).map(ScopeId) {
                    if let Some((parent, label)) = scope_table::definition(id) {
                        let name = &mut [0; INLINE_STR_BYTES_MAX];
                        ScopeDef { id, parent, name: label.bytes(name) }.write(out);
                    }
                }
            });
            self.scopes_done = last;
        }
    }
}

fn marks(out: &mut impl QuotaSink) {
    let mut waiting = [const { None }; MARKS_A_BLOCK];
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
