//! Turns signals into messages, so that the terminal is restored before the process ends or stops.
//!
//! Reads: signals of the process. Writes: calls the given function for each.
//!
//! Invariant: the signals are blocked in every thread and one thread waits for them, so that nothing
//! runs in a signal handler and no system call is interrupted.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// When we last stopped our process group and were continued. The SIGTSTP that we sent to the group,
/// ourselves included, may arrive late and must not stop us again.
static STOPPED: Mutex<Stopped> = Mutex::new(Stopped::Never);

/// Whether another program has the terminal.
static TERMINAL_LENT: AtomicBool = AtomicBool::new(false);

/// How long after being continued our own SIGTSTP may still arrive.
const OWN_STOP_WINDOW: Duration = Duration::from_millis(500);

enum Stopped {
    Never,
    Now,
    Until(Instant),
}

fn stopped() -> MutexGuard<'static, Stopped> {
    // The value is replaced as a whole, never left inconsistent.
    STOPPED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_own_stop() -> bool {
    match *stopped() {
        Stopped::Never => false,
        Stopped::Now => true,
        Stopped::Until(continued) => continued.elapsed() < OWN_STOP_WINDOW,
    }
}

/// A request from outside the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Terminate by this signal.
    End(i32),
    /// Stop until continued.
    Stop,
}

const TERMINATING: [i32; 4] = [libc::SIGTERM, libc::SIGHUP, libc::SIGINT, libc::SIGQUIT];

/// Blocks the signals in this thread and all that it starts later, and starts the waiting thread.
///
/// # Errors
/// When the thread can't be started.
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
                // Ctrl-C and Ctrl-\ are meant for the program that has the terminal.
                libc::SIGINT | libc::SIGQUIT if TERMINAL_LENT.load(Ordering::SeqCst) => {}
                // Ctrl-Z in the other program stops us too, so that the shell gets the terminal.
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

/// Stops the process group, as Ctrl-Z in the shell would; returns when continued.
pub(crate) fn stop_group() {
    *stopped() = Stopped::Now;
    // SAFETY: `kill` takes no pointers. The group gets SIGTSTP, so that a wrapper such as `sh`
    // stops too; we block it, so SIGSTOP, which can't be blocked, stops us.
    unsafe {
        libc::kill(0, libc::SIGTSTP);
    }
    stop_self();
    *stopped() = Stopped::Until(Instant::now());
}

fn stop_self() {
    // SAFETY: `kill` takes no pointers.
    unsafe {
        libc::kill(libc::getpid(), libc::SIGSTOP);
    }
}

/// Terminates the process by the signal that was received, so that its parent sees the reason.
pub(crate) fn terminate_by(signal: i32) -> ! {
    // SAFETY: `SIG_DFL` is a valid handler for every signal.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
    }
    set_mask(libc::SIG_UNBLOCK);
    // SAFETY: `raise` takes no pointers.
    unsafe {
        libc::raise(signal);
    }
    std::process::exit(128 + signal)
}

/// Runs `run` while another program has the terminal and receives its signals.
pub(crate) fn while_lent<T>(run: impl FnOnce() -> T) -> T {
    TERMINAL_LENT.store(true, Ordering::SeqCst);
    let result = run();
    TERMINAL_LENT.store(false, Ordering::SeqCst);
    result
}

/// Runs `start` with the signals unblocked, because a child process inherits the mask.
pub(crate) fn with_signals_unblocked<T>(start: impl FnOnce() -> T) -> T {
    set_mask(libc::SIG_UNBLOCK);
    let result = start();
    set_mask(libc::SIG_BLOCK);
    result
}

fn signals() -> libc::sigset_t {
    // SAFETY: all-zero is a valid `sigset_t`, and every pointer is to the live `set`.
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
    // SAFETY: `set` is a live, initialised set; a null pointer for the old mask is allowed.
    unsafe {
        libc::pthread_sigmask(how, &raw const set, std::ptr::null_mut());
    }
}
