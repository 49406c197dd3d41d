//! What reaches the state and what it asks for: the only words between the pure and the rest.
//!
//! Invariants:
//! - A [`Message`] carries everything that [`update`](mod@crate::tui::app::update) needs; it looks at no clock.
//! - Every [`Effect::Ask`] is answered once, by [`Message::Answer`] with the same [`RequestId`].

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossterm::event::{KeyEvent, MouseEvent};

use crate::database::compare::{Comparison, Normalization, Window};
use crate::database::error::QueryError;
use crate::database::page::View;
use crate::database::query::Params;
use crate::database::table::{Completeness, Table};
use crate::tui::app::export::{Export, Writer};
use crate::tui::data::histogram::Histograms;
use crate::tui::flame::difference_tree::{DifferenceOptions, Differences};
use crate::tui::flame::shape::{Shape, Shown};
use crate::tui::flame::site_stats::SiteStats;
use crate::tui::flame::tree::CallTree;
use crate::tui::terminal::screen::Mouse;

/// Since the explorer was started.
pub type Now = Duration;

/// Names one question and its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// Something happened.
#[derive(Clone, Debug)]
pub enum Message {
    /// A key was pressed.
    Key(KeyEvent),
    /// The mouse did something.
    Mouse(MouseEvent),
    /// Text was pasted.
    Paste(String),
    /// The terminal has this many columns and rows.
    Resize(u16, u16),
    /// Time has passed.
    Tick(Now),
    /// A question was answered.
    Response(Response),
    /// The process is to stop, as by Ctrl-Z.
    Stop,
    /// An external editor has returned this text.
    Edited(String),
    /// Something to tell the user, such as an effect that failed.
    Notice(String),
}

/// Something to be done outside the state.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Ask the database or the file system.
    Send(Request),
    /// Stop asking.
    Cancel(RequestId),
    /// Put text on the clipboard.
    Copy(String),
    /// Open a file at a line in the user's editor.
    OpenSource(PathBuf, u32),
    /// Edit SQL in the user's editor; answered by [`Message::Edited`].
    EditSql(String),
    /// Append a line to the file of accepted suspects.
    Accept(String),
    /// Append a statement to the history.
    Remember(String),
    /// Ask for mouse events, or no longer.
    SetMouse(Mouse),
    /// Stop the process until it is continued.
    Suspend,
    /// End.
    Quit,
}

/// Which queue a question waits in. Each has a thread and a connection of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Queue {
    /// What a view needs to be drawn.
    View,
    /// What the user wrote.
    Sql,
    /// Row counts, which nobody waits for.
    Count,
}

impl Queue {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::View, Self::Sql, Self::Count];
}

/// A question.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its name.
    pub id: RequestId,
    /// Its queue.
    pub queue: Queue,
    /// What is asked.
    pub body: RequestBody,
}

/// Rows of a statement.
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

/// What can be asked.
#[derive(Clone, Debug)]
pub enum RequestBody {
    /// Rows, at most so many.
    Rows {
        /// The statement.
        query: Query,
        /// The most rows to fetch.
        limit: usize,
    },
    /// A page of a statement seen through a view.
    Page {
        /// The statement.
        query: Query,
        /// Its filters and its order.
        view: View,
        /// Rows to leave out at the beginning.
        offset: u64,
        /// The most rows to fetch.
        limit: usize,
    },
    /// How many rows a statement has through a view.
    Count {
        /// The statement.
        query: Query,
        /// Its filters.
        view: View,
    },
    /// A call tree.
    Tree(TreeSource),
    /// A call tree as it is to be shown, each [`Shape`] in turn.
    Shape(Arc<CallTree>, Vec<Shape>),
    /// What is known of each backtrace beside its weight; the end of the recording.
    Sites(i64),
    /// Sizes, lives and ages of the blocks that a statement gives.
    Histograms {
        /// The statement, with the columns of [`crate::tui::data::histogram::blocks`].
        sql: String,
        /// The end of the recording.
        end_ns: i64,
    },
    /// What differs between two sides, divided so.
    Compare(Sides, Normalization),
    /// The same as it is to be shown.
    Differences(Arc<Comparison>, DifferenceOptions),
    /// What is shown, to be written to a file.
    Export(Box<Export>, Writer),
    /// The lines of a source file around one.
    Source {
        /// The file as the compiler named it.
        file: String,
        /// The line.
        line: u32,
    },
}

/// What is compared: two databases, or two moments of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sides {
    /// The first side's file; `None`: the explored database itself.
    pub before: Option<PathBuf>,
    /// What of each side.
    pub windows: [Window; 2],
}

/// Where a call tree comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum TreeSource {
    /// The table that the loader made, for everything.
    Prepared,
    /// A statement whose rows are `bt` and the six measures.
    Weights(Query),
}

/// What became of a question.
#[derive(Clone, Debug)]
pub struct Response {
    /// Its name.
    pub id: RequestId,
    /// How long it took.
    pub elapsed: Duration,
    /// What came out.
    pub result: Result<ResponseBody, QueryError>,
}

/// What comes out of an [`Ask`].
#[derive(Clone, Debug)]
pub enum ResponseBody {
    /// Rows.
    Table(Table),
    /// How many rows there are, or at least so many.
    Count(u64, Completeness),
    /// A call tree.
    Tree(Arc<CallTree>),
    /// A call tree as shown, one for each shape.
    Shown(Vec<Arc<Shown>>),
    /// Facts by backtrace.
    Sites(Arc<HashMap<i64, SiteStats>>),
    /// Sizes, lives and ages.
    Histograms(Arc<Histograms>),
    /// What differs.
    Compared(Arc<Comparison>),
    /// What differs, as shown.
    Differences(Arc<Differences>),
    /// Where an export was written, or why it was not.
    Exported(Result<String, String>),
    /// Source text.
    Source(Source),
}

/// Lines of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Where it was found; none: nowhere.
    pub path: Option<PathBuf>,
    /// Where it was looked for, in words, if it was not found.
    pub problem: String,
    /// Number of the first of `lines`.
    pub first_line: u32,
    /// The lines.
    pub lines: Vec<String>,
}
