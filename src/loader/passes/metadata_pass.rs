//! The first pass over a recording: reads everything except the events, which it only counts in
//! bytes, into a [`RecordingMetadata`].
//!
//! The second pass needs the clock and the stacks before the first event, and the recorder writes
//! their definitions throughout the file. This pass reads at the speed of the page cache.
//!
//! Invariant: a stack node belongs to the module that contained its address when the node was
//! defined. A library that is loaded later at the same address does not change it.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};

use rusqlite::types::Value;

use crate::loader::api::progress::Progress;
use crate::loader::api::summary::Ending;
use crate::loader::model::{LocationId, MissingColumns};
use crate::loader::read::modules::{Module, Modules};
use crate::loader::read::reader::{Blocks, Damage};
use crate::loader::sanitize;
use crate::recording::{
    Address, AggregatedRecords, AggregationStep, Block, BlockKind, ByteReader, ClockPair, Counters,
    EventsHead, FormatError, MarkDef, MemoryReadingDef, ModuleDef, ModuleId, NodeDefs, NodeId,
    ScopeDef, ScopeId, Seal, ThreadDef, Ticks,
};

/// Blocks between two calls of [`Progress::should_stop`].
const BLOCKS_BETWEEN_CHECKS: u64 = 64;

/// The bits of a node's address from this one on are 0, or 1 + the id of its module. User-space
/// addresses have 47 bits.
const MODULE_TAG_SHIFT: u32 = 48;

/// A stack node as the file defines it, with its module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// Id in the file.
    pub(crate) id: NodeId,
    /// The caller's node.
    pub(crate) parent: NodeId,
    /// The return address.
    pub(crate) location: LocationId,
}

/// A return address and its module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Location {
    /// Index into [`RecordingMetadata::modules`].
    pub(crate) module: Option<u32>,
    /// The return address in the process.
    pub(crate) address: u64,
}

/// The last definition of a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedThread {
    /// The operating system's id.
    pub(crate) os_id: u64,
    /// Its last name, sanitized.
    pub(crate) name: String,
}

/// A mark that the program set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedMark {
    /// Timestamp in clock ticks.
    pub(crate) at: Ticks,
    /// The thread that set it.
    pub(crate) thread: u32,
    /// Its name, sanitized.
    pub(crate) name: String,
    /// The program's number; 0 if it gave none.
    pub(crate) value: i64,
}

/// The definition of a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedScope {
    /// The enclosing scope.
    pub(crate) parent: ScopeId,
    /// Its name, sanitized.
    pub(crate) name: String,
}

/// Blocks of one kind, or of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BlockTally {
    /// Number of blocks.
    pub(crate) blocks: u64,
    /// Bytes of their payloads.
    pub(crate) bytes: u64,
    /// Bytes that are missing between the blocks; streams only.
    pub(crate) missing: u64,
    /// Offset in the stream of the next block; streams only.
    expected: u64,
}

/// Metadata that only recordings of other profilers have.
#[derive(Debug, Default)]
pub(crate) struct ImportInfo {
    /// Rows of `meta` in place of those that come from our header.
    pub(crate) meta_rows: Vec<(&'static str, Value)>,
    /// How the recording ended.
    pub(crate) ending: Ending,
    /// Columns that stay NULL.
    pub(crate) missing_columns: MissingColumns,
    /// Facts that the format does not hold: the key in `meta`, and a sentence.
    pub(crate) not_recorded: Vec<(&'static str, &'static str)>,
    /// Number of parts that could not be read, and a sentence that says what they are.
    pub(crate) unreadable: (u64, &'static str),
}

/// A recording without its events. Lists are in the order of the file.
#[derive(Debug, Default)]
pub(crate) struct RecordingMetadata {
    /// Pairs of recorder clock and wall clock.
    pub(crate) clock_pairs: Vec<ClockPair>,
    /// Thread, time and name: each change of a thread's name.
    pub(crate) thread_names: Vec<(u32, Ticks, String)>,
    /// By thread id.
    pub(crate) threads: BTreeMap<u32, NamedThread>,
    /// Readings of resident memory.
    pub(crate) memory_readings: Vec<MemoryReadingDef>,
    /// Marks that the program set.
    pub(crate) marks: Vec<NamedMark>,
    /// By scope id.
    pub(crate) scopes: BTreeMap<u32, NamedScope>,
    /// The executable and shared libraries.
    pub(crate) modules: Vec<Module>,
    /// Stack nodes.
    pub(crate) nodes: Vec<Node>,
    /// Distinct return addresses; [`LocationId`] is an index.
    pub(crate) locations: Vec<Location>,
    /// The recorder's last counters.
    pub(crate) counters: Option<Counters>,
    /// Changes of the lifetime below which blocks are aggregated.
    pub(crate) aggregation_steps: Vec<AggregationStep>,
    /// The seal, which the recorder writes last; `None`: the recording was cut off.
    pub(crate) seal: Option<Seal>,
    /// By the number and name of the kind.
    pub(crate) block_kinds: BTreeMap<(u8, &'static str), BlockTally>,
    /// By stream id.
    pub(crate) streams: BTreeMap<u32, BlockTally>,
    /// Bytes that are not part of any valid block.
    pub(crate) damage: Damage,
    /// Blocks with a valid checksum whose payload violates the format.
    pub(crate) invalid_blocks: u64,
    /// Set if another profiler made the recording.
    pub(crate) import: Option<ImportInfo>,
}

impl RecordingMetadata {
    /// Reads all blocks; `None` if the caller asked to stop.
    pub(crate) fn read<R: Read>(
        blocks: &mut Blocks<R>,
        progress: &mut dyn Progress,
    ) -> io::Result<Option<Self>> {
        let mut builder = MetadataBuilder::default();
        let mut blocks_read = 0_u64;
        while let Some(block) = blocks.next()? {
            if builder.add_block(&block).is_err() {
                builder.metadata.invalid_blocks += 1;
            }
            blocks_read += 1;
            if blocks_read.is_multiple_of(BLOCKS_BETWEEN_CHECKS) && progress.should_stop() {
                return Ok(None);
            }
        }
        let mut metadata = builder.metadata;
        metadata.modules = builder.modules.into_list();
        metadata.damage = blocks.damage();
        Ok(Some(metadata))
    }

    /// Columns that stay NULL.
    pub(crate) fn missing_columns(&self) -> MissingColumns {
        self.import.as_ref().map(|import| import.missing_columns).unwrap_or_default()
    }

    /// The latest timestamp outside the events: an estimate of the recording's length.
    pub(crate) fn last_ticks(&self) -> u64 {
        let pairs = self.clock_pairs.iter().map(|pair| pair.ticks.0);
        let annotations = self.memory_readings.iter().map(|sample| sample.at.0);
        let annotations = annotations.chain(self.marks.iter().map(|mark| mark.at.0));
        pairs.chain(annotations).chain(self.seal.map(|seal| seal.at.0)).max().unwrap_or(0)
    }
}

#[derive(Default)]
struct MetadataBuilder {
    metadata: RecordingMetadata,
    modules: Modules,
    location_ids: HashMap<Location, LocationId>,
}

impl MetadataBuilder {
    fn add_block(&mut self, block: &Block<'_>) -> Result<(), FormatError> {
        let payload = block.payload;
        let kind = self.metadata.block_kinds.entry(kind_name(block.kind)).or_default();
        kind.blocks += 1;
        kind.bytes += payload.len() as u64;
        match block.kind {
            BlockKind::Modules => self.add_modules(payload),
            BlockKind::Threads => self.add_threads(payload),
            BlockKind::Nodes => self.add_nodes(payload),
            BlockKind::Events => self.add_events(payload),
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
            BlockKind::AggregationStep => {
                self.metadata.aggregation_steps.push(AggregationStep::read(payload)?);
                Ok(())
            }
            BlockKind::Seal => {
                self.metadata.seal = Some(Seal::read(payload)?);
                Ok(())
            }
            BlockKind::MemoryReadings => self.add_memory_readings(payload),
            BlockKind::Marks => self.add_marks(payload),
            BlockKind::Scopes => self.add_scopes(payload),
            _ => Ok(()),
        }
    }

    fn add_memory_readings(&mut self, payload: &[u8]) -> Result<(), FormatError> {
        let mut input = ByteReader::new(payload, "a block of samples");
        while let Some(sample) = MemoryReadingDef::read(&mut input)? {
            self.metadata.memory_readings.push(sample);
        }
        Ok(())
    }

    fn add_marks(&mut self, payload: &[u8]) -> Result<(), FormatError> {
        let mut input = ByteReader::new(payload, "a block of marks");
        while let Some(mark) = MarkDef::read(&mut input)? {
            let name = sanitize::text(&String::from_utf8_lossy(mark.name));
            let (at, thread, value) = (mark.at, mark.thread.0, mark.value);
            self.metadata.marks.push(NamedMark { at, thread, name, value });
        }
        Ok(())
    }

    fn add_scopes(&mut self, payload: &[u8]) -> Result<(), FormatError> {
        let mut input = ByteReader::new(payload, "a block of scopes");
        while let Some(scope) = ScopeDef::read(&mut input)? {
            let name = sanitize::text(&String::from_utf8_lossy(scope.name));
            self.metadata.scopes.insert(scope.id.0, NamedScope { parent: scope.parent, name });
        }
        Ok(())
    }

    fn add_modules(&mut self, payload: &[u8]) -> Result<(), FormatError> {
        let mut input = ByteReader::new(payload, "a block of modules");
        while let Some(module) = ModuleDef::read(&mut input)? {
            self.modules.apply(&module);
        }
        Ok(())
    }

    fn add_threads(&mut self, payload: &[u8]) -> Result<(), FormatError> {
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

    fn add_nodes(&mut self, payload: &[u8]) -> Result<(), FormatError> {
        for node in NodeDefs::new(payload)? {
            let (id, parent, address) = node?;
            let location = self.location(address.0);
            let locations = &mut self.metadata.locations;
            let location = *self.location_ids.entry(location).or_insert_with(|| {
                locations.push(location);
                LocationId(locations.len() as u32 - 1)
            });
            self.metadata.nodes.push(Node { id, parent, location });
        }
        Ok(())
    }

    /// The location of a node's address. The recorder tags addresses in modules that can be
    /// unloaded; for the others, the loaded module that contains the address is the right one.
    fn location(&self, tagged: u64) -> Location {
        let address = tagged & ((1 << MODULE_TAG_SHIFT) - 1);
        let module = match (tagged >> MODULE_TAG_SHIFT) as u32 {
            0 => self.modules.containing(Address(address)),
            tag => self.modules.by_id(ModuleId(tag - 1)),
        };
        Location { module, address }
    }

    fn add_events(&mut self, payload: &[u8]) -> Result<(), FormatError> {
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

/// Number and name of a block kind, as `rheaper info` prints them.
fn kind_name(kind: BlockKind) -> (u8, &'static str) {
    match kind {
        BlockKind::Modules => (1, "modules"),
        BlockKind::Threads => (2, "threads"),
        BlockKind::Nodes => (3, "stack nodes"),
        BlockKind::Events => (4, "events"),
        BlockKind::Clock => (5, "clock pairs"),
        BlockKind::Counters => (6, "counters"),
        BlockKind::Seal => (7, "seal"),
        BlockKind::Aggregated => (8, "aggregated sums"),
        BlockKind::AggregationStep => (9, "notes"),
        BlockKind::MemoryReadings => (10, "memory_readings"),
        BlockKind::Marks => (11, "marks"),
        BlockKind::Scopes => (12, "scopes"),
        _ => (u8::MAX, "unknown"),
    }
}
