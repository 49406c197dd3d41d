//! Prints short results directly and long ones through a pager: `RHEAPER_PAGER`, else `PAGER`, else
//! `less`.
//!
//! Invariants:
//! - At most a screenful is buffered; a longer result streams into the pager.
//! - When the user quits the pager, writes fail with a broken pipe, which ends the query.

use std::io::{self, Write};
use std::process::{Child, Command, Stdio};

/// Buffers up to a screenful, then starts the pager.
pub(super) struct Pager {
    buffer: Vec<u8>,
    lines: usize,
    height: usize,
    target: Target,
}

enum Target {
    /// The output still fits the screen.
    Undecided,
    /// The pager is running.
    Pager(Child),
    /// No pager could be started.
    Screen,
}

impl Pager {
    /// A pager for a screen of `height` lines.
    pub(super) fn new(height: usize) -> Self {
        Self {
            buffer: Vec::new(),
            lines: 0,
            height: height.saturating_sub(2),
            target: Target::Undecided,
        }
    }

    /// Prints the buffer, or waits until the user quits the pager.
    pub(super) fn close(mut self) -> io::Result<()> {
        match &mut self.target {
            Target::Undecided | Target::Screen => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(&self.buffer)?;
                stdout.flush()
            }
            Target::Pager(child) => {
                drop(child.stdin.take());
                child.wait().map(|_| ())
            }
        }
    }

    fn start_pager(&mut self) -> io::Result<()> {
        self.target = match start() {
            Some(child) => Target::Pager(child),
            None => Target::Screen,
        };
        let buffer = std::mem::take(&mut self.buffer);
        self.forward(&buffer)
    }

    fn forward(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.target {
            Target::Pager(Child { stdin: Some(stdin), .. }) => stdin.write_all(bytes),
            _ => io::stdout().lock().write_all(bytes),
        }
    }
}

impl Write for Pager {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !matches!(self.target, Target::Undecided) {
            self.forward(bytes)?;
            return Ok(bytes.len());
        }
        self.buffer.extend_from_slice(bytes);
        self.lines += bytes.iter().filter(|byte| **byte == b'\n').count();
        if self.lines > self.height {
            self.start_pager()?;
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

/// Starts the user's pager, through a shell because `PAGER` may have arguments.
fn start() -> Option<Child> {
    let set = |name| std::env::var(name).ok();
    let pager = set("RHEAPER_PAGER").or_else(|| set("PAGER")).unwrap_or_else(|| "less".to_owned());
    if pager.trim().is_empty() {
        return None;
    }
    let mut command = Command::new("sh");
    command.args(["-c", &pager]).stdin(Stdio::piped());
    if std::env::var_os("LESS").is_none() {
        // Cut long lines, and keep the text on the screen after quitting.
        command.env("LESS", "RSX");
    }
    command.spawn().ok()
}
