//! The recording's clock: the processor's time stamp counter where it can be trusted.
//!
//! Reads: `rdtsc`, else `CLOCK_MONOTONIC`, else a counter of events. Writes: nothing.
//!
//! Invariants:
//! - The kind is chosen once, before the first event, and does not change while recording.
//! - A stamp taken before an inner `dealloc` is not later than that `dealloc`: its stores retire
//!   after the counter was read. A stamp taken after an inner `alloc` may be earlier than the
//!   `alloc`'s last loads by what the processor runs ahead, some ten nanoseconds; a fence would
//!   cost as much at every event. Readers put such a pair right, since an address alternates
//!   between allocated and freed.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use crate::collector::platform::sys;
use crate::recording::{ClockKind, ClockPair, Ticks};

/// Raw readings are shifted right by this: 8 to 16 ns a tick at 2 to 4 GHz, so that the usual
/// time between two events fits four bits.
const TSC_SHIFT: u8 = 5;

/// `CLOCK_MONOTONIC` nanoseconds are shifted by this for the same reason.
const MONOTONIC_SHIFT: u8 = 4;

const KIND_MONOTONIC: u8 = 0;
const KIND_TSC: u8 = 1;
const KIND_COUNTER: u8 = 2;
const KIND_TEST: u8 = 3;

static KIND: AtomicU8 = AtomicU8::new(KIND_MONOTONIC);
static COUNTER: AtomicU64 = AtomicU64::new(0);
/// The address of a test's `fn() -> u64`; 0 if there is none.
static TEST_CLOCK: AtomicU64 = AtomicU64::new(0);

/// What a recording must say about its clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClockInfo {
    pub(crate) kind: ClockKind,
    pub(crate) tick_shift: u8,
}

/// Chooses the clock. Called before recording begins.
pub(crate) fn choose() -> ClockInfo {
    let (kind, facts) = if TEST_CLOCK.load(Ordering::Relaxed) != 0 {
        (KIND_TEST, ClockInfo { kind: ClockKind::Tsc, tick_shift: 0 })
    } else if is_tsc_reliable() {
        (KIND_TSC, ClockInfo { kind: ClockKind::Tsc, tick_shift: TSC_SHIFT })
    } else if monotonic_advances() {
        (KIND_MONOTONIC, ClockInfo { kind: ClockKind::Monotonic, tick_shift: MONOTONIC_SHIFT })
    } else {
        (KIND_COUNTER, ClockInfo { kind: ClockKind::Counter, tick_shift: 0 })
    };
    KIND.store(kind, Ordering::Release);
    facts
}

/// Lets a test drive the time; `None` takes it away again.
#[cfg(rheaper_testing)]
pub(crate) fn set_test_clock(clock: Option<fn() -> u64>) {
    TEST_CLOCK.store(clock.map_or(0, |clock| clock as usize as u64), Ordering::Release);
}

/// Whether the recording's clock is the one that [`tsc_now`] reads.
pub(crate) fn is_tsc() -> bool {
    cfg!(target_arch = "x86_64") && KIND.load(Ordering::Relaxed) == KIND_TSC
}

/// Now, by the processor's counter; only where [`is_tsc`] says so. Before a call it is not after
/// any store of that call; behind one it is within what the processor runs ahead.
#[inline(always)]
pub(crate) fn tsc_now() -> Ticks {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: every x86-64 processor has the instruction; it touches no memory.
        Ticks(unsafe { std::arch::x86_64::_rdtsc() } >> TSC_SHIFT)
    }
    #[cfg(not(target_arch = "x86_64"))]
    now_slow()
}

/// Now, by whatever clock there is.
#[inline]
pub(crate) fn now() -> Ticks {
    if is_tsc() { tsc_now() } else { now_slow() }
}

/// One moment on all clocks; the reading is repeated until the pair is tight.
pub(crate) fn pair() -> ClockPair {
    if KIND.load(Ordering::Relaxed) == KIND_TEST {
        // A test's ticks are nanoseconds, on all clocks.
        let ticks = test_now();
        return ClockPair { ticks, monotonic_ns: ticks.0, unix_ns: sys::unix_ns() };
    }
    let mut best = ClockPair::default();
    let mut best_width = u64::MAX;
    for _ in 0..8 {
        let before = now();
        let monotonic_ns = sys::monotonic_ns();
        let after = now();
        let width = after.0.saturating_sub(before.0);
        if width < best_width {
            best_width = width;
            let ticks = Ticks(before.0.saturating_add(width / 2));
            best = ClockPair { ticks, monotonic_ns, unix_ns: 0 };
        }
    }
    best.unix_ns = sys::unix_ns();
    best
}

/// Ticks a second as far as two pairs can tell; 0 for a clock that tells no time.
pub(crate) fn rate(facts: ClockInfo, first: ClockPair, second: ClockPair) -> f64 {
    match facts.kind {
        ClockKind::Counter => 0.0,
        ClockKind::Monotonic => 1e9 / f64::from(1_u32 << facts.tick_shift.min(31)),
        ClockKind::Tsc => {
            let ticks = second.ticks.0.saturating_sub(first.ticks.0) as f64;
            let ns = second.monotonic_ns.saturating_sub(first.monotonic_ns).max(1) as f64;
            ticks * 1e9 / ns
        }
    }
}

#[cold]
fn now_slow() -> Ticks {
    match KIND.load(Ordering::Relaxed) {
        KIND_COUNTER => Ticks(COUNTER.fetch_add(1, Ordering::Relaxed)),
        KIND_TEST => test_now(),
        _ => Ticks(sys::monotonic_ns() >> MONOTONIC_SHIFT),
    }
}

fn test_now() -> Ticks {
    let address = TEST_CLOCK.load(Ordering::Acquire) as usize;
    if address == 0 {
        return Ticks(0);
    }
    // SAFETY: only `set_test_clock` stores here, and it stores a `fn() -> u64` or 0.
    let clock = unsafe { std::mem::transmute::<usize, fn() -> u64>(address) };
    Ticks(clock())
}

/// Whether the counter runs at one rate on all cores: the processor says so, and the kernel,
/// which watches it, has not turned away from it.
#[cfg(target_arch = "x86_64")]
fn is_tsc_reliable() -> bool {
    use std::arch::x86_64::__cpuid;
    let highest = __cpuid(0x8000_0000).eax;
    let invariant = highest >= 0x8000_0007 && __cpuid(0x8000_0007).edx & (1 << 8) != 0;
    let kernel_trusts =
        std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource")
            .is_ok_and(|name| {
                matches!(name.trim(), "tsc" | "kvm-clock" | "hyperv_clocksource_tsc_page")
            });
    invariant && kernel_trusts
}

#[cfg(not(target_arch = "x86_64"))]
fn is_tsc_reliable() -> bool {
    false
}

fn monotonic_advances() -> bool {
    let first = sys::monotonic_ns();
    (0..1_000_000).any(|_| sys::monotonic_ns() > first)
}
