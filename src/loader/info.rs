//! What `rheaper info` tells about a recording.

use std::path::PathBuf;

use crate::loader::passes::metadata_pass::RecordingMetadata;
use crate::loader::read::clock::Clock;
use crate::loader::read::reader::Recording;
use crate::loader::sanitize::hex;
use crate::loader::summary::{Ending, Loss};
use crate::loader::write::{diagnostics, metadata};
use crate::recording::{Counters, Header, Ticks};

/// What is in a recording, without decoding its events.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Info {
    /// The file.
    pub path: PathBuf,
    /// Its length.
    pub file_bytes: u64,
    /// Its first 128 bytes.
    pub header: Header,
    /// From the first to the last moment that the file knows of.
    pub duration_ns: u64,
    /// How it ended.
    pub ending: Ending,
    /// Blocks by kind, in the order of their numbers.
    pub blocks: Vec<BlockCount>,
    /// Event streams by number.
    pub streams: Vec<StreamInfo>,
    /// Threads by number.
    pub threads: Vec<ThreadInfo>,
    /// Loaded objects by number.
    pub modules: Vec<ModuleInfo>,
    /// Stack nodes defined.
    pub nodes: u64,
    /// What the recorder counted, if it got to say so.
    pub counters: Option<Counters>,
    /// Bytes of a last block that is not whole.
    pub torn_bytes: u64,
    /// Damaged places that had to be skipped.
    pub damaged_places: u64,
    /// Bytes in them.
    pub damaged_bytes: u64,
    /// What was lost; only what is not zero.
    pub losses: Vec<Loss>,
}

impl Info {
    /// What a survey found.
    pub(crate) fn of(recording: &Recording, metadata: RecordingMetadata) -> Self {
        let header = *recording.header();
        let mut losses = diagnostics::of_recorder(&metadata);
        losses.extend(diagnostics::of_file(&metadata));
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
    /// How many.
    pub blocks: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
}

/// One event stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// Its number.
    pub id: u32,
    /// Its blocks.
    pub blocks: u64,
    /// Bytes of its events.
    pub bytes: u64,
    /// Bytes that are missing between its blocks.
    pub missing_bytes: u64,
}

/// One thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadInfo {
    /// Its number in the recording.
    pub id: u32,
    /// Its number in the operating system.
    pub os_id: u64,
    /// Its last known name, safe to print.
    pub name: String,
}

/// One loaded object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleInfo {
    /// Its number in the recording.
    pub id: u32,
    /// Its path, safe to print.
    pub path: String,
    /// Hexadecimal; empty if it has none.
    pub build_id: String,
    /// Whether it is the executable itself.
    pub main: bool,
}
