//! Handles Ctrl-C: cancels the running query or load through a shared cancel token. During a load,
//! SIGTERM and SIGHUP do the same, so that its temporary file is removed.
//!
//! Invariants:
//! - The signal handler only sets atomics and, at the third Ctrl-C without effect, ends the process.
//! - Without [`install`] SIGINT keeps its default action.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use crate::database::cancel::CancelToken;

/// Signals that by default terminate the process.
const TERMINATION_SIGNALS: [libc::c_int; 2] = [libc::SIGTERM, libc::SIGHUP];

/// Presses of Ctrl-C without effect that end the process.
const PRESSES_MAX: u32 = 3;
/// The exit code after Ctrl-C: 128 + SIGINT.
pub(crate) const EXIT_CODE: u8 = 130;

static TOKEN: OnceLock<CancelToken> = OnceLock::new();
/// The termination signal that was received; 0: none.
static TERMINATED_BY: AtomicI32 = AtomicI32::new(0);
static PRESSED: AtomicU32 = AtomicU32::new(0);

/// Installs the handler; returns the token that Ctrl-C cancels, always the same one.
pub(crate) fn install() -> CancelToken {
    let token = TOKEN.get_or_init(CancelToken::new).clone();
    let handler: extern "C" fn(libc::c_int) = on_interrupt;
    // SAFETY: `on_interrupt` has the type that SIGINT's handler needs and is safe in a signal
    // handler: it does nothing but atomics and `_exit`. `TOKEN` is set before it can run.
    unsafe { libc::signal(libc::SIGINT, handler as libc::sighandler_t) };
    token
}

/// Restores the default action until the next [`install`], for waits that a token can't end.
pub(crate) fn release() {
    // SAFETY: the default action is always a valid disposition of SIGINT.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
}

/// The exit code of a cancelled command: 128 + the signal that cancelled it.
pub(crate) fn exit_code() -> u8 {
    match u8::try_from(TERMINATED_BY.load(Ordering::Relaxed)) {
        Ok(0) | Err(_) => EXIT_CODE,
        Ok(signal) => signal.saturating_add(128),
    }
}

/// While it exists, SIGTERM and SIGHUP cancel the load like Ctrl-C. An ignored signal, such as SIGHUP
/// under `nohup`, stays ignored.
#[derive(Debug)]
pub(crate) struct TerminationHandler {
    /// The dispositions to restore, in the order of [`TERMINATION_SIGNALS`].
    previous: [libc::sighandler_t; TERMINATION_SIGNALS.len()],
}

impl TerminationHandler {
    /// Installs the handler until the value is dropped.
    pub(crate) fn install() -> Self {
        let handler: extern "C" fn(libc::c_int) = on_termination;
        let previous = TERMINATION_SIGNALS.map(|signal| {
            // SAFETY: `on_termination` has the type of a signal handler and is safe in one: it does
            // nothing but atomics.
            let previous = unsafe { libc::signal(signal, handler as libc::sighandler_t) };
            if previous == libc::SIG_IGN {
                // SAFETY: ignoring is always a valid disposition of these signals.
                unsafe { libc::signal(signal, previous) };
            }
            previous
        });
        Self { previous }
    }
}

impl Drop for TerminationHandler {
    fn drop(&mut self) {
        for (signal, previous) in TERMINATION_SIGNALS.into_iter().zip(self.previous) {
            // SAFETY: `previous` is the disposition that `signal` returned for this signal, and is
            // still valid.
            unsafe { libc::signal(signal, previous) };
        }
    }
}

extern "C" fn on_termination(signal: libc::c_int) {
    TERMINATED_BY.store(signal, Ordering::Relaxed);
    if let Some(token) = TOKEN.get() {
        token.cancel();
    }
}

/// Clears earlier presses before the next command of the prompt.
pub(crate) fn reset() {
    PRESSED.store(0, Ordering::Relaxed);
    if let Some(token) = TOKEN.get() {
        token.reset();
    }
}

extern "C" fn on_interrupt(_: libc::c_int) {
    if PRESSED.fetch_add(1, Ordering::Relaxed) + 1 >= PRESSES_MAX {
        // SAFETY: `_exit` is async-signal-safe and takes any value.
        unsafe { libc::_exit(libc::c_int::from(EXIT_CODE)) };
    }
    if let Some(token) = TOKEN.get() {
        token.cancel();
    }
}
