//! What is said beside the answer, on stderr: progress, errors, caveats.
//!
//! Reads: what the loader reports. Writes: stderr, cleaned. A closed stderr is no error.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};

use crate::database::caveats::Caveats;
use crate::database::text::sanitize;
use crate::database::{CancelToken, Database, Limits};
use crate::loader::{Phase, Progress};

/// Says a line.
pub(crate) fn print_line(line: &str) {
    let _ = writeln!(io::stderr(), "{}", sanitize::block(line));
}

/// Says what the figures of a database leave open.
pub(crate) fn print_caveats(database: &Database) -> Caveats {
    // What can't be read is said by whatever is asked next.
    let caveats = Caveats::read(database, &Limits::default()).unwrap_or_default();
    for sentence in caveats.sentences() {
        print_line(&format!("note: {sentence}"));
    }
    caveats
}

/// Says that rows are samples, and sums estimates.
pub(crate) fn print_sampling_caveat(database: &Database) {
    let caveats = Caveats::read(database, &Limits::default()).unwrap_or_default();
    if let Some(sampled) = caveats.sampled {
        print_line(&format!(
            "note: {}; sample_weights says what a row stands for",
            sampled.sentence()
        ));
    }
}

/// Says that something failed.
pub(crate) fn print_error(message: &str) {
    print_line(&format!("error: {message}"));
}

/// Shows how far the loader is: a bar on a terminal, in any case each phase and its count.
pub(crate) struct ProgressReporter {
    cancel: CancelToken,
    bar: Option<ProgressBar>,
    phase: Phase,
}

impl ProgressReporter {
    /// Says nothing yet; the load ends when `cancel` is used.
    pub(crate) fn new(cancel: CancelToken) -> Self {
        Self { cancel, bar: None, phase: Phase::Events }
    }
}

/// A bar is a share of this many parts.
const PARTS: u64 = 1000;

impl Progress for ProgressReporter {
    fn begin(&mut self, phase: Phase) {
        self.phase = phase;
        if phase != Phase::Totals {
            print_line(phase.label());
        }
        if io::stderr().is_terminal() {
            let bar = ProgressBar::new(PARTS);
            let style = ProgressStyle::with_template("{spinner} {bar:40} {percent:>3} %  {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            if phase == Phase::Totals {
                bar.set_message(phase.label());
            }
            self.bar = Some(bar);
        }
    }

    fn advance(&mut self, count: u64, share: f64) {
        if let Some(bar) = &self.bar {
            bar.set_position((share.clamp(0.0, 1.0) * PARTS as f64) as u64);
            bar.set_message(count.to_string());
        }
    }

    fn end(&mut self, count: u64) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if self.phase != Phase::Totals {
            print_line(&count.to_string());
        }
    }

    fn should_stop(&mut self) -> bool {
        self.cancel.is_cancelled()
    }
}
