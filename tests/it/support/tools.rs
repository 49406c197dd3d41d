//! Readers that are not ours and come from elsewhere: `.ci/run` puts them into `target/tools`.
//!
//! A test without its tool fails where `CI` is set, and elsewhere says that it was skipped.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use crate::export::stacks::tool;

/// Debian's package of a tool whose package has another name.
const PACKAGES: [(&str, &str); 5] = [
    ("addr2line", "binutils"),
    ("go", "golang-go"),
    ("heaptrack_print", "heaptrack"),
    ("node", "nodejs"),
    ("/usr/libexec/valgrind/dh_view.js", "valgrind"),
];

/// How to get each missing tool, with the number of checks that were skipped without it.
static MISSING: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());

/// Whether these programs or files exist. Otherwise the check is skipped and counted for the closing
/// line of the run; under `CI` it fails.
pub(crate) fn has(tools: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_here = |tool: &str| {
        Path::new(tool).is_absolute() && Path::new(tool).exists()
            || std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
    };
    match tools.iter().find(|tool| !is_here(tool)) {
        Some(tool) => {
            let package = PACKAGES.iter().find(|(name, _)| name == tool).map_or(*tool, |it| it.1);
            skip(&format!("apt-get install {package}"));
            false
        }
        None => true,
    }
}

/// Counts a skipped check, with the remedy that would let it run.
pub(crate) fn skip(remedy: &str) {
    assert!(std::env::var_os("CI").is_none(), "a tool of this test is missing: {remedy}");
    let mut missing = MISSING.lock().unwrap();
    if missing.is_empty() {
        // SAFETY: `report` is a function of this program that touches only its own static.
        unsafe { libc::atexit(report) };
    }
    *missing.entry(remedy.to_owned()).or_default() += 1;
}

extern "C" fn report() {
    let Ok(missing) = MISSING.lock() else { return };
    let all: usize = missing.values().sum();
    let remedies: Vec<String> =
        missing.iter().map(|(remedy, count)| format!("{remedy} ({count})")).collect();
    // Written directly, because the test harness captures the output of the macros.
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED {all} checks that need other tools; .ci/run installs them all, or: {}",
        remedies.join(", ")
    );
}

/// A file of `target/tools`, or `None` where it is missing and may be.
pub(crate) fn file(name: &str) -> Option<PathBuf> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools").join(name);
    if file.exists() {
        return Some(file);
    }
    skip("tests/tools/install");
    None
}

/// Runs a Python script of `tests/tools` with the packages it needs; `None` as [`file`].
pub(crate) fn python(script: &str, arguments: &[&Path]) -> Option<String> {
    python_of(&format!("tests/tools/{script}"), arguments)
}

/// The same for a script anywhere in the package.
pub(crate) fn python_of(script: &str, arguments: &[&Path]) -> Option<String> {
    let python = file("python/bin/python")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    Some(tool(Command::new(python).arg(script).args(arguments)))
}

/// Checks a JSON file against a published schema.
pub(crate) fn validate(json: &Path, schema: &str) {
    if let Some(schema) = file(schema) {
        python("validate.py", &[json, &schema]);
    }
}
