//! The first pass over a recording: everything except its events.
//!
//! Reads: all blocks. Writes: a [`RecordingMetadata`]: modules, threads, clock pairs, stack nodes, the
//! recorder's counters, the seal, and what is damaged.
//!
//! Events are only counted in bytes. Knowing the clock and the names before the first event
//! makes the second pass one straight run; this pass reads at the speed of the page cache.
//!
//! Invariant: a stack node is tied to the module that held its address when the node was
//! defined, so that a library which was loaded later at the same place changes nothing.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};

use rusqlite::types::Value;

use crate::loader::model::{LocationId, MissingColumns};
use crate::loader::progress::Progress;
use crate::loader::read::modules::{Module, Modules};
use crate::loader::read::reader::{Blocks, Damage};
use crate::loader::sanitize;
use crate::loader::summary::Ending;
use crate::recording::{
    Address, AggregatedRecords, Block, BlockKind, ByteReader, ClockPair, Counters, EventsHead,
    FormatError, MarkDef, ModuleDef, ModuleId, NodeDefs, NodeId, Note, SampleDef, ScopeDef,
    ScopeId, Seal, ThreadDef, Ticks,
};

/// How many blocks pass between two looks at the caller's wish to stop.
const BLOCKS_BETWEEN_CHECKS: u64 = 64;

/// Above a node's address stand 0, or 1 + the id of its module.
const MODULE_TAG_SHIFT: u32 = 48;

/// A stack node as the file defines it, its address already tied to a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// The file's id.
    pub(crate) id: NodeId,
    /// The stack below.
    pub(crate) parent: NodeId,
    /// The return address.
    pub(crate) location: LocationId,
}

/// A return address and the module that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Location {
    /// Index into the survey's modules.
    pub(crate) module: Option<u32>,
    /// The return address in the process.
    pub(crate) address: u64,
}

/// A thread by its last definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedThread {
    /// The operating system's id.
    pub(crate) os_id: u64,
    /// Its last name, cleaned.
    pub(crate) name: String,
}

/// Something that the program said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedMark {
    /// When.
    pub(crate) at: Ticks,
    /// By whom.
    pub(crate) thread: u32,
    /// EventKind, cleaned.
    pub(crate) name: String,
    /// The number that goes with it.
    pub(crate) value: i64,
}

/// A scope that the program named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedScope {
    /// The scope around it.
    pub(crate) parent: ScopeId,
    /// Its name, cleaned.
    pub(crate) name: String,
}

/// Blocks and bytes of one kind or stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BlockTally {
    /// How many blocks.
    pub(crate) blocks: u64,
    /// Bytes in them.
    pub(crate) bytes: u64,
    /// Bytes that are missing between them; streams only.
    pub(crate) missing: u64,
    /// Where the next block should go on; streams only.
    expected: u64,
}

/// What only the recordings of other profilers have, or have in their own way.
#[derive(Debug, Default)]
pub(crate) struct ImportInfo {
    /// Rows of `meta` instead of those of a header.
    pub(crate) meta_rows: Vec<(&'static str, Value)>,
    /// How it ended.
    pub(crate) ending: Ending,
    /// Columns that can't be filled.
    pub(crate) missing_columns: MissingColumns,
    /// What can't be known: a name for `meta`, and what that means.
    pub(crate) not_recorded: Vec<(&'static str, &'static str)>,
    /// Parts that were left out as they could not be read, and what they are.
    pub(crate) unreadable: (u64, &'static str),
}

/// Everything but the events.
#[derive(Debug, Default)]
pub(crate) struct RecordingMetadata {
    /// In the order of the file.
    pub(crate) clock_pairs: Vec<ClockPair>,
    /// Every name that a thread was given, in the order of the file.
    pub(crate) thread_names: Vec<(u32, Ticks, String)>,
    /// By their numbers.
    pub(crate) threads: BTreeMap<u32, NamedThread>,
    /// In the order of the file.
    pub(crate) samples: Vec<SampleDef>,
    /// In the order of the file.
    pub(crate) marks: Vec<NamedMark>,
    /// By their numbers.
    pub(crate) scopes: BTreeMap<u32, NamedScope>,
    /// In the order of the file.
    pub(crate) modules: Vec<Module>,
    /// In the order of the file.
    pub(crate) nodes: Vec<Node>,
    /// Distinct return addresses, by first appearance.
    pub(crate) locations: Vec<Location>,
    /// The last ones in the file.
    pub(crate) counters: Option<Counters>,
    /// The steps of aggregation, in the order of the file.
    pub(crate) notes: Vec<Note>,
    /// The last one in the file.
    pub(crate) seal: Option<Seal>,
    /// By the kind's number and name.
    pub(crate) kinds: BTreeMap<(u8, &'static str), BlockTally>,
    /// By stream.
    pub(crate) streams: BTreeMap<u32, BlockTally>,
    /// What could not be read.
    pub(crate) damage: Damage,
    /// Whole blocks that hold something that the format does not allow.
    pub(crate) invalid_blocks: u64,
    /// Where another profiler recorded it.
    pub(crate) import: Option<ImportInfo>,
}

impl RecordingMetadata {
    /// Reads all blocks; `None` if the caller wants to stop.
    pub(crate) fn read<R: Read>(
        blocks: &mut Blocks<R>,
        progress: &mut dyn Progress,
    ) -> io::Result<Option<Self>> {
        let mut builder = MetadataBuilder::default();
        let mut seen = 0_u64;
        while let Some(block) = blocks.next()? {
            if builder.see(&block).is_err() {
                builder.metadata.invalid_blocks += 1;
            }
            seen += 1;
            if seen.is_multiple_of(BLOCKS_BETWEEN_CHECKS) && progress.should_stop() {
                return Ok(None);
            }
        }
        let mut metadata = builder.metadata;
        metadata.modules = builder.modules.into_list();
        metadata.damage = blocks.damage();
        Ok(Some(metadata))
    }

    /// Columns that can't be filled.
    pub(crate) fn missing_columns(&self) -> MissingColumns {
        self.import.as_ref().map(|import| import.missing_columns).unwrap_or_default()
    }

    /// The last moment that the file names outside its events.
    pub(crate) fn last_ticks(&self) -> u64 {
        let pairs = self.clock_pairs.iter().map(|pair| pair.ticks.0);
        let context = self.samples.iter().map(|sample| sample.at.0);
        let context = context.chain(self.marks.iter().map(|mark| mark.at.0));
        pairs.chain(context).chain(self.seal.map(|seal| seal.at.0)).max().unwrap_or(0)
    }
}

#[derive(Default)]
struct MetadataBuilder {
    metadata: RecordingMetadata,
    modules: Modules,
    known: HashMap<Location, LocationId>,
}

impl MetadataBuilder {
    fn see(&mut self, block: &Block<'_>) -> Result<(), FormatError> {
        let payload = block.payload;
        let kind = self.metadata.kinds.entry(name(block.kind)).or_default();
        kind.blocks += 1;
        kind.bytes += payload.len() as u64;
        match block.kind {
            BlockKind::Modules => self.see_modules(payload),
            BlockKind::Threads => self.see_threads(payload),
            BlockKind::Nodes => self.see_nodes(payload),
            BlockKind::Events => self.see_events(payload),
            BlockKind::Clock => {
                self.metadata.clock_pairs.push(ClockPair::read(payload)?);
                Ok(())
            }
            BlockKind::Counters => {
                self.metadata.counters = Some(Counters::read(payload)?);
                Ok(())
            }
            BlockKind::Aggregated => {
                let mut records = AggregatedRecords::new(payload)?;
                while records.take()?.is_some() {}
                Ok(())
            }
            BlockKind::Note => {
                self.metadata.notes.push(Note::read(payload)?);
                Ok(())
            }
            BlockKind::Seal => {
                self.metadata.seal = Some(Seal::read(payload)?);
                Ok(())
            }
            BlockKind::Samples => self.see_samples(payload),
            BlockKind::Marks => self.see_marks(payload),
            BlockKind::Scopes => self.see_scopes(payload),
            _ => Ok(()),
        }
    }

    fn see_samples(&mut self, payload: &[u8]) -> Result<(), FormatError> {
        let mut input = ByteReader::new(payload, "a block of samples");
        while let Some(sample) = SampleDef::read(&mut input)? {
            self.metadata.samples.push(sample);
        }
        Ok(())
    }

    fn see_marks(&mut self, payload: &[u8]) -> Result<(), FormatError> {
        let mut input = ByteReader::new(payload, "a block of marks");
        while let Some(mark) = MarkDef::read(&mut input)? {
            let name = sanitize::text(&String::from_utf8_lossy(mark.name));
            let (at, thread, value) = (mark.at, mark.thread.0, mark.value);
            self.metadata.marks.push(NamedMark { at, thread, name, value });
        }
        Ok(())
    }

    fn see_scopes(&mut self, payload: &[u8]) -> Result<(), FormatError> {
        let mut input = ByteReader::new(payload, "a block of scopes");
        while let Some(scope) = ScopeDef::read(&mut input)? {
            let name = sanitize::text(&String::from_utf8_lossy(scope.name));
            self.metadata.scopes.insert(scope.id.0, NamedScope { parent: scope.parent, name });
        }
        Ok(())
    }

    fn see_modules(&mut self, payload: &[u8]) -> Result<(), FormatError> {
        let mut input = ByteReader::new(payload, "a block of modules");
        while let Some(module) = ModuleDef::read(&mut input)? {
            self.modules.see(&module);
        }
        Ok(())
    }

    fn see_threads(&mut self, payload: &[u8]) -> Result<(), FormatError> {
        let mut input = ByteReader::new(payload, "a block of threads");
        while let Some(thread) = ThreadDef::read(&mut input)? {
            let named = NamedThread {
                os_id: thread.os_id,
                name: sanitize::text(&String::from_utf8_lossy(thread.name)),
            };
            let known = self.metadata.threads.get(&thread.id.0);
            if known.is_none_or(|known| known.name != named.name) {
                let name = named.name.clone();
                self.metadata.thread_names.push((thread.id.0, thread.at, name));
            }
            self.metadata.threads.insert(thread.id.0, named);
        }
        Ok(())
    }

    fn see_nodes(&mut self, payload: &[u8]) -> Result<(), FormatError> {
        for node in NodeDefs::new(payload)? {
            let (id, parent, address) = node?;
            let location = self.location(address.0);
            let locations = &mut self.metadata.locations;
            let location = *self.known.entry(location).or_insert_with(|| {
                locations.push(location);
                LocationId(locations.len() as u32 - 1)
            });
            self.metadata.nodes.push(Node { id, parent, location });
        }
        Ok(())
    }

    /// A node's address names its module itself where code may be unloaded and replaced.
    fn location(&self, tagged: u64) -> Location {
        let address = tagged & ((1 << MODULE_TAG_SHIFT) - 1);
        let module = match (tagged >> MODULE_TAG_SHIFT) as u32 {
            0 => self.modules.holding(Address(address)),
            tag => self.modules.numbered(ModuleId(tag - 1)),
        };
        Location { module, address }
    }

    fn see_events(&mut self, payload: &[u8]) -> Result<(), FormatError> {
        let (head, events) = EventsHead::read(payload)?;
        let stream = self.metadata.streams.entry(head.stream.0).or_default();
        stream.blocks += 1;
        stream.bytes += events.len() as u64;
        let gap = head.offset.saturating_sub(stream.expected);
        stream.missing = stream.missing.saturating_add(gap);
        let end = head.offset.saturating_add(events.len() as u64);
        stream.expected = stream.expected.max(end);
        Ok(())
    }
}

fn name(kind: BlockKind) -> (u8, &'static str) {
    match kind {
        BlockKind::Modules => (1, "modules"),
        BlockKind::Threads => (2, "threads"),
        BlockKind::Nodes => (3, "stack nodes"),
        BlockKind::Events => (4, "events"),
        BlockKind::Clock => (5, "clock pairs"),
        BlockKind::Counters => (6, "counters"),
        BlockKind::Seal => (7, "seal"),
        BlockKind::Aggregated => (8, "aggregated sums"),
        BlockKind::Note => (9, "notes"),
        BlockKind::Samples => (10, "memory_readings"),
        BlockKind::Marks => (11, "marks"),
        BlockKind::Scopes => (12, "scopes"),
        _ => (u8::MAX, "unknown"),
    }
}
