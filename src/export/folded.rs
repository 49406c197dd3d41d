//! Folded stacks: `outermost;…;innermost weight`, one line a backtrace.
//!
//! Reads: stacks. Writes: lines as they come.
//!
//! Invariant: the numbers at the ends of the lines add up to the measure's sum, negative weights
//! left out and counted.

use std::io::Write;

use crate::export::Summary;
use crate::export::error::ExportError;
use crate::export::names;
use crate::export::stacks::Stacks;

/// Names as the beginning of a line.
pub(in crate::export) fn line<'a>(names: impl Iterator<Item = &'a str>, empty: &str) -> String {
    let line = names.map(names::folded).collect::<Vec<_>>().join(";");
    if line.is_empty() { empty.to_owned() } else { line }
}

pub(in crate::export) fn write(
    stacks: &Stacks<'_>,
    out: &mut dyn Write,
) -> Result<Summary, ExportError> {
    let chosen = stacks.chosen();
    let names: Vec<String> = stacks.frames.iter().map(|it| names::folded(&it.sym)).collect();
    let mut summary = Summary { of: "backtraces", ..Summary::default() };
    let mut line = String::new();
    stacks.each(|stack| {
        let weight = stack.weights[chosen];
        if weight <= 0 {
            summary.negative += u64::from(weight < 0);
            return Ok(());
        }
        line.clear();
        for frame in stack.frames.iter().rev() {
            line.push_str(&names[*frame]);
            line.push(';');
        }
        line.pop();
        writeln!(out, "{line} {weight}")?;
        summary.count += 1;
        Ok(())
    })?;
    Ok(summary)
}
