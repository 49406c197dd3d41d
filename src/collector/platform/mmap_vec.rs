//! Fixed-length arrays in their own mappings: memory of the flusher outside of the program's heap.
//!
//! Invariants: all-zero bytes are a valid value of every element type; pages are touched only by
//! use, and unmapped when the array is dropped.

use std::ptr::NonNull;

use crate::collector::platform::sys;

/// Types without drop glue for which all-zero bytes are a valid value.
///
/// # Safety
/// All-zero bytes are a valid value of the type.
pub(crate) unsafe trait Zeroable: Copy {}

// SAFETY: an integer: all-zero is a valid value.
unsafe impl Zeroable for u32 {}
// SAFETY: an integer: all-zero is a valid value.
unsafe impl Zeroable for u64 {}
// SAFETY: an integer: all-zero is a valid value.
unsafe impl Zeroable for u8 {}

/// An array of fixed length.
pub(crate) struct MmapVec<T> {
    at: NonNull<T>,
    len: usize,
}

// SAFETY: the array owns its mapping, and the elements are `Send`.
unsafe impl<T: Zeroable + Send> Send for MmapVec<T> {}

impl<T: Zeroable> MmapVec<T> {
    /// An array of `len` zeroed elements; `None` if the system refuses the memory.
    pub(crate) fn new(len: usize) -> Option<Self> {
        let bytes = len.checked_mul(size_of::<T>()).filter(|bytes| *bytes > 0)?;
        Some(Self { at: sys::map_pages(bytes)?.cast(), len })
    }

    #[inline(always)]
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        self.as_slice().get(at)
    }

    #[inline(always)]
    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.as_mut_slice().get_mut(at)
    }

    #[inline(always)]
    pub(crate) fn as_slice(&self) -> &[T] {
        // SAFETY: the mapping holds `len` elements, page-aligned and initialised by zeroing or by
        // writing, and only this array refers to it.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.len) }
    }

    #[inline(always)]
    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: the mapping holds `len` elements, page-aligned and initialised by zeroing or by
        // writing, and `&mut self` makes the reference exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.at.as_ptr(), self.len) }
    }
}

/// An array whose length is a power of two; indices wrap, as the probe sequence of a hash table
/// needs.
pub(crate) struct MmapTable<T, const LEN: usize>(MmapVec<T>);

impl<T: Zeroable, const LEN: usize> MmapTable<T, LEN> {
    const MASK: usize = LEN - 1;

    /// A zeroed array; `None` if the system refuses the memory.
    pub(crate) fn new() -> Option<Self> {
        const { assert!(LEN.is_power_of_two()) };
        MmapVec::new(LEN).map(Self)
    }

    #[inline(always)]
    pub(crate) fn at(&self, index: usize) -> &T {
        // SAFETY: the array has `LEN` elements, and the masked index is below `LEN`.
        unsafe { &*self.0.at.as_ptr().add(index & Self::MASK) }
    }

    #[inline(always)]
    pub(crate) fn at_mut(&mut self, index: usize) -> &mut T {
        // SAFETY: the array has `LEN` elements, the masked index is below `LEN`, and the reference
        // borrows the array exclusively.
        unsafe { &mut *self.0.at.as_ptr().add(index & Self::MASK) }
    }

    /// Pre-faults the pages of `len` elements from index `from` on, see [`sys::populate_pages`].
    pub(crate) fn populate(&self, from: usize, len: usize) {
        if let Some(elements) = self.as_slice().get(from..from.saturating_add(len)) {
            // SAFETY: the slice is part of the array's mapping. The kernel rejects a range that
            // does not start at a page.
            unsafe { sys::populate_pages(elements.as_ptr().cast(), size_of_val(elements)) };
        }
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        self.0.as_slice()
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        self.0.as_mut_slice()
    }
}

/// Prefetches a cache line that is read soon.
#[inline(always)]
pub(crate) fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch is a hint without effect on memory, every x86-64 processor has it, and
        // the address comes from a reference.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

impl<T> Drop for MmapVec<T> {
    fn drop(&mut self) {
        // SAFETY: the array owns a mapping of this size, and no reference into it outlives the
        // array.
        unsafe { sys::unmap_pages(self.at.cast(), self.len.saturating_mul(size_of::<T>())) };
    }
}
