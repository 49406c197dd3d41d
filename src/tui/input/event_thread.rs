//! Reads the terminal's events on a thread of its own.
//!
//! Reads: keys, mouse, pastes, resizes. Writes: a call of the given function for each.
//!
//! Invariant: while [`Input::pause`]d nothing is read, so that another program can have the keys.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crossterm::event::{self, Event};

/// How long a pause may have to wait for the reader to let go.
const POLL: Duration = Duration::from_millis(20);

/// What the reader thread says.
#[derive(Debug)]
pub(crate) enum TerminalEvent {
    /// Something happened at the terminal.
    Input(Event),
    /// The terminal is gone; there is nothing more to come.
    Closed,
}

/// The reader thread.
#[derive(Debug)]
pub(crate) struct EventThread {
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    is_paused: AtomicBool,
    reading: Mutex<()>,
}

/// Nothing is read while this lives.
#[derive(Debug)]
pub(crate) struct Pause<'a> {
    gate: &'a Gate,
    _reading: MutexGuard<'a, ()>,
}

impl EventThread {
    /// Starts reading.
    ///
    /// # Errors
    /// When the thread can't be started.
    pub(crate) fn start(
        mut notify: impl FnMut(TerminalEvent) + Send + 'static,
    ) -> io::Result<Self> {
        let gate = Arc::new(Gate::default());
        let thread_gate = Arc::clone(&gate);
        let thread = thread::Builder::new().name("rheaper-input".into());
        thread.spawn(move || {
            loop {
                if thread_gate.is_paused.load(Ordering::SeqCst) {
                    thread::sleep(POLL);
                    continue;
                }
                let read = {
                    let _reading = lock(&thread_gate.reading);
                    next()
                };
                match read {
                    Ok(None) => {}
                    Ok(Some(event)) => notify(TerminalEvent::Input(event)),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => {
                        notify(TerminalEvent::Closed);
                        return;
                    }
                }
            }
        })?;
        Ok(Self { gate })
    }

    /// Stops reading until the result is dropped.
    pub(crate) fn pause(&self) -> Pause<'_> {
        self.gate.is_paused.store(true, Ordering::SeqCst);
        Pause { gate: &self.gate, _reading: lock(&self.gate.reading) }
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        self.gate.is_paused.store(false, Ordering::SeqCst);
    }
}

fn next() -> io::Result<Option<Event>> {
    match event::poll(POLL)? {
        true => event::read().map(Some),
        false => Ok(None),
    }
}

fn lock(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
    // Nothing is behind the mutex that a panic could have left half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
