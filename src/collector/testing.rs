//! Test hooks of a recorder built with `--cfg rheaper_testing`: compare every walk with the
//! system's unwinder, disable cached stacks, drive the clock, delay writes, seed sampling.
//!
//! Invariant: a comparison covers all return addresses up to the depth limit.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::collector::platform::clock;
use crate::collector::platform::spin_lock::SpinLock;
use crate::collector::unwind::stack_table;
use crate::recording::NodeId;

/// Frames that are compared; more than any depth limit that tests use.
const FRAMES_MAX: usize = 1200;

static CHECKED: AtomicU64 = AtomicU64::new(0);
static DIFFERENT: AtomicU64 = AtomicU64::new(0);
static FIRST: SpinLock<Difference> =
    SpinLock::new(Difference { walked: [0; 64], expected: [0; 64] });

/// The innermost return addresses of a stack for which the two walks differ.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    /// Result of the recorder's walk.
    pub walked: [u64; 64],
    /// Result of the system's unwinder.
    pub expected: [u64; 64],
}

static COMPARES: AtomicBool = AtomicBool::new(false);
static NAIVE: AtomicBool = AtomicBool::new(false);
static DELAY_US: AtomicU64 = AtomicU64::new(0);
static IS_SEEDED: AtomicBool = AtomicBool::new(false);
static SEED: AtomicU64 = AtomicU64::new(0);
static SAMPLE_LEVELS: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Enables the comparison of each walk with the system's unwinder.
pub fn compare_walks(compare: bool) {
    COMPARES.store(compare, Ordering::Relaxed);
}

/// Disables the cached frames and recent stacks, so that every stack is unwound completely.
pub fn walk_naively(naive: bool) {
    NAIVE.store(naive, Ordering::Relaxed);
}

/// Replaces the clock of the next recordings; `None` restores the real one.
pub fn drive_clock(clock: Option<fn() -> u64>) {
    clock::set_test_clock(clock);
}

/// Delays each write of the flusher.
pub fn delay_writes(delay: Duration) {
    DELAY_US.store(delay.as_micros() as u64, Ordering::Relaxed);
}

/// Seeds the random numbers of sampling in the next recordings; `None`: a random seed.
pub fn seed_samples(seed: Option<u64>) {
    IS_SEEDED.store(seed.is_some(), Ordering::Relaxed);
    SEED.store(seed.unwrap_or(0), Ordering::Relaxed);
}

/// Limits the levels of the table of sampled blocks; one level has room for 32,768 blocks.
pub fn limit_sample_levels(levels: usize) {
    SAMPLE_LEVELS.store(levels, Ordering::Relaxed);
}

pub(crate) fn sample_seed() -> Option<u64> {
    IS_SEEDED.load(Ordering::Relaxed).then(|| SEED.load(Ordering::Relaxed))
}

pub(crate) fn sample_levels() -> usize {
    SAMPLE_LEVELS.load(Ordering::Relaxed)
}

pub(crate) fn is_naive() -> bool {
    NAIVE.load(Ordering::Relaxed)
}

pub(crate) fn write_delay() -> Duration {
    Duration::from_micros(DELAY_US.load(Ordering::Relaxed))
}

/// Returns (compared walks, differing walks, first difference).
pub fn walk_checks() -> (u64, u64, Option<Difference>) {
    let different = DIFFERENT.load(Ordering::Relaxed);
    let first = if different == 0 { None } else { FIRST.lock().map(|first| *first) };
    (CHECKED.load(Ordering::Relaxed), different, first)
}

/// Compares the call path of `node` with the stack that `backtrace` finds here.
#[inline(never)]
pub(crate) fn compare(node: NodeId, depth_max: usize) {
    if !COMPARES.load(Ordering::Relaxed) {
        return;
    }
    let mut expected = [0_u64; FRAMES_MAX];
    let mut len = 0_usize;
    let visit = |frame: &backtrace::Frame| match expected.get_mut(len) {
        // The return address of the outermost frame.
        Some(_) if frame.ip().is_null() => true,
        Some(place) => {
            *place = frame.ip() as u64;
            len = len.wrapping_add(1);
            true
        }
        None => false,
    };
    // SAFETY: `trace_unsynchronized` unwinds the calling thread; the closure does not call
    // `backtrace`.
    unsafe { backtrace::trace_unsynchronized(visit) };
    // The recorder stores an interrupted pc like a return address, one byte after the address to
    // look up.
    #[cfg(walks_with_framehop)]
    for at in 1..len {
        let inner = expected.get(at.wrapping_sub(1)).copied().unwrap_or_default();
        if crate::collector::unwind::rules::is_signal_return(inner)
            && let Some(address) = expected.get_mut(at)
        {
            *address = address.wrapping_add(1);
        }
    }
    let mut walked = [0_u64; FRAMES_MAX];
    let (walked_len, root) = addresses(node, &mut walked);
    let expected = expected.get(..len).unwrap_or_default();
    let walked = walked.get(..walked_len).unwrap_or_default();
    // `expected` starts with the recorder's own frames.
    let own = expected.iter().position(|ip| Some(ip) == walked.first());
    let expected = own.and_then(|own| expected.get(own..)).unwrap_or_default();
    let comparable = if root == NodeId::TRUNCATED { walked.len() } else { usize::MAX };
    let limit = depth_max.min(comparable);
    let limit = limit.min(frames_visible_to_unwinder(expected, walked));
    let same = expected.iter().take(limit).eq(walked.iter().take(limit));
    CHECKED.fetch_add(1, Ordering::Relaxed);
    if !same || (root == NodeId::TRUNCATED && walked.len() < depth_max) {
        if DIFFERENT.fetch_add(1, Ordering::Relaxed) == 0
            && let Some(mut first) = FIRST.lock()
        {
            copy_prefix(&mut first.walked, walked);
            copy_prefix(&mut first.expected, expected);
        }
    }
}

/// Maximum number of frames that the system's unwinder finds. Rust's unwinder for musl stops before
/// a frame without unwind information, such as one of the C library or a signal return; glibc's
/// unwinder and the recorder include it.
fn frames_visible_to_unwinder(expected: &[u64], walked: &[u64]) -> usize {
    #[cfg(all(walks_with_framehop, target_env = "musl"))]
    if let Some(next) = walked.get(expected.len())
        && !crate::collector::unwind::rules::is_covered(next.wrapping_sub(1))
    {
        return expected.len();
    }
    let _ = (expected, walked);
    usize::MAX
}

fn addresses(node: NodeId, into: &mut [u64; FRAMES_MAX]) -> (usize, NodeId) {
    let (mut node, mut len) = (node, 0_usize);
    while let Some((parent, address)) = stack_table::definition(node).filter(|_| !node.is_root()) {
        let Some(place) = into.get_mut(len) else { break };
        *place = address.0 & 0x0000_ffff_ffff_ffff;
        len = len.wrapping_add(1);
        node = parent;
    }
    (len, node)
}

fn copy_prefix(into: &mut [u64; 64], from: &[u64]) {
    for (to, value) in into.iter_mut().zip(from) {
        *to = *value;
    }
}
