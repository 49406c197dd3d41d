//! A bounded first-in, first-out queue for the flusher. The users protect it with a lock.
//!
//! Invariant: nothing is allocated.

/// A queue of at most `N` items.
pub(crate) struct Queue<T, const N: usize> {
    items: [Option<T>; N],
    len: usize,
}

impl<T: Copy, const N: usize> Queue<T, N> {
    pub(crate) const fn new() -> Self {
        Self { items: [const { None }; N], len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Appends an item; `false`: the queue is full.
    pub(crate) fn push(&mut self, item: T) -> bool {
        let Some(slot) = self.items.get_mut(self.len) else { return false };
        *slot = Some(item);
        self.len = self.len.wrapping_add(1);
        true
    }

    /// Removes the oldest items, at most as many as `into` holds, and returns their number.
    pub(crate) fn take(&mut self, into: &mut [Option<T>]) -> usize {
        let len = self.len.min(into.len());
        for (to, from) in into.iter_mut().zip(self.items.iter_mut().take(len)) {
            *to = from.take();
        }
        let remaining = self.len.wrapping_sub(len);
        self.items.copy_within(len..len.wrapping_add(remaining), 0);
        self.len = remaining;
        len
    }

    /// Removes all items.
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }
}
