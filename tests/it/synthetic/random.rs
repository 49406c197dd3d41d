//! Random histories of a heap: what really happened, and how a recorder would have seen it.

use rheaper::recording::{Address, Bytes, Event, NodeId, Ticks};

/// SplitMix64: small, seeded, the same everywhere.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    pub fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }
}

/// How a random history is made.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub events: u64,
    pub streams: u32,
    pub addresses: u64,
    pub nodes: u32,
    /// Largest time between two events.
    pub gap: u64,
    /// One event in so many is a realloc.
    pub realloc_one_in: u64,
    /// One free in so many is of an address that was never recorded, and one alloc in so many
    /// takes an address whose free was missed. 0: never.
    pub lost_one_in: u64,
}

/// Events as (stream, thread, event), in the order in which they really happened, each at a later
/// time than the one before. Node ids are 8 and up.
pub fn history(random: &mut Random, shape: &Shape) -> Vec<(u32, u32, Event)> {
    let mut live: Vec<u64> = Vec::new();
    let mut free: Vec<u64> =
        (1..=shape.addresses).map(|slot| 0x7f00_0000_0000 + slot * 16).collect();
    let mut now = 1_000;
    let mut events = Vec::new();
    for _ in 0..shape.events {
        now += 1 + random.below(shape.gap);
        let stream = random.below(u64::from(shape.streams)) as u32;
        let node = NodeId(NodeId::FIRST.0 + random.below(u64::from(shape.nodes)) as u32);
        let size = 1 + random.below(2000);
        // Most are small, some too large to be counted each for itself.
        let size = Bytes(if size.is_multiple_of(16) { size << 12 } else { size });
        let lost = shape.lost_one_in > 0 && random.one_in(shape.lost_one_in);
        let pick = |random: &mut Random, list: &Vec<u64>| random.below(list.len() as u64) as usize;
        let event = if !live.is_empty() && random.one_in(shape.realloc_one_in) {
            let old = live.swap_remove(pick(random, &live));
            let stays = free.is_empty() || random.one_in(2);
            let new = if stays { old } else { free.swap_remove(pick(random, &free)) };
            if !stays {
                free.push(old);
            }
            live.push(new);
            let began = Ticks(now);
            now += 1 + random.below(shape.gap);
            Event::Realloc {
                began,
                at: Ticks(now),
                old: Address(old),
                new: Address(new),
                size,
                node,
                align_log2: 0,
            }
        } else if !live.is_empty() && (free.is_empty() || random.one_in(2)) {
            let address = if lost && !free.is_empty() {
                free[pick(random, &free)]
            } else {
                let address = live.swap_remove(pick(random, &live));
                free.push(address);
                address
            };
            Event::Free { at: Ticks(now), address: Address(address) }
        } else {
            let address = if lost && !live.is_empty() {
                live[pick(random, &live)]
            } else {
                let address = free.swap_remove(pick(random, &free));
                live.push(address);
                address
            };
            let odd = random.one_in(20);
            Event::Alloc {
                at: Ticks(now),
                address: Address(address),
                size,
                node,
                align_log2: if odd { 5 } else { 0 },
                zeroed: odd && random.one_in(2),
            }
        };
        events.push((stream, stream, event));
    }
    events
}
