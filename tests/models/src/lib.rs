//! Concurrency models of the recorder under loom, and its tables and the format under Miri.
//!
//! Under loom the ring buffer is the product's own file. The stack table and the start and end of
//! recordings are in statics, which loom cannot reset between runs: their steps are repeated here,
//! with the names of the original functions. Under Miri everything is the product's own code.
#![cfg(any(loom, miri))]

#[cfg(miri)]
extern crate self as rheaper;

#[cfg(loom)]
#[allow(dead_code)]
mod collector;

#[cfg(miri)]
#[allow(dead_code)]
#[path = "bookkeeping.rs"]
mod collector;

#[cfg(miri)]
#[allow(missing_docs)]
#[path = "../../../src/recording/mod.rs"]
pub mod recording;

#[path = "../../../src/safeguards.rs"]
mod safeguards;

#[cfg(all(miri, test))]
#[path = "../../it/recording/format.rs"]
mod format;

/// The part of the format that `ring.rs` uses.
#[cfg(loom)]
#[allow(dead_code)]
mod recording {
    pub(crate) const EVENT_BYTES_MAX: usize = 64;
}

#[cfg(all(loom, test))]
mod sessions {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicBool, AtomicU32, Ordering, fence};
    use loom::thread;

    /// `enter_recorder` against `stop` with `quiesce`, where each event has its own fence: `stop`
    /// waits for a thread that has entered, and a later thread does not enter.
    #[test]
    fn stop_waits_for_threads_inside_the_recorder() {
        loom::model(|| {
            let session = Arc::new(AtomicU32::new(1));
            let busy = Arc::new(AtomicBool::new(false));
            let done = Arc::new(AtomicBool::new(false));
            let (its_session, its_busy, its_done) =
                (Arc::clone(&session), Arc::clone(&busy), Arc::clone(&done));
            let recording = thread::spawn(move || {
                its_busy.store(true, Ordering::Relaxed);
                fence(Ordering::SeqCst);
                if its_session.load(Ordering::Relaxed) == 1 {
                    // Inside the recorder: the ring must not be taken away now.
                    assert!(!its_done.load(Ordering::Relaxed));
                }
                its_busy.store(false, Ordering::Release);
            });
            session.store(0, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            while busy.load(Ordering::Acquire) {
                thread::yield_now();
            }
            done.store(true, Ordering::Relaxed);
            recording.join().expect("it ends");
        });
    }
}

#[cfg(all(loom, test))]
mod stack_table {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
    use loom::thread;

    /// A stack table of two slots and three entries.
    struct Table {
        next: AtomicU32,
        address: [AtomicU64; 3],
        parent: [AtomicU32; 3],
        slots: [AtomicU32; 2],
    }

    impl Table {
        fn definition(&self, id: u32) -> Option<(u32, u64)> {
            let address = self.address[id as usize].load(Ordering::Acquire);
            (address != 0).then(|| (self.parent[id as usize].load(Ordering::Relaxed), address))
        }

        /// `intern` and `insert` of stack_table.rs.
        fn intern(&self, parent: u32, address: u64) -> u32 {
            let mut own = 0;
            for slot in &self.slots {
                let mut found = slot.load(Ordering::Acquire);
                if found == 0 {
                    if own == 0 {
                        own = self.next.fetch_add(1, Ordering::Relaxed);
                        self.parent[own as usize].store(parent, Ordering::Relaxed);
                        self.address[own as usize].store(address, Ordering::Release);
                    }
                    let offered =
                        slot.compare_exchange(0, own, Ordering::AcqRel, Ordering::Acquire);
                    match offered {
                        Ok(_) => return own,
                        Err(winner) => found = winner,
                    }
                }
                if self.definition(found) == Some((parent, address)) {
                    return found;
                }
            }
            own
        }
    }

    /// Every id that `intern` returned is defined, as the requested node.
    #[test]
    fn every_id_is_defined_before_it_is_visible() {
        loom::model(|| {
            let table = Arc::new(Table {
                next: AtomicU32::new(1),
                address: Default::default(),
                parent: Default::default(),
                slots: Default::default(),
            });
            let theirs = Arc::clone(&table);
            let other = thread::spawn(move || {
                let id = theirs.intern(7, 100);
                assert_eq!(theirs.definition(id), Some((7, 100)));
                id
            });
            let id = table.intern(7, 100);
            assert_eq!(table.definition(id), Some((7, 100)));
            let other = other.join().expect("it ends");
            assert_eq!(id, other, "one of the two wins, and both have its id");
        });
    }
}
