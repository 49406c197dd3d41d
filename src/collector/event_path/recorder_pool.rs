//! All thread recorders, and the free list of those without a thread.
//!
//! Invariant: thread recorders are never freed, and their number is at most the session's limit;
//! when a thread ends, its recorder is reused.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use crate::collector::event_path::session_config::{self, TRACKERS_MAX};
use crate::collector::event_path::thread_recorder::ThreadRecorder;
use crate::collector::platform::spin_lock::SpinLock;
use crate::collector::unwind::walker::Walker;
use crate::safeguards::{self, Safeguard};

static RECORDERS: [AtomicPtr<ThreadRecorder>; TRACKERS_MAX] =
    [const { AtomicPtr::new(ptr::null_mut()) }; TRACKERS_MAX];
static CREATED: AtomicUsize = AtomicUsize::new(0);

/// All thread recorders.
pub(crate) fn all() -> impl Iterator<Item = &'static ThreadRecorder> {
    let created = CREATED.load(Ordering::Acquire).min(TRACKERS_MAX);
    RECORDERS.iter().take(created).filter_map(|place| {
        // SAFETY: only `take` stores pointers here, to thread recorders, which are never freed.
        unsafe { place.load(Ordering::Acquire).as_ref() }
    })
}

/// Memory of all thread recorders, in bytes.
pub(crate) fn used_bytes() -> u64 {
    let config = session_config::get();
    let each = size_of::<ThreadRecorder>()
        .saturating_add(Walker::bytes(config.depth_max))
        .saturating_add(config.ring_bytes);
    (CREATED.load(Ordering::Relaxed) as u64).saturating_mul(each as u64)
}

/// Head of the free list: index of a thread recorder plus one, 0: empty.
static FREE: SpinLock<u32> = SpinLock::new(0);

/// Takes a thread recorder from the free list, or creates one within the limit.
pub(crate) fn take() -> Option<&'static ThreadRecorder> {
    let mut free = FREE.lock()?;
    if let Some(index) = free.checked_sub(1)
        && let Some(place) = RECORDERS.get(index as usize)
    {
        // SAFETY: only created thread recorders are in the list, and they are never freed.
        let recorder = unsafe { place.load(Ordering::Acquire).as_ref() }?;
        // SAFETY: this thread recorder has no thread, and the lock of the free list is held.
        *free = unsafe { recorder.next_free().read() };
        return Some(recorder);
    }
    let created = CREATED.load(Ordering::Relaxed);
    if created >= session_config::get().trackers_max
        && !safeguards::is_disabled(Safeguard::ThreadRecorderLimit)
    {
        return None;
    }
    let recorder = ThreadRecorder::create(created)?;
    RECORDERS.get(created)?.store(ptr::from_ref(recorder).cast_mut(), Ordering::Release);
    CREATED.store(created.wrapping_add(1), Ordering::Release);
    Some(recorder)
}

/// Returns the recorder of a thread that has ended to the free list.
pub(crate) fn give_back(recorder: &'static ThreadRecorder) {
    // Without the lock in time, the recorder is never reused, but its events are still written.
    let Some(mut free) = FREE.lock() else { return };
    // SAFETY: the thread of this recorder has ended, and the lock of the free list is held.
    unsafe { recorder.next_free().write(*free) };
    *free = recorder.stream.0.wrapping_add(1);
}

/// Unlocks the free list in a forked child.
///
/// # Safety
/// The calling thread is the only one, and it does not hold the lock.
pub(crate) unsafe fn reset_after_fork() {
    // SAFETY: the caller guarantees that no other thread exists and the lock is not held.
    unsafe { FREE.reset_after_fork() };
}
