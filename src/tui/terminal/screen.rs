//! The terminal: taken once, given back in every exit that can be caught.
//!
//! Reads: nothing. Writes: modes of the terminal (raw, alternate screen, mouse, bracketed paste).
//!
//! Invariants:
//! - [`give_back`] may be called at any time, any number of times, from the panic hook as well.
//! - A panic of the drawing thread gives the terminal back before its message is printed; one of
//!   another named thread prints nothing, because it is reported on the screen.

use std::io::{self, Stdout, Write, stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ThreadId};

use crossterm::cursor::Show;
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

static ACQUIRED: AtomicBool = AtomicBool::new(false);

/// What frames are drawn on.
pub type Screen = Terminal<CrosstermBackend<Stdout>>;

/// Whether mouse events are asked for; without, the terminal selects text by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mouse {
    /// The explorer gets clicks and the wheel.
    #[default]
    Captured,
    /// The terminal keeps them.
    Free,
}

impl Mouse {
    /// The other one.
    pub fn toggled(self) -> Self {
        match self {
            Self::Captured => Self::Free,
            Self::Free => Self::Captured,
        }
    }
}

/// The terminal while it is ours.
#[derive(Debug)]
pub struct Guard {
    /// What frames are drawn on.
    pub screen: Screen,
}

impl Guard {
    /// Takes the terminal and hooks panics.
    ///
    /// # Errors
    /// When the terminal can't be switched to raw mode or written to.
    pub fn acquire(mouse: Mouse) -> io::Result<Self> {
        hook_panics(thread::current().id());
        enter(mouse)?;
        let screen = Terminal::new(CrosstermBackend::new(stdout()))?;
        Ok(Self { screen })
    }

    /// Takes the terminal again after [`give_back`]; the next frame is drawn whole.
    ///
    /// # Errors
    /// As [`Guard::take`].
    pub fn reacquire(&mut self, mouse: Mouse) -> io::Result<()> {
        enter(mouse)?;
        crossterm::execute!(stdout(), Clear(ClearType::All))?;
        // A new one, as clearing the old one would ask the terminal where its cursor is, and
        // wait for an answer that the reader of keys may take.
        self.screen = Terminal::new(CrosstermBackend::new(stdout()))?;
        Ok(())
    }

    /// Asks for mouse events, or no longer.
    ///
    /// # Errors
    /// When the terminal can't be written to.
    pub fn set_mouse(&mut self, mouse: Mouse) -> io::Result<()> {
        match mouse {
            Mouse::Captured => crossterm::execute!(stdout(), EnableMouseCapture),
            Mouse::Free => crossterm::execute!(stdout(), DisableMouseCapture),
        }
    }

    /// Sends bytes past the screen, for example to the clipboard.
    ///
    /// # Errors
    /// When the terminal can't be written to.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut out = stdout();
        out.write_all(bytes)?;
        out.flush()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back, if it was taken.
pub fn restore() {
    if ACQUIRED.swap(false, Ordering::SeqCst) {
        // Each step by itself: if one fails, the others still help.
        let _ = crossterm::execute!(stdout(), DisableMouseCapture);
        let _ = crossterm::execute!(stdout(), DisableBracketedPaste);
        let _ = crossterm::execute!(stdout(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

fn enter(mouse: Mouse) -> io::Result<()> {
    ACQUIRED.store(true, Ordering::SeqCst);
    let result = enable_raw_mode().and_then(|()| {
        crossterm::execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste)?;
        match mouse {
            Mouse::Captured => crossterm::execute!(stdout(), EnableMouseCapture),
            Mouse::Free => Ok(()),
        }
    });
    if result.is_err() {
        restore();
    }
    result
}

fn hook_panics(drawing: ThreadId) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if thread::current().id() == drawing {
            restore();
            before(panic);
        } else if !ACQUIRED.load(Ordering::SeqCst) {
            before(panic);
        }
    }));
}
