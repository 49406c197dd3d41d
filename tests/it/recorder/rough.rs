//! What programs do to those who live inside them: signals on alternate stacks, and descriptors that
//! are closed whoever they belong to. The program goes on, its files are its own, and what was
//! recorded is in the recording.

use std::fs;
use std::process::Command;

use rheaper::loader::Ending;

use crate::recorder::fault_injection::Scene;
use crate::support::programs::{RELEASE, WITHOUT_OWN_DESCRIPTORS, build, figure, scaled};

#[test]
fn signals_come_while_a_handler_on_an_alternate_stack_allocates() {
    let count = (scaled(40_000)).min(400_000).to_string();
    for scene in ["alternate-stack", "alternate-stack-within"] {
        let scene = Scene::play("rough", &[scene, &count]);
        let loaded = scene.load(&scene.recording());
        assert_eq!(loaded.summary.ending, Ending::Sealed);
        loaded.has_all(scene.numbers(1)[0]);
    }
    figure("handlers on alternate stacks that others interrupt", &format!("2 × {count}"));
}

/// A kernel that has no descriptors for one thread alone, if `shared`.
fn closes(words: &[&str], shared: bool) -> Scene {
    let program = build("programs", "rough", RELEASE);
    let mut command = if shared {
        let [strace, arguments @ ..] = WITHOUT_OWN_DESCRIPTORS;
        let mut command = Command::new(strace);
        command.args(arguments).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.arg("closes").args(words);
    Scene::of(command)
}

#[test]
fn a_program_that_closes_all_descriptors_keeps_its_files_and_its_recording() {
    let rounds = scaled(2).min(50).to_string();
    for shared in [false, true] {
        for how in ["one by one", "at once", "as listed"] {
            if shared && how == "at once" {
                continue;
            }
            for then in ["", "moves"] {
                let scene = closes(&[how, &rounds, then], shared);
                let loaded = scene.load(&scene.recording());
                assert_eq!(loaded.summary.ending, Ending::Sealed, "{how}, shared: {shared}");
                let told = (loaded.marked(), loaded.live(), loaded.dropped());
                assert_eq!(told, (scene.numbers(1)[0], 0, 0), "{how}, shared: {shared}");
            }
        }
    }
    figure("programs that close all descriptors again and again", &format!("10 × {rounds}"));
}

#[test]
fn where_the_recording_is_gone_nothing_else_is_written_to() {
    for then in ["removes", "replaces", "links"] {
        let scene = closes(&["one by one", "2", then], true);
        let stderr = scene.stderr();
        assert!(stderr.contains("not all"), "{then}: {stderr}");
        let left = fs::read_to_string(scene.recording());
        let expected = match then {
            "removes" => None,
            "replaces" => Some("a stranger's\n"),
            _ => Some("mine\n"),
        };
        assert_eq!(left.ok().as_deref(), expected, "{then}");
    }
}

#[test]
fn a_library_that_was_opened_by_a_relative_path_is_found_from_anywhere() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source.c");
    fs::write(&source, "void twice(void (*f)(void)) { f(); f(); }\n").unwrap();
    let library = directory.path().join("relative.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-O1", "-shared", "-fPIC", "-Wl,--build-id", "-o"]).arg(&library);
    assert!(compiler.arg(&source).status().unwrap().success());
    // The scene runs in a directory beside this one.
    let name = directory.path().file_name().unwrap().to_str().unwrap();
    let relative = format!("../{name}/relative.so");
    let scene = Scene::play("processes", &["libraries", "300", &relative]);
    let loaded = scene.load(&scene.recording());
    let whole = fs::canonicalize(&library).unwrap();
    let sql = format!("SELECT count(*) FROM modules WHERE path = '{}'", whole.display());
    assert!(loaded.one(&sql) > 0);
    assert_eq!(loaded.one("SELECT count(*) FROM modules WHERE path LIKE '..%'"), 0);
}
