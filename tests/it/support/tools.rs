//! Readers that are not ours and come from elsewhere: `.ci/run` puts them into `target/tools`.
//!
//! A test without its tool fails where `CI` is set, and elsewhere says that it was skipped.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::export::stacks::tool;

/// A file of `target/tools`, or `None` where it is missing and may be.
pub(crate) fn file(name: &str) -> Option<PathBuf> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools").join(name);
    if file.exists() {
        return Some(file);
    }
    let how = format!("{} is missing: tests/tools/install makes it", file.display());
    assert!(std::env::var_os("CI").is_none(), "{how}");
    // Not by a macro: the output of a test that passes is not shown.
    let _ = writeln!(std::io::stderr(), "SKIPPED, {how}");
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
