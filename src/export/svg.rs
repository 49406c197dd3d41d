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

use crate::database::human;
use crate::database::table::Unit;
use crate::export::Summary;
use crate::export::error::ExportError;
use crate::export::names;
use crate::export::request::Request;
use crate::export::stacks::Stacks;

/// A frame narrower than this share of the picture is not drawn: half a pixel of 2,000.
const SHARE_MIN: f64 = 0.000_25;

#[derive(Debug, Default)]
struct Node {
    name: usize,
    own: i64,
    total: i64,
    children: Vec<usize>,
}

pub(in crate::export) fn write(
    stacks: &Stacks<'_>,
    request: &Request<'_>,
    title: &str,
    out: &mut dyn Write,
) -> Result<Summary, ExportError> {
    let mut summary = Summary { of: "backtraces", ..Summary::default() };
    let (names, nodes) = merge(stacks, &mut summary)?;
    let total = nodes[0].total;
    let kind = &stacks.weights.kinds[stacks.chosen()];
    if total == 0 {
        return Err(ExportError::Request(format!("there is nothing to draw: no {}", kind.name)));
    }
    let lines = lines(&names, &nodes, (total as f64 * SHARE_MIN).ceil() as i64);
    let shown = match kind.unit {
        Unit::Bytes => human::bytes(total as f64),
        _ => human::count(total),
    };
    let mut options = Options::default();
    options.title = names::folded_xml(title);
    options.subtitle = Some(names::folded_xml(&format!("{}: {shown}", about(request, &kind.name))));
    options.count_name = match kind.unit {
        Unit::Bytes => "bytes".to_owned(),
        _ => names::folded_xml(kind.name.rsplit(' ').next().unwrap_or("blocks")),
    };
    options.colors = Palette::Basic(BasicPalette::Mem);
    options.deterministic = true;
    options.min_width = 0.0;
    // Sorted as text, siblings `a` and `a b` would interleave and `a` be drawn in two pieces. The
    // tree's order is right already: this takes lines as they come, last one first.
    options.flame_chart = true;
    from_lines(&mut options, lines.iter().rev().map(String::as_str), out)?;
    Ok(summary)
}

/// What the picture is about, in words.
fn about(request: &Request<'_>, measure: &str) -> String {
    let mut words = measure.to_owned();
    if let Some(question) = &request.question {
        words = format!("{words} of {}", question.title);
    }
    let moment = |ns: i64| human::duration(ns as f64);
    match (request.window.from, request.window.to) {
        (None, None) => words,
        (Some(from), None) => format!("{words}, made from {}", moment(from)),
        (None, Some(to)) => format!("{words}, made until {}", moment(to)),
        (Some(from), Some(to)) => format!("{words}, made {} to {}", moment(from), moment(to)),
    }
}

/// The tree of functions, outermost first; node 0 is its root.
fn merge(
    stacks: &Stacks<'_>,
    summary: &mut Summary,
) -> Result<(Vec<String>, Vec<Node>), ExportError> {
    // Frames that differ in their line only have one name.
    let mut by_name: HashMap<String, usize> = HashMap::new();
    let name_of: Vec<usize> = stacks
        .frames
        .iter()
        .map(|frame| {
            let next = by_name.len();
            *by_name.entry(names::folded_xml(&frame.sym)).or_insert(next)
        })
        .collect();
    let mut names = vec![String::new(); by_name.len()];
    by_name.into_iter().for_each(|(name, at)| names[at] = name);
    let chosen = stacks.chosen();
    let mut nodes = vec![Node::default()];
    let mut edges: HashMap<(usize, usize), usize> = HashMap::new();
    stacks.each(|stack| {
        let weight = stack.weights[chosen];
        if weight <= 0 {
            summary.negative += u64::from(weight < 0);
            return Ok(());
        }
        summary.count += 1;
        let mut at = 0;
        nodes[0].total = nodes[0].total.saturating_add(weight);
        for frame in stack.frames.iter().rev() {
            let name = name_of[*frame];
            let child = *edges.entry((at, name)).or_insert(nodes.len());
            if child == nodes.len() {
                nodes.push(Node { name, ..Node::default() });
                nodes[at].children.push(child);
            }
            at = child;
            nodes[at].total = nodes[at].total.saturating_add(weight);
        }
        nodes[at].own = nodes[at].own.saturating_add(weight);
        Ok(())
    })?;
    Ok((names, nodes))
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
