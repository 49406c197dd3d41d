//! Runs effects: clipboard, editors, files, suspension.
//!
//! Reads: [`Effect`]s. Writes: the terminal and the user's files; results are messages.
//!
//! Invariants:
//! - Only the user's state files are written, and what the user asked to write.
//! - Another program runs only after the terminal was restored and the reading of keys paused.

use std::env;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crossterm::Command as _;
use crossterm::clipboard::CopyToClipboard;

use crate::tui::app::message::{Effect, Message};
use crate::tui::app::source;
use crate::tui::app::worker::Workers;
use crate::tui::input::event_thread::EventThread;
use crate::tui::terminal::terminal_guard::{Guard, Mouse, Screen, restore};
use crate::tui::terminal::{signals, user_files};

/// Maximum bytes to copy: terminals ignore longer OSC 52 sequences.
const COPY_MAX: usize = 100_000;

/// Resources of effects: terminal, event thread and workers.
#[derive(Debug)]
pub(crate) struct EffectRunner {
    database: PathBuf,
    guard: Guard,
    input: EventThread,
    workers: Workers,
    mouse: Mouse,
}

impl EffectRunner {
    /// Combines them.
    pub(crate) fn new(
        database: &Path,
        guard: Guard,
        input: EventThread,
        workers: Workers,
        mouse: Mouse,
    ) -> Self {
        Self { database: database.to_owned(), guard, input, workers, mouse }
    }

    /// The screen to draw on.
    pub(crate) fn screen(&mut self) -> &mut Screen {
        &mut self.guard.screen
    }

    /// Runs an effect; returns the resulting message, if any.
    ///
    /// # Errors
    /// When the terminal can no longer be used.
    pub(crate) fn run(&mut self, effect: Effect) -> io::Result<Option<Message>> {
        Ok(match effect {
            Effect::Send(request) => {
                self.workers.submit(request);
                None
            }
            Effect::Cancel(id) => {
                self.workers.cancel(id);
                None
            }
            Effect::Copy(text) => self.copy(&text)?,
            Effect::OpenSource(file, line) => self.open(&file, line)?,
            Effect::EditSql(text) => self.edit(&text)?,
            Effect::Accept(line) => error_notice(user_files::append_suppression(&line)),
            Effect::Remember(statement) => error_notice(user_files::append_history(&statement)),
            Effect::SetMouse(mouse) => {
                self.mouse = mouse;
                self.guard.set_mouse(mouse)?;
                None
            }
            Effect::Suspend => {
                self.with_terminal_suspended(signals::stop_group)?;
                None
            }
            Effect::Quit => None,
        })
    }

    /// Copies through the terminal (OSC 52), which works over ssh; a terminal does not report whether it
    /// accepted the text. tmux has a buffer of its own and passes it on (`load-buffer -w`, since 3.2).
    fn copy(&mut self, text: &str) -> io::Result<Option<Message>> {
        if text.len() > COPY_MAX {
            let words = "too large for the clipboard (100 KB at most)";
            return Ok(Some(Message::Notice(words.into())));
        }
        let is_tmux = env::var_os("TMUX").is_some_and(|tmux| !tmux.is_empty());
        if is_tmux && load_tmux_buffer(text) {
            let words = "in tmux's buffer: paste it with prefix ]; the terminal was sent it too";
            return Ok(Some(Message::Notice(words.into())));
        }
        self.guard.send(osc52(text, is_tmux).as_bytes())?;
        let words = "sent to the terminal through tmux, which passes it on only with `set -g \
                     allow-passthrough on`";
        Ok(is_tmux.then(|| Message::Notice(words.into())))
    }

    fn open(&mut self, file: &Path, line: u32) -> io::Result<Option<Message>> {
        let Some(path) = source::find(file, &self.database) else {
            let name = file.to_string_lossy();
            let name = crate::database::text::sanitize::line(&name);
            return Ok(Some(Message::Notice(format!("{name} does not exist on this machine"))));
        };
        let mut command = editor();
        let name = command.get_program().to_string_lossy().into_owned();
        add_position_arguments(&mut command, &name, &path, line);
        Ok(self.run_program(command)?.err())
    }

    fn edit(&mut self, text: &str) -> io::Result<Option<Message>> {
        let path = match user_files::scratch(text) {
            Ok(path) => path,
            Err(error) => return Ok(Some(Message::Notice(error.to_string()))),
        };
        let mut command = editor();
        command.arg(&path);
        let result = self.run_program(command)?;
        let edited = user_files::take_scratch(&path);
        Ok(Some(match (result, edited) {
            (Err(message), _) => message,
            (Ok(()), Ok(text)) => Message::Edited(text),
            (Ok(()), Err(error)) => Message::Notice(error.to_string()),
        }))
    }

    /// Runs a program with the terminal until it ends.
    fn run_program(&mut self, mut command: Command) -> io::Result<Result<(), Message>> {
        let name = command.get_program().to_string_lossy().into_owned();
        let status = self.with_terminal_suspended(|| {
            signals::while_lent(|| {
                let child = signals::with_signals_unblocked(|| command.spawn());
                child.and_then(|mut child| child.wait())
            })
        })?;
        let name = crate::database::text::sanitize::line(&name).into_owned();
        Ok(match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Message::Notice(format!("{name} ended with {status}"))),
            Err(error) => {
                Err(Message::Notice(format!("{name}: {error}; set EDITOR to another editor")))
            }
        })
    }

    fn with_terminal_suspended<T>(&mut self, run: impl FnOnce() -> T) -> io::Result<T> {
        let result = {
            let _pause = self.input.pause();
            restore();
            run()
        };
        self.guard.reacquire(self.mouse)?;
        Ok(result)
    }
}

/// Loads the text into a tmux buffer; whether tmux accepted it.
fn load_tmux_buffer(text: &str) -> bool {
    let mut command = Command::new("tmux");
    command.args(["load-buffer", "-w", "-"]).stdin(Stdio::piped());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = signals::with_signals_unblocked(|| command.spawn()) else { return false };
    let written =
        child.stdin.take().is_some_and(|mut input| input.write_all(text.as_bytes()).is_ok());
    child.wait().is_ok_and(|status| status.success()) && written
}

/// The escape sequence (OSC 52) that copies text to the clipboard of the terminal. Inside tmux it is
/// wrapped so that tmux passes it on to the outer terminal.
fn osc52(text: &str, tmux: bool) -> String {
    let mut sequence = String::new();
    // Writing to a string does not fail.
    let _ = CopyToClipboard::to_clipboard_from(text).write_ansi(&mut sequence);
    match tmux {
        true => format!("\x1bPtmux;{}\x1b\\", sequence.replace('\x1b', "\x1b\x1b")),
        false => sequence,
    }
}

fn error_notice(done: io::Result<()>) -> Option<Message> {
    done.err().map(|error| Message::Notice(error.to_string()))
}

/// The command of `$VISUAL` or `$EDITOR` with its arguments, or vi.
fn editor() -> Command {
    let variable = |name: &str| env::var(name).ok().filter(|it| !it.trim().is_empty());
    let line = variable("VISUAL").or_else(|| variable("EDITOR")).unwrap_or_else(|| "vi".into());
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or("vi"));
    command.args(words);
    command
}

/// Adds the arguments that open a file at a line, as the editor expects them.
fn add_position_arguments(command: &mut Command, name: &str, path: &Path, line: u32) {
    let name = name.rsplit('/').next().unwrap_or(name);
    match name {
        "code" | "codium" | "cursor" => {
            command.arg("--wait").arg("--goto").arg(format!("{}:{line}", path.display()));
        }
        "hx" | "helix" | "zed" | "subl" => {
            command.arg(format!("{}:{line}", path.display()));
        }
        _ => {
            command.arg(format!("+{line}")).arg(path);
        }
    }
}
