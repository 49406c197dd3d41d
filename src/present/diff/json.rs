//! A comparison as a JSON object.
//!
//! Invariant: field names contain the unit and do not change between releases.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::database::compare::{Measure, Metrics, Row, Total};
use crate::present::diff::Diff;
use crate::present::json;

pub(super) fn write(diff: &Diff<'_>, out: &mut dyn Write) -> io::Result<()> {
    let comparison = diff.comparison;
    let (growth, shrinkage) = comparison.movement(diff.measure);
    let rows: Vec<Value> = diff.shown().map(|row| row_json(diff, row)).collect();
    let object = json!({
        "before": side_json(&comparison.before),
        "after": side_json(&comparison.after),
        "per": comparison.per.to_argument(),
        "measure": diff.measure.name(),
        "growth": growth,
        "shrinkage": shrinkage,
        "changed_sites": diff.rows.len(),
        "rows": rows,
    });
    json::document(&object, out)
}

fn side_json(total: &Total) -> Value {
    json!({
        "file": total.file,
        "from_ns": total.span.from_ns.max(0),
        "to_ns": total.span.to_ns,
        "sites": total.sites,
        "sample_bytes": total.caveats.sampled.map(|sampled| sampled.sample_bytes),
        "aggregated_blocks": total.caveats.aggregated.map_or(0, |aggregated| aggregated.blocks),
        "live_bytes": total.metrics.live_bytes,
        "live_blocks": total.metrics.live_blocks,
        "bytes": total.metrics.bytes,
        "allocations": total.metrics.allocations,
    })
}

fn row_json(diff: &Diff<'_>, row: &Row) -> Value {
    let comparison = diff.comparison;
    let inner = comparison.frames(row).next();
    let stack: Vec<&str> = comparison.frames(row).map(|name| name.sym.as_str()).collect();
    let differences = Measure::COMPARED.map(|measure| (measure.name(), row.difference(measure)));
    json!({
        "state": row.state(diff.measure).name(),
        "function": comparison.function(row),
        "file": inner.and_then(|name| name.file.as_deref()),
        "line": inner.and_then(|name| name.line),
        "difference": differences.into_iter().map(|(word, value)| (word.to_owned(), value.into()))
            .collect::<serde_json::Map<String, Value>>(),
        "before": metrics_json(&row.before, &comparison.before, row.bt_before),
        "after": metrics_json(&row.after, &comparison.after, row.bt_after),
        "frames": stack,
    })
}

/// The totals of a site on one side; rates are of the totals before normalization.
fn metrics_json(metrics: &Metrics, total: &Total, bt: Option<i64>) -> Value {
    let undone = total.ratio.denominator as f64 / total.ratio.numerator.max(1) as f64;
    let seconds = total.span.duration_ns().max(1) as f64 / 1e9;
    let rate = |value: i64| value as f64 * undone / seconds;
    json!({
        "bt": bt,
        "live_bytes": metrics.live_bytes,
        "live_blocks": metrics.live_blocks,
        "bytes": metrics.bytes,
        "allocations": metrics.allocations,
        "live_bytes_per_s": rate(metrics.live_bytes),
        "bytes_per_s": rate(metrics.bytes),
        "allocations_per_s": rate(metrics.allocations),
    })
}
