//! State of the SQL view: editor, completions, history and result tabs.
//!
//! Invariants:
//! - A tab keeps its statement, start and run time, whatever is edited later.
//! - Positions are byte offsets for SQLite and the lexer, and rows and characters for the editor;
//!   [`SqlState::offset`] and [`SqlState::go_to`] convert.

use ratatui::style::Style;
use tui_textarea::{CursorMove, TextArea};

use crate::database::completion::{Completion, Names, complete};
use crate::database::sql::lexer;
use crate::tui::app::state::table::TableState;
use crate::tui::terminal::user_files::HISTORY_MAX;

/// Maximum number of result tabs.
pub const TABS_MAX: usize = 12;

/// Candidates for the word at the cursor.
#[derive(Clone, Debug, Default)]
pub struct Completions {
    /// The candidates and the range of the word.
    pub completion: Completion,
    /// The selected candidate.
    pub at: usize,
}

/// State of the view.
#[derive(Clone, Debug)]
pub struct SqlState {
    /// The editor.
    pub editor: TextArea<'static>,
    /// Names of tables, columns and functions for completion.
    pub names: Names,
    /// The open list of candidates.
    pub completions: Option<Completions>,
    /// Statements that were run, oldest first.
    pub history: Vec<String>,
    /// Position in the history, and the text before it was opened.
    pub history_at: Option<(usize, String)>,
    /// Result tabs.
    pub tabs: Vec<TableState>,
    /// Index of the current tab.
    pub tab: usize,
    /// Byte offset of the error of the last statement.
    pub error_offset: Option<usize>,
}

impl Default for SqlState {
    fn default() -> Self {
        Self {
            editor: editor(""),
            names: Names::default(),
            completions: None,
            history: Vec::new(),
            history_at: None,
            tabs: Vec::new(),
            tab: 0,
            error_offset: None,
        }
    }
}

impl SqlState {
    /// The whole text.
    pub fn text(&self) -> String {
        self.editor.lines().join("\n")
    }

    /// Replaces the whole text; the editor can undo it.
    pub fn set_text(&mut self, text: &str) {
        self.editor.select_all();
        self.editor.cut();
        self.editor.insert_str(text);
        self.editor.move_cursor(CursorMove::Top);
        self.editor.move_cursor(CursorMove::Head);
        self.on_text_changed();
    }

    /// Must be called after every change of the text.
    pub fn on_text_changed(&mut self) {
        self.error_offset = None;
        self.completions = None;
    }

    /// The byte offset of the cursor.
    pub fn offset(&self) -> usize {
        let cursor = self.editor.cursor();
        let before = self.editor.lines().iter().take(cursor.0);
        let lines: usize = before.map(|line| line.len() + 1).sum();
        let current_line = self.editor.lines().get(cursor.0);
        let within =
            current_line.map_or(0, |line| line.chars().take(cursor.1).map(char::len_utf8).sum());
        lines + within
    }

    /// Row and character of a byte offset.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let mut rest = offset;
        for (row, line) in self.editor.lines().iter().enumerate() {
            if rest <= line.len() {
                let before = line.get(..rest).unwrap_or(line);
                return (row, before.chars().count());
            }
            rest -= line.len() + 1;
        }
        (self.editor.lines().len().saturating_sub(1), 0)
    }

    /// Moves the cursor to a byte offset.
    pub fn go_to(&mut self, offset: usize) {
        let (row, column) = self.position(offset);
        let to = |it: usize| u16::try_from(it).unwrap_or(u16::MAX);
        self.editor.move_cursor(CursorMove::Jump(to(row), to(column)));
    }

    /// The statement at the cursor and its byte offset.
    pub fn statement(&self) -> Option<(usize, String)> {
        let text = self.text();
        let statement = lexer::statement_at(&text, self.offset())?;
        Some((statement.range.start, text.get(statement.range)?.to_owned()))
    }

    /// All statements with their byte offsets.
    pub fn statements(&self) -> Vec<(usize, String)> {
        let text = self.text();
        let statements = lexer::statements(&text).into_iter();
        let with_text =
            |range: std::ops::Range<usize>| Some((range.start, text.get(range)?.into()));
        statements.filter_map(|it| with_text(it.range)).collect()
    }

    /// Opens the list of candidates; inserts a single one at once.
    pub fn complete(&mut self) {
        let text = self.text();
        let completion = complete(&text, self.offset(), &self.names);
        match completion.candidates.len() {
            0 => self.completions = None,
            1 => {
                self.completions = Some(Completions { completion, at: 0 });
                self.accept_completion();
            }
            _ => self.completions = Some(Completions { completion, at: 0 }),
        }
    }

    /// Updates the open list after typing; inserts nothing.
    pub fn complete_again(&mut self) {
        let text = self.text();
        let completion = complete(&text, self.offset(), &self.names);
        let some = !completion.candidates.is_empty();
        self.completions = some.then_some(Completions { completion, at: 0 });
    }

    /// Replaces the word by the selected candidate.
    pub fn accept_completion(&mut self) {
        let Some(completions) = self.completions.take() else {
            return;
        };
        let Some(candidate) = completions.completion.candidates.get(completions.at) else {
            return;
        };
        let word = completions.completion.range;
        let text = self.text();
        let Some(typed) = text.get(word.start..self.offset()) else {
            return;
        };
        for _ in typed.chars() {
            self.editor.delete_char();
        }
        self.editor.insert_str(&candidate.text);
        self.on_text_changed();
    }

    /// Moves in the history; backwards if negative.
    pub fn step_history(&mut self, by: i64) {
        let (at, draft) = match self.history_at.take() {
            Some(it) => it,
            None => (self.history.len(), self.text()),
        };
        let at = at.saturating_add_signed(by as isize).min(self.history.len());
        let text = self.history.get(at).cloned().unwrap_or_else(|| draft.clone());
        self.set_text(&text);
        self.history_at = (at < self.history.len()).then_some((at, draft));
    }

    /// Adds a statement to the history, unless it is the last one; returns whether it was added.
    pub fn remember(&mut self, statement: &str) -> bool {
        self.history_at = None;
        if self.history.last().is_some_and(|last| last == statement) {
            return false;
        }
        self.history.push(statement.to_owned());
        if self.history.len() > HISTORY_MAX {
            self.history.remove(0);
        }
        true
    }

    /// Adds a result tab and shows it; removes the oldest beyond [`TABS_MAX`].
    pub fn add_tab(&mut self, table: TableState) {
        self.tabs.push(table);
        if self.tabs.len() > TABS_MAX {
            self.tabs.remove(0);
        }
        self.tab = self.tabs.len() - 1;
    }

    /// The shown result.
    pub fn table(&self) -> Option<&TableState> {
        self.tabs.get(self.tab)
    }
}

/// An editor with a text.
fn editor(text: &str) -> TextArea<'static> {
    let mut editor = TextArea::new(text.lines().map(str::to_owned).collect());
    editor.set_cursor_line_style(Style::new());
    editor.set_tab_length(2);
    editor.set_max_histories(200);
    editor
}
