//! Stacks of realistic programs: each allocation is walked by the recorder and by the system's
//! unwinder (`--cfg rheaper_testing`), and the results are compared.
//!
//! Arguments: depth limit; a C library with `twice(callback, x)`, which is loaded and unloaded
//! repeatedly. Prints a line per scenario: name, compared walks, differing walks.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[global_allocator]
static GLOBAL: rheaper::Allocator<std::alloc::System> =
    rheaper::Allocator::from_allocator(std::alloc::System);

fn json(rounds: usize) {
    let record = |id: usize| {
        format!(
            r#"{{"id":{id},"name":"n{id}","tags":["a","b",{{"x":[1,2,[3,{id}]]}}],"k":{{"v":{{"w":"deep"}}}}}}"#
        )
    };
    let text = format!("[{}]", (0..500).map(record).collect::<Vec<_>>().join(","));
    for _ in 0..rounds {
        black_box(serde_json::from_str::<serde_json::Value>(&text).expect("valid JSON"));
    }
}

#[inline(never)]
fn descend(depth: usize, kept: &mut Vec<Box<usize>>) -> usize {
    if depth == 0 {
        return 0;
    }
    if depth % 3 == 0 {
        kept.push(Box::new(depth));
    }
    let below = 1 + descend(black_box(depth - 1), kept);
    if depth % 7 == 0 {
        black_box(String::from("on the way up"));
    }
    below
}

fn recursion() {
    for depth in [10, 100, 250, 700, 3_000] {
        for _ in 0..20 {
            descend(depth, &mut Vec::new());
        }
    }
}

extern "C" fn compare(a: *const libc::c_void, b: *const libc::c_void) -> i32 {
    // SAFETY: qsort passes two elements of the array that it was given.
    let (a, b) = unsafe { (*a.cast::<u32>(), *b.cast::<u32>()) };
    black_box(format!("{a}-{b}"));
    a.cmp(&b) as i32
}

fn callbacks() {
    let mut numbers: Vec<u32> =
        (0..20_000_u32).map(|n| n.wrapping_mul(2_654_435_761) >> 7).collect();
    // SAFETY: the array has as many elements of four bytes as is said.
    unsafe { libc::qsort(numbers.as_mut_ptr().cast(), numbers.len(), 4, Some(compare)) };
}

fn panics() {
    for round in 0..20_000_usize {
        let caught = std::panic::catch_unwind(|| {
            let kept = (vec![round; 3], String::from("x"));
            if black_box(round) % 2 == 0 {
                std::panic::panic_any(format!("round {round}"));
            }
            black_box(kept);
        });
        black_box(caught.is_err());
    }
}

fn tree() {
    let key = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    black_box((0..50_000).map(|n| (key(n), format!("v{n}"))).collect::<BTreeMap<_, _>>());
}

type Closure = Box<dyn Fn(usize) -> Vec<usize>>;

fn closures() {
    let closures: [Closure; 3] = [
        Box::new(|n| vec![n]),
        Box::new(|n| vec![n; 2]),
        Box::new(|n| (0..n % 5).map(|m| n * m).collect()),
    ];
    (0..100_000).for_each(|n| drop(black_box(closures[n % 3](n))));
}

/// Random calls and allocations: the same frames occur in every possible combination.
#[inline(never)]
fn wander(random: &mut u64, depth: usize) {
    for _ in 0..3 {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        match *random % 6 {
            0 => drop(black_box(Box::new(depth))),
            1 => drop(black_box(vec![depth; 3])),
            2 if depth > 0 => left(random, depth),
            3 if depth > 0 => right(random, depth),
            4 if depth > 0 => aside(random, depth),
            _ => drop(black_box(String::from("here"))),
        }
    }
}

#[inline(never)]
fn left(random: &mut u64, depth: usize) {
    wander(random, depth - 1);
    black_box('l');
}

#[inline(never)]
fn right(random: &mut u64, depth: usize) {
    wander(random, depth - 1);
    black_box("r");
}

#[inline(never)]
fn aside(random: &mut u64, depth: usize) {
    wander(random, depth - 1);
    drop(black_box(Box::new([depth; 2])));
    wander(random, depth - 1);
}

fn wandering() {
    let mut random = 0x9e37_79b9_7f4a_7c15;
    (0..250).for_each(|_| wander(&mut random, 9));
}

async fn leaf(n: usize) -> String {
    let text = format!("{n}");
    tokio::task::yield_now().await;
    text + "x"
}

async fn branch(n: usize) -> usize {
    let boxed: Pin<Box<dyn Future<Output = String> + Send>> = Box::pin(leaf(n));
    boxed.await.len()
}

fn tasks() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    runtime.block_on(async {
        let tasks: Vec<_> = (0..20_000).map(|n| tokio::spawn(branch(n))).collect();
        for task in tasks {
            black_box(task.await.expect("a task ends"));
        }
    });
}

extern "C" fn called_back(x: i32) -> i32 {
    black_box(format!("called back {x}"));
    x + 1
}

fn opened_library() {
    let Some(path) = std::env::args().nth(2) else { return };
    let path = std::ffi::CString::new(path).expect("a path");
    type Twice = extern "C" fn(extern "C" fn(i32) -> i32, i32) -> i32;
    for _ in 0..50 {
        // SAFETY: the test built the library, and its only function has this type.
        unsafe {
            let library = libc::dlopen(path.as_ptr(), libc::RTLD_NOW);
            if library.is_null() && cfg!(target_feature = "crt-static") {
                // A static program cannot load libraries.
                return;
            }
            assert!(!library.is_null(), "the library opens");
            let twice: Twice = std::mem::transmute(libc::dlsym(library, c"twice".as_ptr()));
            (0..20).for_each(|x| assert_eq!(twice(called_back, x), x + 3));
            libc::dlclose(library);
        }
    }
}

fn threads() {
    let work = || {
        json(3);
        descend(60, &mut Vec::new());
    };
    let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(work)).collect();
    threads.into_iter().for_each(|thread| thread.join().expect("a thread ends"));
}

static HANDLED: AtomicU64 = AtomicU64::new(0);
/// Number of signals to wait for.
static WANTED: AtomicU64 = AtomicU64::new(0);

extern "C" fn allocate_in_handler(_: i32) {
    drop(black_box(Box::new([3_u8; 100])));
    // If handling takes as long as the timer's period, the interrupted code makes no progress.
    if HANDLED.fetch_add(1, Relaxed) + 1 >= WANTED.load(Relaxed) {
        set_timer(0);
    }
}

fn set_timer(microseconds: i64) {
    let every = libc::timeval { tv_sec: 0, tv_usec: microseconds };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    // SAFETY: the kernel reads the structure.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
}

/// Calls and returns without allocating: a handler may interrupt it anywhere.
#[inline(never)]
fn compute(depth: u64, sum: u64) -> u64 {
    if depth == 0 {
        return sum;
    }
    let first = compute(black_box(depth - 1), sum.wrapping_mul(31) ^ depth);
    let second = if depth % 4 == 0 { compute(black_box(depth / 4), first) } else { first };
    first.wrapping_add(black_box(second))
}

extern "C" fn order(a: *const libc::c_void, b: *const libc::c_void) -> i32 {
    // SAFETY: qsort passes two elements of the array that it was given.
    unsafe { (*a.cast::<u32>()).cmp(&*b.cast::<u32>()) as i32 }
}

/// Allocates in a signal handler that interrupted an arbitrary instruction, on the interrupted
/// stack and on an alternate one.
fn interrupted(flags: i32) {
    let mut small = vec![0_u8; 64 << 10];
    let mut numbers = vec![0_u32; 300];
    // SAFETY: the stack outlives the handler, and the interrupted loop does not allocate, so that
    // the handler may.
    unsafe {
        let stack =
            libc::stack_t { ss_sp: small.as_mut_ptr().cast(), ss_flags: 0, ss_size: small.len() };
        let mut before: libc::stack_t = std::mem::zeroed();
        libc::sigaltstack(&raw const stack, &raw mut before);
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = allocate_in_handler as *const () as usize;
        action.sa_flags = libc::SA_RESTART | flags;
        libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut());
        let wanted = HANDLED.load(Relaxed) + 3_000;
        WANTED.store(wanted, Relaxed);
        set_timer(97);
        while HANDLED.load(Relaxed) < wanted {
            black_box(compute(30, 7));
            (0_u32..).zip(&mut numbers).for_each(|(n, to)| *to = n.wrapping_mul(2_654_435_761));
            libc::qsort(numbers.as_mut_ptr().cast(), numbers.len(), 4, Some(order));
        }
        libc::sigaltstack(&raw const before, std::ptr::null_mut());
    }
}

#[cfg(rheaper_testing)]
fn report(name: &str) {
    let (compared, differed, first) = rheaper::testing::walk_checks();
    println!("{name} {compared} {differed}");
    if let Some(first) = first {
        println!("{:x?}\n{:x?}", first.walked, first.expected);
    }
}

#[cfg(not(rheaper_testing))]
fn report(name: &str) {
    println!("{name}");
}

fn main() {
    std::panic::set_hook(Box::new(|_| {}));
    let depth = std::env::args().nth(1).and_then(|depth| depth.parse().ok()).unwrap_or(200);
    recorded_programs::record(depth);
    #[cfg(rheaper_testing)]
    rheaper::testing::compare_walks(true);
    let scenes: [(&str, fn()); 12] = [
        ("json", || json(20)),
        ("recursion", recursion),
        ("callbacks", callbacks),
        ("panics", panics),
        ("tree", tree),
        ("closures", closures),
        ("wandering", wandering),
        ("tasks", tasks),
        ("opened-library", opened_library),
        ("threads", threads),
        ("interrupted", || interrupted(0)),
        ("interrupted-aside", || interrupted(libc::SA_ONSTACK)),
    ];
    for (name, scene) in scenes {
        scene();
        report(name);
    }
    rheaper::disable_tracking();
}
