//! The SQL prompt, typed into through a pseudo-terminal.
//!
//! Every wait is for a condition on the screen, never for a time.

use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::cli::commands::Place;

const PATIENCE: Duration = Duration::from_secs(30);

/// A prompt and the screen that its user sees.
struct Terminal {
    screen: vt100::Parser,
    output: Receiver<Vec<u8>>,
    keyboard: Box<dyn Write + Send>,
    child: Box<dyn portable_pty::Child + Send + Sync>,
    _master: Box<dyn MasterPty + Send>,
}

impl Terminal {
    fn open(place: &Place, variables: &[(&str, &str)]) -> Self {
        let size = PtySize { rows: 40, cols: 120, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(assert_cmd::cargo::cargo_bin!("rheaper"));
        command.args(["sql", "heap.db"]);
        command.cwd(place.path("."));
        command.env("TERM", "xterm-256color");
        command.env("XDG_STATE_HOME", place.path("state"));
        command.env("RHEAPER_CONFIG", place.path("config"));
        command.env("RHEAPER_PAGER", "");
        command.env_remove("NO_COLOR");
        for (name, value) in variables {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        let keyboard = pair.master.take_writer().unwrap();
        let screen =
            vt100::Parser::new(size.rows.try_into().unwrap(), size.cols.try_into().unwrap(), 500);
        let mut terminal = Self { screen, output, keyboard, child, _master: pair.master };
        terminal.wait_for("rheaper> ");
        terminal
    }

    fn keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    /// Types a line, clearing the screen first so that what is waited for is new.
    fn line(&mut self, line: &str) {
        // Keys that are typed ahead of a prompt would be lost.
        self.wait_until("the prompt", |text| {
            text.trim_end().ends_with("\nrheaper>") || text.trim() == "rheaper>"
        });
        self.keys("\u{c}");
        self.wait_until("an empty screen", |text| text.trim() == "rheaper>");
        self.keys(line);
        self.keys("\r");
        self.wait_until("an echo", |text| text.trim() != "rheaper>");
    }

    fn wait_for(&mut self, words: &str) -> String {
        self.wait_until(words, |text| text.contains(words))
    }

    fn wait_until(&mut self, what: &str, condition: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.screen.screen().contents();
            if condition(&text) {
                return text;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.screen.process(&bytes),
                Err(_) => panic!("waited for {what}, saw:\n{text}"),
            }
        }
    }

    fn leave(mut self) -> u32 {
        self.line(".quit");
        self.ended()
    }

    /// Drops what is typed. Keys that are typed ahead of the next prompt would be lost.
    fn clear(&mut self) {
        self.keys("\u{3}");
        self.wait_until("a fresh prompt", |text| text.trim_end().ends_with("\nrheaper>"));
    }

    /// The exit code. The screen's end comes first, so that a child that stays is a failure.
    fn ended(mut self) -> u32 {
        let deadline = Instant::now() + PATIENCE;
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.screen.process(&bytes),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => {
                    return self.child.wait().unwrap().exit_code();
                }
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => break,
            }
        }
        self.child.kill().unwrap();
        panic!("it stayed:\n{}", self.screen.screen().contents());
    }
}

#[test]
fn statements_of_several_lines_are_answered_at_the_semicolon() {
    let place = Place::new(5);
    let mut terminal = Terminal::open(&place, &[]);
    terminal.line("SELECT 1 + 1 AS two,\r  'a;b' AS text\r;");
    let text = terminal.wait_for("1 row in");
    assert!(text.contains("two") && text.contains("a;b"), "{text}");
    terminal.line("SELECT 6 * 7 AS a; SELECT 'é' AS b;");
    let text = terminal.wait_until("two answers", |text| text.matches("1 row in").count() == 2);
    assert!(text.contains("42"), "{text}");
    assert_eq!(terminal.leave(), 0);
}

#[test]
fn an_error_shows_its_place_and_the_prompt_goes_on() {
    let place = Place::new(5);
    let mut terminal = Terminal::open(&place, &[]);
    terminal.line("SELECT sizee FROM allocations;");
    let text = terminal.wait_for("^~~~~");
    assert!(text.contains("no such column: sizee"), "{text}");
    terminal.line("DELETE FROM allocations;");
    terminal.wait_for("refused");
    terminal.line("SELECT 'still' || ' here';");
    terminal.wait_for("still here");
    assert_eq!(terminal.leave(), 0);
}

#[test]
fn dot_commands_do_what_hands_expect() {
    let place = Place::new(5);
    std::fs::write(place.path("script.sql"), ".mode csv\nSELECT 1 AS a,\n 2 AS b;\n.mode table\n")
        .unwrap();
    std::fs::write(place.path("there.txt"), "keep me").unwrap();
    let mut terminal = Terminal::open(&place, &[]);
    for (typed, expected) in [
        (".help", ".queries [NAME]"),
        (".tables", "site_timeline"),
        (".schema threads", "CREATE TABLE threads"),
        (".queries", "Failed allocations"),
        (".queries never_freed_older_than", "default: 10m"),
        (".run never_freed_older_than --age 0", "oldest_ns"),
        (".run never_freed_older_than --age ten", "with its unit"),
        (".read script.sql", "1,2"),
        (".read absent.sql", "absent.sql"),
        (".nonsense", "no command is called `.nonsense`"),
        (".output there.txt", "exists; "),
        (".output heap.db", "is the open database"),
        (".mode what", "no format is called"),
    ] {
        terminal.line(typed);
        terminal
            .wait_until(expected, |text| text.lines().skip(1).any(|line| line.contains(expected)));
    }
    terminal.line(".output new.csv");
    terminal.line(".mode csv");
    terminal.line("SELECT 5 AS x;");
    terminal.wait_for("1 row in");
    terminal.line(".output");
    terminal.line(".headers off");
    terminal.line(".timer off");
    terminal.line("SELECT 7;");
    terminal.wait_until("a bare answer", |text| text.lines().any(|line| line == "7"));
    assert_eq!(terminal.leave(), 0);
    assert_eq!(std::fs::read_to_string(place.path("new.csv")).unwrap(), "x\n5\n");
    assert_eq!(std::fs::read_to_string(place.path("there.txt")).unwrap(), "keep me");
}

#[test]
fn tab_completes_and_colours_are_shown() {
    let place = Place::new(5);
    let mut terminal = Terminal::open(&place, &[]);
    terminal.line("SELECT count(*) AS n FROM allocations\t;");
    terminal.wait_for("FROM allocations;");
    terminal.wait_for("1 row in");
    terminal.line("SELECT s.live_by\u{1}\u{5} FROM sites s WHERE 0;\u{1}\u{1b}[C\u{1b}[C\u{1b}[C\u{1b}[C\u{1b}[C\u{1b}[C\u{1b}[C\u{1b}[C\u{1b}[C\u{1b}[C\u{1b}[C\u{1b}[C\u{1b}[C\u{1b}[C\u{1b}[C\u{1b}[C\t");
    terminal.wait_for("s.live_bytes FROM");
    // The keyword is bold, the table's name is not.
    let screen = terminal.screen.screen();
    let row =
        screen.contents().lines().position(|line| line.contains("SELECT s.live_bytes")).unwrap();
    let column = "rheaper> ".len() as u16;
    assert!(screen.cell(row as u16, column).unwrap().bold());
    assert!(!screen.cell(row as u16, column + 8).unwrap().bold());
    assert_eq!(terminal.leave(), 0);
}

#[test]
fn ctrl_c_stops_the_query_and_not_the_prompt() {
    let place = Place::new(5);
    let mut terminal = Terminal::open(&place, &[]);
    let endless =
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c;";
    for _ in 0..3 {
        terminal.line(endless);
        terminal.wait_for("FROM c;");
        // It must run, not still be read: its thread has used up a while of the processor.
        let stat = format!("/proc/{}/stat", terminal.child.process_id().unwrap());
        let used = || {
            let stat = std::fs::read_to_string(&stat).unwrap();
            stat.rsplit(')')
                .next()
                .unwrap()
                .split_whitespace()
                .nth(11)
                .unwrap()
                .parse::<u64>()
                .unwrap()
        };
        let (before, deadline) = (used(), Instant::now() + PATIENCE);
        while used() < before + 10 && Instant::now() < deadline {
            std::thread::yield_now();
        }
        let pressed = Instant::now();
        terminal.keys("\u{3}");
        terminal.wait_for("interrupted");
        let took = pressed.elapsed();
        assert!(took <= Duration::from_millis(250), "{took:?}");
        terminal.wait_until("the prompt", |text| text.trim_end().ends_with("rheaper>"));
    }
    terminal.line("SELECT 'alive';");
    terminal.wait_for("1 row in");
    assert_eq!(terminal.leave(), 0);
}

#[test]
fn long_answers_go_through_the_pager_and_leaving_it_is_no_error() {
    let place = Place::new(5);
    let pager = "head -n 3 | sed 's/^/paged: /'";
    let mut terminal = Terminal::open(&place, &[("RHEAPER_PAGER", pager)]);
    let endless =
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c;";
    terminal.line(endless);
    let text = terminal.wait_until("the prompt after the pager", |text| {
        text.contains("paged: x") && text.trim_end().ends_with("rheaper>")
    });
    assert!(!text.contains("error"), "{text}");
    terminal.line("SELECT 'short';");
    let text = terminal.wait_for("1 row in");
    assert!(!text.contains("paged"), "{text}");
    assert_eq!(terminal.leave(), 0);
}

#[test]
fn history_outlives_the_prompt_and_a_home_that_can_not_be_written_is_no_error() {
    let place = Place::new(5);
    let mut first = Terminal::open(&place, &[]);
    first.line("SELECT 'remember me';");
    first.wait_for("1 row in");
    assert_eq!(first.leave(), 0);
    let mut second = Terminal::open(&place, &[]);
    // The last line was `.quit`, the one before it is wanted.
    second.keys("\u{1b}[A\u{1b}[A");
    second.wait_for("SELECT 'remember me';");
    second.clear();
    assert_eq!(second.leave(), 0);

    let mut homeless =
        Terminal::open(&place, &[("XDG_STATE_HOME", "/proc/none"), ("HOME", "/proc/none")]);
    homeless.line("SELECT 'works';");
    homeless.wait_for("1 row in");
    assert_eq!(homeless.leave(), 0);
}

#[test]
fn end_of_input_leaves_and_no_color_is_heeded() {
    let place = Place::new(5);
    let mut terminal = Terminal::open(&place, &[("NO_COLOR", "1")]);
    terminal.keys("SELECT 1");
    terminal.wait_for("SELECT 1");
    let screen = terminal.screen.screen();
    let row = screen.contents().lines().position(|line| line.contains("SELECT 1")).unwrap();
    assert!(!screen.cell(row as u16, "rheaper> ".len() as u16).unwrap().bold());
    terminal.clear();
    terminal.keys("\u{4}");
    assert_eq!(terminal.ended(), 0);
}
