//! The command line of every recorder's binary: prepares a workload, starts the recorder, times the
//! workload, stops the recorder. Results are lines `peers: key=value ...` on stdout; recorders that
//! print there themselves do no harm. What is timed is reported before the recorder is stopped, so
//! that one that fails while stopping still has its time.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::{Workload, find, scale, tail};

const USAGE: &str = "usage: run WORKLOAD ITERATIONS DIR MODE
       scale WORKLOAD ITERATIONS DIR MODE THREADS
       tail PAIRS DIR MODE free|starved
MODE is on, never (the recorder is never started) or stopped (it is started and stopped before)";

/// What a recorder's binary tells about its recorder.
pub struct Recorder {
    /// Starts recording into a directory that exists and is empty.
    pub start: fn(&Path),
    /// Stops recording; afterwards the recording is complete on disk.
    pub stop: fn(),
    /// The allocator calls so far, where the recorder is the one that counts them.
    pub counts: fn() -> Option<Counts>,
}

/// Calls to the allocator since the process started. One call is one event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// `alloc` and `alloc_zeroed`.
    pub allocs: u64,
    /// `dealloc`.
    pub frees: u64,
    /// `realloc`.
    pub reallocs: u64,
}

impl Counts {
    fn total(self) -> u64 {
        self.allocs + self.frees + self.reallocs
    }
}

/// When the recorder is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// While the workload runs.
    On,
    /// Never: what the wrapper costs a program that does not record.
    Never,
    /// Before the workload, not while it runs.
    Stopped,
}

impl Mode {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "on" => Some(Self::On),
            "never" => Some(Self::Never),
            "stopped" => Some(Self::Stopped),
            _ => None,
        }
    }
}

/// A recorder, and where and when it records.
pub struct Recording<'a> {
    recorder: &'a Recorder,
    dir: PathBuf,
    mode: Mode,
}

impl Recording<'_> {
    /// Begins what is measured.
    pub fn begin(&self) {
        if self.mode != Mode::Never {
            (self.recorder.start)(&self.dir);
        }
        if self.mode == Mode::Stopped {
            (self.recorder.stop)();
        }
    }

    /// Ends the recording, and reports what ending it took.
    pub fn end(&self) {
        let started = Instant::now();
        if self.mode == Mode::On {
            (self.recorder.stop)();
        }
        let stop = started.elapsed().as_nanos();
        println!("peers: stop_ns={stop} peak_rss_kib={}", peak_rss_kib());
    }

    fn counts(&self) -> Option<Counts> {
        (self.recorder.counts)()
    }
}

/// The whole `main` of a recorder's binary.
#[must_use]
pub fn drive(recorder: &Recorder) -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        ["run", workload, iterations, dir, mode] => run(recorder, workload, iterations, dir, mode),
        ["scale", workload, iterations, dir, mode, threads] => {
            parallel(recorder, (workload, iterations, dir, mode), threads)
        }
        ["tail", pairs, dir, mode, flusher] => pauses(recorder, pairs, dir, mode, flusher),
        _ => None,
    };
    if done.is_some() {
        return ExitCode::SUCCESS;
    }
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

fn recording<'a>(recorder: &'a Recorder, dir: &str, mode: &str) -> Option<Recording<'a>> {
    Some(Recording {
        recorder,
        dir: PathBuf::from(dir),
        mode: Mode::parse(mode)?,
    })
}

/// Times one workload in this thread.
fn run(recorder: &Recorder, workload: &str, iterations: &str, dir: &str, mode: &str) -> Option<()> {
    let Workload {
        warm_up, prepare, ..
    } = find(workload)?;
    let iterations: u64 = iterations.parse().ok()?;
    let recording = recording(recorder, dir, mode)?;
    let mut work = prepare();
    work(*warm_up);
    recording.begin();
    let counts = recording.counts();
    let (cpu, started) = (process_cpu(), Instant::now());
    work(iterations);
    let (elapsed, cpu) = (started.elapsed(), process_cpu().saturating_sub(cpu));
    let counts = counts.zip(recording.counts());
    println!(
        "peers: iterations={iterations} elapsed_ns={} cpu_ns={} rss_kib={}",
        elapsed.as_nanos(),
        cpu.as_nanos(),
        peak_rss_kib(),
    );
    if let Some((before, after)) = counts {
        println!(
            "peers: before={} allocs={} frees={} reallocs={}",
            before.total(),
            after.allocs - before.allocs,
            after.frees - before.frees,
            after.reallocs - before.reallocs,
        );
    }
    recording.end();
    Some(())
}

/// Times one workload in several threads at once.
fn parallel(recorder: &Recorder, common: (&str, &str, &str, &str), threads: &str) -> Option<()> {
    let (workload, iterations, dir, mode) = common;
    let workload = find(workload)?;
    let (iterations, threads) = (iterations.parse().ok()?, threads.parse().ok()?);
    let recording = recording(recorder, dir, mode)?;
    let elapsed = scale::run(workload, iterations, threads, &recording);
    println!(
        "peers: iterations={iterations} elapsed_ns={}",
        elapsed.as_nanos()
    );
    recording.end();
    Some(())
}

/// Measures how long single allocations take.
fn pauses(recorder: &Recorder, pairs: &str, dir: &str, mode: &str, flusher: &str) -> Option<()> {
    let pairs = pairs.parse().ok()?;
    let starved = match flusher {
        "free" => false,
        "starved" => true,
        _ => return None,
    };
    let recording = recording(recorder, dir, mode)?;
    tail::run(pairs, starved, &recording);
    recording.end();
    Some(())
}

/// Processor time of all threads of this process so far.
fn process_cpu() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a timespec of this frame.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(failed, 0, "the processor time of a process can be read");
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// The most memory that was ever resident, which the kernel keeps for the process. 0 if unknown.
fn peak_rss_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
