//! Sampled recordings: what is estimated from them is right as often as it claims.

use std::collections::BTreeMap;

use rheaper::recording::{Header, NodeId};

use crate::loader::end_to_end::{Loaded, load_bytes};
use crate::synthetic::random::Random;
use crate::synthetic::writer::{Writer, plain_header};

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

    /// A recording in which each block is with the probability that its size gives it; with all of them
    /// for no bytes.
    pub(crate) fn record(&self, sample_bytes: u64, seed: u64) -> Vec<u8> {
        let mut random = Random(seed);
        let header = Header { sample_bytes, ..plain_header() };
        let mut writer = Writer::new(Vec::new(), &header);
        let nodes: Vec<_> = (0..self.sites)
            .map(|site| writer.stack(NodeId::ROOT, &[0x1000 + site as u64, 0x10, 0x20]))
            .collect();
        let mut draw = |size: u64| {
            let unit = (random.next() >> 11) as f64 / (1_u64 << 53) as f64;
            sample_bytes == 0 || unit < -(-(size as f64) / sample_bytes as f64).exp_m1()
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
pub(crate) const RATE: u64 = 4096;

/// What the sites of [`program`] are, and how many samples they have about.
const SITES: [&str; 6] = [
    "large: a thousand blocks and more of all sizes",
    "five samples of small blocks",
    "one sample of small blocks",
    "big blocks, all of them sampled",
    "two big blocks among small ones",
    "a container that grows from 64 bytes to 64 KiB",
];

pub(crate) fn program() -> Program {
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

/// Estimates of one sum: how often the truth was between the bounds, and what mean and deviation
/// are made of.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    right: u64,
    sum: f64,
    squares: f64,
}

impl Count {
    fn add(&mut self, estimate: f64, is_right: bool) {
        self.right += u64::from(is_right);
        self.sum += estimate;
        self.squares += estimate * estimate;
    }

    fn join(&mut self, other: &Self) {
        self.right += other.right;
        self.sum += other.sum;
        self.squares += other.squares;
    }
}

/// Of 1,000 intervals that are right with probability 0.95, so many are right, but for one time in
/// 20 million: with 14 such sums, a false alarm is rarer than one in a million.
const RIGHT_MIN: u64 = 909;
/// And of 1,000 that are right with probability 0.97, no more than this.
const RIGHT_MAX: u64 = 995;

#[test]
fn the_true_sum_lies_in_the_interval_as_often_as_it_claims() {
    let program = program();
    let truth = program.truth();
    let mut counts = vec![[Count::default(); 2]; truth.len()];
    let half = |from: u64| {
        let mut counts = counts.clone();
        for seed in (from..SEEDS).step_by(2) {
            let loaded = load_bytes(&program.record(RATE, seed));
            for (site, found) in estimates(&loaded, program.sites).iter().enumerate() {
                for (kind, [estimate, low, high]) in found.iter().enumerate() {
                    assert!(low <= estimate && estimate <= high);
                    let is_right = (*low..=*high).contains(&(truth[site][kind] as i64));
                    counts[site][kind].add(*estimate as f64, is_right);
                }
            }
        }
        counts
    };
    let halves = std::thread::scope(|scope| {
        let other = scope.spawn(|| half(1));
        [half(0), other.join().unwrap()]
    });
    for (site, kind) in (0..truth.len()).flat_map(|site| [(site, 0), (site, 1)]) {
        halves.iter().for_each(|half| counts[site][kind].join(&half[site][kind]));
    }
    for site in 0..truth.len() {
        let name = SITES.get(site).copied().unwrap_or("all");
        for (kind, word) in ["made", "alive"].iter().enumerate() {
            let count = SEEDS as f64;
            let Count { right, sum, squares } = counts[site][kind];
            let mean = sum / count;
            let deviation = (squares / count - mean * mean).max(0.0).sqrt();
            let true_sum = truth[site][kind] as f64;
            println!(
                "{name}, {word}: true {true_sum}, mean estimate {mean:.0} ± {deviation:.0}, \
                 right {right} of {SEEDS}"
            );
            // Without bias: within six deviations of a mean of so many. Rounding to whole bytes
            // is below one in ten thousand.
            let far = (mean - true_sum).abs() - true_sum / 10_000.0;
            assert!(far <= 6.0 * deviation / count.sqrt(), "{name}, {word}: biased");
            assert!(right >= RIGHT_MIN, "{name}, {word}: too narrow");
        }
    }
    // Where there are many samples it is also no wider than it needs to be.
    for site in [0, truth.len() - 1] {
        assert!(counts[site].iter().all(|count| count.right <= RIGHT_MAX), "{:?}", counts[site]);
    }
}

fn loaded(seed: u64) -> Loaded {
    load_bytes(&program().record(RATE, seed))
}

#[test]
fn bytes_are_what_the_rows_stand_for_and_everything_adds_up() {
    for seed in 0..8 {
        let loaded = loaded(seed);
        let same = |one: &str, other: &str| {
            assert_eq!(loaded.one(one), loaded.one(other), "seed {seed}: {one}; {other}");
        };
        let rows = |sum: &str, condition: &str| {
            format!(
                "SELECT coalesce({sum}, 0) FROM allocations JOIN sample_weights USING (size) \
                 WHERE {condition}"
            )
        };
        let meta = |key: &str| format!("SELECT value FROM meta WHERE key = '{key}'");
        let live = "dealloc_after IS NULL";
        same(&meta("bytes"), &rows("sum(bytes)", "1"));
        same(&meta("live_bytes"), &rows("sum(bytes)", live));
        same(&meta("rows"), "SELECT count(*) FROM allocations");
        same(&meta("freed_rows"), "SELECT count(*) FROM allocations WHERE dealloc_after NOT NULL");
        same(&meta("freed_rows"), &format!("SELECT min(rowid) - 1 FROM allocations WHERE {live}"));
        for column in ["allocations", "bytes", "live_blocks", "live_bytes"] {
            for table in ["sites", "sizes", "site_sizes", "threads", "suspects"] {
                same(&meta(column), &format!("SELECT sum({column}) FROM {table}"));
            }
            let roots = format!("SELECT sum({column}) FROM tree WHERE parent IS NULL");
            same(&meta(column), &roots);
        }
        same(&meta("bytes"), "SELECT sum(allocated_bytes) FROM timeline");
        same(&meta("allocations"), "SELECT sum(allocations) FROM site_timeline");
        same(&meta("frees"), "SELECT sum(blocks) FROM thread_pairs");
        same(&meta("live_bytes"), "SELECT live_bytes FROM timeline ORDER BY slice DESC LIMIT 1");
        let by_site = "SELECT count(*) FROM sites LEFT JOIN (
                SELECT bt, sum(bytes) AS bytes, sum(blocks) AS blocks
                FROM allocations JOIN sample_weights USING (size) GROUP BY bt) AS rows USING (bt)
            WHERE sites.bytes <> rows.bytes OR abs(sites.allocations - rows.blocks) > 1";
        assert_eq!(loaded.one(by_site), 0, "seed {seed}");
        // What groups of sites stand on is what their sites stand on.
        let parts = "SELECT count(*) FROM estimates AS whole JOIN (
                SELECT suspect, sum(sampled_blocks) AS blocks, sum(live_sampled_bytes) AS live,
                    sum(bytes_variance) AS variance
                FROM estimates JOIN sites ON of = 'site' AND id = bt GROUP BY suspect) AS parts
            ON of = 'suspect' AND id = suspect
            WHERE sampled_blocks <> blocks OR live_sampled_bytes <> live
                OR abs(bytes_variance - variance) > 1e-6 * variance";
        assert_eq!(loaded.one(parts), 0, "seed {seed}");
        let roots = "SELECT sum(sampled_bytes) FROM estimates JOIN tree ON tree.id = estimates.id
            WHERE of = 'tree' AND parent IS NULL";
        same(roots, "SELECT sampled_bytes FROM estimates WHERE of = 'total'");
        same(roots, "SELECT sum(size) FROM allocations");
        let sentences = "SELECT count(*) FROM suspects WHERE sentence NOT LIKE '%: about %'";
        assert_eq!(loaded.one(sentences), 0);
    }
}

#[test]
fn a_recording_of_every_block_has_no_estimates() {
    let mut bytes = program().record(RATE, 1);
    let header = Header { sample_bytes: 0, ..plain_header() };
    bytes[..rheaper::recording::HEADER_BYTES].copy_from_slice(&header.to_bytes());
    let exact = load_bytes(&bytes);
    for table in ["estimates", "sample_weights"] {
        assert_eq!(exact.one(&format!("SELECT count(*) FROM {table}")), 0, "{table}");
    }
    let sums = "SELECT count(*) FROM sites JOIN (SELECT bt, sum(size) AS bytes, count(*) AS blocks
            FROM allocations GROUP BY bt) AS rows USING (bt)
        WHERE sites.bytes <> rows.bytes OR sites.allocations <> rows.blocks";
    assert_eq!(exact.one(sums), 0);
    assert_eq!(exact.one("SELECT count(*) FROM meta WHERE key = 'sample_bytes'"), 0);
    let about = "SELECT count(*) FROM suspects WHERE sentence LIKE '% about %'";
    assert_eq!(exact.one(about), 0);
}

#[test]
fn the_same_samples_give_the_same_bytes_and_names_change_no_estimate() {
    let place = tempfile::tempdir().unwrap();
    let recording = place.path().join("rip-1");
    std::fs::write(&recording, program().record(RATE, 3)).unwrap();
    let load = |name: &str| {
        let path = place.path().join(name);
        let options = rheaper::loader::LoadOptions::default();
        rheaper::loader::load(&recording, &path, &options, &mut ()).unwrap();
        path
    };
    let (one, other) = (load("one.db"), load("other.db"));
    assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&other).unwrap());
    let estimates = |path: &std::path::Path| {
        let connection = rusqlite::Connection::open(path).unwrap();
        let mut query = connection
            .prepare("SELECT of || id || sampled_bytes || live_bytes_high || bytes_variance FROM estimates")
            .unwrap();
        let rows = query.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.map(Result::unwrap).collect::<Vec<_>>()
    };
    rheaper::loader::symbolize(&other, &[], &mut ()).unwrap();
    assert!(estimates(&one).len() > 6);
    assert_eq!(estimates(&one), estimates(&other));
}
