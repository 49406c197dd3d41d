//! DWARF that is split: line tables in the symbol file, functions in `.dwo` files or a `.dwp`.
//!
//! Reads: the symbol file, and split files beside it, beside the recorded file, where the compiler
//! left them, and where the user says. Writes: [`RawFrame`]s, names still mangled.
//!
//! Invariant: a split file counts only by the 64-bit id that its unit in the symbol file names. Where
//! none is found there is no frame: half of the unit would give one function the lines of another.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use addr2line::gimli::{self, Dwarf, DwarfPackage, DwoId, EndianArcSlice, RunTimeEndian, UnitType};
use addr2line::{Context, LookupContinuation, LookupResult, SplitDwarfLoad};
use memmap2::Mmap;
use object::{Object, ObjectSection};

use crate::loader::symbols::raw_frame::{RawFrame, raw_frames};

type Reader = EndianArcSlice<RunTimeEndian>;

/// Files of a directory that are looked at.
const FILES_MAX: usize = 10_000;

/// A symbol file whose DWARF is split, and the other parts of it that were found.
pub(crate) struct SplitFile {
    context: Context<Reader>,
    packages: Vec<DwarfPackage<Reader>>,
    /// Single files by the id of their unit.
    singles: HashMap<u64, PathBuf>,
    loaded: RefCell<HashMap<u64, Option<Arc<Dwarf<Reader>>>>>,
}

/// The frames at an address, as far as they are known.
pub(crate) enum SplitFrames {
    Found(Vec<RawFrame>),
    /// The part that describes the address was not found.
    Missing,
}

impl SplitFile {
    /// Opens a file; `None`: its DWARF is not split. `places` are files and directories in which
    /// the other parts may be.
    pub(crate) fn open(path: &Path, places: &[PathBuf]) -> Option<Self> {
        let dwarf = map(path, |object| is_split(object).then(|| load(object, false)).flatten())?;
        let (mut packages, mut singles) = (Vec::new(), HashMap::new());
        for file in files(places) {
            let extension = file.extension().and_then(OsStr::to_str);
            if extension == Some("dwp") {
                packages.extend(map(&file, load_package));
            } else if extension == Some("dwo")
                && let Some(id) = map(&file, |object| id_of(&load(object, true)?))
            {
                singles.insert(id.0, file);
            }
        }
        let context = Context::from_dwarf(dwarf).ok()?;
        Some(Self { context, packages, singles, loaded: RefCell::default() })
    }

    /// The frames at an address in the file, innermost first.
    pub(crate) fn frames(&self, offset: u64) -> Option<SplitFrames> {
        let mut found = self.context.find_frames(offset);
        loop {
            match found {
                LookupResult::Output(frames) => {
                    return Some(SplitFrames::Found(raw_frames(frames.ok()?)));
                }
                LookupResult::Load { load, continuation } => {
                    let Some(part) = self.part(&load) else { return Some(SplitFrames::Missing) };
                    found = continuation.resume(Some(part));
                }
            }
        }
    }

    fn part(&self, wanted: &SplitDwarfLoad<Reader>) -> Option<Arc<Dwarf<Reader>>> {
        match self.loaded.borrow_mut().entry(wanted.dwo_id.0) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(place) => place.insert(self.find(wanted)).clone(),
        }
    }

    fn find(&self, wanted: &SplitDwarfLoad<Reader>) -> Option<Arc<Dwarf<Reader>>> {
        let of_package = |package: &DwarfPackage<Reader>| {
            package.find_cu(wanted.dwo_id, &wanted.parent).ok().flatten()
        };
        if let Some(part) = self.packages.iter().find_map(of_package) {
            return Some(Arc::new(part));
        }
        let open = |path: &Path| {
            let mut part = map(path, |object| load(object, true))?;
            let is_it = id_of(&part) == Some(wanted.dwo_id);
            part.make_dwo(&wanted.parent);
            is_it.then(|| Arc::new(part))
        };
        let given = self.singles.get(&wanted.dwo_id.0).and_then(|path| open(path));
        given.or_else(|| open(&left_by_compiler(wanted)?))
    }
}

/// Where the compiler says that it put a part.
fn left_by_compiler(wanted: &SplitDwarfLoad<Reader>) -> Option<PathBuf> {
    let text = |bytes: &Reader| PathBuf::from(OsStr::from_bytes(bytes.bytes()));
    let directory = wanted.comp_dir.as_ref().map(text).unwrap_or_default();
    Some(directory.join(text(wanted.path.as_ref()?)))
}

/// Places of parts beside a symbol file: a package under both usual names, and single files.
pub(crate) fn beside(path: &Path) -> Vec<PathBuf> {
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut places = Vec::new();
    for path in [path, &real] {
        let mut longer = path.as_os_str().to_owned();
        longer.push(".dwp");
        places.extend([PathBuf::from(longer), path.with_extension("dwp")]);
    }
    places.extend(real.parent().map(Path::to_owned));
    places
}

/// The files that places stand for, each once.
fn files(places: &[PathBuf]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let is_part = |path: &PathBuf| path.extension().is_some_and(|it| it == "dwo" || it == "dwp");
    for place in places {
        if let Ok(entries) = fs::read_dir(place) {
            let entries = entries.take(FILES_MAX).flatten();
            files.extend(entries.map(|entry| entry.path()).filter(is_part));
        } else {
            files.push(place.clone());
        }
    }
    files.sort();
    files.dedup();
    files
}

/// Reads an object file.
fn map<T>(path: &Path, read: impl FnOnce(&object::File<'_>) -> Option<T>) -> Option<T> {
    let file = File::open(path).ok().filter(|file| file.metadata().is_ok_and(|it| it.is_file()))?;
    // SAFETY: the map is only read, and only in this function; another process that cuts the file
    // short meanwhile ends this one by a signal, as with every reader of symbols.
    let map = unsafe { Mmap::map(&file) }.ok()?;
    read(&object::File::parse(&*map).ok()?)
}

fn endian(object: &object::File<'_>) -> RunTimeEndian {
    if object.is_little_endian() { RunTimeEndian::Little } else { RunTimeEndian::Big }
}

fn section(object: &object::File<'_>, name: Option<&str>) -> Option<Reader> {
    let section = name.and_then(|name| object.section_by_name(name));
    let bytes = section.map(|section| section.uncompressed_data()).transpose().ok()?;
    Some(Reader::new(Arc::from(bytes.unwrap_or_default()), endian(object)))
}

/// The DWARF of a symbol file, or of a part.
fn load(object: &object::File<'_>, is_part: bool) -> Option<Dwarf<Reader>> {
    Dwarf::load(|id| {
        let name = if is_part { id.dwo_name() } else { Some(id.name()) };
        section(object, name).ok_or(())
    })
    .ok()
}

fn load_package(object: &object::File<'_>) -> Option<DwarfPackage<Reader>> {
    let empty = Reader::new(Arc::from([]), endian(object));
    let load = |id: gimli::SectionId| section(object, id.dwo_name()).ok_or(gimli::Error::Io);
    DwarfPackage::load(load, empty).ok()
}

/// The id of a part's unit.
fn id_of(part: &Dwarf<Reader>) -> Option<DwoId> {
    let header = part.units().next().ok().flatten()?;
    part.unit(header).ok()?.dwo_id
}

/// Whether units of a symbol file stand for others. Of DWARF 5 only the units' headers are read.
fn is_split(object: &object::File<'_>) -> bool {
    if object.section_by_name(".debug_addr").is_none_or(|section| section.size() == 0) {
        return false;
    }
    let Some(dwarf) = load(object, false) else { return false };
    let mut units = dwarf.units();
    while let Ok(Some(header)) = units.next() {
        let is_skeleton = match header.type_() {
            UnitType::Skeleton(_) => true,
            _ if header.version() < 5 => dwarf.unit(header).is_ok_and(|unit| unit.dwo_id.is_some()),
            _ => false,
        };
        if is_skeleton {
            return true;
        }
    }
    false
}
