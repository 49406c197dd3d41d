//! The recording format: what was encoded is decoded, and no bytes make a reader panic.

use proptest::collection::vec;
use proptest::prelude::*;
use rheaper::recording::{
    Address, AggregationStep, Block, BlockHeader, BlockKind, Bytes, Counter, Counters, Decoder,
    EVENT_BYTES_MAX, Encoder, Event, FormatError, Header, MarkDef, MemoryReadingDef, ModuleDef,
    NodeDefs, NodeId, NodesHead, ScopeDef, ScopeId, Seal, ThreadDef, ThreadId, Ticks,
};
use rheaper::recording::{AggregatedRecords, ByteReader, ByteWriter, EventsHead};

/// An event with the time since the one before it, so that times never go back.
fn events() -> impl Strategy<Value = Vec<Event>> {
    let gap =
        prop_oneof![8 => 0_u64..40, 2 => 0_u64..100_000, 1 => any::<u32>().prop_map(u64::from)];
    let address = prop_oneof![
        6 => (0_u64..4096).prop_map(|slot| 0x5555_0000_0000 + slot * 16),
        3 => (0_u64..4096).prop_map(|slot| 0x7f00_0000_0000 + slot * 64),
        1 => any::<u64>(),
    ];
    let size = prop_oneof![6 => 0_u64..300, 2 => 0_u64..100_000, 1 => any::<u64>()];
    let node = prop_oneof![6 => 8_u32..40, 2 => 8_u32..5_000, 1 => any::<u32>()];
    let fields = (0_u8..13, gap, address.clone(), address, size, node, 0_u8..30, any::<bool>());
    vec(fields, 0..200).prop_map(|list| {
        let mut now = 1_000;
        list.into_iter()
            .map(|(kind, gap, address, other, size, node, align_log2, zeroed)| {
                let began = Ticks(now + gap / 2);
                now += gap;
                let (at, size, node) = (Ticks(now), Bytes(size), NodeId(node));
                let address = Address(address);
                match kind {
                    0..=3 => Event::Alloc { at, address, size, node, align_log2: 0, zeroed: false },
                    4..=6 => Event::Free { at, address },
                    7 => Event::Alloc { at, address, size, node, align_log2, zeroed },
                    8 => {
                        let (old, new) = (address, Address(other));
                        Event::Realloc { began, at, old, new, size, node, align_log2 }
                    }
                    9 => {
                        let (moved, linked) = (zeroed, align_log2 % 2 == 0);
                        Event::ReallocBegin { at, address, size, node, align_log2, moved, linked }
                    }
                    11 => Event::ReallocEnd { at, address },
                    10 => Event::SkippedAllocs { at, allocations: size.0 },
                    _ => Event::Failed { at, size, node },
                }
            })
            .collect()
    })
}

fn encode(encoder: &mut Encoder, event: &Event, stream: &mut Vec<u8>) {
    let mut out = [0; EVENT_BYTES_MAX];
    let len = match *event {
        Event::Alloc { at, address, size, node, align_log2: 0, zeroed: false } => {
            encoder.alloc(&mut out, at, address, size, node)
        }
        Event::Alloc { at, address, size, node, align_log2, zeroed } => {
            encoder.alloc_long(&mut out, at, address, size, node, align_log2, zeroed)
        }
        Event::Free { at, address } => encoder.free(&mut out, at, address),
        Event::Realloc { began, at, old, new, size, node, align_log2 } => {
            encoder.realloc(&mut out, began, at, old, new, size, node, align_log2)
        }
        Event::Failed { at, size, node } => encoder.failed(&mut out, at, size, node),
        Event::ReallocBegin { at, address, size, node, align_log2, moved, linked } => {
            encoder.realloc_begin(&mut out, at, address, size, node, align_log2, moved, linked)
        }
        Event::ReallocEnd { at, address } => encoder.realloc_end(&mut out, at, address),
        Event::SkippedAllocs { at, allocations } => {
            encoder.skipped_allocs(&mut out, at, allocations)
        }
    };
    assert!(len <= EVENT_BYTES_MAX);
    stream.extend_from_slice(&out[..len]);
}

fn decode_all(decoder: &mut Decoder, mut bytes: &[u8]) -> Result<Vec<Event>, FormatError> {
    let mut events = Vec::new();
    while let Some(event) = decoder.next(&mut bytes)? {
        events.push(event);
    }
    Ok(events)
}

/// The same with the quick step wherever it answers.
fn decode_quickly(decoder: &mut Decoder, mut bytes: &[u8]) -> Result<Vec<Event>, FormatError> {
    let mut events = Vec::new();
    while !bytes.is_empty() {
        if let Some((short, len)) = decoder.step_compact(bytes) {
            events.push(short.event());
            bytes = &bytes[len..];
        } else if let Some(event) = decoder.step(&mut bytes)? {
            events.push(event);
        }
    }
    Ok(events)
}

proptest! {
    #[test]
    fn events_come_back_as_they_went(events in events(), keyframe_every in 1_usize..50) {
        let mut encoder = Encoder::new();
        let mut stream = Vec::new();
        for (index, event) in events.iter().enumerate() {
            if index % keyframe_every == 0 {
                let mut out = [0; EVENT_BYTES_MAX];
                let at = match *event {
                    Event::Realloc { began, .. } => began,
                    _ => event.at(),
                };
                let len = encoder.keyframe(&mut out, at, ThreadId(7));
                stream.extend_from_slice(&out[..len]);
            }
            encode(&mut encoder, event, &mut stream);
        }
        let mut decoder = Decoder::new();
        prop_assert_eq!(decode_quickly(&mut Decoder::new(), &stream), Ok(events.clone()));
        prop_assert_eq!(decode_all(&mut decoder, &stream), Ok(events));
    }

    #[test]
    fn any_bytes_decode_without_panic(bytes in vec(any::<u8>(), 0..400)) {
        let mut with_keyframe = vec![0x0e, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0];
        with_keyframe.extend_from_slice(&bytes);
        for bytes in [&bytes, &with_keyframe] {
            let slowly = decode_all(&mut Decoder::new(), bytes);
            prop_assert_eq!(decode_quickly(&mut Decoder::new(), bytes), slowly);
        }
        let _ = Header::parse(&bytes);
        let _ = Block::parse(&bytes);
        let _ = EventsHead::read(&bytes);
        let _ = Seal::read(&bytes);
        let _ = Counters::read(&bytes);
        let _ = NodeDefs::new(&bytes).map(Iterator::count);
        let _ = AggregationStep::read(&bytes);
        if let Ok(mut records) = AggregatedRecords::new(&bytes) {
            while let Ok(Some(_)) = records.take() {}
        }
        let mut input = ByteReader::new(&bytes, "test");
        while let Ok(Some(_)) = ModuleDef::read(&mut input) {}
        let mut input = ByteReader::new(&bytes, "test");
        while let Ok(Some(_)) = ThreadDef::read(&mut input) {}
        let mut input = ByteReader::new(&bytes, "test");
        while let Ok(Some(_)) = MemoryReadingDef::read(&mut input) {}
        let mut input = ByteReader::new(&bytes, "test");
        while let Ok(Some(_)) = MarkDef::read(&mut input) {}
        let mut input = ByteReader::new(&bytes, "test");
        while let Ok(Some(_)) = ScopeDef::read(&mut input) {}
        prop_assert!(Block::resync(&bytes) >= usize::from(!bytes.is_empty()));
    }

    #[test]
    fn context_comes_back(
        at in any::<u64>(),
        bytes in vec(proptest::option::of(0..u64::MAX), 3),
        value in any::<i64>(),
        name in vec(any::<u8>(), 0..100),
        (parent, further) in (0_u32..1_000_000, 1_u32..1_000_000),
    ) {
        let (at, name, id) = (Ticks(at), &name[..], ScopeId(parent + further));
        let bytes: Vec<_> = bytes.into_iter().map(|bytes| bytes.map(Bytes)).collect();
        let sample = MemoryReadingDef { at, rss: bytes[0], cgroup: bytes[1], cgroup_limit: bytes[2] };
        let mark = MarkDef { at, thread: ThreadId(parent), value, name };
        let scope = ScopeDef { id, parent: ScopeId(parent), name };
        let mut buffer = [0; 1_000];
        let mut out = ByteWriter::new(&mut buffer);
        sample.write(&mut out);
        let samples = out.len();
        mark.write(&mut out);
        let marks = out.len();
        scope.write(&mut out);
        let scopes = out.finish().unwrap();
        let input = |from: usize, to: usize| ByteReader::new(&buffer[from..to], "test");
        prop_assert_eq!(MemoryReadingDef::read(&mut input(0, samples)), Ok(Some(sample)));
        prop_assert_eq!(MarkDef::read(&mut input(samples, marks)), Ok(Some(mark)));
        prop_assert_eq!(ScopeDef::read(&mut input(marks, scopes)), Ok(Some(scope)));
    }

    #[test]
    fn numbers_come_back(values in vec(any::<u64>(), 0..50), signed in vec(any::<i64>(), 0..50)) {
        let mut buffer = vec![0; 2_000];
        let mut out = ByteWriter::new(&mut buffer);
        values.iter().for_each(|value| out.varint(*value));
        signed.iter().for_each(|value| out.zigzag(*value));
        let len = out.finish().unwrap();
        let mut input = ByteReader::new(&buffer[..len], "test");
        for value in values {
            prop_assert_eq!(input.varint(), Ok(value));
        }
        for value in signed {
            prop_assert_eq!(input.zigzag(), Ok(value));
        }
        prop_assert!(input.is_empty());
    }

    #[test]
    fn a_block_with_one_changed_bit_is_refused(
        payload in vec(any::<u8>(), 0..100),
        place in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let mut block = BlockHeader::for_payload(BlockKind::Threads, &payload, &[]).to_bytes().to_vec();
        block.extend_from_slice(&payload);
        let (whole, len) = Block::parse(&block).unwrap().unwrap();
        prop_assert_eq!((whole.payload, len), (&payload[..], block.len()));
        let at = place.index(block.len());
        block[at] ^= 1 << bit;
        prop_assert!(Block::parse(&block).is_err());
    }

    #[test]
    fn nodes_come_back(addresses in vec(any::<u64>(), 1..100), backs in vec(1_u32..60, 100)) {
        let mut buffer = vec![0; 4_000];
        let mut out = ByteWriter::new(&mut buffer);
        let first = NodeId(1_000);
        NodesHead { first, count: addresses.len() as u32 }.write(&mut out);
        let mut expected = Vec::new();
        let mut previous = Address(0);
        for (index, (address, back)) in addresses.iter().zip(&backs).enumerate() {
            let id = NodeId(first.0 + index as u32);
            let (parent, address) = (NodeId(id.0 - back), Address(*address));
            NodesHead::write_node(&mut out, id, parent, address, previous);
            previous = address;
            expected.push((id, parent, address));
        }
        let len = out.finish().unwrap();
        let read: Result<Vec<_>, _> = NodeDefs::new(&buffer[..len]).unwrap().collect();
        prop_assert_eq!(read, Ok(expected));
    }
}

#[test]
fn the_usual_events_are_short() {
    let mut encoder = Encoder::new();
    let mut out = [0; EVENT_BYTES_MAX];
    encoder.keyframe(&mut out, Ticks(5), ThreadId(0));
    let address = Address(0x7f00_0000_1000);
    for (round, expected) in [(0, None), (1, Some((2, 1))), (2, Some((2, 1)))] {
        let at = Ticks(10 + round * 4);
        let alloc = encoder.alloc(&mut out, at, address, Bytes(100), NodeId(9));
        let free = encoder.free(&mut out, Ticks(at.0 + 2), address);
        if let Some(lengths) = expected {
            assert_eq!((alloc, free), lengths, "round {round}");
        }
    }
}

#[test]
fn a_header_comes_back_and_damage_is_named() {
    let header = Header { pid: 42, sample_rate: 0.5, ticks_per_second: 3e9, ..Header::default() };
    let bytes = header.to_bytes();
    assert_eq!(Header::parse(&bytes), Ok(header));
    assert_eq!(Header::parse(b""), Err(FormatError::NotARecording));
    assert_eq!(Header::parse(b"hello, world"), Err(FormatError::NotARecording));
    assert_eq!(Header::parse(&bytes[..100]), Err(FormatError::Truncated("the header")));
    let mut damaged = bytes;
    damaged[40] ^= 1;
    assert_eq!(Header::parse(&damaged), Err(FormatError::HeaderDamaged));
    let mut newer = bytes;
    newer[8] = 2;
    assert_eq!(Header::parse(&newer), Err(FormatError::Version(2)));
}

#[test]
fn counters_come_back_and_their_numbers_are_unique() {
    let mut counters = Counters::new();
    for (index, counter) in Counter::ALL.iter().enumerate() {
        counters.set(*counter, index as u64 * 3);
        assert!(Counter::ALL[..index].iter().all(|other| other.code() != counter.code()));
        assert!(!counter.meaning().is_empty());
    }
    let mut buffer = [0; 1_000];
    let mut out = ByteWriter::new(&mut buffer);
    counters.write(&mut out);
    let len = out.finish().unwrap();
    assert_eq!(Counters::read(&buffer[..len]), Ok(counters));
}
