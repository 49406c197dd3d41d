//! Everything that the explorer knows: what is shown, where the cursors are, what is asked.
//!
//! Reads and writes nothing outside; changed by [`update`](mod@crate::tui::app::update) only.
//!
//! Invariant: what was loaded remembers the filter set it was loaded for, so that a view never shows
//! the answer to an earlier filter set without asking anew.

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
use crate::tui::data::axis::Axis;
use crate::tui::data::filter::{FilterHistory, FilterSet};
use crate::tui::flame::measure::Measure;
use crate::tui::flame::sites::SiteFacts;
use crate::tui::input::keymap::Context;
use crate::tui::terminal::screen::Mouse;

/// From where the filter set is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ViewKind {
    /// Who leaks, ranked.
    #[default]
    Suspects,
    /// A flamegraph.
    Flame,
    /// The same, line by line.
    Tree,
    /// Blocks, or the rows of a built-in query.
    Rows,
    /// The run's course.
    Time,
    /// Sizes, lifetimes and ages.
    Histograms,
    /// Any SQL.
    Sql,
    /// What differs from another recording, or between two moments.
    Compare,
}

impl ViewKind {
    /// All of them, in the order of their digits.
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

/// Which half of a view has the keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pane {
    /// The list, the flamegraph or the editor.
    #[default]
    Main,
    /// The backtrace or the results.
    Detail,
}

/// What the header says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The database's file name.
    pub name: String,
    /// Length of the recording; `None` before the first answer.
    pub duration_ns: Option<i64>,
    /// Alive at the end.
    pub live_bytes: i64,
    /// Alive at the end.
    pub live_blocks: i64,
    /// Resident memory of the process at its last sample, and what of the heap was alive then;
    /// `None`: not known.
    pub rss: Option<(i64, i64)>,
    /// Most alive at once.
    pub peak_bytes: i64,
    /// When that was.
    pub peak_ns: i64,
    /// Blocks made.
    pub allocations: i64,
    /// Bytes live before the shutdown, if there was one.
    pub before_shutdown: Option<i64>,
    /// Events that were not recorded.
    pub losses: i64,
    /// The profiler that recorded it, where that was not rheaper.
    pub imported_from: Option<String>,
    /// What is to be said of all figures: that they are estimates, or what is missing in some.
    pub notes: Caveats,
    /// Live bytes over time.
    pub curve: Vec<u64>,
    /// When is what known.
    pub axis: Axis,
    /// Names of threads, by number.
    pub threads: Vec<(i64, String)>,
}

/// A sentence in the status line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The sentence.
    pub text: String,
    /// When it was said.
    pub at: Now,
    /// How bad it is.
    pub tone: Tone,
}

/// How bad a [`Note`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Something worked.
    Plain,
    /// Something did not.
    Bad,
}

/// Everything.
#[derive(Clone, Debug, Default)]
pub struct App {
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// Since the start.
    pub now: Now,
    /// The shown view.
    pub view: ViewKind,
    /// Which half of it has the keys.
    pub pane: Pane,
    /// The database, as it was named at the start.
    pub path: String,
    /// What the header says.
    pub facts: Facts,
    /// What all views show.
    pub filters: FilterHistory,
    /// ViewKind 1.
    pub suspects: SuspectsState,
    /// ViewKind 2.
    pub flame: FlameState,
    /// ViewKind 3, which shares its tree with view 2.
    pub tree: TreeState,
    /// ViewKind 5.
    pub time: TimeState,
    /// ViewKind 6.
    pub histograms: HistogramsState,
    /// ViewKind 4: the filter set's allocations, and what was opened over them.
    pub rows: Vec<TableState>,
    /// ViewKind 7.
    pub sql: SqlState,
    /// ViewKind 8.
    pub compare: CompareState,
    /// The backtrace beside a list.
    pub detail: DetailState,
    /// What lies over the screen, the last one on top.
    pub popups: Vec<Popup>,
    /// What the status line says.
    pub note: Option<Note>,
    /// Open questions.
    pub asked: PendingRequests,
    /// Whether we have the mouse.
    pub mouse: Mouse,
    /// What writes exports.
    pub exporter: Option<Writer>,
    /// The built-in queries.
    pub catalog: Vec<BuiltinQuery>,
    /// The filter set that the suspects were asked for.
    pub suspects_for: Option<FilterSet>,
    /// The filter set that the rows were asked for.
    pub rows_for: Option<FilterSet>,
    /// When Ctrl-C was pressed with nothing to stop.
    pub interrupted_at: Option<Now>,
    tables_made: u64,
}

impl App {
    /// " (±12% 8.0 MiB to 10.1 MiB)": how far a value of the call tree may be off, if it is an
    /// estimate and its backtraces are known: parts of them may hold anything.
    pub fn bounds(&self, facts: Option<&SiteFacts>, measure: Measure, value: u64) -> String {
        let filters = self.filters.now();
        let is_of_whole = filters.is_everything() || filters.is_of_sites();
        let known = facts.zip(self.facts.notes.rate());
        let known = known.filter(|_| is_of_whole && self.flame.over.is_none());
        let interval = known.and_then(|(facts, rate)| facts.interval(measure, value, rate));
        interval.map_or_else(String::new, |interval| {
            let error = relative_error_text(interval.relative_error(value));
            format!(" ({error} {})", interval_text(interval))
        })
    }

    /// The end of the recording.
    pub fn end_ns(&self) -> i64 {
        self.facts.duration_ns.unwrap_or(i64::MAX / 2)
    }

    /// Where keys are looked up, innermost first.
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

    /// The table that has the keys or is at least shown.
    pub fn table(&self) -> Option<&TableState> {
        match self.view {
            ViewKind::Rows => self.rows.last(),
            ViewKind::Sql => self.sql.table(),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub fn table_mut(&mut self) -> Option<&mut TableState> {
        match self.view {
            ViewKind::Rows => self.rows.last_mut(),
            ViewKind::Sql => self.sql.tabs.get_mut(self.sql.tab),
            _ => None,
        }
    }

    /// A table by its name, shown or not.
    pub fn table_named(&mut self, id: TableId) -> Option<&mut TableState> {
        let mut all = self.rows.iter_mut().chain(&mut self.sql.tabs);
        all.find(|table| table.id == id)
    }

    /// A new table.
    pub fn new_table(&mut self, title: String, origin: Origin, query: Query) -> TableState {
        TableState::new(self.new_table_id(), title, origin, query)
    }

    /// A name that no table has yet.
    pub fn new_table_id(&mut self) -> TableId {
        self.tables_made += 1;
        TableId(self.tables_made)
    }

    /// Says something in the status line.
    pub fn say(&mut self, text: impl Into<String>) {
        self.tell(text.into(), Tone::Plain);
    }

    /// Says in the status line that something did not work.
    pub fn show_error(&mut self, text: impl Into<String>) {
        self.tell(text.into(), Tone::Bad);
    }

    fn tell(&mut self, text: String, tone: Tone) {
        let at = self.now;
        self.note = Some(Note { text, at, tone });
    }
}
