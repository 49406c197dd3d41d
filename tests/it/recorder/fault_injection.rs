//! What processes go through, and the recorder with them: nothing hangs, nothing breaks, and what
//! is not recorded is counted.
//!
//! The programs make blocks of 777 bytes and say how many; each is in the recording or in a
//! counter of losses.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rheaper::loader::{Ending, LoadOptions, Summary, load};
use rusqlite::Connection;

use crate::support::programs::{RELEASE, Variant, build, figure, finish, lines, scaled};
use crate::support::tools;

/// For the longest scene at full scale.
const DEADLINE: Duration = Duration::from_secs(900);

/// A scene's lines, played in a directory of its own.
pub(crate) struct Scene {
    directory: tempfile::TempDir,
    output: Output,
}

impl Scene {
    pub(crate) fn play(program: &str, words: &[&str]) -> Self {
        Self::play_with(program, words, &[])
    }

    pub(crate) fn play_with(program: &str, words: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(build("programs", program, RELEASE));
        command.args(words).envs(environment.iter().copied());
        Self::of(command)
    }

    pub(crate) fn play_as(program: &str, variant: Variant, words: &[&str]) -> Self {
        let mut command = Command::new(build("programs", program, variant));
        command.args(words);
        Self::of(command)
    }

    pub(crate) fn of(mut command: Command) -> Self {
        let directory = tempfile::tempdir().unwrap();
        command.env("RECORD_INTO", directory.path()).current_dir(directory.path());
        let output = finish(command, DEADLINE);
        Self { directory, output }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        lines(&self.output)
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// The numbers of a line.
    pub(crate) fn numbers(&self, line: usize) -> Vec<i64> {
        let lines = self.lines();
        lines[line].split(' ').map(|number| number.parse().unwrap()).collect()
    }

    pub(crate) fn recording(&self) -> PathBuf {
        PathBuf::from(&self.lines()[0])
    }

    pub(crate) fn load(&self, recording: &Path) -> Loaded {
        Loaded::of(recording, self.directory.path())
    }
}

pub(crate) struct Loaded {
    pub(crate) summary: Summary,
    connection: Connection,
}

impl Loaded {
    pub(crate) fn of(recording: &Path, directory: &Path) -> Self {
        let database = directory.join("loaded.db");
        let _ = fs::remove_file(&database);
        let summary = load(recording, &database, &LoadOptions::default(), &mut ()).unwrap();
        Self { summary, connection: Connection::open(&database).unwrap() }
    }

    pub(crate) fn one(&self, sql: &str) -> i64 {
        self.connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    pub(crate) fn marked(&self) -> i64 {
        self.one("SELECT count(*) FROM allocations WHERE size = 777")
    }

    pub(crate) fn live(&self) -> i64 {
        self.one("SELECT count(*) FROM allocations WHERE size = 777 AND dealloc_after IS NULL")
    }

    /// Events that are not in the recording and that the recording says so of.
    pub(crate) fn dropped(&self) -> i64 {
        self.one("SELECT coalesce(sum(count), 0) FROM losses WHERE name LIKE 'dropped%'")
    }

    /// Each block is there, or in the counters; none is there that never was.
    pub(crate) fn has_all(&self, made: i64) {
        let (marked, dropped) = (self.marked(), self.dropped());
        assert!(marked <= made, "{marked} of {made}");
        assert!(marked + dropped >= made, "{marked} of {made}, {dropped} dropped");
        assert!(self.live() <= dropped, "{} live, {dropped} dropped", self.live());
        let mixed = "SELECT count(*) FROM allocations WHERE dealloc_after < alloc_after";
        assert_eq!(self.one(mixed), 0);
    }
}

/// Plays a scene whose first line is the recording and whose second begins with how many blocks
/// it made.
fn check(program: &str, words: &[&str]) -> (Scene, Loaded) {
    let scene = Scene::play(program, words);
    let loaded = scene.load(&scene.recording());
    assert_eq!(loaded.summary.ending, Ending::Sealed, "{words:?}");
    loaded.has_all(scene.numbers(1)[0]);
    (scene, loaded)
}

fn times(count: u64) -> String {
    scaled(count).to_string()
}

/// Milliseconds of a scene that makes millions of events a second.
fn timed() -> String {
    (500 * scaled(1).min(10)).to_string()
}

#[test]
fn forks_that_allocate_before_they_exec_are_no_part_of_the_recording() {
    let (scene, loaded) = check("processes", &["forks", &times(50)]);
    assert_eq!(loaded.dropped(), 0);
    let result = format!("{}; {} blocks of the parent's", times(50), scene.numbers(1)[0]);
    figure("forks that allocate before they exec", &result);
}

#[test]
fn forked_children_live_on_and_record_themselves() {
    let scene = Scene::play("processes", &["preforks", &times(10)]);
    let told = scene.lines();
    let (children, made) = (&told[1..told.len() - 1], scene.numbers(told.len() - 1)[0]);
    assert_eq!(children.len() as i64 * 100, made);
    for child in children {
        let loaded = scene.load(Path::new(child));
        assert_eq!(loaded.summary.ending, Ending::Sealed);
        assert_eq!(loaded.marked(), 1_001, "{child}");
        // Nothing of the parent's is in the child's streams, and nothing of its own is missing.
        let lost = rheaper::loader::dry_run(Path::new(child), &mut ()).unwrap().losses;
        let lost: Vec<_> = lost.iter().filter(|it| !it.name.starts_with("unknown_")).collect();
        assert!(lost.is_empty(), "{child}: {lost:?}");
    }
    // The parent's has hundreds of thousands of events a child: its summary is enough.
    let parent = rheaper::loader::info(&scene.recording()).unwrap();
    assert_eq!(parent.damaged_places, 0);
}

#[test]
fn children_that_share_the_memory_do_no_harm() {
    let scene = Scene::play("processes", &["shared", &times(20)]);
    let loaded = scene.load(&scene.recording());
    // Their blocks come out of the one heap that is being recorded.
    let (own, theirs) = (scene.numbers(1)[0], 50 * scaled(20) as i64);
    assert!(loaded.marked() + loaded.dropped() >= own, "{} of {own}", loaded.marked());
    assert!(loaded.marked() <= own + theirs);
}

#[test]
fn a_program_that_becomes_itself_has_a_recording_each_time() {
    let scene = Scene::play("processes", &["again", "20"]);
    let told = scene.lines();
    assert_eq!(told.len(), 21);
    let mut open = Vec::new();
    for (line, marked) in told.iter().zip((1..=21).rev()) {
        let (path, descriptors) = line.split_once(' ').unwrap();
        open.push(descriptors.to_owned());
        let loaded = scene.load(Path::new(path));
        // `exec` ends the recording like a kill: the last flush may be 25 ms old.
        assert!(loaded.marked() <= marked, "{path}");
    }
    open.dedup();
    assert_eq!(open.len(), 1, "descriptors survive exec: {open:?}");
}

#[test]
fn a_daemon_s_parent_has_its_recording() {
    let scene = Scene::play("processes", &["daemonise"]);
    let loaded = scene.load(&scene.recording());
    assert_eq!((loaded.marked(), loaded.summary.ending), (21, Ending::Sealed));
}

#[test]
fn handlers_may_allocate_at_any_instruction() {
    let (scene, loaded) = check("processes", &["handler", &timed()]);
    let handled = handled(&scene, "a signal handler allocates");
    // A handler's blocks are recorded, unless it interrupted the recorder itself.
    let theirs = loaded.one("SELECT count(*) FROM allocations WHERE size = 333");
    assert!(theirs <= handled && theirs + loaded.dropped() >= handled, "{theirs} of {handled}");
    // And their stacks lead through what was interrupted to where the program began, unless the
    // rules for a frame could not be had in time.
    let stacks = |ends: &str| {
        let sql = "SELECT count(*) FROM allocations JOIN sites USING (bt)
                   WHERE allocations.size = 333 AND sites.stack IN";
        loaded.one(&format!("{sql} ({ends})"))
    };
    let whole = stacks("'whole', 'truncated'");
    assert!(whole > 0 && stacks("'failed', 'other'") <= whole / 100, "{whole} of {theirs}");
}

/// How many signals came: at least two thousand a second, of the time that the thread had.
fn handled(scene: &Scene, what: &str) -> i64 {
    let [_, handled, processor_ms, all_ms] = scene.numbers(1)[..] else { panic!("four numbers") };
    let rate = handled * 1_000 / processor_ms.max(1);
    let all = handled * 1_000 / all_ms;
    figure(what, &format!("{handled} signals, {all} a second, {rate} of processor time"));
    assert!(rate >= 2_000, "{handled} signals in {processor_ms} ms");
    handled
}

/// Aggregated, so that minutes of millions of events a second fit.
#[test]
fn handlers_may_allocate_while_blocks_are_aggregated() {
    let milliseconds = (600 * scaled(1).min(100)).to_string();
    let environment = [("AGGREGATE_US", "1000000")];
    let scene = Scene::play_with("processes", &["handler", &milliseconds], &environment);
    let made = scene.numbers(1)[0];
    let handled = handled(&scene, "a signal handler allocates, blocks are aggregated");
    let loaded = scene.load(&scene.recording());
    assert_eq!(loaded.summary.ending, Ending::Sealed);
    for (size, truth) in [(777, made), (333, handled)] {
        let sql = "SELECT allocations FROM sizes WHERE size = ";
        let recorded = loaded.one(&format!("{sql}{size}"));
        let dropped = loaded.dropped();
        assert!(recorded <= truth && recorded + dropped >= truth, "{recorded} of {truth}");
    }
}

#[test]
fn another_unwinder_may_interrupt_ours() {
    let (scene, loaded) = check("processes", &["walker", &timed()]);
    assert!(scene.numbers(1)[1] > 0);
    assert_eq!(loaded.dropped(), 0);
}

#[test]
fn libraries_come_and_go() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source.c");
    fs::write(
        &source,
        "#include <stdlib.h>\n\
         __attribute__((constructor)) static void begin(void) {\n\
             void (*f)(void) = (void (*)(void))atol(getenv(\"CALL_BACK\")); f(); }\n\
         void twice(void (*f)(void)) { f(); f(); }\n",
    )
    .unwrap();
    let libraries = ["first.so", "second.so"].map(|name| directory.path().join(name));
    for library in &libraries {
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-shared", "-fPIC", "-Wl,--build-id", "-o"]).arg(library);
        assert!(compiler.arg(&source).status().unwrap().success());
    }
    let [first, second] = libraries.map(|path| path.to_str().unwrap().to_owned());
    let scene = Scene::play("processes", &["libraries", &times(600), &first, &second]);
    let [made, loads] = scene.numbers(1)[..] else { panic!("two numbers") };
    assert_eq!(made, loads * 3);
    // Two threads allocate as fast as they can meanwhile: the summary says that all is whole.
    let summary = rheaper::loader::dry_run(&scene.recording(), &mut ()).unwrap();
    assert_eq!(summary.ending, Ending::Sealed);
    assert!(summary.events as i64 > made);
    figure("libraries loaded, called and dropped", &format!("{loads}, {} events", summary.events));
}

#[test]
fn caught_panics_leave_nothing() {
    let (_, loaded) = check("processes", &["panics", &times(1_000)]);
    assert_eq!((loaded.live(), loaded.dropped()), (0, 0));
    let left = "SELECT count(*) FROM allocations WHERE dealloc_after IS NULL";
    assert!(loaded.one(left) < 20, "the live set comes back to its base");
    figure(
        "caught panics",
        &format!("{}: {} blocks live behind them", times(1_000), loaded.one(left)),
    );
}

#[test]
fn frame_pointers_may_hold_anything_and_stacks_may_lie_anywhere() {
    for variant in [RELEASE, crate::recorder::truth::TESTING_FRAME_POINTERS] {
        let scene = Scene::play_as("processes", variant, &["wild"]);
        let loaded = scene.load(&scene.recording());
        loaded.has_all(scene.numbers(1)[0]);
        assert_eq!(loaded.dropped(), 0);
    }
}

#[test]
fn a_recursion_of_a_hundred_thousand_frames_is_cut_and_says_so() {
    let (_, loaded) = check("processes", &["deep", "100000"]);
    let cut = "SELECT count(*) FROM sites WHERE stack = 'truncated' AND depth >= 200";
    assert!(loaded.one(cut) > 0);
}

#[test]
fn every_way_out_leaves_what_was_flushed() {
    for round in 0..scaled(1).min(20) {
        for (how, ending) in [
            ("return", Ending::Sealed),
            ("exit", Ending::Sealed),
            ("panic", Ending::Sealed),
            ("_exit", Ending::CutOff),
            ("abort", Ending::CutOff),
            ("segv", Ending::CutOff),
            ("terminate", Ending::CutOff),
            ("kill", Ending::CutOff),
            ("memory", Ending::CutOff),
        ] {
            let scene = Scene::play("processes", &["exits", how]);
            let path = String::from_utf8_lossy(&scene.output.stdout).trim().to_owned();
            let loaded = scene.load(Path::new(&path));
            assert_eq!((loaded.marked(), loaded.summary.ending), (50, ending), "{round} {how}");
        }
    }
}

#[test]
fn a_stopped_process_goes_on_recording() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(build("programs", "processes", RELEASE));
    command.args(["steady", "700"]).env("RECORD_INTO", directory.path());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let signal = |number| {
        // SAFETY: the child is ours and is waited for below.
        unsafe { libc::kill(child.id().cast_signed(), number) };
    };
    std::thread::sleep(Duration::from_millis(150));
    signal(libc::SIGSTOP);
    std::thread::sleep(Duration::from_millis(400));
    signal(libc::SIGCONT);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), None);
    let told = lines(&output);
    let loaded = Loaded::of(Path::new(&told[0]), directory.path());
    loaded.has_all(told[1].parse().unwrap());
    assert_eq!(loaded.dropped(), 0);
}

#[test]
fn short_threads_cost_neither_memory_nor_descriptors() {
    let count = scaled(1_000) as i64;
    let scene = Scene::play("threads", &["short", &count.to_string()]);
    let [grown_kib, opened, plain_ns, recorded_ns, made] = scene.numbers(1)[..] else {
        panic!("five numbers")
    };
    let ms = |ns: i64| ns / 1_000_000;
    figure(
        "threads, one after the other",
        &format!(
            "{count}: {grown_kib} KiB and {opened} descriptors more; {} ms of processor time, {} ms \
             without recording",
            ms(recorded_ns),
            ms(plain_ns)
        ),
    );
    // A few threads' time is noise.
    assert!(recorded_ns <= 2 * plain_ns || count < 10_000, "{recorded_ns} and {plain_ns} ns");
    assert!(grown_kib < 8 << 10, "{grown_kib} KiB");
    assert_eq!(opened, 0);
    let loaded = scene.load(&scene.recording());
    loaded.has_all(made);
    assert_eq!(loaded.dropped(), 0);
    // The main thread, and each one under a number of its own.
    let threads = loaded.one("SELECT count(DISTINCT alloc_thread) FROM allocations");
    assert_eq!(threads, 1 + count / 10 + count);
}

#[test]
fn recording_takes_little_of_a_thread_s_stack() {
    // How much of 64 KiB a program may use up before its last allocations.
    let most = |how: &str| {
        let (mut fits, mut fails) = (0, 64 << 10);
        while fails - fits > 256 {
            let middle = (fits + fails) / 2;
            let scene = Scene::play("threads", &["deep", &middle.to_string(), how]);
            if scene.output.status.success() { fits = middle } else { fails = middle }
        }
        fits
    };
    let (plain, recorded) = (most("plain"), most("recorded"));
    figure("stack taken on the deepest path", &format!("{} bytes", plain - recorded));
    assert!(plain > 32 << 10);
    assert!(plain - recorded <= 4 << 10, "{plain} bytes plain, {recorded} recorded");
}

#[test]
fn hundreds_of_threads_at_once_on_the_smallest_stacks() {
    let count = scaled(400).min(5_000).to_string();
    let (_, loaded) = check("threads", &["many", &count]);
    assert_eq!(loaded.dropped(), 0);
    figure("threads at once on 16 KiB stacks", &format!("{count}, none dropped"));
}

#[test]
fn recordings_begin_and_end_while_eight_threads_allocate() {
    toggle(&times(100), &[], "");
}

#[test]
fn samples_begin_and_end_while_eight_threads_allocate() {
    toggle(&times(50), &[("SAMPLE_BYTES", "1")], ", sampled");
}

fn toggle(count: &str, environment: &[(&str, &str)], way: &str) {
    let scene = Scene::play_with("threads", &["toggles", count], environment);
    let told = scene.lines();
    let recordings = &told[..told.len() - 1];
    assert!(recordings.len() >= 9, "{recordings:?}");
    for recording in recordings {
        let loaded = scene.load(Path::new(recording));
        assert_eq!(loaded.summary.ending, Ending::Sealed);
        assert_eq!(loaded.dropped(), 0);
        assert!(loaded.marked() > 0);
        let mixed = "SELECT count(*) FROM allocations WHERE dealloc_after < alloc_after";
        assert_eq!(loaded.one(mixed), 0);
        // What each thread keeps alive was made by itself.
        let most = "SELECT coalesce(max(n), 0) FROM (SELECT count(*) AS n FROM allocations
                    WHERE size = 777 AND dealloc_after IS NULL GROUP BY alloc_thread)";
        assert!(loaded.one(most) <= 21, "{}", loaded.one(most));
    }
    let [_, grown_kib, opened] = scene.numbers(told.len() - 1)[..] else { panic!("three") };
    assert!(grown_kib < 8 << 10, "{grown_kib} KiB in the second half");
    assert_eq!(opened, 0);
    let result = format!("{count}: {grown_kib} KiB more in the second half");
    figure(&format!("recordings begun and ended under 8 threads{way}"), &result);
}

#[test]
fn one_of_eight_begins() {
    assert_eq!(Scene::play("threads", &["race", &times(50)]).numbers(0), [scaled(50) as i64]);
}

#[test]
fn destructors_of_threads_are_recorded_or_counted() {
    let (_, loaded) = check("threads", &["destructors", &times(100)]);
    // No destructor there comes back more often than the recorder's own.
    assert_eq!(loaded.dropped(), 0);
    figure("threads whose destructors allocate", &format!("{}, none dropped", scaled(100) * 2 + 1));
}

#[test]
fn what_comes_behind_the_last_round_of_destructors_is_counted() {
    let count = scaled(20) as i64;
    let scene = Scene::play("threads", &["last-rounds", &count.to_string()]);
    let loaded = scene.load(&scene.recording());
    let [made, behind] = scene.numbers(1)[..] else { panic!("two numbers") };
    assert_eq!(behind, 7 * count);
    assert_eq!((loaded.marked(), loaded.live()), (made - behind, 0));
    // Each of them is an allocation and a free, and nothing else is missing.
    let lost = "SELECT count FROM losses WHERE name = 'dropped_no_tracker'";
    assert_eq!((loaded.one(lost), loaded.dropped()), (2 * behind, 2 * behind));
}

#[test]
fn threads_that_have_a_tracker_keep_it_when_the_next_recording_has_fewer() {
    let scene = Scene::play("threads", &["survivors", "30"]);
    for recording in [0, 2] {
        let loaded = scene.load(Path::new(&scene.lines()[recording]));
        assert_eq!(loaded.summary.ending, Ending::Sealed);
        assert_eq!((loaded.marked(), loaded.dropped()), (scene.numbers(recording + 1)[0], 0));
        assert_eq!(loaded.live(), 0);
    }
}

#[test]
fn signals_of_the_program_go_to_the_program() {
    let (scene, _) = check("threads", &["signals", "200"]);
    assert_eq!(scene.numbers(1)[1], 200);
}

#[test]
fn before_main_and_after_it() {
    let scene = Scene::play("threads", &["outside-main"]);
    let loaded = scene.load(&scene.recording());
    assert_eq!((loaded.marked(), loaded.live()), (11, 0));
    // The constructor's block was made before the recording.
    assert!(loaded.one("SELECT count FROM losses WHERE name = 'unknown_frees'") > 0);
}

#[test]
fn main_may_return_while_threads_allocate() {
    for _ in 0..scaled(5) {
        let scene = Scene::play("threads", &["leave"]);
        let loaded = scene.load(&scene.recording());
        assert!(loaded.marked() + loaded.dropped() >= 1_000, "{}", loaded.marked());
    }
}

#[test]
fn threads_may_have_any_name() {
    let (_, loaded) = check("threads", &["names"]);
    assert_eq!(loaded.one("SELECT count(*) FROM threads WHERE name = 'twin'"), 2);
    // What the thread says of itself is what the kernel says of it when the recording ends.
    let of_main = "SELECT count(DISTINCT name) FROM thread_names WHERE name LIKE 'of two%'";
    assert_eq!(loaded.one(of_main), 1);
    let mut query = loaded.connection.prepare("SELECT name FROM threads").unwrap();
    let names = query.query_map([], |row| row.get::<_, Option<String>>(0)).unwrap();
    for name in names.filter_map(Result::unwrap) {
        assert_eq!(rheaper::database::text::sanitize::line(&name), name);
    }
}

/// A scene over the scripted allocator, loaded.
fn contract(words: &[&str]) -> (Scene, Loaded) {
    let scene = Scene::play("contract", words);
    let loaded = scene.load(&scene.recording());
    assert_eq!(loaded.summary.ending, Ending::Sealed, "{words:?}");
    assert_eq!(loaded.dropped(), 0, "{words:?}");
    (scene, loaded)
}

#[test]
fn a_block_that_is_reused_while_it_is_freed_is_paired() {
    let count = scaled(500) as i64;
    let (scene, loaded) = contract(&["reuse", &count.to_string()]);
    assert_eq!((loaded.marked(), loaded.live()), (2 * count, 0));
    let strange = "SELECT count(*) FROM allocations
                   WHERE size = 777 AND dealloc_thread IS NOT alloc_thread";
    assert_eq!(loaded.one(strange), 0);
    let lost = |name: &str| loaded.one(&format!("SELECT count FROM losses WHERE name = '{name}'"));
    assert_eq!(lost("missed_frees"), 0);
    // Clocks of two processors may disagree by more than such a hand-over takes, and the scene
    // says how often they did: put right, and told.
    let reordered = lost("reordered_pairs");
    let behind = scene.numbers(1)[0];
    let told = format!("{count}; {reordered} reordered, the other clock behind at {behind}");
    figure("blocks reused while they were freed", &told);
    assert!(reordered <= behind + count / 100, "{told}");
}

#[test]
fn growth_in_place_moved_and_refused_is_told_apart() {
    let count = scaled(200) as i64;
    let (scene, loaded) = contract(&["growth", &count.to_string()]);
    for (sql, expected) in [
        ("SELECT count(*) FROM reallocs", 3 * count),
        ("SELECT count(*) FROM allocations WHERE size IN (1000, 2000, 3000, 1500)", 4 * count),
        ("SELECT count(*) FROM allocations WHERE size IN (9999, 777, 5000)", 0),
        (
            "SELECT count(*) FROM allocations
             WHERE size IN (1000, 2000, 3000, 1500) AND dealloc_after IS NULL",
            0,
        ),
    ] {
        assert_eq!(loaded.one(sql), expected, "{sql}");
    }
    let info = rheaper::loader::info(&scene.recording()).unwrap();
    let failed = info.counters.unwrap().get(rheaper::recording::Counter::Failed);
    assert_eq!(failed as i64, 3 * count);
}

#[test]
fn sizes_and_alignments_are_passed_on_and_told_as_asked() {
    let (scene, loaded) = contract(&["layouts"]);
    let told = loaded.one("SELECT sum(size) FROM allocations WHERE size >= 1000000");
    assert_eq!(told, scene.numbers(1)[0]);
}

#[test]
fn errno_is_left_alone() {
    if !tools::has(&["strace"]) {
        return;
    }
    let count = times(20_000);
    contract(&["errno", &count]);
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(build("programs", "contract", RELEASE));
    command.args(["errno", &count]).env("RECORD_INTO", directory.path()).env("SMALL_FILES", "1");
    let told = lines(&finish(command, DEADLINE));
    let loaded = Loaded::of(Path::new(&told[0]), directory.path());
    assert_eq!(loaded.summary.ending, Ending::WriteFailed(libc::EFBIG));
    // On a disk this slow threads wait for room until their waits time out.
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=write"]);
    command.args(["-e", "inject=write:delay_enter=150000"]);
    command.arg(build("programs", "contract", RELEASE)).args(["errno", "300000"]);
    command.env("RECORD_INTO", directory.path());
    let told = lines(&finish(command, DEADLINE));
    let loaded = Loaded::of(Path::new(&told[0]), directory.path());
    assert!(loaded.dropped() > 0, "no buffer was full");
}

#[test]
fn what_was_made_before_the_recording_is_counted_as_unknown() {
    let (_, loaded) = contract(&["unknown"]);
    let loss = |name: &str| loaded.one(&format!("SELECT count FROM losses WHERE name = '{name}'"));
    // What grows is an unknown free and a block that was grown from nothing.
    assert!((700..720).contains(&loss("unknown_frees")), "{}", loss("unknown_frees"));
    assert_eq!(loss("unknown_reallocs"), 200);
    assert_eq!(loaded.one("SELECT count(*) FROM allocations WHERE size = 2000"), 200);
}
