//! Reads terminal events on a separate thread.
//!
//! Reads: keys, mouse, pastes, resizes. Writes: calls the given function for each.
//!
//! Invariant: nothing is read during [`EventThread::pause`], so that another program gets the keys.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crossterm::event::{self, Event};

/// Poll interval, which is how long a pause may wait for the reader.
const POLL: Duration = Duration::from_millis(20);

/// Reports of the thread.
#[derive(Debug)]
pub(crate) enum TerminalEvent {
    /// An event.
    Input(Event),
    /// The terminal was closed.
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

/// Pauses reading until it is dropped.
#[derive(Debug)]
pub(crate) struct Pause<'a> {
    gate: &'a Gate,
    _reading: MutexGuard<'a, ()>,
}

impl EventThread {
    /// Starts the thread.
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

    /// Pauses reading until the result is dropped.
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
    // The mutex protects no data that a panic could leave inconsistent.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
