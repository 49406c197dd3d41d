//! The trait of recordings that a load can read: ours, or another profiler's.
//!
//! Invariant: nodes, locations and modules of the events are those of the metadata pass.

use crate::loader::api::error::LoadError;
use crate::loader::api::progress::Progress;
use crate::loader::passes::event_pass::{EventPass, Outcome};
use crate::loader::passes::metadata_pass::RecordingMetadata;
use crate::loader::passes::pairing::RowSink;
use crate::loader::read::reader::Recording;
use crate::loader::symbols::Symbols;
use crate::loader::write::metadata;
use crate::recording::Header;

/// The result of the metadata pass.
pub(crate) struct SourceMetadata {
    /// Everything except the events.
    pub(crate) metadata: RecordingMetadata,
    /// The names of all locations, if the recording holds them.
    pub(crate) symbols: Option<Symbols>,
}

/// A recording, which is read twice.
pub(crate) trait Source {
    /// Length of the file.
    fn file_bytes(&self) -> u64;

    /// The file header; for another profiler's recording, one with equivalent values.
    fn header(&self) -> &Header;

    /// The recording's id, as in `meta`.
    fn id(&self) -> String {
        metadata::recording_id(self.header())
    }

    /// Runs the metadata pass.
    fn read_metadata(&self, progress: &mut dyn Progress) -> Result<SourceMetadata, LoadError>;

    /// Runs the event pass.
    fn read_events<S: RowSink>(
        &self,
        pass: &mut EventPass,
        sink: &mut S,
        progress: &mut dyn Progress,
    ) -> Result<Outcome, LoadError>;
}

impl Source for Recording {
    fn file_bytes(&self) -> u64 {
        self.file_bytes()
    }

    fn header(&self) -> &Header {
        self.header()
    }

    fn read_metadata(&self, progress: &mut dyn Progress) -> Result<SourceMetadata, LoadError> {
        let metadata = RecordingMetadata::read(&mut self.blocks(), progress)
            .map_err(|error| LoadError::reading(self.path(), error))?
            .ok_or_else(LoadError::interrupted)?;
        Ok(SourceMetadata { metadata, symbols: None })
    }

    fn read_events<S: RowSink>(
        &self,
        pass: &mut EventPass,
        sink: &mut S,
        progress: &mut dyn Progress,
    ) -> Result<Outcome, LoadError> {
        pass.run(&mut self.blocks(), self.file_bytes(), sink, progress)
            .map_err(|error| LoadError::reading(self.path(), error))
    }
}
