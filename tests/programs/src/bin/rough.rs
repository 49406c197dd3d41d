//! What programs do to those who live inside them: signals on alternate stacks, descriptors that are
//! closed whoever they belong to. A scene an argument.
//!
//! What a scene makes on purpose are blocks of 777 bytes, and it prints how many.

use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

#[global_allocator]
static GLOBAL: rheaper::Allocator<std::alloc::System> =
    rheaper::Allocator::from_allocator(std::alloc::System);

static MADE: AtomicU64 = AtomicU64::new(0);
static MAY_ALLOCATE: AtomicBool = AtomicBool::new(false);
static TICKS: AtomicU64 = AtomicU64::new(0);

#[inline(never)]
fn marked(count: u64) {
    (0..count).for_each(|_| drop(black_box(Box::new([7_u8; 777]))));
    MADE.fetch_add(count, SeqCst);
}

/// What comes at any instruction, also while `on_alternate_stack` runs: it writes over its frame.
extern "C" fn tick(_: i32) {
    TICKS.fetch_add(1, SeqCst);
    let mut frame = [0_u8; 2048];
    frame.iter_mut().for_each(|byte| *byte = 0x55);
    black_box(&frame);
}

extern "C" fn on_alternate_stack(_: i32) {
    if MAY_ALLOCATE.load(SeqCst) {
        marked(1);
    }
}

const STACK_BYTES: usize = 64 << 10;

/// Handlers stand on `stack`, and one of them interrupts the other.
fn handle_on(stack: &mut [u8], handler: extern "C" fn(i32)) {
    // SAFETY: the stack outlives the scene; the handlers' signatures are those of plain ones.
    unsafe {
        let alternate =
            libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: stack.len() };
        libc::sigaltstack(&raw const alternate, std::ptr::null_mut());
        for (signal, handler) in [(libc::SIGPROF, tick as *const ()), (libc::SIGUSR1, handler as _)]
        {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as usize;
            action.sa_flags = libc::SA_ONSTACK | libc::SA_RESTART;
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
}

fn every_us(us: i64) {
    let every = libc::timeval { tv_sec: 0, tv_usec: us };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    // SAFETY: a timer of processor time.
    unsafe { libc::setitimer(libc::ITIMER_PROF, &raw const timer, std::ptr::null_mut()) };
}

/// Handlers on an alternate stack allocate while others interrupt them.
fn alternate_stack(stack: &mut [u8], count: u64) {
    handle_on(stack, on_alternate_stack);
    let path = recorded_programs::record_quietly(64);
    every_us(100);
    MAY_ALLOCATE.store(true, SeqCst);
    // SAFETY: the handler does what any code may.
    (0..count).for_each(|_| unsafe { assert_eq!(libc::raise(libc::SIGUSR1), 0) });
    MAY_ALLOCATE.store(false, SeqCst);
    every_us(0);
    rheaper::disable_tracking();
    assert!(TICKS.load(SeqCst) > 0);
    println!("{}\n{}", path.display(), MADE.load(SeqCst));
}

/// A stack that lies in a frame of the thread's own.
#[inline(never)]
fn alternate_stack_within(count: u64) {
    let mut stack = [0_u8; STACK_BYTES];
    alternate_stack(&mut stack, count);
    black_box(&stack);
}

/// Closes every descriptor but the standard streams, whoever it belongs to.
fn close_all(how: &str) {
    match how {
        // SAFETY: nothing here uses a descriptor that it closes.
        "one by one" => (3..4096).for_each(|descriptor| unsafe {
            libc::close(descriptor);
        }),
        "at once" => {
            // SAFETY: as above.
            unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
        }
        "as listed" => {
            let listed = std::fs::read_dir("/proc/self/fd").expect("procfs");
            let listed = listed.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
            for descriptor in listed.collect::<Vec<i32>>().into_iter().filter(|it| *it > 2) {
                // SAFETY: as above; the listing's own is closed already.
                unsafe { libc::close(descriptor) };
            }
        }
        _ => panic!("no such way"),
    }
}

/// Files of the program's own, that get every number which was free.
fn own_files(directory: &Path) -> Vec<File> {
    let open = |number| {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(true);
        let mut file = options.open(directory.join(format!("own-{number}"))).expect("a file");
        file.write_all(b"mine\n").expect("it is written");
        file
    };
    (0..20).map(open).collect()
}

fn are_whole(files: &mut [File]) {
    for file in files {
        let mut text = String::new();
        file.seek(SeekFrom::Start(0)).expect("still a file");
        file.read_to_string(&mut text).expect("still text");
        assert_eq!(text, "mine\n");
    }
}

/// Closes what is not its own, again and again, and has files of its own at once. What it does to
/// the recording's name meanwhile is in `then`.
fn closes(how: &str, rounds: u64, then: &str) {
    let path = recorded_programs::record_quietly(64);
    let path = std::fs::canonicalize(path).expect("it is there");
    let directory = path.parent().expect("it has one").to_owned();
    marked(1000);
    for round in 0..rounds {
        close_all(how);
        let mut files = own_files(&directory);
        match then {
            "removes" if round == 0 => std::fs::remove_file(&path).expect("removed"),
            "replaces" if round == 0 => {
                std::fs::remove_file(&path).expect("removed");
                std::fs::write(&path, "a stranger's\n").expect("written");
            }
            "links" if round == 0 => {
                std::fs::remove_file(&path).expect("removed");
                std::os::unix::fs::symlink(directory.join("own-3"), &path).expect("linked");
            }
            "moves" => std::env::set_current_dir("/").expect("a directory"),
            _ => {}
        }
        marked(30_000);
        std::thread::sleep(Duration::from_millis(60));
        marked(1000);
        are_whole(&mut files);
    }
    close_all(how);
    let mut files = own_files(&directory);
    rheaper::disable_tracking();
    are_whole(&mut files);
    println!("{}\n{}", path.display(), MADE.load(SeqCst));
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    let number = |at: usize| word(at).parse().expect("a number");
    match word(0) {
        "alternate-stack" => alternate_stack(&mut vec![0; STACK_BYTES], number(1)),
        "alternate-stack-within" => alternate_stack_within(number(1)),
        "closes" => closes(word(1), number(2), word(3)),
        _ => panic!("no such scene"),
    }
}
