//! Exports a flamegraph as SVG, drawn by `inferno`.
//!
//! Invariants:
//! - Frames that are too narrow to draw are merged into their callers, so that the text is bounded by
//!   the visible frames.
//! - The output is deterministic: a colour's hue is derived from the frame's kind, its brightness from
//!   the name.

use std::collections::HashMap;
use std::io::Write;

use inferno::flamegraph::color::{BasicPalette, Color, Palette, PaletteMap};
use inferno::flamegraph::{Options, from_lines};

use crate::database::table::Unit;
use crate::database::text::units;
use crate::present::export::Summary;
use crate::present::export::error::ExportError;
use crate::present::export::names;
use crate::present::export::request::Request;
use crate::present::export::stacks::Stacks;

/// Least share of the width at which a frame is drawn: half a pixel of 2,000.
const SHARE_MIN: f64 = 0.000_25;

#[derive(Debug, Default)]
struct Node {
    name: usize,
    own: i64,
    total: i64,
    children: Vec<usize>,
}

/// Title and unit of a flamegraph.
#[derive(Clone, Debug)]
pub(crate) struct Caption {
    /// The title.
    pub title: String,
    /// The subtitle: the measure and its selection.
    pub subtitle: String,
    /// The unit of the weights.
    pub unit: Unit,
}

/// A call tree merged by function; node 0 is the root.
pub(crate) struct Tree {
    names: Vec<String>,
    /// Colours by name; names of external stacks have none.
    colors: PaletteMap,
    by_name: HashMap<String, usize>,
    nodes: Vec<Node>,
    edges: HashMap<(usize, usize), usize>,
}

impl Default for Tree {
    fn default() -> Self {
        let (names, colors, by_name, edges) = Default::default();
        Self { names, colors, by_name, nodes: vec![Node::default()], edges }
    }
}

impl Tree {
    /// Interns a name. Frames that differ only in their line share it.
    pub(crate) fn name(&mut self, sym: &str) -> usize {
        let name = names::folded_xml(sym);
        if let Some(at) = self.by_name.get(&name) {
            return *at;
        }
        self.names.push(name.clone());
        self.by_name.insert(name, self.names.len() - 1);
        self.names.len() - 1
    }

    /// Interns the name of a frame whose kind determines its colour.
    pub(crate) fn name_of(&mut self, sym: &str, kind: &str) -> usize {
        let at = self.name(sym);
        let name = &self.names[at];
        self.colors.insert(name, color(name, kind));
        at
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
    let mut tree = merge(stacks, &mut summary)?;
    let kind = &stacks.weights.kinds[stacks.chosen()];
    if tree.nodes[0].total == 0 {
        return Err(ExportError::Request(format!("there is nothing to draw: no {}", kind.name)));
    }
    let about = about(request, &kind.name);
    let mut options = options(title, &about, tree.nodes[0].total, kind.unit);
    if kind.unit != Unit::Bytes {
        options.count_name = names::folded_xml(kind.name.rsplit(' ').next().unwrap_or("blocks"));
    }
    render(&mut tree, options, out)?;
    Ok(summary)
}

/// Draws a tree of the caller.
pub(crate) fn draw(
    tree: &mut Tree,
    caption: &Caption,
    out: &mut dyn Write,
) -> Result<(), ExportError> {
    let total = tree.nodes[0].total;
    if total == 0 {
        let words = format!("there is nothing to draw: no {}", caption.subtitle);
        return Err(ExportError::Request(words));
    }
    render(tree, options(&caption.title, &caption.subtitle, total, caption.unit), out)
}

/// Draws sorted lines with two values each: the value before, which determines the colour, and the
/// width.
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

/// Text without characters that are invalid in XML.
pub(crate) fn plain(text: &str) -> String {
    names::xml(text)
}

fn render(
    tree: &mut Tree,
    options: Options<'static>,
    out: &mut dyn Write,
) -> Result<(), ExportError> {
    let least = (tree.nodes[0].total as f64 * SHARE_MIN).ceil() as i64;
    let lines = lines(&tree.names, &tree.nodes, least);
    let mut colors = std::mem::take(&mut tree.colors);
    // Shortens the lifetime, because `colors` is a local.
    let mut options: Options<'_> = options;
    options.palette_map = Some(&mut colors);
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
    // Sorting lines as text would interleave siblings `a` and `a b`, and draw `a` in two pieces. A
    // flame chart keeps the order of lines, the last one first.
    options.flame_chart = true;
    options
}

/// Warm colours for the program's own code and its dependencies, cold and pale ones for the rest.
fn color(name: &str, kind: &str) -> Color {
    let (r, g, b): (u8, u8, u8) = match kind {
        "own" => (220, 110, 40),
        "dependency" => (205, 175, 60),
        "std" => (130, 165, 200),
        "runtime" => (165, 185, 200),
        "foreign" => (165, 135, 195),
        _ => (185, 185, 185),
    };
    let sum = name.bytes().fold(0_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
    let shade = |part: u8| part.saturating_add(sum % 32);
    Color { r: shade(r), g: shade(g), b: shade(b) }
}

/// The subtitle: measure, selection and window.
fn about(request: &Request<'_>, measure: &str) -> String {
    let mut words = measure.to_owned();
    if let Some(selection) = &request.selection {
        words = format!("{words} of {}", selection.title);
    }
    let moment = |ns: i64| units::duration(ns as f64);
    match (request.window.from, request.window.to) {
        (None, None) => words,
        (Some(from), None) => format!("{words}, allocated from {}", moment(from)),
        (None, Some(to)) => format!("{words}, allocated until {}", moment(to)),
        (Some(from), Some(to)) => format!("{words}, allocated {} to {}", moment(from), moment(to)),
    }
}

/// Merges the stacks into a call tree.
fn merge(stacks: &Stacks<'_>, summary: &mut Summary) -> Result<Tree, ExportError> {
    let mut tree = Tree::default();
    let name_of: Vec<usize> =
        stacks.frames.iter().map(|frame| tree.name_of(&frame.sym, &frame.kind)).collect();
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

/// The tree as folded lines, one per visible node. Siblings are sorted by name, so that each is drawn
/// in one piece.
fn lines(names: &[String], nodes: &[Node], least: i64) -> Vec<String> {
    let mut lines = Vec::new();
    let mut path = String::new();
    // Nodes to visit, with the length of the path to each.
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
