//! The end of a process and of a disk, at any moment: what stands in the file is what happened,
//! the program goes on, and the reason is told.

use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rheaper::loader::{Ending, LoadErrorKind, LoadOptions, dry_run, load};
use rheaper::recording::{Block, BlockKind, Counter, Counters, HEADER_BYTES};

use crate::support::oracle::{Compared, Expected, Way, Witness, state};
use crate::support::programs::{RELEASE, WITHOUT_OWN_DESCRIPTORS, build, figure, finish, scaled};
use crate::support::tools;
use crate::synthetic::random::Random;

/// No run here takes a tenth of this.
const DEADLINE: Duration = Duration::from_secs(120);

/// A run of about a quarter of a second with some ten flushes.
const BRIEF: [u64; 3] = [3, 100, 2_000];

fn run(mut command: Command) -> Output {
    command.stdin(Stdio::null());
    finish(command, DEADLINE)
}

/// The program has done all it had to do, as if nothing were there.
fn unharmed(witness: &Witness, output: &Output, what: &str) {
    assert!(output.status.success(), "{what}: {output:?}");
    assert_eq!(witness.state(), state::DISABLED, "{what}");
}

/// It ran on, and its recording says why it ends early, or is whole.
fn survived(witness: &Witness, output: &Output, errors: &[&str], what: &str) -> Option<Compared> {
    assert!(output.status.success(), "{what}: {output:?}");
    assert_eq!(witness.state(), state::DISABLED, "{what}");
    let words = witness.words();
    let says = |text: &str| errors.iter().any(|error| text.contains(error));
    if !Path::new(&words).is_absolute() || !Path::new(&words).exists() {
        assert!(says(&words), "{what}: {words}");
        return None;
    }
    let compared = witness.check(Path::new(&words), Expected::Prefix);
    if compared.recorded < compared.happened {
        let ending = compared.summary.ending;
        let stderr = String::from_utf8_lossy(&output.stderr);
        // Where hardly more than the header fits, there is no room for a reason.
        let fits = fs::metadata(&words).unwrap().len() > 700;
        assert!(matches!(ending, Ending::WriteFailed(_)) || !fits, "{what}: {ending:?}");
        assert!(says(&stderr), "{what}: {stderr}");
    }
    Some(compared)
}

/// The last one is killed when something is written, the others sooner or later within
/// `within_us`.
fn kill_at_any_moment(count: u64, within_us: u64, way: Way) {
    let mut random = Random(17);
    let (mut recorded, mut happened) = (0, 0);
    for round in 0..count {
        let witness = Witness::recorded(way);
        let mut child = witness.command([4, 0, 500]).stderr(Stdio::null()).spawn().unwrap();
        let began = Instant::now();
        let wait = |until: &dyn Fn() -> bool| {
            while !until() {
                assert!(began.elapsed() < DEADLINE, "round {round} does not begin");
                std::thread::yield_now();
            }
        };
        wait(&|| witness.state() == state::ENABLED);
        let recording = witness.recording();
        if round + 1 == count {
            wait(&|| dry_run(&recording, &mut ()).is_ok_and(|so_far| so_far.events > 500));
        } else {
            std::thread::sleep(Duration::from_micros(random.below(within_us)));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let compared = witness.check(&recording, Expected::Prefix);
        assert_eq!(compared.summary.ending, Ending::CutOff);
        recorded += compared.recorded;
        happened += compared.happened;
    }
    let what = format!("kills at random moments{}", way.name());
    figure(&what, &format!("{count}; {recorded} of {happened} events were written by then"));
    assert!(recorded > 0, "none of {happened} events");
}

#[test]
fn a_kill_at_any_moment_leaves_what_was_written() {
    kill_at_any_moment(scaled(5), 120_000, Way::Whole);
}

#[test]
fn a_kill_while_blocks_are_aggregated_leaves_what_was_written() {
    // Sums are written every two seconds.
    kill_at_any_moment(scaled(2), 3_000_000, Way::Aggregated);
    kill_at_every_write(Way::Aggregated);
}

#[test]
fn a_kill_while_a_sample_is_recorded_leaves_what_was_written() {
    kill_at_any_moment(scaled(2), 120_000, Way::Sampled);
    kill_at_every_write(Way::Sampled);
}

#[test]
fn a_kill_at_every_write_leaves_what_was_written() {
    kill_at_every_write(Way::Whole);
}

fn kill_at_every_write(way: Way) {
    if !tools::has(&["strace"]) {
        return;
    }
    for write in 1.. {
        let witness = Witness::recorded(way);
        let inject = format!("inject=write:signal=KILL:when={write}");
        let runner = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=write", "-e", &inject];
        let output = run(witness.under(&runner, BRIEF));
        if output.status.success() {
            assert!(write > 3, "writes were met: {write}");
            figure(&format!("a kill at every write{}", way.name()), &format!("{}", write - 1));
            assert_eq!(witness.state(), state::DISABLED);
            witness.check(&witness.recording(), Expected::All);
            return;
        }
        assert_eq!(output.status.signal().or(output.status.code()), Some(9), "{output:?}");
        // The first write is the header's: before it there is only a name.
        for entry in fs::read_dir(&witness.into).unwrap() {
            let path = entry.unwrap().path();
            if fs::metadata(&path).unwrap().len() == 0 {
                let output = witness.directory().join("none");
                let error = load(&path, &output, &LoadOptions::default(), &mut ()).unwrap_err();
                assert_eq!(error.kind(), LoadErrorKind::Recording);
            } else {
                witness.check(&path, Expected::Prefix);
            }
        }
    }
}

/// A file system of so many KiB, for as long as this lives; none where mounting is not allowed.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, kib: u64) -> Option<Self> {
        let size = format!("size={kib}k");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(at).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(at.to_owned()));
        }
        println!("SKIPPED: no file system can be mounted here, so no disk can be filled");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_fills_at_any_byte_ends_the_recording_and_not_the_program() {
    fill_the_disk(6, Way::Whole);
}

#[test]
fn a_disk_that_fills_while_blocks_are_aggregated_ends_the_recording_and_not_the_program() {
    fill_the_disk(4, Way::Aggregated);
}

fn fill_the_disk(count: u64, way: Way) {
    let step = 300 / scaled(count).min(300);
    let mut stopped = 0;
    for free_kib in (0..300_u64).step_by(step.max(1) as usize) {
        let witness = Witness::recorded(way);
        let Some(_disk) = SmallDisk::mount(&witness.into, 300) else { return };
        // Pages are 4 KiB: what is left over decides where in a page the end lies.
        let filler = vec![0; ((300 - free_kib) << 10) as usize];
        fs::write(witness.into.join("filler"), filler).unwrap();
        let output = run(witness.command([3, 400, 100]));
        let what = format!("{free_kib} KiB");
        let compared = survived(&witness, &output, &["No space left"], &what);
        stopped += u64::from(compared.is_none_or(|it| it.recorded < it.happened));
        fs::remove_file(witness.into.join("filler")).unwrap();
    }
    assert!(stopped > 0, "no disk was filled");
    let what = format!("disks filled, in steps of {step} KiB{}", way.name());
    figure(&what, &format!("{stopped} recordings ended early"));
}

#[test]
fn a_size_limit_at_any_byte_ends_the_recording_and_not_the_program() {
    let mut random = Random(3);
    for way in [Way::Whole, Way::Aggregated, Way::Sampled] {
        for _ in 0..scaled(2) {
            limit_size(random.below(200 << 10), [3, 400, 100], way);
        }
        // Every byte of a small recording, or as many of them as there is time for.
        let whole = limit_size(1 << 20, SMALL, way);
        let step = whole / scaled(8).min(whole);
        for limit in (0..whole).step_by(step as usize) {
            limit_size(limit, SMALL, way);
        }
        let what = format!("limits of a file's size, every {step} bytes{}", way.name());
        figure(&what, &format!("{} limits, 0 to {whole} bytes", whole.div_ceil(step)));
    }
}

/// A run with a recording of a few KiB.
const SMALL: [u64; 3] = [1, 30, 0];

/// Runs where no file may be longer; answers how long the recording has become.
fn limit_size(limit: u64, arguments: [u64; 3], way: Way) -> u64 {
    let witness = Witness::recorded(way);
    let mut command = witness.command(arguments);
    // SAFETY: only a system call.
    unsafe {
        command.pre_exec(move || {
            let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
            match libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    let output = run(command);
    survived(&witness, &output, &["File too large"], &format!("{limit} bytes"));
    fs::metadata(witness.words()).map_or(0, |file| file.len())
}

/// Has the N-th write of the flusher fail, for every N until none is left, once or from then on.
fn fail_writes(error: &str, says: &str, often: &str) {
    if !tools::has(&["strace"]) {
        return;
    }
    let every = if scaled(1) > 1 { 1 } else { 4 };
    for write in (1..).step_by(every) {
        let witness = Witness::new();
        let inject = format!("inject=write:error={error}:when={write}{often}");
        let log = witness.directory().join("strace");
        let runner = [
            "strace",
            "-f",
            "-qq",
            "-e",
            "trace=write",
            "-e",
            &inject,
            "-o",
            log.to_str().unwrap(),
        ];
        let output = run(witness.under(&runner, BRIEF));
        let what = format!("{error} at write {write}{often}");
        let injected = fs::read_to_string(&log).unwrap().contains("(INJECTED)");
        let stderr = String::from_utf8_lossy(&output.stderr);
        unharmed(&witness, &output, &what);
        if !injected {
            assert!(write > 3, "no write was met");
            let what = format!(
                "{error} at each write{}",
                if often.is_empty() { "" } else { " from then on" }
            );
            figure(&what, &format!("{} writes", write - 1));
            return;
        }
        if witness.words().starts_with('/') {
            let compared = witness.check(Path::new(&witness.words()), Expected::Prefix);
            if compared.recorded < compared.happened {
                let told = matches!(compared.summary.ending, Ending::WriteFailed(_));
                // Where nothing can be written any more, neither the recording nor the line on
                // stderr can hold the reason.
                assert!(told || !often.is_empty(), "{what}: {:?}", compared.summary.ending);
                // The line is the main thread's second write.
                assert!(
                    stderr.contains(says) || write == 2 || !often.is_empty(),
                    "{what}: {stderr}"
                );
            }
        } else {
            assert!(witness.words().contains(says), "{what}: {}", witness.words());
        }
    }
}

#[test]
fn a_write_that_fails_once_ends_the_recording_and_not_the_program() {
    fail_writes("EIO", "Input/output error", "");
    fail_writes("ENOSPC", "No space left", "");
    fail_writes("EDQUOT", "quota", "");
    fail_writes("EAGAIN", "temporarily unavailable", "");
}

#[test]
fn writes_that_fail_from_then_on_end_the_recording_and_not_the_program() {
    fail_writes("EIO", "Input/output error", "+");
    fail_writes("ENOSPC", "No space left", "+");
}

/// The reason of a failed write stands in the file at once, with what was counted of aggregation, also
/// where more is written at a time than the buffer holds.
#[test]
fn the_reason_of_a_failed_write_has_the_counts_of_aggregation() {
    if !tools::has(&["strace"]) {
        return;
    }
    let program = build("programs", "endless", RELEASE);
    let mut busy = 0;
    for write in 4..8 {
        let directory = tempfile::tempdir().unwrap();
        let fail = format!("inject=write:error=ENOSPC:when={write}+");
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=write", "-e", &fail]);
        command.arg(&program).args(["32", "40000"]).current_dir(directory.path());
        command.env("RECORD_INTO", directory.path()).env("AGGREGATE_US", "1000");
        let output = run(command);
        assert!(!output.status.success(), "it ends without ending the recording: {output:?}");
        let mut files = fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().path());
        let recording = fs::read(files.next().unwrap()).unwrap();
        let counters = last_counters(&recording);
        // The threads' regions hold fewer than so many frees that aggregation has not seen yet.
        if counters.get(Counter::Frees) > 600_000 {
            assert!(counters.get(Counter::Aggregated) > 0, "write {write}: {counters:?}");
            busy += 1;
        }
    }
    assert!(busy > 0, "no write failed while there was much to aggregate");
}

/// The last counters of a recording.
fn last_counters(recording: &[u8]) -> Counters {
    let mut rest = &recording[HEADER_BYTES..];
    let mut last = None;
    while let Some((block, len)) = Block::parse(rest).unwrap() {
        if block.kind == BlockKind::Counters {
            last = Some(Counters::read(block.payload).unwrap());
        }
        rest = &rest[len..];
    }
    last.expect("a recording has counters")
}

#[test]
fn an_interrupted_write_is_repeated() {
    if !tools::has(&["strace"]) {
        return;
    }
    let witness = Witness::new();
    let runner = [
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=write",
        "-e",
        "inject=write:error=EINTR:when=1..200+2",
    ];
    let output = run(witness.under(&runner, BRIEF));
    unharmed(&witness, &output, "EINTR");
    witness.check(&witness.recording(), Expected::All);
}

#[test]
fn a_slow_disk_slows_nobody_and_loses_nothing_uncounted() {
    if !tools::has(&["strace"]) {
        return;
    }
    let witness = Witness::new();
    let runner = [
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=write",
        "-e",
        "inject=write:delay_enter=100000",
    ];
    let output = run(witness.under(&runner, BRIEF));
    unharmed(&witness, &output, "slow");
    let compared = witness.check(&witness.recording(), Expected::Prefix);
    let lost = compared.loss("dropped_buffer_full");
    let missing = compared.happened - compared.recorded;
    assert!(lost as usize >= missing, "{missing} missing, {lost} counted");
}

#[test]
fn a_directory_that_goes_away_changes_nothing() {
    for what in ["removed", "renamed", "replaced by a link"] {
        let witness = Witness::new();
        let elsewhere = witness.directory().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        let mut child = witness.command([3, 200, 1_000]).stderr(Stdio::null()).spawn().unwrap();
        while witness.state() != state::ENABLED {
            std::thread::yield_now();
        }
        let moved = witness.directory().join("moved");
        let recording = witness.recording();
        match what {
            "removed" => fs::remove_dir_all(&witness.into).unwrap(),
            "renamed" => fs::rename(&witness.into, &moved).unwrap(),
            _ => {
                fs::rename(&witness.into, &moved).unwrap();
                std::os::unix::fs::symlink(&elsewhere, &witness.into).unwrap();
            }
        }
        assert!(child.wait().unwrap().success(), "{what}");
        assert_eq!(witness.state(), state::DISABLED, "{what}");
        assert_eq!(
            fs::read_dir(&elsewhere).unwrap().count(),
            0,
            "{what}: the new path is followed"
        );
        if what != "removed" {
            witness.check(&moved.join(recording.file_name().unwrap()), Expected::All);
        }
    }
}

#[test]
fn a_directory_that_can_not_be_used_is_an_error_and_the_program_goes_on() {
    let long = "x/".repeat(3_000);
    for (name, says) in [
        ("file", "Not a directory"),
        ("file/below", "Not a directory"),
        ("locked/new", "Permission denied"),
        ("locked", "Permission denied"),
        (&*long, "File name too long"),
        ("loop/x", "symbolic links"),
    ] {
        let mut witness = Witness::new();
        fs::write(witness.directory().join("file"), "mine").unwrap();
        let locked = witness.directory().join("locked");
        fs::create_dir(&locked).unwrap();
        std::os::unix::fs::symlink("loop", witness.directory().join("loop")).unwrap();
        fs::set_permissions(&locked, std::os::unix::fs::PermissionsExt::from_mode(0o555)).unwrap();
        fs::set_permissions(
            witness.directory(),
            std::os::unix::fs::PermissionsExt::from_mode(0o777),
        )
        .unwrap();
        let oracle = witness.directory().join("oracle");
        fs::set_permissions(oracle, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
        witness.into = witness.directory().join(name);
        let mut command = witness.command([1, 10, 0]);
        // Root may write anywhere, so somebody else tries, with a program that he can reach.
        let program = witness.directory().join("program");
        fs::copy(command.get_program(), &program).unwrap();
        let mut theirs = Command::new(program);
        theirs.args(command.get_args()).current_dir(witness.directory());
        theirs.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if is_root() {
            theirs.uid(65_534).gid(65_534);
        }
        command = theirs;
        let output = run(command);
        unharmed(&witness, &output, &name[..name.len().min(20)]);
        let words = witness.words();
        assert!(words.contains(says), "{name:.20}: {words}");
        assert_eq!(fs::read_to_string(witness.directory().join("file")).unwrap(), "mine");
    }
}

fn is_root() -> bool {
    // SAFETY: no arguments, can't fail.
    unsafe { libc::geteuid() == 0 }
}

#[test]
fn few_descriptors_are_an_error_or_enough() {
    for spare in 0..6_u64 {
        let witness = Witness::new();
        let mut command = witness.command([3, 50, 500]);
        // SAFETY: only a system call.
        unsafe {
            command.pre_exec(move || {
                let limit = libc::rlimit { rlim_cur: 3 + spare, rlim_max: 3 + spare };
                libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
                Ok(())
            });
        }
        let output = run(command);
        if witness.state() == 0 {
            // Not even the program itself could open what it needs.
            assert!(spare < 2, "{spare} {output:?}");
            continue;
        }
        unharmed(&witness, &output, &format!("{spare} descriptors"));
        if witness.words().starts_with('/') {
            witness.check(&witness.recording(), Expected::All);
        } else {
            assert!(witness.words().contains("Too many open files"), "{}", witness.words());
        }
    }
}

#[test]
fn closed_standard_streams_are_never_written_to() {
    // The program closes them itself, before it records: Rust opens those that are closed when a
    // program begins.
    for (closed, own) in ["0", "1", "2", "012"].into_iter().flat_map(|it| [(it, true), (it, false)])
    {
        let witness = Witness::new();
        let arguments = [3, 50, 500];
        // A kernel that has no descriptors for the flusher alone.
        let mut command = match own {
            true => witness.command(arguments),
            false => witness.under(&WITHOUT_OWN_DESCRIPTORS, arguments),
        };
        command.env("CLOSE_STREAMS", closed);
        let output = run(command);
        unharmed(&witness, &output, closed);
        witness.check(&witness.recording(), Expected::All);
        let bytes = fs::read(witness.recording()).unwrap();
        let words = b"printed by the program";
        assert!(!bytes.windows(words.len()).any(|at| at == words), "{closed}: it is printed into");
    }
}

/// What a power loss leaves: any of the pages written since a moment, the others as they were.
#[test]
fn crash_images_load_without_false_blocks() {
    crash_images(scaled(100), Way::Whole);
    crash_images(scaled(20), Way::Aggregated);
}

fn crash_images(count: u64, way: Way) {
    use std::collections::HashSet;
    type Block = (i64, i64, i64);
    let witness = Witness::recorded(way);
    // A program that is gone when its recording is loaded, and stacks that end before they reach
    // the C library: thousands of loads are not to look for names each.
    let known = witness.command([3, 15, 5_000]);
    let program = witness.directory().join("program");
    fs::copy(known.get_program(), &program).unwrap();
    let mut command = Command::new(&program);
    command.args(known.get_args()).current_dir(witness.directory());
    command.envs(known.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("DEPTH", "2");
    unharmed(&witness, &run(command), "whole");
    fs::remove_file(program).unwrap();
    let whole = fs::read(witness.recording()).unwrap();
    let blocks = |bytes: &[u8]| -> Option<(HashSet<Block>, bool)> {
        let recording = witness.directory().join("image");
        let database = witness.directory().join("image.db");
        fs::write(&recording, bytes).unwrap();
        let _ = fs::remove_file(&database);
        let summary = match load(&recording, &database, &LoadOptions::default(), &mut ()) {
            Ok(summary) => summary,
            Err(error) => {
                assert_eq!(error.kind(), LoadErrorKind::Recording);
                return None;
            }
        };
        let connection = rusqlite::Connection::open(&database).unwrap();
        let sql = "SELECT alloc_thread, addr, size FROM allocations WHERE size >= 20000";
        let mut query = connection.prepare(sql).unwrap();
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        let rows = rows.map(Result::unwrap).collect();
        let told = summary.ending.is_partial()
            || rheaper::loader::info(&recording).unwrap().damaged_bytes > 0;
        Some((rows, told))
    };
    let (truth, _) = blocks(&whole).unwrap();
    let mut random = Random(23);
    let mut refused = 0;
    for image in 0..count {
        let mut bytes = whole.clone();
        bytes.truncate(random.below(whole.len() as u64 + 1) as usize);
        // Synced up to here; of what follows, pages of 512 bytes may be lost.
        let from = random.below(bytes.len() as u64 + 1) as usize;
        for page in bytes[from..].chunks_mut(512) {
            if random.one_in(3) {
                page.fill(0);
            }
        }
        let Some((found, told)) = blocks(&bytes) else {
            refused += 1;
            assert!(from < 128, "image {image}: {from} bytes were synced, and it is refused");
            continue;
        };
        assert!(found.is_subset(&truth), "image {image}: {:?}", found.difference(&truth).next());
        assert!(told || bytes == whole || found == truth, "image {image}: the loss is not told");
    }
    let what = format!("crash images{}", way.name());
    figure(&what, &format!("{count} of {} bytes; {refused} refused", whole.len()));
}
