//! The contents of a recording without its events, for `rheaper info`.

use std::path::PathBuf;

use crate::loader::api::summary::{Ending, Loss};
use crate::loader::passes::metadata_pass::RecordingMetadata;
use crate::loader::read::clock::Clock;
use crate::loader::read::reader::Recording;
use crate::loader::sanitize::hex;
use crate::loader::write::{losses, metadata};
use crate::recording::{Counters, Header, Ticks};

/// The contents of a recording, without decoding its events.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Info {
    /// Path of the file.
    pub path: PathBuf,
    /// Length of the file.
    pub file_bytes: u64,
    /// The file header.
    pub header: Header,
    /// Time from the start to the latest timestamp outside the events.
    pub duration_ns: u64,
    /// How the recording ended.
    pub ending: Ending,
    /// Blocks by kind, by the kind's number.
    pub blocks: Vec<BlockCount>,
    /// Event streams by id.
    pub streams: Vec<StreamInfo>,
    /// Threads by id.
    pub threads: Vec<ThreadInfo>,
    /// The executable and shared libraries, in the order of the file.
    pub modules: Vec<ModuleInfo>,
    /// Number of stack nodes.
    pub nodes: u64,
    /// The recorder's last counters; `None`: it wrote none.
    pub counters: Option<Counters>,
    /// Bytes of an incomplete block at the end of the file.
    pub torn_bytes: u64,
    /// Number of damaged ranges that were skipped.
    pub damaged_places: u64,
    /// Bytes in these ranges.
    pub damaged_bytes: u64,
    /// Losses with a count above 0.
    pub losses: Vec<Loss>,
}

impl Info {
    /// Summarizes the result of the metadata pass.
    pub(crate) fn of(recording: &Recording, metadata: RecordingMetadata) -> Self {
        let header = *recording.header();
        let mut losses = losses::of_recorder(&metadata);
        losses.extend(losses::of_file(&metadata));
        losses.retain(|loss| loss.count > 0);
        let blocks = metadata.block_kinds.iter().map(|((_, kind), tally)| BlockCount {
            kind: (*kind).to_owned(),
            blocks: tally.blocks,
            bytes: tally.bytes,
        });
        let streams = metadata.streams.iter().map(|(id, tally)| StreamInfo {
            id: *id,
            blocks: tally.blocks,
            bytes: tally.bytes,
            missing_bytes: tally.missing,
        });
        let threads = metadata.threads.iter().map(|(id, thread)| ThreadInfo {
            id: *id,
            os_id: thread.os_id,
            name: thread.name.clone(),
        });
        let modules = metadata.modules.iter().map(|module| ModuleInfo {
            id: module.id.0,
            path: module.shown.clone(),
            build_id: hex(&module.build_id),
            main: module.main,
        });
        Self {
            path: recording.path().to_owned(),
            file_bytes: recording.file_bytes(),
            header,
            duration_ns: Clock::new(&header, &metadata.clock_pairs)
                .nanos(Ticks(metadata.last_ticks()))
                .0,
            ending: metadata::ending(&metadata),
            blocks: blocks.collect(),
            streams: streams.collect(),
            threads: threads.collect(),
            modules: modules.collect(),
            nodes: metadata.nodes.len() as u64,
            torn_bytes: metadata.damage.torn_bytes,
            damaged_places: metadata.damage.places,
            damaged_bytes: metadata.damage.bytes,
            losses,
            counters: metadata.counters,
        }
    }
}

/// The blocks of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockCount {
    /// Name of the kind.
    pub kind: String,
    /// Number of blocks.
    pub blocks: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
}

/// One event stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// Id of the stream.
    pub id: u32,
    /// Number of blocks.
    pub blocks: u64,
    /// Bytes of its events.
    pub bytes: u64,
    /// Bytes that are missing between the blocks.
    pub missing_bytes: u64,
}

/// One thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadInfo {
    /// Id in the recording.
    pub id: u32,
    /// Id of the operating system.
    pub os_id: u64,
    /// Its last known name, safe to print.
    pub name: String,
}

/// An executable or a shared library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleInfo {
    /// Id in the recording.
    pub id: u32,
    /// Its path, safe to print.
    pub path: String,
    /// Hexadecimal; empty if it has none.
    pub build_id: String,
    /// Whether it is the executable itself.
    pub main: bool,
}
