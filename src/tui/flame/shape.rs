//! Turns a call tree into the shown tree: direction, collapsed frames, hidden functions, one measure.
//!
//! Reads: a [`CallTree`] and [`Shape`].
//! Writes: [`ShapedTree`].
//!
//! Invariants:
//! - A node's value is its own weight plus the values of its children.
//! - Children are sorted by value, then by name, so that equal input is drawn equally.

use std::collections::HashMap;
use std::sync::Arc;

use crate::tui::flame::measure::Measure;
use crate::tui::flame::tree::{CallTree, Node, NodeId, ROOT, Symbol, SymbolId, Symbols};

/// Frames of a stack that bottom-up trees follow.
pub const INVERTED_DEPTH_MAX: usize = 128;

/// Maximum number of nodes, about 50 MiB. Stacks beyond it end in the deepest existing node and are
/// counted.
pub const SHAPED_NODES_MAX: usize = 500_000;

/// The root of a shown tree.
pub const TOP: ShapedId = ShapedId(0);

/// A node of [`ShapedTree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShapedId(pub u32);

/// Direction of the tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the outermost functions to their callees.
    #[default]
    TopDown,
    /// From the allocating functions to their callers.
    BottomUp,
    /// The callers of one function.
    Callers(SymbolId),
    /// The callees of one function.
    Callees(SymbolId),
}

/// Whether repetitive frames are drawn as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Collapse {
    /// Drawn as one.
    #[default]
    Collapsed,
    /// Drawn separately.
    Expanded,
}

impl Collapse {
    /// The other variant.
    pub fn toggled(self) -> Self {
        match self {
            Self::Collapsed => Self::Expanded,
            Self::Expanded => Self::Collapsed,
        }
    }
}

/// The options of a shown tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// The measure.
    pub measure: Measure,
    /// The direction.
    pub direction: Direction,
    /// Whether library and runtime frames are collapsed.
    pub library: Collapse,
    /// Whether recursive calls, direct or not, are collapsed.
    pub recursion: Collapse,
    /// Functions that are hidden; their callees move up.
    pub hidden: Vec<SymbolId>,
    /// Only the subtrees of this function.
    pub from: Option<SymbolId>,
}

/// The content of a shown node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// The root.
    All,
    /// A function.
    Symbol(SymbolId),
    /// A run of library and runtime frames.
    Library,
}

#[derive(Clone, Debug)]
struct ShapedNode {
    key: Key,
    parent: ShapedId,
    self_value: u64,
    value: u64,
    pair: BytesAndBlocks,
    children: Vec<ShapedId>,
}

/// Bytes and blocks of the same allocations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BytesAndBlocks {
    /// Bytes.
    pub bytes: u64,
    /// Blocks.
    pub blocks: u64,
}

impl BytesAndBlocks {
    fn add(&mut self, other: Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.blocks = self.blocks.saturating_add(other.blocks);
    }
}

/// A shown tree.
#[derive(Clone, Debug)]
pub struct ShapedTree {
    nodes: Vec<ShapedNode>,
    symbols: Arc<Symbols>,
    sites: Vec<(i64, ShapedId)>,
    shape: Shape,
    depth: usize,
    cut: u64,
}

impl ShapedTree {
    /// Builds the tree for a shape.
    pub fn new(tree: &CallTree, shape: Shape) -> Self {
        let mut shaper = Shaper::new(tree, shape);
        match shaper.shown.shape.direction {
            Direction::TopDown => shaper.top_down(),
            Direction::BottomUp => shaper.bottom_up(),
            Direction::Callers(symbol) => shaper.callers(symbol),
            Direction::Callees(symbol) => {
                shaper.shown.shape.from = Some(symbol);
                shaper.top_down();
            }
        }
        shaper.finish()
    }

    /// The options it was built with.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Number of nodes, with the root.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Number of functions beyond [`SHAPED_NODES_MAX`], whose weight went to their callers.
    pub fn cut(&self) -> u64 {
        self.cut
    }

    /// Number of rows, with the root.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Whether the total is 0.
    pub fn is_empty(&self) -> bool {
        self.value(TOP) == 0
    }

    /// The value of a node, with its children.
    pub fn value(&self, id: ShapedId) -> u64 {
        self.nodes.get(id.0 as usize).map_or(0, |node| node.value)
    }

    /// The own weight of a node, without its children.
    pub fn self_value(&self, id: ShapedId) -> u64 {
        self.nodes.get(id.0 as usize).map_or(0, |node| node.self_value)
    }

    /// Bytes and blocks of a node, with its children; 0 if the measure has none.
    pub fn pair(&self, id: ShapedId) -> BytesAndBlocks {
        self.nodes.get(id.0 as usize).map_or(BytesAndBlocks::default(), |node| node.pair)
    }

    /// The innermost node of each backtrace.
    pub fn sites(&self) -> &[(i64, ShapedId)] {
        &self.sites
    }

    /// The content of a node.
    pub fn key(&self, id: ShapedId) -> Key {
        self.nodes.get(id.0 as usize).map_or(Key::All, |node| node.key)
    }

    /// The parent; the root is its own.
    pub fn parent(&self, id: ShapedId) -> ShapedId {
        self.nodes.get(id.0 as usize).map_or(TOP, |node| node.parent)
    }

    /// The children, largest first.
    pub fn children(&self, id: ShapedId) -> &[ShapedId] {
        self.nodes.get(id.0 as usize).map_or(&[], |node| node.children.as_slice())
    }

    /// The function of a node, if it is one.
    pub fn symbol(&self, id: ShapedId) -> Option<&Symbol> {
        match self.key(id) {
            Key::Symbol(symbol) => self.symbols.get(symbol),
            Key::All | Key::Library => None,
        }
    }

    /// The functions.
    pub fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    /// The value of all subtrees of matching functions, without double counting.
    pub fn matched(&self, is_match: impl Fn(SymbolId) -> bool) -> u64 {
        let mut total = 0;
        let mut inside = vec![false; self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate().skip(1) {
            let hit = matches!(node.key, Key::Symbol(symbol) if is_match(symbol));
            let above = inside[node.parent.0 as usize];
            if hit && !above {
                total += node.value;
            }
            inside[at] = hit || above;
        }
        total
    }
}

struct Shaper<'a> {
    tree: &'a CallTree,
    shown: ShapedTree,
    index: HashMap<(ShapedId, Key), ShapedId>,
}

impl<'a> Shaper<'a> {
    fn new(tree: &'a CallTree, shape: Shape) -> Self {
        let top = ShapedNode {
            key: Key::All,
            parent: TOP,
            self_value: 0,
            value: 0,
            pair: BytesAndBlocks::default(),
            children: Vec::new(),
        };
        Self {
            tree,
            shown: ShapedTree {
                nodes: vec![top],
                symbols: Arc::clone(tree.symbols()),
                sites: Vec::new(),
                shape,
                depth: 0,
                cut: 0,
            },
            index: HashMap::new(),
        }
    }

    fn width(&self, node: &Node) -> u64 {
        node.self_weights.width(self.shown.shape.measure)
    }

    /// Adds the own weight of a call tree node to its shown node.
    fn add_weight(&mut self, place: ShapedId, node: &Node) {
        let measure = self.shown.shape.measure;
        let of = |measure: Option<Measure>| measure.map_or(0, |it| node.self_weights.width(it));
        let pair = BytesAndBlocks { bytes: of(measure.bytes()), blocks: of(measure.blocks()) };
        let width = self.width(node);
        if let Some(shown) = self.shown.nodes.get_mut(place.0 as usize) {
            shown.self_value += width;
            shown.pair.add(pair);
        }
    }

    /// Maps the backtraces to shown nodes.
    fn map_sites(&mut self, place: impl Fn(NodeId) -> Option<ShapedId>) {
        let sites = self.tree.sites().iter();
        self.shown.sites = sites.filter_map(|(bt, node)| Some((*bt, place(*node)?))).collect();
    }

    fn is_hidden(&self, symbol: SymbolId) -> bool {
        self.shown.shape.hidden.contains(&symbol)
    }

    fn is_library(&self, symbol: SymbolId) -> bool {
        self.shown.shape.library == Collapse::Collapsed
            && self.tree.symbols().get(symbol).is_some_and(|symbol| symbol.kind.is_library())
    }

    fn child(&mut self, parent: ShapedId, key: Key) -> ShapedId {
        if self.shown.shape.recursion == Collapse::Collapsed && key != Key::Library {
            let mut above = parent;
            while above != TOP {
                if self.shown.key(above) == key {
                    return above;
                }
                above = self.shown.parent(above);
            }
        }
        // A quarter of the nodes is reserved for the first row, which matters most.
        let room = if parent == TOP { SHAPED_NODES_MAX } else { SHAPED_NODES_MAX / 4 * 3 };
        if self.shown.nodes.len() >= room && !self.index.contains_key(&(parent, key)) {
            self.shown.cut += 1;
            return parent;
        }
        let next = ShapedId(self.shown.nodes.len() as u32);
        let child = *self.index.entry((parent, key)).or_insert(next);
        if child == next {
            self.shown.nodes.push(ShapedNode {
                key,
                parent,
                self_value: 0,
                value: 0,
                pair: BytesAndBlocks::default(),
                children: Vec::new(),
            });
        }
        child
    }

    fn top_down(&mut self) {
        // The shown node of each call tree node; `None` above `from`.
        let mut places: Vec<Option<ShapedId>> = Vec::with_capacity(self.tree.nodes().len());
        for (at, node) in self.tree.nodes().iter().enumerate() {
            let above = places.get(node.parent.0 as usize).copied().flatten();
            let place = match (at, self.shown.shape.from) {
                (0, None) => Some(TOP),
                (0, Some(_)) => None,
                (_, Some(from)) if above.is_none() && node.symbol == from => {
                    Some(self.child(TOP, Key::Symbol(from)))
                }
                _ => above.map(|above| self.callee(above, node.symbol)),
            };
            if let Some(place) = place {
                self.add_weight(place, node);
            }
            places.push(place);
        }
        self.map_sites(|node| places.get(node.0 as usize).copied().flatten());
    }

    /// The shown node of a function called from `above`.
    fn callee(&mut self, above: ShapedId, symbol: SymbolId) -> ShapedId {
        if self.is_hidden(symbol) {
            above
        } else if self.is_library(symbol) {
            match self.shown.key(above) {
                Key::Library => above,
                _ => self.child(above, Key::Library),
            }
        } else {
            self.child(above, Key::Symbol(symbol))
        }
    }

    fn bottom_up(&mut self) {
        let nodes = self.tree.nodes();
        let mut places = vec![None; nodes.len()];
        for (at, node) in nodes.iter().enumerate() {
            if self.width(node) > 0 && (at != 0 || self.shown.shape.from.is_none()) {
                places[at] = self.add_reversed_stack(NodeId(at as u32), node);
            }
        }
        self.map_sites(|node| places.get(node.0 as usize).copied().flatten());
    }

    fn callers(&mut self, symbol: SymbolId) {
        let nodes = self.tree.nodes();
        let mut outermost = vec![ROOT; nodes.len()];
        for (at, node) in nodes.iter().enumerate().skip(1) {
            outermost[at] = match outermost[node.parent.0 as usize] {
                ROOT if node.symbol == symbol => NodeId(at as u32),
                above => above,
            };
        }
        for (at, node) in nodes.iter().enumerate() {
            if self.width(node) > 0 && outermost[at] != ROOT {
                self.add_reversed_stack(outermost[at], node);
            }
        }
    }

    /// Adds the stack from `node` to its callers with the weight of `weight`; returns its last node.
    /// Collapsed library frames are left out: nearly all bottom-up stacks start with the same ones.
    fn add_reversed_stack(&mut self, node: NodeId, weight: &Node) -> Option<ShapedId> {
        let from = self.shown.shape.from;
        let mut stack = Vec::new();
        let mut at = node;
        let mut end = None;
        while at != ROOT {
            let symbol = self.tree.nodes()[at.0 as usize].symbol;
            stack.push(symbol);
            if Some(symbol) == from {
                end = Some(stack.len());
            }
            at = self.tree.nodes()[at.0 as usize].parent;
        }
        if from.is_some() {
            stack.truncate(end?);
        }
        let callers_of = matches!(self.shown.shape.direction, Direction::Callers(_));
        let mut place = TOP;
        for (depth, symbol) in stack.into_iter().enumerate() {
            let is_focus = callers_of && depth == 0;
            if depth >= INVERTED_DEPTH_MAX
                || !is_focus && (self.is_hidden(symbol) || self.is_library(symbol))
            {
                continue;
            }
            place = self.child(place, Key::Symbol(symbol));
        }
        self.add_weight(place, weight);
        Some(place)
    }

    fn finish(mut self) -> ShapedTree {
        let nodes = &mut self.shown.nodes;
        for at in (0..nodes.len()).rev() {
            nodes[at].value += nodes[at].self_value;
            let (parent, value) = (nodes[at].parent, nodes[at].value);
            if at != 0 {
                let pair = nodes[at].pair;
                nodes[parent.0 as usize].value += value;
                nodes[parent.0 as usize].pair.add(pair);
                if value > 0 {
                    nodes[parent.0 as usize].children.push(ShapedId(at as u32));
                }
            }
        }
        for at in 0..self.shown.nodes.len() {
            let mut children = std::mem::take(&mut self.shown.nodes[at].children);
            children.sort_by(|a, b| {
                let by_value = self.shown.value(*b).cmp(&self.shown.value(*a));
                by_value.then_with(|| self.name(*a).cmp(self.name(*b)))
            });
            self.shown.nodes[at].children = children;
        }
        // Parents come before their children, so that one pass is enough.
        let mut depths: Vec<usize> = Vec::with_capacity(self.shown.nodes.len());
        for (at, node) in self.shown.nodes.iter().enumerate() {
            let above = if at == 0 { 0 } else { depths[node.parent.0 as usize] };
            depths.push(above + 1);
            if node.value > 0 {
                self.shown.depth = self.shown.depth.max(above + 1);
            }
        }
        self.shown
    }

    fn name(&self, id: ShapedId) -> &str {
        self.shown.symbol(id).map_or("", |symbol| &symbol.sym)
    }
}
