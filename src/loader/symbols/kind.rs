//! Whose code a frame is, and where the user's part of a backtrace begins.
//!
//! Reads: names, source files, and the list in `kinds.txt`. Writes: a [`Kind`].

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::loader::symbols::name::Name;
use crate::loader::symbols::namespace::{self, Owner};
use crate::loader::symbols::{Frame, FrameId};

/// Whose code a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// The program's own, or a library's that is not listed. Where nothing in the executable is
    /// Rust: what is in the executable.
    Own,
    /// The language's own libraries.
    Std,
    /// Runtimes and other crates that call back or merely pass on.
    Runtime,
    /// No Rust name.
    Foreign,
    /// No name at all.
    Unknown,
}

impl Kind {
    /// As in `frames.kind`.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Std => "std",
            Self::Runtime => "runtime",
            Self::Foreign => "foreign",
            Self::Unknown => "unknown",
        }
    }
}

/// The list, parsed once.
static KINDS: LazyLock<HashMap<&'static str, Kind>> = LazyLock::new(|| {
    include_str!("kinds.txt")
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(kind, krate)| match kind {
            "std" => Some((krate, Kind::Std)),
            "runtime" => Some((krate, Kind::Runtime)),
            _ => None,
        })
        .collect()
});

/// A name's crate and whose code that is. `<Type as Trait>` belongs to whichever of the two is
/// not the language's own.
pub(crate) fn classify(name: &Name, is_rust: bool, file: Option<&str>) -> (Option<String>, Kind) {
    let of_file = file.and_then(crate_of_file);
    if !name.is_rust && !is_rust && of_file.is_none() {
        let by_name = Some(name.owner).filter(|owner| *owner != Owner::Other);
        let by_file = || file.map_or(Owner::Other, namespace::owner_of_file);
        let kind = match by_name.unwrap_or_else(by_file) {
            Owner::Standard => Kind::Std,
            Owner::Foundation => Kind::Runtime,
            Owner::Other => Kind::Foreign,
        };
        return (None, kind);
    }
    let kinds = name.crates.iter().map(|krate| (krate, kind_of(krate)));
    let by_name = kinds
        .clone()
        .find(|(_, kind)| *kind == Kind::Own)
        .or_else(|| kinds.clone().find(|(_, kind)| *kind == Kind::Runtime))
        .or_else(|| kinds.clone().next());
    match (by_name, of_file) {
        (Some((krate, kind)), _) => (Some(krate.clone()), kind),
        (None, Some(krate)) => {
            let kind = kind_of(&krate);
            (Some(krate), kind)
        }
        (None, None) => (None, Kind::Own),
    }
}

fn kind_of(krate: &str) -> Kind {
    KINDS.get(krate).copied().unwrap_or(Kind::Own)
}

/// The crate that a source file belongs to, where its path tells.
fn crate_of_file(file: &str) -> Option<String> {
    if let Some((_, rest)) = file.split_once("/library/")
        && (file.starts_with("/rustc/") || file.contains("/rustlib/src/rust/"))
    {
        return rest.split('/').next().map(str::to_owned);
    }
    let (_, rest) = file.split_once("/registry/src/")?;
    let package = rest.split('/').nth(1)?;
    let name = package.rsplit_once('-').map_or(package, |(name, _)| name);
    Some(name.replace('-', "_"))
}

/// How many of a backtrace's innermost frames belong to the recorder and to the shims between it
/// and the code that allocates.
///
/// `frames` are innermost first. What is trimmed is a run of such frames; a shim that stands
/// behind frames of the language's own (as inlining may leave it) is trimmed with all before it.
pub(crate) fn innermost_foreign(frames: &[FrameId], known: &[Frame]) -> usize {
    /// No recorder has more frames than this.
    const LOOK_AT: usize = 32;
    let frame = |index: usize| &known[frames[index].0 as usize];
    let considered = frames.len().min(LOOK_AT);
    let passable = |frame: &Frame| is_recorder(frame) || frame.kind == Kind::Std;
    let inner =
        (0..considered).take_while(|index| passable(frame(*index)) || is_shim(&frame(*index).sym));
    let shim = inner.clone().find(|index| is_shim(&frame(*index).sym));
    // Where stacks are walked by a library, its frames stand before the recorder's.
    let last = shim.or_else(|| inner.filter(|index| is_recorder(frame(*index))).last());
    let from = last.map_or(0, |index| index + 1);
    let run = (from..considered)
        .take_while(|index| {
            let frame = frame(*index);
            is_recorder(frame) || is_shim(&frame.sym)
        })
        .count();
    from + run
}

/// A function of the recorder. With line tables only, inlined ones have bare names: then their
/// file tells.
fn is_recorder(frame: &Frame) -> bool {
    const FILE: &str = "/src/collector/api/allocator.rs";
    const BARE: [&str; 6] = [
        "alloc",
        "alloc_zeroed",
        "realloc",
        "alloc_recorded",
        "alloc_zeroed_recorded",
        "realloc_recorded",
    ];
    let sym = &frame.sym;
    let is_front = frame.file.as_ref().is_some_and(|file| file.ends_with(FILE));
    let bare = sym.split('<').next().unwrap_or_default();
    is_front && BARE.contains(&bare)
        || ["rheaper::collector::", "<rheaper::collector::"]
            .iter()
            .any(|prefix| sym.starts_with(prefix))
        || (sym.starts_with("<rheaper::") && sym.contains(" as core::alloc::global::GlobalAlloc>"))
}

/// A function that rustc puts between `alloc::alloc` and the global allocator, or C++ before
/// `malloc`.
fn is_shim(sym: &str) -> bool {
    const SHIMS: [&str; 4] =
        ["__rust_alloc", "__rust_dealloc", "__rust_realloc", "__rust_alloc_zeroed"];
    let name = sym.strip_prefix("__rustc::").unwrap_or(sym);
    SHIMS.contains(&name)
        || name.starts_with("__rg_")
        || name.starts_with("__rdl_")
        || name.starts_with("operator new(")
        || name.starts_with("operator new[](")
}
