//! Scopes, marks and thread names of a recorded program. The argument selects the scenario.
//!
//! Scenarios: `scopes` (the size of a block tells its scope; three threads and many keyframes),
//! `many` (more scopes than the table holds), `marks` (more than the queue holds), `rename` (a
//! thread changes its name and continues).
//!
//! Invariant: scopes and marks never reach the allocator; each scenario counts the calls.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Counts the calls of the inner allocator.
struct Counting;

static CALLS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is passed to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller owes `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller owes `dealloc`'s contract.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static GLOBAL: rheaper::Allocator<Counting> = rheaper::Allocator::from_allocator(Counting);

/// Calls of the allocator while `f` runs.
fn calls(f: impl FnOnce()) -> u64 {
    let before = CALLS.load(Ordering::Relaxed);
    f();
    CALLS.load(Ordering::Relaxed) - before
}

/// Allocates a block whose size tells its scope; every hundredth is leaked.
fn made(size: usize, round: u32) {
    let block = black_box(Vec::<u8>::with_capacity(size));
    if round.is_multiple_of(100) {
        std::mem::forget(block);
    }
}

fn rounds(count: u32) {
    for round in 0..count {
        made(70_000, round);
        let outer = rheaper::scope("outer");
        made(70_001, round);
        {
            let _inner = rheaper::scope("inner");
            made(70_002, round);
            let _again = rheaper::scope("inner");
            made(70_002, round);
        }
        made(70_001, round);
        // Leaving the outer scope leaves the inner one as well.
        let inner = rheaper::scope("inner");
        drop(outer);
        made(70_000, round);
        drop(inner);
        made(70_000, round);
    }
}

fn scopes() {
    // Entered before the recording starts, and included in it.
    let early = rheaper::scope("early");
    let path = recorded_programs::record_quietly(32);
    made(70_003, 0);
    drop(early);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| rounds(20_000));
        }
    });
    rounds(20_000);
    let long = "long ".repeat(50);
    let entering = calls(|| {
        for name in ["outer", "inner", "never seen before", &long] {
            let _scope = rheaper::scope(name);
        }
    });
    rheaper::disable_tracking();
    println!("{}\n{entering}", path.display());
}

fn many() {
    let path = recorded_programs::record_quietly(32);
    let _outer = rheaper::scope("outer");
    let names: Vec<String> = (0..20_000).map(|number| format!("scope {number}")).collect();
    for name in &names {
        let _scope = rheaper::scope(name);
        made(70_004, 1);
    }
    rheaper::disable_tracking();
    println!("{}", path.display());
}

fn marks() {
    rheaper::mark("nobody records", 1);
    let path = recorded_programs::record_quietly(32);
    let marking = calls(|| (0..5_000).for_each(|number| rheaper::mark("burst", number)));
    // The flusher empties the queue in between, so that the last marks fit.
    std::thread::sleep(Duration::from_millis(100));
    std::thread::spawn(|| {
        made(70_005, 0);
        rheaper::mark(&"ä".repeat(40), -7);
    })
    .join()
    .expect("it ends");
    std::thread::sleep(Duration::from_millis(100));
    rheaper::mark("last", i64::MIN);
    rheaper::disable_tracking();
    rheaper::mark("nobody records any more", 1);
    println!("{}\n{marking}", path.display());
}

fn rename() {
    let path = recorded_programs::record_quietly(32);
    let shown = path.clone();
    let named = std::thread::Builder::new().name("before".into()).spawn(move || {
        made(70_006, 0);
        // SAFETY: a terminated name of less than 16 bytes.
        unsafe { libc::prctl(libc::PR_SET_NAME, c"after".as_ptr()) };
        let began = Instant::now();
        // The thread stays alive, so that only the flusher's periodic check can have found the
        // name.
        while !std::fs::read(&path).expect("a recording").windows(5).any(|it| it == b"after") {
            assert!(began.elapsed() < Duration::from_secs(30), "the new name never arrives");
            std::thread::yield_now();
        }
    });
    named.expect("a thread").join().expect("it finds its name");
    rheaper::disable_tracking();
    println!("{}", shown.display());
}

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("scopes") => scopes(),
        Some("many") => many(),
        Some("marks") => marks(),
        Some("rename") => rename(),
        _ => panic!("no such scene"),
    }
}
