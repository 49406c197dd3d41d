//! The numbers that bound a recording session, where thread recorders can read them without a lock.
//!
//! Invariant: they change only while nothing is recorded.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::collector::event_path::ring::{RING_BYTES_MAX, RING_BYTES_MIN};
use crate::collector::unwind::walker::DEPTH_MAX;

/// Thread recorders at most, whatever the configuration says: the size of a static table.
pub(crate) const TRACKERS_MAX: usize = 1 << 14;

/// A thread whose region is full waits this long for the flusher, once, then drops events until
/// there is room again.
const WAIT_MAX: Duration = Duration::from_millis(100);

/// The same where the flusher also aggregates, which takes it longer.
const WAIT_MAX_AGGREGATION: Duration = Duration::from_secs(1);

/// It looks for room at least this often.
pub(crate) const WAIT_STEP: Duration = Duration::from_millis(5);

/// Bytes of region for each event of `tracker_event_buffer_size`: twice what an event takes.
const BYTES_AN_EVENT: usize = 8;

static DEPTH: AtomicUsize = AtomicUsize::new(64);
static TRACKERS: AtomicUsize = AtomicUsize::new(0);
static RING: AtomicUsize = AtomicUsize::new(RING_BYTES_MIN);
static WAIT_NS: AtomicU64 = AtomicU64::new(WAIT_MAX.as_nanos() as u64);
static SAMPLE: AtomicU64 = AtomicU64::new(u64::MAX);

/// A session's limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionConfig {
    /// Frames of a backtrace; 0: none is probed.
    pub(crate) depth_max: usize,
    pub(crate) trackers_max: usize,
    pub(crate) ring_bytes: usize,
    /// A backtrace is probed when a random number is below this; the maximum means always.
    pub(crate) sample_below: u64,
}

impl SessionConfig {
    /// What the configuration asks for, brought within what is possible.
    pub(crate) fn new(
        depth: usize,
        recorders: usize,
        buffered_events: usize,
        sample_rate: f64,
    ) -> Self {
        let bytes = buffered_events.saturating_mul(BYTES_AN_EVENT).min(RING_BYTES_MAX);
        let rate = if sample_rate.is_nan() { 1.0 } else { sample_rate.clamp(0.0, 1.0) };
        Self {
            depth_max: depth.min(DEPTH_MAX),
            trackers_max: recorders.clamp(1, TRACKERS_MAX),
            ring_bytes: bytes.next_power_of_two().clamp(RING_BYTES_MIN, RING_BYTES_MAX),
            sample_below: if rate >= 1.0 { u64::MAX } else { (rate * u64::MAX as f64) as u64 },
        }
    }
}

/// Sets the limits of the next session.
pub(crate) fn set(limits: SessionConfig) {
    DEPTH.store(limits.depth_max, Ordering::Relaxed);
    TRACKERS.store(limits.trackers_max, Ordering::Relaxed);
    RING.store(limits.ring_bytes, Ordering::Relaxed);
    SAMPLE.store(limits.sample_below, Ordering::Release);
}

/// Whether the flusher of the next session aggregates.
pub(crate) fn set_aggregation(is_aggregation: bool) {
    let wait = if is_aggregation { WAIT_MAX_AGGREGATION } else { WAIT_MAX };
    WAIT_NS.store(wait.as_nanos() as u64, Ordering::Relaxed);
}

/// How long a thread waits at most, in nanoseconds.
pub(crate) fn wait_max_ns() -> u64 {
    WAIT_NS.load(Ordering::Relaxed)
}

/// The limits of this session.
pub(crate) fn get() -> SessionConfig {
    SessionConfig {
        sample_below: SAMPLE.load(Ordering::Acquire),
        depth_max: DEPTH.load(Ordering::Relaxed),
        trackers_max: TRACKERS.load(Ordering::Relaxed),
        ring_bytes: RING.load(Ordering::Relaxed),
    }
}
