//! Resolves return addresses to functions, files and lines, with inlined functions.
//!
//! Names come from the executables, libraries and debug files that the recording names or the user
//! gives.
//!
//! Invariants:
//! - A symbol file must have the recorded build id; for a module without one, only the file at the
//!   recorded path is used. Unresolved addresses are called `module+0xoffset`.
//! - Each distinct address is looked up once.

mod recorded;
mod batch;
mod find;
mod lookup;
mod split;
mod raw_frame;
mod classify;
mod rules;
mod origin;
mod namespace;
mod name;
mod language;
mod kind;
pub(crate) mod site_frames;

use std::collections::HashMap;
use std::path::PathBuf;

pub(crate) use find::Finder;
pub(crate) use kind::{Kind, innermost_foreign};
pub(crate) use recorded::RecordedFrame;
pub(crate) use rules::{META_KINDS, Rules};

use crate::loader::api::progress::Progress;
use crate::loader::api::summary::SymbolSummary;
use crate::loader::read::modules::Module;
use crate::loader::sanitize;
use crate::loader::symbols::find::Found;
use crate::loader::symbols::language::Language;
use crate::loader::symbols::name::Name;
use crate::loader::symbols::raw_frame::RawFrame;

/// The call before a return address, independent of the address at which the module was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Call {
    /// Index into the modules.
    pub(crate) module: Option<u32>,
    /// Address of the call in the module's file; in the process if the module is unknown.
    pub(crate) offset: u64,
}

impl Call {
    /// The call before a return address.
    pub(crate) fn before(address: u64, module: Option<u32>, modules: &[Module]) -> Self {
        let bias = module.map_or(0, |module| modules[module as usize].bias);
        Self { module, offset: address.saturating_sub(1).wrapping_sub(bias) }
    }
}

/// One row of `frames`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Frame {
    /// Source file.
    pub(crate) file: Option<String>,
    /// Line in it.
    pub(crate) line: Option<u32>,
    /// Function, demangled.
    pub(crate) sym: String,
    /// Function, shortened for display.
    pub(crate) function: String,
    /// Crate of the function.
    pub(crate) krate: Option<String>,
    /// Owner of the code.
    pub(crate) kind: Kind,
    /// Whether it is inlined into its caller.
    pub(crate) inlined: bool,
    /// Index into the modules.
    pub(crate) module: Option<u32>,
}

/// An index into [`Symbols::frames`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FrameId(pub(crate) u32);

/// The symbol resolution of a module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ModuleSymbols {
    /// The value of `modules.symbols`.
    pub(crate) state: SymbolState,
    /// The file that the names were read from.
    pub(crate) file: Option<PathBuf>,
}

/// The result of a module's symbol resolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SymbolState {
    /// Functions, files and lines, from a file with the recorded build id.
    Resolved,
    /// The same, but the module has no build id to check the file by.
    Unchecked,
    /// Functions only.
    Partial,
    /// Names were recorded.
    Recorded,
    /// No symbol file was found.
    Missing,
    /// The file at its path has another build id.
    Mismatch,
    /// No backtrace has a frame in it.
    #[default]
    Unused,
}

impl SymbolState {
    /// The value of `modules.symbols`.
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
    /// Distinct frames.
    pub(crate) frames: Vec<Frame>,
    /// By frame: whether it is compiled from Rust.
    is_rust: Vec<bool>,
    /// By frame: the offset of its first call.
    pub(crate) offsets: Vec<u64>,
    /// By call: its frames, innermost first.
    pub(crate) by_call: Vec<Vec<FrameId>>,
    /// By module.
    pub(crate) modules: Vec<ModuleSymbols>,
    /// Index of the executable's module.
    executable: Option<u32>,
    /// Counts and messages for the user.
    pub(crate) summary: SymbolSummary,
}

impl Symbols {
    /// Looks up the frames of all calls; `None` if the caller asked to stop.
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
        let mut split_off = vec![0_u64; modules.len()];
        for (call, frames) in calls.iter().zip(&raw) {
            if let Some(module) = call.module {
                split_off[module as usize] += u64::from(frames.iter().any(|it| it.is_split_off));
            }
        }
        let mut symbols = Interner::new(modules, Offsets::InFile).intern(calls, raw);
        symbols.summarize(modules, &found, (&used, &split_off));
        Some(symbols)
    }

    /// Sets the kinds and crates of all frames.
    pub(crate) fn classify(&mut self, modules: &[Module], rules: &Rules) {
        classify::classify_all(self, modules, rules);
        self.executable = modules.iter().position(|module| module.main).map(|at| at as u32);
    }

    /// Whether a frame is in the executable.
    pub(crate) fn is_executable(&self, frame: &Frame) -> bool {
        frame.module.is_some() && frame.module == self.executable
    }

    /// Fills in `modules` and `summary`. `used` and `split_off` are by module: its calls, and those of
    /// them whose part of split DWARF was not found.
    fn summarize(
        &mut self,
        modules: &[Module],
        found: &[Option<Found>],
        (used, split_off): (&[u64], &[u64]),
    ) {
        let mut summary =
            SymbolSummary { addresses: self.by_call.len() as u64, ..SymbolSummary::default() };
        for frames in &self.by_call {
            let frames = || frames.iter().map(|id| &self.frames[id.0 as usize]);
            summary.named += u64::from(frames().any(|frame| frame.kind != Kind::Unknown));
            summary.with_lines += u64::from(frames().any(|frame| frame.line.is_some()));
        }
        self.modules = found
            .iter()
            .zip(used.iter().zip(split_off))
            .map(|(found, (used, split_off))| {
                let outcome = found.as_ref().map(Found::outcome).unwrap_or_default();
                // Without any part of its split DWARF, a module has functions only.
                match *used > 0 && used == split_off {
                    true => ModuleSymbols { state: SymbolState::Partial, ..outcome },
                    false => outcome,
                }
            })
            .collect();
        for (((module, found), used), split_off) in
            modules.iter().zip(found).zip(used).zip(split_off)
        {
            let Some(found) = found else { continue };
            summary.files.extend(found.file().cloned());
            summary.notes.extend(found.note(module, *used));
            summary.notes.extend(found.split_note(module, *split_off));
        }
        summary.files.sort();
        summary.files.dedup();
        self.summary = summary;
    }
}

/// The base of a call's offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offsets {
    /// The offset is an address in the module's file.
    InFile,
    /// The offset is an address in the process.
    InProcess,
}

/// Interns frames.
struct Interner<'a> {
    modules: &'a [Module],
    offsets: Offsets,
    ids: HashMap<Frame, FrameId>,
    /// By symbol, and by the language that the source file or the debug information points to.
    names: HashMap<(String, Option<Language>), Name>,
    symbols: Symbols,
}

impl<'a> Interner<'a> {
    fn new(modules: &'a [Module], offsets: Offsets) -> Self {
        let symbols = Symbols::default();
        Self { modules, offsets, ids: HashMap::new(), names: HashMap::new(), symbols }
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
            return vec![self.intern_frame(frame, false, call)];
        }
        let outermost = raw.len() - 1;
        let mut ids = Vec::with_capacity(raw.len());
        for (index, raw) in raw.into_iter().enumerate() {
            let (frame, is_rust) = self.named(call, raw, index < outermost);
            ids.push(self.intern_frame(frame, is_rust, call));
        }
        ids
    }

    fn named(&mut self, call: &Call, raw: RawFrame, inlined: bool) -> (Frame, bool) {
        let file = raw.file.map(|file| sanitize::text(&file));
        let Some(mangled) = raw.function else {
            let mut frame = self.unknown(call);
            frame.file = file;
            frame.line = raw.line;
            frame.inlined = inlined;
            return (frame, false);
        };
        let of_file = || file.as_deref().and_then(language::of_file);
        let beside = if raw.is_rust { Some(Language::Rust) } else { of_file() };
        let name = self
            .names
            .entry((mangled, beside))
            .or_insert_with_key(|(symbol, beside)| Name::of(symbol, *beside));
        let of_rust = |file: &String| file.ends_with(".rs");
        let is_rust = name.is_rust || raw.is_rust || file.as_ref().is_some_and(of_rust);
        let frame = Frame {
            line: raw.line,
            sym: name.full.clone(),
            function: name.short.clone(),
            krate: None,
            // Preliminary: [`Symbols::classify`] sets it when all frames are known.
            kind: Kind::Own,
            inlined,
            module: call.module,
            file,
        };
        (frame, is_rust)
    }

    /// The frame of an unresolved call: `module+0xoffset`, or `module@0xaddress`.
    fn unknown(&self, call: &Call) -> Frame {
        let sym = match call.module {
            Some(module) => {
                let shown = &self.modules[module as usize].shown;
                let file = shown.rsplit('/').next().unwrap_or(shown);
                let separator = if self.offsets == Offsets::InFile { '+' } else { '@' };
                format!("{file}{separator}{:#x}", call.offset)
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

    fn intern_frame(&mut self, frame: Frame, is_rust: bool, call: &Call) -> FrameId {
        if let Some(id) = self.ids.get(&frame) {
            return *id;
        }
        let id = FrameId(self.symbols.frames.len() as u32);
        self.symbols.frames.push(frame.clone());
        self.symbols.offsets.push(call.offset);
        self.symbols.is_rust.push(is_rust);
        self.ids.insert(frame, id);
        id
    }
}
