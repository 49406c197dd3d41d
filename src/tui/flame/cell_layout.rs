//! Lays out the cells of a flamegraph without rounding losses.
//!
//! Reads: a [`WeightedTree`], its root and a width.
//! Writes: rows of [`Cell`]s.
//!
//! Invariants:
//! - The cells below a cell, with a blank for its own weight, are exactly as wide as the cell.
//! - Nodes that are too small for a cell share one "… n more" cell, which can be zoomed into.

use crate::tui::flame::shape::{ShapedId, ShapedTree};

/// A tree with weights: a node weighs at least as much as its children together.
pub trait WeightedTree {
    /// The weight of a node.
    fn value(&self, node: ShapedId) -> u64;
    /// The children of a node, heaviest first.
    fn children(&self, node: ShapedId) -> &[ShapedId];
}

impl WeightedTree for ShapedTree {
    fn value(&self, node: ShapedId) -> u64 {
        Self::value(self, node)
    }

    fn children(&self, node: ShapedId) -> &[ShapedId] {
        Self::children(self, node)
    }
}

/// The root of the picture: a node, and how many of its largest children are skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Top {
    /// The node.
    pub node: ShapedId,
    /// Number of its largest children that are not drawn, after zooming into a "… more" cell.
    pub skip: usize,
}

/// The content of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CellContent {
    /// A function.
    Node(ShapedId),
    /// The children of a node from the `skip`th on, too small to draw.
    More {
        /// The node.
        parent: ShapedId,
        /// Number of larger children.
        skip: usize,
    },
}

/// A cell of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Its content.
    pub content: CellContent,
    /// First column.
    pub x: u16,
    /// Columns, at least one.
    pub width: u16,
    /// Its weight.
    pub value: u64,
}

impl Cell {
    /// Whether the cell covers a column.
    pub fn covers(&self, x: u16) -> bool {
        self.x <= x && x < self.x + self.width
    }
}

/// Lays out at most `depth_max` rows from `top` on.
pub fn rows(shown: &impl WeightedTree, top: Top, width: u16, depth_max: usize) -> Vec<Vec<Cell>> {
    if width == 0 || depth_max == 0 || shown.value(top.node) == 0 {
        return Vec::new();
    }
    let first = Cell {
        content: match top.skip {
            0 => CellContent::Node(top.node),
            skip => CellContent::More { parent: top.node, skip },
        },
        x: 0,
        width,
        value: rest(shown, top.node, top.skip),
    };
    let mut rows = vec![vec![first]];
    while rows.len() < depth_max {
        let Some(above) = rows.last() else { break };
        let mut row = Vec::new();
        for cell in above {
            match cell.content {
                CellContent::Node(node) => {
                    push_children(shown, Top { node, skip: 0 }, *cell, &mut row);
                }
                // A "… more" cell shows its content only if it is the root.
                CellContent::More { parent, skip } if rows.len() == 1 => {
                    push_children(shown, Top { node: parent, skip }, *cell, &mut row);
                }
                CellContent::More { .. } => {}
            }
        }
        if row.is_empty() {
            break;
        }
        rows.push(row);
    }
    rows
}

/// The weight of a node's children from the `skip`th on; of the whole node for 0.
fn rest(shown: &impl WeightedTree, node: ShapedId, skip: usize) -> u64 {
    if skip == 0 {
        return shown.value(node);
    }
    let children = shown.children(node);
    children.iter().skip(skip).map(|child| shown.value(*child)).sum()
}

fn push_children(shown: &impl WeightedTree, top: Top, parent: Cell, row: &mut Vec<Cell>) {
    let children = shown.children(top.node).get(top.skip..).unwrap_or_default();
    if children.is_empty() {
        return;
    }
    let total = parent.value.max(1);
    let width = u128::from(parent.width);
    // Children are sorted: all behind the first that would get less than a cell are small.
    let is_small = |child: &ShapedId| u128::from(shown.value(*child)) * width < u128::from(total);
    let mut large = children.iter().take_while(|child| !is_small(child)).count();
    if large + 1 == children.len() && large < parent.width as usize {
        large += 1; // a single small child gets its own cell
    }
    let (large, small) = children.split_at(large);
    let mut shares: Vec<u64> = large.iter().map(|child| shown.value(*child)).collect();
    let small_total: u64 = small.iter().map(|child| shown.value(*child)).sum();
    shares.push(small_total);
    let assigned: u64 = shares.iter().sum();
    shares.push(total.saturating_sub(assigned));
    let mut widths = apportion(parent.width, &shares);
    widen_invisible(&mut widths, large.len(), small_total);
    let mut x = parent.x;
    for (at, width) in widths.iter().take(large.len() + 1).enumerate() {
        let (content, value) = match large.get(at) {
            Some(child) => (CellContent::Node(*child), shown.value(*child)),
            None => {
                let (parent, skip) = (top.node, top.skip + large.len());
                (CellContent::More { parent, skip }, small_total)
            }
        };
        if *width > 0 {
            row.push(Cell { content, x, width: *width, value });
        }
        x += width;
    }
}

/// Gives a cell from the widest child to each child that has a weight and no cell.
fn widen_invisible(widths: &mut [u16], large: usize, small_total: u64) {
    for at in 0..=large {
        let wanted = at < large || small_total > 0;
        if !wanted || widths.get(at).is_none_or(|width| *width > 0) {
            continue;
        }
        let widest = (0..widths.len()).max_by_key(|at| widths[*at]);
        if let Some(widest) = widest.filter(|widest| widths[*widest] > 1) {
            widths[widest] -= 1;
            widths[at] += 1;
        }
    }
}

/// Divides `width` among `shares` by the largest remainder method: the result sums to `width`.
pub fn apportion(width: u16, shares: &[u64]) -> Vec<u16> {
    let total: u128 = shares.iter().map(|share| u128::from(*share)).sum();
    if total == 0 {
        return vec![0; shares.len()];
    }
    let exact = |share: u64| u128::from(share) * u128::from(width);
    let mut widths: Vec<u16> = shares.iter().map(|share| (exact(*share) / total) as u16).collect();
    let mut remaining = width - widths.iter().sum::<u16>();
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse((exact(shares[*at]) % total, shares[*at])));
    for at in order {
        if remaining == 0 {
            break;
        }
        widths[at] += 1;
        remaining -= 1;
    }
    widths
}
