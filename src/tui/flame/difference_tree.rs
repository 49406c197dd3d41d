//! The tree of the differences between two sides: each node has its growth and shrinkage.
//!
//! Reads: a [`Comparison`] and [`DifferenceOptions`]. Writes: [`Differences`], rows and tree.
//!
//! Invariants:
//! - A node weighs its growth plus its shrinkage, so that changes which cancel out are visible.
//! - Rows and tree cover the same stacks: their sums are equal.
//! - Children are sorted by weight, then by name.

use std::collections::HashMap;
use std::sync::Arc;

use crate::database::compare::{Comparison, Measure, NameId, Row, State};
use crate::tui::flame::cell_layout::WeightedTree;
use crate::tui::flame::shape::{ShapedId, TOP};

/// Which differences to show, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DifferenceOptions {
    /// The measure.
    pub measure: Measure,
    /// Only stacks with this change; `None`: all that changed.
    pub only: Option<State>,
    /// Only stacks with a function or file that matches; empty: all.
    pub pattern: String,
    /// The end of the stacks at which the tree starts.
    pub root: StackEnd,
}

/// An end of a stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StackEnd {
    /// Callers first (top-down).
    #[default]
    Outermost,
    /// Allocating functions first (bottom-up).
    Innermost,
}

/// A node of the tree.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// The function; `None`: the root.
    pub name: Option<NameId>,
    /// The parent; the root is its own.
    pub parent: u32,
    /// Growth of the subtree.
    pub up: u64,
    /// Shrinkage of the subtree.
    pub down: u64,
    /// Value of the first side.
    pub before: i64,
    /// Value of the second side.
    pub after: i64,
    children: Vec<ShapedId>,
}

impl Node {
    /// Growth minus shrinkage.
    pub fn net(&self) -> i64 {
        i64::try_from(i128::from(self.up) - i128::from(self.down)).unwrap_or(i64::MAX)
    }
}

/// The differences as list and tree.
#[derive(Clone, Debug)]
pub struct Differences {
    /// The comparison.
    pub comparison: Arc<Comparison>,
    /// The options they were made with.
    pub options: DifferenceOptions,
    /// The stacks, largest change first.
    pub rows: Vec<Row>,
    nodes: Vec<Node>,
}

impl WeightedTree for Differences {
    fn value(&self, node: ShapedId) -> u64 {
        self.node(node).map_or(0, |node| node.up.saturating_add(node.down))
    }

    fn children(&self, node: ShapedId) -> &[ShapedId] {
        self.node(node).map_or(&[], |node| node.children.as_slice())
    }
}

impl Differences {
    /// Builds rows and tree.
    pub fn new(comparison: Arc<Comparison>, options: DifferenceOptions) -> Self {
        let pattern =
            (!options.pattern.is_empty()).then(|| parse_pattern(&options.pattern)).flatten();
        let mut rows = comparison.changed(options.measure, 1);
        rows.retain(|row| {
            let has_state = options.only.is_none_or(|only| row.state(options.measure) == only);
            let is_match = |regex: &regex::Regex| {
                comparison.frames(row).any(|name| {
                    regex.is_match(&name.sym)
                        || name.file.as_deref().is_some_and(|file| regex.is_match(file))
                })
            };
            has_state && pattern.as_ref().is_none_or(is_match)
        });
        let nodes = tree(&comparison, &rows, &options);
        Self { comparison, options, rows, nodes }
    }

    /// A node.
    pub fn node(&self, id: ShapedId) -> Option<&Node> {
        self.nodes.get(id.0 as usize)
    }

    /// The root.
    pub fn top(&self) -> Node {
        self.nodes.first().cloned().unwrap_or_default()
    }

    /// Number of nodes, with the root.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The short name of a node's function.
    pub fn function(&self, id: ShapedId) -> &str {
        let name = self.node(id).and_then(|node| node.name);
        match name.and_then(|name| self.comparison.stacks.get(name)) {
            Some(name) => &name.function,
            None => "all",
        }
    }
}

/// Compiles a pattern with smart case: case-insensitive if it has no upper case letter. `None` if it is
/// not valid.
pub fn parse_pattern(text: &str) -> Option<regex::Regex> {
    regex::RegexBuilder::new(text)
        .case_insensitive(!text.chars().any(char::is_uppercase))
        .build()
        .ok()
}

fn tree(comparison: &Comparison, rows: &[Row], options: &DifferenceOptions) -> Vec<Node> {
    let mut nodes = vec![Node::default()];
    let mut index: HashMap<(u32, NameId), u32> = HashMap::new();
    let mut path: Vec<NameId> = Vec::new();
    for row in rows {
        path.clear();
        let mut stack = row.stack;
        while let Some((above, name)) = comparison.stacks.split(stack) {
            path.push(name);
            stack = above;
        }
        if options.root == StackEnd::Outermost {
            path.reverse();
        }
        let mut at = 0;
        add(&mut nodes, at, row, options.measure);
        for name in &path {
            let next = nodes.len() as u32;
            let child = *index.entry((at, *name)).or_insert(next);
            if child == next {
                nodes.push(Node { name: Some(*name), parent: at, ..Node::default() });
            }
            at = child;
            add(&mut nodes, at, row, options.measure);
        }
    }
    for at in 1..nodes.len() {
        let parent = nodes[at].parent as usize;
        nodes[parent].children.push(ShapedId(at as u32));
    }
    let name = |node: &Node| {
        let name = node.name.and_then(|name| comparison.stacks.get(name));
        name.map(|name| name.sym.as_str()).unwrap_or_default()
    };
    for at in 0..nodes.len() {
        let mut children = std::mem::take(&mut nodes[at].children);
        children.sort_by(|one, other| {
            let (one, other) = (&nodes[one.0 as usize], &nodes[other.0 as usize]);
            let width = |node: &Node| node.up.saturating_add(node.down);
            width(other).cmp(&width(one)).then_with(|| name(one).cmp(name(other)))
        });
        nodes[at].children = children;
    }
    nodes
}

fn add(nodes: &mut [Node], at: u32, row: &Row, measure: Measure) {
    let Some(node) = nodes.get_mut(at as usize) else { return };
    let change = row.difference(measure);
    match change {
        0.. => node.up = node.up.saturating_add(change.unsigned_abs()),
        _ => node.down = node.down.saturating_add(change.unsigned_abs()),
    }
    node.before = node.before.saturating_add(row.before.get(measure));
    node.after = node.after.saturating_add(row.after.get(measure));
}

/// A visible line of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenLine {
    /// The node.
    pub node: ShapedId,
    /// Depth below the root.
    pub depth: usize,
}

/// The visible lines of the tree: the children of each expanded node.
pub fn lines(tree: &Differences, is_open: impl Fn(ShapedId) -> bool, most: usize) -> Vec<OpenLine> {
    let mut lines = Vec::new();
    let mut todo: Vec<OpenLine> = Vec::new();
    let below = |todo: &mut Vec<OpenLine>, node: ShapedId, depth: usize| {
        let children = WeightedTree::children(tree, node).iter().rev();
        todo.extend(children.map(|child| OpenLine { node: *child, depth }));
    };
    below(&mut todo, TOP, 0);
    while let Some(line) = todo.pop() {
        if lines.len() >= most {
            break;
        }
        lines.push(line);
        if is_open(line.node) {
            below(&mut todo, line.node, line.depth + 1);
        }
    }
    lines
}
