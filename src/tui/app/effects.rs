//! Does what the state asked for: the clipboard, editors, files, stopping.
//!
//! Reads: [`Effect`]s. Writes: the terminal, the user's own files; answers with messages.
//!
//! Invariants:
//! - Nothing but the user's own state and what the user asked to write is written.
//! - Another program gets the terminal only after it was given back, and the keys with it.

use std::env;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::tui::app::message::{Effect, Message};
use crate::tui::app::source;
use crate::tui::app::worker::Workers;
use crate::tui::input::events::Input;
use crate::tui::terminal::screen::{Guard, Mouse, Screen, give_back};
use crate::tui::terminal::{signals, user_files};

/// Bytes that a terminal may be sent for its clipboard.
const COPY_MAX: usize = 100_000;

/// Everything outside the state.
#[derive(Debug)]
pub(crate) struct EffectContext {
    database: PathBuf,
    guard: Guard,
    input: Input,
    workers: Workers,
    mouse: Mouse,
}

impl EffectContext {
    /// Takes them together.
    pub(crate) fn new(
        database: &Path,
        guard: Guard,
        input: Input,
        workers: Workers,
        mouse: Mouse,
    ) -> Self {
        Self { database: database.to_owned(), guard, input, workers, mouse }
    }

    /// What frames are drawn on.
    pub(crate) fn screen(&mut self) -> &mut Screen {
        &mut self.guard.screen
    }

    /// Does it; what it has to say comes back.
    ///
    /// # Errors
    /// When the terminal can't be used any more.
    pub(crate) fn perform(&mut self, effect: Effect) -> io::Result<Option<Message>> {
        Ok(match effect {
            Effect::Ask(request) => {
                self.workers.ask(request);
                None
            }
            Effect::Cancel(id) => {
                self.workers.cancel(id);
                None
            }
            Effect::Copy(text) => self.copy(&text)?,
            Effect::OpenSource(file, line) => self.open(&file, line)?,
            Effect::EditSql(text) => self.edit(&text)?,
            Effect::Accept(line) => told(user_files::accept(&line)),
            Effect::Remember(statement) => told(user_files::remember(&statement)),
            Effect::SetMouse(mouse) => {
                self.mouse = mouse;
                self.guard.set_mouse(mouse)?;
                None
            }
            Effect::Suspend => {
                self.with_terminal_suspended(signals::stop)?;
                None
            }
            Effect::Quit => None,
        })
    }

    /// Through the terminal itself (OSC 52), which works over ssh, and does not say whether it took it.
    /// tmux has a buffer of its own, and passes it on to the terminal (`load-buffer -w`, since 3.2).
    fn copy(&mut self, text: &str) -> io::Result<Option<Message>> {
        if text.len() > COPY_MAX {
            let words = "too much for the clipboard: 100 KB at most";
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
            return Ok(Some(Message::Notice(format!("{name} is not on this machine"))));
        };
        let mut command = editor();
        let name = command.get_program().to_string_lossy().into_owned();
        arguments(&mut command, &name, &path, line);
        Ok(self.call(command)?.err())
    }

    fn edit(&mut self, text: &str) -> io::Result<Option<Message>> {
        let path = match user_files::scratch(text) {
            Ok(path) => path,
            Err(error) => return Ok(Some(Message::Notice(error.to_string()))),
        };
        let mut command = editor();
        command.arg(&path);
        let called = self.call(command)?;
        let edited = user_files::take_scratch(&path);
        Ok(Some(match (called, edited) {
            (Err(message), _) => message,
            (Ok(()), Ok(text)) => Message::Edited(text),
            (Ok(()), Err(error)) => Message::Notice(error.to_string()),
        }))
    }

    /// Lends the terminal to a program until it ends.
    fn call(&mut self, mut command: Command) -> io::Result<Result<(), Message>> {
        let name = command.get_program().to_string_lossy().into_owned();
        let ended = self.with_terminal_suspended(|| {
            signals::lent(|| {
                let child = signals::unmasked(|| command.spawn());
                child.and_then(|mut child| child.wait())
            })
        })?;
        let name = crate::database::text::sanitize::line(&name).into_owned();
        Ok(match ended {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Message::Notice(format!("{name} ended with {status}"))),
            Err(error) => {
                Err(Message::Notice(format!("{name}: {error}; set EDITOR to another one")))
            }
        })
    }

    fn with_terminal_suspended<T>(&mut self, to: impl FnOnce() -> T) -> io::Result<T> {
        let result = {
            let _pause = self.input.pause();
            give_back();
            to()
        };
        self.guard.retake(self.mouse)?;
        Ok(result)
    }
}

/// Whether tmux has taken the text.
fn load_tmux_buffer(text: &str) -> bool {
    let mut command = Command::new("tmux");
    command.args(["load-buffer", "-w", "-"]).stdin(Stdio::piped());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = signals::unmasked(|| command.spawn()) else { return false };
    let written =
        child.stdin.take().is_some_and(|mut input| input.write_all(text.as_bytes()).is_ok());
    child.wait().is_ok_and(|status| status.success()) && written
}

/// The bytes that put text on the clipboard of a terminal.
pub(crate) fn osc52(text: &str, tmux: bool) -> String {
    let sequence = format!("\x1b]52;c;{}\x07", base64(text.as_bytes()));
    match tmux {
        true => format!("\x1bPtmux;{}\x1b\\", sequence.replace('\x1b', "\x1b\x1b")),
        false => sequence,
    }
}

fn told(done: io::Result<()>) -> Option<Message> {
    done.err().map(|error| Message::Notice(error.to_string()))
}

/// `$VISUAL`, `$EDITOR` or vi, with the arguments that are in the variable.
fn editor() -> Command {
    let set = |name: &str| env::var(name).ok().filter(|it| !it.trim().is_empty());
    let line = set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| "vi".into());
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or("vi"));
    command.args(words);
    command
}

/// How editors are told a line.
fn arguments(command: &mut Command, name: &str, path: &Path, line: u32) {
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

fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let sign = SIGNS[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= chunk.len() { char::from(sign) } else { '=' });
        }
    }
    text
}
