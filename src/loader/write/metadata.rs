//! The rows of `meta`, and the [`Summary`] of a load.
//!
//! Invariant: the rows do not depend on when, where or how fast the load ran; only the summary does.

use rusqlite::types::Value;

use crate::loader::api::summary::{Ending, Summary};
use crate::loader::model::Site;
use crate::loader::passes::event_pass::EventPass;
use crate::loader::passes::metadata_pass::RecordingMetadata;
use crate::loader::sanitize::hex;
use crate::loader::write::row_writer::integer;
use crate::recording::{ClockKind, Counter, Header, SealReason};

/// The recorder's counters that are not losses; those are in `losses`.
const RECORDER: [Counter; 11] = [
    Counter::Allocations,
    Counter::Frees,
    Counter::Reallocations,
    Counter::Failed,
    Counter::WalkHits,
    Counter::WalkMisses,
    Counter::NewFrames,
    Counter::WaitedNs,
    Counter::BytesWritten,
    Counter::RecorderBytes,
    Counter::FlushGapMaxNs,
];

/// How the recording ended.
pub(crate) fn ending(metadata: &RecordingMetadata) -> Ending {
    if let Some(import) = &metadata.import {
        return import.ending;
    }
    match metadata.seal.map(|seal| (seal.reason, seal.os_error)) {
        None => Ending::CutOff,
        Some((SealReason::Disabled, _)) => Ending::Sealed,
        Some((SealReason::Quota, _)) => Ending::Quota,
        Some((SealReason::WriteFailed, error)) => Ending::WriteFailed(error),
    }
}

/// The value of `recording_id`.
pub(crate) fn recording_id(header: &Header) -> String {
    hex(&header.recording_id)
}

/// The rows of `meta`.
pub(crate) fn meta_rows(
    header: &Header,
    metadata: &RecordingMetadata,
    pass: &EventPass,
) -> Vec<(String, Value)> {
    let ending = ending(metadata);
    let text = |text: &str| Value::Text(text.to_owned());
    let number = |number: u64| Value::Integer(integer(number));
    let mut rows = vec![
        ("recording_id", Value::Text(recording_id(header))),
        ("sample_rate", Value::Real(header.sample_rate)),
        ("ending", text(ending.label())),
        ("partial", number(u64::from(ending.is_partial()))),
    ];
    match &metadata.import {
        Some(import) => {
            rows.extend(import.meta_rows.iter().cloned());
            rows.extend(import.not_recorded.iter().map(|(name, meaning)| (*name, text(meaning))));
        }
        None => rows.extend([
            ("format_version", number(u64::from(crate::recording::VERSION))),
            ("pid", number(u64::from(header.pid))),
            ("started_unix_ns", number(header.started_unix_ns)),
            ("clock", text(clock_name(header.clock))),
            ("max_stack_depth", number(u64::from(header.max_stack_depth))),
            ("trackers_max", number(u64::from(header.trackers_max))),
        ]),
    }
    if header.sample_bytes > 0 {
        rows.push(("sample_bytes", number(header.sample_bytes)));
    }
    if header.quota_bytes > 0 {
        rows.push(("bytes_max", number(header.quota_bytes)));
    }
    if let Ending::WriteFailed(error) = ending {
        rows.push(("write_errno", Value::Integer(i64::from(error))));
    }
    rows.extend(counts(pass));
    rows.push(("threads", threads(metadata, pass).map_or(Value::Null, number)));
    let mut rows: Vec<_> = rows.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    if let Some(counters) = &metadata.counters {
        rows.extend(RECORDER.iter().map(|counter| {
            let label = counter.label();
            let key = format!("recorder_{}", label.trim_start_matches("recorder_"));
            (key, number(counters.get(*counter)))
        }));
    }
    rows
}

/// A sentence for each fact that the source does not record.
fn not_recorded(metadata: &RecordingMetadata) -> Vec<String> {
    let not_recorded = metadata.import.iter().flat_map(|import| &import.not_recorded);
    not_recorded.map(|(_, meaning)| (*meaning).to_owned()).collect()
}

/// Number of threads that had an event; `None`: the source does not record threads.
fn threads(metadata: &RecordingMetadata, pass: &EventPass) -> Option<u64> {
    (!metadata.missing_columns().threads).then(|| pass.totals.threads().count() as u64)
}

fn counts(pass: &EventPass) -> Vec<(&'static str, Value)> {
    let global = pass.totals.global;
    let without_backtrace = &pass.totals.sites[Site::NONE.0 as usize];
    let slices = &pass.totals.slices;
    let sites = pass.totals.sites.iter().skip(1);
    [
        ("duration_ns", pass.duration.0),
        ("events", pass.events()),
        ("rows", pass.pairing.rows()),
        ("freed_rows", pass.pairing.freed_rows()),
        ("allocations", global.allocations),
        ("bytes", global.bytes),
        ("frees", global.frees),
        ("aggregated_blocks", global.aggregated),
        ("aggregated_bytes", global.aggregated_bytes),
        ("live_blocks", global.live_blocks),
        ("live_bytes", global.live_bytes),
        ("peak_bytes", global.peak_bytes),
        ("peak_blocks", global.peak_blocks),
        ("peak_ns", global.peak_ns.0),
        ("unprobed_allocations", without_backtrace.allocations),
        ("unprobed_bytes", without_backtrace.bytes),
        ("unprobed_live_blocks", without_backtrace.live_blocks),
        ("unprobed_live_bytes", without_backtrace.live_bytes),
        ("backtraces", pass.sites.stacks().len() as u64),
        ("sites", sites.filter(|site| site.allocations > 0).count() as u64),
        ("slices", slices.used(pass.duration).len() as u64),
        ("slice_ns", slices.width_ns()),
        ("slices_per_point", slices.slices_per_point()),
    ]
    .map(|(key, value)| (key, Value::Integer(integer(value))))
    .into()
}

/// The summary; losses, symbols and the database's length are to be added.
pub(crate) fn summary(header: &Header, metadata: &RecordingMetadata, pass: &EventPass) -> Summary {
    let global = pass.totals.global;
    Summary {
        events: pass.events(),
        allocations: global.allocations,
        bytes: global.bytes,
        frees: global.frees,
        live_blocks: global.live_blocks,
        live_bytes: global.live_bytes,
        peak_bytes: global.peak_bytes,
        peak_after_ns: global.peak_ns.0,
        sample_bytes: header.sample_bytes,
        backtraces: pass.sites.stacks().len() as u64,
        threads: threads(metadata, pass).unwrap_or(0),
        duration_ns: pass.duration.0,
        ending: ending(metadata),
        not_recorded: not_recorded(metadata),
        ..Summary::default()
    }
}

fn clock_name(clock: ClockKind) -> &'static str {
    match clock {
        ClockKind::Monotonic => "monotonic",
        ClockKind::Tsc => "tsc",
        ClockKind::Counter => "counter",
    }
}
