//! Looks up the frames of an address in a symbol file: in its DWARF (also split or compressed), else
//! in its symbol table.
//!
//! Invariant: a damaged symbol file gives no frames; panics of the DWARF reader are caught.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use addr2line::Loader;

/// A frame as the symbol file tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RawFrame {
    /// Name of the function, mangled.
    pub(crate) function: Option<String>,
    /// Whether it is compiled from Rust, whatever its name looks like.
    pub(crate) is_rust: bool,
    /// Source file.
    pub(crate) file: Option<String>,
    /// Line in it.
    pub(crate) line: Option<u32>,
}

/// An open symbol file.
pub(crate) struct SymbolFile {
    loader: Loader,
}

impl SymbolFile {
    /// Opens a file; `None` if it holds nothing that can be read.
    pub(crate) fn open(path: &Path, supplement: Option<&Path>) -> Option<Self> {
        let open = || Loader::new_with_sup(path, supplement).ok();
        let loader = catch_unwind(AssertUnwindSafe(open)).ok()??;
        Some(Self { loader })
    }

    /// The frames at an address in the file, innermost first; none if nothing is known.
    pub(crate) fn frames(&self, offset: u64) -> Vec<RawFrame> {
        let look = || self.dwarf_frames(offset);
        let mut frames = catch_unwind(AssertUnwindSafe(look)).ok().flatten().unwrap_or_default();
        // Code without DWARF, or of a unit that has line tables only.
        let nameless = frames.last().is_none_or(|frame| frame.function.is_none());
        if nameless && let Some(symbol) = self.loader.find_symbol(offset) {
            match frames.last_mut() {
                Some(frame) => frame.function = Some(symbol.to_owned()),
                None => frames
                    .push(RawFrame { function: Some(symbol.to_owned()), ..RawFrame::default() }),
            }
        }
        frames
    }

    fn dwarf_frames(&self, offset: u64) -> Option<Vec<RawFrame>> {
        let mut frames = Vec::new();
        let mut found = self.loader.find_frames(offset).ok()?;
        while let Ok(Some(frame)) = found.next() {
            let function = frame
                .function
                .as_ref()
                .and_then(|function| function.raw_name().ok())
                .map(std::borrow::Cow::into_owned);
            let location = frame.location.as_ref();
            frames.push(RawFrame {
                function,
                is_rust: frame.function.as_ref().is_some_and(|function| {
                    function.language == Some(addr2line::gimli::DW_LANG_Rust)
                }),
                file: location.and_then(|location| location.file).map(str::to_owned),
                line: location.and_then(|location| location.line).filter(|line| *line > 0),
            });
        }
        Some(frames)
    }
}
