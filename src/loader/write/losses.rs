//! The rows of `losses`: the counters of the recorder, the file and the event pass. Zeros are written
//! too, so that a query finds every name.

use crate::loader::api::summary::Loss;
use crate::loader::passes::metadata_pass::RecordingMetadata;
use crate::loader::passes::pairing::Pairing;
use crate::loader::passes::stacks::{SiteTable, StackTable};
use crate::loader::read::merge::Merge;
use crate::recording::Counter;

/// The recorder's counters that are losses; the others are in `meta`.
const RECORDER: [Counter; 14] = [
    Counter::DroppedFull,
    Counter::DroppedNoTracker,
    Counter::DroppedReentrant,
    Counter::DroppedNoMemory,
    Counter::DroppedWrite,
    Counter::DroppedMarks,
    Counter::DroppedScopes,
    Counter::DroppedQuota,
    Counter::DroppedSamples,
    Counter::Undecoded,
    Counter::NotSampled,
    Counter::Truncated,
    Counter::FailedWalks,
    Counter::StackTableFull,
];

/// Losses that the recorder counted.
pub(crate) fn of_recorder(metadata: &RecordingMetadata) -> Vec<Loss> {
    RECORDER
        .iter()
        .map(|counter| Loss {
            name: counter.label().to_owned(),
            count: metadata.counters.as_ref().map_or(0, |counters| counters.get(*counter)),
            meaning: counter.meaning().to_owned(),
        })
        .collect()
}

/// Replaces the recorder's count of a loss, where the loader knows better.
pub(crate) fn set(losses: &mut [Loss], counter: Counter, count: u64) {
    for loss in losses.iter_mut().filter(|loss| loss.name == counter.label()) {
        loss.count = count;
    }
}

/// Losses in the file: damaged and missing bytes.
pub(crate) fn of_file(metadata: &RecordingMetadata) -> Vec<Loss> {
    let damage = metadata.damage;
    let missing =
        metadata.streams.values().fold(0_u64, |sum, stream| sum.saturating_add(stream.missing));
    [
        (
            "torn_bytes",
            damage.torn_bytes,
            "Bytes at the end of the file that are no whole block: the recording was cut off there.",
        ),
        (
            "damaged_places",
            damage.places,
            "Places in the file where something was skipped because its checksum disagreed.",
        ),
        (
            "damaged_bytes",
            damage.bytes,
            "Bytes that were skipped there.",
        ),
        (
            "invalid_blocks",
            metadata.invalid_blocks,
            "Whole blocks that hold something that the format does not allow.",
        ),
        (
            "missing_stream_bytes",
            missing,
            "Bytes of event streams that are not in the file.",
        ),
    ]
    .map(named)
    .into()
}

/// Parts of another profiler's recording that could not be read.
pub(crate) fn of_import(metadata: &RecordingMetadata) -> Vec<Loss> {
    let unreadable = metadata.import.iter().map(|import| import.unreadable);
    unreadable.map(|(count, meaning)| named(("unreadable_parts", count, meaning))).collect()
}

/// Losses that the event pass counted.
pub(crate) fn of_events(
    merge: &Merge,
    pairing: &Pairing,
    stacks: &StackTable,
    sites: &SiteTable,
) -> Vec<Loss> {
    let streams = merge.losses();
    let pairs = pairing.losses();
    [
        (
            "undecoded_stream_bytes",
            streams.bytes,
            "Bytes of event streams that were missing, or could not be decoded up to the next \
             keyframe.",
        ),
        (
            "repeated_blocks",
            streams.repeated_blocks,
            "Blocks of events that stood in the file twice, or out of their order, and were left \
             out.",
        ),
        (
            "clock_steps_back",
            streams.backward_stamps,
            "Events that were stamped earlier than the one before them on the same thread; they \
             take its time.",
        ),
        (
            "late_events",
            merge.late_events(),
            "Events that stood so much later in the file than their time that they are out of \
             order.",
        ),
        (
            "reordered_pairs",
            pairs.reordered,
            "Blocks whose end was stamped on one processor before its beginning, or before the \
             end of the address's previous block, on another; put right, with a lifetime cut to \
             what is possible.",
        ),
        (
            "unknown_frees",
            pairs.unknown_frees,
            "Frees of blocks that are not in the recording: made before tracking was enabled, or \
             while an event was lost.",
        ),
        (
            "unknown_reallocs",
            pairs.unknown_reallocs,
            "Of these, the ones by realloc: the new block is known, the old one is not.",
        ),
        (
            "missed_frees",
            pairs.missed_frees,
            "Blocks whose address was used again although no free was recorded; they end there, \
             freed by an unknown thread.",
        ),
        (
            "missing_stacks",
            stacks.missing() + sites.unknown(),
            "Stacks, and events with stacks, whose definition is not in the file.",
        ),
    ]
    .map(named)
    .into()
}

fn named((name, count, meaning): (&str, u64, &str)) -> Loss {
    Loss { name: name.to_owned(), count, meaning: meaning.to_owned() }
}
