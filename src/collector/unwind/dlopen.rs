//! Requests of recording threads to add a module that was loaded while recording (`dlopen`).
//!
//! Reads: the module's own memory, while a frame of it is on the calling thread's stack.
//! Writes: one request, which the flusher takes, and a notification for the waiting threads.
//!
//! Invariants: the recording thread neither allocates nor takes the dynamic loader's lock, and its wait
//! is bounded, because the flusher may be inside a slow `write`.

use std::time::Duration;

use crate::collector::platform::event_count;
use crate::collector::platform::event_count::FutexEvent;
use crate::collector::platform::spin_lock::SpinLock;
use crate::collector::unwind::modules::{Identity, LateModule};
use crate::collector::unwind::rules;

static REQUEST: SpinLock<Option<LateModule>> = SpinLock::new(None);
static ANSWERS: FutexEvent = FutexEvent::new();

/// Waits of 10 ms after which a walk gives up.
const WAITS_MAX: u32 = 25;

/// Requests that the module is added to the deriver, waits, and returns whether it was.
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

/// Stores a request unless there is an earlier one, which must be answered first. `false` if the module
/// can't be described.
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

/// Takes the pending request. Called by the flusher.
pub(crate) fn take() -> Option<LateModule> {
    REQUEST.lock()?.take()
}

/// Wakes the waiting threads after a request was answered.
pub(crate) fn answered() {
    ANSWERS.notify();
}

/// After `fork`, in the child: drops a request of another thread of the parent.
pub(crate) fn reset_after_fork() {
    // SAFETY: the child has one thread, which called `fork` and so does not hold the lock.
    unsafe { REQUEST.reset_after_fork() };
    let _ = take();
}
