//! What commands leave behind, and what they say of inputs that are not what was meant.

use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::synthetic::generate::{Plan, generate_file};

fn rheaper(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rheaper"));
    command.args(arguments).current_dir(directory).stdin(Stdio::null()).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn recording(directory: &Path, events: u64) -> PathBuf {
    let path = directory.join("rip-1");
    generate_file(&path, &Plan { events, ..Plan::default() });
    path
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_load_that_is_asked_to_end_leaves_nothing() {
    for (signal, is_ignored) in
        [(libc::SIGTERM, false), (libc::SIGHUP, false), (libc::SIGINT, false), (libc::SIGHUP, true)]
    {
        let directory = tempfile::tempdir().unwrap();
        recording(directory.path(), 3_000_000);
        let mut command = Command::new(env!("CARGO_BIN_EXE_rheaper"));
        command.args(["load", "rip-1", "-o", "heap.db"]).current_dir(directory.path());
        if is_ignored {
            // SAFETY: only a system call.
            unsafe {
                command.pre_exec(|| {
                    libc::signal(libc::SIGHUP, libc::SIG_IGN);
                    Ok(())
                });
            }
        }
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while names(directory.path()).len() < 2 {
            assert!(child.try_wait().unwrap().is_none(), "it is over before it was seen");
            std::thread::sleep(Duration::from_millis(1));
        }
        // SAFETY: the child is ours and is waited for below.
        unsafe { libc::kill(child.id().cast_signed(), signal) };
        let status = child.wait().unwrap();
        if is_ignored {
            assert!(status.success(), "{status:?}");
            assert_eq!(names(directory.path()), ["heap.db", "rip-1"]);
        } else {
            assert_eq!((status.code(), status.signal()), (Some(128 + signal), None));
            assert_eq!(names(directory.path()), ["rip-1"]);
        }
    }
}

#[test]
fn what_killed_loads_have_left_is_removed_or_told() {
    let directory = tempfile::tempdir().unwrap();
    recording(directory.path(), 1_000);
    // No process has so high a number.
    let (same, other) = (".heap.db.4194999.loading", ".other.db.4194999.loading");
    for name in [same, other] {
        fs::write(directory.path().join(name), "half").unwrap();
    }
    let output = rheaper(directory.path(), &["load", "rip-1", "-o", "heap.db"]);
    assert!(output.status.success(), "{output:?}");
    assert!(stderr(&output).contains(other), "{}", stderr(&output));
    assert_eq!(names(directory.path()), [other, "heap.db", "rip-1"]);
}

#[test]
fn the_short_form_needs_no_name_of_a_database() {
    let directory = tempfile::tempdir().unwrap();
    recording(directory.path(), 1_000);
    let output = rheaper(directory.path(), &["rip-1"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(names(directory.path()), ["rip-1", "rip-1.db"]);
}

#[test]
fn a_stream_has_no_place_for_its_database() {
    let directory = tempfile::tempdir().unwrap();
    let path = recording(directory.path(), 1_000);
    for command in ["load", "tui", "import"] {
        for stream in ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"] {
            let mut run = Command::new(env!("CARGO_BIN_EXE_rheaper"));
            run.args([command, stream]).stdin(fs::File::open(&path).unwrap());
            let output = run.output().unwrap();
            assert_eq!(output.status.code(), Some(2), "{command} {stream}: {output:?}");
            assert!(stderr(&output).contains("-o"), "{}", stderr(&output));
        }
    }
    let mut run = Command::new(env!("CARGO_BIN_EXE_rheaper"));
    let database = directory.path().join("heap.db");
    run.args(["load", "/dev/stdin", "-o"]).arg(&database);
    let output = run.stdin(fs::File::open(&path).unwrap()).output().unwrap();
    assert!(output.status.success() && database.exists(), "{output:?}");
}

#[test]
fn a_moment_behind_the_end_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    recording(directory.path(), 1_000);
    assert!(rheaper(directory.path(), &["rip-1", "heap.db"]).status.success());
    for moments in ["10h..20h", "start..20h", "0ns..9h"] {
        let output = rheaper(directory.path(), &["diff", "heap.db", "--between", moments]);
        assert_eq!(output.status.code(), Some(1), "{moments}: {output:?}");
        assert!(stderr(&output).contains("after the end"), "{}", stderr(&output));
    }
    let output = rheaper(directory.path(), &["diff", "heap.db", "--between", "start..end"]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn the_demo_removes_what_it_made_unless_it_is_to_keep_it() {
    for keep in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_rheaper"));
        command.args(["demo", "--duration", "100ms"]).args(keep.then_some("--keep"));
        command.env("TMPDIR", directory.path()).stdin(Stdio::null());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(names(directory.path()).len(), usize::from(keep), "{output:?}");
        assert_eq!(stderr(&output).contains("kept: "), keep);
    }
}

#[test]
fn formats_that_this_build_can_not_write_are_not_offered() {
    let output = rheaper(Path::new("."), &["export", "--help"]);
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    let offered = help.split("Examples:").next().unwrap().contains("- parquet:");
    assert_eq!(offered, cfg!(feature = "parquet"), "{help}");
}

/// A demo's recording, loaded.
fn demo(directory: &Path) -> PathBuf {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rheaper"));
    command.args(["demo", "--duration", "3s", "--keep"]).env("TMPDIR", directory);
    assert!(command.stdin(Stdio::null()).output().unwrap().status.success());
    let kept = directory.join(&names(directory)[0]);
    let database = names(&kept).into_iter().find(|name| name.ends_with(".db")).unwrap();
    kept.join(database)
}

#[test]
fn the_demo_s_cache_is_not_freed_at_shutdown_and_pprof_shows_its_functions() {
    let directory = tempfile::tempdir().unwrap();
    let database = demo(directory.path());
    let connection = rusqlite::Connection::open(&database).unwrap();
    let sql = "SELECT group_concat(sentence, char(10)) FROM suspects
               WHERE label = 'freed at shutdown' AND live_blocks > 100";
    let wrong: Option<String> = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(wrong, None);

    let profile = directory.path().join("heap.pb.gz");
    let arguments = ["export", database.to_str().unwrap(), "-f", "pprof", "-o"];
    let mut export = arguments.to_vec();
    export.push(profile.to_str().unwrap());
    assert!(rheaper(directory.path(), &export).status.success());
    let mut pprof = Command::new("go");
    let top = crate::export::stacks::tool(
        pprof.args(["tool", "pprof", "-sample_index=alloc_space", "-top"]).arg(&profile),
    );
    let flat: Vec<&str> = top.lines().skip_while(|line| !line.contains("flat%")).skip(1).collect();
    assert!(flat[0].contains("demo::"), "{top}");
    let is_library = |line: &&&str| {
        let is_flat = !line.trim_start().starts_with("0 ");
        is_flat && [" alloc::", " core::", " std::"].iter().any(|library| line.contains(library))
    };
    assert!(flat.iter().take(3).filter(is_library).count() == 0, "{top}");
}

#[test]
fn a_recording_that_a_profiler_attached_for_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let text = "v 10400 2\nX ./server\nA\nI 1000 5e2991\ns main\ni 55b500000010 0 1\nt 1 0\n\
                a 40 1\nc 0\n+ 0\n+ 0\nc 5\n- 0\n";
    fs::write(directory.path().join("heaptrack.txt"), text).unwrap();
    let output = rheaper(directory.path(), &["import", "heaptrack.txt", "-o", "heap.db"]);
    assert!(output.status.success(), "{output:?}");
    assert!(stderr(&output).contains("attached"), "{}", stderr(&output));
    let report = rheaper(directory.path(), &["report", "heap.db"]);
    assert!(String::from_utf8_lossy(&report.stdout).contains("attached"), "{report:?}");
}
