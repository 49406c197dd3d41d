//! A single-line text field.
//!
//! Invariant: the cursor is on a character boundary.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Maximum number of characters.
const CHARS_MAX: usize = 2000;

/// The text and the cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextInput {
    text: String,
    cursor: usize,
    origin: Origin,
}

/// Whether the text is a default, which the first typed character replaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Typed or edited by the user.
    #[default]
    Typed,
    /// A default that was not edited.
    Default,
}

impl TextInput {
    /// A field with the cursor at its end.
    pub fn with(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { cursor: text.len(), text, origin: Origin::Typed }
    }

    /// A field with a default that the first typed character replaces.
    pub fn with_default(text: impl Into<String>) -> Self {
        Self { origin: Origin::Default, ..Self::with(text) }
    }

    /// Whether the text is a default.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text before and after the cursor.
    pub fn split_at_cursor(&self) -> (&str, &str) {
        self.text.split_at(self.cursor)
    }

    /// Inserts text, without its line ends.
    pub fn insert(&mut self, text: &str) {
        if self.origin == Origin::Default {
            *self = Self::default();
        }
        for c in text.chars().filter(|c| !c.is_control()) {
            if self.text.chars().count() < CHARS_MAX {
                self.text.insert(self.cursor, c);
                self.cursor += c.len_utf8();
            }
        }
    }

    /// Handles a key; returns whether it changed anything.
    pub fn key(&mut self, key: KeyEvent) -> bool {
        let before = self.clone();
        let modifiers = key.modifiers - KeyModifiers::SHIFT;
        match key.code {
            KeyCode::Char('a') if modifiers == KeyModifiers::CONTROL => self.cursor = 0,
            KeyCode::Char('e') if modifiers == KeyModifiers::CONTROL => {
                self.cursor = self.text.len();
            }
            KeyCode::Char('k') if modifiers == KeyModifiers::CONTROL => {
                self.text.truncate(self.cursor);
            }
            KeyCode::Char('u') if modifiers == KeyModifiers::CONTROL => {
                self.text.drain(..self.cursor);
                self.cursor = 0;
            }
            KeyCode::Char('w') if modifiers == KeyModifiers::CONTROL => {
                let trimmed = self.text[..self.cursor].trim_end();
                let start = trimmed.rfind(' ').map_or(0, |at| at + 1);
                self.text.drain(start..self.cursor);
                self.cursor = start;
            }
            // Some terminals send Ctrl-H for Backspace.
            KeyCode::Char('h') if modifiers == KeyModifiers::CONTROL => self.delete_before(),
            KeyCode::Char(c) if modifiers.is_empty() => self.insert(c.encode_utf8(&mut [0; 4])),
            KeyCode::Backspace => self.delete_before(),
            KeyCode::Delete if self.cursor < self.text.len() => {
                self.text.remove(self.cursor);
            }
            KeyCode::Left => self.cursor -= self.width_before(),
            KeyCode::Right => {
                let next = self.text[self.cursor..].chars().next();
                self.cursor += next.map_or(0, char::len_utf8);
            }
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = self.text.len(),
            _ => {}
        }
        let changed = *self != before;
        if changed {
            self.origin = Origin::Typed;
        }
        changed
    }

    fn delete_before(&mut self) {
        if let Some(c) = self.text[..self.cursor].chars().next_back() {
            self.cursor -= c.len_utf8();
            self.text.remove(self.cursor);
        }
    }

    fn width_before(&self) -> usize {
        let last = self.text[..self.cursor].chars().next_back();
        last.map_or(0, char::len_utf8)
    }
}
