//! Each thread's sampler, and the recording that its countdown is for.
//!
//! Reads: the session's number. Writes: the thread's own cells.
//!
//! Invariants: usable at any moment of a thread's life, before it has a thread recorder and while its
//! thread-local values are destroyed; a countdown of another recording, whose mean may differ, is
//! never used.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::collector::event_path::sampling::sampler::{STALE, Sampler, mix};
use crate::collector::event_path::session_word::{SESSION, SessionWord};

/// Bytes between two chosen ones, on average. Changes only while nothing is recorded.
static MEAN: AtomicU64 = AtomicU64::new(u64::MAX);
/// What the threads' random numbers begin with.
static SEED: AtomicU64 = AtomicU64::new(0);
/// Threads that have begun to sample in this recording.
static STREAMS: AtomicU64 = AtomicU64::new(0);

struct Countdown {
    session: Cell<SessionWord>,
    sampler: Sampler,
}

thread_local! {
    // Constant and without a destructor, so that it is usable at any moment of a thread's life.
    static COUNTDOWN: Countdown =
        const { Countdown { session: Cell::new(SessionWord::NONE), sampler: Sampler::new() } };
}

/// Sets what the next recording samples.
pub(crate) fn prepare(sample_bytes: u64, seed: u64) {
    MEAN.store(sample_bytes, Ordering::Relaxed);
    SEED.store(seed, Ordering::Relaxed);
    STREAMS.store(0, Ordering::Relaxed);
}

/// Takes a block off the thread's countdown in a session. Above 0: it is not chosen; else
/// [`is_chosen`] says whether it is.
#[inline(always)]
pub(crate) fn take(size: usize, session: SessionWord) -> i64 {
    COUNTDOWN.with(|countdown| {
        if countdown.session.get() == session { countdown.sampler.take(size) } else { STALE }
    })
}

/// Undoes [`take`], which answered `left`: the block was not had.
pub(crate) fn undo(size: usize, left: i64) {
    if left != STALE {
        COUNTDOWN.with(|countdown| countdown.sampler.undo(size));
    }
}

/// Whether a block is chosen of which [`take`] answered `left`.
pub(crate) fn is_chosen(size: usize, left: i64) -> bool {
    let session = SESSION.load(Ordering::Acquire);
    if !session.is_sampled() {
        return false;
    }
    COUNTDOWN.with(|countdown| {
        if left == STALE && countdown.session.get() != session {
            let stream = STREAMS.fetch_add(1, Ordering::Relaxed);
            // In this order: a signal handler that comes between draws for itself.
            countdown.sampler.seed(mix(SEED.load(Ordering::Relaxed).wrapping_add(mix(stream))));
            countdown.session.set(session);
        }
        countdown.sampler.is_chosen(size, left, MEAN.load(Ordering::Relaxed) as f64)
    })
}
