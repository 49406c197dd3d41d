//! Which blocks a sampler chooses, against what it promises and against naive ones; and the table
//! of those that are alive, against a naive one.
//!
//! All of it is seeded: a run is like any other. The bounds are wide enough that of a million
//! seeds one would be beyond them. The files are the recorder's own, taken in here, since where
//! they live nobody else can see them.

/// MmapVec, as the recorder has them.
pub(crate) mod sys {
    use std::ptr::{NonNull, null_mut};

    pub(crate) struct PreservedErrno;

    impl PreservedErrno {
        pub(crate) fn new() -> Self {
            Self
        }
    }

    pub(crate) fn map_pages(bytes: usize) -> Option<NonNull<u8>> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping.
        NonNull::new(unsafe { libc::mmap(null_mut(), bytes, access, flags, -1, 0) }.cast())
    }

    pub(crate) unsafe fn discard_pages(at: NonNull<u8>, bytes: usize) {
        // SAFETY: the caller vouches for the range.
        unsafe { libc::madvise(at.as_ptr().cast(), bytes, libc::MADV_DONTNEED) };
    }

    pub(crate) unsafe fn unmap_pages(at: NonNull<u8>, bytes: usize) {
        // SAFETY: the caller vouches for the range.
        unsafe { libc::munmap(at.as_ptr().cast(), bytes) };
    }
}

#[path = "../../../src/collector/event_path/sampling/sampler.rs"]
mod product_sampler;
#[allow(dead_code, reason = "the recorder uses the rest")]
#[path = "../../../src/collector/event_path/sampling/live_samples.rs"]
mod table;

use std::collections::HashSet;
use std::sync::Mutex;

use crate::recorder::sampler::product_sampler::{STALE, Sampler, distance, minus_ln, mix};
use crate::recorder::sampler::table::Table;
use crate::support::programs::scaled;

/// Standard deviations that one in two million samples of a normal distribution is beyond.
const SIGMAS: f64 = 5.1;

fn p(size: usize, mean: f64) -> f64 {
    -(-(size as f64) / mean).exp_m1()
}

/// As the recorder asks for each block.
fn is_chosen(sampler: &Sampler, size: usize, mean: f64) -> bool {
    let left = sampler.take(size);
    left <= 0 && sampler.is_chosen(size, left, mean)
}

#[test]
fn the_logarithm_is_the_system_s() {
    let mut state = 1_u64;
    let mut check = |x: f64| {
        let (ours, theirs) = (minus_ln(x), -x.ln());
        let error = if theirs == 0.0 { ours } else { (ours - theirs) / theirs };
        assert!(error.abs() < 1e-15, "{x}: {ours} instead of {theirs}");
    };
    for _ in 0..100_000 {
        state = state.wrapping_add(1);
        check(((mix(state) >> 11) + 1) as f64 / (1_u64 << 53) as f64);
    }
    for power in 0..=53 {
        let x = 0.5_f64.powi(power);
        let around = [x, x.next_up().min(1.0), x.next_down(), x * 0.75, x * 0.7, x * 0.71];
        around.into_iter().for_each(&mut check);
    }
    [1.0, 1.0 - 1e-16, 1.0 - 1e-9, f64::MIN_POSITIVE].into_iter().for_each(check);
}

#[test]
fn distances_are_at_least_one_byte_and_never_too_many() {
    for random in [0, 1, u64::MAX, u64::MAX - 1, 1 << 63, (1 << 11) - 1] {
        for mean in [1.0, 2.0, 524_288.0, 1e18, u64::MAX as f64] {
            assert!(distance(random, mean) >= 1, "{random} {mean}");
        }
    }
    // The largest random number is the shortest distance.
    assert_eq!(distance(u64::MAX, 1e18), 1);
    assert_eq!(distance(0, u64::MAX as f64), i64::MAX);
}

/// The share of blocks of each size is the promised probability, whatever stands between them.
#[test]
fn each_size_is_chosen_with_its_probability() {
    const SIZES: [usize; 7] = [1, 16, 100, 1_000, 4_096, 20_000, 1 << 20];
    let mean = 4_096.0;
    for seed in 0..scaled(20) {
        let sampler = Sampler::new();
        sampler.seed(mix(seed));
        let mut counts = [(0_u64, 0_u64); SIZES.len()];
        for round in 0..200_000_u64 {
            let at = (mix(round ^ (seed << 32)) % SIZES.len() as u64) as usize;
            counts[at].0 += 1;
            counts[at].1 += u64::from(is_chosen(&sampler, SIZES[at], mean));
        }
        let mut chi2 = 0.0;
        for (size, (all, chosen)) in SIZES.into_iter().zip(counts) {
            let (all, chosen, p) = (all as f64, chosen as f64, p(size, mean));
            let variance = all * p * (1.0 - p);
            let difference = chosen - all * p;
            if variance < 1.0 {
                assert!(difference.abs() < 12.0, "{seed} {size}: {chosen} of {all}");
            } else {
                chi2 += difference * difference / variance;
            }
        }
        // Of six degrees of freedom one in a million is above 38.3.
        assert!(chi2 < 38.3, "seed {seed}: {chi2} {counts:?}");
    }
}

/// A thousand samplers: the estimates of a known total are around it, as far as they say.
#[test]
fn estimates_are_unbiased_and_as_wide_as_they_say() {
    let mean = 10_000.0;
    let sizes: Vec<usize> = (0..3_000).map(|at| 1 + (mix(at) % 6_000) as usize).collect();
    let truth: f64 = sizes.iter().map(|size| *size as f64).sum();
    let variance: f64 = sizes
        .iter()
        .map(|size| (*size as f64).powi(2) * (1.0 - p(*size, mean)) / p(*size, mean))
        .sum();
    let (mut sum, mut squares) = (0.0, 0.0);
    let runs = scaled(1_000);
    for seed in 0..runs {
        let sampler = Sampler::new();
        sampler.seed(mix(seed ^ 0xabcd_ef00));
        let chosen = sizes.iter().filter(|size| is_chosen(&sampler, **size, mean));
        let estimate: f64 = chosen.map(|size| *size as f64 / p(*size, mean)).sum();
        let z = (estimate - truth) / variance.sqrt();
        sum += z;
        squares += z * z;
    }
    let runs = runs as f64;
    assert!((sum / runs.sqrt()).abs() < SIGMAS, "mean of {} standard errors", sum / runs);
    // The sum of squares has a mean of `runs` and a variance of two `runs`.
    let spread = (squares - runs) / (2.0 * runs).sqrt();
    assert!(spread.abs() < SIGMAS, "standard deviation of {}", (squares / runs).sqrt());
}

/// Naive twins: one throws for each block, the other for each byte. Gaps between chosen blocks
/// are distributed alike.
#[test]
fn gaps_are_those_of_samplers_that_throw_each_time() {
    const SIZES: [usize; 5] = [3, 50, 7, 200, 31];
    const GAPS: usize = 24;
    let mean = 500.0_f64;
    let blocks = 300_000_usize;
    let sampler = Sampler::new();
    sampler.seed(77);
    let mut state = 0_u64;
    let mut uniform = || {
        state += 1;
        (mix(state) >> 11) as f64 / (1_u64 << 53) as f64
    };
    let each_byte = -(-1.0_f64 / mean).exp_m1();
    let mut histograms = [[0_f64; GAPS]; 3];
    let mut gaps = [0_usize; 3];
    for nth in 0..blocks {
        let size = SIZES[nth % SIZES.len()];
        let by_block = uniform() < p(size, mean);
        let by_byte = (0..size).fold(false, |any, _| any | (uniform() < each_byte));
        for (who, chosen) in
            [is_chosen(&sampler, size, mean), by_block, by_byte].into_iter().enumerate()
        {
            if chosen {
                histograms[who][(gaps[who] / 2).min(GAPS - 1)] += 1.0;
                gaps[who] = 0;
            } else {
                gaps[who] += 1;
            }
        }
    }
    for twin in [1, 2] {
        let (a, b) = (histograms[0], histograms[twin]);
        let (all_a, all_b): (f64, f64) = (a.iter().sum(), b.iter().sum());
        let chi2: f64 = a
            .iter()
            .zip(b)
            .map(|(a, b)| {
                (a * (all_b / all_a).sqrt() - b * (all_a / all_b).sqrt()).powi(2) / (a + b)
            })
            .sum();
        // Of 23 degrees of freedom one in a million is above 72.
        assert!(chi2 < 72.0, "twin {twin}: {chi2}\n{a:?}\n{b:?}");
    }
}

/// What a signal handler takes in the middle of everything changes no probability.
#[test]
fn interrupted_blocks_keep_their_probability() {
    let mean = 1_000.0;
    let sampler = Sampler::new();
    sampler.seed(5);
    let (outer, inner) = (700, 300);
    let mut chosen = [0_u64; 3];
    let rounds = 300_000_u64;
    for round in 0..rounds {
        // Between the subtraction and what comes of it.
        let left = sampler.take(outer);
        if round % 2 == 0 {
            chosen[1] += u64::from(is_chosen(&sampler, inner, mean));
        }
        chosen[0] += u64::from(left <= 0 && sampler.is_chosen(outer, left, mean));
        chosen[2] += u64::from(is_chosen(&sampler, inner, mean));
    }
    let expected = [(outer, rounds), (inner, rounds / 2), (inner, rounds)];
    for ((size, all), chosen) in expected.into_iter().zip(chosen) {
        let p = p(size, mean);
        let z = (chosen as f64 - all as f64 * p) / (all as f64 * p * (1.0 - p)).sqrt();
        assert!(z.abs() < SIGMAS, "{size}: {chosen} of {all}, {z}");
    }
}

#[test]
fn any_sizes_in_any_order_break_nothing() {
    for seed in 0..1_000 {
        let sampler = Sampler::new();
        sampler.seed(seed);
        let mean = [1.0, 512.0, 524_288.0, 1e15, u64::MAX as f64][seed as usize % 5];
        for round in 0..200_u64 {
            let huge = [0, 1, 16, 1 << 20, 1 << 46, isize::MAX as usize];
            let size = huge[(mix(round ^ seed) % huge.len() as u64) as usize];
            let left = sampler.take(size);
            if size == isize::MAX as usize {
                // Nobody gets so much: such a request fails.
                sampler.undo(size);
            } else if left <= 0 {
                let _ = sampler.is_chosen(size, left, mean);
            }
        }
        let _ = sampler.is_chosen(16, STALE, mean);
        // It still works, once the last countdown is over.
        let chosen = (0..400).filter(|_| is_chosen(&sampler, 700, 1_000.0)).count();
        let is_far = mean > 1e4;
        assert!(chosen > 100 || is_far, "{seed}: {chosen}");
    }
}

/// A block that is not had gives back what it took.
#[test]
fn failures_do_not_count() {
    let (with, without) = (Sampler::new(), Sampler::new());
    [&with, &without].into_iter().for_each(|sampler| sampler.seed(99));
    for round in 0..10_000_usize {
        let size = 1 + round % 900;
        let expected = is_chosen(&without, size, 5_000.0);
        with.take(1 << 40);
        with.undo(1 << 40);
        assert_eq!(is_chosen(&with, size, 5_000.0), expected, "{round}");
    }
}

/// MmapVec and slots are shared by many: the addresses are few, close, and far apart.
fn address(random: u64) -> usize {
    let page = [0, 1, 65_536, 1 << 20, (1 << 35) - 1][(random % 5) as usize];
    (page << 12) + (random >> 8) as usize % 256 * 16
}

#[test]
fn the_table_of_sampled_blocks_is_a_set() {
    let table: &'static Table = Box::leak(Box::new(Table::new()));
    let mut state = 3_u64;
    for session in 1..=40_u32 {
        table.begin(session);
        let mut naive = HashSet::new();
        for round in 0..5_000 {
            state += 1;
            let random = mix(state);
            let address = address(random);
            assert_eq!(table.contains(address), naive.contains(&address), "{session} {round}");
            assert!(table.may_contain(address) || !naive.contains(&address));
            match (random >> 32) % 8 {
                0..=3 => {
                    assert!(table.insert(address));
                    naive.insert(address);
                }
                4 | 5 => assert_eq!(table.remove(address), naive.remove(&address)),
                6 => {
                    let locked = table.lock_slot(address);
                    assert_eq!(locked.is_some(), naive.contains(&address));
                    assert!(!table.contains(address));
                    locked.into_iter().for_each(|locked| table.unlock(locked));
                }
                _ => {
                    // Somebody else gets the address while its block moves.
                    let locked = table.lock_slot(address);
                    let other = random >> 40 & 1 == 0;
                    assert!(!other || table.insert(address));
                    naive.remove(&address);
                    locked.into_iter().for_each(|locked| table.remove_locked(locked));
                    if other {
                        naive.insert(address);
                    }
                }
            }
        }
        // Nothing is left of it in the next one.
        let one = naive.iter().next().copied().unwrap_or_default();
        let locked = table.lock_slot(one);
        table.begin(session + 1);
        naive.iter().for_each(|address| assert!(!table.may_contain(*address)));
        // What was held in the one before changes nothing in this one.
        assert!(table.insert(one));
        locked.into_iter().for_each(|locked| table.remove_locked(locked));
        assert!(table.contains(one) && table.remove(one) && !table.may_contain(one));
    }
}

/// Threads take addresses from each other as allocators hand them out, and lose none.
#[test]
fn threads_share_the_table_of_sampled_blocks() {
    const THREADS: u64 = 4;
    let table: &'static Table = Box::leak(Box::new(Table::new()));
    table.begin(7);
    let free: HashSet<usize> = (0..2_000).map(|at| address(mix(at))).collect();
    let free: Mutex<Vec<usize>> = Mutex::new(free.into_iter().collect());
    let take = |random: u64| {
        let mut free = free.lock().unwrap();
        let len = free.len() as u64;
        free.swap_remove((random % len) as usize)
    };
    let give = |address| free.lock().unwrap().push(address);
    std::thread::scope(|scope| {
        let (take, give) = (&take, &give);
        for thread in 0..THREADS {
            scope.spawn(move || {
                let mut own: Vec<(usize, bool)> = Vec::new();
                for round in 0..40_000_u64 {
                    let random = mix(round * THREADS + thread);
                    if own.len() < 100 && random & 1 == 0 {
                        let is_sampled = random & 6 != 0;
                        let address = take(random >> 8);
                        assert!(!table.contains(address));
                        own.push((address, is_sampled));
                        assert!(!is_sampled || table.insert(address));
                    } else if !own.is_empty() {
                        let at = (random >> 8) as usize % own.len();
                        let (address, is_sampled) = own[at];
                        assert_eq!(table.contains(address), is_sampled);
                        if random & 2 == 0 || !is_sampled {
                            own.swap_remove(at);
                            assert_eq!(table.remove(address), is_sampled);
                            give(address);
                        } else {
                            let locked = table.lock_slot(address).unwrap();
                            give(address);
                            let new = take(random >> 20);
                            assert!(table.insert(new));
                            table.remove_locked(locked);
                            own[at] = (new, true);
                        }
                    }
                }
                for (address, is_sampled) in own {
                    assert_eq!(table.remove(address), is_sampled);
                    give(address);
                }
            });
        }
    });
    let left = free.lock().unwrap().iter().filter(|address| table.may_contain(**address)).count();
    assert_eq!(left, 0);
}
