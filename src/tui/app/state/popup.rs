//! What lies over the screen: texts, lists to choose from, fields to fill in.
//!
//! Invariant: a pop-up knows what it will do; closing it does nothing.

use crate::database::builtin::Parameter;
use crate::tui::app::message::Source;
use crate::tui::app::state::cursor::Cursor;
use crate::tui::app::state::text_input::TextInput;
use crate::tui::input::keymap::Action;

/// A pop-up.
#[derive(Clone, Debug)]
pub enum Popup {
    /// A text to read.
    Text(Text),
    /// A source file, at a line.
    Source(SourcePopup),
    /// A list.
    Picker(Picker),
    /// Fields.
    Prompt(Prompt),
}

/// A text to read.
#[derive(Clone, Debug, Default)]
pub struct Text {
    /// What it is.
    pub title: String,
    /// The text, with line ends.
    pub body: String,
    /// The first line shown.
    pub cursor: Cursor,
}

/// A source file, at a line.
#[derive(Clone, Debug, Default)]
pub struct SourcePopup {
    /// The function.
    pub sym: String,
    /// The file as the compiler named it.
    pub file: String,
    /// The line.
    pub line: u32,
    /// The text, when it is here.
    pub source: Option<Source>,
    /// The first line shown.
    pub cursor: Cursor,
}

/// What choosing a line does.
#[derive(Clone, Debug, PartialEq)]
pub enum PickerAction {
    /// Asks the canned question of this name.
    RunQuery(String),
    /// Does what a key would do.
    Perform(Action),
}

/// A line to choose.
#[derive(Clone, Debug, PartialEq)]
pub struct PickerItem {
    /// What it does.
    pub action: PickerAction,
    /// What it belongs to.
    pub group: String,
    /// Its name.
    pub title: String,
    /// A sentence about it.
    pub help: String,
}

/// A list, narrowed by what is typed.
#[derive(Clone, Debug)]
pub struct Picker {
    /// What is chosen.
    pub title: String,
    /// All of it.
    pub items: Vec<PickerItem>,
    /// What was typed.
    pub typed: TextInput,
    /// The selection, among those that match.
    pub cursor: Cursor,
}

impl Picker {
    /// The items that have all typed words in them.
    pub fn matching(&self) -> Vec<&PickerItem> {
        let typed = self.typed.text().to_lowercase();
        let words: Vec<&str> = typed.split_whitespace().collect();
        let has_all = |item: &&PickerItem| {
            let text = format!("{} {} {}", item.group, item.title, item.help).to_lowercase();
            words.iter().all(|word| text.contains(word))
        };
        let mut found: Vec<&PickerItem> = self.items.iter().filter(has_all).collect();
        // Whoever types a whole name means it.
        found.sort_by_key(|item| item.title.to_lowercase() != typed.trim());
        found
    }
}

/// What the fields are for.
#[derive(Clone, Debug, PartialEq)]
pub enum Purpose {
    /// A filter for the filter set.
    AddFilter,
    /// A filter for a column of the shown table.
    FilterColumn(usize),
    /// A pattern to search for in the flamegraph.
    Search,
    /// The parameters of a canned question.
    QueryParameters(String),
    /// The name of a file to export to.
    Export,
    /// Two moments to compare.
    Moments,
    /// What a comparison is narrowed to.
    CompareOnly,
    /// Why a suspect is accepted; its pattern.
    Accept(String),
}

/// A field.
#[derive(Clone, Debug)]
pub struct Field {
    /// What to type.
    pub label: String,
    /// More about it.
    pub help: String,
    /// What was typed.
    pub input: TextInput,
    /// What is wrong with it.
    pub error: Option<String>,
    /// The parameter it is for.
    pub parameter: Option<Parameter>,
}

/// Fields.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// What it is.
    pub title: String,
    /// What they are for.
    pub purpose: Purpose,
    /// The fields; at least one.
    pub fields: Vec<Field>,
    /// The one that has the keys.
    pub focused: usize,
}

impl Prompt {
    /// A prompt with one field.
    pub fn one(title: impl Into<String>, purpose: Purpose, help: &str, text: &str) -> Self {
        Self {
            title: title.into(),
            purpose,
            fields: vec![Field {
                label: String::new(),
                help: help.to_owned(),
                input: TextInput::with(text),
                error: None,
                parameter: None,
            }],
            focused: 0,
        }
    }

    /// The field that has the keys.
    pub fn focused_field(&mut self) -> Option<&mut Field> {
        self.fields.get_mut(self.focused)
    }
}
