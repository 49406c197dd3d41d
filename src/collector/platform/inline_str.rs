//! A string of at most 64 bytes, stored in words, so that it is compared and copied without
//! allocation.
//!
//! Invariant: longer strings are cut between two characters; bytes after the end are zero.

use std::sync::atomic::{AtomicU64, Ordering};

/// Maximum length.
pub(crate) const INLINE_STR_BYTES_MAX: usize = 64;

const WORDS: usize = INLINE_STR_BYTES_MAX / 8;

/// A short string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InlineStr {
    words: [u64; WORDS],
}

impl InlineStr {
    /// Copies `text`, cut to the maximum length.
    pub(crate) fn new(text: &str) -> Self {
        let mut len = text.len().min(INLINE_STR_BYTES_MAX);
        while !text.is_char_boundary(len) {
            len = len.saturating_sub(1);
        }
        let mut string = Self::default();
        let bytes = text.as_bytes().get(..len).unwrap_or_default();
        for (word, chunk) in string.words.iter_mut().zip(bytes.chunks(8)) {
            let mut eight = [0; 8];
            for (to, from) in eight.iter_mut().zip(chunk) {
                *to = *from;
            }
            *word = u64::from_le_bytes(eight);
        }
        string
    }

    /// Copies the bytes of the string to `out`.
    pub(crate) fn bytes(self, out: &mut [u8; INLINE_STR_BYTES_MAX]) -> &[u8] {
        for (to, word) in out.chunks_mut(8).zip(self.words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        let len = out.iter().position(|byte| *byte == 0).unwrap_or(INLINE_STR_BYTES_MAX);
        out.get(..len).unwrap_or_default()
    }

    /// A hash of the string and a seed.
    pub(crate) fn hash(self, seed: u32) -> u64 {
        // One multiply-xor round of SplitMix64 per word.
        self.words.iter().fold(u64::from(seed), |hash, word| {
            let mixed = (hash ^ word).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed ^ (mixed >> 29)
        })
    }
}

/// A string that is written once and read by other threads after an acquire load that orders it.
#[derive(Debug)]
pub(crate) struct SharedInlineStr {
    words: [AtomicU64; WORDS],
}

impl SharedInlineStr {
    /// An empty string.
    pub(crate) const fn new() -> Self {
        Self { words: [const { AtomicU64::new(0) }; WORDS] }
    }

    /// Sets the string.
    pub(crate) fn store(&self, string: InlineStr) {
        for (to, word) in self.words.iter().zip(string.words) {
            to.store(word, Ordering::Relaxed);
        }
    }

    /// Reads the string.
    pub(crate) fn load(&self) -> InlineStr {
        let mut string = InlineStr::default();
        for (to, from) in string.words.iter_mut().zip(&self.words) {
            *to = from.load(Ordering::Relaxed);
        }
        string
    }

    /// Whether the string equals another one.
    pub(crate) fn equals(&self, other: &InlineStr) -> bool {
        let mut pairs = self.words.iter().zip(&other.words);
        pairs.all(|(ours, theirs)| ours.load(Ordering::Relaxed) == *theirs)
    }
}
