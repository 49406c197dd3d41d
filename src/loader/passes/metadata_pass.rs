//! The first pass over a recording: everything except its events.
//!
//! Reads: all blocks. Writes: a [`Survey`]: modules, threads, clock pairs, stack nodes, the
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

use crate::loader::progress::Progress;
use crate::loader::read::modules::{Module, Modules};
use crate::loader::read::reader::{Blocks, Damage};
use crate::loader::rows::{LocationId, MissingColumns};
use crate::loader::sanitize;
use crate::loader::summary::Ending;
use crate::recording::{
    Address, AggregatedRecords, AggregationStep, Block, BlockKind, ByteReader, ClockPair, Counters,
    EventsHead, FormatError, MarkDef, MemoryReadingDef, ModuleDef, ModuleId, NodeDefs, NodeId,
    ScopeDef, ScopeId, Seal, ThreadDef, Ticks,
};

/// How many blocks pass between two looks at the caller's wish to stop.
const BLOCKS_BETWEEN_LOOKS: u64 = 64;

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
    /// What, cleaned.
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
pub(crate) struct Tally {
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
pub(crate) struct Foreign {
    /// Rows of `meta` instead of those of a header.
    pub(crate) facts: Vec<(&'static str, Value)>,
    /// How it ended.
    pub(crate) ending: Ending,
    /// Columns that can't be filled.
    pub(crate) lacks: MissingColumns,
    /// What can't be known: a name for `meta`, and what that means.
    pub(crate) gaps: Vec<(&'static str, &'static str)>,
    /// Parts that were left out as they could not be read, and what they are.
    pub(crate) unreadable: (u64, &'static str),
}

/// Everything but the events.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// In the order of the file.
    pub(crate) clock_pairs: Vec<ClockPair>,
    /// Every name that a thread was given, in the order of the file.
    pub(crate) thread_names: Vec<(u32, Ticks, String)>,
    /// By their numbers.
    pub(crate) threads: BTreeMap<u32, NamedThread>,
    /// In the order of the file.
    pub(crate) samples: Vec<MemoryReadingDef>,
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
    pub(crate) notes: Vec<AggregationStep>,
    /// The last one in the file.
    pub(crate) seal: Option<Seal>,
    /// By the kind's number and name.
    pub(crate) kinds: BTreeMap<(u8, &'static str), Tally>,
    /// By stream.
    pub(crate) streams: BTreeMap<u32, Tally>,
    /// What could not be read.
    pub(crate) damage: Damage,
    /// Whole blocks that hold something that the format does not allow.
    pub(crate) invalid_blocks: u64,
    /// Where another profiler recorded it.
    pub(crate) foreign: Option<Foreign>,
}

impl Survey {
    /// Reads all blocks; `None` if the caller wants to stop.
    pub(crate) fn take<R: Read>(
        blocks: &mut Blocks<R>,
        progress: &mut dyn Progress,
    ) -> io::Result<Option<Self>> {
        let mut surveyor = Surveyor::default();
        let mut seen = 0_u64;
        while let Some(block) = blocks.next()? {
            if surveyor.see(&block).is_err() {
                surveyor.survey.invalid_blocks += 1;
            }
            seen += 1;
            if seen.is_multiple_of(BLOCKS_BETWEEN_LOOKS) && progress.should_stop() {
                return Ok(None);
            }
        }
        let mut survey = surveyor.survey;
        survey.modules = surveyor.modules.into_list();
        survey.damage = blocks.damage();
        Ok(Some(survey))
    }

    /// Columns that can't be filled.
    pub(crate) fn lacks(&self) -> MissingColumns {
        self.foreign.as_ref().map(|foreign| foreign.lacks).unwrap_or_default()
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
struct Surveyor {
    survey: Survey,
    modules: Modules,
    known: HashMap<Location, LocationId>,
}

impl Surveyor {
    fn see(&mut self, block: &Block<'_>) -> Result<(), FormatError> {
        let payload = block.payload;
        let kind = self.survey.kinds.entry(name(block.kind)).or_default();
        kind.blocks += 1;
        kind.bytes += payload.len() as u64;
        match block.kind {
            BlockKind::Modules => self.see_modules(payload),
            BlockKind::Threads => self.see_threads(payload),
            BlockKind::Nodes => self.see_nodes(payload),
            BlockKind::Events => self.see_events(payload),
            BlockKind::Clock => {
                self.survey.clock_pairs.push(ClockPair::read(payload)?);
                Ok(())
            }
            BlockKind::Counters => {
                self.survey.counters = Some(Counters::read(payload)?);
                Ok(())
            }
            BlockKind::Aggregated => {
                let mut records = AggregatedRecords::new(payload)?;
                while records.take()?.is_some() {}
                Ok(())
            }
            BlockKind::AggregationStep => {
                self.survey.notes.push(AggregationStep::read(payload)?);
                Ok(())
            }
            BlockKind::Seal => {
                self.survey.seal = Some(Seal::read(payload)?);
                Ok(())
            }
            BlockKind::MemoryReadings => self.see_samples(payload),
            BlockKind::Marks => self.see_marks(payload),
            BlockKind::Scopes => self.see_scopes(payload),
            _ => Ok(()),
        }
    }

    fn see_samples(&mut self, payload: &[u8]) -> Result<(), FormatError> {
        let mut input = ByteReader::new(payload, "a block of samples");
        while let Some(sample) = MemoryReadingDef::read(&mut input)? {
            self.survey.samples.push(sample);
        }
        Ok(())
    }

    fn see_marks(&mut self, payload: &[u8]) -> Result<(), FormatError> {
        let mut input = ByteReader::new(payload, "a block of marks");
        while let Some(mark) = MarkDef::read(&mut input)? {
            let name = sanitize::text(&String::from_utf8_lossy(mark.name));
            let (at, thread, value) = (mark.at, mark.thread.0, mark.value);
            self.survey.marks.push(NamedMark { at, thread, name, value });
        }
        Ok(())
    }

    fn see_scopes(&mut self, payload: &[u8]) -> Result<(), FormatError> {
        let mut input = ByteReader::new(payload, "a block of scopes");
        while let Some(scope) = ScopeDef::read(&mut input)? {
            let name = sanitize::text(&String::from_utf8_lossy(scope.name));
            self.survey.scopes.insert(scope.id.0, NamedScope { parent: scope.parent, name });
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
            let known = self.survey.threads.get(&thread.id.0);
            if known.is_none_or(|known| known.name != named.name) {
                let name = named.name.clone();
                self.survey.thread_names.push((thread.id.0, thread.at, name));
            }
            self.survey.threads.insert(thread.id.0, named);
        }
        Ok(())
    }

    fn see_nodes(&mut self, payload: &[u8]) -> Result<(), FormatError> {
        for node in NodeDefs::new(payload)? {
            let (id, parent, address) = node?;
            let location = self.location(address.0);
            let locations = &mut self.survey.locations;
            let location = *self.known.entry(location).or_insert_with(|| {
                locations.push(location);
                LocationId(locations.len() as u32 - 1)
            });
            self.survey.nodes.push(Node { id, parent, location });
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
        let stream = self.survey.streams.entry(head.stream.0).or_default();
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
        BlockKind::AggregationStep => (9, "notes"),
        BlockKind::MemoryReadings => (10, "memory_readings"),
        BlockKind::Marks => (11, "marks"),
        BlockKind::Scopes => (12, "scopes"),
        _ => (u8::MAX, "unknown"),
    }
}
