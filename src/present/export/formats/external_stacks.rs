//! Writes stacks of the caller as folded stacks or as a flamegraph.
//!
//! Invariant: names are escaped like those of a database.

use std::io::Write;

use crate::present::export::Summary;
use crate::present::export::error::ExportError;
use crate::present::export::formats::{folded, svg};

pub(crate) use crate::present::export::formats::svg::Caption;

/// Receives the names of a stack, outermost first, and its weight.
pub(crate) type StackSink<'a> = dyn FnMut(&[String], i64) -> Result<(), ExportError> + 'a;

/// The name of an empty stack.
const NO_FRAMES: &str = "[no frames]";

/// Writes folded stacks, one per line.
///
/// # Errors
/// If `stacks` or the writer fails.
pub(crate) fn folded(
    stacks: impl FnOnce(&mut StackSink<'_>) -> Result<(), ExportError>,
    out: &mut dyn Write,
) -> Result<Summary, ExportError> {
    let mut count = 0;
    stacks(&mut |names, weight| {
        count += 1;
        let names = names.iter().map(String::as_str);
        Ok(writeln!(out, "{} {weight}", folded::line(names, NO_FRAMES))?)
    })?;
    Ok(Summary { noun: "stacks", count, ..Summary::default() })
}

/// Writes a flamegraph.
///
/// # Errors
/// As [`folded`], and if all weights are zero.
pub(crate) fn svg(
    stacks: impl FnOnce(&mut StackSink<'_>) -> Result<(), ExportError>,
    caption: &Caption,
    out: &mut dyn Write,
) -> Result<Summary, ExportError> {
    let mut tree = svg::Tree::default();
    let mut count = 0;
    stacks(&mut |names, weight| {
        count += 1;
        let mut names: Vec<usize> = names.iter().map(|name| tree.name(name)).collect();
        if names.is_empty() {
            names.push(tree.name(NO_FRAMES));
        }
        tree.add(names.into_iter(), weight);
        Ok(())
    })?;
    svg::draw(&mut tree, caption, out)?;
    Ok(Summary { noun: "stacks", count, ..Summary::default() })
}

/// Writes a difference flamegraph of the changes: widths are the sizes of changes; allocating
/// functions are red for growth and blue for shrinkage.
///
/// # Errors
/// If there are no changes, or the writer fails.
pub(crate) fn difference_svg(
    mut stacks: Vec<(Vec<String>, i64)>,
    caption: &Caption,
    out: &mut dyn Write,
) -> Result<Summary, ExportError> {
    stacks.retain(|(_, change)| *change != 0);
    stacks.sort();
    let count = stacks.len() as u64;
    let lines: Vec<String> = stacks
        .iter()
        .map(|(names, change)| {
            let width = change.unsigned_abs();
            // inferno takes two values per line: the second is the width, the difference the colour.
            let before = if *change < 0 { width.saturating_mul(2) } else { 0 };
            let names = folded::line(names.iter().map(String::as_str), NO_FRAMES);
            format!("{} {before} {width}", svg::plain(&names))
        })
        .collect();
    svg::draw_difference(&lines, caption, out)?;
    Ok(Summary { noun: "sites", count, ..Summary::default() })
}
