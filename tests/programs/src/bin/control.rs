//! Recordings started and stopped by triggers, many times, in a process under load.
//!
//! Arguments: trigger (`signal`, `file`, `env`, `timer`, `request`, `gauge`, `rss`), number of
//! rounds. Prints the path of each recording on a line; the reader deletes the file. The last line
//! is `flat` with descriptors, threads and resident KiB after a tenth of the rounds and at the end.
//! Other scenarios: `refusals`, `exit`, `environment`.
//!
//! Invariant: a round ends only after every load thread has allocated in its recording.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use rheaper::{Control, ControlBuilder, Measure, TrackerConfig};

#[global_allocator]
static GLOBAL: rheaper::Allocator<std::alloc::System> =
    rheaper::Allocator::from_allocator(std::alloc::System);

const LOAD: usize = 3;

static ROUNDS: [AtomicU64; LOAD] = [const { AtomicU64::new(0) }; LOAD];
static OVER: AtomicBool = AtomicBool::new(false);
static LEVEL: AtomicU64 = AtomicU64::new(0);

fn level() -> u64 {
    LEVEL.load(SeqCst)
}

/// Allocates, grows and frees; some blocks live through several recordings.
fn load(number: usize) {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    while !OVER.load(SeqCst) {
        for size in 1..40 {
            let mut block = black_box(Vec::<u8>::with_capacity(size * 8));
            block.resize(size * 9, 1);
            if size == 39 {
                kept.push(block);
            }
        }
        if kept.len() > 200 {
            kept.drain(..100);
        }
        let _scope = rheaper::scope("load");
        drop(black_box(Box::new([7_u8; 777])));
        ROUNDS[number].fetch_add(1, SeqCst);
        // Leaves time for the recorder's thread on a machine of two cores.
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn directory() -> PathBuf {
    std::env::var_os("RECORD_INTO").expect("a directory").into()
}

/// The control of the test; sampled if `SAMPLE_BYTES` is set.
fn builder() -> ControlBuilder {
    let config = TrackerConfig {
        max_stack_depth: 16,
        max_trackers: 16,
        // A busy machine may delay the flusher for long.
        tracker_event_buffer_size: 131_072,
        sample_rate: 1.0,
        profile_dir: directory().join("recordings"),
    };
    rheaper::control(recorded_programs::options(config)).poll_every(Duration::from_millis(1))
}

fn wait(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Waits until every load thread has completed a round.
fn everybody_works() {
    let before: Vec<u64> = ROUNDS.iter().map(|rounds| rounds.load(SeqCst)).collect();
    wait("a round of every thread", || {
        ROUNDS.iter().zip(&before).all(|(now, before)| now.load(SeqCst) >= before + 2)
    });
}

fn begun(control: &Control, rounds: u64) {
    wait("a recording begins", || control.status().started == rounds);
    assert!(control.status().recording.is_some(), "{:?}", control.status());
}

fn ended(control: &Control, rounds: u64) {
    wait("the recording ends", || control.status().ended == rounds);
    let status = control.status();
    assert_eq!((status.started, status.refused), (rounds, 0), "{status:?}");
    report(&status.last.expect("it is over"));
}

/// Prints the path of a recording, and waits until the reader keeps up.
fn report(path: &Path) {
    println!("{}", path.display());
    let many = || std::fs::read_dir(directory().join("recordings")).expect("it is there").count();
    wait("recordings are taken away", || many() < 100);
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("procfs").count()
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").expect("procfs").count()
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a size");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

fn kill() {
    // SAFETY: a signal to ourselves, whose handler is the control's.
    unsafe { libc::kill(libc::getpid(), libc::SIGUSR2) };
}

/// Maps memory outside of the allocator.
fn big(bytes: usize) -> *mut libc::c_void {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping.
    unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, flags, -1, 0) }
}

/// One recording, started by `trigger`.
fn round(trigger: &str, control: &Control, nth: u64, file: &Path) {
    match trigger {
        "signal" => {
            kill();
            begun(control, nth);
            everybody_works();
            kill();
        }
        "file" => {
            std::fs::write(file, ["", "start\n", "10m"][nth as usize % 3]).expect("written");
            begun(control, nth);
            everybody_works();
            if nth.is_multiple_of(2) {
                std::fs::remove_file(file).expect("removed");
            } else {
                std::fs::write(file, "stop").expect("written");
            }
        }
        "timer" => {
            // It may end before the status is read.
            control.start_recording();
        }
        "request" => {
            control.start_recording();
            begun(control, nth);
            everybody_works();
            control.stop_recording();
        }
        "gauge" => {
            LEVEL.store(1001, SeqCst);
            begun(control, nth);
            everybody_works();
            // Within the hysteresis the recording neither ends nor starts again.
            LEVEL.store(950, SeqCst);
            everybody_works();
            LEVEL.store(1001, SeqCst);
            everybody_works();
            assert_eq!((control.status().started, control.status().ended), (nth, nth - 1));
            LEVEL.store(899, SeqCst);
        }
        "rss" => {
            let bytes = 96 << 20;
            let block = big(bytes);
            begun(control, nth);
            everybody_works();
            // SAFETY: our own mapping, not used any more.
            unsafe { libc::munmap(block, bytes) };
        }
        other => panic!("no such trigger: {other}"),
    }
    ended(control, nth);
}

fn rounds(trigger: &str, count: u64) {
    let file = directory().join("record");
    let builder = match trigger {
        "signal" => builder().signal(libc::SIGUSR2),
        "file" => builder().file(&file),
        "env" => builder().env("RECORD_NOW"),
        "timer" => builder().record_for(Duration::from_millis(3)),
        "gauge" => builder().when_above(Measure::Gauge(level), 1000),
        "rss" => builder().when_above(Measure::Rss, (resident_kib() << 10) + (64 << 20)),
        _ => builder(),
    };
    let mut control = (trigger != "env").then(|| builder.clone().start().expect("it begins"));
    let mut flat = String::new();
    for nth in 1..=count {
        match &control {
            Some(control) => round(trigger, control, nth, &file),
            None => {
                // The environment is read once per control, so that each round has its own control.
                let control = builder.clone().start().expect("it begins");
                begun(&control, 1);
                let path = control.status().recording.expect("it is under way");
                everybody_works();
                control.end();
                report(&path);
            }
        }
        if nth == count / 10 || nth == count {
            flat.push_str(&format!(" {} {} {}", descriptors(), threads(), resident_kib()));
        }
    }
    if let Some(control) = control.take() {
        control.end();
    }
    println!("flat{flat}");
}

/// Invalid triggers are refused with a reason, and nothing else happens.
fn refusals() {
    // SAFETY: to ignore a signal is harmless.
    unsafe { libc::signal(libc::SIGUSR1, libc::SIG_IGN) };
    for signal in [libc::SIGUSR1, libc::SIGKILL, libc::SIGSEGV] {
        println!("{}", builder().signal(signal).start().expect_err("it is taken"));
    }
    let file = directory().join("record");
    let control = builder().file(&file).env("RECORD_NOW").start().expect("it begins");
    println!("{}", builder().start().expect_err("one at a time"));
    wait("the variable is refused", || control.status().refused == 1);
    println!("{}", control.status().refusal.expect("why"));
    std::fs::write(&file, "sTaRt the engine").expect("written");
    wait("the file is refused", || control.status().refused == 2);
    println!("{}", control.status().refusal.expect("why"));
    // The program's own recording is not affected.
    let own = recorded_programs::record_quietly(16);
    control.start_recording();
    wait("a second recording is refused", || control.status().refused == 3);
    println!("{}", control.status().refusal.expect("why"));
    control.stop_recording();
    std::thread::sleep(Duration::from_millis(20));
    drop(black_box(Box::new([7_u8; 778])));
    rheaper::disable_tracking();
    // A recording that the program ends itself has also ended for the control.
    control.start_recording();
    begun(&control, 1);
    rheaper::disable_tracking();
    wait("it is noticed", || control.status().ended == 1);
    control.start_recording();
    begun(&control, 2);
    control.end();
    println!("{}", own.display());
}

/// Prints whether the environment variable started a recording, and whether this program has more
/// privileges than its caller.
fn environment() {
    let file = directory().join("record");
    let control = builder().file(&file).env("RECORD_NOW").start().expect("it begins");
    // The triggers are polled in order: after the file, the variable was read.
    std::fs::write(&file, "nonsense").expect("written");
    wait("the file is refused", || control.status().refused == 1);
    let started = control.status().started;
    control.end();
    // SAFETY: a plain number.
    println!("{started} {}", unsafe { libc::getauxval(libc::AT_SECURE) });
}

fn main() {
    let trigger = std::env::args().nth(1).expect("a trigger");
    if trigger == "environment" {
        return environment();
    }
    if trigger == "refusals" {
        return refusals();
    }
    let count = std::env::args().nth(2).and_then(|count| count.parse().ok()).expect("a count");
    let load: Vec<_> = (0..LOAD)
        .map(|number| {
            let thread = std::thread::Builder::new().name(format!("load-{number}"));
            thread.spawn(move || load(number)).expect("a thread")
        })
        .collect();
    everybody_works();
    if trigger == "exit" {
        // The process exits while recordings start and end, at any point of their lives.
        let control = builder().record_for(Duration::from_micros(500)).start().expect("it begins");
        let began = Instant::now();
        while began.elapsed() < Duration::from_micros(count) {
            control.start_recording();
        }
        return;
    }
    rounds(&trigger, count);
    OVER.store(true, SeqCst);
    load.into_iter().for_each(|thread| thread.join().expect("it ends"));
}
