//! A short list of what waits for the flusher, of a fixed length.
//!
//! Reads and writes: itself. Whoever shares it puts it under a lock.
//!
//! Invariants: nothing is allocated; what is taken out is the oldest, in its order.

/// At most `N` things that wait.
pub(in crate::collector) struct Queue<T, const N: usize> {
    waiting: [Option<T>; N],
    len: usize,
}

impl<T: Copy, const N: usize> Queue<T, N> {
    pub(in crate::collector) const fn new() -> Self {
        Self { waiting: [const { None }; N], len: 0 }
    }

    pub(in crate::collector) fn len(&self) -> usize {
        self.len
    }

    /// Appends one; `false`: there is no place.
    pub(in crate::collector) fn push(&mut self, new: T) -> bool {
        let Some(place) = self.waiting.get_mut(self.len) else { return false };
        *place = Some(new);
        self.len = self.len.wrapping_add(1);
        true
    }

    /// Takes the oldest, at most as many as `into` holds; answers how many.
    pub(in crate::collector) fn take(&mut self, into: &mut [Option<T>]) -> usize {
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
    pub(in crate::collector) fn clear(&mut self) {
        self.len = 0;
    }
}
