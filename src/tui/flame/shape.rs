//! Turns a call tree into the tree that is shown: direction, folding, hiding, one measure.
//!
//! Reads: a [`CallTree`] and [`Shape`].
//! Writes: [`Shown`].
//!
//! Invariants:
//! - A node's value is its own share plus its children's values, exactly.
//! - Children stand largest first, equal ones by name, so that the same input looks the same.

use std::collections::HashMap;
use std::sync::Arc;

use crate::tui::flame::measure::Measure;
use crate::tui::flame::tree::{CallTree, Node, NodeId, ROOT, Symbol, SymbolId, Symbols};

/// Frames of a stack that a view from the inside out follows.
pub const INVERTED_DEPTH_MAX: usize = 128;

/// Nodes that are shown at most; stacks beyond end in the deepest node that there is, and are
/// counted. Half a million is far more than anyone zooms into, and some 50 MiB.
pub const SHOWN_MAX: usize = 500_000;

/// The node at the top of what is shown.
pub const TOP: ShownId = ShownId(0);

/// A node of [`Shown`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShownId(pub u32);

/// From where the tree is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the outermost functions to what they call.
    #[default]
    TopDown,
    /// From the functions that allocate to their callers.
    BottomUp,
    /// Who calls one function.
    Callers(SymbolId),
    /// What one function calls.
    Callees(SymbolId),
}

/// Whether something repetitive is drawn together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Collapse {
    /// As one.
    #[default]
    Collapsed,
    /// Each by itself.
    Expanded,
}

impl Collapse {
    /// The other one.
    pub fn toggled(self) -> Self {
        match self {
            Self::Collapsed => Self::Expanded,
            Self::Expanded => Self::Collapsed,
        }
    }
}

/// How a tree is to be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// What widths stand for.
    pub measure: Measure,
    /// From where it is looked at.
    pub direction: Direction,
    /// Standard library and runtime frames.
    pub library: Collapse,
    /// Functions that call themselves, directly or not.
    pub recursion: Collapse,
    /// Functions that are left out, their callees moving up.
    pub hidden: Vec<SymbolId>,
    /// Only what is below this function, beginning with it.
    pub from: Option<SymbolId>,
}

/// What a shown node stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// The whole.
    All,
    /// A function.
    Symbol(SymbolId),
    /// A run of standard library and runtime frames.
    Library,
}

#[derive(Clone, Debug)]
struct ShownNode {
    key: Key,
    parent: ShownId,
    own: u64,
    value: u64,
    pair: Pair,
    children: Vec<ShownId>,
}

/// Bytes and blocks that belong to a measure, whichever of the two it counts itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    /// Bytes of the blocks.
    pub bytes: u64,
    /// The blocks.
    pub blocks: u64,
}

impl Pair {
    fn add(&mut self, other: Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.blocks = self.blocks.saturating_add(other.blocks);
    }
}

/// A tree ready to be drawn.
#[derive(Clone, Debug)]
pub struct Shown {
    nodes: Vec<ShownNode>,
    symbols: Arc<Symbols>,
    sites: Vec<(i64, ShownId)>,
    shape: Shape,
    depth: usize,
    cut: u64,
}

impl Shown {
    /// Makes the tree that `shape` asks for.
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

    /// How it was made.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// How many nodes there are, the top included.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// How often a function found no room, and its share went to its caller.
    pub fn cut(&self) -> u64 {
        self.cut
    }

    /// How many rows the deepest node with a width needs, the top's included.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Whether nothing has any width.
    pub fn is_empty(&self) -> bool {
        self.value(TOP) == 0
    }

    /// How much a node stands for, its children's values included.
    pub fn value(&self, id: ShownId) -> u64 {
        self.nodes.get(id.0 as usize).map_or(0, |node| node.value)
    }

    /// How much of it is no child's.
    pub fn own(&self, id: ShownId) -> u64 {
        self.nodes.get(id.0 as usize).map_or(0, |node| node.own)
    }

    /// Bytes and blocks of the node, its children's included; 0 where the measure has none.
    pub fn pair(&self, id: ShownId) -> Pair {
        self.nodes.get(id.0 as usize).map_or(Pair::default(), |node| node.pair)
    }

    /// The nodes at which the weight of each backtrace ends.
    pub fn sites(&self) -> &[(i64, ShownId)] {
        &self.sites
    }

    /// What the node stands for.
    pub fn key(&self, id: ShownId) -> Key {
        self.nodes.get(id.0 as usize).map_or(Key::All, |node| node.key)
    }

    /// The node above; the top is its own.
    pub fn parent(&self, id: ShownId) -> ShownId {
        self.nodes.get(id.0 as usize).map_or(TOP, |node| node.parent)
    }

    /// The nodes below, largest first.
    pub fn children(&self, id: ShownId) -> &[ShownId] {
        self.nodes.get(id.0 as usize).map_or(&[], |node| node.children.as_slice())
    }

    /// The function that a node stands for, if it is one.
    pub fn symbol(&self, id: ShownId) -> Option<&Symbol> {
        match self.key(id) {
            Key::Symbol(symbol) => self.symbols.get(symbol),
            Key::All | Key::Library => None,
        }
    }

    /// The functions.
    pub fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    /// How much is in nodes that `is_match` says yes to, none counted twice.
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
    shown: Shown,
    index: HashMap<(ShownId, Key), ShownId>,
}

impl<'a> Shaper<'a> {
    fn new(tree: &'a CallTree, shape: Shape) -> Self {
        let top = ShownNode {
            key: Key::All,
            parent: TOP,
            own: 0,
            value: 0,
            pair: Pair::default(),
            children: Vec::new(),
        };
        Self {
            tree,
            shown: Shown {
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
        node.own.width(self.shown.shape.measure)
    }

    /// Adds what a node of the tree allocated itself to where it is shown.
    fn weigh(&mut self, place: ShownId, node: &Node) {
        let measure = self.shown.shape.measure;
        let of = |measure: Option<Measure>| measure.map_or(0, |it| node.own.width(it));
        let pair = Pair { bytes: of(measure.bytes()), blocks: of(measure.blocks()) };
        let width = self.width(node);
        if let Some(shown) = self.shown.nodes.get_mut(place.0 as usize) {
            shown.own += width;
            shown.pair.add(pair);
        }
    }

    /// Notes where the backtraces end, once it is known where each node of the tree is shown.
    fn note_sites(&mut self, place: impl Fn(NodeId) -> Option<ShownId>) {
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

    fn child(&mut self, parent: ShownId, key: Key) -> ShownId {
        if self.shown.shape.recursion == Collapse::Collapsed && key != Key::Library {
            let mut above = parent;
            while above != TOP {
                if self.shown.key(above) == key {
                    return above;
                }
                above = self.shown.parent(above);
            }
        }
        // The first row goes on when the others are full: it says most.
        let room = if parent == TOP { SHOWN_MAX } else { SHOWN_MAX / 4 * 3 };
        if self.shown.nodes.len() >= room && !self.index.contains_key(&(parent, key)) {
            self.shown.cut += 1;
            return parent;
        }
        let next = ShownId(self.shown.nodes.len() as u32);
        let child = *self.index.entry((parent, key)).or_insert(next);
        if child == next {
            self.shown.nodes.push(ShownNode {
                key,
                parent,
                own: 0,
                value: 0,
                pair: Pair::default(),
                children: Vec::new(),
            });
        }
        child
    }

    fn top_down(&mut self) {
        // Where each node of the tree stands in what is shown; nowhere above `from`.
        let mut places: Vec<Option<ShownId>> = Vec::with_capacity(self.tree.nodes().len());
        for (at, node) in self.tree.nodes().iter().enumerate() {
            let above = places.get(node.parent.0 as usize).copied().flatten();
            let place = match (at, self.shown.shape.from) {
                (0, None) => Some(TOP),
                (0, Some(_)) => None,
                (_, Some(from)) if above.is_none() && node.symbol == from => {
                    Some(self.child(TOP, Key::Symbol(from)))
                }
                _ => above.map(|above| self.below(above, node.symbol)),
            };
            if let Some(place) = place {
                self.weigh(place, node);
            }
            places.push(place);
        }
        self.note_sites(|node| places.get(node.0 as usize).copied().flatten());
    }

    /// Where a function called from `above` stands.
    fn below(&mut self, above: ShownId, symbol: SymbolId) -> ShownId {
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
                places[at] = self.upwards(NodeId(at as u32), node);
            }
        }
        self.note_sites(|node| places.get(node.0 as usize).copied().flatten());
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
                self.upwards(outermost[at], node);
            }
        }
    }

    /// Adds the stack from `node` outwards, with the weight of another one, and says where it ends.
    /// Noise is left out altogether: from the inside out nearly every stack begins with the same
    /// library frames.
    fn upwards(&mut self, node: NodeId, weight: &Node) -> Option<ShownId> {
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
        self.weigh(place, weight);
        Some(place)
    }

    fn finish(mut self) -> Shown {
        let nodes = &mut self.shown.nodes;
        for at in (0..nodes.len()).rev() {
            nodes[at].value += nodes[at].own;
            let (parent, value) = (nodes[at].parent, nodes[at].value);
            if at != 0 {
                let pair = nodes[at].pair;
                nodes[parent.0 as usize].value += value;
                nodes[parent.0 as usize].pair.add(pair);
                if value > 0 {
                    nodes[parent.0 as usize].children.push(ShownId(at as u32));
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
        // Parents come before their children, so one pass knows every depth.
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

    fn name(&self, id: ShownId) -> &str {
        self.shown.symbol(id).map_or("", |symbol| &symbol.sym)
    }
}
