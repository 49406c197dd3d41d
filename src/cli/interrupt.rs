//! Ctrl-C: stops the running query, or the load, and leaves the program alive to say so.
//!
//! Reads: SIGINT. Writes: the one token that the commands give to their queries.
//!
//! Invariants:
//! - The handler only sets atomics and, at the third Ctrl-C in a row that nothing has heeded,
//!   ends the process.
//! - Without [`install`] the signal keeps its default.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::database::cancel::CancelToken;

/// Ctrl-C so often without an effect ends the process.
const PATIENCE: u32 = 3;
/// The exit code after Ctrl-C: 128 + SIGINT.
pub(crate) const EXIT_CODE: u8 = 130;

static TOKEN: OnceLock<CancelToken> = OnceLock::new();
static PRESSED: AtomicU32 = AtomicU32::new(0);

/// From now on Ctrl-C stops whoever has the token that this returns, which is always the same.
pub(crate) fn install() -> CancelToken {
    let token = TOKEN.get_or_init(CancelToken::new).clone();
    let handler: extern "C" fn(libc::c_int) = on_interrupt;
    // SAFETY: `on_interrupt` has the type that SIGINT's handler needs and is safe in a signal
    // handler: it does nothing but atomics and `_exit`. `TOKEN` is set before it can run.
    unsafe { libc::signal(libc::SIGINT, handler as libc::sighandler_t) };
    token
}

/// Ctrl-C ends the process again, until the next [`install`]: for waits that no token ends.
pub(crate) fn release() {
    // SAFETY: the default action is always a valid disposition of SIGINT.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
}

/// Forgets an earlier Ctrl-C: the next command begins.
pub(crate) fn reset() {
    PRESSED.store(0, Ordering::Relaxed);
    if let Some(token) = TOKEN.get() {
        token.reset();
    }
}

extern "C" fn on_interrupt(_: libc::c_int) {
    if PRESSED.fetch_add(1, Ordering::Relaxed) + 1 >= PATIENCE {
        // SAFETY: `_exit` may be called from a signal handler; nothing of ours needs cleaning up.
        unsafe { libc::_exit(libc::c_int::from(EXIT_CODE)) };
    }
    if let Some(token) = TOKEN.get() {
        token.cancel();
    }
}
