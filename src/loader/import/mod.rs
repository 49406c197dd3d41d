//! Reads recordings of heaptrack and bytehound, compressed or not, as a [`Source`] of events.
//!
//! Invariants:
//! - Memory grows with live blocks, distinct stacks and names, never with events.
//! - Any bytes give a value or an error; no length field in a file reserves memory.
//! - Facts that the other format does not record are listed in
//!   [`ImportInfo`](crate::loader::passes::metadata_pass::ImportInfo).

mod bytehound;
mod heaptrack;
mod input;

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::loader::api::error::LoadError;
use crate::loader::api::progress::Progress;
use crate::loader::import::input::Input;
use crate::loader::passes::event_pass::{EventPass, Outcome};
use crate::loader::passes::pairing::RowSink;
use crate::loader::source::{Source, SourceMetadata};
use crate::recording::{Header, MAGIC};

/// Bytes per read.
const CHUNK_BYTES: usize = 1 << 16;

/// Decompressed bytes from which the profiler is recognized.
const SNIFFED_BYTES: u64 = 64;

/// The profiler that made a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Heaptrack,
    Bytehound,
}

/// A recording of another profiler.
#[derive(Debug)]
pub(crate) struct Recording {
    path: PathBuf,
    kind: Kind,
    header: Header,
    file_bytes: u64,
    /// Results of the metadata pass that the event pass needs.
    backtraces: RefCell<bytehound::Backtraces>,
}

impl Recording {
    /// Opens a file and recognizes the profiler. Never blocks: a FIFO is refused.
    pub(crate) fn open(path: &Path) -> Result<Self, LoadError> {
        let failed = |error| LoadError::reading(path, error);
        let file = input::open(path)?;
        let file_bytes = file.metadata().map_err(failed)?.len();
        let kind = detect_kind(path, file_bytes)?;
        let header = Header {
            recording_id: content_id(file, file_bytes).map_err(failed)?,
            // Timestamps are in nanoseconds; stacks keep their recorded depth.
            ticks_per_second: 1e9,
            max_stack_depth: u32::MAX,
            sample_rate: 1.0,
            ..Header::default()
        };
        let backtraces = RefCell::default();
        Ok(Self { path: path.to_owned(), kind, header, file_bytes, backtraces })
    }

    fn input(&self) -> Result<Input, LoadError> {
        Input::open(&self.path, self.file_bytes)
    }
}

/// Whether a file starts like one of these recordings.
pub(crate) fn is_recording(path: &Path) -> bool {
    let file_bytes = input::open(path).and_then(|file| {
        let failed = |error| LoadError::reading(path, error);
        Ok(file.metadata().map_err(failed)?.len())
    });
    file_bytes.and_then(|file_bytes| detect_kind(path, file_bytes)).is_ok()
}

/// Recognizes the profiler by the first decompressed bytes.
fn detect_kind(path: &Path, file_bytes: u64) -> Result<Kind, LoadError> {
    let mut input = Input::open(path, file_bytes)?;
    let mut start = Vec::new();
    (&mut input)
        .take(SNIFFED_BYTES)
        .read_to_end(&mut start)
        .map_err(|error| LoadError::damaged(path, &error))?;
    if start.is_empty() {
        let sentence = "is cut off before the first event can be unpacked: record again";
        return Err(LoadError::not_importable(path, sentence));
    }
    if start.starts_with(b"v ") {
        return Ok(Kind::Heaptrack);
    }
    if bytehound::is_chunk(&start) {
        return Ok(Kind::Bytehound);
    }
    Err(LoadError::not_importable(
        path,
        if start.starts_with(&MAGIC) {
            "is a recording of rheaper's own: `rheaper load` reads it"
        } else {
            "is no recording of heaptrack or bytehound: its first bytes are not those of one"
        },
    ))
}

/// A recording id: the same for each copy of a file. The format has none, so length and checksums
/// stand in.
fn content_id(mut file: File, file_bytes: u64) -> io::Result<[u8; 16]> {
    let (mut even, mut odd) = (crc32fast::Hasher::new(), crc32fast::Hasher::new());
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut chunks = 0_u64;
    loop {
        let taken = file.read(&mut buffer)?;
        if taken == 0 {
            break;
        }
        let hasher = if chunks.is_multiple_of(2) { &mut even } else { &mut odd };
        hasher.update(&buffer[..taken]);
        chunks += 1;
    }
    let mut id = [0; 16];
    id[..8].copy_from_slice(&file_bytes.to_be_bytes());
    id[8..12].copy_from_slice(&even.finalize().to_be_bytes());
    id[12..].copy_from_slice(&odd.finalize().to_be_bytes());
    Ok(id)
}

impl Source for Recording {
    fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    fn header(&self) -> &Header {
        &self.header
    }

    fn read_metadata(&self, progress: &mut dyn Progress) -> Result<SourceMetadata, LoadError> {
        let mut input = self.input()?;
        let found = match self.kind {
            Kind::Heaptrack => heaptrack::read_metadata(&mut input, progress),
            Kind::Bytehound => bytehound::read_metadata(&mut input, progress).map(|found| {
                found.map(|(found, backtraces)| {
                    *self.backtraces.borrow_mut() = backtraces;
                    found
                })
            }),
        };
        found
            .map_err(|error| LoadError::damaged(&self.path, &error))?
            .ok_or_else(LoadError::interrupted)
    }

    fn read_events<S: RowSink>(
        &self,
        pass: &mut EventPass,
        sink: &mut S,
        progress: &mut dyn Progress,
    ) -> Result<Outcome, LoadError> {
        let mut input = self.input()?;
        let outcome = match self.kind {
            Kind::Heaptrack => heaptrack::read_events(&mut input, pass, sink, progress),
            Kind::Bytehound => {
                let backtraces = self.backtraces.borrow();
                bytehound::read_events(&mut input, &backtraces, pass, sink, progress)
            }
        };
        outcome.map_err(|error| LoadError::damaged(&self.path, &error))
    }
}
