//! Fault scenarios of processes, signals, loaded libraries and stacks. Arguments: a scenario and
//! its numbers.
//!
//! The blocks under test have 777 bytes; the program prints their number.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::{CString, c_void};
use std::hint::black_box;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// The system's allocator; in signal handlers, one that may be interrupted anywhere.
struct Inner;

thread_local! {
    static IN_HANDLER: Cell<bool> = const { Cell::new(false) };
}

const ARENA_BYTES: usize = 1 << 20;
struct Arena(std::cell::UnsafeCell<[u8; ARENA_BYTES]>);
// SAFETY: each block is allocated once per round, and handlers free theirs before they return.
unsafe impl Sync for Arena {}
static ARENA: Arena = Arena(std::cell::UnsafeCell::new([0; ARENA_BYTES]));
static USED: AtomicUsize = AtomicUsize::new(0);

impl Inner {
    fn owns(block: *mut u8) -> bool {
        let start = ARENA.0.get() as usize;
        (start..start + ARENA_BYTES).contains(&block.addr())
    }
}

unsafe impl GlobalAlloc for Inner {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !IN_HANDLER.get() {
            return unsafe { System.alloc(layout) };
        }
        let bytes = layout.size().next_multiple_of(64);
        let at = USED.fetch_add(bytes, SeqCst) % (ARENA_BYTES - (64 << 10));
        unsafe { ARENA.0.get().cast::<u8>().add(at.next_multiple_of(64)) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if !Self::owns(block) {
            unsafe { System.dealloc(block, layout) }
        }
    }
}

#[global_allocator]
static GLOBAL: rheaper::Allocator<Inner> = rheaper::Allocator::from_allocator(Inner);

static MADE: AtomicU64 = AtomicU64::new(0);
static HANDLED: AtomicU64 = AtomicU64::new(0);

#[inline(never)]
fn marked(count: u64) {
    (0..count).for_each(|_| drop(black_box(Box::new([7_u8; 777]))));
    MADE.fetch_add(count, SeqCst);
}

fn made() -> u64 {
    MADE.load(SeqCst)
}

/// Two threads that allocate until the guard is dropped.
struct Hammer(Arc<AtomicBool>, Vec<std::thread::JoinHandle<()>>);

impl Hammer {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..2).map(|_| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                while !stop.load(SeqCst) {
                    for _ in 0..100 {
                        black_box(vec![1_u8; 300]);
                        black_box((0..20).collect::<Vec<u64>>());
                    }
                    // In bursts, so that the recording stays small enough to load.
                    std::thread::sleep(Duration::from_micros(500));
                }
            })
        });
        let threads = threads.collect();
        Self(stop, threads)
    }

    fn stop(self) {
        self.0.store(true, SeqCst);
        self.1.into_iter().for_each(|thread| thread.join().expect("it ends"));
    }
}

/// Forks whose child runs a closure that allocates before `exec`.
fn forks(count: u64) {
    let path = recorded_programs::record_quietly(32);
    let hammer = Hammer::start();
    for _ in 0..count {
        let mut command = Command::new("/bin/true");
        // SAFETY: the closure allocates after `fork`, which is the subject of this test.
        unsafe {
            command.pre_exec(|| {
                (0..100).for_each(|_| drop(black_box(Box::new([7_u8; 777]))));
                Ok(())
            });
        }
        assert!(command.status().expect("it runs").success());
        marked(2);
    }
    hammer.stop();
    rheaper::disable_tracking();
    println!("{}\n{}", path.display(), made());
}

/// Children that continue, allocate, and record themselves.
fn preforks(count: u64) {
    let path = recorded_programs::record_quietly(32);
    println!("{}", path.display());
    let hammer = Hammer::start();
    for _ in 0..count {
        // The child inherits these bytes, none of which the parent's flusher has read.
        marked(100);
        // SAFETY: the child allocates after `fork`, which is the subject of this test.
        let child = unsafe { libc::fork() };
        if child == 0 {
            (0..100_000).for_each(|_| drop(black_box(Box::new([7_u8; 777]))));
            let path = recorded_programs::record_quietly(32);
            (0..1_000).for_each(|_| drop(black_box(Box::new([7_u8; 777]))));
            std::thread::spawn(|| drop(black_box(Box::new([7_u8; 777])))).join().expect("it ends");
            rheaper::disable_tracking();
            println!("{}", path.display());
            // SAFETY: ends the child here.
            unsafe { libc::_exit(0) };
        }
        let mut status = 0;
        // SAFETY: the child is ours.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!(status, 0, "the child ended badly");
    }
    hammer.stop();
    rheaper::disable_tracking();
    println!("{}", made());
}

extern "C" fn share(_: *mut c_void) -> i32 {
    (0..50).for_each(|_| drop(black_box(Box::new([7_u8; 777]))));
    0
}

/// Children that share the memory: `clone` as `vfork` uses it.
fn shared(count: u64) {
    let path = recorded_programs::record_quietly(32);
    let mut stack = vec![0_u8; 256 << 10];
    for _ in 0..count {
        // SAFETY: the stack is large enough, and the parent waits until the child has ended.
        let child = unsafe {
            let top = stack.as_mut_ptr().add(stack.len()).cast();
            let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
            libc::clone(share, top, flags, std::ptr::null_mut())
        };
        assert!(child > 0);
        // SAFETY: the child is ours.
        unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
        marked(3);
    }
    rheaper::disable_tracking();
    println!("{}\n{}", path.display(), made());
}

/// Executes itself repeatedly, each time with a recording.
fn again(left: u64) {
    let path = recorded_programs::record_quietly(32);
    marked(left + 1);
    println!("{} {}", path.display(), std::fs::read_dir("/proc/self/fd").expect("procfs").count());
    if left > 0 {
        let program = std::env::current_exe().expect("procfs");
        let error = Command::new(program).args(["again", &(left - 1).to_string()]).exec();
        panic!("{error}");
    }
    rheaper::disable_tracking();
}

/// The parent exits, the child continues.
fn daemonise() {
    let path = recorded_programs::record_quietly(32);
    marked(21);
    println!("{}", path.display());
    // SAFETY: plain calls; the child allocates and ends.
    unsafe {
        if libc::fork() == 0 {
            libc::setsid();
            marked(500);
            libc::_exit(0);
        }
    }
}

extern "C" fn allocate_in_handler(_: i32) {
    let outer = IN_HANDLER.replace(true);
    drop(black_box(Box::new([3_u8; 333])));
    drop(black_box(vec![1_u8; 500]));
    IN_HANDLER.set(outer);
    HANDLED.fetch_add(1, SeqCst);
}

extern "C" fn walk_in_handler(_: i32) {
    let mut left = 64_u32;
    // SAFETY: `visit` takes what it is given here.
    unsafe { _Unwind_Backtrace(visit, (&raw mut left).cast()) };
    HANDLED.fetch_add(1, SeqCst);
}

/// Continues up to a number of frames, with the unwinder's return codes.
extern "C" fn visit(_: *mut c_void, left: *mut c_void) -> i32 {
    // SAFETY: a pointer to the counter of `walk_in_handler`.
    let left = unsafe { &mut *left.cast::<u32>() };
    *left = left.saturating_sub(1);
    if *left > 0 { 0 } else { 5 }
}

unsafe extern "C" {
    fn _Unwind_Backtrace(
        visit: extern "C" fn(*mut c_void, *mut c_void) -> i32,
        argument: *mut c_void,
    ) -> i32;
}

/// CPU time of this thread, in which signals can arrive.
fn processor_ms() -> i64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes into `now`.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut now) };
    now.tv_sec * 1_000 + now.tv_nsec / 1_000_000
}

/// A timer whose handler runs while the program allocates, reallocates and walks deep stacks. Five
/// signals per millisecond are requested; two must arrive even if the machine is busy.
fn timer(milliseconds: u64, which: i32, signal: i32, handler: extern "C" fn(i32)) {
    // The first call of the unwinder may allocate.
    walk_in_handler(0);
    HANDLED.store(0, SeqCst);
    let path = recorded_programs::record_quietly(32);
    let every = libc::timeval { tv_sec: 0, tv_usec: 199 };
    let never = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let set = |interval: libc::timeval| {
        let timer = libc::itimerval { it_interval: interval, it_value: interval };
        // SAFETY: both structures are read by the calls.
        unsafe { libc::setitimer(which as _, &raw const timer, std::ptr::null_mut()) }
    };
    // SAFETY: a handler of the right type, which touches atomics and the arena only.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(signal, &raw const action, std::ptr::null_mut());
    }
    assert_eq!(set(every), 0);
    let (began, processor_began) = (Instant::now(), processor_ms());
    while began.elapsed() < Duration::from_millis(milliseconds) {
        marked(10);
        recurse(40);
        let mut grown: Vec<u8> = Vec::new();
        (0..2_000).for_each(|item| grown.push(item as u8));
        black_box(grown);
    }
    set(never);
    let took = processor_ms() - processor_began;
    rheaper::disable_tracking();
    println!("{}\n{} {} {took} {milliseconds}", path.display(), made(), HANDLED.load(SeqCst));
}

#[inline(never)]
fn recurse(depth: u64) {
    if depth > 0 {
        recurse(depth - 1);
    }
    if depth % 8 == 0 {
        marked(1);
    }
    black_box(depth);
}

extern "C" fn called_back() {
    marked(1);
}

/// A library whose constructor calls back is loaded and unloaded repeatedly while other threads
/// allocate.
fn libraries(names: &[String], milliseconds: u64) {
    // SAFETY: no other thread reads the environment yet.
    unsafe { std::env::set_var("CALL_BACK", format!("{}", called_back as *const () as usize)) };
    let path = recorded_programs::record_quietly(32);
    let hammer = Hammer::start();
    let began = Instant::now();
    let mut loads = 0_u64;
    while began.elapsed() < Duration::from_millis(milliseconds) {
        for name in names {
            let name = CString::new(name.as_str()).expect("no zeros");
            // SAFETY: the libraries are the test's; their constructors call `called_back`.
            unsafe {
                let library = libc::dlopen(name.as_ptr(), libc::RTLD_NOW);
                assert!(!library.is_null());
                let twice = libc::dlsym(library, c"twice".as_ptr());
                assert!(!twice.is_null());
                let twice: extern "C" fn(extern "C" fn()) = std::mem::transmute(twice);
                twice(called_back);
                assert_eq!(libc::dlclose(library), 0);
            }
            loads += 1;
        }
    }
    hammer.stop();
    rheaper::disable_tracking();
    println!("{}\n{} {loads}", path.display(), made());
}

struct Dropped(Vec<u8>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.extend([1; 100]);
        marked(1);
    }
}

fn panics(count: u64) {
    std::panic::set_hook(Box::new(|_| {}));
    let path = recorded_programs::record_quietly(32);
    for round in 0..count {
        let caught = std::panic::catch_unwind(|| {
            let _dropped = Dropped(vec![0; 10]);
            recurse(round % 20);
            std::panic::panic_any(round);
        });
        assert!(caught.is_err());
    }
    rheaper::disable_tracking();
    println!("{}\n{}", path.display(), made());
}

extern "C" fn three() {
    marked(3);
}

/// Calls `function` with this value in the frame pointer register and, if `stack` is given, on that
/// stack.
#[cfg(target_arch = "x86_64")]
unsafe fn call_with(function: extern "C" fn(), frame_pointer: u64, stack: Option<u64>) {
    // SAFETY: all registers that the called function may change are named; rbp and rsp are put
    // back from registers that it keeps.
    unsafe {
        std::arch::asm!(
            "mov r12, rbp",
            "mov r13, rsp",
            "test rcx, rcx",
            "cmovnz rsp, rcx",
            "and rsp, -16",
            "mov rbp, rdx",
            "call rax",
            "mov rsp, r13",
            "mov rbp, r12",
            inlateout("rax") function => _,
            inlateout("rcx") stack.unwrap_or(0) => _,
            inlateout("rdx") frame_pointer => _,
            out("r12") _,
            out("r13") _,
            clobber_abi("C"),
        );
    }
}

/// Frame pointers that are invalid, cyclic, or outside of the stack; foreign stacks.
#[cfg(target_arch = "x86_64")]
fn wild() {
    let path = recorded_programs::record_quietly(64);
    let mut circle = [0_u64; 4];
    circle[0] = circle.as_ptr() as u64;
    circle[1] = wild as *const () as u64;
    // SAFETY: a mapping that nobody may touch.
    let unmapped = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            4096,
            libc::PROT_NONE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        ) as u64
    };
    let values =
        [0, 1, 8, unmapped, circle.as_ptr() as u64, u64::MAX, u64::MAX - 7, 1 << 47, 0xdead_beef];
    let mut own = vec![0_u8; 256 << 10];
    // SAFETY: one past the end of the stack.
    let top = unsafe { own.as_mut_ptr().add(own.len()) } as u64;
    for value in values {
        // SAFETY: `three` keeps to the calling convention.
        unsafe {
            call_with(three, value, None);
            call_with(three, value, Some(top));
        }
    }
    alternate_stack();
    rheaper::disable_tracking();
    println!("{}\n{}", path.display(), made());
}

#[cfg(not(target_arch = "x86_64"))]
fn wild() {
    let path = recorded_programs::record_quietly(64);
    rheaper::disable_tracking();
    println!("{}\n{}", path.display(), made());
}

extern "C" fn on_small_stack(_: i32) {
    marked(1);
}

/// A handler allocates on an alternate stack of 8 KiB.
fn alternate_stack() {
    let mut small = vec![0_u8; 8 << 10];
    // SAFETY: the stack lives longer than the handler; raising is no asynchronous signal, so the
    // handler may do what the code around it may.
    unsafe {
        let stack =
            libc::stack_t { ss_sp: small.as_mut_ptr().cast(), ss_flags: 0, ss_size: small.len() };
        let mut old: libc::stack_t = std::mem::zeroed();
        libc::sigaltstack(&raw const stack, &raw mut old);
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_small_stack as *const () as usize;
        action.sa_flags = libc::SA_ONSTACK;
        libc::sigaction(libc::SIGUSR2, &raw const action, std::ptr::null_mut());
        libc::raise(libc::SIGUSR2);
        libc::raise(libc::SIGUSR2);
        libc::sigaltstack(&raw const old, std::ptr::null_mut());
    }
}

fn deep(depth: u64) {
    let path = recorded_programs::record_quietly(200);
    std::thread::Builder::new()
        .stack_size(1 << 30)
        .spawn(move || recurse(depth))
        .expect("a thread")
        .join()
        .expect("it ends");
    rheaper::disable_tracking();
    println!("{}\n{}", path.display(), made());
}

/// Ends the process in a given way after the events were flushed.
fn exits(how: &str) {
    let path = recorded_programs::record_quietly(32);
    marked(50);
    println!("{}", path.display());
    // Flushes come every 25 ms.
    std::thread::sleep(Duration::from_millis(120));
    // SAFETY: each of them ends the process.
    unsafe {
        match how {
            "return" => {}
            "exit" => libc::exit(0),
            "_exit" => libc::_exit(0),
            "abort" => libc::abort(),
            "segv" => std::ptr::null_mut::<u8>().write_volatile(1),
            "panic" => std::panic::panic_any(()),
            "terminate" => drop(libc::raise(libc::SIGTERM)),
            "kill" => drop(libc::raise(libc::SIGKILL)),
            "memory" => {
                let limit = libc::rlimit { rlim_cur: 512 << 20, rlim_max: 512 << 20 };
                libc::setrlimit(libc::RLIMIT_AS, &raw const limit);
                let mut all = Vec::new();
                loop {
                    all.push(vec![1_u8; 16 << 20]);
                }
            }
            _ => panic!("no such end"),
        }
    }
}

/// Runs until the given time is over.
fn steady(milliseconds: u64) {
    let path = recorded_programs::record_quietly(32);
    println!("{}", path.display());
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(milliseconds) {
        marked(1);
        std::thread::sleep(Duration::from_millis(1));
    }
    rheaper::disable_tracking();
    println!("{}", made());
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = words.get(1).and_then(|number| number.parse().ok()).unwrap_or(0);
    match &*words[0] {
        "forks" => forks(number),
        "preforks" => preforks(number),
        "shared" => shared(number),
        "again" => again(number),
        "daemonise" => daemonise(),
        "handler" => timer(number, libc::ITIMER_REAL as i32, libc::SIGALRM, allocate_in_handler),
        "walker" => timer(number, libc::ITIMER_PROF as i32, libc::SIGPROF, walk_in_handler),
        "libraries" => libraries(&words[2..], number),
        "panics" => panics(number),
        "wild" => wild(),
        "deep" => deep(number),
        "exits" => exits(&words[1]),
        "steady" => steady(number),
        _ => panic!("no such scene"),
    }
}
