//! The owners of frames' code, and the recorder's frames in a backtrace.

use crate::loader::symbols::{Frame, FrameId};

/// The owner of a frame's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// The recorded program's workspace.
    Own,
    /// A library.
    Dependency,
    /// The libraries of the language.
    Std,
    /// C library, dynamic linker, allocator, recorder.
    Runtime,
    /// The name is unknown.
    Unknown,
}

impl Kind {
    /// The value of `frames.kind`.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Dependency => "dependency",
            Self::Std => "std",
            Self::Runtime => "runtime",
            Self::Unknown => "unknown",
        }
    }

    /// The kind of a rule; `unknown` can't be set.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Own, Self::Dependency, Self::Std, Self::Runtime]
            .into_iter()
            .find(|kind| kind.label() == word)
    }
}

/// How many of a backtrace's innermost frames belong to the recorder and to the shims between it
/// and the code that allocates.
///
/// `frames` are innermost first. A run of such frames is trimmed; a shim outside of frames of the
/// standard library (as inlining may leave it) is trimmed with all frames inside it.
pub(crate) fn innermost_foreign(frames: &[FrameId], known: &[Frame]) -> usize {
    /// No recorder has more frames than this.
    const LOOK_AT: usize = 32;
    let frame = |index: usize| &known[frames[index].0 as usize];
    let considered = frames.len().min(LOOK_AT);
    // The library that the recorder walks stacks with where it has no unwinder of its own.
    let is_unwinder = |frame: &Frame| frame.krate.as_deref() == Some("backtrace");
    let passable =
        |frame: &Frame| is_recorder(frame) || frame.kind == Kind::Std || is_unwinder(frame);
    let inner =
        (0..considered).take_while(|index| passable(frame(*index)) || is_shim(&frame(*index).sym));
    let shim = inner.clone().find(|index| is_shim(&frame(*index).sym));
    // If a library unwinds stacks, its frames are inside the recorder's.
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
pub(crate) fn is_recorder(frame: &Frame) -> bool {
    // Wherever in the collector it is: recordings of other versions are loaded as well.
    const FOLDER: &str = "/src/collector/";
    const FILE: &str = "/allocator.rs";
    const BARE: [&str; 6] = [
        "alloc",
        "alloc_zeroed",
        "realloc",
        "alloc_recorded",
        "alloc_zeroed_recorded",
        "realloc_recorded",
    ];
    let sym = &frame.sym;
    let is_front =
        frame.file.as_ref().is_some_and(|file| file.contains(FOLDER) && file.ends_with(FILE));
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
