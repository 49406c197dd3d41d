//! The control thread: looks at the triggers, starts and stops, and says what came of it.
//!
//! Reads: wishes. Writes: recordings, the status.
//!
//! Invariants: at most one recording of this thread's is under way; a recording of the program's
//! own is neither begun over nor ended here.

use std::path::PathBuf;
use std::time::Duration;

use crate::collector::api::control::triggers::{Command, FileTrigger, Threshold, take_signalled};
use crate::collector::api::control::{ControlBuilder, ControlStatus, STATUS, Trigger, WAKE};
use crate::collector::api::control::{locked, take_request};
use crate::collector::options::Options;
use crate::collector::platform::sys;
use crate::collector::session;

/// A recording that began here.
#[derive(Debug)]
struct Begun {
    session: u32,
    path: PathBuf,
    trigger: Trigger,
    /// When it is to end, on `CLOCK_MONOTONIC`.
    until_ns: Option<u64>,
}

/// What the control thread knows.
#[derive(Debug)]
pub(crate) struct Watch {
    options: Options,
    file: Option<FileTrigger>,
    threshold: Option<Threshold>,
    has_signal: bool,
    record_for: Option<Duration>,
    poll_every: Duration,
    at_once: Option<Command>,
    begun: Option<Begun>,
}

impl Watch {
    /// For what the program wants watched; `at_once` is what the environment says.
    pub(crate) fn new(settings: ControlBuilder, at_once: Result<Option<Command>, String>) -> Self {
        Self {
            options: settings.options,
            file: settings.file.map(FileTrigger::new),
            threshold: settings.threshold.map(|(measure, above)| Threshold::new(measure, above)),
            has_signal: settings.signal.is_some(),
            record_for: settings.record_for,
            poll_every: settings.poll_every,
            at_once: at_once.unwrap_or_else(|refusal| Some(Command::Refuse(refusal))),
            begun: None,
        }
    }

    /// Watches until the control ends.
    pub(crate) fn run(mut self) {
        loop {
            let ticket = WAKE.ticket();
            self.notice_end();
            let mut wishes = [
                self.at_once.take(),
                self.has_signal.then(take_signalled).flatten(),
                self.file.as_mut().and_then(FileTrigger::look),
                self.threshold.as_mut().and_then(Threshold::look),
                self.time_is_up(),
                take_request(),
            ];
            let ends = wishes.contains(&Some(Command::End));
            for wish in wishes.iter_mut().filter_map(Option::take) {
                self.fulfil(wish);
            }
            if ends {
                return;
            }
            WAKE.sleep(ticket, self.pause());
        }
    }

    fn fulfil(&mut self, wish: Command) {
        match wish {
            Command::Start(trigger, limit) => self.start(trigger, limit),
            Command::Toggle(_) if self.begun.is_some() => self.stop(),
            Command::Toggle(trigger) => self.start(trigger, None),
            Command::Stop | Command::End => self.stop(),
            Command::StopOwn(trigger) => {
                if self.begun.as_ref().is_some_and(|begun| begun.trigger == trigger) {
                    self.stop();
                }
            }
            Command::Refuse(refusal) => refuse(refusal),
        }
    }

    fn start(&mut self, trigger: Trigger, limit: Option<Duration>) {
        if self.begun.is_some() {
            return;
        }
        match session::enable_for_control(self.options.clone()) {
            Ok((session, path)) => {
                let limit = limit.or(self.record_for);
                let limit_ns =
                    limit.map(|limit| u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX));
                let until_ns = limit_ns.map(|ns| sys::monotonic_ns().saturating_add(ns));
                update(|status| {
                    status.recording = Some(path.clone());
                    status.trigger = Some(trigger);
                    status.started = status.started.saturating_add(1);
                });
                self.begun = Some(Begun { session, path, trigger, until_ns });
            }
            Err(error) => refuse(error.to_string()),
        }
    }

    fn stop(&mut self) {
        if let Some(begun) = self.begun.take() {
            session::end(begun.session);
            ended(begun);
        }
    }

    /// The program may have ended the recording itself; or it can't be written any more, and then
    /// it is ended here.
    fn notice_end(&mut self) {
        let Some(begun) = &self.begun else { return };
        match session::state_of(begun.session) {
            session::State::Recording => {}
            session::State::Failed => {
                refuse(format!("the recording {} can't be written any more", begun.path.display()));
                self.stop();
            }
            session::State::Over => {
                if let Some(begun) = self.begun.take() {
                    ended(begun);
                }
            }
        }
    }

    fn time_is_up(&self) -> Option<Command> {
        let until_ns = self.begun.as_ref()?.until_ns?;
        (sys::monotonic_ns() >= until_ns).then_some(Command::Stop)
    }

    /// How long there is nothing to do.
    fn pause(&self) -> Duration {
        let until_ns = self.begun.as_ref().and_then(|begun| begun.until_ns);
        let left_ns = until_ns.map(|until| until.saturating_sub(sys::monotonic_ns()));
        let left = left_ns.map_or(Duration::MAX, Duration::from_nanos);
        left.min(self.poll_every).max(Duration::from_micros(100))
    }
}

fn update(change: impl FnOnce(&mut ControlStatus)) {
    change(&mut locked(&STATUS));
}

fn refuse(refusal: String) {
    update(|status| {
        status.refused = status.refused.saturating_add(1);
        status.refusal = Some(refusal);
    });
}

fn ended(begun: Begun) {
    update(|status| {
        status.recording = None;
        status.last = Some(begun.path);
        status.ended = status.ended.saturating_add(1);
    });
}
