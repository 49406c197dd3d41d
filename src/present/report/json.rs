//! A report as a JSON object.
//!
//! Invariant: field names contain the unit and do not change between releases.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::database::estimate::{CONFIDENCE, Interval};
use crate::present::json;
use crate::present::report::Report;
use crate::present::report::holders::Ranking;

pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    json::document(&object(report), out)
}

fn object(report: &Report) -> Value {
    let suspects = report.suspects.iter().map(|suspect| {
        json!({
            "sentence": suspect.sentence,
            "label": suspect.label,
            "live_bytes": suspect.live_bytes,
            "live_bytes_interval": suspect.live_interval.map(bounds),
            "live_blocks": suspect.live_blocks,
            "live_share": suspect.live_share,
            "bt": suspect.bt,
            "frames": suspect.frames,
        })
    });
    let temporaries = report.temporaries.iter().map(|temporary| {
        json!({ "function": temporary.function, "blocks": temporary.blocks, "share": temporary.share })
    });
    let losses = report
        .losses
        .iter()
        .map(|loss| json!({ "name": loss.name, "count": loss.count, "meaning": loss.meaning }));
    json!({
        "file": report.file,
        "ending": report.ending,
        "duration_ns": report.duration_ns,
        "allocations": report.allocations,
        "allocated_bytes": report.allocated_bytes,
        "frees": report.frees,
        "peak_bytes": report.peak_bytes,
        "peak_after_ns": report.peak_ns,
        "live_bytes": report.live_bytes,
        "live_blocks": report.live_blocks,
        "finding": report.finding(),
        "shutdown_ns": report.shutdown_ns,
        "judged_bytes": report.judged_bytes,
        "judged_blocks": report.judged_blocks,
        "held": ranking(&report.held),
        "at_peak": ranking(&report.at_peak),
        "allocated": ranking(&report.allocated),
        "lost_events": report.lost_events(),
        "memory": report.memory.map(|memory| json!({
            "rss_bytes": memory.rss_bytes,
            "rss_max_bytes": memory.rss_max_bytes,
            "live_bytes": memory.live_bytes,
            "live_share_of_rss": memory.explained(),
            "recorder_bytes": memory.recorder_bytes,
            "cgroup_bytes": memory.cgroup_bytes,
            "cgroup_limit_bytes": memory.cgroup_limit_bytes,
        })),
        "threads": report.threads,
        "sites": report.sites,
        "curve_live_bytes": report.curve,
        "growth": report.growth.map(|growth| json!({
            "bytes_per_hour": growth.bytes_per_hour,
            "fit": growth.fit,
        })),
        "suspects": suspects.collect::<Vec<_>>(),
        "temporaries": temporaries.collect::<Vec<_>>(),
        "losses": losses.collect::<Vec<_>>(),
        "imported_from": report.imported_from,
        "not_recorded": report.not_recorded,
        "sampled": report.sampled.map(|sampled| json!({
            "sample_bytes": sampled.sample_bytes,
            "confidence": CONFIDENCE,
            "allocated_bytes_interval": bounds(sampled.bytes_interval),
            "live_bytes_interval": bounds(sampled.live_interval),
        })),
    })
}

fn ranking(ranking: &Ranking) -> Value {
    let holders = ranking.holders.iter().map(|holder| {
        json!({
            "function": holder.function,
            "place": holder.place,
            "bytes": holder.bytes,
            "blocks": holder.blocks,
            "share": holder.share,
        })
    });
    json!({
        "bytes": ranking.bytes,
        "functions": ranking.functions,
        "holders": holders.collect::<Vec<_>>(),
    })
}

/// The lower bound and the upper one.
fn bounds(interval: Interval) -> Value {
    json!([interval.low, interval.high])
}
