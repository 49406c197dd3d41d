//! What the user says about whose code a frame is.
//!
//! Reads: files of lines `kind pattern`. Writes: [`Rules`]. docs/SCHEMA.md has the format.
//!
//! Invariant: the first line that matches decides, so that files are read from the nearest one on.

use std::fs;
use std::path::PathBuf;

use crate::loader::error::LoadError;
use crate::loader::symbols::Frame;
use crate::loader::symbols::kind::Kind;

/// Where `meta` keeps the rules, so that names can be resolved again with the same.
pub(crate) const KINDS_FACT: &str = "kinds";

/// No file of rules is longer.
const BYTES_MAX: u64 = 1 << 20;

/// The user's rules, the first one that matches first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    rules: Vec<(Kind, String)>,
}

impl Rules {
    /// From files, the first one first.
    pub(crate) fn read(files: &[PathBuf]) -> Result<Self, LoadError> {
        let mut all = Self::default();
        for file in files {
            let refuse = |what: &str| LoadError::rules(file, what);
            let bytes = fs::metadata(file).map_err(|error| refuse(&error.to_string()))?.len();
            if bytes > BYTES_MAX {
                return Err(refuse("longer than 1 MiB"));
            }
            let text = fs::read_to_string(file).map_err(|error| refuse(&error.to_string()))?;
            all.add(&text).map_err(|what| refuse(&what))?;
        }
        Ok(all)
    }

    /// Takes the lines of a text.
    pub(crate) fn add(&mut self, text: &str) -> Result<(), String> {
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let rule = line.split_once(char::is_whitespace).and_then(|(kind, pattern)| {
                let pattern = pattern.trim();
                (!pattern.is_empty()).then_some((Kind::parse(kind)?, pattern.to_owned()))
            });
            self.rules.push(rule.ok_or_else(|| {
                format!(
                    "line {number}: wanted is `kind pattern` with own, dependency, std or runtime as kind"
                )
            })?);
        }
        Ok(())
    }

    /// The rules as text, which gives the same rules again; empty if there is none.
    pub(crate) fn text(&self) -> String {
        let lines =
            self.rules.iter().map(|(kind, pattern)| format!("{} {pattern}\n", kind.label()));
        lines.collect()
    }

    /// What the user says of a frame, if anything. `module` is the path of its object.
    pub(crate) fn of(&self, frame: &Frame, module: &str) -> Option<Kind> {
        let found = self.rules.iter().find(|(_, pattern)| matches(pattern, frame, module));
        found.map(|(kind, _)| *kind)
    }
}

/// A pattern with a `/` is a part of the path of a source file or an object; any other one is a
/// crate, a path of modules that a name begins with, or the file name of an object. `*` is any text.
fn matches(pattern: &str, frame: &Frame, module: &str) -> bool {
    if pattern.contains('/') {
        let within = format!("*{pattern}*");
        return frame.file.as_deref().is_some_and(|file| glob(&within, file))
            || glob(&within, module);
    }
    let begins = pattern.trim_end_matches("::");
    let name = frame.sym.trim_start_matches(['<', '&']);
    let object = module.rsplit('/').next().unwrap_or(module);
    frame.krate.as_deref().is_some_and(|krate| glob(begins, krate))
        || glob(begins, name)
        || glob(&format!("{begins}::*"), name)
        || glob(pattern, object)
}

/// Whether `*` of the pattern can stand for what the text has in its place.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(index) => rest = &rest[index + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use crate::loader::symbols::rules::glob;

    #[test]
    fn stars_stand_for_any_text() {
        let cases = [
            ("tokio", "tokio", true),
            ("tokio", "tokio_util", false),
            ("tokio*", "tokio_util", true),
            ("*", "", true),
            ("a*b*c", "a--b--c", true),
            ("a*b*c", "a--c--b", false),
            ("*/gen/*", "/x/gen/y.rs", true),
            ("ab*ba", "aba", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }
}
