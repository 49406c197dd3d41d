//! Every walk compared with the system's own unwinder: only in builds with
//! `--cfg rheaper_check_walk`, for tests.
//!
//! Reads: the node that a walk answered, and the stack through `backtrace`. Writes: two counts
//! and the first difference.
//!
//! Invariant: what is compared are return addresses, all of them, up to the depth limit.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::collector::nodes;
use crate::collector::sync::SpinLock;
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

/// (walks compared, walks that differed, the first that did).
pub fn walk_checks() -> (u64, u64, Option<Difference>) {
    let different = DIFFERENT.load(Ordering::Relaxed);
    let first = if different == 0 { None } else { FIRST.lock().map(|first| *first) };
    (CHECKED.load(Ordering::Relaxed), different, first)
}

/// Compares the stack of `node` with the one that `backtrace` sees from here.
#[inline(never)]
pub(in crate::collector) fn compare(node: NodeId, depth_max: usize) {
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
    let mut walked = [0_u64; FRAMES_MAX];
    let (walked_len, root) = addresses(node, &mut walked);
    let expected = expected.get(..len).unwrap_or_default();
    let walked = walked.get(..walked_len).unwrap_or_default();
    // The recorder's own frames stand on top of what is expected.
    let own = expected.iter().position(|ip| Some(ip) == walked.first());
    let expected = own.and_then(|own| expected.get(own..)).unwrap_or_default();
    let shown = if root == NodeId::TRUNCATED { walked.len() } else { usize::MAX };
    let limit = depth_max.min(shown);
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

fn addresses(node: NodeId, into: &mut [u64; FRAMES_MAX]) -> (usize, NodeId) {
    let (mut node, mut len) = (node, 0_usize);
    while let Some((parent, address)) = nodes::definition(node).filter(|_| !node.is_root()) {
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
