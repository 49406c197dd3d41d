//! Finds a source file by the path that the compiler recorded, and reads the lines around a line.
//!
//! Reads: files. Writes: [`Source`] with sanitized text.
//!
//! Invariant: only regular files are read, at most [`FILE_MAX_BYTES`] of each.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::database::text::sanitize;
use crate::tui::app::message::Source;

/// Bytes of a file that are read.
pub const FILE_MAX_BYTES: u64 = 8 << 20;

/// Lines that are read before and after the requested line.
const AROUND: usize = 2000;

/// Characters of a line that are read.
const COLUMNS_MAX: usize = 400;

/// Reads the lines around `line` of `file`: at the recorded path, or relative to the working
/// directory or the database's directory, or in the library source of a toolchain.
pub fn read(file: &str, line: u32, database: &Path) -> Source {
    let places = places(file, database);
    let Some(path) = places.iter().find(|path| is_file(path)) else {
        return Source {
            problem: format!("{} does not exist on this machine", sanitize::line(file)),
            ..Source::default()
        };
    };
    match text(path) {
        Ok(text) => excerpt(path, &text, line),
        Err(error) => Source {
            problem: format!("{}: {error}", sanitize::line(&path.to_string_lossy())),
            ..Source::default()
        },
    }
}

/// The path of a source file on this machine, if it exists.
pub fn find(file: &Path, database: &Path) -> Option<PathBuf> {
    let places = places(&file.to_string_lossy(), database);
    places.into_iter().find(|path| is_file(path))
}

fn places(file: &str, database: &Path) -> Vec<PathBuf> {
    let path = Path::new(file);
    let mut places = vec![path.to_owned()];
    if path.is_relative() {
        places.extend(database.parent().map(|directory| directory.join(path)));
    }
    // Releases of the standard library record /rustc/<commit>/library/… as the path.
    if let Some(rest) = file.strip_prefix("/rustc/")
        && let Some((_, library)) = rest.split_once('/')
    {
        let toolchains = toolchains().into_iter();
        places.extend(toolchains.map(|it| it.join("lib/rustlib/src/rust").join(library)));
    }
    places
}

/// The toolchains in `RUSTUP_HOME` or `~/.rustup`.
fn toolchains() -> Vec<PathBuf> {
    let home = std::env::var_os("RUSTUP_HOME").map(PathBuf::from);
    let usual = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".rustup"));
    let Some(rustup) = home.or_else(usual) else {
        return Vec::new();
    };
    let Ok(entries) = fs::read_dir(rustup.join("toolchains")) else {
        return Vec::new();
    };
    entries.flatten().map(|entry| entry.path()).collect()
}

fn is_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|it| it.is_file())
}

fn text(path: &Path) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn excerpt(path: &Path, text: &str, line: u32) -> Source {
    let first = (line as usize).saturating_sub(AROUND).max(1);
    let lines: Vec<String> = text
        .lines()
        .skip(first - 1)
        .take(2 * AROUND)
        .map(|line| {
            let line = sanitize::block(line).replace('\t', "    ");
            line.chars().take(COLUMNS_MAX).collect()
        })
        .collect();
    let missing = lines.len() + first <= line as usize;
    Source {
        path: Some(path.to_owned()),
        problem: match missing {
            true => format!("the file has no line {line}: it has changed since the build"),
            false => String::new(),
        },
        first_line: first as u32,
        lines,
    }
}
