//! The session word: session number and flags in one `u32`, so that an event checks all of them with
//! one load and one comparison.
//!
//! ```text
//!  31        30          29         28 ... 0
//!  sampled | slow path | keyframe | session number
//! ```
//!
//! [`SESSION`] holds the word of the running session: its number and `sampled`. Each thread recorder
//! holds the word of the session that it records in, with its own flags `slow path` and `keyframe`. The
//! fast path compares the two words, and any flag makes them differ.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// The running session; [`SessionWord::NONE`] when nothing is recorded. The allocator wrapper reads
/// nothing else when recording is off.
pub(crate) static SESSION: AtomicSessionWord = AtomicSessionWord::new(SessionWord::NONE);

/// Whether the kernel supports [`memory_barrier`](crate::collector::platform::sys::memory_barrier);
/// otherwise each event needs its own fence.
pub(crate) static HAS_BARRIER: AtomicBool = AtomicBool::new(false);

/// Blocks are sampled: events take a separate path. The sign bit, so that off, unsampled and sampled
/// are distinguished by one comparison.
const SAMPLED: u32 = 1 << 31;

/// Events of this thread recorder need more than the fast path does: a fence, another clock, or a
/// sampling decision.
const SLOW_PATH: u32 = 1 << 30;

/// The flusher wants a keyframe before the next event of this thread recorder.
const KEYFRAME: u32 = 1 << 29;

/// A session number with its flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionWord(u32);

impl SessionWord {
    /// No session.
    pub(crate) const NONE: Self = Self(0);

    /// The word of a new thread recorder: it differs from every value of [`SESSION`].
    pub(crate) const NOT_JOINED: Self = Self(SLOW_PATH);

    /// The word of session `number`, cut to the bits of a number; `None` if these are all zero.
    pub(crate) fn new(number: u32, is_sampled: bool) -> Option<Self> {
        let number = number & !(SAMPLED | SLOW_PATH | KEYFRAME);
        (number != 0).then_some(Self(if is_sampled { number | SAMPLED } else { number }))
    }

    /// Whether there is no session.
    #[inline(always)]
    pub(crate) const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether blocks are sampled.
    #[inline(always)]
    pub(crate) const fn is_sampled(self) -> bool {
        self.0 & SAMPLED != 0
    }

    /// Whether the flusher wants a keyframe.
    pub(crate) const fn wants_keyframe(self) -> bool {
        self.0 & KEYFRAME != 0
    }

    /// The word with the flag of the slow path.
    pub(crate) const fn with_slow_path(self) -> Self {
        Self(self.0 | SLOW_PATH)
    }

    /// The word with the request of a keyframe.
    pub(crate) const fn with_keyframe(self) -> Self {
        Self(self.0 | KEYFRAME)
    }

    /// The session of a thread recorder's word: without the recorder's own flags.
    pub(crate) const fn session(self) -> Self {
        Self(self.0 & !(SLOW_PATH | KEYFRAME))
    }

    /// The word as a number.
    pub(crate) const fn bits(self) -> u32 {
        self.0
    }
}

/// A session word that several threads access.
pub(crate) struct AtomicSessionWord(AtomicU32);

impl AtomicSessionWord {
    pub(crate) const fn new(word: SessionWord) -> Self {
        Self(AtomicU32::new(word.0))
    }

    #[inline(always)]
    pub(crate) fn load(&self, order: Ordering) -> SessionWord {
        SessionWord(self.0.load(order))
    }

    pub(crate) fn store(&self, word: SessionWord, order: Ordering) {
        self.0.store(word.0, order);
    }

    /// Replaces `current` by `new` if it is still the value. The value read on failure is not
    /// returned, because no caller retries.
    pub(crate) fn replace(&self, current: SessionWord, new: SessionWord, order: Ordering) {
        let _ = self.0.compare_exchange(current.0, new.0, order, Ordering::Relaxed);
    }

    /// Clears the request of a keyframe.
    pub(crate) fn clear_keyframe(&self) {
        self.0.fetch_and(!KEYFRAME, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use crate::collector::event_path::session_word::SessionWord;

    #[test]
    fn flags_of_a_recorder_make_its_word_differ_from_every_session() {
        for (number, is_sampled) in [(1, false), (1, true), (u32::MAX, false), (u32::MAX, true)] {
            let session = SessionWord::new(number, is_sampled).unwrap();
            assert_eq!((session.is_none(), session.is_sampled()), (false, is_sampled));
            for word in [session.with_slow_path(), session.with_keyframe()] {
                assert_ne!(word, session);
                assert_eq!(word.session(), session);
            }
            assert!(session.with_keyframe().wants_keyframe() && !session.wants_keyframe());
            assert_ne!(SessionWord::NOT_JOINED.session(), session);
        }
        assert_eq!(SessionWord::new(1 << 29, true), None);
    }
}
