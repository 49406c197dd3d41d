//! Threads that allocate, reallocate and free at a low rate, each with a log. The test kills the
//! program, fills its disk, removes its files, and compares.
//!
//! Arguments: threads, rounds (0: for ever), microseconds between rounds. Prints nothing: the
//! oracle's file has the progress.

use std::hint::black_box;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use recorded_programs::oracle::{self, Oracle, state};

#[global_allocator]
static GLOBAL: Oracle<rheaper::Allocator<std::alloc::System>> =
    Oracle(rheaper::Allocator::from_allocator(std::alloc::System));

fn work(thread: usize, rounds: u64, pause: Duration) {
    let mut state = thread as u64 * 77 + 5;
    let mut draw = |below: u64| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) % below
    };
    let mut kept: Vec<Vec<u8>> = Vec::with_capacity(64);
    oracle::begin(thread);
    for round in 0.. {
        if rounds != 0 && round == rounds {
            break;
        }
        for _ in 0..5 {
            let mut block = black_box(vec![round as u8; oracle::SIZE_MIN + draw(3000) as usize]);
            if draw(3) == 0 {
                block.reserve_exact(1 + draw(5000) as usize);
            }
            if kept.len() < 64 && draw(2) == 0 {
                kept.push(block);
            } else if !kept.is_empty() && draw(2) == 0 {
                let at = draw(kept.len() as u64) as usize;
                kept[at] = block;
            }
        }
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
    }
    oracle::end();
    std::mem::forget(kept);
}

fn main() {
    let arguments: Vec<u64> =
        std::env::args().skip(1).map(|argument| argument.parse().expect("a number")).collect();
    let [threads, rounds, pause] = arguments[..] else { panic!("three numbers") };
    oracle::open();
    let closed = std::env::var("CLOSE_STREAMS").unwrap_or_default();
    for stream in closed.bytes().map(|digit| i32::from(digit - b'0')) {
        // SAFETY: this program owns the descriptors.
        unsafe { libc::close(stream) };
    }
    match recorded_programs::try_record(32) {
        Ok(path) => oracle::note(state::ENABLED, path.as_os_str().as_bytes()),
        Err(error) => oracle::note(state::REFUSED, error.to_string().as_bytes()),
    }
    let workers: Vec<_> = (0..threads as usize)
        .map(|thread| {
            std::thread::Builder::new()
                .name(format!("oracle-{thread}"))
                .spawn(move || work(thread, rounds, Duration::from_micros(pause)))
                .expect("a thread")
        })
        .collect();
    for worker in workers {
        worker.join().expect("a worker ends");
    }
    if !closed.is_empty() {
        let words = b"printed by the program";
        for stream in 0..3 {
            // SAFETY: the text has this length.
            unsafe { libc::write(stream, words.as_ptr().cast(), words.len()) };
        }
    }
    oracle::note(state::WORKED, b"");
    rheaper::disable_tracking();
    oracle::note(state::DISABLED, b"");
}
