//! The metadata pass over a heaptrack recording: modules, stacks, memory readings, and the names in
//! an interpreted file.

use std::collections::HashMap;
use std::io;

use rusqlite::types::Value;

use crate::loader::api::progress::Progress;
use crate::loader::api::summary::Ending;
use crate::loader::import::heaptrack::line::{BadLine, Line, Numbers};
use crate::loader::import::heaptrack::{Lines, NS_PER_MS, Nodes};
use crate::loader::import::input::Input;
use crate::loader::model::{LocationId, MissingColumns};
use crate::loader::passes::metadata_pass::{ImportInfo, Location, Node, RecordingMetadata};
use crate::loader::read::modules::{Module, Modules};
use crate::loader::sanitize;
use crate::loader::source::SourceMetadata;
use crate::loader::symbols::{Call, RecordedFrame, Symbols};
use crate::loader::write::row_writer::integer;
use crate::recording::{
    Address, Bytes, ClockPair, MemoryReadingDef, ModuleDef, ModuleId, ModuleStatus, Ticks,
};

/// Lines between two calls of [`Progress::should_stop`].
const LINES_BETWEEN_CHECKS: u64 = 1 << 16;

const SAMPLES_EVERY_NS: u64 = 1_000_000_000;

/// heaptrack's maximum stack depth.
const DEPTH_MAX: i64 = 64;

/// Runs the metadata pass; `None` if the caller asked to stop.
pub(crate) fn read_metadata(
    input: &mut Input,
    progress: &mut dyn Progress,
) -> io::Result<Option<SourceMetadata>> {
    let mut lines = Lines::new(input);
    let mut builder = MetadataBuilder::default();
    let mut lines_read = 0_u64;
    loop {
        let letter = match lines.next()? {
            None => break,
            Some(line) => match line.and_then(|line| builder.add(&line)) {
                Ok(()) => b'#',
                Err(BadLine) => lines.letter(),
            },
        };
        builder.add_placeholder(letter);
        lines_read += 1;
        if lines_read.is_multiple_of(LINES_BETWEEN_CHECKS) && progress.should_stop() {
            return Ok(None);
        }
    }
    let (bad, version) = (lines.bad, lines.version);
    let is_torn = lines.input.is_torn();
    Ok(Some(builder.finish(version, bad, is_torn)))
}

/// The modules of a raw file: heaptrack lists all of them again whenever one is loaded or unloaded.
#[derive(Default)]
struct Loaded {
    modules: Modules,
    /// Module ids by path and base.
    ids: HashMap<(Vec<u8>, u64), u32>,
    /// Modules of the previous list that the current one has not named so far.
    missing: Vec<u32>,
    /// Modules that the current list has named.
    listed: Vec<u32>,
}

impl Loaded {
    fn begin_list(&mut self) {
        self.end_list(Ticks(0));
        self.missing = std::mem::take(&mut self.listed);
    }

    /// Modules that the list has not named were unloaded.
    fn end_list(&mut self, at: Ticks) {
        for id in std::mem::take(&mut self.missing) {
            self.modules.apply(&definition(ModuleStatus::Unloaded, id, at));
        }
    }

    fn add(
        &mut self,
        path: &[u8],
        base: u64,
        range: (u64, u64),
        executable: Option<&[u8]>,
        at: Ticks,
    ) {
        let next = self.ids.len() as u32;
        let id = *self.ids.entry((path.to_vec(), base)).or_insert(next);
        self.missing.retain(|missing| *missing != id);
        self.listed.push(id);
        self.modules.apply(&ModuleDef {
            bias: base,
            start: Address(range.0),
            end: Address(range.1),
            main: executable.is_some(),
            path: executable.unwrap_or(path),
            ..definition(ModuleStatus::Loaded, id, at)
        });
    }
}

fn definition(status: ModuleStatus, id: u32, at: Ticks) -> ModuleDef<'static> {
    ModuleDef {
        status,
        id: ModuleId(id),
        at,
        bias: 0,
        start: Address(0),
        end: Address(0),
        main: false,
        build_id: &[],
        path: &[],
    }
}

/// Thins out the readings of resident memory, which heaptrack takes every 10 ms: keeps about one per
/// second, each new maximum, and the last one.
#[derive(Default)]
struct Resident {
    kept: Option<(Ticks, u64)>,
    max: u64,
    last: Option<(Ticks, u64)>,
}

impl Resident {
    fn add(&mut self, at: Ticks, bytes: u64, samples: &mut Vec<MemoryReadingDef>) {
        let is_due = self.kept.is_none_or(|(kept, _)| at.0 - kept.0 >= SAMPLES_EVERY_NS);
        // At least 1 % more: slow growth needs no reading every 10 ms.
        let is_higher = bytes > self.max.saturating_add(self.max / 100);
        self.last = Some((at, bytes));
        if is_due || is_higher {
            self.keep(samples);
        }
    }

    fn keep(&mut self, samples: &mut Vec<MemoryReadingDef>) {
        let Some((at, bytes)) = self.last.filter(|last| Some(*last) != self.kept) else { return };
        self.kept = self.last;
        self.max = self.max.max(bytes);
        samples.push(MemoryReadingDef {
            at,
            rss: Some(Bytes(bytes)),
            cgroup: None,
            cgroup_limit: None,
        });
    }
}

#[derive(Default)]
struct MetadataBuilder {
    metadata: RecordingMetadata,
    nodes: Nodes,
    texts: Vec<String>,
    /// Interpreted files only: frames by location.
    frames: Vec<Vec<RecordedFrame>>,
    /// Interpreted files only: modules by the index of their text.
    named_modules: HashMap<u64, u32>,
    /// Raw files only.
    loaded: Loaded,
    location_ids: HashMap<Location, LocationId>,
    executable: Option<Vec<u8>>,
    is_raw: bool,
    has_infos: bool,
    program: u64,
    command: String,
    is_attached: bool,
    page_bytes: u64,
    resident: Resident,
    now: Ticks,
}

impl MetadataBuilder {
    fn add(&mut self, line: &Line<'_>) -> Result<(), BadLine> {
        if !matches!(line, Line::Module { .. }) {
            self.loaded.end_list(self.now);
        }
        match *line {
            Line::Version { program, .. } => self.program = program,
            Line::Executable(path) => {
                self.is_raw = true;
                self.executable = Some(path.to_vec());
            }
            Line::Command(command) => {
                self.command = sanitize::text(&String::from_utf8_lossy(command));
            }
            Line::System { page_bytes } => self.page_bytes = page_bytes,
            Line::NoModules => {
                self.is_raw = true;
                self.loaded.begin_list();
            }
            Line::Module { path, base, segments } => self.add_module(path, base, segments)?,
            Line::Text(text) => self.texts.push(verbatim(text)),
            Line::Ip { address, module, frames } => self.add_ip(address, module, frames)?,
            Line::Stack { ip, parent } => self.add_stack(ip, parent),
            Line::Info { .. } => self.has_infos = true,
            Line::Time { ms } => {
                self.now = self.now.max(Ticks(ms.saturating_mul(NS_PER_MS)));
            }
            Line::Resident { pages } => {
                let bytes = self.page_bytes.saturating_mul(pages);
                self.resident.add(self.now, bytes, &mut self.metadata.memory_readings);
            }
            Line::Attached => self.is_attached = true,
            Line::Alloc { .. } | Line::AllocAt { .. } | Line::Free(_) | Line::Other => {}
        }
        Ok(())
    }

    /// Adds an empty definition in place of a damaged one, so that those after it keep their number.
    fn add_placeholder(&mut self, letter: u8) {
        match letter {
            b's' => self.texts.push(String::new()),
            b'i' => self.add_location(Location { module: None, address: 0 }, Vec::new()),
            b't' => drop(self.nodes.define(0)),
            _ => {}
        }
    }

    fn add_module(
        &mut self,
        path: &[u8],
        base: u64,
        mut segments: Numbers<'_>,
    ) -> Result<(), BadLine> {
        self.is_raw = true;
        let (mut start, mut end) = (u64::MAX, 0);
        while let Some(address) = segments.take()? {
            let bytes = segments.take()?.ok_or(BadLine)?;
            let from = base.wrapping_add(address);
            start = start.min(from);
            end = end.max(from.saturating_add(bytes));
        }
        let executable = self.executable.clone().filter(|_| path == b"x");
        let range = (start.min(end), end);
        self.loaded.add(path, base, range, executable.as_deref(), self.now);
        Ok(())
    }

    /// Adds an address with its names. It is the call's: heaptrack subtracts one from the return
    /// address.
    fn add_ip(&mut self, address: u64, module: u64, mut given: Numbers<'_>) -> Result<(), BadLine> {
        let mut frames = Vec::new();
        while let Some(function) = given.take()? {
            let file = given.take()?.unwrap_or(0);
            let line = given.take()?.and_then(|line| u32::try_from(line).ok());
            frames.push(RecordedFrame {
                function: self.text(function),
                file: self.text(file),
                line: line.filter(|line| *line > 0),
            });
        }
        let module = self.named_module(module);
        let address = address.saturating_add(1);
        self.add_location(Location { module, address }, frames);
        Ok(())
    }

    fn add_location(&mut self, location: Location, frames: Vec<RecordedFrame>) {
        self.metadata.locations.push(location);
        self.frames.push(frames);
    }

    fn text(&self, number: u64) -> Option<String> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        self.texts.get(index).filter(|text| !text.is_empty()).cloned()
    }

    fn named_module(&mut self, number: u64) -> Option<u32> {
        if let Some(known) = self.named_modules.get(&number) {
            return Some(*known);
        }
        let path = self.text(number)?;
        let index = self.metadata.modules.len() as u32;
        self.metadata.modules.push(Module {
            id: ModuleId(index),
            path: path.clone().into_bytes(),
            shown: sanitize::text(&path),
            build_id: Vec::new(),
            // heaptrack lists the executable first, so its path is the first text.
            main: number == 1,
            start: 0,
            end: 0,
            bias: 0,
            loaded: Ticks(0),
            unloaded: None,
        });
        self.named_modules.insert(number, index);
        Some(index)
    }

    fn add_stack(&mut self, ip: u64, parent: u64) {
        let parent = self.nodes.get(parent);
        let Some(id) = self.nodes.define(ip) else { return };
        let location = if self.is_raw {
            self.raw_location(ip)
        } else {
            // An undefined address gets a placeholder without a name.
            let index = u32::try_from(ip - 1).unwrap_or(u32::MAX);
            if (index as usize) < self.metadata.locations.len() {
                LocationId(index)
            } else {
                self.add_placeholder(b'i');
                LocationId(self.metadata.locations.len() as u32 - 1)
            }
        };
        self.metadata.nodes.push(Node { id, parent, location });
    }

    fn raw_location(&mut self, ip: u64) -> LocationId {
        let address = ip.saturating_add(1);
        let module = self.loaded.modules.containing(Address(address));
        let location = Location { module, address };
        let locations = &mut self.metadata.locations;
        *self.location_ids.entry(location).or_insert_with(|| {
            locations.push(location);
            LocationId(locations.len() as u32 - 1)
        })
    }

    fn finish(mut self, version: u64, bad: u64, is_torn: bool) -> SourceMetadata {
        let is_interpreted = version >= 1 && self.has_infos;
        let ending = if is_torn { Ending::CutOff } else { Ending::Sealed };
        let missing_columns = MissingColumns { threads: true, addresses: is_interpreted };
        let unreadable = (bad, "Lines that were left out, as they are damaged.");
        let meta_rows = self.meta_rows(version);
        self.resident.keep(&mut self.metadata.memory_readings);
        let Self { mut metadata, frames, loaded, is_raw, now, .. } = self;
        // A recording without a time has the shortest duration.
        let end = now.max(Ticks(NS_PER_MS));
        metadata.clock_pairs.push(ClockPair { ticks: end, monotonic_ns: end.0, unix_ns: 0 });
        metadata.import = Some(ImportInfo {
            meta_rows,
            ending,
            missing_columns,
            not_recorded: not_recorded(missing_columns),
            unreadable,
        });
        if is_raw {
            metadata.modules = loaded.modules.into_list();
            return SourceMetadata { metadata, symbols: None };
        }
        let calls: Vec<_> = metadata
            .locations
            .iter()
            .map(|at| Call::before(at.address, at.module, &metadata.modules))
            .collect();
        let symbols = Symbols::recorded(&calls, frames, &metadata.modules);
        SourceMetadata { metadata, symbols: Some(symbols) }
    }

    fn meta_rows(&self, version: u64) -> Vec<(&'static str, Value)> {
        let [major, minor, patch] = [16, 8, 0].map(|shift| self.program >> shift & 0xff);
        let mut meta_rows = vec![
            ("imported_from", Value::Text(format!("heaptrack {major}.{minor}.{patch}"))),
            ("format_version", Value::Integer(integer(version))),
            ("command", Value::Text(self.command.clone())),
            ("clock", Value::Text(String::from("marks"))),
            ("max_stack_depth", Value::Integer(DEPTH_MAX)),
        ];
        if self.is_attached {
            meta_rows.push(("attached", Value::Integer(1)));
        }
        meta_rows
    }
}

/// The text unchanged, because names are read before they are truncated. Bytes that are not UTF-8 are
/// escaped, so that two texts stay two.
fn verbatim(text: &[u8]) -> String {
    match std::str::from_utf8(text) {
        Ok(text) => text.to_owned(),
        Err(_) => text.escape_ascii().to_string(),
    }
}

/// Facts that a heaptrack recording does not hold.
fn not_recorded(missing_columns: MissingColumns) -> Vec<(&'static str, &'static str)> {
    let mut not_recorded = vec![
        (
            "not_recorded_times",
            "heaptrack notes the time about every 10 ms: events have the time noted before them",
        ),
        (
            "not_recorded_threads",
            "heaptrack does not record threads: their columns are NULL, and temporary blocks are \
             counted as if one thread had done everything",
        ),
        ("not_recorded_reallocs", "heaptrack records a realloc as a free and a new block"),
    ];
    if missing_columns.addresses {
        not_recorded.push((
            "not_recorded_addresses",
            "heaptrack leaves addresses out of a file that it has interpreted: `addr` is NULL, \
             and a free is taken for that of the youngest block with the same backtrace and size, \
             so that single lifetimes are a guess (`heaptrack --raw` keeps addresses)",
        ));
    }
    not_recorded
}
