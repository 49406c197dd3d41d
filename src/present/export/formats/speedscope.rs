//! Exports speedscope's format: one profile per measure, with shared frames.
//!
//! Invariant: a profile has one weight per sample, and they add up to its end value.

use std::io::Write;

use crate::database::table::Unit;
use crate::present::export::Summary;
use crate::present::export::error::ExportError;
use crate::present::export::json::{self, List};
use crate::present::export::stacks::{Frame, Stacks};

pub(crate) fn write(
    stacks: &Stacks<'_>,
    title: &str,
    out: &mut dyn Write,
) -> Result<Summary, ExportError> {
    let kinds = stacks.kinds();
    let chosen = stacks.chosen();
    let shown = kinds.iter().position(|kind| *kind == chosen).unwrap_or(0);
    write!(
        out,
        "{{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\n\"name\":{},\n\
         \"exporter\":\"rheaper {}\",\n\"activeProfileIndex\":{shown},\n\"shared\":{{\"frames\":",
        json::string(title),
        env!("CARGO_PKG_VERSION")
    )?;
    json::array(out, stacks.frames.iter().map(frame))?;
    out.write_all(b"},\n\"profiles\":")?;
    let mut summary = Summary { noun: "backtraces", ..Summary::default() };
    let mut list = List::begin(out)?;
    for kind in kinds {
        list.item(out)?;
        let count = profile(stacks, kind, &mut summary.negative_weights, out)?;
        summary.count = summary.count.max(count);
    }
    List::end(out)?;
    out.write_all(b"}\n")?;
    Ok(summary)
}

fn frame(frame: &Frame) -> String {
    let mut text = format!("{{\"name\":{}", json::string(&frame.sym));
    if let Some(file) = &frame.file {
        text.push_str(&format!(",\"file\":{}", json::string(file)));
    }
    if let Some(line) = frame.line {
        text.push_str(&format!(",\"line\":{line}"));
    }
    text.push('}');
    text
}

/// Writes the profile of a kind; returns its number of backtraces.
fn profile(
    stacks: &Stacks<'_>,
    kind: usize,
    negative_weights: &mut u64,
    out: &mut dyn Write,
) -> Result<u64, ExportError> {
    let about = &stacks.weights.kinds[kind];
    let unit = match about.unit {
        Unit::Bytes => "bytes",
        Unit::Duration | Unit::Moment => "nanoseconds",
        _ => "none",
    };
    write!(
        out,
        "{{\"type\":\"sampled\",\"name\":{},\"unit\":\"{unit}\",\n\"samples\":",
        json::string(&about.name)
    )?;
    let mut weights: Vec<i64> = Vec::new();
    let mut list = List::begin(out)?;
    stacks.for_each(|stack| {
        let weight = stack.weights[kind];
        if weight <= 0 {
            *negative_weights += u64::from(weight < 0);
            return Ok(());
        }
        weights.push(weight);
        list.item(out)?;
        json::array(out, stack.frames.iter().rev().map(ToString::to_string))?;
        Ok(())
    })?;
    List::end(out)?;
    out.write_all(b",\n\"weights\":")?;
    json::array(out, weights.iter().map(ToString::to_string))?;
    let total = weights.iter().fold(0_i64, |sum, weight| sum.saturating_add(*weight));
    write!(out, ",\n\"startValue\":0,\"endValue\":{total}}}")?;
    Ok(weights.len() as u64)
}
