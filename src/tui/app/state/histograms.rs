//! The histograms' state: which one is shown, which bar is selected.

use std::collections::HashMap;
use std::sync::Arc;

use crate::database::error::QueryError;
use crate::tui::app::state::cursor::Cursor;
use crate::tui::data::filter::FilterSet;
use crate::tui::data::histogram::{Bin, Histograms, Kind};

/// What a bar is as long as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BarUnit {
    /// Bytes.
    #[default]
    Bytes,
    /// Blocks.
    Blocks,
}

/// The histograms.
#[derive(Clone, Debug, Default)]
pub struct HistogramsState {
    /// What was counted.
    pub counted: Option<Arc<Histograms>>,
    /// The filter set that it was asked for.
    pub requested_for: Option<FilterSet>,
    /// Which one is shown.
    pub kind: Kind,
    /// What its bars are as long as.
    pub bar_unit: BarUnit,
    /// The selected bar.
    pub cursor: Cursor,
    /// What sites are called.
    pub names: HashMap<i64, String>,
    /// What went wrong.
    pub error: Option<QueryError>,
}

impl HistogramsState {
    /// The bars that are shown.
    pub fn bins(&self) -> &[Bin] {
        self.counted.as_ref().map_or(&[], |it| it.bins(self.kind))
    }

    /// The selected one.
    pub fn selected(&self) -> Option<&Bin> {
        self.bins().get(self.cursor.at as usize)
    }
}
