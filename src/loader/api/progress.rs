//! Progress reports of the loader, and the caller's request to stop.

/// A phase of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Resolves return addresses to functions, files and lines; counts distinct addresses.
    Backtraces,
    /// Pairs events and writes rows; counts events.
    Events,
    /// Writes totals, tree, suspects and indices; counts nothing.
    Totals,
}

impl Phase {
    /// The label of a progress line.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Backtraces => "analyzing backtraces:",
            Self::Events => "analyzing events:",
            Self::Totals => "computing totals:",
        }
    }
}

/// Receives the progress of a load. All calls come from the thread that called the loader, at most
/// some tens per second.
pub trait Progress {
    /// A phase begins.
    fn begin(&mut self, phase: Phase) {
        let _ = phase;
    }

    /// `count` items of the phase are done, about `share` (0 to 1) of all.
    fn advance(&mut self, count: u64, share: f64) {
        let _ = (count, share);
    }

    /// The phase is over; `count` is the number of its items.
    fn end(&mut self, count: u64) {
        let _ = count;
    }

    /// Whether to stop; called often. The loader then removes its output and returns
    /// [`LoadErrorKind::Interrupted`](crate::loader::LoadErrorKind::Interrupted).
    fn should_stop(&mut self) -> bool {
        false
    }
}

/// Ignores progress and never stops.
impl Progress for () {}
