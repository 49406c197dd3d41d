//! The selected line and the scroll position of a list.
//!
//! Invariants after [`Cursor::clamp`]: the selection is in the list (or 0 if it is empty) and in the
//! window; the window is full if the list is long enough.

/// A movement of the selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Lines down; up if negative.
    Rows(i64),
    /// Half windows down; up if negative.
    HalfPages(i64),
    /// To the first line.
    First,
    /// To the last line.
    Last,
}

/// Selection and scroll position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The selected line.
    pub at: u64,
    /// The first line that is shown.
    pub top: u64,
}

impl Cursor {
    /// Moves in a list of `len` lines of which `window` are shown.
    pub fn step(&mut self, step: Step, len: u64, window: u64) {
        let by = |rows: i64, at: u64| at.saturating_add_signed(rows);
        self.at = match step {
            Step::Rows(rows) => by(rows, self.at),
            Step::HalfPages(halves) => {
                let half = (window / 2).max(1) as i64;
                by(halves.saturating_mul(half), self.at)
            }
            Step::First => 0,
            Step::Last => len.saturating_sub(1),
        };
        self.clamp(len, window);
    }

    /// Moves selection and window into the list.
    pub fn clamp(&mut self, len: u64, window: u64) {
        self.at = self.at.min(len.saturating_sub(1));
        let window = window.max(1);
        if self.at < self.top {
            self.top = self.at;
        } else if self.at >= self.top.saturating_add(window) {
            self.top = self.at - window + 1;
        }
        self.top = self.top.min(len.saturating_sub(window));
    }
}
