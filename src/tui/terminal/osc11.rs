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
pub const QUERY: &[u8] = b"\x1b]11;?\x1b\\";

/// How long an answer may take; later, the key it begins with is a key again.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the first frame waits for it.
pub const FIRST_FRAME_DELAY: Duration = Duration::from_millis(80);

/// What every answer begins with, behind the key.
const PREFIX: &str = "11;rgb";

/// Characters of the longest answer: `11;rgba:` and four numbers of four digits.
const LENGTH_MAX: usize = 32;

/// What became of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Osc11Event {
    /// It may be part of the answer, and is kept.
    Pending,
    /// These are to be pressed.
    Keys(Vec<KeyEvent>),
    /// It was the end of the answer.
    Background(Background),
}

/// Listens for the answer.
#[derive(Clone, Debug, Default)]
pub struct Osc11Parser {
    is_waiting: bool,
    buffered: Vec<KeyEvent>,
    text: String,
}

impl Osc11Parser {
    /// For when the question was asked.
    pub fn new() -> Self {
        Self { is_waiting: true, ..Self::default() }
    }

    /// Whether the answer may still come.
    pub fn is_waiting(&self) -> bool {
        self.is_waiting
    }

    /// Takes a key.
    pub fn feed(&mut self, key: KeyEvent) -> Osc11Event {
        let is_introducer = key.code == KeyCode::Char(']') && key.modifiers == KeyModifiers::ALT;
        if !self.is_waiting || self.buffered.is_empty() && !is_introducer {
            return Osc11Event::Keys(vec![key]);
        }
        self.buffered.push(key);
        if is_introducer && self.buffered.len() == 1 {
            return Osc11Event::Pending;
        }
        if is_terminator(key) {
            let answer = background(&self.text);
            if let Some(background) = answer {
                self.buffered.clear();
                self.is_waiting = false;
                return Osc11Event::Background(background);
            }
        } else if let KeyCode::Char(c) = key.code
            && (KeyModifiers::SHIFT.contains(key.modifiers))
        {
            self.text.push(c);
            if is_response_prefix(&self.text) {
                return Osc11Event::Pending;
            }
        }
        Osc11Event::Keys(self.take_buffered())
    }

    /// Listens no longer; what was kept is to be pressed.
    pub fn finish(&mut self) -> Vec<KeyEvent> {
        self.is_waiting = false;
        self.take_buffered()
    }

    fn take_buffered(&mut self) -> Vec<KeyEvent> {
        self.text.clear();
        std::mem::take(&mut self.buffered)
    }
}

/// BEL or ST, as the reader of keys sees them.
fn is_terminator(key: KeyEvent) -> bool {
    matches!(
        (key.code, key.modifiers),
        (KeyCode::Char('g'), KeyModifiers::CONTROL) | (KeyCode::Char('\\'), KeyModifiers::ALT)
    )
}

fn is_response_prefix(text: &str) -> bool {
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
