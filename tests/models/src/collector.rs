//! The product's ring buffer, with substitutes for the modules that it uses.

pub(crate) mod sys {
    use std::ptr::NonNull;

    pub(crate) fn map_pages(bytes: usize) -> Option<NonNull<u8>> {
        NonNull::new(Box::leak(vec![0_u8; bytes].into_boxed_slice()).as_mut_ptr())
    }

    pub(crate) unsafe fn discard_pages(_: NonNull<u8>, _: usize) {}
}

pub(crate) mod platform {
    pub(crate) use crate::collector::sys;
}

#[path = "../../../src/collector/event_path/ring.rs"]
mod ring;

#[cfg(test)]
mod hand_over {
    use loom::sync::Arc;
    use loom::thread;

    use crate::collector::ring::{RingProducer, RingShared};

    /// The smallest power of two that holds two events of 60 bytes and the reserve.
    const RING_BYTES: usize = 256;

    /// The flusher reads exactly the appended bytes, in order, while the owner wraps around the
    /// ring.
    #[test]
    fn bytes_read_are_the_bytes_appended() {
        loom::model(|| {
            let shared = Arc::new(RingShared::default());
            let mut ring = RingProducer::new(RING_BYTES, &shared).expect("memory");
            ring.begin(&shared);
            let reader = Arc::clone(&shared);
            let flusher = thread::spawn(move || {
                let mut seen = Vec::new();
                for _ in 0..3 {
                    if let Some(read) = reader.read(reader.committed()) {
                        assert_eq!(read.offset, seen.len() as u64);
                        seen.extend_from_slice(read.first);
                        thread::yield_now();
                        seen.extend_from_slice(read.second);
                        reader.release(&read);
                    }
                }
                seen
            });
            let mut appended = Vec::new();
            for event in 1..=6_u8 {
                let needs_check = ring.needs_slow_path();
                if needs_check && !ring.check_space(&shared).fits {
                    break;
                }
                ring.slot()[..60].fill(event);
                if needs_check {
                    ring.commit(&shared, 60);
                } else {
                    ring.commit_fast(&shared, 60);
                }
                appended.extend([event; 60]);
            }
            let seen = flusher.join().expect("it ends");
            assert_eq!(seen, appended[..seen.len()]);
            if let Some(read) = shared.read(shared.committed()) {
                let rest = [read.first, read.second].concat();
                assert_eq!(rest, appended[seen.len()..]);
            }
        });
    }
}
