//! A name of at most 64 bytes, in words, so that it is compared and copied without allocation.
//!
//! Invariant: what does not fit is cut between two characters; bytes behind the end are zero.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that are kept of a name.
pub(crate) const INLINE_STR_BYTES_MAX: usize = 64;

const WORDS: usize = INLINE_STR_BYTES_MAX / 8;

/// A name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InlineStr {
    words: [u64; WORDS],
}

impl InlineStr {
    /// As much of a name as fits.
    pub(crate) fn new(name: &str) -> Self {
        let mut len = name.len().min(INLINE_STR_BYTES_MAX);
        while !name.is_char_boundary(len) {
            len = len.saturating_sub(1);
        }
        let mut label = Self::default();
        let bytes = name.as_bytes().get(..len).unwrap_or_default();
        for (word, chunk) in label.words.iter_mut().zip(bytes.chunks(8)) {
            let mut eight = [0; 8];
            for (to, from) in eight.iter_mut().zip(chunk) {
                *to = *from;
            }
            *word = u64::from_le_bytes(eight);
        }
        label
    }

    /// The bytes of the name, up to the first zero, into `out`.
    pub(crate) fn bytes(self, out: &mut [u8; INLINE_STR_BYTES_MAX]) -> &[u8] {
        for (to, word) in out.chunks_mut(8).zip(self.words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        let len = out.iter().position(|byte| *byte == 0).unwrap_or(INLINE_STR_BYTES_MAX);
        out.get(..len).unwrap_or_default()
    }

    /// A number that differs for different names nearly always.
    pub(crate) fn hash(self, seed: u32) -> u64 {
        // The finisher of splitmix64 over each word.
        self.words.iter().fold(u64::from(seed), |hash, word| {
            let mixed = (hash ^ word).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed ^ (mixed >> 29)
        })
    }
}

/// A name that is written once, and read by others behind an acquiring load of something else.
#[derive(Debug)]
pub(crate) struct SharedInlineStr {
    words: [AtomicU64; WORDS],
}

impl SharedInlineStr {
    /// Without a name.
    pub(crate) const fn new() -> Self {
        Self { words: [const { AtomicU64::new(0) }; WORDS] }
    }

    /// Sets it.
    pub(crate) fn store(&self, label: InlineStr) {
        for (to, word) in self.words.iter().zip(label.words) {
            to.store(word, Ordering::Relaxed);
        }
    }

    /// Reads it.
    pub(crate) fn load(&self) -> InlineStr {
        let mut label = InlineStr::default();
        for (to, from) in label.words.iter_mut().zip(&self.words) {
            *to = from.load(Ordering::Relaxed);
        }
        label
    }

    /// Whether it is this name.
    pub(crate) fn is(&self, label: &InlineStr) -> bool {
        let mut pairs = self.words.iter().zip(&label.words);
        pairs.all(|(ours, theirs)| ours.load(Ordering::Relaxed) == *theirs)
    }
}
