//! The recording's clock: the time stamp counter if it is reliable, else `CLOCK_MONOTONIC`, else an
//! event counter.
//!
//! Invariants:
//! - The clock is chosen before the first event and does not change while recording.
//! - A timestamp taken before an inner `dealloc` precedes its stores, because they retire after the
//!   counter was read. A timestamp taken after an inner `alloc` may precede the last loads of the
//!   `alloc` by about ten nanoseconds of out-of-order execution; a fence would cost as much per
//!   event. Readers correct such a pair because an address alternates between allocated and freed.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use crate::collector::platform::sys;
use crate::recording::{ClockKind, ClockPair, Ticks};

/// Shift of raw readings: 8 to 16 ns per tick at 2 to 4 GHz, so that the usual time between two
/// events fits four bits.
const TSC_SHIFT: u8 = 5;

/// Shift of `CLOCK_MONOTONIC` nanoseconds: 16 ns per tick, for the same reason.
const MONOTONIC_SHIFT: u8 = 4;

const KIND_MONOTONIC: u8 = 0;
const KIND_TSC: u8 = 1;
const KIND_COUNTER: u8 = 2;
const KIND_TEST: u8 = 3;

static KIND: AtomicU8 = AtomicU8::new(KIND_MONOTONIC);
static COUNTER: AtomicU64 = AtomicU64::new(0);
/// The address of a test clock of type `fn() -> u64`; 0: none.
static TEST_CLOCK: AtomicU64 = AtomicU64::new(0);

/// The clock of a recording, as its header describes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClockInfo {
    pub(crate) kind: ClockKind,
    pub(crate) tick_shift: u8,
}

/// Chooses the clock. Called before recording begins.
pub(crate) fn choose() -> ClockInfo {
    let (kind, info) = if TEST_CLOCK.load(Ordering::Relaxed) != 0 {
        (KIND_TEST, ClockInfo { kind: ClockKind::Tsc, tick_shift: 0 })
    } else if is_tsc_reliable() {
        (KIND_TSC, ClockInfo { kind: ClockKind::Tsc, tick_shift: TSC_SHIFT })
    } else if monotonic_advances() {
        (KIND_MONOTONIC, ClockInfo { kind: ClockKind::Monotonic, tick_shift: MONOTONIC_SHIFT })
    } else {
        (KIND_COUNTER, ClockInfo { kind: ClockKind::Counter, tick_shift: 0 })
    };
    KIND.store(kind, Ordering::Release);
    info
}

/// Replaces the clock in a test; `None` restores the real one.
#[cfg(rheaper_testing)]
pub(crate) fn set_test_clock(clock: Option<fn() -> u64>) {
    TEST_CLOCK.store(clock.map_or(0, |clock| clock as usize as u64), Ordering::Release);
}

/// Whether the clock is the time stamp counter, which [`tsc_now`] reads.
pub(crate) fn is_tsc() -> bool {
    cfg!(target_arch = "x86_64") && KIND.load(Ordering::Relaxed) == KIND_TSC
}

/// Reads the time stamp counter; valid only if [`is_tsc`]. Before a call, the result precedes all
/// stores of the call; after a call, it is exact up to out-of-order execution.
#[inline(always)]
pub(crate) fn tsc_now() -> Ticks {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: every x86-64 processor has `rdtsc`, and it accesses no memory.
        Ticks(unsafe { std::arch::x86_64::_rdtsc() } >> TSC_SHIFT)
    }
    #[cfg(not(target_arch = "x86_64"))]
    now_slow()
}

/// Reads the clock of the recording.
#[inline]
pub(crate) fn now() -> Ticks {
    if is_tsc() { tsc_now() } else { now_slow() }
}

/// Reads all clocks at the same time: repeats the reading and keeps the one that took the shortest
/// time.
pub(crate) fn pair() -> ClockPair {
    if KIND.load(Ordering::Relaxed) == KIND_TEST {
        // The ticks of a test clock are nanoseconds on all clocks.
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

/// Ticks per second, estimated from two pairs; 0 for the event counter.
pub(crate) fn rate(info: ClockInfo, first: ClockPair, second: ClockPair) -> f64 {
    match info.kind {
        ClockKind::Counter => 0.0,
        ClockKind::Monotonic => 1e9 / f64::from(1_u32 << info.tick_shift.min(31)),
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
    // SAFETY: only `set_test_clock` stores here: 0, or a pointer of type `fn() -> u64`.
    let clock = unsafe { std::mem::transmute::<usize, fn() -> u64>(address) };
    Ticks(clock())
}

/// Whether the time stamp counter runs at the same rate on all cores: the processor reports it as
/// invariant, and the kernel, which monitors it, uses it as a clock source.
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
