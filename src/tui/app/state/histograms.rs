//! State of the Histograms view: data, current histogram and selected bar.

use std::collections::HashMap;
use std::sync::Arc;

use crate::database::error::QueryError;
use crate::tui::app::state::cursor::Cursor;
use crate::tui::data::filter::FilterSet;
use crate::tui::data::histogram::{Bin, Histograms, Kind};

/// The unit of the bars' lengths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BarUnit {
    /// Bytes.
    #[default]
    Bytes,
    /// Blocks.
    Blocks,
}

/// State of the view.
#[derive(Clone, Debug, Default)]
pub struct HistogramsState {
    /// The data.
    pub counted: Option<Arc<Histograms>>,
    /// The filter set of the data that was requested.
    pub requested_for: Option<FilterSet>,
    /// The current histogram.
    pub kind: Kind,
    /// The unit of its bars.
    pub bar_unit: BarUnit,
    /// The selected bar.
    pub cursor: Cursor,
    /// Names of sites by backtrace.
    pub names: HashMap<i64, String>,
    /// The error of the last request, if it failed.
    pub error: Option<QueryError>,
}

impl HistogramsState {
    /// The bars of the current histogram.
    pub fn bins(&self) -> &[Bin] {
        self.counted.as_ref().map_or(&[], |it| it.bins(self.kind))
    }

    /// The selected bar.
    pub fn selected(&self) -> Option<&Bin> {
        self.bins().get(self.cursor.at as usize)
    }
}
