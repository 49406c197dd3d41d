//! Guards that a test of the tests may take out while the program runs: a build with
//! `RHEAPER_TEST_GUARDS` in its environment asks `RHEAPER_TEST_WITHOUT` for the name of one.
//!
//! Reads: that variable, once. Writes: nothing.
//!
//! Invariant: in every other build the answer is a constant, and nothing of this is in the program.

/// Whether this guard is taken out.
#[cfg(not(rheaper_guards))]
#[inline(always)]
pub(crate) const fn without(_guard: &str) -> bool {
    false
}

/// Whether this guard is taken out. May be asked inside the allocator.
#[cfg(rheaper_guards)]
pub(crate) fn without(guard: &str) -> bool {
    use std::ffi::{CStr, c_char};
    use std::sync::atomic::{AtomicPtr, Ordering};
    static NAME: AtomicPtr<c_char> = AtomicPtr::new(std::ptr::null_mut());
    let mut name = NAME.load(Ordering::Acquire);
    if name.is_null() {
        // SAFETY: nobody changes the environment of a test's program, so the text stays.
        name = unsafe { libc::getenv(c"RHEAPER_TEST_WITHOUT".as_ptr()) };
        if name.is_null() {
            name = c"".as_ptr().cast_mut();
        }
        NAME.store(name, Ordering::Release);
    }
    // SAFETY: a text of the environment, or the empty one.
    unsafe { CStr::from_ptr(name) }.to_bytes() == guard.as_bytes()
}
