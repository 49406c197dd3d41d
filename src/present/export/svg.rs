//! A flamegraph as SVG, drawn by `inferno`.
//!
//! Reads: stacks, merged by function into a tree. Writes: the picture.
//!
//! Invariants:
//! - What is too narrow to be drawn is merged into its caller before it becomes text, so that
//!   memory is that of the tree and of what can be seen.
//! - The same database gives the same bytes: colours come from names.

use std::collections::HashMap;
use std::io::Write;

use inferno::flamegraph::color::{BasicPalette, Palette};
use inferno::flamegraph::{Options, from_lines};

use crate::database::table::Unit;
use crate::database::text::units;
use crate::present::export::Summary;
use crate::present::export::error::ExportError;
use crate::present::export::names;
use crate::present::export::request::Request;
use crate::present::export::stacks::Stacks;

/// A frame narrower than this share of the picture is not drawn: half a pixel of 2,000.
const SHARE_MIN: f64 = 0.000_25;

#[derive(Debug, Default)]
struct Node {
    name: usize,
    own: i64,
    total: i64,
    children: Vec<usize>,
}

/// What a picture says about itself.
#[derive(Clone, Debug)]
pub(crate) struct Caption {
    /// Whose memory it is.
    pub title: String,
    /// Which of it.
    pub subtitle: String,
    /// What weights count.
    pub unit: Unit,
}

/// Functions below those that call them; node 0 is the root.
#[derive(Debug)]
pub(crate) struct Tree {
    names: Vec<String>,
    by_name: HashMap<String, usize>,
    nodes: Vec<Node>,
    edges: HashMap<(usize, usize), usize>,
}

impl Default for Tree {
    fn default() -> Self {
        let (names, by_name, edges) = Default::default();
        Self { names, by_name, nodes: vec![Node::default()], edges }
    }
}

impl Tree {
    /// The number of a name. Frames that differ in their line only have one.
    pub(crate) fn name(&mut self, sym: &str) -> usize {
        let name = names::folded_xml(sym);
        if let Some(at) = self.by_name.get(&name) {
            return *at;
        }
        self.names.push(name.clone());
        self.by_name.insert(name, self.names.len() - 1);
        self.names.len() - 1
    }

    /// Adds a stack, outermost name first.
    pub(crate) fn add(&mut self, stack: impl Iterator<Item = usize>, weight: i64) {
        let nodes = &mut self.nodes;
        let mut at = 0;
        nodes[0].total = nodes[0].total.saturating_add(weight);
        for name in stack {
            let child = *self.edges.entry((at, name)).or_insert(nodes.len());
            if child == nodes.len() {
                nodes.push(Node { name, ..Node::default() });
                nodes[at].children.push(child);
            }
            at = child;
            nodes[at].total = nodes[at].total.saturating_add(weight);
        }
        nodes[at].own = nodes[at].own.saturating_add(weight);
    }
}

pub(crate) fn write(
    stacks: &Stacks<'_>,
    request: &Request<'_>,
    title: &str,
    out: &mut dyn Write,
) -> Result<Summary, ExportError> {
    let mut summary = Summary { noun: "backtraces", ..Summary::default() };
    let tree = merge(stacks, &mut summary)?;
    let kind = &stacks.weights.kinds[stacks.chosen()];
    if tree.nodes[0].total == 0 {
        return Err(ExportError::Request(format!("there is nothing to draw: no {}", kind.name)));
    }
    let about = about(request, &kind.name);
    let mut options = options(title, &about, tree.nodes[0].total, kind.unit);
    if kind.unit != Unit::Bytes {
        options.count_name = names::folded_xml(kind.name.rsplit(' ').next().unwrap_or("blocks"));
    }
    render(&tree, options, out)?;
    Ok(summary)
}

/// Draws a tree that was made elsewhere.
pub(crate) fn draw(tree: &Tree, caption: &Caption, out: &mut dyn Write) -> Result<(), ExportError> {
    let total = tree.nodes[0].total;
    if total == 0 {
        let words = format!("there is nothing to draw: no {}", caption.subtitle);
        return Err(ExportError::Request(words));
    }
    render(tree, options(&caption.title, &caption.subtitle, total, caption.unit), out)
}

/// Draws lines with two figures each, sorted: the width, and what of it is more than before.
pub(crate) fn draw_difference(
    lines: &[String],
    caption: &Caption,
    out: &mut dyn Write,
) -> Result<(), ExportError> {
    if lines.is_empty() {
        return Err(ExportError::Request("there is nothing to draw: nothing differs".to_owned()));
    }
    let width = |line: &String| line.rsplit(' ').next()?.parse::<i64>().ok();
    let total = lines.iter().filter_map(width).fold(0_i64, i64::saturating_add);
    let mut options = options(&caption.title, &caption.subtitle, total, caption.unit);
    options.min_width = SHARE_MIN * 100.0;
    from_lines(&mut options, lines.iter().rev().map(String::as_str), out)?;
    Ok(())
}

/// Text without what XML can't hold.
pub(crate) fn plain(text: &str) -> String {
    names::xml(text)
}

fn render(tree: &Tree, mut options: Options<'_>, out: &mut dyn Write) -> Result<(), ExportError> {
    let least = (tree.nodes[0].total as f64 * SHARE_MIN).ceil() as i64;
    let lines = lines(&tree.names, &tree.nodes, least);
    from_lines(&mut options, lines.iter().rev().map(String::as_str), out)?;
    Ok(())
}

fn options(title: &str, about: &str, total: i64, unit: Unit) -> Options<'static> {
    let shown = match unit {
        Unit::Bytes => units::bytes(total as f64),
        _ => units::count(total),
    };
    let mut options = Options::default();
    options.title = names::folded_xml(title);
    options.subtitle = Some(names::folded_xml(&format!("{about}: {shown}")));
    options.count_name = if unit == Unit::Bytes { "bytes" } else { "blocks" }.to_owned();
    options.colors = Palette::Basic(BasicPalette::Mem);
    options.deterministic = true;
    options.min_width = 0.0;
    // Sorted as text, siblings `a` and `a b` would interleave and `a` be drawn in two pieces. The
    // tree's order is right already: this takes lines as they come, last one first.
    options.flame_chart = true;
    options
}

/// What the picture is about, in words.
fn about(request: &Request<'_>, measure: &str) -> String {
    let mut words = measure.to_owned();
    if let Some(selection) = &request.selection {
        words = format!("{words} of {}", selection.title);
    }
    let moment = |ns: i64| units::duration(ns as f64);
    match (request.window.from, request.window.to) {
        (None, None) => words,
        (Some(from), None) => format!("{words}, made from {}", moment(from)),
        (None, Some(to)) => format!("{words}, made until {}", moment(to)),
        (Some(from), Some(to)) => format!("{words}, made {} to {}", moment(from), moment(to)),
    }
}

/// The tree of functions, outermost first.
fn merge(stacks: &Stacks<'_>, summary: &mut Summary) -> Result<Tree, ExportError> {
    let mut tree = Tree::default();
    let name_of: Vec<usize> = stacks.frames.iter().map(|frame| tree.name(&frame.sym)).collect();
    let chosen = stacks.chosen();
    stacks.for_each(|stack| {
        let weight = stack.weights[chosen];
        if weight <= 0 {
            summary.negative_weights += u64::from(weight < 0);
            return Ok(());
        }
        summary.count += 1;
        tree.add(stack.frames.iter().rev().map(|frame| name_of[*frame]), weight);
        Ok(())
    })?;
    Ok(tree)
}

/// The tree as folded lines, each node that can be seen once. Siblings stand in the order of their
/// names, which is all that drawing needs: frames of one parent side by side.
fn lines(names: &[String], nodes: &[Node], least: i64) -> Vec<String> {
    let mut lines = Vec::new();
    let mut path = String::new();
    // A node, and the length of the path that leads to it.
    let mut open: Vec<(usize, usize)> = vec![(0, 0)];
    while let Some((at, length)) = open.pop() {
        path.truncate(length);
        if at != 0 {
            if !path.is_empty() {
                path.push(';');
            }
            path.push_str(&names[nodes[at].name]);
        }
        let (mut seen, narrow): (Vec<usize>, Vec<usize>) =
            nodes[at].children.iter().partition(|child| nodes[**child].total >= least);
        let hidden: i64 = narrow.iter().map(|child| nodes[*child].total).sum();
        let own = nodes[at].own + hidden;
        if own > 0 && at != 0 {
            lines.push(format!("{path} {own}"));
        } else if own > 0 {
            lines.push(format!("[too narrow to be drawn] {own}"));
        }
        seen.sort_by_key(|child| std::cmp::Reverse(&names[nodes[*child].name]));
        open.extend(seen.into_iter().map(|child| (child, path.len())));
    }
    lines
}
