//! The first pass over a heaptrack recording: everything except its blocks.
//!
//! Reads: lines. Writes: a survey, and the names that an interpreted file has.

use std::collections::HashMap;
use std::io;

use rusqlite::types::Value;

use crate::loader::import::heaptrack::line::{BadLine, Line, Numbers};
use crate::loader::import::heaptrack::{Lines, NS_A_MS, Nodes};
use crate::loader::import::input::Input;
use crate::loader::passes::metadata_pass::{Foreign, Location, Node, Survey};
use crate::loader::progress::Progress;
use crate::loader::read::modules::{Module, Modules};
use crate::loader::rows::{LocationId, MissingColumns};
use crate::loader::sanitize;
use crate::loader::source::Surveyed;
use crate::loader::summary::Ending;
use crate::loader::symbols::{Call, GivenFrame, Symbols};
use crate::loader::write::row_writer::integer;
use crate::recording::{
    Address, Bytes, ClockPair, ModuleDef, ModuleId, ModuleStatus, SampleDef, Ticks,
};

/// How many lines pass between two looks at the caller's wish to stop.
const LINES_BETWEEN_LOOKS: u64 = 1 << 16;

const SAMPLES_EVERY_NS: u64 = 1_000_000_000;

/// heaptrack walks no deeper.
const DEPTH_MAX: i64 = 64;

/// The first pass; `None` if the caller wants to stop.
pub(crate) fn survey(
    input: &mut Input,
    progress: &mut dyn Progress,
) -> io::Result<Option<Surveyed>> {
    let mut lines = Lines::new(input);
    let mut surveyor = Surveyor::default();
    let mut seen = 0_u64;
    loop {
        let letter = match lines.next()? {
            None => break,
            Some(line) => match line.and_then(|line| surveyor.see(&line)) {
                Ok(()) => b'#',
                Err(BadLine) => lines.letter(),
            },
        };
        surveyor.make_up(letter);
        seen += 1;
        if seen.is_multiple_of(LINES_BETWEEN_LOOKS) && progress.should_stop() {
            return Ok(None);
        }
    }
    let (bad, version) = (lines.bad, lines.version);
    let is_torn = lines.input.is_torn();
    Ok(Some(surveyor.finish(version, bad, is_torn)))
}

/// Modules of a raw file: heaptrack lists all of them again whenever one comes or goes.
#[derive(Default)]
struct Loaded {
    modules: Modules,
    /// By path and base: its number.
    numbers: HashMap<(Vec<u8>, u64), u32>,
    /// Numbers of the list before that the running one has not named yet.
    missing: Vec<u32>,
    /// Those that it has.
    listed: Vec<u32>,
}

impl Loaded {
    fn begin_list(&mut self) {
        self.end_list(Ticks(0));
        self.missing = std::mem::take(&mut self.listed);
    }

    /// What the list has not named is gone.
    fn end_list(&mut self, at: Ticks) {
        for id in std::mem::take(&mut self.missing) {
            self.modules.see(&definition(ModuleStatus::Unloaded, id, at));
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
        let next = self.numbers.len() as u32;
        let id = *self.numbers.entry((path.to_vec(), base)).or_insert(next);
        self.missing.retain(|missing| *missing != id);
        self.listed.push(id);
        self.modules.see(&ModuleDef {
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

/// Resident memory, noted each 10 ms: what is kept is about a value a second, each new height, and
/// the last one.
#[derive(Default)]
struct Resident {
    kept: Option<(Ticks, u64)>,
    max: u64,
    last: Option<(Ticks, u64)>,
}

impl Resident {
    fn see(&mut self, at: Ticks, bytes: u64, samples: &mut Vec<SampleDef>) {
        let is_due = self.kept.is_none_or(|(kept, _)| at.0 - kept.0 >= SAMPLES_EVERY_NS);
        // A hundredth more: slow growth is not worth a sample each 10 ms.
        let is_higher = bytes > self.max.saturating_add(self.max / 100);
        self.last = Some((at, bytes));
        if is_due || is_higher {
            self.keep(samples);
        }
    }

    fn keep(&mut self, samples: &mut Vec<SampleDef>) {
        let Some((at, bytes)) = self.last.filter(|last| Some(*last) != self.kept) else { return };
        self.kept = self.last;
        self.max = self.max.max(bytes);
        samples.push(SampleDef { at, rss: Some(Bytes(bytes)), cgroup: None, cgroup_limit: None });
    }
}

#[derive(Default)]
struct Surveyor {
    survey: Survey,
    nodes: Nodes,
    texts: Vec<String>,
    /// Of an interpreted file: frames by location.
    frames: Vec<Vec<GivenFrame>>,
    /// Of an interpreted file: modules by their text.
    named_modules: HashMap<u64, u32>,
    /// Of a raw file.
    loaded: Loaded,
    known: HashMap<Location, LocationId>,
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

impl Surveyor {
    fn see(&mut self, line: &Line<'_>) -> Result<(), BadLine> {
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
            Line::Module { path, base, segments } => self.see_module(path, base, segments)?,
            Line::Text(text) => self.texts.push(exact(text)),
            Line::Ip { address, module, frames } => self.see_ip(address, module, frames)?,
            Line::Stack { ip, parent } => self.see_stack(ip, parent),
            Line::Info { .. } => self.has_infos = true,
            Line::Time { ms } => {
                self.now = self.now.max(Ticks(ms.saturating_mul(NS_A_MS)));
            }
            Line::Resident { pages } => {
                let bytes = self.page_bytes.saturating_mul(pages);
                self.resident.see(self.now, bytes, &mut self.survey.samples);
            }
            Line::Attached => self.is_attached = true,
            Line::Made { .. } | Line::MadeAt { .. } | Line::Freed(_) | Line::Other => {}
        }
        Ok(())
    }

    /// What could not be read is counted on, for the sake of those behind it.
    fn make_up(&mut self, letter: u8) {
        match letter {
            b's' => self.texts.push(String::new()),
            b'i' => self.add_location(Location { module: None, address: 0 }, Vec::new()),
            b't' => drop(self.nodes.define(0)),
            _ => {}
        }
    }

    fn see_module(
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

    /// An address with its names. heaptrack has taken one off, so that it is that of the call.
    fn see_ip(&mut self, address: u64, module: u64, mut given: Numbers<'_>) -> Result<(), BadLine> {
        let mut frames = Vec::new();
        while let Some(function) = given.take()? {
            let file = given.take()?.unwrap_or(0);
            let line = given.take()?.and_then(|line| u32::try_from(line).ok());
            frames.push(GivenFrame {
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

    fn add_location(&mut self, location: Location, frames: Vec<GivenFrame>) {
        self.survey.locations.push(location);
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
        let index = self.survey.modules.len() as u32;
        self.survey.modules.push(Module {
            id: ModuleId(index),
            path: path.clone().into_bytes(),
            shown: sanitize::text(&path),
            build_id: Vec::new(),
            // The first module that is listed is the executable, and its path is the first text.
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

    fn see_stack(&mut self, ip: u64, parent: u64) {
        let parent = self.nodes.get(parent);
        let Some(id) = self.nodes.define(ip) else { return };
        let location = if self.is_raw {
            self.raw_location(ip)
        } else {
            // An address that the file does not have is called by its number.
            let index = u32::try_from(ip - 1).unwrap_or(u32::MAX);
            if (index as usize) < self.survey.locations.len() {
                LocationId(index)
            } else {
                self.make_up(b'i');
                LocationId(self.survey.locations.len() as u32 - 1)
            }
        };
        self.survey.nodes.push(Node { id, parent, location });
    }

    fn raw_location(&mut self, ip: u64) -> LocationId {
        let address = ip.saturating_add(1);
        let module = self.loaded.modules.holding(Address(address));
        let location = Location { module, address };
        let locations = &mut self.survey.locations;
        *self.known.entry(location).or_insert_with(|| {
            locations.push(location);
            LocationId(locations.len() as u32 - 1)
        })
    }

    fn finish(mut self, version: u64, bad: u64, is_torn: bool) -> Surveyed {
        let is_interpreted = version >= 1 && self.has_infos;
        let ending = if is_torn { Ending::CutOff } else { Ending::Sealed };
        let lacks = MissingColumns { threads: true, addresses: is_interpreted };
        let unreadable = (bad, "Lines that were left out, as they are damaged.");
        let facts = self.facts(version);
        self.resident.keep(&mut self.survey.samples);
        let Self { mut survey, frames, loaded, is_raw, now, .. } = self;
        // A run without a mark is as long as the shortest.
        let end = now.max(Ticks(NS_A_MS));
        survey.clock_pairs.push(ClockPair { ticks: end, monotonic_ns: end.0, unix_ns: 0 });
        survey.foreign = Some(Foreign { facts, ending, lacks, gaps: gaps(lacks), unreadable });
        if is_raw {
            survey.modules = loaded.modules.into_list();
            return Surveyed { survey, names: None };
        }
        let calls: Vec<_> = survey
            .locations
            .iter()
            .map(|at| Call::before(at.address, at.module, &survey.modules))
            .collect();
        let names = Symbols::recorded(&calls, frames, &survey.modules);
        Surveyed { survey, names: Some(names) }
    }

    fn facts(&self, version: u64) -> Vec<(&'static str, Value)> {
        let [major, minor, patch] = [16, 8, 0].map(|shift| self.program >> shift & 0xff);
        let mut facts = vec![
            ("imported_from", Value::Text(format!("heaptrack {major}.{minor}.{patch}"))),
            ("format_version", Value::Integer(integer(version))),
            ("command", Value::Text(self.command.clone())),
            ("clock", Value::Text(String::from("marks"))),
            ("max_stack_depth", Value::Integer(DEPTH_MAX)),
        ];
        if self.is_attached {
            facts.push(("attached", Value::Integer(1)));
        }
        facts
    }
}

/// A text as it is, so that names are read before they are cut; bytes that are no text are
/// written as numbers, which keeps two texts two.
fn exact(text: &[u8]) -> String {
    match std::str::from_utf8(text) {
        Ok(text) => text.to_owned(),
        Err(_) => text.escape_ascii().to_string(),
    }
}

/// What a heaptrack recording does not say.
fn gaps(lacks: MissingColumns) -> Vec<(&'static str, &'static str)> {
    let mut gaps = vec![
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
    if lacks.addresses {
        gaps.push((
            "not_recorded_addresses",
            "heaptrack leaves addresses out of a file that it has interpreted: `addr` is NULL, \
             and a free is taken for that of the youngest block with the same backtrace and size, \
             so that single lifetimes are a guess (`heaptrack --raw` keeps addresses)",
        ));
    }
    gaps
}
