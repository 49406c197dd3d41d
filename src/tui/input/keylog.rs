//! Keys as text: what was pressed is written down, and what is written is pressed.
//!
//! Reads: a log of keys. Writes: keys; or a log, as they are pressed.
//!
//! A character is itself; other keys stand in angle brackets as the footer spells them:
//! `2<Down><^U>~cache<Enter>`, and `<lt>` is `<`. Line ends mean nothing, and a line that begins
//! with `# ` is a comment.
//!
//! Invariant: what is written is read as the same keys.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind};

use crate::tui::input::key::Key;

/// The keys of a log.
///
/// # Errors
/// With a sentence, if something in it is no key.
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

/// A key as a log has it.
pub fn spelled(event: KeyEvent) -> String {
    let key = Key::of(event);
    match (key.code, key.modifiers.is_empty()) {
        (KeyCode::Char('<'), true) => "<lt>".to_owned(),
        (KeyCode::Char(c), true) if c != ' ' && c != '#' => c.to_string(),
        _ => format!("<{}>", key.spelling()),
    }
}

/// A log that is being written.
#[derive(Debug)]
pub(crate) struct Log(File);

impl Log {
    /// Begins one, in a file that is not there yet.
    ///
    /// # Errors
    /// If it is there, or can't be written.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self(OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?))
    }

    /// Writes a key down.
    ///
    /// # Errors
    /// If the file can't be written.
    pub(crate) fn write(&mut self, event: KeyEvent) -> io::Result<()> {
        if event.kind == KeyEventKind::Release {
            return Ok(());
        }
        let end = if event.code == KeyCode::Enter { "\n" } else { "" };
        self.0.write_all(format!("{}{end}", spelled(event)).as_bytes())
    }
}
