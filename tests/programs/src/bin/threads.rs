//! Fault scenarios of threads, and of code before and after `main`. Arguments: a scenario and its
//! numbers.
//!
//! The blocks under test have 777 bytes; the program prints their number.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::time::Duration;

#[global_allocator]
static GLOBAL: rheaper::Allocator<std::alloc::System> =
    rheaper::Allocator::from_allocator(std::alloc::System);

static MADE: AtomicU64 = AtomicU64::new(0);

#[inline(never)]
fn marked(count: u64) {
    (0..count).for_each(|_| drop(black_box(Box::new([7_u8; 777]))));
    MADE.fetch_add(count, SeqCst);
}

fn made() -> u64 {
    MADE.load(SeqCst)
}

fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
    let line = status.lines().find(|line| line.starts_with(name)).expect("a line");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("procfs").count()
}

/// CPU time of all threads, in nanoseconds: the load of other programs is not in it.
fn processor_ns() -> i64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes into `now`.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut now) };
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

fn short_lives(count: u64) -> (i64, i64, i64) {
    let (resident, open) = (status("VmRSS:") as i64, descriptors() as i64);
    let began = processor_ns();
    for _ in 0..count {
        std::thread::spawn(|| marked(2)).join().expect("it ends");
    }
    let took = processor_ns() - began;
    (status("VmRSS:") as i64 - resident, descriptors() as i64 - open, took)
}

/// The same number of threads without and with a recording: KiB grown, descriptors, CPU time of
/// both.
fn short(count: u64) {
    short_lives(count / 10);
    let (_, _, plain_ns) = short_lives(count);
    MADE.store(0, SeqCst);
    let path = recorded_programs::record_quietly(32);
    short_lives(count / 10);
    let (grown_kib, opened, recorded_ns) = short_lives(count);
    rheaper::disable_tracking();
    println!("{}\n{grown_kib} {opened} {plain_ns} {recorded_ns} {}", path.display(), made());
}

#[inline(never)]
fn eat(bytes: u64) {
    let frame = black_box([0_u8; 128]);
    if bytes > 0 {
        eat(bytes.saturating_sub(256));
    } else {
        // The first event of a thread, and a later one.
        marked(2);
        marked(1);
    }
    black_box(frame);
}

/// A thread with a stack of 64 KiB uses `bytes` of it and then allocates.
fn deep(bytes: u64, recorded: bool) {
    let path = recorded.then(|| recorded_programs::record_quietly(32));
    std::thread::Builder::new()
        .stack_size(64 << 10)
        .spawn(move || eat(bytes))
        .expect("a thread")
        .join()
        .expect("it ends");
    rheaper::disable_tracking();
    println!("{}\n{}", path.unwrap_or_default().display(), made());
}

/// `count` threads at once, on the smallest stacks.
fn many(count: u64) {
    let path = rheaper::enable_tracking(rheaper::TrackerConfig {
        max_trackers: count as usize + 1,
        ..recorded_programs::config(32)
    })
    .expect("recording starts");
    let barrier = Arc::new(Barrier::new(count as usize + 1));
    let threads: Vec<_> = (0..count)
        .map(|_| {
            let barrier = Arc::clone(&barrier);
            let thread = std::thread::Builder::new().stack_size(16 << 10);
            thread.spawn(move || {
                barrier.wait();
                marked(3);
                barrier.wait();
            })
        })
        .map(|thread| thread.expect("a thread"))
        .collect();
    barrier.wait();
    barrier.wait();
    threads.into_iter().for_each(|thread| thread.join().expect("it ends"));
    rheaper::disable_tracking();
    println!("{}\n{}", path.display(), made());
}

/// Recordings start and end while eight threads allocate; a few recordings are kept and their paths
/// printed.
fn toggles(count: u64) {
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut kept: Vec<Box<[u8; 777]>> = Vec::new();
                while !stop.load(SeqCst) {
                    kept.push(black_box(Box::new([1; 777])));
                    if kept.len() > 20 {
                        drop(kept.swap_remove(kept.len() / 2));
                    }
                    let mut grown = black_box(vec![0_u8; 100]);
                    grown.resize(5_000, 1);
                    std::thread::yield_now();
                }
            })
        })
        .collect();
    let (memory, open) = (status("VmRSS:"), descriptors());
    let mut warm = 0;
    for round in 0..count {
        let path = recorded_programs::record_quietly(32);
        if round % (count / 10).max(1) == 3 {
            std::thread::sleep(Duration::from_millis(20));
            rheaper::disable_tracking();
            println!("{}", path.display());
        } else {
            rheaper::disable_tracking();
            std::fs::remove_file(path).expect("ours");
        }
        if round == count / 2 {
            warm = status("VmRSS:");
        }
    }
    let grown_kib = status("VmRSS:").saturating_sub(warm);
    stop.store(true, SeqCst);
    workers.into_iter().for_each(|worker| worker.join().expect("it ends"));
    println!("{memory} {grown_kib} {}", descriptors() - open);
}

/// Eight threads start and end a recording at the same time.
fn race(count: u64) {
    for _ in 0..count {
        let barrier = Barrier::new(8);
        let begun = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    barrier.wait();
                    if let Ok(path) = recorded_programs::try_record(32) {
                        begun.fetch_add(1, SeqCst);
                        std::fs::remove_file(path).expect("ours");
                    }
                    barrier.wait();
                    rheaper::disable_tracking();
                });
            }
        });
        assert_eq!(begun.load(SeqCst), 1);
    }
    println!("{count}");
}

struct AtTheEnd(Vec<u8>);

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        self.0.push(1);
        marked(5);
    }
}

thread_local! {
    static LATE: RefCell<AtTheEnd> = const { RefCell::new(AtTheEnd(Vec::new())) };
}

unsafe extern "C" fn key_ended(value: *mut c_void) {
    // SAFETY: `keyed` stored a box.
    drop(unsafe { Box::from_raw(value.cast::<[u8; 777]>()) });
    marked(7);
}

fn key() -> libc::pthread_key_t {
    let mut key = 0;
    // SAFETY: a key with a destructor of the right type.
    assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, Some(key_ended)) }, 0);
    key
}

/// Stores a block that the destructor of the key frees.
fn leave_to(key: libc::pthread_key_t) {
    let block = Box::into_raw(black_box(Box::new([7_u8; 777])));
    MADE.fetch_add(1, SeqCst);
    // SAFETY: the key's destructor frees the box.
    unsafe { libc::pthread_setspecific(key, block.cast()) };
}

/// Destructors of both kinds allocate and free, in threads that started before and after the
/// recording. The last ones run after the recorder's own, whose key is older.
fn destructors(count: u64) {
    let key = key();
    let live = move || {
        LATE.with_borrow_mut(|late| late.0.push(1));
        leave_to(key);
    };
    let barrier = Arc::new(Barrier::new(2));
    let waiting = Arc::clone(&barrier);
    let older = std::thread::spawn(move || {
        waiting.wait();
        live();
    });
    let path = recorded_programs::record_quietly(32);
    barrier.wait();
    older.join().expect("it ends");
    for _ in 0..count {
        std::thread::spawn(live).join().expect("it ends");
    }
    let younger = self::key();
    for _ in 0..count {
        std::thread::spawn(move || leave_to(younger)).join().expect("it ends");
    }
    rheaper::disable_tracking();
    println!("{}\n{}", path.display(), made());
}

thread_local! {
    static ROUNDS: Cell<u64> = const { Cell::new(0) };
}

static BEHIND: AtomicU64 = AtomicU64::new(0);

/// Registers itself again in every round, and allocates in each.
unsafe extern "C" fn key_comes_back(value: *mut c_void) {
    ROUNDS.set(ROUNDS.get() + 1);
    let key = KEYS[1].load(SeqCst) as libc::pthread_key_t;
    // SAFETY: this program created the key; any non-null value is valid.
    unsafe { libc::pthread_setspecific(key, value) };
    if ROUNDS.get() == ROUNDS_MAX {
        BEHIND.fetch_add(7, SeqCst);
    }
    marked(7);
}

/// Registers itself again as often, but runs before the recorder's destructor.
unsafe extern "C" fn key_in_front(value: *mut c_void) {
    let key = KEYS[0].load(SeqCst) as libc::pthread_key_t;
    // SAFETY: this program created the key; any non-null value is valid.
    unsafe { libc::pthread_setspecific(key, value) };
    marked(3);
}

/// Number of destructor rounds of glibc while destructors store new values.
const ROUNDS_MAX: u64 = 4;

static KEYS: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

fn key_of(destructor: unsafe extern "C" fn(*mut c_void)) -> libc::pthread_key_t {
    let mut key = 0;
    // SAFETY: a destructor of the right type.
    assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, Some(destructor)) }, 0);
    key
}

/// Destructors that register themselves again in every round, one key older than the recorder's and
/// one younger. Prints the number of blocks, and the number after the recorder's last round.
fn last_rounds(count: u64) {
    KEYS[0].store(u64::from(key_of(key_in_front)), SeqCst);
    let path = recorded_programs::record_quietly(32);
    KEYS[1].store(u64::from(key_of(key_comes_back)), SeqCst);
    for _ in 0..count {
        let thread = std::thread::spawn(|| {
            marked(1);
            for key in &KEYS {
                let key = key.load(SeqCst) as libc::pthread_key_t;
                // SAFETY: the destructors only test the value for null.
                unsafe { libc::pthread_setspecific(key, (&raw const KEYS).cast()) };
            }
        });
        thread.join().expect("it ends");
    }
    rheaper::disable_tracking();
    println!("{}\n{} {}", path.display(), made(), BEHIND.load(SeqCst));
}

/// Threads that got their trackers in a recording with many continue in a recording with few.
fn survivors(count: u64) {
    let record = |trackers| {
        let config =
            rheaper::TrackerConfig { max_trackers: trackers, ..recorded_programs::config(32) };
        rheaper::enable_tracking(config).expect("recording starts")
    };
    let barrier = Arc::new(Barrier::new(count as usize + 1));
    let work = |times: u64| {
        let barrier = Arc::clone(&barrier);
        move || {
            for _ in 0..times {
                barrier.wait();
                marked(5);
                barrier.wait();
            }
        }
    };
    let turn = || {
        barrier.wait();
        barrier.wait();
    };
    let first = record(count as usize + 1);
    let older: Vec<_> = (0..count).map(|_| std::thread::spawn(work(2))).collect();
    turn();
    rheaper::disable_tracking();
    println!("{}\n{}", first.display(), MADE.swap(0, SeqCst));
    let second = record(2);
    turn();
    older.into_iter().for_each(|thread| thread.join().expect("it ends"));
    // Their trackers are reused: first as many new threads, then as many again.
    for _ in 0..2 {
        let newer: Vec<_> = (0..count).map(|_| std::thread::spawn(work(1))).collect();
        turn();
        newer.into_iter().for_each(|thread| thread.join().expect("it ends"));
    }
    rheaper::disable_tracking();
    println!("{}\n{}", second.display(), made());
}

/// The flusher thread receives no signal of the program.
fn signals(count: u64) {
    let path = recorded_programs::record_quietly(32);
    marked(3);
    // It has started once it has written: until then the C library blocks its signals.
    while std::fs::metadata(&path).expect("it is there").len() <= 128 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: initialised by the first call.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGUSR1);
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
    }
    let mut taken = 0;
    for _ in 0..count {
        marked(3);
        let mut signal = 0;
        // SAFETY: the set is initialised; the signal is blocked in this thread, so that it stays
        // pending.
        unsafe {
            libc::kill(libc::getpid(), libc::SIGUSR1);
            libc::sigwait(set.as_ptr(), &raw mut signal);
        }
        taken += u64::from(signal == libc::SIGUSR1);
    }
    rheaper::disable_tracking();
    println!("{}\n{} {taken}", path.display(), made());
}

extern "C" fn before_main() {
    EARLY.store(Box::into_raw(Box::new([1_u8; 777])) as u64, SeqCst);
}

extern "C" fn after_main() {
    marked(11);
}

static EARLY: AtomicU64 = AtomicU64::new(0);

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = before_main;

/// Blocks from before `main` are freed in it, and allocations at exit are recorded.
fn outside_main() {
    // Exit handlers run in reverse order: this one must run before the recorder's.
    let path = recorded_programs::record_quietly(32);
    // SAFETY: the handler only allocates; the constructor allocated the box.
    unsafe {
        libc::atexit(after_main);
        drop(Box::from_raw(EARLY.load(SeqCst) as *mut [u8; 777]));
    }
    println!("{}\n11", path.display());
}

/// `main` returns while threads allocate.
fn leave() {
    let path = recorded_programs::record_quietly(32);
    for _ in 0..4 {
        std::thread::spawn(|| {
            loop {
                marked(10);
            }
        });
    }
    while made() < 1_000 {
        std::thread::yield_now();
    }
    println!("{}", path.display());
}

/// Thread names with arbitrary bytes; two threads with the same name.
fn names() {
    // SAFETY: a string that ends with a zero.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"of two\nlines".as_ptr()) };
    let path = recorded_programs::record_quietly(32);
    let names = [&b"\x1b]52;c;x\x07\x9b2\0"[..], b"\xff\xfe\n;\"'<&\0", b"twin\0", b"twin\0"];
    let named = names.map(|name| {
        std::thread::spawn(move || {
            // SAFETY: a string that ends with a zero.
            unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
            marked(4);
        })
    });
    // A scope would not wait for the thread-local destructors, in which a short-lived thread's last
    // name is recorded.
    named.map(|thread| thread.join().unwrap());
    rheaper::disable_tracking();
    println!("{}\n{}", path.display(), made());
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = words.get(1).and_then(|number| number.parse().ok()).unwrap_or(0);
    match &*words[0] {
        "short" => short(number),
        "deep" => deep(number, words[2] == "recorded"),
        "many" => many(number),
        "toggles" => toggles(number),
        "race" => race(number),
        "destructors" => destructors(number),
        "last-rounds" => last_rounds(number),
        "survivors" => survivors(number),
        "signals" => signals(number),
        "outside-main" => outside_main(),
        "leave" => leave(),
        "names" => names(),
        _ => panic!("no such scene"),
    }
}
