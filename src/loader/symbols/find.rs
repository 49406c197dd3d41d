//! Finds the symbol file of a module on this machine.
//!
//! Candidates, in this order: files that the user gave; the recorded path; debug directories by build
//! id; what `.gnu_debuglink` names. The first one with line tables wins, else the first one with
//! symbols.
//!
//! Invariant: a candidate counts only if its build id is the recorded one. Without a recorded
//! one, the file at the recorded path counts, and is marked as unchecked.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;
use object::{Object, ObjectSection, ObjectSymbol};

use crate::loader::read::modules::Module;
use crate::loader::sanitize::{self, hex};
use crate::loader::symbols::{ModuleSymbols, SymbolState, split};
use crate::safeguards::{self, Safeguard};

/// Where distributions put debug files.
const DEBUG_DIRECTORY: &str = "/usr/lib/debug";

/// Maximum depth of the search below a directory given by the user.
const DEPTH_MAX: usize = 8;
/// Maximum number of files in such a search.
const FILES_MAX: usize = 100_000;

/// Looks for symbol files.
#[derive(Debug, Default)]
pub(crate) struct Finder {
    /// Files given by the user, directly or in a directory, by build id; empty for files without one.
    given: HashMap<Vec<u8>, Vec<PathBuf>>,
    /// The `.dwo` and `.dwp` files among those, which hold parts of split DWARF.
    parts: Vec<PathBuf>,
}

/// The properties of an object file that matter for symbols.
#[derive(Clone, Debug, Default)]
struct Contents {
    build_id: Vec<u8>,
    has_lines: bool,
    has_symbols: bool,
    /// Name and checksum of a separate debug file.
    debug_link: Option<(Vec<u8>, u32)>,
    /// Path of the file that several debug files share.
    supplement: Option<Vec<u8>>,
}

/// The symbol file found for a module, if any.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    state: SymbolState,
    file: Option<PathBuf>,
    supplement: Option<PathBuf>,
    /// Files and directories to search for the parts of split DWARF.
    parts: Arc<[PathBuf]>,
    /// A file of another build that the user gave for the module, with its build id.
    other_build: Option<(PathBuf, Vec<u8>)>,
}

impl Found {
    /// The result without a file.
    fn none(state: SymbolState) -> Self {
        Self { state, file: None, supplement: None, parts: Arc::from([]), other_build: None }
    }

    /// Files and directories to search for the parts of split DWARF.
    pub(crate) fn parts(&self) -> Arc<[PathBuf]> {
        Arc::clone(&self.parts)
    }

    /// A message for the user if the part that describes `calls` addresses was not found.
    pub(crate) fn split_note(&self, module: &Module, calls: u64) -> Option<String> {
        (calls > 0).then(|| {
            format!(
                "{} has no lines for {calls} addresses: its debug information is split, and the \
                 `.dwo` or `.dwp` files with that part were not found; give them or their \
                 directory with --symbols",
                module.shown
            )
        })
    }

    /// Where to look addresses up.
    pub(crate) fn file(&self) -> Option<&PathBuf> {
        self.file.as_ref()
    }

    /// A file that the debug file refers to.
    pub(crate) fn supplement(&self) -> Option<&PathBuf> {
        self.supplement.as_ref()
    }

    /// As it goes into the database.
    pub(crate) fn outcome(&self) -> ModuleSymbols {
        ModuleSymbols { state: self.state, file: self.file.clone() }
    }

    /// A message for the user, if symbols are missing.
    pub(crate) fn note(&self, module: &Module, calls: u64) -> Option<String> {
        let shown = &module.shown;
        let wanted = match hex(&module.build_id) {
            id if id.is_empty() => String::from("that file as it was when recorded"),
            id => format!("the file with build id {id}"),
        };
        let help = match &self.other_build {
            Some((path, id)) => {
                let id = if id.is_empty() { String::from("none") } else { hex(id) };
                let path = sanitize::text(&path.to_string_lossy());
                format!("{path} was given, but it is of another build: its build id is {id}")
            }
            None => String::from("give it or its directory with --symbols"),
        };
        match self.state {
            SymbolState::Missing => Some(format!(
                "no symbols for {shown} ({calls} addresses): wanted is {wanted}; {help}"
            )),
            SymbolState::Mismatch => Some(format!(
                "{shown} is not the file that was recorded ({calls} addresses without names): \
                 wanted is {wanted}; {help}"
            )),
            SymbolState::Partial if module.main => Some(format!(
                "{shown} has function names but no lines: build it with `debug = 1` (line \
                 tables), or {help} if its debug file is elsewhere"
            )),
            SymbolState::Unchecked if module.main => Some(format!(
                "{shown} has no build id, so nothing proves that it is the file that was recorded"
            )),
            _ => None,
        }
    }
}

impl Finder {
    /// Takes note of what the user gave. Files that are no object files are passed over.
    pub(crate) fn new(given: &[PathBuf]) -> Self {
        let mut finder = Self::default();
        let mut left = FILES_MAX;
        for path in given {
            finder.collect(path, DEPTH_MAX, &mut left);
        }
        finder
    }

    fn collect(&mut self, path: &Path, depth: usize, left: &mut usize) {
        if path.is_dir() {
            let Ok(entries) = fs::read_dir(path) else {
                return;
            };
            let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
            paths.sort();
            for path in paths {
                let is_link = path.is_symlink() && path.is_dir();
                if depth > 0 && *left > 0 && !is_link {
                    self.collect(&path, depth - 1, left);
                }
            }
            return;
        }
        *left = left.saturating_sub(1);
        if path.extension().is_some_and(|extension| extension == "dwo" || extension == "dwp") {
            self.parts.push(path.to_owned());
        } else if let Some(contents) = Contents::of(path) {
            let known = self.given.entry(contents.build_id).or_default();
            known.push(path.to_owned());
        }
    }

    /// The best file for a module.
    pub(crate) fn find(&self, module: &Module) -> Found {
        let own = PathBuf::from(OsStr::from_bytes(&module.path));
        let of_own = Contents::of(&own);
        if module.build_id.is_empty() {
            let parts = self.parts_of(&own, &own);
            return unchecked(own, of_own.as_ref(), parts);
        }
        let mut candidates: Vec<PathBuf> =
            self.given.get(&module.build_id).cloned().unwrap_or_default();
        candidates.push(own.clone());
        candidates.extend(by_build_id(&module.build_id));
        // Debug files are linked from the stripped file, wherever it was found.
        for path in candidates.clone() {
            if let Some((link, _)) = Contents::of(&path).and_then(|contents| contents.debug_link) {
                candidates.extend(linked(&path, &link));
            }
        }
        let fitting: Vec<_> = candidates
            .into_iter()
            .filter_map(|path| Some((Contents::of(&path)?, path)))
            .filter(|(contents, _)| {
                contents.build_id == module.build_id || safeguards::is_disabled(Safeguard::BuildId)
            })
            .collect();
        let best = fitting
            .iter()
            .find(|(contents, _)| contents.has_lines)
            .or_else(|| fitting.iter().find(|(contents, _)| contents.has_symbols));
        match best {
            Some((contents, path)) => Found {
                state: if contents.has_lines {
                    SymbolState::Resolved
                } else {
                    SymbolState::Partial
                },
                file: Some(path.clone()),
                supplement: contents.supplement_of(path),
                parts: self.parts_of(path, &own),
                other_build: self.other_build(module),
            },
            None => {
                let is_other = of_own.is_some() && fitting.is_empty();
                let other_build = self.other_build(module);
                let state = if is_other { SymbolState::Mismatch } else { SymbolState::Missing };
                Found { other_build, ..Found::none(state) }
            }
        }
    }

    /// Files and directories to search for the parts of a symbol file.
    fn parts_of(&self, file: &Path, own: &Path) -> Arc<[PathBuf]> {
        let mut places = self.parts.clone();
        places.extend([file, own].into_iter().flat_map(split::beside));
        Arc::from(places)
    }

    /// A file of another build that the user gave, if it is named like the module.
    fn other_build(&self, module: &Module) -> Option<(PathBuf, Vec<u8>)> {
        let name = Path::new(OsStr::from_bytes(&module.path)).file_name()?.as_bytes();
        let is_named = |path: &&PathBuf| {
            let rest = path.file_name().and_then(|given| given.as_bytes().strip_prefix(name));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"."))
        };
        let others = self.given.iter().filter(|(id, _)| **id != module.build_id);
        let named = others.flat_map(|(id, paths)| {
            paths.iter().filter(is_named).map(move |path| (path.clone(), id.clone()))
        });
        named.min()
    }
}

/// A module without a build id: its path is all that there is.
fn unchecked(own: PathBuf, contents: Option<&Contents>, parts: Arc<[PathBuf]>) -> Found {
    match contents {
        Some(contents) if contents.has_lines || contents.has_symbols => Found {
            state: SymbolState::Unchecked,
            supplement: contents.supplement_of(&own),
            file: Some(own),
            parts,
            other_build: None,
        },
        _ => Found::none(SymbolState::Missing),
    }
}

fn by_build_id(id: &[u8]) -> Vec<PathBuf> {
    let hex = hex(id);
    let Some((first, rest)) = hex.split_at_checked(2).filter(|(_, rest)| !rest.is_empty()) else {
        return Vec::new();
    };
    let mut paths = vec![
        PathBuf::from(DEBUG_DIRECTORY).join(".build-id").join(first).join(format!("{rest}.debug")),
    ];
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    if let Some(cache) = cache {
        paths.push(cache.join("debuginfod_client").join(&hex).join("debuginfo"));
    }
    paths
}

/// Where gdb looks for a debug file by its name.
fn linked(path: &Path, link: &[u8]) -> Vec<PathBuf> {
    let link = Path::new(OsStr::from_bytes(link));
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let Some(directory) = real.parent() else {
        return Vec::new();
    };
    let global = Path::new(DEBUG_DIRECTORY).join(directory.strip_prefix("/").unwrap_or(directory));
    [directory.to_owned(), directory.join(".debug"), global]
        .map(|directory| directory.join(link))
        .into_iter()
        .filter(|candidate| *candidate != real)
        .collect()
}

impl Contents {
    fn of(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        if !file.metadata().ok()?.is_file() {
            return None;
        }
        // SAFETY: the map is only read, and only in this function. Another process could cut the
        // file short meanwhile, which would end this one by a signal, not corrupt it; every
        // reader of symbols has this, and executables are replaced, not rewritten.
        let map = unsafe { Mmap::map(&file) }.ok()?;
        let object = object::File::parse(&*map).ok()?;
        let has = |name: &str| {
            object
                .section_by_name(name)
                .is_some_and(|section| section.size() > 0 && section.file_range().is_some())
        };
        let has_functions = object.symbols().any(|symbol| symbol.is_definition())
            || object.dynamic_symbols().any(|symbol| symbol.is_definition());
        Some(Self {
            build_id: object.build_id().ok().flatten().unwrap_or_default().to_vec(),
            has_lines: has(".debug_info") && has(".debug_line"),
            has_symbols: has_functions,
            debug_link: object
                .gnu_debuglink()
                .ok()
                .flatten()
                .map(|(name, checksum)| (name.to_vec(), checksum)),
            supplement: object.gnu_debugaltlink().ok().flatten().map(|(name, _)| name.to_vec()),
        })
    }

    fn supplement_of(&self, path: &Path) -> Option<PathBuf> {
        let link = Path::new(OsStr::from_bytes(self.supplement.as_ref()?));
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let supplement = real.parent()?.join(link);
        supplement.is_file().then_some(supplement)
    }
}
