//! A spin lock with a bounded wait, which never blocks in the kernel and never allocates.
//!
//! Invariant: it is held for microseconds, by threads inside the recorder, so that no signal
//! handler of the same thread waits for it.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};

/// Yields before giving up: about a quarter of a second if the holder was preempted.
const YIELDS_MAX: u32 = 20_000;

/// Attempts between two yields.
const SPINS: u32 = 64;

/// A mutex with a bounded wait.
pub(crate) struct SpinLock<T> {
    locked: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is accessed only through a `SpinGuard`, of which at most one exists at a time.
unsafe impl<T: Send> Sync for SpinLock<T> {}

impl<T> SpinLock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self { locked: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// Takes the lock, or gives up after a bounded wait.
    pub(crate) fn lock(&self) -> Option<SpinGuard<'_, T>> {
        for _ in 0..YIELDS_MAX {
            for _ in 0..SPINS {
                if self.try_acquire() {
                    return Some(SpinGuard { lock: self });
                }
                std::hint::spin_loop();
            }
            // SAFETY: `sched_yield` takes no arguments and accesses no memory of the caller.
            unsafe { libc::sched_yield() };
        }
        None
    }

    /// Unlocks in a forked child, where the thread that held the lock does not exist.
    ///
    /// # Safety
    /// The calling thread is the only one, and it does not hold the lock.
    pub(crate) unsafe fn reset_after_fork(&self) {
        self.locked.store(false, Ordering::Relaxed);
    }

    fn try_acquire(&self) -> bool {
        !self.locked.load(Ordering::Relaxed)
            && self
                .locked
                .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
    }
}

/// Exclusive access to the value, until dropped.
pub(crate) struct SpinGuard<'a, T> {
    lock: &'a SpinLock<T>,
}

impl<T> Deref for SpinGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard holds the lock, so that no other thread accesses the value.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for SpinGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard holds the lock and is borrowed exclusively.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for SpinGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.locked.store(false, Ordering::Release);
    }
}
