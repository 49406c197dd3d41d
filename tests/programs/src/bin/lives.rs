//! Life cycles of recordings; the argument selects the scenario.
//!
//! Scenarios: `toggle` (two recordings with one thread alive across both), `exit` (ends without
//! disabling), `zeroed` (a large zeroed block stays untouched), `fork` (children allocate), `twice`
//! (enabling twice), `few` (more threads than trackers), `none` (no backtraces).

use std::hint::black_box;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::mpsc;

#[global_allocator]
static GLOBAL: rheaper::Allocator<std::alloc::System> =
    rheaper::Allocator::from_allocator(std::alloc::System);

#[inline(never)]
fn marked(count: usize) {
    (0..count).for_each(|_| drop(black_box(Box::new([7_u8; 777]))));
}

/// One thread allocates in both recordings and between them.
fn toggle() {
    let (orders, inbox) = mpsc::channel::<usize>();
    let (answers, done) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        for count in inbox {
            marked(count);
            answers.send(()).expect("the main thread waits");
        }
    });
    let order = |count| {
        orders.send(count).expect("the thread lives");
        done.recv().expect("the thread answers");
    };
    let first = recorded_programs::record_quietly(32);
    order(100);
    rheaper::disable_tracking();
    order(1_000);
    let second = recorded_programs::record_quietly(32);
    order(10);
    rheaper::disable_tracking();
    drop(orders);
    thread.join().expect("the thread ends");
    println!("{}\n{}", first.display(), second.display());
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a size");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

fn zeroed() {
    recorded_programs::record(32);
    let before = resident_kib();
    let block = black_box(vec![0_u8; 1 << 30]);
    let grown = resident_kib().saturating_sub(before);
    println!("{grown} {}", block.iter().step_by(1 << 20).map(|byte| u64::from(*byte)).sum::<u64>());
    drop(block);
    rheaper::disable_tracking();
}

fn fork() {
    recorded_programs::record(32);
    for _ in 0..50 {
        let mut command = Command::new("true");
        // SAFETY: the closure only allocates, which this test is about.
        unsafe {
            command.pre_exec(|| {
                marked(100);
                Ok(())
            });
        }
        assert!(command.status().expect("true runs").success());
        marked(10);
    }
    rheaper::disable_tracking();
}

fn twice() {
    recorded_programs::record(32);
    let config = rheaper::TrackerConfig {
        max_stack_depth: 1,
        max_trackers: 1,
        tracker_event_buffer_size: 1,
        sample_rate: 1.0,
        profile_dir: std::env::temp_dir(),
    };
    println!("{}", rheaper::enable_tracking(config).expect_err("one at a time"));
    rheaper::disable_tracking();
    rheaper::disable_tracking();
}

fn limited(trackers: usize, sample_rate: f64) {
    let path = rheaper::enable_tracking(rheaper::TrackerConfig {
        max_stack_depth: 32,
        max_trackers: trackers,
        tracker_event_buffer_size: 8_192,
        sample_rate,
        profile_dir: std::env::var_os("RECORD_INTO").expect("a directory").into(),
    })
    .expect("recording starts");
    let barrier = std::sync::Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                barrier.wait();
                marked(100);
                barrier.wait();
            });
        }
    });
    rheaper::disable_tracking();
    println!("{}", path.display());
}

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("toggle") => toggle(),
        Some("exit") => {
            recorded_programs::record(32);
            marked(1_234);
        }
        Some("zeroed") => zeroed(),
        Some("fork") => fork(),
        Some("twice") => twice(),
        Some("few") => limited(2, 1.0),
        Some("none") => limited(8, 0.0),
        _ => panic!("no such scene"),
    }
}
