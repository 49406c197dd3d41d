//! Arrays in pages of their own: memory for the flusher that is not the program's heap.
//!
//! Invariants: all bytes zero is a value of every element; pages are touched by use only, and
//! given back when the array is dropped.

use std::ptr::NonNull;

use crate::collector::platform::sys;

/// Types of which all bytes zero is a value, and which need no drop.
///
/// # Safety
/// Both hold of the type.
pub(crate) unsafe trait Zeroable: Copy {}

// SAFETY: any bytes are a number.
unsafe impl Zeroable for u32 {}
// SAFETY: as above.
unsafe impl Zeroable for u64 {}
// SAFETY: as above.
unsafe impl Zeroable for u8 {}

/// An array of a fixed length.
pub(crate) struct MmapVec<T> {
    at: NonNull<T>,
    len: usize,
}

// SAFETY: it owns its memory, and the elements are plain data.
unsafe impl<T: Zeroable + Send> Send for MmapVec<T> {}

impl<T: Zeroable> MmapVec<T> {
    /// `len` zeroes, or `None` if the system refuses.
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
        // SAFETY: the mapping holds `len` elements, all of them values, page-aligned, and is
        // this array's alone.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.len) }
    }

    #[inline(always)]
    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.at.as_ptr(), self.len) }
    }
}

/// An array of a power of two of elements, for searches that go round: places are taken modulo
/// its length, so that none is out of it.
pub(crate) struct MmapTable<T, const LEN: usize>(MmapVec<T>);

impl<T: Zeroable, const LEN: usize> MmapTable<T, LEN> {
    /// Below the length, whatever it is.
    const MASK: usize = (1 << LEN.ilog2()) - 1;

    /// Zeroes, or `None` if the system refuses.
    pub(crate) fn new() -> Option<Self> {
        MmapVec::new(LEN).map(Self)
    }

    #[inline(always)]
    pub(crate) fn at(&self, place: usize) -> &T {
        // SAFETY: the pages hold `LEN` elements, and the mask is below it.
        unsafe { &*self.0.at.as_ptr().add(place & Self::MASK) }
    }

    #[inline(always)]
    pub(crate) fn at_mut(&mut self, place: usize) -> &mut T {
        // SAFETY: as above; the reference borrows all of them.
        unsafe { &mut *self.0.at.as_ptr().add(place & Self::MASK) }
    }

    /// Has the memory of so many elements, as [`sys::populate_pages`] does.
    pub(crate) fn populate(&self, from: usize, len: usize) {
        if let Some(elements) = self.as_slice().get(from..from.saturating_add(len)) {
            // SAFETY: a part of our mapping. Were it not at a page's beginning, the kernel would refuse.
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

/// Has the processor fetch what will be read soon.
#[inline(always)]
pub(crate) fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint; every x86-64 processor has it, and the address is a reference's.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

impl<T> Drop for MmapVec<T> {
    fn drop(&mut self) {
        // SAFETY: our own mapping of this size; nobody has a reference into it any more.
        unsafe { sys::unmap_pages(self.at.cast(), self.len.saturating_mul(size_of::<T>())) };
    }
}
