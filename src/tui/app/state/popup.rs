//! State of pop-ups: texts, source, lists and prompts.
//!
//! Invariant: a pop-up holds everything that its action needs; closing it has no effect.

use crate::database::builtin::Parameter;
use crate::tui::app::message::Source;
use crate::tui::app::state::cursor::Cursor;
use crate::tui::app::state::text_input::TextInput;
use crate::tui::input::key_lookup::Action;

/// A pop-up.
#[derive(Clone, Debug)]
pub enum Popup {
    /// A text to read.
    Text(Text),
    /// A source file, at a line.
    Source(SourcePopup),
    /// A list.
    Picker(Picker),
    /// A prompt.
    Prompt(Prompt),
}

/// A text to read.
#[derive(Clone, Debug, Default)]
pub struct Text {
    /// The title.
    pub title: String,
    /// The text.
    pub body: String,
    /// The scroll position.
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
    /// The text, once read.
    pub source: Option<Source>,
    /// The scroll position.
    pub cursor: Cursor,
}

/// The effect of choosing an item.
#[derive(Clone, Debug, PartialEq)]
pub enum PickerAction {
    /// Runs the built-in query of this name.
    RunQuery(String),
    /// Performs an action.
    Perform(Action),
}

/// An item of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct PickerItem {
    /// The effect of choosing it.
    pub action: PickerAction,
    /// Group, or the key of an action.
    pub group: String,
    /// Its name.
    pub title: String,
    /// A description.
    pub help: String,
}

/// A list with incremental search.
#[derive(Clone, Debug)]
pub struct Picker {
    /// The title.
    pub title: String,
    /// All items.
    pub items: Vec<PickerItem>,
    /// The text typed by the user.
    pub typed: TextInput,
    /// The selection among the matching items.
    pub cursor: Cursor,
}

impl Picker {
    /// The items that contain all typed words.
    pub fn matching(&self) -> Vec<&PickerItem> {
        let typed = self.typed.text().to_lowercase();
        let words: Vec<&str> = typed.split_whitespace().collect();
        let has_all = |item: &&PickerItem| {
            let text = format!("{} {} {}", item.group, item.title, item.help).to_lowercase();
            words.iter().all(|word| text.contains(word))
        };
        let mut found: Vec<&PickerItem> = self.items.iter().filter(has_all).collect();
        // An exact title comes first.
        found.sort_by_key(|item| item.title.to_lowercase() != typed.trim());
        found
    }
}

/// The purpose of a prompt.
#[derive(Clone, Debug, PartialEq)]
pub enum Purpose {
    /// A filter for the filter set.
    AddFilter,
    /// A filter for a column of the shown table.
    FilterColumn(usize),
    /// A pattern to search for in the flamegraph or tree.
    Search,
    /// The parameters of a built-in query; its name.
    QueryParameters(String),
    /// The name of a file to export to.
    Export,
    /// Two moments to compare.
    Moments,
    /// The pattern of a comparison.
    CompareOnly,
    /// The reason for accepting a suspect; its pattern.
    Accept(String),
}

/// A field.
#[derive(Clone, Debug)]
pub struct Field {
    /// The name of the field.
    pub label: String,
    /// A description.
    pub help: String,
    /// The text typed by the user.
    pub input: TextInput,
    /// The error of the last check.
    pub error: Option<String>,
    /// The query parameter that checks the value.
    pub parameter: Option<Parameter>,
}

/// A prompt.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// The title.
    pub title: String,
    /// The purpose.
    pub purpose: Purpose,
    /// The fields; at least one.
    pub fields: Vec<Field>,
    /// The field with the focus.
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

    /// The field with the focus.
    pub fn focused_field(&mut self) -> Option<&mut Field> {
        self.fields.get_mut(self.focused)
    }
}
