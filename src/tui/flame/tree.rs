//! The call tree: functions from the outermost inwards, each with its own weights.
//!
//! Reads: frames, then stacks with weights, or nodes with parents before children.
//! Writes: an immutable [`CallTree`].
//!
//! Invariants:
//! - A parent's number is smaller than its children's; node 0 is the root and has no function.
//! - A node has its own weights only; [`shape`](crate::tui::flame::shape) sums them.
//! - Calls of one function from one node are one node, whatever their lines.

use std::collections::HashMap;
use std::sync::Arc;

use crate::tui::flame::measure::Weights;

/// Maximum number of nodes; further stacks end in the deepest existing node.
pub const NODES_MAX: usize = 500_000;

/// The root.
pub const ROOT: NodeId = NodeId(0);

/// A node of a [`CallTree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// A function of [`Symbols`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SymbolId(pub u32);

/// A row of `frames`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrameId(pub i64);

/// The kind of a function's code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// The recorded program's.
    #[default]
    Own,
    /// The standard library's.
    Std,
    /// A library's.
    Dependency,
    /// The C library's, the dynamic linker's, an allocator's.
    Runtime,
    /// No name is known.
    Unknown,
}

impl FrameKind {
    /// From the `kind` column.
    pub fn parse(text: &str) -> Self {
        match text {
            "own" => Self::Own,
            "std" => Self::Std,
            "runtime" => Self::Runtime,
            "dependency" => Self::Dependency,
            _ => Self::Unknown,
        }
    }

    /// Whether the frame is collapsed by default.
    pub fn is_library(self) -> bool {
        matches!(self, Self::Dependency | Self::Std | Self::Runtime)
    }
}

/// A function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symbol {
    /// Full name.
    pub sym: String,
    /// Short name.
    pub function: String,
    /// The crate; empty if unknown.
    pub krate: String,
    /// The kind of its code.
    pub kind: FrameKind,
    /// One of its source files.
    pub file: Option<String>,
    /// The line in it.
    pub line: Option<u32>,
}

/// Intern table of functions.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    symbols: Vec<Symbol>,
    by_frame: HashMap<FrameId, SymbolId>,
    by_name: HashMap<String, SymbolId>,
}

impl Symbols {
    /// Adds a frame; frames of one function share an id.
    pub fn insert(&mut self, frame: FrameId, symbol: Symbol) -> SymbolId {
        let next = SymbolId(self.symbols.len() as u32);
        let id = *self.by_name.entry(symbol.sym.clone()).or_insert(next);
        if id == next {
            self.symbols.push(symbol);
        }
        self.by_frame.insert(frame, id);
        id
    }

    /// The function of a frame.
    pub fn of_frame(&self, frame: FrameId) -> Option<SymbolId> {
        self.by_frame.get(&frame).copied()
    }

    /// The function with this full name.
    pub fn by_name(&self, sym: &str) -> Option<SymbolId> {
        self.by_name.get(sym).copied()
    }

    /// A function by id.
    pub fn get(&self, id: SymbolId) -> Option<&Symbol> {
        self.symbols.get(id.0 as usize)
    }

    /// Number of functions.
    pub fn len(&self) -> usize {
        self.symbols.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.symbols.is_empty()
    }
}

/// A node of the call tree.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// The caller; the root is its own.
    pub parent: NodeId,
    /// The function; meaningless for the root.
    pub symbol: SymbolId,
    /// Allocated by this function itself, not by what it calls.
    pub self_weights: Weights,
}

/// The call tree.
#[derive(Clone, Debug)]
pub struct CallTree {
    nodes: Vec<Node>,
    symbols: Arc<Symbols>,
    sites: Vec<(i64, NodeId)>,
    cut_stacks: u64,
}

impl CallTree {
    /// The nodes, parents first.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The functions.
    pub fn symbols(&self) -> &Arc<Symbols> {
        &self.symbols
    }

    /// Backtraces, each with the node of its innermost function.
    pub fn sites(&self) -> &[(i64, NodeId)] {
        &self.sites
    }

    /// Stacks that were cut because the tree was full.
    pub fn cut_stacks(&self) -> u64 {
        self.cut_stacks
    }

    /// Everything in the tree.
    pub fn total(&self) -> Weights {
        let mut total = Weights::default();
        for node in &self.nodes {
            total += node.self_weights;
        }
        total
    }
}

/// Builds a [`CallTree`].
#[derive(Debug)]
pub struct TreeBuilder {
    tree: CallTree,
    children: HashMap<(NodeId, SymbolId), NodeId>,
}

impl TreeBuilder {
    /// An empty tree over these functions.
    pub fn new(symbols: Arc<Symbols>) -> Self {
        let root =
            Node { parent: ROOT, symbol: SymbolId(u32::MAX), self_weights: Weights::default() };
        Self {
            tree: CallTree { nodes: vec![root], symbols, sites: Vec::new(), cut_stacks: 0 },
            children: HashMap::new(),
        }
    }

    /// The child of `parent` for a function; created if missing.
    pub fn child(&mut self, parent: NodeId, symbol: SymbolId) -> NodeId {
        if let Some(child) = self.children.get(&(parent, symbol)) {
            return *child;
        }
        if self.tree.nodes.len() >= NODES_MAX {
            self.tree.cut_stacks += 1;
            return parent;
        }
        let child = NodeId(self.tree.nodes.len() as u32);
        self.children.insert((parent, symbol), child);
        self.tree.nodes.push(Node { parent, symbol, self_weights: Weights::default() });
        child
    }

    /// Adds to the own weights of a node.
    pub fn add_weights(&mut self, node: NodeId, weights: Weights) {
        if let Some(node) = self.tree.nodes.get_mut(node.0 as usize) {
            node.self_weights += weights;
        }
    }

    /// Adds a stack, outermost function first; returns the node of the innermost function.
    pub fn add_stack(
        &mut self,
        outermost_first: impl Iterator<Item = SymbolId>,
        weights: Weights,
    ) -> NodeId {
        let mut node = ROOT;
        for symbol in outermost_first {
            node = self.child(node, symbol);
        }
        self.add_weights(node, weights);
        node
    }

    /// Sets the innermost node of a backtrace.
    pub fn add_site(&mut self, bt: i64, node: NodeId) {
        self.tree.sites.push((bt, node));
    }

    /// The finished tree.
    pub fn finish(self) -> CallTree {
        self.tree
    }
}
