//! The control thread: polls the triggers, starts and stops recordings, and updates the status.
//!
//! Invariants: at most one recording of this thread is running; a recording that the program itself
//! enabled is never ended or replaced here.

use std::path::PathBuf;
use std::time::Duration;

use crate::collector::api::control::triggers::{Command, FileTrigger, Threshold, take_signal};
use crate::collector::api::control::{ControlBuilder, ControlStatus, STATUS, Trigger, WAKE};
use crate::collector::api::control::{lock, take_request};
use crate::collector::event_path::session_word::SessionWord;
use crate::collector::options::Options;
use crate::collector::platform::sys;
use crate::collector::session;

/// A recording that this thread started.
#[derive(Debug)]
struct ActiveRecording {
    session: SessionWord,
    path: PathBuf,
    trigger: Trigger,
    /// Time of its end on `CLOCK_MONOTONIC`; `None`: no limit.
    deadline_ns: Option<u64>,
}

/// State of the control thread.
#[derive(Debug)]
pub(crate) struct ControlThread {
    options: Options,
    file: Option<FileTrigger>,
    threshold: Option<Threshold>,
    has_signal: bool,
    record_for: Option<Duration>,
    poll_every: Duration,
    initial: Option<Command>,
    active: Option<ActiveRecording>,
}

impl ControlThread {
    /// Takes the settings of the program; `initial` is the command of the environment variable.
    pub(crate) fn new(settings: ControlBuilder, initial: Result<Option<Command>, String>) -> Self {
        Self {
            options: settings.options,
            file: settings.file.map(FileTrigger::new),
            threshold: settings.threshold.map(|(measure, above)| Threshold::new(measure, above)),
            has_signal: settings.signal.is_some(),
            record_for: settings.record_for,
            poll_every: settings.poll_every,
            initial: initial.unwrap_or_else(|refusal| Some(Command::Refuse(refusal))),
            active: None,
        }
    }

    /// Polls until the control ends.
    pub(crate) fn run(mut self) {
        loop {
            let ticket = WAKE.ticket();
            self.detect_end();
            let mut commands = [
                self.initial.take(),
                self.has_signal.then(take_signal).flatten(),
                self.file.as_mut().and_then(FileTrigger::poll),
                self.threshold.as_mut().and_then(Threshold::poll),
                self.check_deadline(),
                take_request(),
            ];
            let ends = commands.contains(&Some(Command::End));
            for command in commands.iter_mut().filter_map(Option::take) {
                self.execute(command);
            }
            if ends {
                return;
            }
            WAKE.wait(ticket, self.sleep_time());
        }
    }

    fn execute(&mut self, command: Command) {
        match command {
            Command::Start(trigger, limit) => self.start(trigger, limit),
            Command::Toggle(_) if self.active.is_some() => self.stop(),
            Command::Toggle(trigger) => self.start(trigger, None),
            Command::Stop | Command::End => self.stop(),
            Command::StopOwn(trigger) => {
                if self.active.as_ref().is_some_and(|active| active.trigger == trigger) {
                    self.stop();
                }
            }
            Command::Refuse(refusal) => record_error(refusal),
        }
    }

    fn start(&mut self, trigger: Trigger, limit: Option<Duration>) {
        if self.active.is_some() {
            return;
        }
        match session::enable_for_control(self.options.clone()) {
            Ok((session, path)) => {
                let limit = limit.or(self.record_for);
                let limit_ns =
                    limit.map(|limit| u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX));
                let deadline_ns = limit_ns.map(|ns| sys::monotonic_ns().saturating_add(ns));
                update(|status| {
                    status.recording = Some(path.clone());
                    status.trigger = Some(trigger);
                    status.started = status.started.saturating_add(1);
                });
                self.active = Some(ActiveRecording { session, path, trigger, deadline_ns });
            }
            Err(error) => record_error(error.to_string()),
        }
    }

    fn stop(&mut self) {
        if let Some(active) = self.active.take() {
            session::disable_session(active.session);
            record_end(active);
        }
    }

    /// Handles a recording that the program ended itself, and ends one whose file cannot be
    /// written.
    fn detect_end(&mut self) {
        let Some(active) = &self.active else { return };
        match session::state_of(active.session) {
            session::State::Recording => {}
            session::State::Failed => {
                record_error(format!(
                    "the recording {} cannot be written any more",
                    active.path.display()
                ));
                self.stop();
            }
            session::State::Over => {
                if let Some(active) = self.active.take() {
                    record_end(active);
                }
            }
        }
    }

    fn check_deadline(&self) -> Option<Command> {
        let deadline_ns = self.active.as_ref()?.deadline_ns?;
        (sys::monotonic_ns() >= deadline_ns).then_some(Command::Stop)
    }

    /// Time until the next poll.
    fn sleep_time(&self) -> Duration {
        let deadline_ns = self.active.as_ref().and_then(|active| active.deadline_ns);
        let remaining_ns = deadline_ns.map(|until| until.saturating_sub(sys::monotonic_ns()));
        let remaining = remaining_ns.map_or(Duration::MAX, Duration::from_nanos);
        remaining.min(self.poll_every).max(Duration::from_micros(100))
    }
}

fn update(change: impl FnOnce(&mut ControlStatus)) {
    change(&mut lock(&STATUS));
}

fn record_error(error: String) {
    update(|status| {
        status.failed_commands = status.failed_commands.saturating_add(1);
        status.last_error = Some(error);
    });
}

fn record_end(active: ActiveRecording) {
    update(|status| {
        status.recording = None;
        status.last_recording = Some(active.path);
        status.ended = status.ended.saturating_add(1);
    });
}
