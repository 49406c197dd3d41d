//! Allocates for ever and leaks a tenth; the test kills it.
//!
//! With arguments (threads, rounds), each thread allocates that many pairs of blocks and frees one
//! of each pair, and then the program aborts.

#[global_allocator]
static GLOBAL: rheaper::Allocator<std::alloc::System> =
    rheaper::Allocator::from_allocator(std::alloc::System);

fn work(rounds: std::ops::Range<u64>, keep_every: u64) {
    for round in rounds {
        let text = format!("round {round}");
        if round.is_multiple_of(keep_every) {
            std::mem::forget(text);
        } else {
            drop(std::hint::black_box(text));
        }
    }
}

fn main() {
    let numbers: Vec<u64> =
        std::env::args().skip(1).map(|argument| argument.parse().expect("a number")).collect();
    recorded_programs::record(32);
    let [threads, rounds] = numbers[..] else { return work(0..u64::MAX, 10) };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work(0..2 * rounds, 2));
        }
    });
    std::process::abort();
}
