//! The state of the explorer: views, cursors, filters, pending requests.
//!
//! Only [`update`](mod@crate::tui::app::update) changes it.
//!
//! Invariant: loaded data keeps the filter set that it was requested for, so that a view never shows
//! the data of other filters without a new request.

pub mod flame;
pub mod tree;
pub mod time;
pub mod histograms;
pub mod suspects;
pub mod sql;
pub mod popup;
pub mod compare;
pub mod detail;
pub mod table;
pub mod requests;
pub mod text_input;
pub mod flame_cursor;
pub mod cursor;

use crate::database::builtin::BuiltinQuery;
use crate::database::caveats::{Caveats, interval_text, relative_error_text};
use crate::tui::app::export::Writer;
use crate::tui::app::message::{Now, Query};
use crate::tui::app::state::compare::CompareState;
use crate::tui::app::state::detail::DetailState;
use crate::tui::app::state::flame::FlameState;
use crate::tui::app::state::histograms::HistogramsState;
use crate::tui::app::state::popup::Popup;
use crate::tui::app::state::requests::{PendingRequests, TableId};
use crate::tui::app::state::sql::SqlState;
use crate::tui::app::state::suspects::SuspectsState;
use crate::tui::app::state::table::{Origin, TableState};
use crate::tui::app::state::time::TimeState;
use crate::tui::app::state::tree::TreeState;
use crate::tui::data::filter::{FilterHistory, FilterSet};
use crate::tui::data::time_axis::Axis;
use crate::tui::flame::measure::Measure;
use crate::tui::flame::site_stats::SiteStats;
use crate::tui::input::key_lookup::Context;
use crate::tui::terminal::terminal_guard::Mouse;

/// The views.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ViewKind {
    /// Suspects, ranked.
    #[default]
    Suspects,
    /// A flamegraph.
    Flame,
    /// The call tree, line by line.
    Tree,
    /// Allocations or rows of a built-in query.
    Rows,
    /// Live bytes over time.
    Time,
    /// Sizes, lifetimes and ages.
    Histograms,
    /// The SQL editor.
    Sql,
    /// Differences from another recording, or between two moments.
    Compare,
}

impl ViewKind {
    /// All views, in the order of their digits.
    pub const ALL: [Self; 8] = [
        Self::Suspects,
        Self::Flame,
        Self::Tree,
        Self::Rows,
        Self::Time,
        Self::Histograms,
        Self::Sql,
        Self::Compare,
    ];

    /// Digit and name.
    pub fn title(self) -> (char, &'static str) {
        match self {
            Self::Suspects => ('1', "Suspects"),
            Self::Flame => ('2', "Flame"),
            Self::Tree => ('3', "Tree"),
            Self::Rows => ('4', "Rows"),
            Self::Time => ('5', "Time"),
            Self::Histograms => ('6', "Histograms"),
            Self::Sql => ('7', "SQL"),
            Self::Compare => ('8', "Compare"),
        }
    }
}

/// The pane of a view that has the focus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pane {
    /// The list, the flamegraph or the editor.
    #[default]
    Main,
    /// The backtrace or the results.
    Detail,
}

/// The data of the header, and what all views share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// The database's file name.
    pub name: String,
    /// Length of the recording; `None`: not read yet.
    pub duration_ns: Option<i64>,
    /// Live at the end.
    pub live_bytes: i64,
    /// Live at the end.
    pub live_blocks: i64,
    /// Resident memory at the last memory reading, and live bytes at that moment; `None`: not
    /// recorded.
    pub rss: Option<(i64, i64)>,
    /// Peak of live bytes.
    pub peak_bytes: i64,
    /// Time of the peak.
    pub peak_ns: i64,
    /// Number of allocations.
    pub allocations: i64,
    /// Bytes live before the shutdown, if there was one.
    pub before_shutdown: Option<i64>,
    /// Events that were not recorded.
    pub losses: i64,
    /// The profiler that recorded it, if that was not rheaper.
    pub imported_from: Option<String>,
    /// Caveats of all figures: sampling and aggregation.
    pub caveats: Caveats,
    /// Live bytes over time.
    pub curve: Vec<u64>,
    /// The time axis.
    pub axis: Axis,
    /// Names of threads, by number.
    pub threads: Vec<(i64, String)>,
}

/// A message in the status line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The text.
    pub text: String,
    /// When it was shown.
    pub at: Now,
    /// Information or error.
    pub severity: Severity,
}

/// Severity of a [`Notice`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Information.
    Info,
    /// An error.
    Error,
}

/// The state.
#[derive(Clone, Debug, Default)]
pub struct App {
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// Time since the start.
    pub now: Now,
    /// The shown view.
    pub view: ViewKind,
    /// The pane with the focus.
    pub pane: Pane,
    /// The database, as it was named at the start.
    pub path: String,
    /// The data of the header, and what all views share.
    pub overview: Overview,
    /// The filters of all views.
    pub filters: FilterHistory,
    /// View 1.
    pub suspects: SuspectsState,
    /// View 2.
    pub flame: FlameState,
    /// View 3, which shares its tree with view 2.
    pub tree: TreeState,
    /// View 5.
    pub time: TimeState,
    /// View 6.
    pub histograms: HistogramsState,
    /// View 4: the selected allocations, and tables opened on top of them.
    pub rows: Vec<TableState>,
    /// View 7.
    pub sql: SqlState,
    /// View 8.
    pub compare: CompareState,
    /// The detail pane.
    pub detail: DetailState,
    /// Open pop-ups, the topmost last.
    pub popups: Vec<Popup>,
    /// The message in the status line.
    pub notice: Option<Notice>,
    /// Pending requests.
    pub requests: PendingRequests,
    /// Whether mouse events are captured.
    pub mouse: Mouse,
    /// Writes exports.
    pub exporter: Option<Writer>,
    /// Built-in queries.
    pub catalog: Vec<BuiltinQuery>,
    /// The filter set of the requested suspects.
    pub suspects_for: Option<FilterSet>,
    /// The filter set of the requested rows.
    pub rows_for: Option<FilterSet>,
    /// When Ctrl-C was pressed while nothing was running.
    pub interrupted_at: Option<Now>,
    tables_created: u64,
}

impl App {
    /// The error bounds of a value of the call tree, as in " (±12% 8.0 MiB to 10.1 MiB)"; empty if it is
    /// exact, or if it covers only parts of its sites, for which the error is unknown.
    pub fn bounds(&self, stats: Option<&SiteStats>, measure: Measure, value: u64) -> String {
        let filters = self.filters.current();
        let covers_whole_sites = filters.is_unfiltered() || filters.is_site_only();
        let known = stats.zip(self.overview.caveats.rate());
        let known = known.filter(|_| covers_whole_sites && self.flame.over.is_none());
        let interval = known.and_then(|(stats, rate)| stats.interval(measure, value, rate));
        interval.map_or_else(String::new, |interval| {
            let error = relative_error_text(interval.relative_error(value));
            format!(" ({error} {})", interval_text(interval))
        })
    }

    /// The end of the recording.
    pub fn end_ns(&self) -> i64 {
        self.overview.duration_ns.unwrap_or(i64::MAX / 2)
    }

    /// The contexts in which keys are looked up, innermost first.
    pub fn contexts(&self) -> &'static [Context] {
        match self.popups.last() {
            Some(Popup::Text(_)) => &[Context::Text, Context::Motion, Context::Always],
            Some(Popup::Source(_)) => {
                &[Context::Source, Context::Text, Context::Motion, Context::Always]
            }
            Some(Popup::Picker(_)) => &[Context::Picker, Context::Always],
            Some(Popup::Prompt(_)) => &[Context::Prompt, Context::Always],
            None => self.view_contexts(),
        }
    }

    fn view_contexts(&self) -> &'static [Context] {
        match (self.view, self.pane) {
            (ViewKind::Suspects, Pane::Main) => {
                &[Context::Suspects, Context::Motion, Context::Global, Context::Always]
            }
            (ViewKind::Suspects | ViewKind::Rows, Pane::Detail) => {
                &[Context::Detail, Context::Motion, Context::Global, Context::Always]
            }
            (ViewKind::Flame, _) => {
                &[Context::Flame, Context::Motion, Context::Global, Context::Always]
            }
            (ViewKind::Tree, _) => {
                &[Context::Tree, Context::Motion, Context::Global, Context::Always]
            }
            (ViewKind::Time, _) => {
                &[Context::Time, Context::Motion, Context::Global, Context::Always]
            }
            (ViewKind::Histograms, _) => {
                &[Context::Histograms, Context::Motion, Context::Global, Context::Always]
            }
            (ViewKind::Compare, _) => {
                &[Context::Compare, Context::Motion, Context::Global, Context::Always]
            }
            (ViewKind::Rows, Pane::Main) => {
                &[Context::Rows, Context::Motion, Context::Global, Context::Always]
            }
            (ViewKind::Sql, Pane::Main) if self.sql.completions.is_some() => {
                &[Context::Completions, Context::Editor, Context::Always]
            }
            (ViewKind::Sql, Pane::Main) => &[Context::Editor, Context::Always],
            (ViewKind::Sql, Pane::Detail) => &[
                Context::Results,
                Context::Rows,
                Context::Motion,
                Context::Global,
                Context::Always,
            ],
        }
    }

    /// The table of the current view.
    pub fn table(&self) -> Option<&TableState> {
        match self.view {
            ViewKind::Rows => self.rows.last(),
            ViewKind::Sql => self.sql.table(),
            _ => None,
        }
    }

    /// The table of the current view, mutable.
    pub fn table_mut(&mut self) -> Option<&mut TableState> {
        match self.view {
            ViewKind::Rows => self.rows.last_mut(),
            ViewKind::Sql => self.sql.tabs.get_mut(self.sql.tab),
            _ => None,
        }
    }

    /// A table by its id, shown or not.
    pub fn table_by_id(&mut self, id: TableId) -> Option<&mut TableState> {
        let mut all = self.rows.iter_mut().chain(&mut self.sql.tabs);
        all.find(|table| table.id == id)
    }

    /// A new table.
    pub fn new_table(&mut self, title: String, origin: Origin, query: Query) -> TableState {
        TableState::new(self.new_table_id(), title, origin, query)
    }

    /// An id that no table has yet.
    pub fn new_table_id(&mut self) -> TableId {
        self.tables_created += 1;
        TableId(self.tables_created)
    }

    /// Shows a message in the status line.
    pub fn notify(&mut self, text: impl Into<String>) {
        self.set_notice(text.into(), Severity::Info);
    }

    /// Shows an error in the status line.
    pub fn show_error(&mut self, text: impl Into<String>) {
        self.set_notice(text.into(), Severity::Error);
    }

    fn set_notice(&mut self, text: String, severity: Severity) {
        let at = self.now;
        self.notice = Some(Notice { text, at, severity });
    }
}
