//! Exports folded stacks: `outermost;…;innermost weight`, one line per backtrace.
//!
//! Invariant: the weights add up to the total of the measure; negative weights are omitted and
//! counted.

use std::io::Write;

use crate::present::export::Summary;
use crate::present::export::error::ExportError;
use crate::present::export::names;
use crate::present::export::stacks::Stacks;

/// The names of a line, without its weight.
pub(crate) fn line<'a>(names: impl Iterator<Item = &'a str>, empty: &str) -> String {
    let line = names.map(names::folded).collect::<Vec<_>>().join(";");
    if line.is_empty() { empty.to_owned() } else { line }
}

pub(crate) fn write(stacks: &Stacks<'_>, out: &mut dyn Write) -> Result<Summary, ExportError> {
    let chosen = stacks.chosen();
    let names: Vec<String> = stacks.frames.iter().map(|it| names::folded(&it.sym)).collect();
    let mut summary = Summary { noun: "backtraces", ..Summary::default() };
    let mut line = String::new();
    stacks.for_each(|stack| {
        let weight = stack.weights[chosen];
        if weight <= 0 {
            summary.negative_weights += u64::from(weight < 0);
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
