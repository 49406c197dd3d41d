//! A program in a pseudo-terminal: keys in, the screen as a terminal would show it out.
//!
//! Invariant: nothing waits for a time, only for a condition with a deadline.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};

/// Longer than anything takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// A program and its terminal.
pub(crate) struct Terminal {
    parser: Arc<Mutex<vt100::Parser>>,
    bytes: Arc<Mutex<Vec<u8>>>,
    writer: Box<dyn Write + Send>,
    master: Box<dyn MasterPty + Send>,
    child: Box<dyn Child + Send + Sync>,
    before: String,
}

impl Terminal {
    /// Starts the explorer on a database, with a home of its own.
    pub(crate) fn explore(
        database: &Path,
        home: &Path,
        size: (u16, u16),
        env: &[(&str, &str)],
    ) -> Self {
        Self::explore_with(database, home, size, env, &[])
    }

    /// The same with more arguments.
    pub(crate) fn explore_with(
        database: &Path,
        home: &Path,
        size: (u16, u16),
        env: &[(&str, &str)],
        arguments: &[&str],
    ) -> Self {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_rheaper"));
        command.arg("tui");
        command.arg(database);
        command.args(arguments);
        command.env_clear();
        for name in ["HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "RHEAPER_CONFIG"] {
            command.env(name, home);
        }
        for (name, value) in
            [("TERM", "xterm-256color"), ("LANG", "C.UTF-8"), ("PATH", "/usr/bin:/bin")]
        {
            command.env(name, value);
        }
        for (name, value) in env {
            command.env(name, value);
        }
        command.cwd(home);
        Self::start(command, size)
    }

    fn start(command: CommandBuilder, (columns, rows): (u16, u16)) -> Self {
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let before = format!("{:?}", pair.master.get_termios());
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let parser = Arc::new(Mutex::new(vt100::Parser::new(
            rows.try_into().unwrap(),
            columns.try_into().unwrap(),
            0,
        )));
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (ours, kept) = (Arc::clone(&parser), Arc::clone(&bytes));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = reader.read(&mut buffer) {
                ours.lock().unwrap().process(&buffer[..read]);
                kept.lock().unwrap().extend_from_slice(&buffer[..read]);
            }
        });
        let writer = pair.master.take_writer().unwrap();
        Self { parser, bytes, writer, master: pair.master, child, before }
    }

    /// Presses keys, given as the bytes that a terminal sends.
    pub(crate) fn press(&mut self, keys: &str) {
        self.writer.write_all(keys.as_bytes()).unwrap();
        self.writer.flush().unwrap();
    }

    /// Waits until the screen is as wanted; gives its text.
    pub(crate) fn wait(&self, what: &str, wanted: impl Fn(&vt100::Screen) -> bool) -> String {
        let start = Instant::now();
        loop {
            {
                let parser = self.parser.lock().unwrap();
                if wanted(parser.screen()) {
                    return parser.screen().contents();
                }
                let text = parser.screen().contents();
                assert!(start.elapsed() < DEADLINE, "never came: {what}\n{text}");
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until a text is on the screen; gives all of it.
    pub(crate) fn see(&self, text: &str) -> String {
        self.wait(text, |screen| screen.contents().contains(text))
    }

    /// Waits until these bytes were sent to the terminal.
    pub(crate) fn sent(&self, bytes: &[u8]) {
        self.wait("bytes", |_| {
            let all = self.bytes.lock().unwrap();
            all.windows(bytes.len()).any(|window| window == bytes)
        });
    }

    /// Changes the size, as the user does by dragging a corner.
    pub(crate) fn resize(&self, (columns, rows): (u16, u16)) {
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        self.parser
            .lock()
            .unwrap()
            .screen_mut()
            .set_size(rows.try_into().unwrap(), columns.try_into().unwrap());
        self.master.resize(size).unwrap();
    }

    /// Sends a signal to the program.
    pub(crate) fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.process_id().unwrap()).unwrap();
        // SAFETY: the child is ours and has not been waited for, so its number is its own.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    /// The process's resident memory at its highest, in bytes.
    pub(crate) fn peak_bytes(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child.process_id().unwrap());
        let status = std::fs::read_to_string(status).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Waits for the program's end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            let screen = || self.parser.lock().unwrap().screen().contents();
            assert!(start.elapsed() < DEADLINE, "it never ended\n{}", screen());
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Asserts that the terminal is as it was: screen, modes, cursor.
    pub(crate) fn is_given_back(&self) {
        self.wait("the terminal given back", |screen| {
            !screen.alternate_screen()
                && !screen.hide_cursor()
                && !screen.bracketed_paste()
                && screen.mouse_protocol_mode() == vt100::MouseProtocolMode::None
        });
        assert_eq!(self.before, format!("{:?}", self.master.get_termios()));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A test that failed leaves nothing running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
