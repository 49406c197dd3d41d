//! What `rheaper info` tells about a recording.

use std::path::PathBuf;

use crate::loader::summary::{Ending, Loss};
use crate::recording::{Counters, Header};

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
