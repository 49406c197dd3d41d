//! Programs that are recorded: built once a variant, run with a deadline, their recordings loaded.
//!
//! Reads: the workspaces in `tests/`. Writes: `target/recorded`, or `target/guards/recorded`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// No program here needs a tenth of this; a hang is a failure.
const DEADLINE: Duration = Duration::from_secs(120);

/// How to build a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Variant {
    /// Its folder below `target/recorded`.
    pub(crate) name: &'static str,
    /// Profile, features and the like.
    pub(crate) arguments: &'static [&'static str],
    pub(crate) rustflags: &'static str,
    /// Folder of the profile.
    pub(crate) folder: &'static str,
}

pub(crate) const DEBUG: Variant =
    Variant { name: "plain", arguments: &[], rustflags: "", folder: "debug" };
pub(crate) const RELEASE: Variant =
    Variant { name: "plain", arguments: &["--release"], rustflags: "", folder: "release" };

/// What clocks of two processors that disagree lead to, and what is put right: no loss.
pub(crate) const OF_CLOCKS: [&str; 3] = ["clock_steps_back", "late_events", "reordered_pairs"];

/// Runs a program as on a kernel that can't give a thread descriptors of its own.
pub(crate) const WITHOUT_OWN_DESCRIPTORS: [&str; 9] = [
    "strace",
    "-f",
    "-qq",
    "-o",
    "/dev/null",
    "-e",
    "trace=close_range",
    "-e",
    "inject=close_range:error=ENOSYS",
];

/// Builds `program` of the workspace `tests/<workspace>` and answers its path.
pub(crate) fn build(workspace: &str, program: &str, variant: Variant) -> PathBuf {
    static BUILT: Mutex<Option<HashMap<(String, Variant), PathBuf>>> = Mutex::new(None);
    // One build at a time: they would wait for each other anyway.
    let mut built = BUILT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let known = built.get_or_insert_with(HashMap::new);
    let key = (format!("{workspace}/{program}"), variant);
    known.entry(key).or_insert_with(|| build_now(workspace, program, variant)).clone()
}

fn build_now(workspace: &str, program: &str, variant: Variant) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // A build whose guards can be taken out has its own programs.
    let guards = std::env::var_os("RHEAPER_TEST_GUARDS").is_some();
    let target = root.join(if guards { "target/guards/recorded" } else { "target/recorded" });
    let target = target.join(variant.name);
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--bin", program])
        .args(variant.arguments)
        .arg("--manifest-path")
        .arg(root.join("tests").join(workspace).join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", &target)
        .env("RUSTFLAGS", variant.rustflags)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {variant:?} does not build:\n{said}");
    target.join(variant.folder).join(program)
}

/// Runs a program in `directory`, which is also where it records to, and kills it when it hangs.
pub(crate) fn run(program: &Path, arguments: &[&str], directory: &Path) -> Output {
    run_with(program, arguments, directory, &[])
}

/// The same with more environment.
pub(crate) fn run_with(
    program: &Path,
    arguments: &[&str],
    directory: &Path,
    environment: &[(&str, &str)],
) -> Output {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(directory)
        .env("RECORD_INTO", directory)
        .envs(environment.iter().copied());
    finish(command, DEADLINE)
}

/// Runs a command to its end; one that is not there by the deadline is killed, and a failure.
pub(crate) fn finish(mut command: Command, deadline: Duration) -> Output {
    let child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let id = child.id();
    let (done, waiting) = std::sync::mpsc::channel();
    let watchdog = std::thread::spawn(move || {
        if waiting.recv_timeout(deadline).is_err() {
            println!("{}", stacks(id));
            // SAFETY: the child is waited for below, so its id is still its own.
            unsafe { libc::kill(id.cast_signed(), libc::SIGKILL) };
        }
    });
    let began = Instant::now();
    let output = child.wait_with_output().unwrap();
    let _ = done.send(());
    watchdog.join().unwrap();
    assert!(began.elapsed() < deadline, "{command:?} hangs");
    output
}

/// Where each thread of a process that hangs stands, as far as the machine can say.
fn stacks(process: u32) -> String {
    let told = Command::new("gdb")
        .args(["-p", &process.to_string(), "-batch", "-ex", "thread apply all bt"])
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    told.unwrap_or_else(|_| {
        let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten();
        let places = tasks.flatten().map(|task| {
            let read = |name| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
            format!("{} in {}", read("comm").trim(), read("syscall").trim())
        });
        places.collect::<Vec<_>>().join("\n")
    })
}

/// A count of the usual tests, times what `RELIABILITY_SCALE` says: 1 at each commit, 100 for
/// the full figures of docs/internals/RELIABILITY.md.
pub(crate) fn scaled(count: u64) -> u64 {
    let scale = std::env::var("RELIABILITY_SCALE").ok().and_then(|scale| scale.parse::<u64>().ok());
    count * scale.unwrap_or(1)
}

/// Says what came of a count, for the table of docs/internals/RELIABILITY.md. `RELIABILITY_FIGURES` names a
/// file that is added to.
pub(crate) fn figure(what: &str, result: &str) {
    println!("{what}: {result}");
    if let Some(path) = std::env::var_os("RELIABILITY_FIGURES") {
        use std::io::Write;
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        file.unwrap().write_all(format!("| {what} | {result} |\n").as_bytes()).unwrap();
    }
}

/// The lines that a program printed, of a run that ended well.
pub(crate) fn lines(output: &Output) -> Vec<String> {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {said}", output.status);
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// Runs this package's command.
pub(crate) fn rheaper(arguments: &[&str], directory: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rheaper"))
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Loads a recording into `<recording>.db` and answers that path.
pub(crate) fn load(recording: &Path) -> PathBuf {
    let database = recording.with_extension("db");
    let directory = recording.parent().unwrap();
    let output = rheaper(&[recording.to_str().unwrap(), database.to_str().unwrap()], directory);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "loading failed: {said}");
    database
}

/// The rows of a statement, as the `sqlite3` shell prints them.
pub(crate) fn sqlite3(database: &Path, sql: &str) -> Vec<String> {
    use rusqlite::types::ValueRef;
    let connection = rusqlite::Connection::open(database).unwrap();
    let failed = |error: rusqlite::Error| -> ! { panic!("{sql}: {error}") };
    if sql.trim_end().trim_end_matches(';').contains(';') {
        connection.execute_batch(sql).unwrap_or_else(|error| failed(error));
        return Vec::new();
    }
    let mut statement = connection.prepare(sql).unwrap_or_else(|error| failed(error));
    let columns = statement.column_count();
    let mut found = statement.query([]).unwrap_or_else(|error| failed(error));
    let mut rows = Vec::new();
    while let Some(row) = found.next().unwrap_or_else(|error| failed(error)) {
        let cell = |at| match row.get_ref(at).unwrap() {
            ValueRef::Null => String::new(),
            ValueRef::Integer(number) => number.to_string(),
            ValueRef::Real(number) => format!("{number:?}"),
            ValueRef::Text(text) | ValueRef::Blob(text) => {
                String::from_utf8_lossy(text).into_owned()
            }
        };
        rows.push((0..columns).map(cell).collect::<Vec<_>>().join("|"));
    }
    rows
}

/// One number out of a database.
pub(crate) fn number(database: &Path, sql: &str) -> f64 {
    let rows = sqlite3(database, sql);
    rows.first().and_then(|row| row.parse().ok()).unwrap_or_else(|| panic!("{sql}: {rows:?}"))
}
