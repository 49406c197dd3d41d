//! The shown tree as lines that can be expanded and collapsed.
//!
//! Reads: a [`ShapedTree`] tree and the expanded lines. Writes: the visible lines.
//!
//! Invariants:
//! - A run of functions that only call the next one is one line. A function with own weight or more
//!   than one callee ends it, so that the total of a line is its own weight plus the lines below it.
//! - A line is identified by the names on its path, so that it stays expanded in another tree.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::tui::flame::shape::{Key, ShapedId, ShapedTree, TOP};

/// Maximum number of lines; the title says if there are more.
pub const LINES_MAX: usize = 100_000;

/// Identifies a line: a hash of the names on its path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Path(u64);

/// Whether the lines below a line are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expansion {
    /// They are shown.
    Open,
    /// They are hidden.
    Closed,
    /// There are none.
    Leaf,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Identifies the line.
    pub path: Path,
    /// Depth below the root.
    pub depth: usize,
    /// Its functions, outermost first; at least one.
    pub run: Vec<ShapedId>,
    /// Whether it is expanded.
    pub expansion: Expansion,
}

impl Line {
    /// The innermost function, whose callees are the lines below.
    pub fn node(&self) -> ShapedId {
        self.run.last().copied().unwrap_or(TOP)
    }
}

/// The visible lines of a tree in which `opened` are expanded.
pub fn lines(shown: &ShapedTree, opened: &HashSet<Path>) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut pending: Vec<(ShapedId, Path, usize)> = Vec::new();
    push_children(shown, TOP, Path::default(), 0, &mut pending);
    while let Some((first, above, depth)) = pending.pop() {
        if lines.len() >= LINES_MAX {
            break;
        }
        let (run, path) = run_from(shown, first, above);
        let node = run.last().copied().unwrap_or(first);
        let expansion = match () {
            () if shown.children(node).is_empty() => Expansion::Leaf,
            () if opened.contains(&path) => Expansion::Open,
            () => Expansion::Closed,
        };
        if expansion == Expansion::Open {
            push_children(shown, node, path, depth + 1, &mut pending);
        }
        lines.push(Line { path, depth, run, expansion });
    }
    lines
}

/// The lines to expand so that everything from a line down to the next branch is visible, with the
/// branch's callees.
pub fn paths_to_next_fork(shown: &ShapedTree, line: &Line) -> Vec<Path> {
    let mut paths = vec![line.path];
    let (mut node, mut path) = (line.node(), line.path);
    while let [only] = shown.children(node) {
        let (run, next) = run_from(shown, *only, path);
        node = run.last().copied().unwrap_or(*only);
        path = next;
        paths.push(path);
    }
    paths
}

/// The lines to expand so that the heaviest path below a line is visible.
pub fn heaviest_path(shown: &ShapedTree, line: &Line) -> Vec<Path> {
    let mut paths = vec![line.path];
    let (mut node, mut path) = (line.node(), line.path);
    while let Some(first) = shown.children(node).first() {
        let (run, next) = run_from(shown, *first, path);
        node = run.last().copied().unwrap_or(*first);
        path = next;
        paths.push(path);
    }
    paths
}

/// The lines to expand so that a node is visible, and the node's own line.
pub fn paths_to_node(shown: &ShapedTree, node: ShapedId) -> Vec<Path> {
    let mut above = Vec::new();
    let mut at = node;
    while at != TOP {
        above.push(at);
        at = shown.parent(at);
    }
    above.reverse();
    let mut paths = Vec::new();
    let (mut path, mut rest) = (Path::default(), above.as_slice());
    while let Some(first) = rest.first() {
        let (run, next) = run_from(shown, *first, path);
        path = next;
        paths.push(path);
        rest = rest.get(run.len()..).unwrap_or_default();
    }
    paths
}

fn push_children(
    shown: &ShapedTree,
    node: ShapedId,
    path: Path,
    depth: usize,
    pending: &mut Vec<(ShapedId, Path, usize)>,
) {
    // Reversed, because the stack is popped from its end.
    pending.extend(shown.children(node).iter().rev().map(|child| (*child, path, depth)));
}

/// The run that starts with a node, and its path.
fn run_from(shown: &ShapedTree, first: ShapedId, above: Path) -> (Vec<ShapedId>, Path) {
    let mut run = vec![first];
    let mut node = first;
    while let [only] = shown.children(node) {
        if shown.self_value(node) > 0 {
            break;
        }
        node = *only;
        run.push(node);
    }
    let mut hasher = DefaultHasher::new();
    above.0.hash(&mut hasher);
    match (shown.key(first), shown.symbol(first)) {
        (_, Some(symbol)) => symbol.sym.hash(&mut hasher),
        (key, None) => (key == Key::Library).hash(&mut hasher),
    }
    (run, Path(hasher.finish()))
}
