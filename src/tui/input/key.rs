//! Keys and their spelling.
//!
//! Invariant: events that terminals report differently (Shift with a character) are one [`Key`].

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Names of special keys.
const NAMES: &[(&str, KeyCode)] = &[
    ("Enter", KeyCode::Enter),
    ("Esc", KeyCode::Esc),
    ("Tab", KeyCode::Tab),
    ("S-Tab", KeyCode::BackTab),
    ("Space", KeyCode::Char(' ')),
    ("Bksp", KeyCode::Backspace),
    ("Delete", KeyCode::Delete),
    ("Insert", KeyCode::Insert),
    ("Up", KeyCode::Up),
    ("Down", KeyCode::Down),
    ("Left", KeyCode::Left),
    ("Right", KeyCode::Right),
    ("Home", KeyCode::Home),
    ("End", KeyCode::End),
    ("PgUp", KeyCode::PageUp),
    ("PgDn", KeyCode::PageDown),
];

/// A key with modifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The key.
    pub code: KeyCode,
    /// Ctrl and Alt; Shift is part of a character.
    pub modifiers: KeyModifiers,
}

impl Key {
    /// The key of a terminal event.
    pub fn from_event(event: KeyEvent) -> Self {
        let (code, modifiers) = match event.code {
            KeyCode::BackTab => (KeyCode::BackTab, event.modifiers - KeyModifiers::SHIFT),
            KeyCode::Char(_) => (event.code, event.modifiers - KeyModifiers::SHIFT),
            code => (code, event.modifiers),
        };
        Self { code, modifiers }
    }

    /// Parses a key as [`spelling`](Self::spelling) writes it: `m`, `^U`, `Alt-Enter`, `F5`, `PgDn`.
    pub fn parse(text: &str) -> Option<Self> {
        let modifiers = |modifiers: KeyModifiers, rest: &str| {
            let key = Self::parse(rest).filter(|key| key.modifiers.is_empty())?;
            let code = match key.code {
                KeyCode::Char(c) if modifiers == KeyModifiers::CONTROL => {
                    KeyCode::Char(c.to_ascii_lowercase())
                }
                code => code,
            };
            Some(Self { code, modifiers })
        };
        let plain = |code| Some(Self { code, modifiers: KeyModifiers::NONE });
        if let Some((_, code)) = NAMES.iter().find(|(name, _)| *name == text) {
            return plain(*code);
        }
        let mut chars = text.chars();
        if let (Some(c), None) = (chars.next(), chars.next()) {
            return plain(KeyCode::Char(c));
        }
        if let Some(rest) = text.strip_prefix('^') {
            return modifiers(KeyModifiers::CONTROL, rest);
        }
        if let Some(rest) = text.strip_prefix("Alt-") {
            return modifiers(KeyModifiers::ALT, rest);
        }
        let number = text.strip_prefix('F').and_then(|number| number.parse().ok());
        number
            .filter(|number| (1..=24).contains(number))
            .and_then(|number| plain(KeyCode::F(number)))
    }

    /// The event of the key.
    pub fn event(self) -> KeyEvent {
        KeyEvent::new(self.code, self.modifiers)
    }

    /// The spelling in the footer, in help and in files.
    pub fn spelling(self) -> String {
        let modifiers = match () {
            () if self.modifiers.contains(KeyModifiers::CONTROL) => "^",
            () if self.modifiers.contains(KeyModifiers::ALT) => "Alt-",
            () => "",
        };
        let code = match self.code {
            KeyCode::Char(' ') => "Space".into(),
            KeyCode::Char(c) if self.modifiers.contains(KeyModifiers::CONTROL) => {
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
        format!("{modifiers}{code}")
    }
}
