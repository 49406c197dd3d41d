//! Facts about a load: the rows of `meta`, and the summary.
//!
//! Reads: header, survey, replay. Writes: key and value pairs, a [`Summary`].
//!
//! Invariant: nothing here depends on when, where or how fast the load ran, except what is in
//! the summary only.

use rusqlite::types::Value;

use crate::loader::passes::event_pass::Replay;
use crate::loader::passes::metadata_pass::Survey;
use crate::loader::rows::Site;
use crate::loader::sanitize::hex;
use crate::loader::summary::{Ending, Summary};
use crate::loader::write::row_writer::integer;
use crate::recording::{ClockKind, Counter, Header, SealReason};

/// Counters of the recorder that are facts, not losses.
const RECORDER: [Counter; 11] = [
    Counter::Allocations,
    Counter::Frees,
    Counter::Reallocations,
    Counter::Failed,
    Counter::WalkHits,
    Counter::WalkMisses,
    Counter::FreshFrames,
    Counter::WaitedNs,
    Counter::BytesWritten,
    Counter::RecorderBytes,
    Counter::FlushGapMaxNs,
];

/// How a recording ended.
pub(crate) fn ending(survey: &Survey) -> Ending {
    if let Some(foreign) = &survey.foreign {
        return foreign.ending;
    }
    match survey.seal.map(|seal| (seal.reason, seal.os_error)) {
        None => Ending::CutOff,
        Some((SealReason::Disabled, _)) => Ending::Sealed,
        Some((SealReason::Quota, _)) => Ending::Quota,
        Some((SealReason::WriteFailed, error)) => Ending::WriteFailed(error),
    }
}

/// The recording's id as `meta` has it.
pub(crate) fn recording_id(header: &Header) -> String {
    hex(&header.recording_id)
}

/// The rows of `meta`.
pub(crate) fn meta(header: &Header, survey: &Survey, replay: &Replay) -> Vec<(String, Value)> {
    let ending = ending(survey);
    let text = |text: &str| Value::Text(text.to_owned());
    let number = |number: u64| Value::Integer(integer(number));
    let mut rows = vec![
        ("recording_id", Value::Text(recording_id(header))),
        ("sample_rate", Value::Real(header.sample_rate)),
        ("ending", text(ending.label())),
        ("partial", number(u64::from(ending.is_partial()))),
    ];
    match &survey.foreign {
        Some(foreign) => {
            rows.extend(foreign.facts.iter().cloned());
            rows.extend(foreign.gaps.iter().map(|(name, meaning)| (*name, text(meaning))));
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
    if header.bytes_max > 0 {
        rows.push(("bytes_max", number(header.bytes_max)));
    }
    if let Ending::WriteFailed(error) = ending {
        rows.push(("write_errno", Value::Integer(i64::from(error))));
    }
    rows.extend(counts(replay));
    rows.push(("threads", threads(survey, replay).map_or(Value::Null, number)));
    let mut rows: Vec<_> = rows.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    if let Some(counters) = &survey.counters {
        rows.extend(RECORDER.iter().map(|counter| {
            let label = counter.label();
            let key = format!("recorder_{}", label.trim_start_matches("recorder_"));
            (key, number(counters.get(*counter)))
        }));
    }
    rows
}

/// What the source does not hold, a sentence each.
fn gaps(survey: &Survey) -> Vec<String> {
    let gaps = survey.foreign.iter().flat_map(|foreign| &foreign.gaps);
    gaps.map(|(_, meaning)| (*meaning).to_owned()).collect()
}

/// Threads that did something, if that can be known.
fn threads(survey: &Survey, replay: &Replay) -> Option<u64> {
    (!survey.lacks().threads).then(|| replay.totals.threads().count() as u64)
}

fn counts(replay: &Replay) -> Vec<(&'static str, Value)> {
    let global = replay.totals.global;
    let unprobed = &replay.totals.sites[Site::NONE.0 as usize];
    let slices = &replay.totals.slices;
    let sites = replay.totals.sites.iter().skip(1);
    [
        ("duration_ns", replay.duration.0),
        ("events", replay.events()),
        ("rows", replay.pairing.rows()),
        ("freed_rows", replay.pairing.freed_rows()),
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
        ("unprobed_allocations", unprobed.allocations),
        ("unprobed_bytes", unprobed.bytes),
        ("unprobed_live_blocks", unprobed.live_blocks),
        ("unprobed_live_bytes", unprobed.live_bytes),
        ("backtraces", replay.sites.stacks().len() as u64),
        ("sites", sites.filter(|site| site.allocations > 0).count() as u64),
        ("slices", slices.finish(replay.duration).len() as u64),
        ("slice_ns", slices.width_ns()),
        ("slices_per_point", slices.slices_per_point()),
    ]
    .map(|(key, value)| (key, Value::Integer(integer(value))))
    .into()
}

/// The summary, as far as it does not depend on the database.
pub(crate) fn summary(header: &Header, survey: &Survey, replay: &Replay) -> Summary {
    let global = replay.totals.global;
    Summary {
        events: replay.events(),
        allocations: global.allocations,
        bytes: global.bytes,
        frees: global.frees,
        live_blocks: global.live_blocks,
        live_bytes: global.live_bytes,
        peak_bytes: global.peak_bytes,
        peak_after_ns: global.peak_ns.0,
        sample_bytes: header.sample_bytes,
        backtraces: replay.sites.stacks().len() as u64,
        threads: threads(survey, replay).unwrap_or(0),
        duration_ns: replay.duration.0,
        ending: ending(survey),
        not_recorded: gaps(survey),
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
