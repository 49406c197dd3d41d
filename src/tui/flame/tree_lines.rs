//! A shown tree as lines of a table that is opened step by step.
//!
//! Reads: a [`Shown`] tree, and which lines are open. Writes: the lines in view.
//!
//! Invariants:
//! - A run of functions that only call the next one is one line; whatever has a share of its own or
//!   more than one callee ends it, so that every line's total is the sum of its own share and the
//!   lines below it.
//! - A line is known by the names on its path, so that it stays open when the tree is made anew.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::tui::flame::shape::{Key, Shown, ShownId, TOP};

/// Lines that an outline has at most; more can't be read, and are said to be missing.
pub const LINES_MAX: usize = 100_000;

/// Names a line by its path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Path(u64);

/// Whether the lines below a line are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expansion {
    /// They are.
    Open,
    /// They are not.
    Closed,
    /// There are none.
    Leaf,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its path.
    pub path: Path,
    /// How many lines it lies below.
    pub depth: usize,
    /// The functions that it stands for, the outermost first; at least one.
    pub run: Vec<ShownId>,
    /// Whether more is below it.
    pub expansion: Expansion,
}

impl Line {
    /// The innermost function, whose callees are below.
    pub fn node(&self) -> ShownId {
        self.run.last().copied().unwrap_or(TOP)
    }
}

/// The lines of a tree of which `opened` are open.
pub fn lines(shown: &Shown, opened: &HashSet<Path>) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut pending: Vec<(ShownId, Path, usize)> = Vec::new();
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

/// The paths to open so that everything from a line down to the next fork is seen, that fork's
/// callees included.
pub fn paths_to_next_fork(shown: &Shown, line: &Line) -> Vec<Path> {
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

/// The paths to open so that the heaviest callee of each is seen, down to the innermost one.
pub fn heaviest_path(shown: &Shown, line: &Line) -> Vec<Path> {
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

/// The paths to open so that a node is seen: those of the lines above it.
pub fn paths_to_node(shown: &Shown, node: ShownId) -> Vec<Path> {
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
    shown: &Shown,
    node: ShownId,
    path: Path,
    depth: usize,
    pending: &mut Vec<(ShownId, Path, usize)>,
) {
    // The largest is to be taken first, so it is put last.
    pending.extend(shown.children(node).iter().rev().map(|child| (*child, path, depth)));
}

/// The run that begins with a node, and its path.
fn run_from(shown: &Shown, first: ShownId, above: Path) -> (Vec<ShownId>, Path) {
    let mut run = vec![first];
    let mut node = first;
    while let [only] = shown.children(node) {
        if shown.own(node) > 0 {
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
