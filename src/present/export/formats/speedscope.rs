//! Exports speedscope's format: one profile per measure, with shared frames.
//!
//! Invariant: a profile has one weight per sample, and they add up to its end value.

use std::io::Write;

use serde::Serialize;

use crate::database::table::Unit;
use crate::present::export::Summary;
use crate::present::export::error::ExportError;
use crate::present::export::json::{Each, Failure, Streamed};
use crate::present::export::stacks::Stacks;
use crate::present::json;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a, F, P> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    name: &'a str,
    exporter: &'static str,
    active_profile_index: usize,
    shared: Shared<F>,
    profiles: P,
}

#[derive(Serialize)]
struct Shared<F> {
    frames: F,
}

#[derive(Serialize)]
struct Frame<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Profile<'a, W> {
    r#type: &'static str,
    name: &'a str,
    unit: &'static str,
    samples: Streamed<'a, Vec<usize>>,
    weights: W,
    start_value: i64,
    end_value: i64,
}

pub(crate) fn write(
    stacks: &Stacks<'_>,
    title: &str,
    out: &mut dyn Write,
) -> Result<Summary, ExportError> {
    let kinds = stacks.kinds();
    let chosen = stacks.chosen();
    let shown = kinds.iter().position(|kind| *kind == chosen).unwrap_or(0);
    let mut summary = Summary { noun: "backtraces", ..Summary::default() };
    for kind in &kinds {
        summary.count = summary.count.max(positive(stacks, *kind).count() as u64);
        let negative = weights(stacks, *kind).filter(|weight| *weight < 0).count();
        summary.negative_weights += negative as u64;
    }
    let failure = Failure::default();
    let frames = stacks.frames.iter().map(|frame| Frame {
        name: &frame.sym,
        file: frame.file.as_deref(),
        line: frame.line,
    });
    let file = File {
        schema: "https://www.speedscope.app/file-format-schema.json",
        name: title,
        exporter: concat!("rheaper ", env!("CARGO_PKG_VERSION")),
        active_profile_index: shown,
        shared: Shared { frames: Each(frames) },
        profiles: Each(kinds.iter().map(|kind| profile(stacks, *kind, &failure))),
    };
    failure.or(file.serialize(&mut json::export(out)))?;
    out.write_all(b"\n")?;
    Ok(summary)
}

/// The profile of a kind.
fn profile<'a>(
    stacks: &'a Stacks<'_>,
    kind: usize,
    failure: &'a Failure,
) -> Profile<'a, impl Serialize + 'a> {
    let about = &stacks.weights.kinds[kind];
    let unit = match about.unit {
        Unit::Bytes => "bytes",
        Unit::Duration | Unit::Moment => "nanoseconds",
        _ => "none",
    };
    let samples = Streamed::new(failure, move |receiver| {
        let mut sample = Vec::new();
        stacks.for_each(|stack| {
            if stack.weights[kind] <= 0 {
                return Ok(());
            }
            sample.clear();
            sample.extend(stack.frames.iter().rev());
            receiver(&sample)
        })
    });
    Profile {
        r#type: "sampled",
        name: &about.name,
        unit,
        samples,
        weights: Each(positive(stacks, kind)),
        start_value: 0,
        end_value: positive(stacks, kind).fold(0, i64::saturating_add),
    }
}

/// The weights of a kind, in the order of backtraces.
fn weights<'a>(stacks: &'a Stacks<'_>, kind: usize) -> impl Iterator<Item = i64> + Clone + 'a {
    let weights = &stacks.weights;
    (0..weights.bts.len()).map(move |position| weights.at(position)[kind])
}

/// The weights that the format can hold.
fn positive<'a>(stacks: &'a Stacks<'_>, kind: usize) -> impl Iterator<Item = i64> + Clone + 'a {
    weights(stacks, kind).filter(|weight| *weight > 0)
}
