//! Terminal modes: set at the start, restored on every exit that can be caught.
//!
//! Writes: terminal modes (raw, alternate screen, mouse, bracketed paste).
//!
//! Invariants:
//! - [`restore`] may be called at any time and repeatedly, also from the panic hook.
//! - A panic of the drawing thread restores the terminal before its message is printed; a panic of
//!   another thread prints nothing, because it is reported on the screen.

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

/// The screen that frames are drawn on.
pub type Screen = Terminal<CrosstermBackend<Stdout>>;

/// Whether mouse events are captured; otherwise the terminal uses the mouse to select text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mouse {
    /// The explorer gets clicks and the wheel.
    #[default]
    Captured,
    /// The terminal keeps them.
    Free,
}

impl Mouse {
    /// The other variant.
    pub fn toggled(self) -> Self {
        match self {
            Self::Captured => Self::Free,
            Self::Free => Self::Captured,
        }
    }
}

/// The terminal in the explorer's modes; restored on drop.
#[derive(Debug)]
pub struct Guard {
    /// The screen that frames are drawn on.
    pub screen: Screen,
}

impl Guard {
    /// Sets the modes and the panic hook.
    ///
    /// # Errors
    /// When the terminal can't be switched to raw mode or written to.
    pub fn acquire(mouse: Mouse) -> io::Result<Self> {
        hook_panics(thread::current().id());
        set_modes(mouse)?;
        let screen = Terminal::new(CrosstermBackend::new(stdout()))?;
        Ok(Self { screen })
    }

    /// Sets the modes again after [`restore`]; the next frame is drawn completely.
    ///
    /// # Errors
    /// As [`Guard::acquire`].
    pub fn reacquire(&mut self, mouse: Mouse) -> io::Result<()> {
        set_modes(mouse)?;
        crossterm::execute!(stdout(), Clear(ClearType::All))?;
        // A new one, because clearing the old one would query the cursor position, whose response the event
        // thread may read.
        self.screen = Terminal::new(CrosstermBackend::new(stdout()))?;
        Ok(())
    }

    /// Enables or disables mouse events.
    ///
    /// # Errors
    /// When the terminal can't be written to.
    pub fn set_mouse(&mut self, mouse: Mouse) -> io::Result<()> {
        match mouse {
            Mouse::Captured => crossterm::execute!(stdout(), EnableMouseCapture),
            Mouse::Free => crossterm::execute!(stdout(), DisableMouseCapture),
        }
    }

    /// Writes bytes to the terminal directly, for example an OSC sequence.
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

/// Restores the terminal modes, if they were set.
pub fn restore() {
    if ACQUIRED.swap(false, Ordering::SeqCst) {
        // Each step is separate: if one fails, the others still help.
        let _ = crossterm::execute!(stdout(), DisableMouseCapture);
        let _ = crossterm::execute!(stdout(), DisableBracketedPaste);
        let _ = crossterm::execute!(stdout(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

fn set_modes(mouse: Mouse) -> io::Result<()> {
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
