//! Reads one word of a thread's stack.

/// Reads the word at an address of the calling thread's stack.
///
/// The words belong to frames of other functions: to the compiler they are locals that no other code
/// accesses, and one function's reads say nothing about the value at the next walk. So every read of
/// the stack is volatile, in a walk and in a comparison alike: it happens once, at its place, and
/// nothing is concluded from its value.
///
/// # Safety
/// `at` is aligned to 8 bytes and inside mapped stack memory at or above the calling function's sp.
#[inline(always)]
pub(crate) unsafe fn read_stack_word(at: u64) -> u64 {
    // SAFETY: the caller guarantees that the word is mapped and aligned.
    unsafe { std::ptr::read_volatile(at as *const u64) }
}
