//! The thread-local sampler, and the session that its countdown belongs to.
//!
//! Invariants: usable at any time of a thread's life, also before it has a thread recorder and
//! while its thread-local values are destroyed. A countdown of another session, whose mean may
//! differ, is never used.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::collector::event_path::sampling::sampler::{STALE, Sampler, mix};
use crate::collector::event_path::session_word::{SESSION, SessionWord};

/// Mean distance between chosen bytes. Changes only while nothing is recorded.
static MEAN: AtomicU64 = AtomicU64::new(u64::MAX);
/// Seed of the session.
static SEED: AtomicU64 = AtomicU64::new(0);
/// Number of threads that have drawn a countdown in this session; each has its own random sequence.
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

/// Configures the next session.
pub(crate) fn prepare(sample_bytes: u64, seed: u64) {
    MEAN.store(sample_bytes, Ordering::Relaxed);
    SEED.store(seed, Ordering::Relaxed);
    STREAMS.store(0, Ordering::Relaxed);
}

/// Takes a block off the thread's countdown. Above 0: not chosen; otherwise [`is_chosen`] decides.
#[inline(always)]
pub(crate) fn take(size: usize, session: SessionWord) -> i64 {
    COUNTDOWN.with(|countdown| {
        if countdown.session.get() == session { countdown.sampler.take(size) } else { STALE }
    })
}

/// Undoes a [`take`] that returned `left`, because the allocation failed.
pub(crate) fn undo(size: usize, left: i64) {
    if left != STALE {
        COUNTDOWN.with(|countdown| countdown.sampler.undo(size));
    }
}

/// Whether a block for which [`take`] returned `left` is chosen.
pub(crate) fn is_chosen(size: usize, left: i64) -> bool {
    let session = SESSION.load(Ordering::Acquire);
    if !session.is_sampled() {
        return false;
    }
    COUNTDOWN.with(|countdown| {
        if left == STALE && countdown.session.get() != session {
            let stream = STREAMS.fetch_add(1, Ordering::Relaxed);
            // The session is set last: a signal handler in between draws its own countdown.
            countdown.sampler.seed(mix(SEED.load(Ordering::Relaxed).wrapping_add(mix(stream))));
            countdown.session.set(session);
        }
        countdown.sampler.is_chosen(size, left, MEAN.load(Ordering::Relaxed) as f64)
    })
}
