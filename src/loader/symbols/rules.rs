//! The user's rules for the kinds of frames: files with lines `kind pattern`, which
//! docs/reference/SCHEMA.md describes.
//!
//! Invariant: the first rule that matches decides.

use std::fs;
use std::path::PathBuf;

use crate::loader::api::error::LoadError;
use crate::loader::symbols::Frame;
use crate::loader::symbols::kind::Kind;

/// The key of the rules in `meta`, so that names can be resolved again with the same rules.
pub(crate) const META_KINDS: &str = "kinds";

/// Limit on the size of a file.
const BYTES_MAX: u64 = 1 << 20;

/// Rules in the order of precedence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    rules: Vec<(Kind, String)>,
}

impl Rules {
    /// Reads files, in the order of precedence.
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

    /// Adds the rules of a text.
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
                    "line {number}: expected `kind pattern` with the kind own, dependency, std or runtime"
                )
            })?);
        }
        Ok(())
    }

    /// The rules as text that [`Rules::add`] reads; empty without rules.
    pub(crate) fn text(&self) -> String {
        let lines =
            self.rules.iter().map(|(kind, pattern)| format!("{} {pattern}\n", kind.label()));
        lines.collect()
    }

    /// The kind of a frame by the first rule that matches. `module` is the path of its module.
    pub(crate) fn of(&self, frame: &Frame, module: &str) -> Option<Kind> {
        let found = self.rules.iter().find(|(_, pattern)| matches(pattern, frame, module));
        found.map(|(kind, _)| *kind)
    }
}

/// A pattern with a `/` is part of the path of a source file or module; any other one is a crate, a
/// path of Rust modules that a name begins with, or the file name of a module. `*` is any text.
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

/// Whether a text matches a pattern with `*` for any text.
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
    fn stars_match_any_text() {
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
