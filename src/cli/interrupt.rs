//! Handles Ctrl-C: cancels the running query or load through a shared cancel token.
//!
//! Invariants:
//! - The signal handler only sets atomics and, at the third Ctrl-C without effect, ends the process.
//! - Without [`install`] SIGINT keeps its default action.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::database::cancel::CancelToken;

/// Presses of Ctrl-C without effect that end the process.
const PRESSES_MAX: u32 = 3;
/// The exit code after Ctrl-C: 128 + SIGINT.
pub(crate) const EXIT_CODE: u8 = 130;

static TOKEN: OnceLock<CancelToken> = OnceLock::new();
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
