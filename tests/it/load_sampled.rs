//! Sampled recordings: what is estimated from them is right as often as it claims.

use std::collections::BTreeMap;

use rheaper::recording::{Header, NodeId};

use crate::load::{Loaded, load_bytes};
use crate::support::random::Random;
use crate::support::writer::{Writer, plain_header};

/// What a program did with one block.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// Made it: size, site, thread.
    Make(u64, usize, u32),
    /// Freed it, by this thread.
    Free(usize, u32),
    /// Grew it into a new one: the old one, size, site, thread.
    Grow(usize, u64, usize, u32),
}

/// All that a program did, in order; a block's number is that of the act that made it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Program {
    pub(crate) acts: Vec<Act>,
    pub(crate) sites: usize,
}

/// Nanoseconds between two acts.
const STEP_NS: u64 = 1_000;

impl Program {
    fn make(&mut self, size: u64, site: usize) -> usize {
        self.acts.push(Act::Make(size, site, (site % 3) as u32));
        self.sites = self.sites.max(site + 1);
        self.acts.len() - 1
    }

    fn free(&mut self, block: usize) {
        self.acts.push(Act::Free(block, (block % 3) as u32));
    }

    fn grow(&mut self, block: usize, size: u64, site: usize) -> usize {
        self.acts.push(Act::Grow(block, size, site, (site % 3) as u32));
        self.acts.len() - 1
    }

    /// Bytes made by each site, and those alive at the end; the last ones are all.
    fn truth(&self) -> Vec<[u64; 2]> {
        let mut sums = vec![[0; 2]; self.sites + 1];
        let mut blocks = BTreeMap::new();
        for (number, act) in self.acts.iter().enumerate() {
            match *act {
                Act::Make(size, site, _) | Act::Grow(_, size, site, _) => {
                    sums[site][0] += size;
                    blocks.insert(number, (size, site));
                }
                Act::Free(..) => {}
            }
            if let Act::Free(block, _) | Act::Grow(block, ..) = *act {
                blocks.remove(&block);
            }
        }
        for (size, site) in blocks.into_values() {
            sums[site][1] += size;
        }
        let all = [0, 1].map(|index| sums.iter().map(|sum| sum[index]).sum());
        sums[self.sites] = all;
        sums
    }

    /// A recording in which each block is with the probability that its size gives it.
    pub(crate) fn record(&self, sample_bytes: u64, seed: u64) -> Vec<u8> {
        let mut random = Random(seed);
        let header = Header { sample_bytes, ..plain_header() };
        let mut writer = Writer::new(Vec::new(), &header);
        let nodes: Vec<_> = (0..self.sites)
            .map(|site| writer.stack(NodeId::ROOT, &[0x1000 + site as u64, 0x10, 0x20]))
            .collect();
        let mut draw = |size: u64| {
            let unit = (random.next() >> 11) as f64 / (1_u64 << 53) as f64;
            unit < -(-(size as f64) / sample_bytes as f64).exp_m1()
        };
        let mut sampled = vec![false; self.acts.len()];
        let address = |block: usize| 0x7f00_0000_0000 + block as u64 * 16;
        for (number, act) in self.acts.iter().enumerate() {
            let at = (number as u64 + 1) * STEP_NS;
            match *act {
                Act::Make(size, site, thread) if draw(size) => {
                    sampled[number] = true;
                    writer.alloc((thread, thread), at, address(number), size, nodes[site]);
                }
                Act::Free(block, thread) if sampled[block] => {
                    writer.free((thread, thread), at, address(block));
                }
                Act::Make(..) | Act::Free(..) => {}
                Act::Grow(old, size, site, thread) => {
                    sampled[number] = draw(size);
                    let by = (thread, thread);
                    let places = (address(old), address(number));
                    match (sampled[old], sampled[number]) {
                        (true, true) => {
                            writer.realloc(by, (at, at + 1), places, size, nodes[site]);
                        }
                        (true, false) => writer.free(by, at, places.0),
                        (false, true) => writer.alloc(by, at, places.1, size, nodes[site]),
                        (false, false) => {}
                    }
                }
            }
        }
        writer.flush();
        let end = (self.acts.len() as u64 + 2) * STEP_NS;
        writer.clock(end, end);
        writer.seal(end);
        writer.finish()
    }
}

/// One sample in so many bytes.
const RATE: u64 = 4096;

/// What the sites of [`program`] are, and how many samples they have about.
const SITES: [&str; 6] = [
    "large: a thousand blocks and more of all sizes",
    "five samples of small blocks",
    "one sample of small blocks",
    "big blocks, all of them sampled",
    "two big blocks among small ones",
    "a container that grows from 64 bytes to 64 KiB",
];

fn program() -> Program {
    let mut program = Program::default();
    let mut random = Random(7);
    for round in 0..1_500_u64 {
        let block = program.make(16 + random.below(6_000) * (1 + round % 3), 0);
        if random.one_in(2) {
            program.free(block);
        }
        if round % 5 == 0 {
            program.make(64, 1);
        }
        if round % 20 == 0 {
            program.make(64, 2);
        }
        if round % 100 == 0 {
            let block = program.make((64 << 10) + round, 3);
            if round % 200 == 0 {
                program.free(block);
            }
        }
        if round % 10 == 0 {
            let block = program.make(if round % 750 == 0 { 48 << 10 } else { 100 }, 4);
            if round % 20 == 0 && round > 0 {
                program.free(block);
            }
        }
        if round % 150 == 0 {
            let mut block = program.make(64, 5);
            for power in 7..=16 {
                block = program.grow(block, 1 << power, 5);
            }
        }
    }
    program
}

/// Estimate, lower and upper bound of bytes made and of bytes alive, by site; the last ones are
/// all. A site of which nothing was sampled has no row: what is known of it is what the total's
/// bounds allow for, at most 3.7 samples' worth.
fn estimates(loaded: &Loaded, sites: usize) -> Vec<[[i64; 3]; 2]> {
    let nothing = [[0, 0, (RATE as f64 * 3.689).ceil() as i64]; 2];
    let mut found = vec![nothing; sites + 1];
    let sql = "SELECT offset + 1 - 0x1000, bytes, bytes_low, bytes_high,
            live_bytes, live_bytes_low, live_bytes_high
        FROM estimates JOIN sites ON bt = estimates.id JOIN frames ON frames.id = sites.frame
        WHERE of = 'site'
        UNION ALL SELECT ?1, (SELECT value FROM meta WHERE key = 'bytes'), bytes_low, bytes_high,
            (SELECT value FROM meta WHERE key = 'live_bytes'), live_bytes_low, live_bytes_high
        FROM estimates WHERE of = 'total'";
    let mut query = loaded.connection.prepare(sql).unwrap();
    let mut rows = query.query([sites as i64]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let numbers: Vec<i64> = (0..7).map(|column| row.get(column).unwrap()).collect();
        found[numbers[0] as usize] =
            [[numbers[1], numbers[2], numbers[3]], [numbers[4], numbers[5], numbers[6]]];
    }
    found
}

const SEEDS: u64 = 1_000;

/// Of 1,000 intervals that are right with probability 0.95, so many are right, but for one time in
/// 20 million: with 14 such sums, a false alarm is rarer than one in a million.
const RIGHT_MIN: u64 = 909;
/// And of 1,000 that are right with probability 0.97, no more than this.
const RIGHT_MAX: u64 = 995;

#[test]
fn the_true_sum_lies_in_the_interval_as_often_as_it_claims() {
    let program = program();
    let truth = program.truth();
    let mut right = vec![[0_u64; 2]; truth.len()];
    let mut sums = vec![[0_f64; 2]; truth.len()];
    let mut squares = vec![[0_f64; 2]; truth.len()];
    for seed in 0..SEEDS {
        let loaded = load_bytes(&program.record(RATE, seed));
        for (site, found) in estimates(&loaded, program.sites).iter().enumerate() {
            for (kind, [estimate, low, high]) in found.iter().enumerate() {
                let true_sum = truth[site][kind] as i64;
                assert!(low <= estimate && estimate <= high);
                right[site][kind] += u64::from((*low..=*high).contains(&true_sum));
                sums[site][kind] += *estimate as f64;
                squares[site][kind] += (*estimate as f64).powi(2);
            }
        }
    }
    for site in 0..truth.len() {
        let name = SITES.get(site).copied().unwrap_or("all");
        for (kind, word) in ["made", "alive"].iter().enumerate() {
            let count = SEEDS as f64;
            let mean = sums[site][kind] / count;
            let deviation = (squares[site][kind] / count - mean * mean).max(0.0).sqrt();
            let true_sum = truth[site][kind] as f64;
            println!(
                "{name}, {word}: true {true_sum}, mean estimate {mean:.0} ± {deviation:.0}, \
                 right {} of {SEEDS}",
                right[site][kind]
            );
            // Without bias: within six deviations of a mean of so many. Rounding to whole bytes
            // is below one in ten thousand.
            let far = (mean - true_sum).abs() - true_sum / 10_000.0;
            assert!(far <= 6.0 * deviation / count.sqrt(), "{name}, {word}: biased");
            assert!(right[site][kind] >= RIGHT_MIN, "{name}, {word}: too narrow");
        }
    }
    // Where there are many samples it is also no wider than it needs to be.
    for site in [0, truth.len() - 1] {
        assert!(right[site].iter().all(|right| *right <= RIGHT_MAX), "{:?}", right[site]);
    }
}
