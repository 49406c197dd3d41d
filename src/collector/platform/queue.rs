//! A short list of what waits for the flusher, of a fixed length.
//!
//! Reads and writes: itself. Whoever shares it puts it under a lock.
//!
//! Invariants: nothing is allocated; what is taken out is the oldest, in its order.

/// At most `N` things that wait.
pub(crate) struct Queue<T, const N: usize> {
    waiting: [Option<T>; N],
    len: usize,
}

impl<T: Copy, const N: usize> Queue<T, N> {
    pub(crate) const fn new() -> Self {
        Self { waiting: [const { None }; N], len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Appends one; `false`: there is no place.
    pub(crate) fn push(&mut self, new: T) -> bool {
        let Some(place) = self.waiting.get_mut(self.len) else { return false };
        *place = Some(new);
        self.len = self.len.wrapping_add(1);
        true
    }

    /// Takes the oldest, at most as many as `into` holds; answers how many.
    pub(crate) fn take(&mut self, into: &mut [Option<T>]) -> usize {
        let len = self.len.min(into.len());
        for (to, from) in into.iter_mut().zip(self.waiting.iter_mut().take(len)) {
            *to = from.take();
        }
        let left = self.len.wrapping_sub(len);
        self.waiting.copy_within(len..len.wrapping_add(left), 0);
        self.len = left;
        len
    }

    /// Forgets what waits.
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }
}
