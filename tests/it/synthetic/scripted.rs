//! Recordings whose frames have any names, files and objects: in heaptrack's format, which carries
//! them along.

use std::collections::HashMap;
use std::fmt::Write;

use rheaper::loader::{LoadOptions, import};
use rusqlite::Connection;

/// The path of the recorded program.
pub const PROGRAM: &str = "/srv/app";

/// A recording built event by event.
pub struct Scripted {
    text: String,
    strings: HashMap<String, usize>,
    calls: HashMap<String, usize>,
    traces: HashMap<Vec<usize>, usize>,
    blocks: HashMap<(u64, usize), usize>,
    now_ms: u64,
}

impl Scripted {
    pub fn new() -> Self {
        let mut scripted = Self {
            text: format!("v 10400 3\nX {PROGRAM}\n"),
            strings: HashMap::new(),
            calls: HashMap::new(),
            traces: HashMap::new(),
            blocks: HashMap::new(),
            now_ms: 0,
        };
        scripted.string(PROGRAM);
        scripted
    }

    fn string(&mut self, text: &str) -> usize {
        let next = self.strings.len() + 1;
        if let Some(known) = self.strings.get(text) {
            return *known;
        }
        writeln!(self.text, "s {:x} {text}", text.len()).unwrap();
        self.strings.insert(text.to_owned(), next);
        next
    }

    /// `name`, `name @ file:line`, `name @ file:line in object`, `name in object`.
    fn call(&mut self, frame: &str) -> usize {
        let next = self.calls.len() + 1;
        if let Some(known) = self.calls.get(frame) {
            return *known;
        }
        let (rest, object) = frame.split_once(" in ").unwrap_or((frame, PROGRAM));
        let (name, place) = rest.split_once(" @ ").unwrap_or((rest, ""));
        let (file, line) = place.rsplit_once(':').unwrap_or((place, "0"));
        let (module, name) = (self.string(object), self.string(name));
        let file = if file.is_empty() { 0 } else { self.string(file) };
        let line: u64 = line.parse().unwrap();
        let address = 0x1000 + next * 16;
        writeln!(self.text, "i {address:x} {module:x} {name:x} {file:x} {line:x}").unwrap();
        self.calls.insert(frame.to_owned(), next);
        next
    }

    /// A stack, innermost first.
    fn trace(&mut self, frames: &[&str]) -> usize {
        let calls: Vec<usize> = frames.iter().map(|frame| self.call(frame)).collect();
        let mut parent = 0;
        for from in (0..calls.len()).rev() {
            let next = self.traces.len() + 1;
            parent = match self.traces.get(&calls[from..]) {
                Some(known) => *known,
                None => {
                    writeln!(self.text, "t {:x} {parent:x}", calls[from]).unwrap();
                    self.traces.insert(calls[from..].to_vec(), next);
                    next
                }
            };
        }
        parent
    }

    fn block(&mut self, frames: &[&str], size: u64) -> usize {
        let trace = self.trace(frames);
        let next = self.blocks.len();
        match self.blocks.get(&(size, trace)) {
            Some(known) => *known,
            None => {
                writeln!(self.text, "a {size:x} {trace:x}").unwrap();
                self.blocks.insert((size, trace), next);
                next
            }
        }
    }

    /// A block is made on this stack, innermost frame first.
    pub fn make(&mut self, frames: &[&str], size: u64) {
        let block = self.block(frames, size);
        writeln!(self.text, "+ {block:x}").unwrap();
    }

    /// A block of such a stack and size is freed.
    pub fn free(&mut self, frames: &[&str], size: u64) {
        let block = self.block(frames, size);
        writeln!(self.text, "- {block:x}").unwrap();
    }

    /// Time passes.
    pub fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
        writeln!(self.text, "c {:x}", self.now_ms).unwrap();
    }

    /// The database that comes of it, with these rules of the user's.
    pub fn load(&self, kinds: Option<&str>) -> (tempfile::TempDir, Connection) {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("scripted"), &self.text).unwrap();
        let mut options = LoadOptions::default();
        if let Some(text) = kinds {
            std::fs::write(path("rules"), text).unwrap();
            options.kinds.push(path("rules"));
        }
        import(&path("scripted"), &path("db"), &options, &mut ()).unwrap();
        let connection = Connection::open(path("db")).unwrap();
        (directory, connection)
    }
}
