//! A clock to time single allocations with: ticks of the processor's counter where there is one,
//! ordered against the code around them, else nanoseconds.

use std::time::{Duration, Instant};

/// Now, in ticks. Nothing that is timed moves past it in either direction.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn ticks() -> u64 {
    use core::arch::x86_64::{_mm_lfence, _rdtsc};
    // SAFETY: every x86-64 processor has both instructions, and they touch no memory.
    unsafe {
        _mm_lfence();
        let now = _rdtsc();
        _mm_lfence();
        now
    }
}

/// Now, in nanoseconds.
#[cfg(not(target_arch = "x86_64"))]
pub fn ticks() -> u64 {
    use std::sync::OnceLock;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// How many nanoseconds a tick takes, measured over some milliseconds.
#[must_use]
pub fn ns_a_tick() -> f64 {
    let (started, first) = (Instant::now(), ticks());
    std::thread::sleep(Duration::from_millis(50));
    let (elapsed, last) = (started.elapsed(), ticks());
    elapsed.as_secs_f64() * 1e9 / last.wrapping_sub(first) as f64
}
