//! The call tree: functions from the outermost inwards, each with what it allocated itself.
//!
//! Reads: frames, then stacks with weights or ready-made nodes, in any order that puts parents first.
//! Writes: [`CallTree`], shared with the shaper and the screen, never changed after.
//!
//! Invariants:
//! - A parent's number is smaller than its children's; node 0 is the root and has no function.
//! - A node holds its own weights only; sums are made by the shaper, so that they can't disagree.
//! - Two calls of one function from one place are one node, whatever their lines.

use std::collections::HashMap;
use std::sync::Arc;

use crate::tui::flame::measure::Weights;

/// Nodes that a tree may have; further stacks end in the deepest node that exists.
pub const NODES_MAX: usize = 500_000;

/// The node that everything hangs from.
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

/// Whose code a function is.
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

    /// Whether the frame is folded away unless asked for.
    pub fn is_noise(self) -> bool {
        matches!(self, Self::Dependency | Self::Std | Self::Runtime)
    }
}

/// A function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symbol {
    /// Whole name.
    pub sym: String,
    /// Short name.
    pub function: String,
    /// Where it comes from; empty if that is unknown.
    pub krate: String,
    /// Whose code it is.
    pub kind: FrameKind,
    /// One of its places, to open its source.
    pub file: Option<String>,
    /// The line there.
    pub line: Option<u32>,
}

/// Functions by number, each once.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    symbols: Vec<Symbol>,
    by_frame: HashMap<FrameId, SymbolId>,
    by_name: HashMap<String, SymbolId>,
}

impl Symbols {
    /// Takes up a frame; frames of one function share its number.
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
    pub fn of(&self, frame: FrameId) -> Option<SymbolId> {
        self.by_frame.get(&frame).copied()
    }

    /// The function with this whole name.
    pub fn named(&self, sym: &str) -> Option<SymbolId> {
        self.by_name.get(sym).copied()
    }

    /// A function by number.
    pub fn get(&self, id: SymbolId) -> Option<&Symbol> {
        self.symbols.get(id.0 as usize)
    }

    /// How many functions there are.
    pub fn len(&self) -> usize {
        self.symbols.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.symbols.is_empty()
    }
}

/// A place in the tree.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// The caller; the root is its own.
    pub parent: NodeId,
    /// The function; meaningless for the root.
    pub symbol: SymbolId,
    /// Allocated by this function itself, not by what it calls.
    pub own: Weights,
}

/// Everything that allocated, as a tree.
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
            total += node.own;
        }
        total
    }
}

/// Makes a [`CallTree`].
#[derive(Debug)]
pub struct TreeBuilder {
    tree: CallTree,
    children: HashMap<(NodeId, SymbolId), NodeId>,
}

impl TreeBuilder {
    /// An empty tree over these functions.
    pub fn new(symbols: Arc<Symbols>) -> Self {
        let root = Node { parent: ROOT, symbol: SymbolId(u32::MAX), own: Weights::default() };
        Self {
            tree: CallTree { nodes: vec![root], symbols, sites: Vec::new(), cut_stacks: 0 },
            children: HashMap::new(),
        }
    }

    /// The child of `parent` for a function, made if it is not there yet.
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
        self.tree.nodes.push(Node { parent, symbol, own: Weights::default() });
        child
    }

    /// Adds to what a node allocated itself.
    pub fn weigh(&mut self, node: NodeId, weights: Weights) {
        if let Some(node) = self.tree.nodes.get_mut(node.0 as usize) {
            node.own += weights;
        }
    }

    /// Adds a whole stack, outermost function first, and gives the node of its innermost one.
    pub fn stack(
        &mut self,
        outermost_first: impl Iterator<Item = SymbolId>,
        weights: Weights,
    ) -> NodeId {
        let mut node = ROOT;
        for symbol in outermost_first {
            node = self.child(node, symbol);
        }
        self.weigh(node, weights);
        node
    }

    /// Notes the node at which a backtrace ends.
    pub fn site(&mut self, bt: i64, node: NodeId) {
        self.tree.sites.push((bt, node));
    }

    /// The finished tree.
    pub fn finish(self) -> CallTree {
        self.tree
    }
}
