//! Modules that appear while recording: how a recording thread has one made known.
//!
//! Reads: the module's own memory, while a frame of it is on the calling thread's stack.
//! Writes: one request, which the flusher takes, and an answer for the waiting thread.
//!
//! Invariants: the recording thread neither allocates nor takes the loader's lock, and its wait
//! is bounded: the flusher may be inside a slow `write`.

use std::time::Duration;

use crate::collector::platform::event_count;
use crate::collector::platform::event_count::FutexEvent;
use crate::collector::platform::spin_lock::SpinLock;
use crate::collector::unwind::modules::{Identity, LateModule};
use crate::collector::unwind::rules;

static REQUEST: SpinLock<Option<LateModule>> = SpinLock::new(None);
static ANSWERS: FutexEvent = FutexEvent::new();

/// Waits of 10 ms before a walk is given up.
const WAITS_MAX: u32 = 25;

/// Asks for the module to be made known to the deriver; answers whether it now is.
#[cold]
pub(crate) fn make_known(identity: &Identity) -> bool {
    let _errno = crate::collector::platform::sys::PreservedErrno::new();
    for _ in 0..WAITS_MAX {
        let answers = ANSWERS.ticket();
        if rules::knows(identity) {
            return true;
        }
        if !request(identity) {
            return false;
        }
        event_count::wake_flusher();
        ANSWERS.wait(answers, Duration::from_millis(10));
    }
    rules::knows(identity)
}

/// Leaves a request unless there is one already (then that one is answered first). `false`: the
/// object can't be described.
fn request(identity: &Identity) -> bool {
    let Some(mut place) = REQUEST.lock() else {
        return false;
    };
    if place.is_none() {
        *place = LateModule::describe(identity);
        return place.is_some();
    }
    true
}

/// The request that waits, for the flusher.
pub(crate) fn take() -> Option<LateModule> {
    REQUEST.lock()?.take()
}

/// Tells the waiting threads to look again.
pub(crate) fn answered() {
    ANSWERS.notify();
}

/// In a forked child: who left the request is not here.
pub(crate) fn forked() {
    // SAFETY: the child has one thread, which forked and so was not in here.
    unsafe { REQUEST.reset_after_fork() };
    let _ = take();
}
