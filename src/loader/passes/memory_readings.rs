//! Adds the heap's live bytes to the recording's readings of resident memory, during the event
//! pass.
//!
//! Invariant: the live bytes of a reading include all events up to its time, that time included.

use crate::loader::model::Nanos;
use crate::loader::read::clock::Clock;
use crate::recording::MemoryReadingDef;

/// Memory of the process at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemoryReading {
    /// Time of the reading.
    pub(crate) at: Nanos,
    /// Resident bytes; `None`: not known.
    pub(crate) rss: Option<u64>,
    /// Bytes charged to the control group; `None`: there is none.
    pub(crate) cgroup: Option<u64>,
    /// Limit of the control group; `None`: there is none.
    pub(crate) cgroup_limit: Option<u64>,
    /// Live bytes on the heap.
    pub(crate) live: u64,
}

/// All samples, in the order of time.
#[derive(Debug)]
pub(crate) struct MemoryReadings {
    list: Vec<MemoryReading>,
    /// The first reading whose live bytes are not set yet.
    next: usize,
    /// Its time; `u64::MAX` after the last one.
    next_at: Nanos,
}

impl MemoryReadings {
    /// Converts and sorts the readings of the metadata pass.
    pub(crate) fn new(defined: &[MemoryReadingDef], clock: &mut Clock) -> Self {
        let mut list: Vec<_> = defined
            .iter()
            .map(|sample| MemoryReading {
                at: clock.nanos(sample.at),
                rss: sample.rss.map(|bytes| bytes.0),
                cgroup: sample.cgroup.map(|bytes| bytes.0),
                cgroup_limit: sample.cgroup_limit.map(|bytes| bytes.0),
                live: 0,
            })
            .collect();
        list.sort_by_key(|sample| sample.at);
        let mut samples = Self { list, next: 0, next_at: Nanos(u64::MAX) };
        samples.look_ahead();
        samples
    }

    /// Whether an event at `at` must be preceded by [`MemoryReadings::set_live_bytes`].
    #[inline]
    pub(crate) fn are_due(&self, at: Nanos) -> bool {
        self.next_at < at
    }

    /// Sets the live bytes of all readings before `at`.
    #[cold]
    pub(crate) fn set_live_bytes(&mut self, at: Nanos, live: u64) {
        while self.next_at < at {
            self.note_next(live);
        }
    }

    /// Sets the live bytes of the remaining readings, after the last event.
    pub(crate) fn finish(&mut self, live: u64) {
        while self.next < self.list.len() {
            self.note_next(live);
        }
    }

    /// All readings, by time.
    pub(crate) fn list(&self) -> &[MemoryReading] {
        &self.list
    }

    fn note_next(&mut self, live: u64) {
        if let Some(sample) = self.list.get_mut(self.next) {
            sample.live = live;
        }
        self.next += 1;
        self.look_ahead();
    }

    fn look_ahead(&mut self) {
        self.next_at = self.list.get(self.next).map_or(Nanos(u64::MAX), |sample| sample.at);
    }
}
