//! Other users of the machine, and programs that have more rights than who starts them.
//!
//! Becoming somebody else takes root; without it the tests here say that they were skipped.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::programs::{RELEASE, build, finish, lines};

const DEADLINE: Duration = Duration::from_secs(60);

/// Who records, and who should not be able to do anything about it. Neither needs a name.
const OWNER: u32 = 61_001;
const STRANGER: u32 = 61_002;

fn is_root() -> bool {
    // SAFETY: no arguments, can't fail.
    let is_root = unsafe { libc::geteuid() == 0 };
    if !is_root {
        println!("SKIPPED: only root can become another user");
    }
    is_root
}

/// A directory of everybody's, like `/tmp`: what is in it is renamed and removed by its owner only.
fn shared_directory(below: &Path) -> tempfile::TempDir {
    let directory = tempfile::tempdir_in(below).unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    directory
}

/// A copy of a program where everybody can reach it.
fn copied(program: &Path, into: &Path) -> PathBuf {
    let copy = into.join(program.file_name().unwrap());
    fs::copy(program, &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    copy
}

fn as_user(user: u32, program: &Path, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.uid(user).gid(user).current_dir(directory).env("RECORD_INTO", directory);
    command
}

/// What stands at the names that the owner's recording would have, for a while to come.
fn plant(names: impl Iterator<Item = PathBuf>, target: &Path) {
    for (nth, path) in names.enumerate() {
        match nth % 4 {
            0 => symlink(target, &path).unwrap(),
            1 => symlink(path.with_extension("nowhere"), &path).unwrap(),
            2 => fs::create_dir(&path).unwrap(),
            _ => fs::write(&path, "the stranger's").unwrap(),
        }
        std::os::unix::fs::lchown(&path, Some(STRANGER), Some(STRANGER)).unwrap();
    }
}

#[test]
fn a_stranger_can_neither_take_a_recording_s_place_nor_read_it() {
    if !is_root() {
        return;
    }
    let shared = shared_directory(&std::env::temp_dir());
    let directory = shared.path();
    let program = copied(&build("programs", "lives", RELEASE), directory);
    let rheaper = copied(Path::new(env!("CARGO_BIN_EXE_rheaper")), directory);
    let target = directory.join("target");
    fs::write(&target, "not yours").unwrap();
    chown(&target, Some(OWNER), Some(OWNER)).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    plant((now..now + 300).map(|second| directory.join(format!("rip-{second}"))), &target);

    let mut command = as_user(OWNER, &program, directory);
    command.arg("exit");
    let recording = PathBuf::from(&lines(&finish(command, DEADLINE))[0]);
    assert!(recording.to_str().unwrap().ends_with("-2"), "{}", recording.display());
    let found = fs::symlink_metadata(&recording).unwrap();
    assert!(found.is_file());
    assert_eq!((found.uid(), found.mode() & 0o777), (OWNER, 0o600));
    assert_eq!(fs::read_to_string(&target).unwrap(), "not yours");
    assert!(fs::read_dir(directory).unwrap().all(|entry| {
        let entry = entry.unwrap().path();
        entry.extension().is_none_or(|extension| extension != "nowhere")
    }));

    // The owner makes a database of it, the stranger nothing.
    let (theirs, stolen) = (directory.join("theirs.db"), directory.join("stolen.db"));
    for (user, output, code) in [(OWNER, &theirs, 0), (STRANGER, &stolen, 3)] {
        let mut command = as_user(user, &rheaper, directory);
        command.args([&recording, output]);
        let loaded = finish(command, DEADLINE);
        let said = String::from_utf8_lossy(&loaded.stderr).into_owned();
        assert_eq!(loaded.status.code(), Some(code), "{user}: {said}");
        assert_eq!(output.exists(), code == 0, "{user}");
        assert!(code == 0 || said.contains("no permission to read"), "{said}");
    }
    assert_eq!(fs::metadata(&theirs).unwrap().mode() & 0o777, 0o600);
    let mut command = as_user(STRANGER, &rheaper, directory);
    command.arg("report").arg(&theirs);
    let refused = finish(command, DEADLINE);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(3), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
}

/// Whether the environment began a recording in a program of the owner's that a stranger starts;
/// `None` where the file system gives nobody a file's rights.
fn begins(program: &Path, directory: &Path, mode: u32) -> Option<bool> {
    chown(program, Some(OWNER), Some(OWNER)).unwrap();
    fs::set_permissions(program, fs::Permissions::from_mode(mode)).unwrap();
    let mut command = as_user(STRANGER, program, directory);
    command.arg("environment").env("RECORD_NOW", "on");
    let said = lines(&finish(command, DEADLINE));
    let (started, secure) = said[0].split_once(' ').unwrap();
    let is_secure = secure != "0";
    (is_secure == (mode & 0o4000 != 0)).then_some(started == "1")
}

#[test]
fn the_environment_does_not_speak_to_a_program_with_more_rights_than_its_caller() {
    if !is_root() {
        return;
    }
    let built = build("programs", "control", RELEASE);
    // Some of these may be mounted without set-user-id, or lie where a stranger can't go.
    for place in [env!("CARGO_TARGET_TMPDIR"), "/var/tmp", "/tmp"] {
        let shared = shared_directory(Path::new(place));
        let program = copied(&built, shared.path());
        if as_user(STRANGER, Path::new("/bin/true"), shared.path()).status().is_err() {
            continue;
        }
        assert_eq!(begins(&program, shared.path(), 0o755), Some(true));
        let _ = fs::remove_file(shared.path().join("record"));
        if let Some(begins) = begins(&program, shared.path(), 0o4755) {
            assert!(!begins, "the environment began a recording in somebody else's name");
            return;
        }
    }
    println!("SKIPPED: no directory here lets a program have its owner's rights");
}
