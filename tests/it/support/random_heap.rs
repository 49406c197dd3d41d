//! A random heap of a few dozen blocks, and all its sums by obvious loops.
//!
//! The naive twin of the loader: what takes care of memory and time there is a loop over all
//! blocks here. Queries are compared with the same loops.

use std::collections::BTreeMap;

/// A small, seeded source of numbers.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    pub(crate) fn int(&mut self, n: i64) -> i64 {
        self.below(n.unsigned_abs()).cast_signed()
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub made: i64,
    pub freed: Option<i64>,
    pub bt: Option<i64>,
    pub size: i64,
    pub addr: i64,
    pub maker: i64,
    pub freer: Option<i64>,
    /// Row (from 1) of the block that this one grew out of, and whether it moved.
    pub grown_from: Option<(usize, bool)>,
}

pub(crate) struct Frame {
    pub file: Option<&'static str>,
    pub line: Option<i64>,
    pub sym: &'static str,
    pub krate: Option<&'static str>,
    pub kind: &'static str,
}

#[rustfmt::skip]
pub(crate) const FRAMES: &[Frame] = &[
    Frame { file: Some("/rust/alloc/src/raw_vec.rs"), line: Some(560), sym: "alloc::raw_vec::finish_grow", krate: Some("alloc"), kind: "std" },
    Frame { file: Some("src/cache.rs"), line: Some(41), sym: "server::cache::insert", krate: Some("server"), kind: "own" },
    Frame { file: Some("src/main.rs"), line: Some(7), sym: "server::main", krate: Some("server"), kind: "own" },
    Frame { file: Some("/cargo/tokio/src/task/spawn.rs"), line: Some(167), sym: "tokio::task::spawn::spawn", krate: Some("tokio"), kind: "dependency" },
    Frame { file: Some("/cargo/flume/src/lib.rs"), line: Some(3), sym: "flume::Sender<T>::send", krate: Some("flume"), kind: "dependency" },
    Frame { file: None, line: None, sym: "g_malloc", krate: None, kind: "runtime" },
    Frame { file: Some("src/jobs.rs"), line: Some(99), sym: "jobs::queue::push", krate: Some("jobs"), kind: "own" },
    Frame { file: None, line: None, sym: "libfoo.so+0x1234", krate: None, kind: "unknown" },
];

pub(crate) struct Heap {
    pub duration: i64,
    pub width: i64,
    pub slices: i64,
    /// Slices that a row of site_timeline covers.
    pub group: i64,
    /// In the order of their rows, which begin at 1.
    pub blocks: Vec<Block>,
    /// Frames of each backtrace, innermost first; ids are positions in `FRAMES` from 1.
    pub stacks: BTreeMap<i64, Vec<i64>>,
    pub threads: i64,
    pub layouts: Vec<(Option<i64>, i64, i64, i64, i64)>,
    pub failures: Vec<(i64, Option<i64>, i64, i64)>,
    pub losses: Vec<(&'static str, i64)>,
}

/// Everything about a site.
#[derive(Clone, Debug, Default)]
pub(crate) struct Site {
    pub bt: i64,
    pub allocations: i64,
    pub bytes: i64,
    pub frees: i64,
    pub live_blocks: i64,
    pub live_bytes: i64,
    pub peak_bytes: i64,
    pub peak_ns: i64,
    pub at_peak_blocks: i64,
    pub at_peak_bytes: i64,
    pub temporary: i64,
    pub temporary_bytes: i64,
    pub size_min: i64,
    pub size_max: i64,
    pub lifetimes: Vec<i64>,
    pub first: i64,
    pub last: i64,
    pub last_free: Option<i64>,
    pub cross: i64,
    pub end_blocks: i64,
    pub end_bytes: i64,
    pub reallocs: i64,
    pub moved: i64,
}

impl Site {
    /// The value that so many of a hundred lifetimes do not exceed.
    pub(crate) fn lifetime(&self, percent: usize) -> Option<i64> {
        let last = self.lifetimes.len().checked_sub(1)?;
        Some(self.lifetimes[last * percent / 100])
    }
}

/// Scopes: number, the one around it, path.
pub(crate) const SCOPES: [(i64, Option<i64>, &str); 5] = [
    (1, None, "request"),
    (2, Some(1), "request > parse"),
    (3, Some(2), "request > parse > header"),
    (4, Some(1), "request > render"),
    (7, None, "timer"),
];

/// The scope of the block in so many-th place.
pub(crate) fn scope_of(row: usize) -> Option<i64> {
    [None, Some(1), Some(2), Some(3), None, Some(7)][row % 6]
}

impl Heap {
    /// Moments that the program named: when, name, number, thread.
    pub(crate) fn marks(&self) -> Vec<(i64, &'static str, i64, i64)> {
        let mark = |i: i64| {
            let name = if i % 3 == 1 { "it's end" } else { "begin" };
            (self.duration * i / 7, name, i * 10 - 20, i % self.threads)
        };
        (1..7).map(mark).collect()
    }

    /// Memory now and then: when, resident, of the group, alive.
    pub(crate) fn samples(&self) -> Vec<(i64, Option<i64>, Option<i64>, i64)> {
        let sample = |i: i64| {
            let at = self.duration * i / 4;
            let live = self.blocks.iter().filter(|block| alive(block, at)).map(|b| b.size).sum();
            (at, (i != 2).then_some(live * 2 + 1000), (i == 3).then_some(i), live)
        };
        (0..=4).map(sample).collect()
    }

    pub(crate) fn random(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let duration = 1_000 + dice.int(1_000_000);
        let width = duration / (1 + dice.int(40)) + 1;
        let sites = 1 + dice.int(6);
        let threads = 1 + dice.int(3);
        let group = 1 << dice.below(3);
        let stacks = (1..=sites).map(|bt| (bt, stack(&mut dice))).collect();
        let mut blocks = blocks(&mut dice, duration, sites, threads);
        grow(&mut dice, &mut blocks, duration);
        let mut heap = Self {
            duration,
            width,
            slices: duration / width + 1,
            group,
            blocks: Vec::new(),
            stacks,
            threads,
            layouts: Vec::new(),
            failures: Vec::new(),
            losses: Vec::new(),
        };
        heap.blocks = in_rows(&blocks);
        for bt in 1..=sites {
            if dice.one_in(3) {
                heap.layouts.push((
                    Some(bt),
                    dice.int(2),
                    [0, 32, 64][dice.int(3) as usize],
                    1 + dice.int(9),
                    dice.int(900),
                ));
            }
            if dice.one_in(4) {
                heap.failures.push((
                    dice.int(duration),
                    Some(bt),
                    dice.int(1 << 40),
                    dice.int(threads),
                ));
            }
        }
        heap.losses = vec![("events_dropped", dice.int(3)), ("frees_unmatched", dice.int(2))];
        heap
    }

    /// This heap with so many blocks in place of each, by its size: what a sample of it would
    /// stand for if these were the weights.
    pub(crate) fn replicated(&self, times: impl Fn(i64) -> i64) -> Self {
        let mut first = vec![0; self.blocks.len() + 1];
        let mut blocks = Vec::new();
        for (row, block) in (1..).zip(&self.blocks) {
            first[row] = blocks.len() + 1;
            for _ in 0..times(block.size) {
                blocks.push(block.clone());
            }
        }
        for block in &mut blocks {
            block.grown_from = block.grown_from.map(|(old, moved)| (first[old], moved));
        }
        let stacks = self.stacks.clone();
        let (layouts, failures) = (self.layouts.clone(), self.failures.clone());
        Self { blocks, stacks, layouts, failures, losses: self.losses.clone(), ..*self }
    }

    /// Blocks with a backtrace, of that site.
    pub(crate) fn of(&self, bt: i64) -> Vec<&Block> {
        self.blocks.iter().filter(|block| block.bt == Some(bt)).collect()
    }

    pub(crate) fn sites(&self) -> Vec<Site> {
        let all: std::collections::BTreeSet<i64> =
            self.blocks.iter().filter_map(|block| block.bt).collect();
        all.into_iter().map(|bt| self.site(bt)).collect()
    }

    fn site(&self, bt: i64) -> Site {
        let blocks = self.of(bt);
        let (_, peak_ns) = peak(&self.blocks.iter().collect::<Vec<_>>());
        let (own_bytes, own_after) = peak(&blocks);
        let mut site = Site {
            bt,
            size_min: i64::MAX,
            first: i64::MAX,
            peak_bytes: own_bytes,
            peak_ns: own_after,
            ..Site::default()
        };
        for block in &blocks {
            site.allocations += 1;
            site.bytes += block.size;
            site.size_min = site.size_min.min(block.size);
            site.size_max = site.size_max.max(block.size);
            site.first = site.first.min(block.made);
            site.last = site.last.max(block.made);
            if alive(block, peak_ns) {
                site.at_peak_blocks += 1;
                site.at_peak_bytes += block.size;
            }
            if let Some((_, moved)) = block.grown_from {
                site.reallocs += 1;
                site.moved += i64::from(moved);
            }
            let Some(freed) = block.freed else {
                site.live_blocks += 1;
                site.live_bytes += block.size;
                continue;
            };
            site.frees += 1;
            site.lifetimes.push(freed - block.made);
            site.last_free = site.last_free.max(Some(freed));
            site.cross += i64::from(block.freer != Some(block.maker));
            let between = |other: &&Block| {
                other.maker == block.maker && other.made > block.made && other.made < freed
            };
            if block.freer == Some(block.maker) && self.blocks.iter().filter(between).count() <= 1 {
                site.temporary += 1;
                site.temporary_bytes += block.size;
            }
            if freed * 50 >= self.duration * 49 && (freed - block.made) * 50 >= self.duration {
                site.end_blocks += 1;
                site.end_bytes += block.size;
            }
        }
        site.lifetimes.sort_unstable();
        site
    }

    /// The slice in which a moment lies.
    pub(crate) fn slice(&self, at: i64) -> i64 {
        at / self.width
    }

    /// Bytes and blocks of these that are alive at the end of a slice.
    pub(crate) fn live_at_end_of(&self, slice: i64, blocks: &[&Block]) -> (i64, i64) {
        let alive = blocks.iter().filter(|block| {
            self.slice(block.made) <= slice
                && block.freed.is_none_or(|freed| self.slice(freed) > slice)
        });
        alive.fold((0, 0), |(bytes, count), block| (bytes + block.size, count + 1))
    }

    /// The last slice that a row of site_timeline which covers this slice covers.
    pub(crate) fn group_end(&self, slice: i64) -> i64 {
        (slice / self.group * self.group + self.group - 1).min(self.slices - 1)
    }

    pub(crate) fn to_ns(&self, slice: i64) -> i64 {
        if slice == self.slices - 1 { self.duration } else { (slice + 1) * self.width }
    }

    pub(crate) fn first_own(&self, bt: i64) -> &'static Frame {
        let stack = &self.stacks[&bt];
        let own = stack.iter().find(|id| FRAMES[**id as usize - 1].kind == "own");
        &FRAMES[*own.unwrap_or(&stack[0]) as usize - 1]
    }

    /// The first own frame that calls the named one and is another function.
    pub(crate) fn caller(&self, bt: i64) -> Option<i64> {
        let named = self.first_own(bt);
        let frame = |id: &i64| &FRAMES[*id as usize - 1];
        let mut outwards = self.stacks[&bt].iter().skip_while(|id| frame(id).sym != named.sym);
        outwards.find(|id| frame(id).sym != named.sym && frame(id).kind == named.kind).copied()
    }

    pub(crate) fn name(&self, bt: i64) -> String {
        function(self.first_own(bt)).to_owned()
    }

    /// Blocks and bytes that were made, and that were freed, from one slice to another.
    pub(crate) fn in_slices(
        &self,
        first: i64,
        last: i64,
        blocks: &[&Block],
    ) -> ((i64, i64), (i64, i64)) {
        let within = |at: i64| (first..=last).contains(&self.slice(at));
        let sum = |chosen: Vec<&&Block>| {
            (chosen.len() as i64, chosen.iter().map(|block| block.size).sum())
        };
        (
            sum(blocks.iter().filter(|block| within(block.made)).collect()),
            sum(blocks.iter().filter(|block| block.freed.is_some_and(within)).collect()),
        )
    }

    /// Most bytes alive at any moment of a slice: at its beginning or after any event in it.
    pub(crate) fn peak_in(&self, slice: i64) -> i64 {
        let all: Vec<&Block> = self.blocks.iter().collect();
        let (before, _) = self.live_at_end_of(slice - 1, &all);
        let events = all.iter().flat_map(|block| [Some(block.made), block.freed]).flatten();
        let inside = events.filter(|at| self.slice(*at) == slice);
        inside.map(|at| live_bytes(&all, at)).chain([before]).max().unwrap()
    }

    pub(crate) fn peak(&self) -> (i64, i64) {
        peak(&self.blocks.iter().collect::<Vec<_>>())
    }
}

pub(crate) fn thread_name(id: i64) -> String {
    format!("worker-{id}")
}

/// The last two parts of a path.
pub(crate) fn function(frame: &Frame) -> &'static str {
    let cut = frame.sym.rmatch_indices("::").nth(1).map_or(0, |(at, _)| at + 2);
    &frame.sym[cut..]
}

fn alive(block: &Block, at: i64) -> bool {
    block.made <= at && block.freed.is_none_or(|freed| freed > at)
}

fn live_bytes(blocks: &[&Block], at: i64) -> i64 {
    blocks.iter().filter(|block| alive(block, at)).map(|block| block.size).sum()
}

/// Most bytes alive at once, and the first moment at which they were.
fn peak(blocks: &[&Block]) -> (i64, i64) {
    let moments = blocks.iter().map(|block| block.made);
    moments
        .map(|at| (live_bytes(blocks, at), at))
        .max_by_key(|(bytes, at)| (*bytes, -at))
        .unwrap_or((0, 0))
}

fn stack(dice: &mut Dice) -> Vec<i64> {
    let depth = 1 + dice.below(4);
    (0..depth).map(|_| 1 + dice.int(FRAMES.len() as i64)).collect()
}

/// Moments are all different, but for a free and what it frees, which never coincide either.
fn blocks(dice: &mut Dice, duration: i64, sites: i64, threads: i64) -> Vec<Block> {
    let mut taken = std::collections::HashSet::new();
    let mut moment = |dice: &mut Dice, from: i64| {
        (0..100).map(|_| from + dice.int(duration - from + 1)).find(|at| taken.insert(*at))
    };
    let mut blocks = Vec::new();
    for _ in 0..dice.below(60) {
        let Some(made) = moment(dice, 0) else {
            continue;
        };
        // Many short lives, some long, some for ever.
        let kind = dice.below(4);
        let latest = if kind == 0 { (made + duration / 50 + 1).min(duration) } else { duration };
        let freed = if kind == 1 || made >= latest {
            None
        } else {
            moment(dice, made + 1).map(|at| at.min(duration))
        };
        let maker = dice.int(threads);
        let freer = freed.map(|_| if dice.one_in(3) { dice.int(threads) } else { maker });
        let size = if dice.one_in(3) {
            dice.int(20)
        } else {
            {
                let bits = 1 + dice.below(20);
                dice.int(1 << bits)
            }
        };
        let bt = (!dice.one_in(10)).then(|| 1 + dice.int(sites));
        blocks.push(Block {
            made,
            freed,
            bt,
            size,
            addr: 0x7000_0000_0000 + 16 * dice.int(5_000),
            maker,
            freer,
            grown_from: None,
        });
    }
    blocks
}

/// Some freed blocks were not freed but grown: another one begins at that moment.
fn grow(dice: &mut Dice, blocks: &mut Vec<Block>, duration: i64) {
    let mut i = 0;
    while i < blocks.len() && blocks.len() < 90 {
        if let Some(at) = blocks[i].freed.filter(|at| *at < duration && dice.one_in(3)) {
            let old = blocks[i].clone();
            let moved = dice.one_in(2);
            let later = at + 1 + dice.int(duration - at);
            let ends = dice.one_in(2);
            blocks.push(Block {
                made: at,
                freed: ends.then_some(later),
                size: old.size * 2 + 1,
                addr: if moved { old.addr + 64 } else { old.addr },
                freer: ends.then_some(old.maker),
                // For now the position in this list.
                grown_from: Some((i, moved)),
                ..old
            });
        }
        i += 1;
    }
}

/// Sorted as the loader writes them: as they ended, then what is alive, oldest first.
fn in_rows(blocks: &[Block]) -> Vec<Block> {
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.sort_by_key(|i| (blocks[*i].freed.unwrap_or(i64::MAX), blocks[*i].made));
    let row_of: BTreeMap<usize, usize> =
        order.iter().enumerate().map(|(row, i)| (*i, row + 1)).collect();
    let renumbered = |i: &usize| Block {
        grown_from: blocks[*i].grown_from.map(|(old, moved)| (row_of[&old], moved)),
        ..blocks[*i].clone()
    };
    order.iter().map(renumbered).collect()
}
