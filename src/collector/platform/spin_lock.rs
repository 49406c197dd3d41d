//! A lock that never sleeps in the kernel, allocates or waits for ever.
//!
//! Invariant: it is held for microseconds, by threads whose recorder flag is set, so that no
//! signal handler of the same thread can want it.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};

/// Tries before giving up: about a quarter of a second when the holder was preempted.
const YIELDS_MAX: u32 = 20_000;

/// Spins between two yields.
const SPINS: u32 = 64;

/// A mutual exclusion with a bounded wait.
pub(crate) struct SpinLock<T> {
    taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached only through `SpinGuard`, of which there is one at a time.
unsafe impl<T: Send> Sync for SpinLock<T> {}

impl<T> SpinLock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self { taken: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// Takes the lock, or gives up after a bounded wait.
    pub(crate) fn lock(&self) -> Option<SpinGuard<'_, T>> {
        for _ in 0..YIELDS_MAX {
            for _ in 0..SPINS {
                if self.take() {
                    return Some(SpinGuard { lock: self });
                }
                std::hint::spin_loop();
            }
            // SAFETY: no arguments, can't fail.
            unsafe { libc::sched_yield() };
        }
        None
    }

    /// Frees the lock in a forked child, where whoever held it is not.
    ///
    /// # Safety
    /// There is one thread, and it does not hold the lock.
    pub(crate) unsafe fn reset_after_fork(&self) {
        self.taken.store(false, Ordering::Relaxed);
    }

    fn take(&self) -> bool {
        !self.taken.load(Ordering::Relaxed)
            && self
                .taken
                .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
    }
}

/// The right to the value, until dropped.
pub(crate) struct SpinGuard<'a, T> {
    lock: &'a SpinLock<T>,
}

impl<T> Deref for SpinGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard exists, so the lock is ours.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for SpinGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard exists, so the lock is ours, and we hold it exclusively.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for SpinGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.taken.store(false, Ordering::Release);
    }
}
