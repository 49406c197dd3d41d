//! Messages to the state and effects from it: the interface between the pure and the impure part.
//!
//! Invariants:
//! - A [`Message`] carries everything that [`update`](mod@crate::tui::app::update) needs, the time included.
//! - Every [`Effect::Send`] is answered once, by a [`Message::Response`] with the same [`RequestId`].

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossterm::event::{KeyEvent, MouseEvent};

use crate::database::compare::{Comparison, Normalization, Window};
use crate::database::error::QueryError;
use crate::database::page::RowView;
use crate::database::query::Params;
use crate::database::table::{Completeness, Table};
use crate::tui::app::export::{Export, Writer};
use crate::tui::data::histogram::Histograms;
use crate::tui::flame::difference_tree::{DifferenceOptions, Differences};
use crate::tui::flame::shape::{Shape, ShapedTree};
use crate::tui::flame::site_stats::SiteStats;
use crate::tui::flame::tree::CallTree;
use crate::tui::terminal::terminal_guard::Mouse;

/// Time since the explorer was started.
pub type Now = Duration;

/// Identifies a request and its response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// An event for the state.
#[derive(Clone, Debug)]
pub enum Message {
    /// A key was pressed.
    Key(KeyEvent),
    /// A mouse event.
    Mouse(MouseEvent),
    /// Text was pasted.
    Paste(String),
    /// The new size of the terminal: columns and rows.
    Resize(u16, u16),
    /// Time has passed.
    Tick(Now),
    /// The response to a request.
    Response(Response),
    /// Suspend the process, as by Ctrl-Z.
    Stop,
    /// The text returned by an external editor.
    Edited(String),
    /// A message for the status line, such as the error of an effect.
    Notice(String),
}

/// An action outside the state.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Send a request to the worker.
    Send(Request),
    /// Cancel a request.
    Cancel(RequestId),
    /// Copy text to the clipboard.
    Copy(String),
    /// Open a file at a line in the user's editor.
    OpenSource(PathBuf, u32),
    /// Edit SQL in the user's editor; the result is [`Message::Edited`].
    EditSql(String),
    /// Append a line to the file of accepted suspects.
    Accept(String),
    /// Append a statement to the history.
    Remember(String),
    /// Enable or disable mouse events.
    SetMouse(Mouse),
    /// Suspend the process until it is continued.
    Suspend,
    /// Quit.
    Quit,
}

/// The queue of a request. Each has its own thread and database connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Queue {
    /// Data of the current view.
    View,
    /// SQL of the user.
    Sql,
    /// Background work: row counts and statistics.
    Count,
}

impl Queue {
    /// All queues.
    pub const ALL: [Self; 3] = [Self::View, Self::Sql, Self::Count];
}

/// A request to the worker.
#[derive(Clone, Debug)]
pub struct Request {
    /// Identifies the request.
    pub id: RequestId,
    /// The queue it waits in.
    pub queue: Queue,
    /// The operation.
    pub body: RequestBody,
}

/// A statement with its parameters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// The statement.
    pub sql: String,
    /// Values of its parameters.
    pub params: Params,
}

impl Query {
    /// A statement without parameters.
    pub fn plain(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), params: Params::none() }
    }
}

/// The operations of the worker.
#[derive(Clone, Debug)]
pub enum RequestBody {
    /// Rows of a statement, at most `limit`.
    Rows {
        /// The statement.
        query: Query,
        /// Maximum number of rows.
        limit: usize,
    },
    /// A page of a statement with filters and sorting.
    Page {
        /// The statement.
        query: Query,
        /// Filters and sorting.
        view: RowView,
        /// Rows to skip.
        offset: u64,
        /// Maximum number of rows.
        limit: usize,
    },
    /// The number of rows of a statement with filters.
    Count {
        /// The statement.
        query: Query,
        /// The filters.
        view: RowView,
    },
    /// A call tree.
    Tree(TreeSource),
    /// A call tree in each of the given shapes.
    Shape(Arc<CallTree>, Vec<Shape>),
    /// Statistics of each backtrace; the end of the recording in ns.
    Sites(i64),
    /// Histograms of the blocks that a statement returns.
    Histograms {
        /// The statement, with the columns of [`crate::tui::data::histogram::blocks`].
        sql: String,
        /// The end of the recording in ns.
        end_ns: i64,
    },
    /// The differences between two sides, and what figures are divided by.
    Compare(Sides, Normalization),
    /// A comparison as list and tree.
    Differences(Arc<Comparison>, DifferenceOptions),
    /// Export the view to a file.
    Export(Box<Export>, Writer),
    /// The lines of a source file around a line.
    Source {
        /// The file as the compiler named it.
        file: String,
        /// The line.
        line: u32,
    },
}

/// The sides of a comparison: two databases, or two moments of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sides {
    /// The database of the first side; `None`: the explored database.
    pub before: Option<PathBuf>,
    /// The time window of each side.
    pub windows: [Window; 2],
}

/// The source of a call tree.
#[derive(Clone, Debug, PartialEq)]
pub enum TreeSource {
    /// The table `tree` of the loader, which covers all allocations.
    Prepared,
    /// A statement with the columns `bt` and the measures.
    Weights(Query),
}

/// The response to a request.
#[derive(Clone, Debug)]
pub struct Response {
    /// Identifies the request.
    pub id: RequestId,
    /// Run time.
    pub elapsed: Duration,
    /// The result, or the error.
    pub result: Result<ResponseBody, QueryError>,
}

/// The result of a [`RequestBody`].
#[derive(Clone, Debug)]
pub enum ResponseBody {
    /// Rows of a statement.
    Table(Table),
    /// The number of rows; a lower bound if not complete.
    Count(u64, Completeness),
    /// A call tree.
    Tree(Arc<CallTree>),
    /// A call tree in each requested shape.
    Shaped(Vec<Arc<ShapedTree>>),
    /// Statistics by backtrace.
    Sites(Arc<HashMap<i64, SiteStats>>),
    /// Histograms of sizes, lifetimes and ages.
    Histograms(Arc<Histograms>),
    /// A comparison.
    Compared(Arc<Comparison>),
    /// A comparison as list and tree.
    Differences(Arc<Differences>),
    /// A message about the written file, or the error.
    Exported(Result<String, String>),
    /// Source text.
    Source(Source),
}

/// Lines of a source file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The path; `None`: not found.
    pub path: Option<PathBuf>,
    /// Why lines are missing; empty if none are.
    pub problem: String,
    /// Number of the first of `lines`.
    pub first_line: u32,
    /// The lines.
    pub lines: Vec<String>,
}
