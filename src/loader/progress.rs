//! How the loader tells what it is doing, and learns that it should stop.

/// A part of the work that takes time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Return addresses become functions, files and lines. Counts distinct addresses.
    Backtraces,
    /// Events become rows. Counts events.
    Events,
    /// Totals, tree, suspects, indices. Counts nothing.
    Totals,
}

impl Phase {
    /// The words that are printed before the count.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Backtraces => "analyzing backtraces:",
            Self::Events => "analyzing events:",
            Self::Totals => "computing totals:",
        }
    }
}

/// Is told about the work. All calls come from the thread that called the loader, at most some
/// tens of times a second.
pub trait Progress {
    /// A phase begins.
    fn begin(&mut self, phase: Phase) {
        let _ = phase;
    }

    /// `count` things are done so far, which is about `share` (0 to 1) of this phase.
    fn advance(&mut self, count: u64, share: f64) {
        let _ = (count, share);
    }

    /// The phase is over; `count` things were done. For [`Phase::Backtraces`] this is the number
    /// of distinct backtraces where it is known, for [`Phase::Events`] the number of events.
    fn end(&mut self, count: u64) {
        let _ = count;
    }

    /// Whether to give up; asked often. The loader then leaves no trace and answers
    /// [`LoadErrorKind::Interrupted`](crate::loader::LoadErrorKind::Interrupted).
    fn should_stop(&mut self) -> bool {
        false
    }
}

/// Says nothing.
impl Progress for () {}
