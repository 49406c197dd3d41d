//! The frames of every site, numbered as rows of `frames`.
//!
//! Invariants: frames are numbered from 1 by first appearance in the sites, so that equal input
//! gives equal numbers; the recorder's frames at the inner end of a stack are removed.

use std::collections::HashMap;

use crate::loader::symbols::{Frame, FrameId, Kind, Symbols, innermost_foreign};

/// A row of `frames`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FrameRow(pub(crate) u32);

/// The frames of all sites.
#[derive(Debug, Default)]
pub(crate) struct SiteFrames {
    /// By row, from 1: the frame.
    order: Vec<FrameId>,
    /// By [`FrameId`]: its row, or 0.
    rows: Vec<u32>,
    /// The frames of all sites in one list, each site's innermost first.
    flat: Vec<FrameRow>,
    /// By site, from 0: the end of its frames in `flat`.
    ends: Vec<usize>,
    /// By site, from 0: the frame that names it.
    named: Vec<Option<NamedFrame>>,
}

/// The frame that names a site: the first own one, else that of a dependency, else the first that is
/// not of the allocator, `alloc` or `core`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NamedFrame {
    /// Its index in the backtrace.
    pub(crate) index: usize,
    /// Its row.
    pub(crate) frame: FrameRow,
    /// The function of a dependency that it calls, directly or through `std`.
    pub(crate) through: Option<FrameRow>,
    /// The next outer frame of the same kind with another function.
    pub(crate) caller: Option<FrameRow>,
}

impl SiteFrames {
    /// Adds the next site, with its calls, innermost first.
    pub(crate) fn push(&mut self, calls: impl Iterator<Item = usize>, symbols: &Symbols) {
        let frames: Vec<FrameId> =
            calls.flat_map(|call| symbols.by_call[call].iter().copied()).collect();
        let trimmed = innermost_foreign(&frames, &symbols.frames);
        let shown = &frames[trimmed..];
        let from = self.flat.len();
        for id in shown {
            let row = self.row_of(*id);
            self.flat.push(row);
        }
        let named = named_index(shown, symbols).map(|index| {
            let rows = &self.flat[from..];
            let frame = |at: usize| &symbols.frames[shown[at].0 as usize];
            let this = frame(index);
            let through = (0..index)
                .rev()
                .find(|at| this.kind != Kind::Dependency && frame(*at).kind == Kind::Dependency);
            let is_caller = |at: &usize| frame(*at).kind == this.kind && frame(*at).sym != this.sym;
            let caller = (index + 1..shown.len()).find(is_caller);
            NamedFrame {
                index,
                frame: rows[index],
                through: through.map(|at| rows[at]),
                caller: caller.map(|at| rows[at]),
            }
        });
        self.named.push(named);
        self.ends.push(self.flat.len());
    }

    fn row_of(&mut self, id: FrameId) -> FrameRow {
        let index = id.0 as usize;
        if self.rows.len() <= index {
            self.rows.resize(index + 1, 0);
        }
        if self.rows[index] == 0 {
            self.order.push(id);
            self.rows[index] = self.order.len() as u32;
        }
        FrameRow(self.rows[index])
    }

    /// Number of sites.
    pub(crate) fn sites(&self) -> usize {
        self.ends.len()
    }

    /// The frames of a site, innermost first; sites count from 0 here.
    pub(crate) fn frames(&self, site: usize) -> &[FrameRow] {
        let from = site.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.flat[from..self.ends[site]]
    }

    /// The frame that names a site; sites count from 0 here.
    pub(crate) fn named(&self, site: usize) -> Option<NamedFrame> {
        self.named[site]
    }

    /// All rows of `frames`, each with its frame and the address of its first call.
    pub(crate) fn rows<'a>(
        &'a self,
        symbols: &'a Symbols,
    ) -> impl Iterator<Item = (FrameRow, &'a Frame, u64)> {
        self.order.iter().enumerate().map(|(index, id)| {
            let row = FrameRow(index as u32 + 1);
            let index = id.0 as usize;
            (row, &symbols.frames[index], symbols.offsets[index])
        })
    }

    /// By row of `frames`: the first row of the same function, on any line.
    pub(crate) fn functions(&self, symbols: &Symbols) -> Vec<FrameRow> {
        let mut known: HashMap<&str, FrameRow> = HashMap::new();
        self.rows(symbols).map(|(row, frame, _)| *known.entry(&frame.sym).or_insert(row)).collect()
    }

    /// By row of `frames`: the first row with the same function, file and line.
    pub(crate) fn places(&self, symbols: &Symbols) -> Vec<FrameRow> {
        let mut known: HashMap<(&str, Option<&str>, Option<u32>), FrameRow> = HashMap::new();
        let rows = self.rows(symbols).map(|(row, frame, _)| {
            let place = (frame.sym.as_str(), frame.file.as_deref(), frame.line);
            *known.entry(place).or_insert(row)
        });
        rows.collect()
    }

    /// The frame of a row.
    pub(crate) fn frame<'a>(&self, row: FrameRow, symbols: &'a Symbols) -> &'a Frame {
        let id = self.order[row.0 as usize - 1];
        &symbols.frames[id.0 as usize]
    }
}

/// The index of the frame that names a backtrace; `frames` are innermost first.
fn named_index(frames: &[FrameId], symbols: &Symbols) -> Option<usize> {
    let frame = |id: &FrameId| &symbols.frames[id.0 as usize];
    let is_allocating = |frame: &Frame| {
        frame.kind == Kind::Runtime || matches!(frame.krate.as_deref(), Some("alloc" | "core"))
    };
    let find = |is_it: &dyn Fn(&Frame) -> bool| frames.iter().position(|id| is_it(frame(id)));
    find(&|it| it.kind == Kind::Own)
        .or_else(|| find(&|it| it.kind == Kind::Unknown && symbols.is_executable(it)))
        .or_else(|| find(&|it| it.kind == Kind::Dependency))
        .or_else(|| find(&|it| it.kind == Kind::Unknown))
        .or_else(|| find(&|it| it.kind == Kind::Std && !is_allocating(it)))
        .or_else(|| find(&|it| !is_allocating(it)))
        .or_else(|| frames.len().checked_sub(1))
}
