//! Recordings started and stopped from outside: each trigger 1,000 times, in a process under load.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use rheaper::loader::{self, Ending};

use crate::support::programs::{OF_CLOCKS, RELEASE, build, lines, load, number, run_with, sqlite3};

/// How often each trigger starts and stops. `CONTROL_ROUNDS=10000` looks longer, at all of them.
fn rounds() -> u64 {
    rounds_or(1_000)
}

fn rounds_or(usual: u64) -> u64 {
    std::env::var("CONTROL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(usual)
}

/// A recording is whole and has lost nothing. Every thread of the load is in it, unless the
/// recording may have ended before each had its turn.
fn check_recording(path: &Path, nth: u64, waits: bool, samples: bool) {
    let info = loader::info(path).unwrap();
    assert_eq!(info.ending, Ending::Sealed, "{}", path.display());
    for thread in ["load-0", "load-1", "load-2"] {
        let found = info.threads.iter().filter(|it| it.name == thread).count();
        assert!(found == 1 || !waits, "{thread} in {}: {:?}", path.display(), info.threads);
    }
    let summary = loader::dry_run(path, &mut ()).unwrap();
    // Frees of blocks that were made before the recording began are no losses of it. Of blocks
    // that are in no sample there is no free at all.
    let lost = summary.losses.iter().filter(|it| samples || !it.name.starts_with("unknown_"));
    let lost = lost.filter(|it| !OF_CLOCKS.contains(&&*it.name));
    let lost: Vec<_> = lost.map(|loss| (loss.name.clone(), loss.count)).collect();
    assert!(lost.is_empty(), "{}: {lost:?}", path.display());
    assert!(summary.allocations > 50 || !waits, "{}: {summary:?}", path.display());
    if nth.is_multiple_of(250) && waits {
        let database = load(path);
        let threads = "SELECT count(DISTINCT alloc_thread) FROM allocations WHERE size = 777";
        assert_eq!(number(&database, threads), 3.0);
        let scopes = "SELECT DISTINCT path FROM allocation_scopes JOIN scopes ON id = scope";
        assert_eq!(sqlite3(&database, scopes), ["load"]);
        std::fs::remove_file(database).unwrap();
    }
}

/// Plays so many rounds of a trigger; each recording is looked at and deleted as it comes.
fn check(trigger: &str, rounds: u64) {
    check_with(trigger, rounds, None);
}

/// The same with a sample of one byte in so many.
fn check_with(trigger: &str, rounds: u64, sample_bytes: Option<u64>) {
    let program = build("programs", "control", RELEASE);
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::new(program)
        .args([trigger, &rounds.to_string()])
        .env("RECORD_INTO", directory.path())
        .env("RECORD_NOW", "on")
        .envs(sample_bytes.map(|bytes| ("SAMPLE_BYTES", bytes.to_string())))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut recordings = 0;
    let mut flat = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(figures) = line.strip_prefix("flat ") {
            flat = figures.split(' ').map(|figure| figure.parse::<i64>().unwrap()).collect();
            continue;
        }
        recordings += 1;
        let waits = trigger != "timer" && sample_bytes.is_none_or(|bytes| bytes == 1);
        check_recording(Path::new(&line), recordings, waits, sample_bytes.is_some());
        std::fs::remove_file(line).unwrap();
    }
    assert!(child.wait().unwrap().success(), "{trigger}");
    assert_eq!(recordings, rounds, "{trigger}");
    let left = std::fs::read_dir(directory.path().join("recordings")).unwrap().count();
    assert_eq!(left, 0, "{trigger}: recordings that nobody was told of");
    let [descriptors, threads, kib, descriptors_end, threads_end, kib_end] = flat[..] else {
        panic!("{trigger}: {flat:?}");
    };
    assert_eq!((descriptors, threads), (descriptors_end, threads_end), "{trigger}");
    assert!((kib_end - kib).abs() < 4 << 10, "{trigger}: {kib} KiB became {kib_end} KiB");
    println!("{trigger}: {recordings} recordings; {flat:?}");
}

#[test]
fn a_signal_starts_and_stops_a_thousand_times() {
    check("signal", rounds());
}

#[test]
fn a_file_starts_and_stops_a_thousand_times() {
    check("file", rounds());
}

#[test]
fn the_environment_starts_a_thousand_times() {
    check("env", rounds());
}

#[test]
fn recordings_end_on_their_own_a_thousand_times() {
    check("timer", rounds());
}

#[test]
fn requests_start_and_stop_a_thousand_times() {
    check("request", rounds());
}

/// Blocks that live from one recording to the next are in the first one's sample only.
#[test]
fn samples_start_and_stop_under_load() {
    check_with("request", rounds() / 4, Some(1));
    check_with("timer", rounds() / 4, Some(20_000));
}

#[test]
fn a_threshold_starts_and_stops_a_thousand_times() {
    check("gauge", rounds());
    // The system's own measure moves 96 MiB a round.
    check("rss", rounds_or(50));
}

#[test]
fn invalid_triggers_are_refused_with_a_reason() {
    let directory = tempfile::tempdir().unwrap();
    let program = build("programs", "control", RELEASE);
    let output = run_with(&program, &["refusals"], directory.path(), &[("RECORD_NOW", "soon")]);
    let expected = "`start`, `stop`, or a duration, such as `90s`, `10m` or `2h`";
    let said = lines(&output);
    assert_eq!(
        said[..7],
        [
            "signal 10 can't start recordings: it is ignored already".to_owned(),
            "signal 9 can't start recordings: Invalid argument (os error 22)".to_owned(),
            "signal 11 can't start recordings: it has a handler already".to_owned(),
            "recordings are already controlled".to_owned(),
            format!("the variable RECORD_NOW should be {expected}"),
            format!("the control file should contain {expected}"),
            "tracking already enabled".to_owned(),
        ]
    );
    let own = load(Path::new(&said[7]));
    assert_eq!(number(&own, "SELECT count(*) FROM allocations WHERE size = 778"), 1.0);
}

#[test]
fn a_process_may_end_at_any_moment_of_a_recording() {
    let program = build("programs", "control", RELEASE);
    for microseconds in (0..40).map(|step| step * 300) {
        let directory = tempfile::tempdir().unwrap();
        let microseconds = microseconds.to_string();
        let output = run_with(&program, &["exit", &microseconds], directory.path(), &[]);
        assert!(output.status.success(), "{output:?}");
        let recordings = std::fs::read_dir(directory.path().join("recordings"));
        for recording in recordings.into_iter().flatten() {
            let path = recording.unwrap().path();
            // Its first bytes may be all that there was time for.
            if std::fs::metadata(&path).unwrap().len() >= 128 {
                loader::dry_run(&path, &mut ()).unwrap();
            }
        }
    }
}
