//! The tree of what differs between two sides: each node with its growth and its shrinkage.
//!
//! Reads: a [`Comparison`] and a [`Wish`]. Writes: [`Differences`], rows and tree alike.
//!
//! Invariants:
//! - A node is as wide as its growth and shrinkage together; what cancels out is seen, not lost.
//! - Rows and tree are of the same stacks: their sums are equal.
//! - Children stand widest first, equal ones by name.

use std::collections::HashMap;
use std::sync::Arc;

use crate::database::compare::{Comparison, Measure, NameId, Row, State};
use crate::tui::flame::cell_layout::WeightedTree;
use crate::tui::flame::shape::{ShownId, TOP};

/// What of a comparison is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DifferenceOptions {
    /// What differs.
    pub measure: Measure,
    /// Only stacks that changed so; `None`: all that changed.
    pub only: Option<State>,
    /// Only stacks with a function or file that matches; empty: all.
    pub pattern: String,
    /// From where the tree is looked at.
    pub root: StackEnd,
}

/// The end of a stack at which a tree begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StackEnd {
    /// Who calls, then what is called.
    #[default]
    Outermost,
    /// Who allocates, then who calls.
    Innermost,
}

/// A node of the tree.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// The function; `None` for the whole.
    pub name: Option<NameId>,
    /// The node above; the top is its own.
    pub parent: u32,
    /// Growth here and below.
    pub up: u64,
    /// Shrinkage here and below.
    pub down: u64,
    /// On the first side.
    pub before: i64,
    /// On the second side.
    pub after: i64,
    children: Vec<ShownId>,
}

impl Node {
    /// Growth minus shrinkage.
    pub fn net(&self) -> i64 {
        i64::try_from(i128::from(self.up) - i128::from(self.down)).unwrap_or(i64::MAX)
    }
}

/// What differs, as it is shown.
#[derive(Clone, Debug)]
pub struct Differences {
    /// Of what.
    pub comparison: Arc<Comparison>,
    /// How it was asked for.
    pub options: DifferenceOptions,
    /// The stacks, the largest change first.
    pub rows: Vec<Row>,
    nodes: Vec<Node>,
}

impl WeightedTree for Differences {
    fn value(&self, node: ShownId) -> u64 {
        self.node(node).map_or(0, |node| node.up.saturating_add(node.down))
    }

    fn children(&self, node: ShownId) -> &[ShownId] {
        self.node(node).map_or(&[], |node| node.children.as_slice())
    }
}

impl Differences {
    /// Makes rows and tree.
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
    pub fn node(&self, id: ShownId) -> Option<&Node> {
        self.nodes.get(id.0 as usize)
    }

    /// The whole.
    pub fn top(&self) -> Node {
        self.nodes.first().cloned().unwrap_or_default()
    }

    /// How many nodes there are, the whole included.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The short name of a node's function.
    pub fn function(&self, id: ShownId) -> &str {
        let name = self.node(id).and_then(|node| node.name);
        match name.and_then(|name| self.comparison.stacks.get(name)) {
            Some(name) => &name.function,
            None => "all",
        }
    }
}

/// Small letters match large ones too, large ones only themselves; `None` if it is no pattern.
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
        nodes[parent].children.push(ShownId(at as u32));
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

/// A line of the opened tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenLine {
    /// The node.
    pub node: ShownId,
    /// How far in it stands.
    pub depth: usize,
}

/// The tree as lines: below each opened node stand its children.
pub fn lines(tree: &Differences, is_open: impl Fn(ShownId) -> bool, most: usize) -> Vec<OpenLine> {
    let mut lines = Vec::new();
    let mut todo: Vec<OpenLine> = Vec::new();
    let below = |todo: &mut Vec<OpenLine>, node: ShownId, depth: usize| {
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
