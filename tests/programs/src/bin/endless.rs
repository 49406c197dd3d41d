//! Allocates for ever, a tenth of it never freed; the test kills it.

#[global_allocator]
static GLOBAL: rheaper::Allocator<std::alloc::System> =
    rheaper::Allocator::from_allocator(std::alloc::System);

fn main() {
    recorded_programs::record(32);
    for round in 0_u64.. {
        let text = format!("round {round}");
        if round % 10 == 0 {
            std::mem::forget(text);
        } else {
            drop(std::hint::black_box(text));
        }
    }
}
