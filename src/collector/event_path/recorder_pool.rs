//! All thread recorders, and those of them that have no thread.
//!
//! Reads: the limits. Writes: the table of thread recorders.
//!
//! Invariant: thread recorders are never freed, and there are never more than the limits allow; when a thread
//! ends its thread recorder is used again.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use crate::collector::event_path::session_config::{self, TRACKERS_MAX};
use crate::collector::event_path::thread_recorder::ThreadRecorder;
use crate::collector::platform::spin_lock::SpinLock;
use crate::collector::unwind::walker::Walker;
use crate::safeguards;

static TABLE: [AtomicPtr<ThreadRecorder>; TRACKERS_MAX] =
    [const { AtomicPtr::new(ptr::null_mut()) }; TRACKERS_MAX];
static CREATED: AtomicUsize = AtomicUsize::new(0);

/// All thread recorders there are.
pub(crate) fn all() -> impl Iterator<Item = &'static ThreadRecorder> {
    let created = CREATED.load(Ordering::Acquire).min(TRACKERS_MAX);
    TABLE.iter().take(created).filter_map(|place| {
        // SAFETY: only `take` stores here, and thread recorders are never freed.
        unsafe { place.load(Ordering::Acquire).as_ref() }
    })
}

/// Memory of all thread recorders, in bytes.
pub(crate) fn used_bytes() -> u64 {
    let limits = session_config::get();
    let each = size_of::<ThreadRecorder>()
        .saturating_add(Walker::bytes(limits.depth_max))
        .saturating_add(limits.ring_bytes);
    (CREATED.load(Ordering::Relaxed) as u64).saturating_mul(each as u64)
}

/// First thread recorder that has no thread, by index plus one.
static FREE: SpinLock<u32> = SpinLock::new(0);

/// A thread recorder without a thread, or a new one within the limits.
pub(crate) fn take() -> Option<&'static ThreadRecorder> {
    let mut free = FREE.lock()?;
    if let Some(index) = free.checked_sub(1)
        && let Some(place) = TABLE.get(index as usize)
    {
        // SAFETY: only created thread recorders are in the list, and they are never freed.
        let recorder = unsafe { place.load(Ordering::Acquire).as_ref() }?;
        // SAFETY: it has no thread, and the pool is locked.
        *free = unsafe { recorder.next_free().read() };
        return Some(recorder);
    }
    let created = CREATED.load(Ordering::Relaxed);
    if created >= session_config::get().trackers_max && !safeguards::without("trackers at most") {
        return None;
    }
    let recorder = ThreadRecorder::create(created)?;
    TABLE.get(created)?.store(ptr::from_ref(recorder).cast_mut(), Ordering::Release);
    CREATED.store(created.wrapping_add(1), Ordering::Release);
    Some(recorder)
}

/// The thread recorder of a thread that has ended.
pub(crate) fn give_back(recorder: &'static ThreadRecorder) {
    // A thread recorder that can't be given back in time is lost to the pool, not to the file.
    let Some(mut free) = FREE.lock() else { return };
    // SAFETY: its thread has ended and the pool is locked.
    unsafe { recorder.next_free().write(*free) };
    *free = recorder.stream.0.wrapping_add(1);
}

/// In a forked child.
///
/// # Safety
/// The child has one thread, which forked and so does not hold the lock.
pub(crate) unsafe fn reset_after_fork() {
    // SAFETY: the caller's promise.
    unsafe { FREE.reset_after_fork() };
}
