//! The metadata pass over a bytehound recording: modules, backtraces and threads.

use std::collections::HashMap;
use std::io;

use object::elf::{FileHeader64, PF_X, PT_LOAD};
use object::endian::Endianness;
use object::read::elf::{FileHeader, ProgramHeader};
use rusqlite::types::Value;

use crate::loader::api::progress::Progress;
use crate::loader::api::summary::Ending;
use crate::loader::fast_hash::FastHash;
use crate::loader::import::bytehound::event::{Event, Header, Mapping};
use crate::loader::import::bytehound::{Backtraces, Events, NS_PER_US, Threads, block_event};
use crate::loader::import::input::Input;
use crate::loader::model::{LocationId, MissingColumns};
use crate::loader::passes::metadata_pass::{
    ImportInfo, Location, NamedThread, Node, RecordingMetadata,
};
use crate::loader::read::modules::Modules;
use crate::loader::sanitize;
use crate::loader::source::SourceMetadata;
use crate::loader::write::row_writer::integer;
use crate::recording::{Address, ClockPair, ModuleDef, ModuleId, ModuleStatus, NodeId, Ticks};

/// Events between two calls of [`Progress::should_stop`].
const EVENTS_BETWEEN_CHECKS: u64 = 1 << 16;

/// Runs the metadata pass; `None` if the caller asked to stop.
pub(crate) fn read_metadata(
    input: &mut Input,
    progress: &mut dyn Progress,
) -> io::Result<Option<(SourceMetadata, Backtraces)>> {
    let mut events = Events::new(input);
    let mut builder = MetadataBuilder::default();
    let mut events_read = 0_u64;
    while let Some(event) = events.next()? {
        builder.add(event)?;
        events_read += 1;
        if events_read.is_multiple_of(EVENTS_BETWEEN_CHECKS) && progress.should_stop() {
            return Ok(None);
        }
    }
    let is_torn = events.chunks.input.is_torn();
    Ok(Some(builder.finish(is_torn)))
}

/// The headers of an executable.
#[derive(Clone, Debug, Default)]
struct Image {
    /// Segments with code: offset in the file, address, length.
    segments: Vec<(u64, u64, u64)>,
    build_id: Vec<u8>,
}

impl Image {
    fn read(contents: &[u8]) -> Option<Self> {
        let header = FileHeader64::<Endianness>::parse(contents).ok()?;
        let endian = header.endian().ok()?;
        let mut image = Self::default();
        for segment in header.program_headers(endian, contents).ok()? {
            // Only segments with code: the one before may end in the same page of the file, at
            // another address.
            let is_code = segment.p_flags(endian).0 & PF_X.0 != 0;
            if segment.p_type(endian) == PT_LOAD && is_code {
                let (offset, address) = (segment.p_offset(endian), segment.p_vaddr(endian));
                image.segments.push((offset, address, segment.p_filesz(endian)));
            }
            let Ok(Some(mut notes)) = segment.notes(endian, contents) else { continue };
            while let Ok(Some(note)) = notes.next() {
                if note.n_type(endian) == object::elf::NT_GNU_BUILD_ID && note.name() == b"GNU" {
                    image.build_id = note.desc().to_vec();
                }
            }
        }
        Some(image)
    }

    /// The link-time address of an offset in the file.
    fn address(&self, offset: u64) -> u64 {
        let holds = |segment: &&(u64, u64, u64)| {
            // A mapping starts at a page, a segment anywhere in its first page.
            segment.0 & !0xfff <= offset && offset < segment.0.saturating_add(segment.2)
        };
        let found = self.segments.iter().find(holds);
        found.map_or(offset, |(at, address, _)| address.wrapping_sub(*at).wrapping_add(offset))
    }
}

#[derive(Default)]
struct MetadataBuilder {
    metadata: RecordingMetadata,
    header: Header,
    backtraces: Backtraces,
    threads: Threads,
    modules: Modules,
    /// Module ids by path and first address.
    module_ids: HashMap<(Vec<u8>, u64), u32>,
    /// By module id: offset of the mapping in the file.
    offsets: Vec<u64>,
    /// Loaded modules: id and first address.
    loaded: Vec<(u32, u64)>,
    images: HashMap<Vec<u8>, Image>,
    locations: HashMap<Location, LocationId, FastHash>,
    nodes: HashMap<(NodeId, LocationId), NodeId, FastHash>,
    /// By thread: its last backtrace, innermost first.
    last_backtraces: HashMap<u32, Vec<u64>>,
    stripped_blocks: u64,
    is_postprocessed: bool,
    last_us: u64,
}

impl MetadataBuilder {
    fn add(&mut self, event: Event) -> io::Result<()> {
        match event {
            Event::Header(header) => {
                self.backtraces.initial_us = header.initial_us;
                self.header = header;
            }
            Event::File { path, contents } if path == b"/proc/self/maps" => {
                self.apply_maps(&contents);
            }
            Event::File { path, contents } => {
                if let Some(image) = Image::read(&contents) {
                    self.images.insert(path, image);
                }
            }
            Event::Mapped(mapping) => self.load(mapping),
            Event::Unmapped { address } => self.unload(|(_, start)| *start == address),
            Event::Backtrace { id, thread, skipped, mut addresses } => {
                if let Some(thread) = thread {
                    let last = self.last_backtraces.entry(thread).or_default();
                    if let Some(skipped) = skipped {
                        addresses.extend(last.iter().skip(skipped as usize));
                    }
                    last.clone_from(&addresses);
                }
                let node = self.node(&addresses)?;
                self.backtraces.nodes.insert(id, node);
            }
            Event::Stripped { blocks } => {
                self.stripped_blocks = self.stripped_blocks.saturating_add(blocks);
            }
            Event::Postprocessed => self.is_postprocessed = true,
            other => {
                if let Some((at_us, thread, _)) = block_event(&other) {
                    self.last_us = self.last_us.max(at_us);
                    if let (number, true) = self.threads.number(thread) {
                        let os_id = u64::from(thread);
                        let named = NamedThread { os_id, name: String::new() };
                        self.metadata.threads.insert(number, named);
                    }
                }
            }
        }
        if self.is_postprocessed {
            return Err(io::Error::other(
                "it was postprocessed, and has names instead of addresses: import the original",
            ));
        }
        Ok(())
    }

    /// Applies a list of all mappings: modules that are not in it were unloaded.
    fn apply_maps(&mut self, contents: &[u8]) {
        let mappings: Vec<_> = contents.split(|byte| *byte == b'\n').filter_map(mapping).collect();
        self.unload(|(_, start)| mappings.iter().all(|mapping| mapping.start != *start));
        mappings.into_iter().for_each(|mapping| self.load(mapping));
    }

    fn load(&mut self, mapping: Mapping) {
        if !mapping.is_executable || !mapping.path.starts_with(b"/") {
            return;
        }
        let next = self.module_ids.len() as u32;
        let Mapping { start, end, file_offset, path, .. } = mapping;
        let id = *self.module_ids.entry((path.clone(), start)).or_insert(next);
        if id == next {
            self.offsets.push(file_offset);
        }
        self.loaded.retain(|(_, other)| *other != start);
        self.loaded.push((id, start));
        self.modules.apply(&ModuleDef {
            status: ModuleStatus::Loaded,
            id: ModuleId(id),
            at: Ticks(0),
            bias: 0,
            start: Address(start),
            end: Address(end),
            main: path == self.header.executable,
            build_id: &[],
            path: &path,
        });
    }

    fn unload(&mut self, is_unloaded: impl Fn(&(u32, u64)) -> bool) {
        let (unloaded, still_loaded) = self.loaded.iter().partition(|loaded| is_unloaded(loaded));
        self.loaded = still_loaded;
        let at = self.last_us.saturating_sub(self.backtraces.initial_us).saturating_mul(NS_PER_US);
        let unloaded: Vec<(u32, u64)> = unloaded;
        for (id, _) in unloaded {
            self.modules.apply(&ModuleDef {
                status: ModuleStatus::Unloaded,
                id: ModuleId(id),
                at: Ticks(at),
                bias: 0,
                start: Address(0),
                end: Address(0),
                main: false,
                build_id: &[],
                path: &[],
            });
        }
    }

    /// The node of a backtrace, without bytehound's own innermost frames.
    fn node(&mut self, addresses: &[u64]) -> io::Result<NodeId> {
        let mut node = NodeId::ROOT;
        let recorder_frames =
            addresses.iter().take_while(|address| self.is_recorder(**address)).count();
        let shown =
            addresses.get(recorder_frames..).filter(|rest| !rest.is_empty()).unwrap_or(addresses);
        for address in shown.iter().rev() {
            let module = self.modules.containing(Address(*address));
            let location = Location { module, address: *address };
            let locations = &mut self.metadata.locations;
            let location = *self.locations.entry(location).or_insert_with(|| {
                locations.push(location);
                LocationId(locations.len() as u32 - 1)
            });
            node = match self.nodes.get(&(node, location)) {
                Some(known) => *known,
                None => {
                    let next = u32::try_from(self.nodes.len()).ok();
                    let next = next.and_then(|next| next.checked_add(NodeId::FIRST.0));
                    let id = NodeId(next.ok_or_else(|| io::Error::other("too many backtraces"))?);
                    self.metadata.nodes.push(Node { id, parent: node, location });
                    self.nodes.insert((node, location), id);
                    id
                }
            };
        }
        Ok(node)
    }

    fn is_recorder(&self, address: u64) -> bool {
        let module = self.modules.containing(Address(address));
        module.is_some_and(|index| {
            self.modules.path(index).is_some_and(|path| {
                let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
                [&b"libbytehound"[..], b"libmemory_profiler"]
                    .iter()
                    .any(|own| name.starts_with(own))
            })
        })
    }

    fn finish(self, is_torn: bool) -> (SourceMetadata, Backtraces) {
        let meta_rows = self.meta_rows();
        let Self {
            mut metadata,
            modules,
            images,
            offsets,
            backtraces,
            stripped_blocks,
            last_us,
            ..
        } = self;
        let end =
            last_us.saturating_sub(backtraces.initial_us).saturating_mul(NS_PER_US).max(NS_PER_US);
        metadata.clock_pairs.push(ClockPair { ticks: Ticks(end), monotonic_ns: end, unix_ns: 0 });
        metadata.modules = modules.into_list();
        for module in &mut metadata.modules {
            let offset = offsets.get(module.id.0 as usize).copied().unwrap_or(0);
            let image = images.get(&module.path).cloned().unwrap_or_default();
            module.bias = module.start.wrapping_sub(image.address(offset));
            module.build_id = image.build_id;
        }
        let mut not_recorded = vec![
            ("not_recorded_times", "bytehound records times in microseconds"),
            ("not_recorded_thread_names", "bytehound does not record names of threads"),
        ];
        if stripped_blocks > 0 {
            not_recorded.push((
                "not_recorded_short_lived",
                "the recording was made smaller: short-lived blocks were left out of it",
            ));
        }
        metadata.import = Some(ImportInfo {
            meta_rows,
            ending: if is_torn { Ending::CutOff } else { Ending::Sealed },
            missing_columns: MissingColumns::default(),
            not_recorded,
            unreadable: (0, "Lines that were left out, as they are damaged."),
        });
        (SourceMetadata { metadata, symbols: None }, backtraces)
    }

    fn meta_rows(&self) -> Vec<(&'static str, Value)> {
        let Header { initial_us, at_us, wall_ns, pid, command, .. } = &self.header;
        let since = at_us.saturating_sub(*initial_us).saturating_mul(NS_PER_US);
        let words = command.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let command = words.collect::<Vec<_>>().join(" ");
        let mut meta_rows = vec![
            ("imported_from", Value::Text(String::from("bytehound"))),
            ("pid", Value::Integer(i64::from(*pid))),
            ("started_unix_ns", Value::Integer(integer(wall_ns.saturating_sub(since)))),
            ("command", Value::Text(sanitize::text(command.trim_end()))),
            ("clock", Value::Text(String::from("us"))),
        ];
        if self.stripped_blocks > 0 {
            meta_rows.push(("left_out_blocks", Value::Integer(integer(self.stripped_blocks))));
        }
        meta_rows
    }
}

/// Parses a line of `/proc/self/maps`: `start-end perms offset device inode path`.
fn mapping(line: &[u8]) -> Option<Mapping> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.splitn(6, ' ');
    let (start, end) = words.next()?.split_once('-')?;
    let permissions = words.next()?;
    let file_offset = u64::from_str_radix(words.next()?, 16).ok()?;
    let path = words.nth(2)?.trim_start();
    Some(Mapping {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        file_offset,
        is_executable: permissions.contains('x'),
        path: path.as_bytes().to_vec(),
    })
}
