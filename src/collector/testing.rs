//! What tests may turn in a recorder that was built with `--cfg rheaper_testing`: compare every
//! walk with the system's own unwinder, walk without reuse, drive the clock, slow the disk, seed samples.
//!
//! Reads: the node that a walk answered, and the stack through `backtrace`. Writes: two counts
//! and the first difference.
//!
//! Invariant: what is compared are return addresses, all of them, up to the depth limit.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::collector::platform::clock;
use crate::collector::platform::spin_lock::SpinLock;
use crate::collector::unwind::stack_table;
use crate::recording::NodeId;

/// Frames that are looked at; deeper ones are beyond every limit that tests set.
const FRAMES_MAX: usize = 1200;

static CHECKED: AtomicU64 = AtomicU64::new(0);
static DIFFERENT: AtomicU64 = AtomicU64::new(0);
static FIRST: SpinLock<Difference> =
    SpinLock::new(Difference { walked: [0; 64], expected: [0; 64] });

/// The innermost return addresses of a stack on which the two did not agree.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    /// As walked.
    pub walked: [u64; 64],
    /// As the system's unwinder says.
    pub expected: [u64; 64],
}

static COMPARES: AtomicBool = AtomicBool::new(false);
static NAIVE: AtomicBool = AtomicBool::new(false);
static DELAY_US: AtomicU64 = AtomicU64::new(0);
static IS_SEEDED: AtomicBool = AtomicBool::new(false);
static SEED: AtomicU64 = AtomicU64::new(0);
static SAMPLE_LEVELS: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Whether to compare each walk with the system's unwinder.
pub fn compare_walks(compare: bool) {
    COMPARES.store(compare, Ordering::Relaxed);
}

/// Whether to unwind every stack anew: no kept stack, no tails.
pub fn walk_naively(naive: bool) {
    NAIVE.store(naive, Ordering::Relaxed);
}

/// Drives the time of the next recordings; `None` gives it back to the machine.
pub fn drive_clock(clock: Option<fn() -> u64>) {
    clock::set_test_clock(clock);
}

/// Makes each write of the flusher take this much longer.
pub fn delay_writes(delay: Duration) {
    DELAY_US.store(delay.as_micros() as u64, Ordering::Relaxed);
}

/// What the random numbers of the next samples begin with; `None`: anything.
pub fn seed_samples(seed: Option<u64>) {
    IS_SEEDED.store(seed.is_some(), Ordering::Relaxed);
    SEED.store(seed.unwrap_or(0), Ordering::Relaxed);
}

/// How many levels the table of sampled blocks may have: 1 has room for 32,768 blocks.
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

/// (walks compared, walks that differed, the first that did).
pub fn walk_checks() -> (u64, u64, Option<Difference>) {
    let different = DIFFERENT.load(Ordering::Relaxed);
    let first = if different == 0 { None } else { FIRST.lock().map(|first| *first) };
    (CHECKED.load(Ordering::Relaxed), different, first)
}

/// Compares the stack of `node` with the one that `backtrace` sees from here.
#[inline(never)]
pub(crate) fn compare(node: NodeId, depth_max: usize) {
    if !COMPARES.load(Ordering::Relaxed) {
        return;
    }
    let mut expected = [0_u64; FRAMES_MAX];
    let mut len = 0_usize;
    let visit = |frame: &backtrace::Frame| match expected.get_mut(len) {
        // What the outermost frame would return to.
        Some(_) if frame.ip().is_null() => true,
        Some(place) => {
            *place = frame.ip() as u64;
            len = len.wrapping_add(1);
            true
        }
        None => false,
    };
    // SAFETY: the system's unwinder works on this thread alone.
    unsafe { backtrace::trace_unsynchronized(visit) };
    // What a signal interrupted is kept like a return address: one behind what is looked up.
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
    // The recorder's own frames stand on top of what is expected.
    let own = expected.iter().position(|ip| Some(ip) == walked.first());
    let expected = own.and_then(|own| expected.get(own..)).unwrap_or_default();
    let shown = if root == NodeId::TRUNCATED { walked.len() } else { usize::MAX };
    let limit = depth_max.min(shown);
    let limit = limit.min(shown_by_musl(expected, walked));
    let same = expected.iter().take(limit).eq(walked.iter().take(limit));
    CHECKED.fetch_add(1, Ordering::Relaxed);
    if !same || (root == NodeId::TRUNCATED && walked.len() < depth_max) {
        if DIFFERENT.fetch_add(1, Ordering::Relaxed) == 0
            && let Some(mut first) = FIRST.lock()
        {
            copy(&mut first.walked, walked);
            copy(&mut first.expected, expected);
        }
    }
}

/// How many frames the system's unwinder shows at most. The one that Rust brings along for musl ends
/// before a frame that has no unwind information, as the C library's own and where signal handlers
/// return to; glibc's shows it, and so do we.
fn shown_by_musl(expected: &[u64], walked: &[u64]) -> usize {
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

fn copy(into: &mut [u64; 64], from: &[u64]) {
    for (to, value) in into.iter_mut().zip(from) {
        *to = *value;
    }
}
