//! Prefetches memory that a later event will need.

/// Fetches the cache line that contains `pointer`; does nothing on architectures other than x86-64.
#[inline]
pub(crate) fn prefetch<T>(pointer: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch is a hint: it has no architectural effect and never faults, whatever
        // the address is.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(pointer.cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = pointer;
}
