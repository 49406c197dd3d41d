//! Looks up the frames of an address in a symbol file: in its DWARF (also split or compressed), else
//! in its symbol table.
//!
//! Invariant: a damaged symbol file gives no frames; panics of the DWARF reader are caught.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use addr2line::Loader;

use crate::loader::symbols::raw_frame::{RawFrame, raw_frames};
use crate::loader::symbols::split::{SplitFile, SplitFrames};

/// An open symbol file.
pub(crate) struct SymbolFile {
    loader: Loader,
    split: Option<Box<SplitFile>>,
}

impl SymbolFile {
    /// Opens a file; `None` if it holds nothing that can be read.
    /// The parts of one whose DWARF is split are looked for in `parts`.
    pub(crate) fn open(path: &Path, supplement: Option<&Path>, parts: &[PathBuf]) -> Option<Self> {
        let open = || {
            let loader = Loader::new_with_sup(path, supplement).ok()?;
            Some(Self { loader, split: SplitFile::open(path, parts).map(Box::new) })
        };
        catch_unwind(AssertUnwindSafe(open)).ok()?
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
        match self.split.as_ref().map(|split| split.frames(offset)) {
            None => Some(raw_frames(self.loader.find_frames(offset).ok()?)),
            Some(found) => Some(match found? {
                SplitFrames::Found(frames) => frames,
                SplitFrames::Missing => {
                    vec![RawFrame { is_split_off: true, ..RawFrame::default() }]
                }
            }),
        }
    }
}
