//! How much memory the process had, beside how much of it was alive on its heap.
//!
//! Reads: the recording's samples. Writes: the same with the live bytes of their moments, which
//! are noted while the events pass.
//!
//! Invariant: a sample counts all events up to its own time, that time included.

use crate::loader::read::clock::Clock;
use crate::loader::rows::Nanos;
use crate::recording::MemoryReadingDef;

/// One moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    /// When.
    pub(crate) at: Nanos,
    /// Resident bytes.
    pub(crate) rss: Option<u64>,
    /// Bytes of the control group.
    pub(crate) cgroup: Option<u64>,
    /// Its limit.
    pub(crate) cgroup_limit: Option<u64>,
    /// Bytes alive.
    pub(crate) live: u64,
}

/// All samples, in the order of time.
#[derive(Debug)]
pub(crate) struct Samples {
    list: Vec<Sample>,
    /// The first one whose live bytes are not noted yet.
    next: usize,
    /// Its time; the end of all times behind the last one.
    next_at: Nanos,
}

impl Samples {
    /// Those of a survey.
    pub(crate) fn new(defined: &[MemoryReadingDef], clock: &mut Clock) -> Self {
        let mut list: Vec<_> = defined
            .iter()
            .map(|sample| Sample {
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

    /// Whether something at `at` comes after a sample whose live bytes have to be noted first.
    #[inline]
    pub(crate) fn are_before(&self, at: Nanos) -> bool {
        self.next_at < at
    }

    /// Notes the live bytes of all samples before `at`.
    #[cold]
    pub(crate) fn note(&mut self, at: Nanos, live: u64) {
        while self.next_at < at {
            self.note_next(live);
        }
    }

    /// Nothing more happens.
    pub(crate) fn finish(&mut self, live: u64) {
        while self.next < self.list.len() {
            self.note_next(live);
        }
    }

    /// All of them.
    pub(crate) fn list(&self) -> &[Sample] {
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
