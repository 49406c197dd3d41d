//! Key logs: keys as text, for recording and replay.
//!
//! A character stands for itself; other keys are in angle brackets, spelled as in the footer:
//! `2<Down><^U>~cache<Enter>`. `<lt>` is `<`. Line ends are ignored, and a line that starts with
//! `# ` is a comment.
//!
//! Invariant: a written log is parsed as the same keys.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind};

use crate::tui::input::key::Key;

/// Parses a key log.
///
/// # Errors
/// A message if it has an unknown key.
pub fn parse(text: &str) -> Result<Vec<KeyEvent>, String> {
    let mut keys = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.starts_with("# ") {
            continue;
        }
        let mut rest = line;
        while let Some(first) = rest.chars().next() {
            let (name, after) = match rest.strip_prefix('<') {
                None => rest.split_at(first.len_utf8()),
                Some(inside) => inside.split_once('>').ok_or_else(|| {
                    format!(
                        "line {}: `<` begins the name of a key; write <lt> for the character",
                        number + 1
                    )
                })?,
            };
            let key = if name == "lt" { Key::parse("<") } else { Key::parse(name) };
            let key = key.ok_or_else(|| format!("line {}: <{name}> is not a key", number + 1))?;
            keys.push(key.event());
            rest = after;
        }
    }
    Ok(keys)
}

/// A key as it is written to a log.
pub fn spell(event: KeyEvent) -> String {
    let key = Key::from_event(event);
    match (key.code, key.modifiers.is_empty()) {
        (KeyCode::Char('<'), true) => "<lt>".to_owned(),
        (KeyCode::Char(c), true) if c != ' ' && c != '#' => c.to_string(),
        _ => format!("<{}>", key.spelling()),
    }
}

/// A key log being written.
#[derive(Debug)]
pub(crate) struct Log(File);

impl Log {
    /// Creates the log in a new file.
    ///
    /// # Errors
    /// If the file exists or can't be written.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self(OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?))
    }

    /// Writes a key.
    ///
    /// # Errors
    /// If the file can't be written.
    pub(crate) fn write(&mut self, event: KeyEvent) -> io::Result<()> {
        if event.kind == KeyEventKind::Release {
            return Ok(());
        }
        let end = if event.code == KeyCode::Enter { "\n" } else { "" };
        self.0.write_all(format!("{}{end}", spell(event)).as_bytes())
    }
}
