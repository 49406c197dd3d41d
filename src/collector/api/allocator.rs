//! The allocator wrapper: a `GlobalAlloc` that records the calls of another one.
//!
//! Invariant: the inner allocator receives exactly the program's calls in the program's order, and
//! its results are returned unchanged. When recording is off, a call costs one extra relaxed load
//! and branch.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::Ordering;

use crate::collector::event_path::hooks::{self, Contents};
use crate::collector::event_path::sampling::{self, Remaining};
use crate::collector::event_path::session_word::{SESSION, SessionWord};
use crate::safeguards::{self, Safeguard};

/// Wraps an allocator `A` so that its calls can be recorded.
///
/// Outside of a recording (from [`enable_tracking`](crate::enable_tracking) to
/// [`disable_tracking`](crate::disable_tracking)) a call costs one extra load and branch.
///
/// ```
/// #[global_allocator]
/// static GLOBAL: rheaper::Allocator<std::alloc::System> =
///     rheaper::Allocator::from_allocator(std::alloc::System);
/// # fn main() {}
/// ```
#[derive(Debug, Default)]
pub struct Allocator<A> {
    inner: A,
}

impl<A> Allocator<A> {
    /// Wraps `allocator`.
    pub const fn from_allocator(allocator: A) -> Self {
        Self { inner: allocator }
    }
}

/// The session word, loaded once per call: 0 when nothing is recorded.
#[inline(always)]
fn session_word() -> SessionWord {
    SESSION.load(Ordering::Relaxed)
}

/// The calls while recording. They are not inlined, so that when recording is off a call is one
/// load, one branch and a jump to the inner allocator, and saves no registers.
impl<A: GlobalAlloc> Allocator<A> {
    #[inline(never)]
    unsafe fn alloc_recorded(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller upholds `alloc`'s contract.
        let block = unsafe { self.inner.alloc(layout) };
        hooks::record_alloc(block.addr(), layout.size(), layout.align(), Contents::Any);
        block
    }

    #[inline(never)]
    unsafe fn alloc_zeroed_recorded(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller upholds `alloc_zeroed`'s contract.
        let block = unsafe { self.inner.alloc_zeroed(layout) };
        hooks::record_alloc(block.addr(), layout.size(), layout.align(), Contents::Zeroed);
        block
    }

    #[inline(never)]
    unsafe fn dealloc_recorded(&self, block: *mut u8, layout: Layout) {
        // Always true, except in builds that test the safeguards.
        if !safeguards::is_disabled(Safeguard::TimestampBeforeFree)
            && hooks::try_record_free_fast(block.addr())
        {
            // SAFETY: the caller upholds `dealloc`'s contract.
            return unsafe { self.inner.dealloc(block, layout) };
        }
        // SAFETY: the caller upholds `dealloc`'s contract.
        unsafe { self.dealloc_slow(block, layout) }
    }

    /// Not inlined, so that the fast path saves no registers for a call.
    #[inline(never)]
    unsafe fn dealloc_slow(&self, block: *mut u8, layout: Layout) {
        let record_before_free = !safeguards::is_disabled(Safeguard::TimestampBeforeFree);
        if record_before_free {
            hooks::record_free(block.addr());
        }
        // SAFETY: the caller upholds `dealloc`'s contract.
        unsafe { self.inner.dealloc(block, layout) }
        if !record_before_free {
            hooks::record_free(block.addr());
        }
    }

    #[inline(never)]
    unsafe fn realloc_recorded(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let started_at = hooks::begin_realloc();
        let old = block.addr();
        // SAFETY: the caller upholds `realloc`'s contract.
        let new = unsafe { self.inner.realloc(block, layout, new_size) };
        hooks::record_realloc(started_at, old, new.addr(), new_size, layout.align());
        new
    }
}

/// The calls while sampling.
impl<A: GlobalAlloc> Allocator<A> {
    /// Subtracts the size from the countdown before it calls the inner allocator, so that the common
    /// case keeps one register live and a chosen block is handled out of line.
    #[inline(never)]
    unsafe fn alloc_sampled(&self, layout: Layout, session: SessionWord) -> *mut u8 {
        if let Some(remaining) = sampling::count_down(layout.size(), session) {
            // SAFETY: the caller upholds `alloc`'s contract.
            return unsafe { self.alloc_and_record(layout, remaining) };
        }
        // SAFETY: the caller upholds `alloc`'s contract.
        let block = unsafe { self.inner.alloc(layout) };
        if block.is_null() {
            sampling::record_failure(layout.size());
        }
        block
    }

    #[cold]
    #[inline(never)]
    unsafe fn alloc_and_record(&self, layout: Layout, remaining: Remaining) -> *mut u8 {
        // SAFETY: the caller upholds `alloc`'s contract.
        let block = unsafe { self.inner.alloc(layout) };
        sampling::record_alloc(
            remaining,
            block.addr(),
            layout.size(),
            layout.align(),
            Contents::Any,
        );
        block
    }

    #[inline(never)]
    unsafe fn alloc_zeroed_sampled(&self, layout: Layout, session: SessionWord) -> *mut u8 {
        if let Some(remaining) = sampling::count_down(layout.size(), session) {
            // SAFETY: the caller upholds `alloc_zeroed`'s contract.
            return unsafe { self.alloc_zeroed_and_record(layout, remaining) };
        }
        // SAFETY: the caller upholds `alloc_zeroed`'s contract.
        let block = unsafe { self.inner.alloc_zeroed(layout) };
        if block.is_null() {
            sampling::record_failure(layout.size());
        }
        block
    }

    #[cold]
    #[inline(never)]
    unsafe fn alloc_zeroed_and_record(&self, layout: Layout, remaining: Remaining) -> *mut u8 {
        // SAFETY: the caller upholds `alloc_zeroed`'s contract.
        let block = unsafe { self.inner.alloc_zeroed(layout) };
        sampling::record_alloc(
            remaining,
            block.addr(),
            layout.size(),
            layout.align(),
            Contents::Zeroed,
        );
        block
    }

    #[inline(always)]
    unsafe fn dealloc_sampled(&self, block: *mut u8, layout: Layout) {
        if sampling::may_be_sampled(block.addr()) {
            // SAFETY: the caller upholds `dealloc`'s contract.
            return unsafe { self.dealloc_and_record(block, layout) };
        }
        // SAFETY: the caller upholds `dealloc`'s contract.
        unsafe { self.inner.dealloc(block, layout) }
    }

    #[cold]
    #[inline(never)]
    unsafe fn dealloc_and_record(&self, block: *mut u8, layout: Layout) {
        sampling::record_free(block.addr());
        // SAFETY: the caller upholds `dealloc`'s contract.
        unsafe { self.inner.dealloc(block, layout) }
    }

    #[inline(never)]
    unsafe fn realloc_sampled(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let old = block.addr();
        let pending =
            if sampling::may_be_sampled(old) { sampling::begin_realloc(old) } else { None };
        // SAFETY: the caller upholds `realloc`'s contract.
        let new = unsafe { self.inner.realloc(block, layout, new_size) };
        let (new_address, align) = (new.addr(), layout.align());
        if let Some(pending) = pending {
            sampling::record_realloc(pending, old, new_address, new_size, align);
        } else if let Some(remaining) = sampling::count_down(new_size, session_word()) {
            // The new block is sampled like any other allocation.
            sampling::record_alloc(remaining, new_address, new_size, align, Contents::Any);
        } else if new.is_null() {
            sampling::record_failure(new_size);
        }
        new
    }
}

// SAFETY: every method passes its arguments to the inner allocator's method of the same name and
// returns its result unchanged, so that the contract of `A` is kept. The recording code does not
// unwind, does not allocate and does not access the blocks.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Allocator<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let session = session_word();
        if !session.is_none() {
            if session.is_sampled() {
                // SAFETY: the caller upholds `alloc`'s contract.
                return unsafe { self.alloc_sampled(layout, session) };
            }
            // SAFETY: the caller upholds `alloc`'s contract.
            return unsafe { self.alloc_recorded(layout) };
        }
        // SAFETY: the caller upholds `alloc`'s contract.
        unsafe { self.inner.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let session = session_word();
        if !session.is_none() {
            if session.is_sampled() {
                // SAFETY: the caller upholds `alloc_zeroed`'s contract.
                return unsafe { self.alloc_zeroed_sampled(layout, session) };
            }
            // SAFETY: the caller upholds `alloc_zeroed`'s contract.
            return unsafe { self.alloc_zeroed_recorded(layout) };
        }
        // SAFETY: the caller upholds `alloc_zeroed`'s contract.
        unsafe { self.inner.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let session = session_word();
        if !session.is_none() {
            if session.is_sampled() {
                // SAFETY: the caller upholds `dealloc`'s contract; the inner allocator returned the
                // block.
                return unsafe { self.dealloc_sampled(block, layout) };
            }
            // SAFETY: the caller upholds `dealloc`'s contract.
            return unsafe { self.dealloc_recorded(block, layout) };
        }
        // SAFETY: the caller upholds `dealloc`'s contract.
        unsafe { self.inner.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let session = session_word();
        if !session.is_none() {
            if session.is_sampled() {
                // SAFETY: the caller upholds `realloc`'s contract; the inner allocator returned the
                // block.
                return unsafe { self.realloc_sampled(block, layout, new_size) };
            }
            // SAFETY: the caller upholds `realloc`'s contract.
            return unsafe { self.realloc_recorded(block, layout, new_size) };
        }
        // SAFETY: the caller upholds `realloc`'s contract.
        unsafe { self.inner.realloc(block, layout, new_size) }
    }
}
