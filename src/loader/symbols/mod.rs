//! Return addresses → functions, files and lines, inlined ones expanded.
//!
//! Reads: the executables, libraries and debug files that a recording names, or that the user
//! gave. Writes: [`Symbols`].
//!
//! Invariants:
//! - A name comes only from a file whose build id is the recorded one, or, for a module that has
//!   no build id, from the file at the recorded path. Everything else is `module+0xoffset`.
//! - Each distinct address is looked up once.

mod recorded;
mod batch;
mod find;
mod lookup;
mod name;
mod namespace;
mod language;
mod kind;
pub(crate) mod frame_names;

use std::collections::HashMap;
use std::path::PathBuf;

pub(crate) use find::Finder;
pub(crate) use kind::{Kind, innermost_foreign};
pub(crate) use recorded::GivenFrame;

use crate::loader::progress::Progress;
use crate::loader::read::modules::Module;
use crate::loader::sanitize;
use crate::loader::summary::SymbolSummary;
use crate::loader::symbols::find::Found;
use crate::loader::symbols::language::Language;
use crate::loader::symbols::lookup::RawFrame;
use crate::loader::symbols::name::Name;

/// A call in a module's file: what is left of a return address without the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Call {
    /// Index into the modules.
    pub(crate) module: Option<u32>,
    /// Address of the call in the module's file, or in the process if the module is not known.
    pub(crate) offset: u64,
}

impl Call {
    /// The call before a return address.
    pub(crate) fn before(address: u64, module: Option<u32>, modules: &[Module]) -> Self {
        let bias = module.map_or(0, |module| modules[module as usize].bias);
        Self { module, offset: address.saturating_sub(1).wrapping_sub(bias) }
    }
}

/// A place in the code: one row of `frames`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Frame {
    /// Source file.
    pub(crate) file: Option<String>,
    /// Line in it.
    pub(crate) line: Option<u32>,
    /// Function, demangled.
    pub(crate) sym: String,
    /// The same, shortened.
    pub(crate) function: String,
    /// The crate that it belongs to.
    pub(crate) krate: Option<String>,
    /// Whose code it is.
    pub(crate) kind: Kind,
    /// Whether it is inlined into the next frame outwards.
    pub(crate) inlined: bool,
    /// Index into the modules.
    pub(crate) module: Option<u32>,
}

/// An index into [`Symbols::frames`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FrameId(pub(crate) u32);

/// How well a module's names are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ModuleSymbols {
    /// As in `modules.symbols`.
    pub(crate) state: SymbolState,
    /// Where names came from.
    pub(crate) file: Option<PathBuf>,
}

/// How well a module's names are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SymbolState {
    /// Functions, files and lines, from a file with the recorded build id.
    Resolved,
    /// The same, but the module has no build id to be sure by.
    Unchecked,
    /// Functions only.
    Partial,
    /// Names came with the recording.
    Recorded,
    /// There is no file.
    Missing,
    /// There is a file at its path, but it is another one.
    Mismatch,
    /// No backtrace goes through it.
    #[default]
    Unused,
}

impl SymbolState {
    /// As in `modules.symbols`.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Resolved => "resolved",
            Self::Unchecked => "unchecked",
            Self::Partial => "partial",
            Self::Recorded => "recorded",
            Self::Missing => "missing",
            Self::Mismatch => "mismatch",
            Self::Unused => "unused",
        }
    }
}

/// The names of all calls.
#[derive(Debug, Default)]
pub(crate) struct Symbols {
    /// Distinct places in the code.
    pub(crate) frames: Vec<Frame>,
    /// For each frame the first call that it was found for.
    pub(crate) offsets: Vec<u64>,
    /// By call, in the order in which they were given: its frames, innermost first.
    pub(crate) by_call: Vec<Vec<FrameId>>,
    /// By module.
    pub(crate) modules: Vec<ModuleSymbols>,
    /// What to tell.
    pub(crate) summary: SymbolSummary,
}

impl Symbols {
    /// Looks all `return_addresses` up; `None` if the caller wants to stop.
    pub(crate) fn resolve(
        calls: &[Call],
        modules: &[Module],
        finder: &Finder,
        progress: &mut dyn Progress,
    ) -> Option<Self> {
        let mut used = vec![0_u64; modules.len()];
        for module in calls.iter().filter_map(|call| call.module) {
            used[module as usize] += 1;
        }
        let found: Vec<_> = modules
            .iter()
            .zip(&used)
            .map(|(module, calls)| (*calls > 0).then(|| finder.find(module)))
            .collect();
        let raw = batch::look_up(calls, &found, progress)?;
        let mut symbols = Interner::new(modules, Offsets::InFile).intern(calls, raw);
        symbols.claim_executable(modules);
        symbols.describe(modules, &found, &used);
        Some(symbols)
    }

    /// Where nothing in the executable is Rust, its own functions are those of the executable.
    fn claim_executable(&mut self, modules: &[Module]) {
        let is_main = |frame: &Frame| frame.module.is_some_and(|at| modules[at as usize].main);
        // Libraries of C++ have no crate.
        let is_rust = |frame: &Frame| frame.kind == Kind::Own || frame.krate.is_some();
        if self.frames.iter().any(|frame| is_main(frame) && is_rust(frame)) {
            return;
        }
        for frame in self.frames.iter_mut().filter(|frame| is_main(frame)) {
            if frame.kind == Kind::Foreign {
                frame.kind = Kind::Own;
            }
        }
    }

    /// Fills in what is told about modules and to the user.
    fn describe(&mut self, modules: &[Module], found: &[Option<Found>], used: &[u64]) {
        let mut summary =
            SymbolSummary { addresses: self.by_call.len() as u64, ..SymbolSummary::default() };
        for frames in &self.by_call {
            let frames = || frames.iter().map(|id| &self.frames[id.0 as usize]);
            summary.named += u64::from(frames().any(|frame| frame.kind != Kind::Unknown));
            summary.with_lines += u64::from(frames().any(|frame| frame.line.is_some()));
        }
        self.modules = found
            .iter()
            .map(|found| found.as_ref().map(Found::outcome).unwrap_or_default())
            .collect();
        for ((module, found), used) in modules.iter().zip(found).zip(used) {
            let Some(found) = found else { continue };
            summary.files.extend(found.file().cloned());
            summary.notes.extend(found.note(module, *used));
        }
        summary.files.sort();
        summary.files.dedup();
        self.summary = summary;
    }
}

/// What a call's offset counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offsets {
    /// From the beginning of the module's file.
    InFile,
    /// It is the address in the process.
    InProcess,
}

/// Gives equal frames one number.
struct Interner<'a> {
    modules: &'a [Module],
    offsets: Offsets,
    known: HashMap<Frame, FrameId>,
    /// By symbol and the language that something else than the symbol points to.
    names: HashMap<(String, Option<Language>), Name>,
    symbols: Symbols,
}

impl<'a> Interner<'a> {
    fn new(modules: &'a [Module], offsets: Offsets) -> Self {
        let symbols = Symbols::default();
        Self { modules, offsets, known: HashMap::new(), names: HashMap::new(), symbols }
    }

    fn intern(mut self, calls: &[Call], raw: Vec<Vec<RawFrame>>) -> Symbols {
        for (call, frames) in calls.iter().zip(raw) {
            let ids = self.frames(call, frames);
            self.symbols.by_call.push(ids);
        }
        self.symbols
    }

    fn frames(&mut self, call: &Call, raw: Vec<RawFrame>) -> Vec<FrameId> {
        if raw.is_empty() {
            let frame = self.unknown(call);
            return vec![self.number(frame, call)];
        }
        let outermost = raw.len() - 1;
        let mut ids = Vec::with_capacity(raw.len());
        for (index, raw) in raw.into_iter().enumerate() {
            let frame = self.named(call, raw, index < outermost);
            ids.push(self.number(frame, call));
        }
        ids
    }

    fn named(&mut self, call: &Call, raw: RawFrame, inlined: bool) -> Frame {
        let file = raw.file.map(|file| sanitize::text(&file));
        let Some(mangled) = raw.function else {
            let mut frame = self.unknown(call);
            frame.file = file;
            frame.line = raw.line;
            frame.inlined = inlined;
            return frame;
        };
        let of_file = || file.as_deref().and_then(language::of_file);
        let beside = if raw.is_rust { Some(Language::Rust) } else { of_file() };
        let name = self
            .names
            .entry((mangled, beside))
            .or_insert_with_key(|(symbol, beside)| Name::of(symbol, *beside));
        let (krate, kind) = kind::classify(name, raw.is_rust, file.as_deref());
        Frame {
            line: raw.line,
            sym: name.full.clone(),
            function: name.short.clone(),
            krate,
            kind,
            inlined,
            module: call.module,
            file,
        }
    }

    /// `module+0xoffset`, or `module@0xaddress`.
    fn unknown(&self, call: &Call) -> Frame {
        let sym = match call.module {
            Some(module) => {
                let shown = &self.modules[module as usize].shown;
                let file = shown.rsplit('/').next().unwrap_or(shown);
                let mark = if self.offsets == Offsets::InFile { '+' } else { '@' };
                format!("{file}{mark}{:#x}", call.offset)
            }
            None => format!("{:#x}", call.offset),
        };
        Frame {
            file: None,
            line: None,
            function: sym.clone(),
            sym,
            krate: None,
            kind: Kind::Unknown,
            inlined: false,
            module: call.module,
        }
    }

    fn number(&mut self, frame: Frame, call: &Call) -> FrameId {
        if let Some(id) = self.known.get(&frame) {
            return *id;
        }
        let id = FrameId(self.symbols.frames.len() as u32);
        self.symbols.frames.push(frame.clone());
        self.symbols.offsets.push(call.offset);
        self.known.insert(frame, id);
        id
    }
}
