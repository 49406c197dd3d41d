//! Sampled programs whose allocations are known to the byte.
//!
//! Scenarios: `known <sample bytes> <first seed> <recordings>`, `overflow`, `twice`. The path of
//! each recording is a line of stdout.

#[global_allocator]
static GLOBAL: rheaper::Allocator<std::alloc::System> =
    rheaper::Allocator::from_allocator(std::alloc::System);

#[cfg(rheaper_testing)]
mod scene {
    use std::alloc::Layout;
    use std::hint::black_box;
    use std::path::PathBuf;

    /// Size of each class, number of blocks, and whether they are reallocated from the class above.
    /// The test has the same list.
    const CLASSES: [(usize, usize, bool); 8] = [
        (24, 900, false),
        (200, 300, false),
        (600, 300, true),
        (1_000, 200, false),
        (3_000, 200, true),
        (7_000, 60, false),
        (20_000, 30, false),
        (100_000, 6, false),
    ];

    fn record(sample_bytes: u64) -> PathBuf {
        let config = recorded_programs::config(64);
        rheaper::Options::new(config).sample_bytes(sample_bytes).enable().expect("it records")
    }

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 8).expect("small")
    }

    fn make(size: usize) -> *mut u8 {
        // SAFETY: no size here is zero.
        black_box(unsafe { std::alloc::alloc(layout(size)) })
    }

    fn grow(block: *mut u8, from: usize, to: usize) -> *mut u8 {
        // SAFETY: the block has this size.
        black_box(unsafe { std::alloc::realloc(block, layout(from), to) })
    }

    fn free(block: *mut u8, size: usize) {
        // SAFETY: `make` allocated the block with this size, and it is freed once.
        unsafe { std::alloc::dealloc(block, layout(size)) };
    }

    /// The allocations, in an order that is the same in every run.
    fn plan() -> Vec<usize> {
        let whole = CLASSES.iter().enumerate().filter(|(_, class)| !class.2);
        let mut plan: Vec<usize> =
            whole.flat_map(|(at, class)| std::iter::repeat_n(at, class.1)).collect();
        let mut state = 7_u64;
        for at in (1..plan.len()).rev() {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            plan.swap(at, (state >> 33) as usize % (at + 1));
        }
        plan
    }

    /// Executes the plan; a third is freed at once, a third later, a third never.
    pub fn known(sample_bytes: u64, first_seed: u64, recordings: u64) {
        let plan = plan();
        let mut later: Vec<(*mut u8, usize)> = Vec::with_capacity(plan.len());
        let mut never = Vec::with_capacity(plan.len() * recordings as usize);
        for seed in first_seed..first_seed + recordings {
            rheaper::testing::seed_samples(Some(seed));
            let path = record(sample_bytes);
            for (nth, class) in plan.iter().enumerate() {
                let mut size = CLASSES[*class].0;
                let mut block = make(size);
                if let Some((larger, _, true)) = CLASSES.get(class + 1) {
                    block = grow(block, size, *larger);
                    size = *larger;
                }
                match nth % 3 {
                    0 => free(block, size),
                    1 => later.push((block, size)),
                    _ => never.push((block, size)),
                }
            }
            later.drain(..).for_each(|(block, size)| free(block, size));
            rheaper::disable_tracking();
            println!("{}", path.display());
            never.drain(..).for_each(|(block, size)| free(block, size));
        }
    }

    /// More live sampled blocks than the table holds.
    pub fn overflow() {
        const COUNT: usize = 60_000;
        rheaper::testing::limit_sample_levels(1);
        let mut blocks = Vec::with_capacity(COUNT);
        let path = record(1);
        // The blocks in the table are freed, and their slots are reused.
        for _ in 0..2 {
            (0..COUNT).for_each(|_| blocks.push(make(777)));
            blocks.drain(..).for_each(|block| free(block, 777));
        }
        rheaper::disable_tracking();
        println!("{}\n{}", path.display(), 2 * COUNT);
    }

    /// Blocks live across two recordings.
    pub fn twice() {
        let mut paths = Vec::new();
        let mut blocks: Vec<*mut u8> = Vec::with_capacity(10_000);
        for _ in 0..3 {
            paths.push(record(1));
            blocks.drain(..).for_each(|block| free(block, 777));
            (0..5_000).for_each(|_| blocks.push(make(777)));
            blocks.drain(..2_500).for_each(|block| free(block, 777));
            rheaper::disable_tracking();
        }
        paths.iter().for_each(|path| println!("{}", path.display()));
    }
}

#[cfg(rheaper_testing)]
fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| words[at].parse::<u64>().expect("a number");
    match &*words[0] {
        "known" => scene::known(number(1), number(2), number(3)),
        "overflow" => scene::overflow(),
        "twice" => scene::twice(),
        _ => panic!("no such scene"),
    }
}

#[cfg(not(rheaper_testing))]
fn main() {}
