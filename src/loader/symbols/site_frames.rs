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
    /// By site, from 0: index and row of the first own frame, else of the innermost frame.
    own: Vec<Option<(usize, FrameRow)>>,
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
        let kind = |id: &FrameId| symbols.frames[id.0 as usize].kind;
        let own = shown.iter().position(|id| kind(id) == Kind::Own);
        let first = own.or((!shown.is_empty()).then_some(0));
        self.own.push(first.map(|index| (index, self.flat[from + index])));
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

    /// Index and row of a site's first own frame, else of its innermost frame.
    pub(crate) fn own(&self, site: usize) -> Option<(usize, FrameRow)> {
        self.own[site]
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

    /// The frame of a row.
    pub(crate) fn frame<'a>(&self, row: FrameRow, symbols: &'a Symbols) -> &'a Frame {
        let id = self.order[row.0 as usize - 1];
        &symbols.frames[id.0 as usize]
    }
}
