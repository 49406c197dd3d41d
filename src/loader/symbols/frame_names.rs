//! Every site's frames, numbered for the database.
//!
//! Reads: the sites' stacks of calls and the calls' symbols. Writes: [`Names`].
//!
//! Invariants: frames are numbered from 1 in the order in which sites show them, so that the
//! same program gives the same numbers; no site begins with frames of the recorder.

use std::collections::HashMap;

use crate::loader::symbols::{Frame, FrameId, Kind, Symbols, innermost_foreign};

/// A row of `frames`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FrameRow(pub(crate) u32);

/// All sites' frames.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// The frames in use; the first one is row 1.
    order: Vec<FrameId>,
    /// By [`FrameId`]: its row, or 0.
    rows: Vec<u32>,
    /// All sites' frames, one site behind the other, innermost first.
    flat: Vec<FrameRow>,
    /// By site, from 0: where its frames end in `flat`.
    ends: Vec<usize>,
    /// By site, from 0: the frame that names it.
    named: Vec<Option<Named>>,
}

/// The frame that names a site: the first own one, else a dependency's, else the first that is
/// neither the allocator's nor of `alloc` and `core`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// Its place in the backtrace.
    pub(crate) index: usize,
    /// The frame.
    pub(crate) frame: FrameRow,
    /// The dependency's function that it calls, directly or from the language's own.
    pub(crate) through: Option<FrameRow>,
    /// The next frame outwards of the same kind that is another function.
    pub(crate) caller: Option<FrameRow>,
}

impl Names {
    /// Adds the next site, given its calls from the innermost outwards.
    pub(crate) fn push(&mut self, calls: impl Iterator<Item = usize>, symbols: &Symbols) {
        let frames: Vec<FrameId> =
            calls.flat_map(|call| symbols.by_call[call].iter().copied()).collect();
        let trimmed = innermost_foreign(&frames, &symbols.frames);
        let shown = &frames[trimmed..];
        let from = self.flat.len();
        for id in shown {
            let row = self.number(*id);
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
            Named {
                index,
                frame: rows[index],
                through: through.map(|at| rows[at]),
                caller: caller.map(|at| rows[at]),
            }
        });
        self.named.push(named);
        self.ends.push(self.flat.len());
    }

    fn number(&mut self, id: FrameId) -> FrameRow {
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

    /// How many sites there are.
    pub(crate) fn sites(&self) -> usize {
        self.ends.len()
    }

    /// A site's frames, innermost first; sites count from 0 here.
    pub(crate) fn frames(&self, site: usize) -> &[FrameRow] {
        let from = site.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.flat[from..self.ends[site]]
    }

    /// The frame that names a site; sites count from 0 here.
    pub(crate) fn named(&self, site: usize) -> Option<Named> {
        self.named[site]
    }

    /// All rows of `frames` with what they stand for.
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

    /// By row of `frames`: the first row that is the same function, whatever the line.
    pub(crate) fn functions(&self, symbols: &Symbols) -> Vec<FrameRow> {
        let mut known: HashMap<&str, FrameRow> = HashMap::new();
        self.rows(symbols).map(|(row, frame, _)| *known.entry(&frame.sym).or_insert(row)).collect()
    }

    /// By row of `frames`: the first row that a reader can't tell from it.
    pub(crate) fn places(&self, symbols: &Symbols) -> Vec<FrameRow> {
        let mut known: HashMap<(&str, Option<&str>, Option<u32>), FrameRow> = HashMap::new();
        let rows = self.rows(symbols).map(|(row, frame, _)| {
            let place = (frame.sym.as_str(), frame.file.as_deref(), frame.line);
            *known.entry(place).or_insert(row)
        });
        rows.collect()
    }

    /// What a row of `frames` stands for.
    pub(crate) fn frame<'a>(&self, row: FrameRow, symbols: &'a Symbols) -> &'a Frame {
        let id = self.order[row.0 as usize - 1];
        &symbols.frames[id.0 as usize]
    }
}

/// Which frame names a backtrace, innermost first.
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
