//! Prints progress, errors and caveats to stderr. A closed stderr is no error.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};

use crate::database::caveats::Caveats;
use crate::database::text::sanitize;
use crate::database::{CancelToken, Database, Limits};
use crate::loader::{Phase, Progress};

/// Prints a sanitized line.
pub(crate) fn print_line(line: &str) {
    let _ = writeln!(io::stderr(), "{}", sanitize::block(line));
}

/// Prints the caveats of a database.
pub(crate) fn print_caveats(database: &Database) -> Caveats {
    // If the database is damaged, the next query reports it.
    let caveats = Caveats::read(database, &Limits::default()).unwrap_or_default();
    for sentence in caveats.sentences() {
        print_line(&format!("note: {sentence}"));
    }
    caveats
}

/// Prints that rows are samples and totals are estimates.
pub(crate) fn print_sampling_caveat(database: &Database) {
    let caveats = Caveats::read(database, &Limits::default()).unwrap_or_default();
    if let Some(sampled) = caveats.sampled {
        print_line(&format!(
            "note: {}; sample_weights has the weights of rows",
            sampled.sentence()
        ));
    }
}

/// Prints an error message.
pub(crate) fn print_error(message: &str) {
    print_line(&format!("error: {message}"));
}

/// Prints the progress of a load: each phase with its count, and a progress bar on a terminal.
pub(crate) struct ProgressReporter {
    cancel: CancelToken,
    bar: Option<ProgressBar>,
    phase: Phase,
}

impl ProgressReporter {
    /// A reporter that has printed nothing yet; `cancel` cancels the load.
    pub(crate) fn new(cancel: CancelToken) -> Self {
        Self { cancel, bar: None, phase: Phase::Events }
    }
}

/// Length of the progress bar in its own units.
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
