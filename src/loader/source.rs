//! Where events come from: a recording of ours, or another profiler's.
//!
//! Reads and writes: nothing itself; it is what the steps of a load ask.
//!
//! Invariant: what [`Source::read_metadata`] says and what [`Source::read_events`] hands out belong together:
//! nodes, locations and modules are those of the survey.

use crate::loader::error::LoadError;
use crate::loader::passes::event_pass::{EventPass, Outcome};
use crate::loader::passes::metadata_pass::RecordingMetadata;
use crate::loader::passes::pairing::RowSink;
use crate::loader::progress::Progress;
use crate::loader::read::reader::Recording;
use crate::loader::symbols::Symbols;
use crate::loader::write::metadata;
use crate::recording::Header;

/// What the first pass found.
pub(crate) struct SourceMetadata {
    /// Everything but the events.
    pub(crate) metadata: RecordingMetadata,
    /// The names of all locations, where the recording brought them along.
    pub(crate) names: Option<Symbols>,
}

/// A file of events that can be read twice.
pub(crate) trait Source {
    /// Its length.
    fn file_bytes(&self) -> u64;

    /// Clock and limits; made up where the file has no such header.
    fn header(&self) -> &Header;

    /// The recording's id, as `meta` has it.
    fn id(&self) -> String {
        metadata::recording_id(self.header())
    }

    /// The first pass.
    fn read_metadata(&self, progress: &mut dyn Progress) -> Result<SourceMetadata, LoadError>;

    /// The second pass: hands all events on.
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
        Ok(SourceMetadata { metadata, names: None })
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
