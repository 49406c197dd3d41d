//! The recorder's tables (the product's own files) with substitutes for the modules that they use,
//! for Miri, which cannot run their system calls and checks each access to their memory.

pub(crate) mod sys {
    use std::alloc::{Layout, alloc_zeroed, dealloc};
    use std::ptr::NonNull;

    fn layout(bytes: usize) -> Layout {
        Layout::from_size_align(bytes, 4096).expect("a size")
    }

    pub(crate) struct PreservedErrno;

    impl PreservedErrno {
        pub(crate) fn new() -> Self {
            Self
        }
    }

    pub(crate) fn map_pages(bytes: usize) -> Option<NonNull<u8>> {
        // SAFETY: no table has size zero. The provenance is exposed because tables store addresses
        // of other pages.
        let pages = unsafe { alloc_zeroed(layout(bytes)) };
        let _ = pages.expose_provenance();
        NonNull::new(pages)
    }

    pub(crate) unsafe fn discard_pages(_: NonNull<u8>, _: usize) {}

    pub(crate) unsafe fn populate_pages(_: *const u8, _: usize) {}

    pub(crate) unsafe fn unmap_pages(at: NonNull<u8>, bytes: usize) {
        // SAFETY: `map_pages` returned this block, with this size.
        unsafe { dealloc(at.as_ptr(), layout(bytes)) }
    }
}

#[path = "../../../src/collector/event_path/sampling/live_samples.rs"]
mod table;

pub(crate) mod event_count {
    pub(crate) fn notify_space() {}
}

/// The unwinder's registers, for the recent stacks.
pub(crate) mod rules {
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(crate) struct Registers {
        pub(crate) pc: u64,
        pub(crate) sp: u64,
        pub(crate) fp: u64,
    }
}

pub(crate) mod platform {
    pub(crate) use crate::collector::{event_count, mmap_vec, sys};
}

pub(crate) mod unwind {
    pub(crate) use crate::collector::{rules, stack_word};
}

pub(crate) mod event_path {
    pub(crate) use crate::collector::ring;
}

#[path = "../../../src/collector/aggregate/mod.rs"]
mod aggregate;
#[path = "../../../src/collector/unwind/stack_table.rs"]
pub(crate) mod stack_table;
#[path = "../../../src/collector/platform/mmap_vec.rs"]
pub(crate) mod mmap_vec;
#[path = "../../../src/collector/event_path/ring.rs"]
pub(crate) mod ring;
#[path = "../../../src/collector/platform/spin_lock.rs"]
pub(crate) mod spin_lock;
#[path = "../../../src/collector/unwind/stack_word.rs"]
pub(crate) mod stack_word;
#[path = "../../../src/collector/unwind/recent_stacks.rs"]
pub(crate) mod recent_stacks;

#[cfg(test)]
mod rings {
    use std::thread;

    use crate::collector::ring::{RING_BYTES_MIN, RingProducer, RingShared};

    /// Number of appended events; the ring wraps many times.
    const EVENTS: u64 = 2_000;

    /// The flusher reads exactly the appended bytes, in order, while the owner wraps around the
    /// ring.
    #[test]
    fn bytes_read_are_the_bytes_appended() {
        let shared = RingShared::default();
        let mut ring = RingProducer::new(RING_BYTES_MIN, &shared).expect("memory");
        ring.begin(&shared);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut seen = 0;
                while seen < EVENTS * 60 {
                    let Some(read) = shared.read(shared.committed()) else {
                        thread::yield_now();
                        continue;
                    };
                    for byte in [read.first, read.second].concat() {
                        assert_eq!(byte, (seen / 60) as u8);
                        seen += 1;
                    }
                    shared.release(&read);
                }
            });
            for event in 0..EVENTS {
                while ring.needs_slow_path() && !ring.check_space(&shared).fits {
                    thread::yield_now();
                }
                ring.slot()[..60].fill(event as u8);
                ring.commit(&shared, 60);
            }
        });
    }
}

#[cfg(test)]
mod stacks {
    use crate::collector::stack_table;
    use crate::collector::spin_lock::SpinLock;
    use crate::collector::recent_stacks::RecentStacks;
    use crate::collector::rules::Registers;
    use crate::recording::{Address, NodeId};

    /// Two threads intern the same call paths and get the same ids, which are defined as requested.
    #[test]
    fn interned_ids_are_defined_as_requested() {
        assert!(stack_table::prepare());
        let intern = || {
            let mut ids = Vec::new();
            for base in 0..10_u64 {
                let mut parent = NodeId::ROOT;
                for frame in 0..20_u64 {
                    let address = Address(0x1000 + base * 7 + frame * 64);
                    let id = stack_table::intern(parent, address);
                    assert_eq!(stack_table::definition(id), Some((parent, address)));
                    ids.push(id);
                    parent = id;
                }
            }
            ids
        };
        let ids = std::thread::scope(|scope| {
            let other = scope.spawn(intern);
            let own = intern();
            assert_eq!(own, other.join().expect("it ends"));
            own
        });
        assert!(ids.iter().all(|id| id.0 < stack_table::end().0));
        assert!(stack_table::used_bytes() > 0);
    }

    /// A suffix matches while its words are on the stack, and not when one has changed.
    #[test]
    fn a_suffix_matches_while_its_words_are_unchanged() {
        let pages = crate::collector::sys::map_pages(RecentStacks::BYTES).expect("memory");
        // SAFETY: the memory is zeroed, of the required size, and never freed.
        let mut recent = unsafe { RecentStacks::new(pages) };
        let mut stack = [0_u64; 64];
        stack.iter_mut().enumerate().for_each(|(at, word)| *word = at as u64 * 3 + 1);
        let sp = (&raw mut stack).expose_provenance() as u64;
        let end = sp + size_of_val(&stack) as u64;
        let found = |recent: &RecentStacks, start: &Registers| {
            let suffixes = recent.candidates(recent.set_of(start, end));
            suffixes.iter().any(|suffix| suffix.starts_at(start) && suffix.matches_stack())
        };
        for pc in 0..40 {
            let start = Registers { pc: 0x5000 + pc, sp, fp: 0 };
            let words: Vec<_> = (0..1 + pc as usize % 16).rev().collect();
            let values = words.iter().map(|at| (*at as u32 * 8, stack[*at]));
            recent.insert(&start, 17 * 8, end).set_words(values, u16::MAX);
            assert!(found(&recent, &start));
            let changed = words[words.len() / 2];
            stack[changed] ^= 1;
            let _ = (&raw mut stack).expose_provenance();
            assert!(!found(&recent, &start));
            stack[changed] ^= 1;
            let _ = (&raw mut stack).expose_provenance();
            assert!(found(&recent, &start));
        }
        recent.clear();
        assert!(!found(&recent, &Registers { pc: 0x5000, sp, fp: 0 }));
    }

    /// The lock admits one thread at a time.
    #[test]
    fn lock_admits_one_thread_at_a_time() {
        static LOCK: SpinLock<(u64, u64)> = SpinLock::new((0, 0));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        if let Some(mut both) = LOCK.lock() {
                            both.0 += 1;
                            std::thread::yield_now();
                            both.1 += 1;
                        }
                    }
                });
            }
        });
        let both = LOCK.lock().map(|both| *both);
        assert!(both.is_some_and(|(first, second)| first == second && first > 0));
    }
}

#[cfg(test)]
mod samples {
    use std::sync::Mutex;

    use crate::collector::table::TABLE;

    /// Two threads insert, lock and remove addresses that share slots, and pass them on.
    #[test]
    fn owner_of_a_block_owns_its_entry() {
        TABLE.begin(1);
        let free: Mutex<Vec<usize>> = Mutex::new((1..20).map(|at| at * 0x1_0000).collect());
        let take = || free.lock().expect("whole").remove(0);
        let give = |address| free.lock().expect("whole").push(address);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for round in 0..40 {
                        let mut address = take();
                        assert!(!TABLE.contains(address) && TABLE.insert(address));
                        if round % 2 == 0 {
                            let locked = TABLE.lock_slot(address).expect("it is in");
                            give(address);
                            address = take();
                            assert!(TABLE.insert(address));
                            TABLE.remove_locked(locked);
                        } else {
                            TABLE.unlock(TABLE.lock_slot(address).expect("it is in"));
                        }
                        assert!(TABLE.contains(address) && TABLE.remove(address));
                        give(address);
                    }
                });
            }
        });
        let free = free.into_inner().expect("whole");
        assert!(free.iter().all(|address| !TABLE.may_contain(*address)));
        assert!(TABLE.insert(free[0]));
        TABLE.begin(2);
        assert!(!TABLE.contains(free[0]) && TABLE.used_bytes() > 0);
    }
}

#[cfg(test)]
mod aggregation {
    use std::collections::HashSet;

    use crate::collector::aggregate::{AggregationCounters, Aggregator, PayloadSink};
    use crate::collector::ring::{RING_BYTES_MIN, RingProducer, RingShared};
    use crate::recording::{
        Address, BlockKind, ByteWriter, Bytes, Decoder, EVENT_BYTES_MAX, Encoder, Event,
        EventsHead, Aggregated, AggregatedRecords, NodeId, ThreadId, Ticks,
    };

    #[derive(Default)]
    struct Payloads(Vec<(BlockKind, Vec<u8>)>);

    impl PayloadSink for Payloads {
        fn note(&mut self, _: AggregationCounters) {}

        fn payload(
            &mut self,
            kind: BlockKind,
            bytes: usize,
            write: &mut dyn FnMut(&mut ByteWriter<'_>),
        ) {
            let mut buffer = vec![0; bytes];
            let mut out = ByteWriter::new(&mut buffer);
            write(&mut out);
            let len = out.finish().expect("it fits");
            buffer.truncate(len);
            self.0.push((kind, buffer));
        }
    }

    struct Stream {
        shared: &'static RingShared,
        ring: RingProducer,
        encoder: Encoder,
        thread: ThreadId,
    }

    impl Stream {
        fn new(thread: u32) -> Self {
            let shared: &'static RingShared = Box::leak(Box::default());
            let mut ring = RingProducer::new(RING_BYTES_MIN, shared).expect("memory");
            ring.begin(shared);
            let mut stream =
                Self { shared, ring, encoder: Encoder::new(), thread: ThreadId(thread) };
            assert!(stream.ring.check_space(shared).fits);
            stream.ring.mark_keyframe(shared);
            let thread = stream.thread;
            stream.put(|encoder, out| encoder.keyframe(out, Ticks(1), thread));
            stream
        }

        fn put(&mut self, write: impl FnOnce(&mut Encoder, &mut [u8; EVENT_BYTES_MAX]) -> usize) {
            assert!(!self.ring.needs_slow_path() || self.ring.check_space(self.shared).fits);
            let len = write(&mut self.encoder, self.ring.slot());
            self.ring.commit(self.shared, len);
        }
    }

    /// Blocks with a lifetime below the limit are in the totals; all others are written, once.
    #[test]
    fn every_block_is_aggregated_or_written() {
        const LIMIT: u64 = 1_000;
        let mut streams = [Stream::new(1), Stream::new(2)];
        let mut aggregate = Aggregator::new(4, Ticks(1), 1_000_000).expect("memory");
        aggregate.coarsen(LIMIT);
        let mut payloads = Payloads::default();
        let mut state = 99_u64;
        let mut draw = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            (state >> 33) % below
        };
        let mut now = 10;
        let (mut live, mut lives) = (Vec::new(), Vec::new());
        for round in 0..400_u64 {
            now += 1 + draw(200);
            let stream = &mut streams[draw(2) as usize];
            if live.len() < 12 && draw(2) == 0 || live.is_empty() {
                let (address, size) = (0x7000 + round * 64, 8 + draw(5_000));
                stream.put(|encoder, out| {
                    encoder.alloc(out, Ticks(now), Address(address), Bytes(size), NodeId(9))
                });
                live.push((address, now));
            } else {
                let (address, made) = live.swap_remove(draw(live.len() as u64) as usize);
                stream.put(|encoder, out| encoder.free(out, Ticks(now), Address(address)));
                lives.push((address, now - made));
            }
            if round % 50 == 49 {
                for (index, stream) in streams.iter().enumerate() {
                    aggregate.add(index, stream.shared, stream.shared.committed());
                }
                aggregate.pass(Ticks(now), Ticks(now), &mut payloads);
            }
        }
        aggregate.finish(Ticks(now), &mut payloads);
        assert_eq!(aggregate.counters().undecoded_bytes, 0);
        let (mut aggregated, mut written) = (0, Vec::new());
        for (kind, payload) in &payloads.0 {
            match kind {
                BlockKind::Events => {
                    let (_, mut events) = EventsHead::read(payload).expect("a head");
                    let mut decoder = Decoder::new();
                    while let Some(event) = decoder.next(&mut events).expect("events") {
                        if let Event::Alloc { address, .. } = event {
                            written.push(address.0);
                        }
                    }
                }
                BlockKind::Aggregated => {
                    let mut records = AggregatedRecords::new(payload).expect("a head");
                    while let Some(record) = records.take().expect("records") {
                        if let Aggregated::Site(site, lifetimes, powers) = record {
                            aggregated += site.blocks;
                            assert!(lifetimes.count() + powers.count() > 0);
                        }
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        let short = lives.iter().filter(|(_, life)| *life < LIMIT).count() as u64;
        assert_eq!((aggregated, aggregate.counters().blocks), (short, short));
        let long = lives.iter().filter(|(_, life)| *life >= LIMIT).map(|(address, _)| *address);
        let expected: HashSet<u64> = long.chain(live.iter().map(|(address, _)| *address)).collect();
        assert_eq!(written.len(), expected.len());
        assert_eq!(written.into_iter().collect::<HashSet<_>>(), expected);
    }
}
