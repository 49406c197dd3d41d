//! What the terminal says about its background, told apart from what is typed.
//!
//! Reads: keys, as they come. Writes: nothing; [`QUESTION`] is for whoever has the terminal.
//!
//! The answer comes among the keys, whenever it comes: over a slow line long after the first
//! frame, and from some terminals never. So nothing waits for it, and it is picked out here.
//!
//! Invariant: keys that are not the answer come out again, all of them, in their order.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::tui::terminal::theme::Background;

/// Asks for the background's colour (OSC 11).
pub const QUESTION: &[u8] = b"\x1b]11;?\x1b\\";

/// How long an answer may take; later, the key it begins with is a key again.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// How long the first frame waits for it.
pub const HOLD: Duration = Duration::from_millis(80);

/// What every answer begins with, behind the key.
const PREFIX: &str = "11;rgb";

/// Characters of the longest answer: `11;rgba:` and four numbers of four digits.
const LENGTH_MAX: usize = 32;

/// What became of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Osc11Parser {
    /// It may be part of the answer, and is kept.
    Held,
    /// These are to be pressed.
    Keys(Vec<KeyEvent>),
    /// It was the end of the answer.
    Background(Background),
}

/// Listens for the answer.
#[derive(Clone, Debug, Default)]
pub struct Listener {
    is_listening: bool,
    held: Vec<KeyEvent>,
    text: String,
}

impl Listener {
    /// For when the question was asked.
    pub fn new() -> Self {
        Self { is_listening: true, ..Self::default() }
    }

    /// Whether the answer may still come.
    pub fn is_listening(&self) -> bool {
        self.is_listening
    }

    /// Takes a key.
    pub fn hear(&mut self, key: KeyEvent) -> Osc11Parser {
        let is_begin = key.code == KeyCode::Char(']') && key.modifiers == KeyModifiers::ALT;
        if !self.is_listening || self.held.is_empty() && !is_begin {
            return Osc11Parser::Keys(vec![key]);
        }
        self.held.push(key);
        if is_begin && self.held.len() == 1 {
            return Osc11Parser::Held;
        }
        if is_end(key) {
            let answer = background(&self.text);
            if let Some(background) = answer {
                self.held.clear();
                self.is_listening = false;
                return Osc11Parser::Background(background);
            }
        } else if let KeyCode::Char(c) = key.code
            && (KeyModifiers::SHIFT.contains(key.modifiers))
        {
            self.text.push(c);
            if is_beginning(&self.text) {
                return Osc11Parser::Held;
            }
        }
        Osc11Parser::Keys(self.give_back())
    }

    /// Listens no longer; what was kept is to be pressed.
    pub fn end(&mut self) -> Vec<KeyEvent> {
        self.is_listening = false;
        self.give_back()
    }

    fn give_back(&mut self) -> Vec<KeyEvent> {
        self.text.clear();
        std::mem::take(&mut self.held)
    }
}

/// BEL or ST, as the reader of keys sees them.
fn is_end(key: KeyEvent) -> bool {
    matches!(
        (key.code, key.modifiers),
        (KeyCode::Char('g'), KeyModifiers::CONTROL) | (KeyCode::Char('\\'), KeyModifiers::ALT)
    )
}

fn is_beginning(text: &str) -> bool {
    match text.strip_prefix(PREFIX) {
        Some(rest) => {
            text.len() <= LENGTH_MAX
                && rest.chars().all(|c| c.is_ascii_hexdigit() || c == ':' || c == '/')
        }
        None => PREFIX.starts_with(text),
    }
}

/// The answer's meaning: `11;rgb:ffff/ffff/ffff`, each number of one to four digits.
fn background(text: &str) -> Option<Background> {
    let (_, numbers) = text.strip_prefix(PREFIX)?.split_once(':')?;
    let mut parts = numbers.split('/').map(|digits| {
        let most = 16_f64.powi(i32::try_from(digits.len()).ok().filter(|it| *it <= 4)?) - 1.0;
        Some(f64::from(u16::from_str_radix(digits, 16).ok()?) / most)
    });
    let mut next = || parts.next().flatten();
    let (red, green, blue) = (next()?, next()?, next()?);
    // As bright as it looks, by the weights of the three primaries.
    Some(match 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.5 {
        true => Background::Light,
        false => Background::Dark,
    })
}
