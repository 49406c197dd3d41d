//! A key as the table has it, and how it is spelled.
//!
//! Invariant: what a terminal may tell in two ways (Shift with a character) is one [`Key`].

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// A key with what is held down beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The key.
    pub code: KeyCode,
    /// Ctrl and Alt; Shift is part of a character.
    pub held: KeyModifiers,
}

impl Key {
    /// As the terminal told it.
    pub fn of(event: KeyEvent) -> Self {
        let (code, held) = match event.code {
            KeyCode::BackTab => (KeyCode::BackTab, event.modifiers - KeyModifiers::SHIFT),
            KeyCode::Char(_) => (event.code, event.modifiers - KeyModifiers::SHIFT),
            code => (code, event.modifiers),
        };
        Self { code, held }
    }

    /// How it is written in the footer and in help.
    pub fn spelling(self) -> String {
        let held = match () {
            () if self.held.contains(KeyModifiers::CONTROL) => "^",
            () if self.held.contains(KeyModifiers::ALT) => "Alt-",
            () => "",
        };
        let code = match self.code {
            KeyCode::Char(' ') => "Space".into(),
            KeyCode::Char(c) if self.held.contains(KeyModifiers::CONTROL) => {
                c.to_ascii_uppercase().to_string()
            }
            KeyCode::Char(c) => c.to_string(),
            KeyCode::F(number) => format!("F{number}"),
            KeyCode::Backspace => "Bksp".into(),
            KeyCode::PageUp => "PgUp".into(),
            KeyCode::PageDown => "PgDn".into(),
            KeyCode::BackTab => "S-Tab".into(),
            code => format!("{code:?}"),
        };
        format!("{held}{code}")
    }
}
