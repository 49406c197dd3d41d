//! Asks the terminal for its background colour (OSC 11), and filters the response out of the keys.
//!
//! The response arrives as keys: over a slow line long after the first frame, and from some terminals
//! never. So nothing waits for it for long, and it is parsed here.
//!
//! Invariant: keys that are not part of the response are returned, in order.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::tui::terminal::theme::Background;

/// The query (OSC 11).
pub const QUERY: &[u8] = b"\x1b]11;?\x1b\\";

/// How long the response may take. Later, Alt-] is a key again.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the first frame waits for the response.
pub const FIRST_FRAME_DELAY: Duration = Duration::from_millis(80);

/// The beginning of every response, after Alt-].
const PREFIX: &str = "11;rgb";

/// Length of the longest response: `11;rgba:` and four numbers of four digits.
const LENGTH_MAX: usize = 32;

/// The result of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Osc11Event {
    /// The key is buffered, because it may be part of the response.
    Pending,
    /// Keys of the user.
    Keys(Vec<KeyEvent>),
    /// The end of the response.
    Background(Background),
}

/// Parses the response.
#[derive(Clone, Debug, Default)]
pub struct Osc11Parser {
    is_waiting: bool,
    buffered: Vec<KeyEvent>,
    text: String,
}

impl Osc11Parser {
    /// A parser that waits for a response.
    pub fn new() -> Self {
        Self { is_waiting: true, ..Self::default() }
    }

    /// Whether the response may still arrive.
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

    /// Stops waiting; returns the buffered keys.
    pub fn finish(&mut self) -> Vec<KeyEvent> {
        self.is_waiting = false;
        self.take_buffered()
    }

    fn take_buffered(&mut self) -> Vec<KeyEvent> {
        self.text.clear();
        std::mem::take(&mut self.buffered)
    }
}

/// BEL or ST, as crossterm reports them.
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

/// Parses `11;rgb:ffff/ffff/ffff`; each number has one to four digits.
fn background(text: &str) -> Option<Background> {
    let (_, numbers) = text.strip_prefix(PREFIX)?.split_once(':')?;
    let mut parts = numbers.split('/').map(|digits| {
        let most = 16_f64.powi(i32::try_from(digits.len()).ok().filter(|it| *it <= 4)?) - 1.0;
        Some(f64::from(u16::from_str_radix(digits, 16).ok()?) / most)
    });
    let mut next = || parts.next().flatten();
    let (red, green, blue) = (next()?, next()?, next()?);
    // Relative luminance with the coefficients of BT.709.
    Some(match 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.5 {
        true => Background::Light,
        false => Background::Dark,
    })
}
