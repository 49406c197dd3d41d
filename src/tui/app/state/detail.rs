//! State of the detail pane: frames and totals of a backtrace, source of the selected frame.
//!
//! Invariant: the selection is an index into [`DetailState::lines`], in which a run of library and
//! runtime frames is one line unless expanded.

use crate::database::table::{Table, Value};
use crate::tui::app::message::Source;
use crate::tui::app::state::cursor::Cursor;
use crate::tui::app::state::table::number;
use crate::tui::flame::shape::Collapse;
use crate::tui::flame::tree::FrameKind;

/// Maximum frames of a backtrace.
pub const FRAMES_MAX: usize = 2000;

/// A frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// 0 is the innermost.
    pub number: i64,
    /// Whole name.
    pub sym: String,
    /// Short name.
    pub function: String,
    /// The kind of code.
    pub kind: FrameKind,
    /// Source file.
    pub file: Option<String>,
    /// Line in it.
    pub line: Option<u32>,
    /// Whether it was inlined into the next one.
    pub inlined: Inlined,
}

/// Whether a frame was inlined into its caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Inlined {
    /// A real call.
    #[default]
    No,
    /// Inlined.
    Yes,
}

/// A line of the pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// A frame, by its position.
    Frame(usize),
    /// A run of library and runtime frames: position and length.
    Collapsed(usize, usize),
}

/// State of the pane.
#[derive(Clone, Debug, Default)]
pub struct DetailState {
    /// The backtrace that is shown or requested.
    pub bt: Option<i64>,
    /// The frames, innermost first; `None` while they are fetched.
    pub frames: Option<Vec<Frame>>,
    /// Totals of the site, by column.
    pub site: Option<Table>,
    /// The selected line.
    pub cursor: Cursor,
    /// Whether library and runtime frames are collapsed.
    pub library: Collapse,
    /// Source around the selected frame.
    pub excerpt: Option<Source>,
    /// The source location that is shown or requested.
    pub excerpt_of: Option<(String, u32)>,
}

impl DetailState {
    /// The lines to draw.
    pub fn lines(&self) -> Vec<Line> {
        let frames = self.frames.as_deref().unwrap_or_default();
        let mut lines = Vec::new();
        let mut at = 0;
        while at < frames.len() {
            let is_library = |frame: &&Frame| frame.kind.is_library();
            let run = frames.iter().skip(at).take_while(is_library).count();
            if self.library == Collapse::Collapsed && run > 0 && run < frames.len() {
                lines.push(Line::Collapsed(at, run));
                at += run;
            } else {
                lines.push(Line::Frame(at));
                at += 1;
            }
        }
        lines
    }

    /// The selected frame; the first one of a collapsed run.
    pub fn selected(&self) -> Option<&Frame> {
        let at = match self.lines().get(self.cursor.at as usize)? {
            Line::Frame(at) | Line::Collapsed(at, _) => *at,
        };
        self.frames.as_ref()?.get(at)
    }

    /// Whether a collapsed run is selected.
    pub fn is_on_collapsed(&self) -> bool {
        let line = self.lines().get(self.cursor.at as usize).copied();
        matches!(line, Some(Line::Collapsed(..)))
    }

    /// The source location of the selected frame.
    pub fn place(&self) -> Option<(String, u32)> {
        let frame = self.selected().filter(|_| !self.is_on_collapsed())?;
        Some((frame.file.clone()?, frame.line?))
    }

    /// Starts with another backtrace.
    pub fn start(&mut self, bt: Option<i64>) {
        *self = Self { bt, library: self.library, ..Self::default() };
    }

    /// Shows the frames and selects the first own one.
    pub fn set(&mut self, table: &Table) {
        self.frames = Some((0..table.rows.len()).map(|row| frame(table, row)).collect());
        let frames = self.frames.as_deref().unwrap_or_default();
        let own = |line: &Line| match line {
            Line::Frame(at) => frames.get(*at).is_some_and(|it| it.kind == FrameKind::Own),
            Line::Collapsed(..) => false,
        };
        let first = self.lines().iter().position(own);
        self.cursor = Cursor { at: first.unwrap_or(0) as u64, top: 0 };
    }

    /// A number of the site's totals.
    pub fn total(&self, name: &str) -> Option<i64> {
        self.site.as_ref()?.get(0, name).and_then(number)
    }
}

fn frame(table: &Table, row: usize) -> Frame {
    let text = |name: &str| table.get(row, name).and_then(Value::as_str);
    let integer = |name: &str| table.get(row, name).and_then(number);
    Frame {
        number: integer("frame_no").unwrap_or(0),
        sym: text("sym").unwrap_or("").to_owned(),
        function: text("function").unwrap_or("").to_owned(),
        kind: FrameKind::parse(text("kind").unwrap_or("")),
        file: text("file").map(str::to_owned),
        line: integer("line").and_then(|line| u32::try_from(line).ok()),
        inlined: match integer("inlined") {
            Some(1) => Inlined::Yes,
            _ => Inlined::No,
        },
    }
}
