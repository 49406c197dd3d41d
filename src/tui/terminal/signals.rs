//! Signals as messages: ended and stopped in order, the terminal given back first.
//!
//! Reads: signals of the process. Writes: a call of the given function for each.
//!
//! Invariant: the signals are blocked in every thread but fetched by one that waits for them, so
//! nothing runs inside a signal handler and no call is interrupted.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// When we last stopped the processes of our group, ourselves among them, and were continued. The
/// signal that we sent them must not be taken for a second wish to stop, and may be fetched late.
static STOPPED: Mutex<Stopped> = Mutex::new(Stopped::Never);

/// Set while another program has the terminal.
static TERMINAL_LENT: AtomicBool = AtomicBool::new(false);

/// For so long after being continued, our own signal may still come.
const OWN_STOP_WINDOW: Duration = Duration::from_millis(500);

enum Stopped {
    Never,
    Now,
    Until(Instant),
}

fn stopped() -> MutexGuard<'static, Stopped> {
    // One word, never half written.
    STOPPED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_own_stop() -> bool {
    match *stopped() {
        Stopped::Never => false,
        Stopped::Now => true,
        Stopped::Until(continued) => continued.elapsed() < OWN_STOP_WINDOW,
    }
}

/// Asked of us from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// To end; the number to end with.
    End(i32),
    /// To stop until continued.
    Stop,
}

const TERMINATING: [i32; 4] = [libc::SIGTERM, libc::SIGHUP, libc::SIGINT, libc::SIGQUIT];

/// Blocks the signals in this thread and all that it starts later, and waits for them in one.
///
/// # Errors
/// When the waiting thread can't be started.
pub(crate) fn watch(mut notify: impl FnMut(Signal) + Send + 'static) -> io::Result<()> {
    set_mask(libc::SIG_BLOCK);
    let wait = move || {
        let signals = signals();
        loop {
            let mut signal = 0;
            // SAFETY: both pointers are to live values of the right type.
            if unsafe { libc::sigwait(&raw const signals, &raw mut signal) } != 0 {
                continue;
            }
            match signal {
                // The key is meant for the program that has the terminal.
                libc::SIGINT | libc::SIGQUIT if TERMINAL_LENT.load(Ordering::SeqCst) => {}
                // Its key to stop stops us with it, so that the shell has the terminal again.
                libc::SIGTSTP if TERMINAL_LENT.load(Ordering::SeqCst) => stop_self(),
                libc::SIGTSTP if is_own_stop() => {}
                libc::SIGTSTP => notify(Signal::Stop),
                other => notify(Signal::End(other)),
            }
        }
    };
    let thread = thread::Builder::new().name("rheaper-signals".into());
    thread.spawn(wait).map(|_| ())
}

/// Stops this process and its group, as the terminal's own key would; returns when continued.
pub(crate) fn stop_group() {
    *stopped() = Stopped::Now;
    // SAFETY: `kill` has no memory to get wrong. The group gets the signal of the key, so that
    // a wrapper stops too; we block that one, so SIGSTOP, which can't be blocked, stops us.
    unsafe {
        libc::kill(0, libc::SIGTSTP);
    }
    stop_self();
    *stopped() = Stopped::Until(Instant::now());
}

fn stop_self() {
    // SAFETY: `kill` has no memory to get wrong.
    unsafe {
        libc::kill(libc::getpid(), libc::SIGSTOP);
    }
}

/// Ends the process by the signal that asked for it, so that its parent sees why.
pub(crate) fn terminate_by(signal: i32) -> ! {
    // SAFETY: resets the signal to its default and lets it through; no memory is involved.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
    }
    set_mask(libc::SIG_UNBLOCK);
    // SAFETY: `raise` has no memory to get wrong.
    unsafe {
        libc::raise(signal);
    }
    std::process::exit(128 + signal)
}

/// Runs `program` as the one that has the terminal, and with it the keys that send signals.
pub(crate) fn while_lent<T>(run: impl FnOnce() -> T) -> T {
    TERMINAL_LENT.store(true, Ordering::SeqCst);
    let result = run();
    TERMINAL_LENT.store(false, Ordering::SeqCst);
    result
}

/// Runs `start` with the signals let through: a child process inherits the mask.
pub(crate) fn with_signals_unblocked<T>(start: impl FnOnce() -> T) -> T {
    set_mask(libc::SIG_UNBLOCK);
    let result = start();
    set_mask(libc::SIG_BLOCK);
    result
}

fn signals() -> libc::sigset_t {
    // SAFETY: a sigset_t is plain memory that sigemptyset initialises before use.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in TERMINATING {
            libc::sigaddset(&raw mut set, signal);
        }
        libc::sigaddset(&raw mut set, libc::SIGTSTP);
        set
    }
}

fn set_mask(how: i32) {
    let set = signals();
    // SAFETY: `set` is initialised; the old mask is not asked for.
    unsafe {
        libc::pthread_sigmask(how, &raw const set, std::ptr::null_mut());
    }
}
