//! The real binary in a pseudo-terminal: the path to a leak, and restoring the terminal.

use crate::cli::check::example;
use crate::support::programs::run;
use crate::support::terminal::Terminal;
use crate::tui::fixture::{database, leaky_server};

const ENTER: &str = "\r";
const ESCAPE: &str = "\x1b";
const DOWN: &str = "\x1b[B";

struct Place {
    directory: tempfile::TempDir,
    path: std::path::PathBuf,
}

fn place() -> Place {
    let (directory, path) = database(&leaky_server());
    Place { directory, path }
}

fn explore(place: &Place, size: (u16, u16)) -> Terminal {
    let terminal = Terminal::explore(&place.path, place.directory.path(), size, &[]);
    terminal.see("suspects:");
    terminal
}

#[test]
fn the_first_suspect_leads_to_its_source_line() {
    let place = place();
    let mut terminal = explore(&place, (80, 24));
    terminal.see("#1 steady leak");
    terminal.press(ENTER);
    terminal.see("▸backtrace 1");
    terminal.press(ENTER);
    terminal.see("▸examples/server/cache.rs:41");
    terminal.see("and nobody removes it");
    terminal.press(ESCAPE);
    terminal.wait("no pop-up", |screen| !screen.contents().contains("▸examples"));
    terminal.press("q");
    assert!(terminal.ended().success());
    terminal.is_given_back();
}

/// The same with a recording of the real example.
#[test]
fn the_leak_of_the_recorded_example_is_found_without_reading_its_code() {
    let directory = tempfile::tempdir().unwrap();
    let ran = run(&example("leaky_server"), &["2"], directory.path());
    assert!(ran.status.success(), "{ran:?}");
    let entry = std::fs::read_dir(directory.path()).unwrap().next().unwrap().unwrap();
    let path = entry.path();
    let mut terminal = explore(&Place { directory, path }, (80, 24));
    let sentence = terminal.see("#1 steady leak");
    assert!(sentence.contains("note"), "{sentence}");
    terminal.press(ENTER);
    terminal.see("▸backtrace");
    terminal.press(ENTER);
    terminal.see("Esc close");
    let source = terminal.see("self.entries.push(Box::new(Entry {");
    let text = include_str!("../../../examples/leaky_server.rs");
    let line = text.lines().position(|line| line.contains("self.entries.push(Box::new(")).unwrap();
    assert!(source.contains(&format!("leaky_server.rs:{}", line + 1)), "{source}");
    terminal.press(ESCAPE);
    terminal.wait("no pop-up", |screen| !screen.contents().contains("Esc close"));
    terminal.press("q");
    assert!(terminal.ended().success());
    terminal.is_given_back();
}

#[test]
fn never_freed_older_than_takes_a_typed_duration() {
    let place = place();
    let mut terminal = explore(&place, (100, 30));
    terminal.press("c");
    terminal.see("built-in queries");
    terminal.press("never freed older than");
    terminal.see("1 of ");
    terminal.press(ENTER);
    terminal.see("minimum age at the end");
    terminal.press("soon");
    terminal.press(ENTER);
    terminal.see("expected a duration");
    terminal.press("\x15"); // Ctrl-U empties the field
    terminal.press("10m");
    terminal.press(ENTER);
    let rows = terminal.see("older than an age (10m): 5 rows");
    assert!(rows.contains("Cache::insert"), "{rows}");
    terminal.press(DOWN);
    terminal.press(ENTER);
    terminal.see("▸backtrace");
    terminal.see("session::open");
    terminal.press(ENTER);
    terminal.see("▸examples/server/cache.rs:41");
    terminal.press(ESCAPE);
    terminal.wait("no pop-up", |screen| !screen.contents().contains("▸examples"));
    terminal.press("q");
    assert!(terminal.ended().success());
    terminal.is_given_back();
}

#[test]
fn the_editor_gets_file_and_line() {
    let place = place();
    let stub = place.directory.path().join("stub-editor");
    std::fs::write(&stub, "#!/bin/sh\necho \"$@\" > called\n").unwrap();
    std::fs::set_permissions(&stub, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let editor = stub.to_str().unwrap().to_owned();
    let env = [("EDITOR", editor.as_str())];
    let mut terminal = Terminal::explore(&place.path, place.directory.path(), (80, 24), &env);
    terminal.see("#1 steady leak");
    terminal.press("o");
    let called = place.directory.path().join("called");
    terminal.wait("the editor called", |_| {
        std::fs::read_to_string(&called)
            .is_ok_and(|it| it.starts_with("+41 ") && it.ends_with("cache.rs\n"))
    });
    terminal.see("#1 steady leak");
    terminal.press("y");
    terminal.sent(b"\x1b]52;c;");
    terminal.press("q");
    assert!(terminal.ended().success());
    terminal.is_given_back();
}

#[test]
fn inside_tmux_the_clipboard_is_passed_on() {
    let place = place();
    let env = [("TMUX", "/tmp/tmux-0/default,1,0")];
    let mut terminal = Terminal::explore(&place.path, place.directory.path(), (80, 24), &env);
    terminal.see("#1 steady leak");
    terminal.press("y");
    terminal.sent(b"\x1bPtmux;\x1b\x1b]52;c;IzEgc3RlYWR5IGxlYWs");
    terminal.press("q");
    terminal.ended();
}

#[test]
fn accepted_suspects_and_statements_are_remembered() {
    let place = place();
    let mut terminal = explore(&place, (100, 30));
    terminal.see("#1 steady leak");
    terminal.press("a");
    terminal.see("why this is not a leak");
    terminal.press("kept on purpose\r");
    terminal.see("1 accepted hidden");
    terminal.press("7SELECT 6 * 7\x1b[15~");
    terminal.see("42");
    terminal.press("q");
    terminal.ended();
    let kept = std::fs::read_to_string(place.directory.path().join("suppressions.txt")).unwrap();
    assert_eq!(kept, "# kept on purpose\nleak:server::cache::Cache::insert\n");

    let mut terminal = explore(&place, (100, 30));
    terminal.see("1 accepted hidden");
    terminal.press("7");
    terminal.see("Run any query");
    terminal.press("\x1b[1;5A"); // Ctrl-Up
    terminal.see("SELECT 6 * 7");
    terminal.press("\x03\x03");
    terminal.ended();
    terminal.is_given_back();
}

#[test]
fn signals_give_the_terminal_back_and_end_by_themselves() {
    let place = place();
    for signal in [libc::SIGTERM, libc::SIGHUP, libc::SIGINT] {
        let mut terminal = explore(&place, (80, 24));
        terminal.signal(signal);
        let status = terminal.ended();
        assert!(!status.success(), "signal {signal}: {status:?}");
        terminal.is_given_back();
    }
}

#[test]
fn ctrl_c_twice_quits() {
    let place = place();
    let mut terminal = explore(&place, (80, 24));
    terminal.press("\x03");
    terminal.see("press Ctrl-C again to quit");
    terminal.press("\x03");
    assert!(terminal.ended().success());
    terminal.is_given_back();
}

#[cfg(debug_assertions)]
#[test]
fn a_panic_gives_the_terminal_back() {
    let place = place();
    let env = [("RHEAPER_TEST_PANIC", "1")];
    let mut terminal = Terminal::explore(&place.path, place.directory.path(), (80, 24), &env);
    assert!(!terminal.ended().success());
    terminal.is_given_back();
    terminal.see("asked to panic");
}

#[test]
fn ctrl_z_stops_and_fg_continues_twice() {
    let place = place();
    let mut terminal = explore(&place, (80, 24));
    for _ in 0..2 {
        terminal.press("\x1a");
        terminal.is_given_back();
        terminal.wait("the explorer again", |screen| {
            // It may not have stopped yet, so SIGCONT is sent repeatedly.
            terminal.signal(libc::SIGCONT);
            screen.alternate_screen() && screen.contents().contains("suspects:")
        });
    }
    terminal.press("q");
    assert!(terminal.ended().success());
    terminal.is_given_back();
}

#[test]
fn an_endless_query_does_not_block_keys_and_can_be_stopped() {
    let place = place();
    let mut terminal = explore(&place, (100, 30));
    terminal.press("7");
    terminal.see("Run any query");
    terminal.press(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
    );
    terminal.press("\x1b[15~"); // F5
    terminal.see("running");
    terminal.press("1");
    terminal.see("suspects:");
    terminal.press("7");
    terminal.see("running");
    terminal.press("\x03");
    terminal.see("stopped");
    terminal.press("\x03");
    terminal.press("\x03");
    assert!(terminal.ended().success());
    terminal.is_given_back();
}

#[test]
fn any_size_from_one_by_one_is_survived() {
    let place = place();
    let mut terminal = explore(&place, (80, 24));
    for size in [(1, 1), (200, 60), (39, 9), (3, 3), (40, 10), (500, 100), (80, 24)] {
        terminal.resize(size);
        if size.0 >= 40 {
            terminal.see("Suspects");
        }
    }
    terminal.press("q");
    assert!(terminal.ended().success());
    terminal.is_given_back();
}

#[test]
fn without_colours_every_cell_has_the_default_ones() {
    let place = place();
    let env = [("NO_COLOR", "1"), ("RHEAPER_ASCII", "1")];
    let mut terminal = Terminal::explore(&place.path, place.directory.path(), (80, 24), &env);
    terminal.see("#1 steady leak");
    terminal.press("2");
    let text = terminal.see(">all");
    assert!(text.is_ascii(), "{text}");
    terminal.wait("no colours", |screen| {
        let cells =
            (0..24).flat_map(|row| (0..80).filter_map(move |column| screen.cell(row, column)));
        cells.into_iter().all(|cell| {
            cell.fgcolor() == vt100::Color::Default && cell.bgcolor() == vt100::Color::Default
        })
    });
    terminal.press("q");
    assert!(terminal.ended().success());
}

#[test]
fn keys_are_replayed_and_recorded() {
    let place = place();
    let file = |name: &str| place.directory.path().join(name);
    std::fs::write(file("in.keys"), "# to the cache\n2/cache<Enter>\n").unwrap();
    let (keys, log) = (file("in.keys"), file("out.keys"));
    let arguments = ["--keys", keys.to_str().unwrap(), "--record-keys", log.to_str().unwrap()];
    let home = place.directory.path();
    let mut terminal = Terminal::explore_with(&place.path, home, (100, 30), &[], &arguments);
    terminal.see("~cache matches");
    terminal.press("3");
    terminal.see("tree:");
    terminal.press("q");
    assert!(terminal.ended().success());
    assert_eq!(std::fs::read_to_string(file("out.keys")).unwrap(), "2/cache<Enter>\n3q");
}

#[test]
fn user_keys_apply_and_a_bad_line_is_reported() {
    let place = place();
    let home = place.directory.path();
    std::fs::write(home.join("keys.txt"), "global quit Q\nflame dance d\n").unwrap();
    let mut terminal = Terminal::explore_with(&place.path, home, (100, 30), &[], &[]);
    terminal.see("keys.txt: line 2: flame has no action dance");
    terminal.see("Q quit");
    terminal.press("Q");
    assert!(terminal.ended().success());
}
