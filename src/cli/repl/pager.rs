//! Long answers go through a pager, short ones stay on the screen.
//!
//! Reads: `RHEAPER_PAGER`, else `PAGER`, else `less`. Writes: to the terminal or the pager.
//!
//! Invariants:
//! - Nothing but a screenful is held: a longer answer streams into the pager.
//! - Leaving the pager looks like a closed pipe to the query, which then ends.

use std::io::{self, Write};
use std::process::{Child, Command, Stdio};

/// Collects up to a screenful, then starts the pager.
pub(super) struct Pager {
    held: Vec<u8>,
    lines: usize,
    height: usize,
    target: Target,
}

enum Target {
    /// It still fits the screen.
    Undecided,
    /// The pager runs.
    Pager(Child),
    /// There is no pager.
    Screen,
}

impl Pager {
    /// For a screen of so many lines.
    pub(super) fn new(height: usize) -> Self {
        Self {
            held: Vec::new(),
            lines: 0,
            height: height.saturating_sub(2),
            target: Target::Undecided,
        }
    }

    /// Prints what is held, and waits until the user has left the pager.
    pub(super) fn close(mut self) -> io::Result<()> {
        match &mut self.target {
            Target::Undecided | Target::Screen => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(&self.held)?;
                stdout.flush()
            }
            Target::Pager(child) => {
                drop(child.stdin.take());
                child.wait().map(|_| ())
            }
        }
    }

    fn decide(&mut self) -> io::Result<()> {
        self.target = match start() {
            Some(child) => Target::Pager(child),
            None => Target::Screen,
        };
        let held = std::mem::take(&mut self.held);
        self.pass_on(&held)
    }

    fn pass_on(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.target {
            Target::Pager(Child { stdin: Some(stdin), .. }) => stdin.write_all(bytes),
            _ => io::stdout().lock().write_all(bytes),
        }
    }
}

impl Write for Pager {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !matches!(self.target, Target::Undecided) {
            self.pass_on(bytes)?;
            return Ok(bytes.len());
        }
        self.held.extend_from_slice(bytes);
        self.lines += bytes.iter().filter(|byte| **byte == b'\n').count();
        if self.lines > self.height {
            self.decide()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.target {
            Target::Pager(Child { stdin: Some(stdin), .. }) => stdin.flush(),
            _ => Ok(()),
        }
    }
}

/// The user's pager. Through a shell, as `PAGER` may have arguments.
fn start() -> Option<Child> {
    let set = |name| std::env::var(name).ok();
    let pager = set("RHEAPER_PAGER").or_else(|| set("PAGER")).unwrap_or_else(|| "less".to_owned());
    if pager.trim().is_empty() {
        return None;
    }
    let mut command = Command::new("sh");
    command.args(["-c", &pager]).stdin(Stdio::piped());
    if std::env::var_os("LESS").is_none() {
        // Long lines are cut, not wrapped; what was read stays on the screen.
        command.env("LESS", "RSX");
    }
    command.spawn().ok()
}
