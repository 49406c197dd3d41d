//! Configuration of the running session, readable without a lock.
//!
//! Invariant: it changes only while nothing is recorded.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::collector::event_path::ring::{RING_BYTES_MAX, RING_BYTES_MIN};
use crate::collector::unwind::walker::DEPTH_MAX;

/// Upper bound of the configured number of thread recorders: the size of a static table.
pub(crate) const TRACKERS_MAX: usize = 1 << 14;

/// Maximum time that a thread with a full ring waits for the flusher. After that it drops events
/// until there is space again.
const WAIT_MAX: Duration = Duration::from_millis(100);

/// The same if the flusher also aggregates, which takes it longer.
const WAIT_MAX_AGGREGATION: Duration = Duration::from_secs(1);

/// Interval at which a waiting thread checks for space.
pub(crate) const WAIT_STEP: Duration = Duration::from_millis(5);

/// Ring bytes per event of `tracker_event_buffer_size`: twice the size of a typical event.
const BYTES_PER_EVENT: usize = 8;

static DEPTH: AtomicUsize = AtomicUsize::new(64);
static TRACKERS: AtomicUsize = AtomicUsize::new(0);
static RING: AtomicUsize = AtomicUsize::new(RING_BYTES_MIN);
static WAIT_NS: AtomicU64 = AtomicU64::new(WAIT_MAX.as_nanos() as u64);
static SAMPLE: AtomicU64 = AtomicU64::new(u64::MAX);

/// Configuration of a session, clamped to the supported ranges.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionConfig {
    /// Maximum frames of a backtrace; 0: no backtraces.
    pub(crate) depth_max: usize,
    pub(crate) trackers_max: usize,
    pub(crate) ring_bytes: usize,
    /// A backtrace is captured if a random number is below this; the maximum means always.
    pub(crate) sample_below: u64,
}

impl SessionConfig {
    /// Clamps the user's configuration.
    pub(crate) fn new(
        depth: usize,
        recorders: usize,
        buffered_events: usize,
        sample_rate: f64,
    ) -> Self {
        let bytes = buffered_events.saturating_mul(BYTES_PER_EVENT).min(RING_BYTES_MAX);
        let rate = if sample_rate.is_nan() { 1.0 } else { sample_rate.clamp(0.0, 1.0) };
        Self {
            depth_max: depth.min(DEPTH_MAX),
            trackers_max: recorders.clamp(1, TRACKERS_MAX),
            ring_bytes: bytes.next_power_of_two().clamp(RING_BYTES_MIN, RING_BYTES_MAX),
            sample_below: if rate >= 1.0 { u64::MAX } else { (rate * u64::MAX as f64) as u64 },
        }
    }
}

/// Sets the configuration of the next session.
pub(crate) fn set(config: SessionConfig) {
    DEPTH.store(config.depth_max, Ordering::Relaxed);
    TRACKERS.store(config.trackers_max, Ordering::Relaxed);
    RING.store(config.ring_bytes, Ordering::Relaxed);
    SAMPLE.store(config.sample_below, Ordering::Release);
}

/// Sets whether the flusher of the next session aggregates.
pub(crate) fn set_aggregation(is_aggregation: bool) {
    let wait = if is_aggregation { WAIT_MAX_AGGREGATION } else { WAIT_MAX };
    WAIT_NS.store(wait.as_nanos() as u64, Ordering::Relaxed);
}

/// Maximum time that a thread waits for space, in nanoseconds.
pub(crate) fn wait_max_ns() -> u64 {
    WAIT_NS.load(Ordering::Relaxed)
}

/// The configuration of this session.
pub(crate) fn get() -> SessionConfig {
    SessionConfig {
        sample_below: SAMPLE.load(Ordering::Acquire),
        depth_max: DEPTH.load(Ordering::Relaxed),
        trackers_max: TRACKERS.load(Ordering::Relaxed),
        ring_bytes: RING.load(Ordering::Relaxed),
    }
}
